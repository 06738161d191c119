#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An adapter that can do nothing but spawn, and closes its input or its output
# when it is asked for more: closing.sh input|output TAG. Deno cannot close
# them. As adapter.ts does, it tells when it waits for ever.

what=$1
process=0
while read -r sequence _ verb _; do
  case $verb in
    hello)
      echo "$sequence ok protocol=1 name=closing version=1 uapi=6.12 page=4096 hugepage=2097152 capabilities=fork,fail_nth,setrlimit"
      ;;
    spawn)
      process=$((process + 1))
      echo "$sequence ok $process"
      ;;
    exit | reset | bye) echo "$sequence ok" ;;
    *)
      case $what in
        input)
          exec <&-
          kill -USR2 $PPID
          ;;
        output) exec >&- ;;
      esac
      sleep 300
      ;;
  esac
done
