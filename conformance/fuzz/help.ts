// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the fuzzer's `--help` prints.
 *
 * @module
 */

import { PROFILES } from "./generate/generate.ts";
import { DEFAULT_LENGTH, DEFAULT_MINUTES, DEFAULT_OUT } from "./options.ts";

/** What `--help` prints. */
export const HELP =
  `Runs random programs of system calls on the model and on something else, and
says where they differ.

Usage: deno task fuzz [OPTION]…

  --target TARGET    what is compared with the model, as for "deno task
                     conformance": impl:, module:, stdio:, unix:, tcp:,
                     linux-vm:, linux-here:; default the model with its frames
                     scattered, so that neighbouring pages are rarely
                     neighbouring frames
  --only-invariants  look at the target alone: crashes, hangs, processes that
                     die, warnings, and what is left behind
  --uapi REVISION    default what the target implements

  --minutes N        how long; default ${DEFAULT_MINUTES} unless there is a count
  --count N          how many programs at most
  --length N         calls of a program; default ${DEFAULT_LENGTH}
  --profile NAME     what programs are about:
                     ${Object.keys(PROFILES).join(", ")};
                     default mixed
  --unguided         new programs only; otherwise every other one is a changed
                     one of those that reached code, an errno or flags first
  --corpus FILE      programs that reached something first, of earlier runs: they
                     are run at the beginning, and those that are still the
                     first to reach something are written back at the end, with
                     new ones. Files of several machines are put together with
                     cat
  --seed N           repeats a run; N.M repeats one program of it
  --replay FILE      runs the program of a file, such as a finding's .txt
  --import FILE      the same for a program of syzkaller's, such as its .syz
  --jobs N           runs programs on N of the target at once, where it can be
                     started several times; default 1. What is found is the same
  --timeout MS       how long a target has for an answer; default 30000
  --out DIR          where findings are written, each for people (.txt), as a
                     test (_test.ts), in C, for syzkaller (.syz), and as a
                     transcript; default ${DEFAULT_OUT}
  --help, -h         print this

Exit codes: 0 no finding; 1 findings; 2 the command line is wrong; 3 the target
could not be started; 130 Ctrl-C.
`;
