// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { allTests } from "../../selftests/all.ts";
import { assertEq, type Test } from "../../selftests/harness/harness.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { call } from "../../selftests/target/verbs.ts";
import { parseReplay, parseTranscript } from "./replay_target.ts";
import type { TestResult } from "../reports/results.ts";
import { runTest } from "../running/run_one.ts";
import { fakeTest } from "../testing/fake_target.ts";
import { UsageError } from "../lib/usage_error.ts";

/** Puts a text into a file for as long as `use` takes. */
async function withFile<T>(
  text: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, text);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** A test on the recording of another run. */
async function replay(test: Test, transcript: string): Promise<TestResult> {
  return await withFile(transcript, async (path) => {
    const { open, onlyTest } = parseReplay(path, `replay:${path}`);
    assertEquals(onlyTest, test.id);
    const target = await open(NEWEST);
    const result = await runTest(test, target);
    await target.close();
    return result;
  });
}

/** The same test, but that it fails in the end: only then there is a transcript. */
function failingAtLast(test: Test): Test {
  return {
    ...test,
    async run(process, info) {
      await test.run(process, info);
      assertEq("the end", "", "how far it came");
    },
  };
}

/** Tests with every kind of call: batches, children, descriptors, memory, limits, failures. */
const RECORDED = [
  "iommufd.cmd_length",
  "iommufd_ioas.mock_domain.area",
  "iommufd_ioas.mock_domain.fork_gone",
  "iommufd_mock_domain.two_domains_hugepage.user_copy",
  "iommufd_dirty_tracking.domain_dirty64k.get_dirty_bitmap",
  "iommufd_ioas.mock_domain.alloc_hwpt_nested",
  "basic_fail_nth.device",
  "kit_rlimit.user",
];

describe("replay:", () => {
  for (const name of RECORDED) {
    for (
      const test of allTests(NEWEST).filter(({ id }) =>
        id === name || id.startsWith(`${name}.`)
      ).slice(0, 3)
    ) {
      it(`takes ${test.id} through to its end`, async () => {
        const failing = failingAtLast(test);
        const recorded = await runTest(failing, await implTarget(NEWEST));
        assertEquals(recorded.failure?.actual, "the end");
        const again = await replay(failing, recorded.transcript!.text);
        assertEquals(again.message, recorded.message);
        assertEquals(again.failure?.calls, recorded.failure?.calls);
      });
    }
  }

  /** A test that opens and closes, `closes` times, and fails. */
  function closing(closes: number): Test {
    return fakeTest("a.closes", async (process) => {
      const fd = await process.open("/dev/iommu");
      for (let i = 0; i < closes; i++) await process.close(fd);
      assertEq(1, 2, "one");
    });
  }

  async function record(test: Test): Promise<string> {
    const result = await runTest(test, await implTarget(NEWEST));
    return result.transcript!.text;
  }

  it("gives the recorded failure again, and what was left behind", async () => {
    const text = await record(closing(1));
    assertEquals(
      (await replay(closing(1), text)).message,
      "one: expected 2, got 1",
    );
    // The last line is the reply to reset: a problem, as a text in hex.
    const problems = text.replace(/\n$/, " 6c656674\n");
    const { failure } = await replay(closing(1), problems);
    assertEquals(failure?.problems, ["left"]);
  });

  it("says where a test leaves the recording", async () => {
    const result = await replay(closing(1), await record(closing(0)));
    assertEquals(result.status, "error");
    assertStringIncludes(
      result.message!,
      `The target cannot carry out "4 1 close 3": The test leaves the recording at line 11, which has "0 reset"`,
    );
  });

  it("says when the recording has no more calls", async () => {
    const text = await record(closing(1));
    const cut = text.split("\n").slice(0, 10).join("\n") + "\n";
    const result = await replay(closing(1), cut);
    assertStringIncludes(result.message!, "The recording has no more calls");
  });

  it("says where the recording is cut off, in a reply or in a request", async () => {
    const text = await record(closing(1));
    for (const from of ["< 4 ", "> 4 "]) {
      const cut = text.slice(0, text.indexOf(`\n${from}`) + 6);
      const result = await replay(closing(1), cut);
      const line = from.startsWith("<") ? 12 : 11;
      assertStringIncludes(
        result.message!,
        `The recording is cut off in line ${line}`,
      );
    }
  });

  const OTHER_WRITINGS: [name: string, write: (text: string) => string][] = [
    ["lines that end with CR LF", (text) => text.replaceAll("\n", "\r\n")],
    ["a byte order mark", (text) => `\ufeff${text}`],
    [
      "separators, controls and line ends of all kinds in its comments",
      (text) => text.replace("\n# on", "\n# a\u2028b\rc\0d\x1b[31m\n#\n# on"),
    ],
    ["no end of its last line", (text) => text.trimEnd()],
    ["a long comment", (text) => `# ${"long".repeat(1_000_000)}\n${text}`],
  ];
  for (const [name, write] of OTHER_WRITINGS) {
    it(`takes a transcript with ${name}`, async () => {
      const result = await replay(closing(2), write(await record(closing(2))));
      assertEquals(result.message, "one: expected 2, got 1");
    });
  }

  it("takes a message with line ends and controls through a file", async () => {
    const message = "a\u2028b\u2029c\rd\r\ne\nf\x1b[31m\0";
    const test = fakeTest("a.message", async (process) => {
      await process.open("/dev/iommu");
      throw new Error(message);
    });
    const { message: told, transcript } = await runTest(
      test,
      await implTarget(NEWEST),
    );
    const { text } = transcript!;
    // Nothing that an editor or a terminal takes for more than a character.
    assertEquals(/[^\x20-\x7e\n]/.test(text), false);
    assertEquals((await replay(test, text)).message, told);
  });

  it("takes a batch of one call as it was recorded once", async () => {
    const test = fakeTest("a.batch", async (process) => {
      await process.batch([call("poke", 16, new Uint8Array(1))]);
    });
    const text = await record(test);
    assertStringIncludes(text, "> 3 1 poke 16 00\n< 3 fault\n");
    const old = text.replace("1 poke", "1 batch poke")
      .replace("< 3 fault", "< 3 ok fault");
    assertEquals((await replay(test, old)).status, "error");
    assertStringIncludes((await replay(test, old)).message!, "No memory to");
  });

  it("tells the same failure however often it is played back", async () => {
    let { text } = { text: await record(closing(1)) };
    text = text.replace(/^(< 4) .*$/m, "$1 error 626f6f");
    const first = await replay(closing(1), text);
    const again = await replay(closing(1), first.transcript!.text);
    assertEquals(again.message, first.message);
    assertEquals(again.transcript, first.transcript);
  });

  it("tells of a call that was never answered", async () => {
    const text = await record(closing(1));
    const result = await replay(closing(1), text.replace(/^< 4 .*\n/m, ""));
    assertStringIncludes(result.message!, "No reply was recorded to line 11");
  });

  it("repeats the death of a process and what the target could not do", async () => {
    const text = await record(closing(1));
    for (
      const [reply, status] of [["died 626f6f", "crash"], [
        "error 626f6f",
        "error",
      ]]
    ) {
      const broken = text.replace(/^(< 4) .*$/m, `$1 ${reply}`);
      const result = await replay(closing(1), broken);
      assertEquals(result.status, status);
      assertStringIncludes(result.message!, "boo");
    }
  });
});

describe("parseTranscript()", () => {
  const mistakes: [text: string, message: string][] = [
    ["", `Cannot read "x", line 1: no line says "# test ID".`],
    ["nonsense\n", `line 1: it is no line of a transcript.`],
    ["# test a.b\n< 1 ok\n", "line 2: no request is before it."],
    ["# test a.b\n> 1 0 hello 1\n< 1 ok\n", "line 2: it is no greeting of a"],
    ["# test a.b\n> 1 0 hello 1\n", "line 2: it is no greeting of a target"],
    ["# test a.b\n", "line 1: it is no greeting of a target"],
    ["# test a.b\n> x 0 hello 1\n", "line 2: it is no line of a transcript"],
    ["# test a.b\n> 1 0  hello 1\n", "line 2: it is no line of a transcript"],
    ["# test a.b\n> 1 0 h\xe9llo\n", "line 2: it is no line of a transcript"],
    ["\0\0\0\0\n", "line 1: it is no line of a transcript"],
  ];
  for (const [text, message] of mistakes) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assertThrows(() => parseTranscript(text, "x"), UsageError, message);
    });
  }
});

describe("parseReplay()", () => {
  it("refuses a file that is not there", () => {
    assertThrows(
      () => parseReplay("/nowhere/x", "replay:/nowhere/x"),
      UsageError,
      `Cannot read the transcript "/nowhere/x"`,
    );
    assertThrows(
      () => parseReplay("", "replay:"),
      UsageError,
      "replay: needs a transcript",
    );
    assertThrows(
      () => parseReplay("a\0b", "replay:a\0b"),
      UsageError,
      "Cannot read the transcript",
    );
  });

  it("refuses what is no file, whether it has an end or not", async () => {
    const folder = await Deno.makeTempDir();
    const pipe = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    for (const path of [folder, pipe, "/dev/zero"]) {
      assertThrows(
        () => parseReplay(path, `replay:${path}`),
        UsageError,
        `Cannot read the transcript "${path}": It is no file`,
      );
    }
    await Deno.remove(folder, { recursive: true });
  });

  it("reads no more than a transcript can have", async () => {
    await withFile("", async (path) => {
      await Deno.truncate(path, 2 ** 40);
      assertThrows(
        () => parseReplay(path, `replay:${path}`),
        UsageError,
        "It has more than 67108864 bytes",
      );
    });
  });
});
