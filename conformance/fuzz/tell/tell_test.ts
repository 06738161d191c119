// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../../impl/uapi/errno.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
} from "../../../selftests/target/impl_calls.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { isThere, output } from "../../linux_vm/programs.ts";
import { parseReplay } from "../../traces/replay_target.ts";
import { compare } from "../compare/compare.ts";
import type { Likeness } from "../machine/likeness.ts";
import { Masks } from "../compare/masks.ts";
import { parseProgram } from "../program/text.ts";
import { MACHINE, runOnModel } from "../run/on_model.ts";
import { isFailure } from "../run/side.ts";
import { TargetSide } from "../run/target_side.ts";
import { cProgramOf } from "./c_program.ts";
import { denoTestOf } from "./test_file.ts";
import { type Finding, tellFinding } from "./finding.ts";
import { machineText } from "./machine.ts";
import { RARE } from "./testing/rare.ts";
import { transcriptOf } from "./transcript.ts";

const NO_COMPILER = !await isThere("gcc") && "there is no compiler";

/** Two IOAS, memory that is mapped, a child. */
const PROGRAM = `
$io = open("/dev/iommu", O_RDWR)
$ioas = ioctl($io, IOMMU_IOAS_ALLOC, {})
$at = mmap(0x10000000000, 0x4000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
poke($at, x"07*16 0102")
ioctl($io, IOMMU_IOAS_MAP, {flags: READABLE | WRITEABLE, ioasId: $ioas.outIoasId, userVa: $at, length: 0x2000})
ioctl($io, IOMMU_IOAS_UNMAP, {ioasId: $ioas.outIoasId, iova: 5, length: 1})
ioctl($io, IOMMU_IOAS_ALLOC, {flags: 1} cut 8)
fork()
P1: close($io)
P1: peek($at + 8, 10)
P1: peek(0x10000, 4)
pipe()
P1: exit()
P1: dup($io)
poll($io, POLLIN)
vm_status()
`;

/** What a program shows of a model in which something is wrong. */
function findingOf(
  text: string,
  wrong: Partial<ImplCalls> = {},
  machine: Likeness = {},
): Finding & { readonly program: Program } {
  const program = parseProgram(text, "7.3");
  const calls = { ...IMPL_CALLS, ...wrong } as ImplCalls;
  const like = { ...MACHINE, ...machine };
  const ours = runOnModel(new Model("7.3", like), program);
  const theirs = runOnModel(new Model("7.3", { ...like, calls }), program);
  const difference = compare(program, ours, theirs, new Masks("7.3"));
  return {
    uapi: "7.3",
    machine,
    program,
    difference: difference ??
      { step: undefined, what: "problems", ours: "", theirs: "", text: "none" },
    ours,
    theirs,
    names: { ours: "model", theirs: "a wrong one" },
    seed: "7.1",
    cause: "dup errno",
    count: 2,
  };
}

/** A model that cannot poll. */
const WRONG: Partial<ImplCalls> = { poll: () => -EINVAL.code };

async function inFile<T>(
  name: string,
  text: string,
  body: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/${name}`;
    await Deno.writeTextFile(path, text);
    return await body(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("a finding that is told", () => {
  const finding = findingOf(PROGRAM, WRONG);
  const text = tellFinding(finding);

  it("says what differs, where, and how it is seen again", () => {
    assertStringIncludes(text, "poll: 1 here, EINVAL there");
    assertStringIncludes(text, "2 programs, first by --seed 7.1.");
    assertMatch(
      text,
      /# The first difference:\npoll\(.* {2}# 1 here; EINVAL there/,
    );
  });

  it("has what each call answered beside it", () => {
    assertStringIncludes(text, "IOMMU_IOAS_ALLOC, {})  # 0, outIoasId 1");
    assertMatch(text, /cut 8\) {2}# EFAULT/);
    assertStringIncludes(text, 'x"07*8 0102"');
    assertStringIncludes(text, "P1: peek(0x10000, 4)  # a fault");
    assertStringIncludes(text, "# no such process");
    assertMatch(text, /pipe\(\) {2}# 0, readfd \d+, writefd \d+/);
  });

  it("is a program's text", () => {
    assertEquals(parseProgram(text, "7.3"), finding.program);
  });

  it("says where the other side answered no more", () => {
    const theirs = {
      outcomes: finding.theirs.outcomes.slice(0, 2),
      problems: [],
    };
    const told = tellFinding({ ...finding, theirs });
    assertMatch(
      told,
      /IOAS_ALLOC.*\n# a wrong one answered no more.\n\$2 = mmap/,
    );
    assertEquals(parseProgram(told, "7.3"), finding.program);
  });

  it("says where the difference is in what was left", () => {
    const other = findingOf(PROGRAM);
    assertStringIncludes(tellFinding(other), "in what was left");
  });
});

/** Whether a test passes, and what it says: on the model, or on a target. */
async function testRuns(
  text: string,
  target?: string,
): Promise<{ passes: boolean; said: string }> {
  return await inFile("finding_test.ts", text, async (path) => {
    const args = ["test", "-A", "-q", "--no-check", path];
    const { success: passes, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      { args, env: target === undefined ? {} : { TARGET: target } },
    ).output();
    return { passes, said: decode(stdout) + decode(stderr) };
  });
}

describe("a finding as a deno test", () => {
  it("passes on what answers so, and fails on what does not", async () => {
    const finding = findingOf(PROGRAM, WRONG);
    const [right, wrong] = await Promise.all([
      testRuns(denoTestOf(finding)),
      testRuns(denoTestOf(finding, "theirs")),
    ]);
    assert(right.passes, right.said);
    assert(!wrong.passes);
    assertStringIncludes(wrong.said, "poll: EINVAL expected, 1 answered");
  });
});

describe("a finding of a machine that few have", () => {
  for (const [need, { machine, program, calls }] of Object.entries(RARE)) {
    const finding = findingOf(program, calls, machine);
    const test = denoTestOf(finding);

    it(`is told so that it is seen on such a machine: ${need}`, async () => {
      const path = import.meta.resolve("./testing/rare.ts");
      const [sound, faulty, usual] = await Promise.all([
        testRuns(test),
        testRuns(test, `module:${path}?need=${need}`),
        testRuns(test, "impl:7.3,container=iommufd,device=none"),
      ]);
      assert(sound.passes, sound.said);
      assert(!faulty.passes);
      assertStringIncludes(faulty.said, "expected");
      assert(!usual.passes);
      assertStringIncludes(usual.said, `lacks what this was found with: `);
      assertStringIncludes(usual.said, need);
    });

    it(`asks for it in C, and in a transcript: ${need}`, () => {
      assertStringIncludes(transcriptOf(finding), `program,${need}\n`);
      const [options] = /--uapi 7.3 (.*) -- /.exec(cProgramOf(finding))!
        .slice(1);
      const expected = need === "type1_container"
        ? "--container type1"
        : "--container iommufd --device dma --device dma";
      assertEquals(options, expected);
    });
  }

  it("keeps what firmware set up, and what the IOMMU says", () => {
    const firmware = new Uint8Array(4096);
    firmware.set([0xba, 0xfe], 18);
    const vtd = { capReg: 5n, ecapReg: 7n };
    assertEquals(
      machineText({ device: "card", firmware, vtd }),
      `{ device: "card", firmware: bytes('x"00*18 bafe 00*4076"'), vtd: { capReg: 5n, ecapReg: 7n } }`,
    );
  });
});

describe("a finding as a transcript", () => {
  it("played back, is a target that answers like the other side", async () => {
    const finding = findingOf(PROGRAM, WRONG);
    await inFile("finding.transcript", transcriptOf(finding), async (path) => {
      const spec = parseReplay(path, `replay:${path}`);
      const side = await TargetSide.open(spec, "7.3", { timeoutMs: 10_000 });
      const ran = await side.run(finding.program);
      assert(!isFailure(ran), JSON.stringify(ran));
      assertEquals(ran, finding.theirs);
      await side.close();
    });
  });

  it("says that no answer came, where none did", () => {
    const finding = findingOf(PROGRAM);
    const theirs = { outcomes: [], problems: [] };
    assertStringIncludes(
      transcriptOf({ ...finding, theirs }),
      "# no reply came",
    );
  });
});

describe("a finding as a program in C", { skip: NO_COMPILER }, () => {
  /** What the program says on the model, and its exit code. */
  async function runs(text: string): Promise<{ code: number; said: string }> {
    return await inFile("finding.c", text, async (path) => {
      const program = path.replace(/\.c$/, "");
      const flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-o", program, path];
      const built = await output("gcc", flags);
      assert(built.success, decode(built.stderr));
      const host = import.meta.resolve("../../../host/command.ts");
      const args = [
        "run",
        "-A",
        "--no-check",
        host,
        "--uapi",
        "7.3",
        "--",
        program,
      ];
      const { code, stdout, stderr } = await output(Deno.execPath(), args);
      return { code, said: decode(stdout) + decode(stderr) };
    });
  }

  it("has the model's answers on the model, also of several processes", async () => {
    const { code, said } = await runs(cProgramOf(findingOf(PROGRAM, WRONG)));
    assertStringIncludes(said, "all 16 answers are as expected");
    assertEquals(code, 0);
  });

  it("says which answers are not as expected, and exits with 1", async () => {
    const finding = findingOf(PROGRAM, WRONG);
    const { code, said } = await runs(cProgramOf(finding, "theirs"));
    assertStringIncludes(said, "step 14, poll: expected EINVAL, got 0x1");
    assertEquals(code, 1);
  });
});
