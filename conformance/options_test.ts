// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parseOptions } from "./options.ts";
import { UsageError } from "./usage_error.ts";

describe("parseOptions()", () => {
  it("runs everything on the model by default", () => {
    assertEquals(parseOptions([]), {
      action: "run",
      target: "impl:",
      uapi: "all",
      filters: [],
      suite: "all",
      reports: [{ format: "pretty", path: undefined }],
      timeoutMs: 30_000,
      isolate: "run",
      jobs: 1,
    });
  });

  it("reads every option, with a space or an equals sign", () => {
    const args = "--target impl:v3 --uapi=v3 --filter a --filter=!b " +
      "--suite kernel --timeout 1.5 --isolate fixture --jobs=4 --report ktap --report json:a:b.json";
    assertEquals(parseOptions(args.split(" ")), {
      action: "run",
      target: "impl:v3",
      uapi: "v3",
      filters: ["a", "!b"],
      suite: "kernel",
      reports: [
        { format: "ktap", path: undefined },
        { format: "json", path: "a:b.json" },
      ],
      timeoutMs: 1500,
      isolate: "fixture",
      jobs: 4,
    });
  });

  it("keeps a revision's name as text", () => {
    assertEquals(parseOptions(["--uapi", "6.10"]).uapi, "6.10");
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
    [["--timeout", "1e9"], `Cannot parse --timeout "1e9"`],
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
