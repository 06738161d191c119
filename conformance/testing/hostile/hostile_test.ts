// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { allTests } from "../../../selftests/all.ts";
import { runCommand } from "../../command/command.ts";
import { denoHost } from "../../lib/host.ts";
import { parseTarget } from "../../targets.ts";
import type { TargetSpec } from "../../targets/target_spec.ts";
import { processesWith, until } from "../processes.ts";
import { TestTime } from "../test_time.ts";
import { KINDS } from "./adapter.ts";

/** Tests with ioctls, memory, faults that are injected, a fork, a limit. */
const TESTS = [
  "iommufd.simple_close",
  "iommufd_ioas.mock_domain.iova_ranges",
  "basic_fail_nth.basic",
  "kit_rlimit.user.two_processes",
  "kit_rlimit_mode.needs_capability",
];

/** What came of a run. */
interface Outcome {
  readonly code: number;
  /** Standard error. */
  readonly err: string;
  /** The KTAP report. */
  readonly report: string;
}

/**
 * No adapter is late here by being slow: time passes only when one says that
 * it waits for ever, until the next one starts.
 */
let time: TestTime;

/** Milliseconds that the runner waits for the end of an adapter, at most. */
const END_MS = 2000;

/** A target that has all the time it needs, but for a kind that cannot tell when it hangs. */
function patient(target: TargetSpec, kind: string): TargetSpec {
  const passing = kind === "closes its output" ? END_MS : 0;
  return {
    ...target,
    revisions: (options) => {
      time.pass(passing);
      return target.revisions(options);
    },
    open: (uapi, options) => {
      time.pass(passing);
      return target.open(uapi, options);
    },
  };
}

/** The command that starts an adapter: the kinds that Deno cannot be are shell scripts. */
function commandOf(kind: string): string {
  const folder = new URL(".", import.meta.url).pathname;
  const closes = /^closes its (.*)$/.exec(kind)?.[1];
  return closes === undefined
    ? `deno run --quiet --allow-run "${folder}adapter.ts" "${kind}"`
    : `sh "${folder}closing.sh" ${closes}`;
}

/** Runs the tests on a hostile adapter, and makes sure that nothing is left of it. */
async function run(kind: string): Promise<Outcome> {
  const tag = crypto.randomUUID();
  let err = "";
  let report = "";
  const code = await runCommand([
    "--target",
    `stdio:${commandOf(kind)} ${tag}`,
    ...TESTS.flatMap((test) => ["--filter", test]),
    ...["--report", "ktap"],
  ], {
    host: {
      ...denoHost(),
      out: (text) => report += text,
      err: (text) => err += text,
      color: false,
      errIsTerminal: false,
    },
    command: "deno task conformance",
    allTests,
    parseTarget: (spec) => patient(parseTarget(spec), kind),
  });
  time.pass(Infinity);
  await until(() => processesWith(tag).length === 0);
  assertEquals(processesWith(tag), []);
  return { code, err, report };
}

/** The kinds that closing.sh has. */
const CLOSING = ["closes its input", "closes its output"];

/** Adapters with which nothing works: exit code 3 and this sentence. */
const HOPELESS: Readonly<Record<string, RegExp>> = {
  "dies at hello": /Cannot start target .*exited with code 1/,
  "says nothing": /Cannot start target .*No answer to "1 0 hello 1"/,
  "speaks another version": /its protocol is 2, and 1 is spoken here/,
  "has an unknown uAPI": /its uapi is 7\.0, and only v3, .* are known/,
  "answers everything with ok 0": /did not work: .*0 cannot be a process/,
  "dies at reset": /did not work: .*exited with code 0/,
  "hangs in a reset": /did not work: .*within 5 seconds/,
  "dies in mid-line": /in the middle of the reply/,
  "dies of a signal": /was killed by SIGKILL/,
  "hangs in an ioctl": /No end after 30 seconds/,
  "floods with one line": /longer than \d+ bytes/,
  "floods with lines": /it answers request 1, and/,
  "answers with the wrong sequence number": /it answers request \d+, and/,
  "answers with garbage": /the sequence number is no number/,
  "answers with bytes that are no text": /no printable ASCII character/,
  "answers twice": /nothing asked for/,
  "shortens structs": /\d+ bytes came from ioctl of/,
  "closes its input": /No end after|does not read/,
  "closes its output": /closed its output and went on running/,
  "leaves a child": /exited with code 1/,
};

/** Adapters that fail tests: exit code 1 and this in the report. */
const WRONG: Readonly<Record<string, RegExp>> = {
  "lies about fork": /^ *not ok 1 probe\.fork # ERROR .*not implemented$/m,
  "lies about fail_nth": /^ *not ok 1 probe\.fail_nth$/m,
  "lies about setrlimit": /^ *not ok 1 probe\.setrlimit$/m,
  "answers every call with 0": /^ *not ok \d+ iommufd_ioas\./m,
  "answers every call with EINVAL":
    /^ *# iommufd\..*: expected .*, got EINVAL/m,
  "corrupts memory": /^ *not ok \d+ iommufd_ioas\./m,
  "corrupts structs": /^ *not ok \d+ iommufd_ioas\./m,
  "leaves something behind": /^ *# iommufd\..*: A page is pinned\.$/m,
};

/** What an adapter may do. */
const TOLERATED = [
  "writes to standard error",
  "does not end",
  "ends without an answer to bye",
];

function timeMayPass(): void {
  time.pass(Infinity);
}

describe("A hostile adapter", () => {
  before(() => {
    time = new TestTime();
    Deno.addSignalListener("SIGUSR2", timeMayPass);
  });
  after(() => {
    Deno.removeSignalListener("SIGUSR2", timeMayPass);
    time[Symbol.dispose]();
  });

  for (const [kind, sentence] of Object.entries(HOPELESS)) {
    it(`that ${kind} ends the run with one sentence`, async () => {
      const { code, err, report } = await run(kind);
      assertEquals([code, report], [3, ""]);
      assertEquals(err.trimEnd().split("\n").length, 1);
      assertMatch(err, sentence);
    });
  }

  for (const [kind, line] of Object.entries(WRONG)) {
    it(`that ${kind} fails`, async () => {
      const { code, err, report } = await run(kind);
      assertEquals([code, err], [1, ""]);
      assertMatch(report, line);
    });
  }

  for (const kind of TOLERATED) {
    it(`that only ${kind} passes`, async () => {
      const { code, err, report } = await run(kind);
      assertEquals([code, err], [0, ""]);
      assertEquals(report.includes("not ok"), false);
      for (const test of TESTS) {
        assertMatch(
          report,
          new RegExp(`^ *ok \\d+ ${RegExp.escape(test)}$`, "m"),
        );
      }
    });
  }

  it("is left out of no table", () => {
    const tested = [
      ...Object.keys(HOPELESS),
      ...Object.keys(WRONG),
      ...TOLERATED,
    ];
    const there = [...Object.keys(KINDS), ...CLOSING];
    assertEquals(tested.sort(), there.sort());
  });
});
