// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults in what is told of programs, in how they are run, and in the command.
 *
 * @module
 */

import { type HostMutant, inFile } from "../mutant.ts";

const LOG_TEST = "host/watch/log_test.ts";
const LEFT_TEST = "host/watch/left_behind_test.ts";
const TRANSCRIPT_TEST = "host/watch/transcript_test.ts";
const SWEEP_TEST = "host/command/sweep_test.ts";
const COMMAND_TEST = "host/command/command_test.ts";
const RUN_TEST = "host/run/run_test.ts";
const LOG = "the log";
const LEFT = "what a program leaves behind";
const TRANSCRIPT = "the transcript of a program";

/** Theirs. */
export const WATCH_MUTANTS: readonly HostMutant[] = [
  ...inFile("host/watch/log.ts", [
    {
      name: "watch-stale-reason",
      find: "    call.process.kernel.lastErrno = undefined;\n",
      replace: "",
      breaks: "A failure is explained with the reason of an older one",
      killer: [
        LOG_TEST,
        LOG,
        "does not explain a failure with the reason of another",
      ],
    },
    {
      name: "watch-threads-alike",
      find: "const thread = tid === pid",
      replace: "const thread = tid !== 0",
      breaks: "Threads of a process cannot be told apart",
      killer: [LOG_TEST, LOG, "tells processes and threads apart"],
    },
    {
      name: "watch-warning-lost",
      find: "kernel.warnings.list.slice(this.#warnings)",
      replace: "[]",
      breaks: "Nobody learns which call the kernel warned in",
      killer: [LOG_TEST, LOG, "tells what the kernel warned about meanwhile"],
    },
  ]),
  ...inFile("host/watch/format_struct.ts", [
    {
      name: "watch-answer-lost",
      find: 'succeeded && (direction === "out" ||',
      replace: 'succeeded && (direction === "inout" &&',
      breaks: "An answer that is what stood there before is not shown",
      killer: [
        LOG_TEST,
        LOG,
        "shows the structs that a pointer leads to, on their way in and out",
      ],
    },
  ]),
  ...inFile("host/watch/left_behind.ts", [
    {
      name: "watch-close-is-left",
      find: "    if (!ends) return;\n",
      replace: "",
      breaks: "A program that closes its files fails --audit",
      killer: [
        LEFT_TEST,
        LEFT,
        "is nothing where the file was closed: that destroys all",
      ],
    },
    {
      name: "watch-left-without-kernel",
      find: "return [...this.#found, ...kernel.audit()];",
      replace: "return [...this.#found];",
      breaks: "--audit does not see what the kernel would have warned about",
      killer: [
        LEFT_TEST,
        LEFT,
        "is what the kernel warned about, and who did not exit",
      ],
    },
  ]),
  ...inFile("host/watch/drawing.ts", [
    {
      name: "watch-draws-the-end",
      find: "this.#drawn ??= inspect",
      replace: "this.#drawn = inspect",
      breaks: "The drawing lacks what a program closed first as it ended",
      killer: [
        LEFT_TEST,
        "the drawing",
        "is of the state that the last call left, when several files are closed",
      ],
    },
  ]),
  ...inFile("host/watch/transcript.ts", [
    {
      name: "watch-real-descriptors",
      find: "told.add(process, result, closes)",
      replace: "(told.add(process, result, closes), result)",
      breaks: "A transcript has descriptors that another program would not get",
      killer: [
        TRANSCRIPT_TEST,
        TRANSCRIPT,
        "has the descriptors that an ioctl gave, by the numbers they have then",
      ],
    },
  ]),
  ...inFile("host/watch/passed_memory.ts", [
    {
      name: "watch-memory-not-told",
      find: "calls.push(...mapped(process, told, address, length));\n",
      replace: "",
      breaks: "A transcript maps memory that is not there when it is played",
      killer: [
        TRANSCRIPT_TEST,
        TRANSCRIPT,
        "gets the same replies from the model again",
      ],
    },
  ]),
  ...inFile("host/watch/failing_step.ts", [
    {
      name: "watch-step-numbers",
      find: "this.#number += functions;",
      replace: "this.#number += 1;",
      breaks: "--sweep tells numbers that --fail-nth does not take",
      killer: [
        SWEEP_TEST,
        "a failing step",
        "has the number that --fail-nth takes",
      ],
    },
  ]),
  ...inFile("host/command/sweep.ts", [
    {
      name: "command-hang-is-fine",
      find: "const bad = status === undefined ||",
      replace: "const bad =",
      breaks: "A sweep calls it well that a program hangs",
      killer: [
        SWEEP_TEST,
        "a sweep",
        "calls it bad if a program is killed, hangs, or makes the kernel warn",
      ],
    },
  ]),
  ...inFile("host/command/command.ts", [
    {
      name: "command-audit-passes",
      find: "return options.audit && !clean ? EXIT_FAILURE : status.code;",
      replace: "return status.code;",
      breaks: "--audit tells what was left behind, and passes",
      killer: [COMMAND_TEST, "run", "fails with 125 and a list for --audit"],
    },
    {
      name: "command-signal-twice",
      find: "if (!hasIt) program.kill(signal);",
      replace: "program.kill(signal);",
      breaks: "Ctrl-C reaches the program twice",
      killer: [
        COMMAND_TEST,
        "run",
        "does not send twice what a terminal sends to all",
      ],
    },
    {
      name: "command-signal-lost",
      find: "if (!hasIt) program.kill(signal);",
      replace: "",
      breaks: "SIGTERM to the command leaves the program running",
      killer: [
        COMMAND_TEST,
        "run",
        "passes signals on, and forgets them at the end",
      ],
    },
  ]),
  ...inFile("host/run/start.ts", [
    {
      name: "run-pretence-lost",
      find: "pretence: { uid, memlock },",
      replace: "pretence: { uid },",
      breaks: "--memlock changes nothing",
      killer: [
        RUN_TEST,
        "run()",
        "has the model believe what it is told of the caller",
      ],
    },
    {
      name: "run-signal-lost",
      find: "return statusOf(code << 8 | signal);",
      replace: "return statusOf(code << 8);",
      breaks: "A program that crashed ended well",
      killer: [RUN_TEST, "run()", "tells how a program ended"],
    },
  ]),
];
