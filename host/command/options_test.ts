// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { UsageError } from "../../conformance/lib/usage_error.ts";
import { NEWEST, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import { HELP } from "./help.ts";
import { type Options, parseOptions } from "./options.ts";

/** What `./x` alone asks for. */
const DEFAULTS: Options = {
  action: "run",
  program: "./x",
  args: [],
  uapi: NEWEST,
  devices: [],
  container: "type1",
  pollMs: undefined,
  trapsStores: false,
  uid: undefined,
  memlock: undefined,
  log: undefined,
  transcript: undefined,
  audit: false,
  inspect: false,
  failNth: 0,
  timeoutMs: 30_000,
};

function parse(line: string): Options {
  return parseOptions(line.split(" "));
}

describe("parseOptions() of run", () => {
  it("runs a program with its arguments", () => {
    assertEquals(parse("./x"), DEFAULTS);
    assertEquals(parse("./x a --log -- b").args, ["a", "--log", "--", "b"]);
  });

  it("reads every option, with a space or an equals sign", () => {
    const line =
      "--uapi 6.12 --container iommufd --uid=65534 --memlock 64K --log=l.txt " +
      "--transcript t.txt --audit --inspect --fail-nth 7 ./x --audit";
    assertEquals(parse(line), {
      ...DEFAULTS,
      args: ["--audit"],
      uapi: "6.12",
      container: "iommufd",
      uid: 65534,
      memlock: 65536n,
      log: "l.txt",
      transcript: "t.txt",
      audit: true,
      inspect: true,
      failNth: 7,
    });
  });

  it("logs to standard error where no file stands behind an equals sign", () => {
    assertEquals(parse("--log ./x"), { ...DEFAULTS, log: "" });
  });

  it("sweeps with a time limit", () => {
    const { action, timeoutMs } = parse("--sweep --timeout 500 ./x");
    assertEquals([action, timeoutMs], ["sweep", 500]);
  });

  it("believes in root", () => {
    assertEquals(parse("--as-root ./x").uid, 0);
  });

  it("takes as many devices as there are", () => {
    const { devices } = parse("--device dma --device=igb,group=1 ./x");
    assertEquals(devices.map(({ kind, group }) => [kind, group]), [
      ["dma", undefined],
      ["igb", "1"],
    ]);
  });

  it("takes the program behind --, whatever its name", () => {
    assertEquals(parse("--log -- --x y").program, "--x");
    assertEquals(parse("-- -- --x").program, "--x");
  });

  it("takes options behind a -- that stands first, as tasks are called", () => {
    assertEquals(parse("-- --audit ./x"), { ...DEFAULTS, audit: true });
    assertEquals(parse("-- ./x -- y").args, ["--", "y"]);
  });

  it("helps without a program", () => {
    assertEquals(parse("--help").action, "help");
    assertEquals(parse("-h ./x").action, "help");
  });

  for (
    const [text, bytes] of [
      ["0", 0n],
      ["4096", 4096n],
      ["8M", 8n << 20n],
      ["2G", 2n << 30n],
      ["unlimited", 2n ** 64n - 1n],
    ] as const
  ) {
    it(`takes --memlock ${text}`, () => {
      assertEquals(parse(`--memlock ${text} ./x`).memlock, bytes);
    });
  }

  const mistakes: [line: string, message: string][] = [
    ["--log", "There is no program to run"],
    ["--", "There is no program to run"],
    ["--logg ./x", `Unknown option "--logg". Did you mean "--log"?`],
    ["--logg ./x", "Options of the program stand behind it."],
    ["--tarnscript=t ./x", `Did you mean "--transcript"?`],
    ["-x ./x", `Unknown option "-x".`],
    ["--uapi", "--uapi needs a value."],
    ["--uapi= ./x", "--uapi needs a value."],
    ["--log= ./x", "--log needs a value."],
    ["--audit=yes ./x", "--audit has no value."],
    ["--audit --audit ./x", "--audit is there twice."],
    ["--uapi old ./x", `"old": it must be ${REVISION_NAMES.join(", ")}.`],
    [`--uapi ${NEWEST}x ./x`, `Did you mean "${NEWEST}"?`],
    ["--device ibg ./x", `Unknown device "ibg": it must be dma,`],
    ["--container type2 ./x", `"type2": it must be type1 or iommufd.`],
    ["--container type2 ./x", `Did you mean "type1"?`],
    ["--poll 101 ./x", `Cannot parse --poll "101"`],
    ["--uid -1 ./x", `Cannot parse --uid "-1"`],
    ["--uid 4294967295 ./x", `Cannot parse --uid "4294967295"`],
    ["--as-root --uid 1 ./x", "--as-root and --uid cannot be together."],
    ["--memlock 8X ./x", `Cannot parse --memlock "8X"`],
    ["--memlock 18446744073709551615 ./x", "Cannot parse --memlock"],
    ["--fail-nth 0 ./x", `Cannot parse --fail-nth "0": it must be a number`],
    ["--sweep --fail-nth 1 ./x", "--sweep and --fail-nth cannot be together."],
    ["--sweep --log ./x", "--sweep and --log cannot be together."],
    ["--timeout 5 ./x", "--timeout is for --sweep"],
    ["--sweep --timeout 0 ./x", `Cannot parse --timeout "0"`],
  ];
  for (const [line, message] of mistakes) {
    it(`refuses ${line}: ${message}`, () => {
      assertThrows(() => parse(line), UsageError, message);
    });
  }
});

describe("--help of run", () => {
  it("names every option", () => {
    const options = [
      "uapi",
      "device",
      "container",
      "poll",
      "trap",
      "as-root",
      "uid",
      "memlock",
      "log",
      "transcript",
      "inspect",
      "audit",
      "fail-nth",
      "sweep",
      "timeout",
      "help",
    ];
    for (const name of options) assertStringIncludes(HELP, `  --${name}`);
    assertEquals(HELP.match(/^ {2}--/gm)!.length, options.length);
  });

  it("fits a terminal", () => {
    assertEquals(HELP.split("\n").filter((line) => line.length > 80), []);
  });
});
