#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An adapter whose name is its arguments: joined by _, with . for a blank and -
# for a quote.

name=
separator=
for word in "$@"; do
  name=$name$separator$word
  separator=_
done
name=$(printf %s "$name" | sed "s/ /./g; s/['\"]/-/g")
read -r _
echo "1 ok protocol=1 name=$name version=1 uapi=6.12 page=4096 hugepage=4096 capabilities="
read -r sequence _
echo "$sequence ok"
