// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Options } from "../running/options.ts";
import { parseOptions } from "./options.ts";
import { UsageError } from "../lib/usage_error.ts";

/** What no argument asks for. */
const DEFAULTS: Options = {
  action: "run",
  ids: [],
  targets: ["impl:"],
  uapi: "all",
  filters: [],
  suite: "all",
  shard: undefined,
  reports: [{ format: "pretty", path: undefined }],
  timeoutMs: 30_000,
  isolate: "run",
  jobs: 1,
  shuffle: false,
  seed: undefined,
  repeat: undefined,
  untilFail: false,
  failFast: false,
  noSkip: [],
  expectations: undefined,
  link: undefined,
  updateExpectations: false,
  transcripts: ".cache/transcripts",
};

describe("parseOptions()", () => {
  it("runs everything on the model by default", () => {
    assertEquals(parseOptions([]), DEFAULTS);
    assertEquals(parseOptions(["run"]), DEFAULTS);
  });

  it("reads every option, with a space or an equals sign", () => {
    const args = "--target impl:v3 --uapi=v3 --filter a --filter=!b " +
      "--suite kernel --timeout 1500 --isolate fixture --jobs=4 " +
      "--report ktap --report json:a:b.json --target stdio:x --shard 2/5 " +
      "--shuffle --seed=0 --repeat 3 --until-fail --fail-fast " +
      "--no-skip --no-skip=hwpt " +
      "--expectations known.json --update-expectations --transcripts calls";
    assertEquals(parseOptions(args.split(" ")), {
      ...DEFAULTS,
      targets: ["impl:v3", "stdio:x"],
      uapi: "v3",
      filters: ["a", "!b"],
      suite: "kernel",
      shard: { index: 2, count: 5 },
      reports: [
        { format: "ktap", path: undefined },
        { format: "json", path: "a:b.json" },
      ],
      timeoutMs: 1500,
      isolate: "fixture",
      jobs: 4,
      shuffle: true,
      seed: 0,
      repeat: 3,
      untilFail: true,
      failFast: true,
      noSkip: ["", "hwpt"],
      expectations: "known.json",
      updateExpectations: true,
      transcripts: "calls",
    });
  });

  it("shuffles when a seed is given, and stops early until something fails", () => {
    assertEquals(parseOptions(["--seed", "7"]).shuffle, true);
    assertEquals(parseOptions(["--until-fail"]).failFast, true);
  });

  it("saves no transcripts if that is asked for", () => {
    assertEquals(parseOptions(["--no-transcripts"]).transcripts, undefined);
  });

  it("takes ids behind explain, and options among them", () => {
    const options = parseOptions(["explain", "a.b", "--uapi", "v3", "c.*"]);
    assertEquals(options, {
      ...DEFAULTS,
      action: "explain",
      ids: ["a.b", "c.*"],
      uapi: "v3",
    });
  });

  it("keeps a revision's name as text", () => {
    assertEquals(parseOptions(["--uapi", "6.10"]).uapi, "6.10");
  });

  it("shows annotations beside the report on standard output", () => {
    assertEquals(parseOptions(["--report", "github"]).reports, [
      { format: "pretty", path: undefined },
      { format: "github", path: undefined },
    ]);
  });

  it("shows the pretty report beside reports that go to files", () => {
    assertEquals(parseOptions(["--report", "json:x"]).reports, [
      { format: "pretty", path: undefined },
      { format: "json", path: "x" },
    ]);
  });

  for (
    const [args, action] of [
      [["--list"], "list"],
      [["list"], "list"],
      [["list", "--filter", "a"], "list"],
      [["--help"], "help"],
      [["-h"], "help"],
      [["--version"], "version"],
      [["--list", "--help"], "help"],
    ] as const
  ) {
    it(`${args.join(" ")} means ${action}`, () => {
      assertEquals(parseOptions(args).action, action);
    });
  }

  const mistakes: [args: string[], message: string][] = [
    [["--filtre", "x"], `Unknown option "--filtre". Did you mean "--filter"?`],
    [["--uapis=v3"], `Unknown option "--uapis". Did you mean "--uapi"?`],
    [["-x"], `Unknown option "-x".`],
    [["--zzzzzzzzz"], `Unknown option "--zzzzzzzzz".`],
    [
      ["area"],
      `Unexpected argument "area": to select tests, use --filter "area".`,
    ],
    [["--", "area"], `Unexpected argument "area": to select tests`],
    [["--filter"], "--filter needs a value."],
    [["--target="], "--target needs a value."],
    [["--report", "json:"], "--report json: needs a value."],
    [["--report", "jason"], `Unknown report "jason": it must be pretty, ktap,`],
    [["--report", "jason"], `Did you mean "json"?`],
    [["--suite", "kernal"], `Did you mean "kernel"?`],
    [["--timeout", "soon"], `Cannot parse --timeout "soon"`],
    [["--timeout", "0"], `Cannot parse --timeout "0"`],
    [["--timeout", "1e12"], `Cannot parse --timeout "1e12"`],
    [["exlpain", "a"], `Did you mean "explain"?`],
    [
      ["explain"],
      "explain needs the id of a test, the code of a rule or the name of an ioctl.",
    ],
    [["explain", "--filtre"], `Unknown option "--filtre".`],
    [["--target", "a:", "--target", "a:"], `--target "a:" is there twice.`],
    [["--shard", "3/2"], `Cannot parse --shard "3/2": it must be I/N with I`],
    [["--shard", "0/2"], `Cannot parse --shard "0/2"`],
    [["--shard", "2"], `Cannot parse --shard "2"`],
    [["--seed", "x"], `Cannot parse --seed "x": it must be a number from 0`],
    [["--seed", "1e3"], `Cannot parse --seed "1e3"`],
    [
      ["--repeat", "0"],
      `Cannot parse --repeat "0": it must be a number from 1`,
    ],
    [["--update-expectations"], "needs the file: --expectations FILE."],
    [["--expectations="], "--expectations needs a value."],
    [["--link", "x"], "--link goes with --update-expectations."],
    [
      ["--report", "json", "--report", "ktap"],
      "Only one report can go to standard output",
    ],
  ];
  for (const [args, message] of mistakes) {
    it(`refuses ${args.join(" ")}: ${message}`, () => {
      assertThrows(() => parseOptions(args), UsageError, message);
    });
  }
});
