// SPDX-License-Identifier: GPL-2.0-only

/**
 * What `--help` prints.
 *
 * @module
 */

import { REVISION_NAMES } from "../../impl/uapi/revision.ts";

/** What `--help` prints. */
export const HELP = `Runs the iommufd selftests against targets.

Usage: deno task conformance [run] [OPTION]…
       deno task conformance list [OPTION]…         what would run or be skipped
       deno task conformance explain ID… [OPTION]…  what a test checks and needs,
                                                    what a rule says that tests
                                                    name (C2.27, or C2 for all),
                                                    or what an ioctl's struct is
       deno task conformance ladder [OPTION]…       how far an implementation is,
                                                    and what to write next
       deno task conformance check-adapter TARGET   is an adapter written well?
       deno task conformance merge FILE…            one report of those of shards

Which targets and tests:
  --target TARGET        what to test; repeatable: a column for each in one
                         report; default impl:
                           impl:[REVISION][,scattered=SEED][,container=type1]
                                 the model of this package; scattered hands
                                 its memory out in an order decided by SEED
                           module:./X.ts
                                 a module that exports target()
                           worker:./X.ts
                                 the same in a worker, where one that loops
                                 can be ended
                           stdio:CMD ARGS…, unix:PATH, tcp:HOST:PORT
                                 an adapter that speaks the protocol of
                                 protocol.md: a program to start, or a socket
                           linux-vm:[REVISION][,accel=kvm|tcg][,device=igb]
                                   [,container=iommufd|type1]
                                   [,iommu=intel|none]
                                 real Linux in a virtual machine, as "deno task
                                 linux:build" built it; default the newest;
                                 with a PCI device for VFIO, a container of
                                 iommufd's or of VFIO's own, and an IOMMU or
                                 none
                           linux-uml:[REVISION]
                                 real Linux as a program of this machine, as
                                 "deno task linux:build uml" built it
                           linux-here:[REVISION][,device=KIND]
                                   [,container=iommufd|type1]
                                 the model behind this machine's Linux: the
                                 agent in C, compiled here, as "deno task run"
                                 runs it
                           replay:FILE
                                 the recorded calls of a test that failed
                           ktap:[REVISION,]FILE
                                 results instead of a target: what the kernel's
                                 own selftests printed
  --uapi REVISION        ${
  REVISION_NAMES.join(", ")
} or all; default: all the target offers
  --filter GLOB          only tests whose id matches: fixture.variant.test, or
                         the beginning of one up to a dot; * and ? are
                         wildcards, a leading ! leaves tests out; repeatable
  --suite PART           kernel: the kernel's own tests; iommufd,
                         iommufd_fail_nth, vfio_pci_device_test and so on:
                         those of one of its nine programs; kit: those that
                         only this kit has; default all
  --shard I/N            the Ith of N parts of the tests

How they run:
  --timeout MS           time limit of a test in milliseconds; default 30000
  --isolate HOW          start a new target once for the whole run, or for each
                         fixture (in each variant), or for each test; default
                         run: a new one only after a test that broke the target
  --jobs N               run tests on N targets at the same time; default 1;
                         a target in this process stays a single one
  --shuffle              run tests in a random order
  --seed N               decides that order (and asks for it)
  --repeat N             run each test N times: the worst result counts
  --until-fail           run all again and again until one fails; with --repeat
                         at most that often
  --fail-fast            stop after the first failure
  --no-skip[=CAPABILITY] fail if tests are skipped for want of a capability (of
                         that one); repeatable
  --expectations FILE    tests that are known to fail, see README.md
  --update-expectations  write what the run came to into that file
  --link URL             where what is written there is tracked

What comes out:
  --report FORMAT[:PATH] pretty, ktap, tap, junit, json, jsonl, markdown, html,
                         github, coverage, bundle, badge; with PATH into that
                         file, else to standard output, where pretty is the
                         default; repeatable
  --transcripts DIR      where the calls of failed tests are saved; default
                         .cache/transcripts
  --no-transcripts       do not save them
  --list                 the same as the command list
  --help, -h             print this
  --version              print the version

Exit codes: 0 all passed, were skipped, or failed as expected; 1 something did
not; 2 the command line or the expectations file is wrong, or selects nothing;
3 a target could not be started.
`;
