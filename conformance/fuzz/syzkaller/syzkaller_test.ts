// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Random } from "../../../selftests/harness/random.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { UsageError } from "../../lib/usage_error.ts";
import { generate, PROFILES } from "../generate/generate.ts";
import { formatProgram, parseProgram } from "../program/text.ts";
import { MACHINE, runOnModel } from "../run/on_model.ts";
import { exportSyzkaller } from "./export.ts";
import { importSyzkaller } from "./import.ts";

/** What a program of syzkaller's is here, without its memory. */
function imported(text: string, uapi: "6.12" | "7.3" = "7.3"): string[] {
  const { program, notes } = importSyzkaller(text, uapi);
  assertEquals(notes, []);
  const [memory, ...lines] = formatProgram(program, uapi).trim().split("\n");
  assertStringIncludes(memory!, "mmap(0x200000000000, 0x1000000, ");
  return lines;
}

const SYZ = `
# What a fuzzer writes.
r0 = openat$iommufd(0xffffffffffffff9c, &(0x7f0000000040), 0x0, 0x0)
ioctl$IOMMU_IOAS_ALLOC(r0, 0x3b81, &(0x7f0000000080)={0xc, 0x0, <r1=>0x0})
ioctl$IOMMU_TEST_OP_MOCK_DOMAIN(r0, 0x3ba0, &(0x7f00000000c0)={0x48, 0x2, r1, 0x0, <r2=>0x0, <r3=>0x0, <r4=>0x0})
ioctl$IOMMU_IOAS_MAP$PAGES(r0, 0x3b85, &(0x7f0000000140)={0x28, 0x7, r1, 0x0, &(0x7f0000ffc000/0x1000)=nil, 0x1000, 0x1004000})
ioctl$IOMMU_TEST_OP_MD_CHECK_MAP(r0, 0x3ba0, &(0x7f0000000180)={0x48, 0x3, r3, 0x0, 0x1004000, 0x1000, &(0x7f0000ffc000/0x1000)=nil})
ioctl$IOMMU_IOAS_ALLOW_IOVAS(r0, 0x3b82, &AUTO={0x18, r1, 0x2, 0x0, &AUTO=[{0x1000000, 0x1ffffff}, {0x2000000, 0x2ffffff}]})
ioctl$IOMMU_HWPT_ALLOC$NONE(r0, 0x3b89, &AUTO={0x28, 0x1, r4, r1, <r5=>0x0, 0x0, 0x0, 0x0, &AUTO=''})
ioctl$IOMMU_HWPT_ALLOC$TEST(r0, 0x3b89, &AUTO={0x28, 0x0, r4, r5, <r6=>0x0, 0x0, 0xdead, 0x4, &AUTO={0xbadbeef}}) (fail_nth: 3)
ioctl$IOMMU_DESTROY$hwpt(r0, 0x3b80, &AUTO={0x8, r6})
ioctl$IOMMU_GET_HW_INFO(r0, 0x3b8a, &(0x7f0000000200)={0x28, 0x0, r4, 0x1c, &(0x7f0000000240)=""/28, 0x0, 0x0, 0x0})
ioctl$IOMMU_VFIO_GET_API_VERSION(r0, 0x3b64)
ioctl$IOMMU_IOAS_UNMAP$ALL(r0, 0x3b86, &(0x7f0000000280)={0x18, r1, 0x0, 0xffffffffffffffff})
close(r0)
`;

describe("a program of syzkaller's", () => {
  it("is a program here, with its resources, memory and failing steps", () => {
    assertEquals(imported(SYZ), [
      `$1 = open("/dev/iommu", O_RDONLY)`,
      "$2 = ioctl($1, IOMMU_IOAS_ALLOC, {})",
      "$3 = ioctl($1, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $2.outIoasId})",
      "ioctl($1, IOMMU_IOAS_MAP, {flags: FIXED_IOVA | WRITEABLE | READABLE, ioasId: $2.outIoasId, userVa: 0x200000ffc000, length: 0x1000, iova: 0x1004000})",
      "ioctl($1, IOMMU_TEST_CMD MD_CHECK_MAP, {id: $3.outHwptId, iova: 0x1004000, length: 0x1000, uptr: 0x200000ffc000})",
      `poke(0x200000f00000, x"0000000100000000ffffff01000000000000000200000000ffffff0200000000")`,
      "ioctl($1, IOMMU_IOAS_ALLOW_IOVAS, {ioasId: $2.outIoasId, numIovas: 2, allowedIovas: 0x200000f00000})",
      "$8 = ioctl($1, IOMMU_HWPT_ALLOC, {size: 40, flags: NEST_PARENT, devId: $3.outIdevId, ptId: $2.outIoasId, dataUptr: 0x200000f00020} cut 40)",
      `poke(0x200000f00020, x"efbead0b")`,
      "set_fail_nth(3)",
      "$11 = ioctl($1, IOMMU_HWPT_ALLOC, {size: 40, devId: $3.outIdevId, ptId: $8.outHwptId, dataType: SELFTEST, dataLen: 4, dataUptr: 0x200000f00020} cut 40)",
      "set_fail_nth(0)",
      "ioctl($1, IOMMU_DESTROY, {id: $11.outHwptId})",
      `poke(0x200000000240, x"00*28")`,
      "ioctl($1, IOMMU_GET_HW_INFO, {devId: $3.outIdevId, dataLen: 28, dataUptr: 0x200000000240})",
      "ioctl($1, VFIO_GET_API_VERSION, 0)",
      "ioctl($1, IOMMU_IOAS_UNMAP, {ioasId: $2.outIoasId, length: 0xffffffffffffffff})",
      "close($1)",
    ]);
  });

  it("does on the model what it does on Linux", () => {
    const { program } = importSyzkaller(SYZ, "7.3");
    const { outcomes, problems } = runOnModel(
      new Model("7.3", MACHINE),
      program,
    );
    assertEquals(problems, []);
    const results = outcomes.map((outcome) =>
      outcome.kind === "returned" ? outcome.result : outcome.kind
    );
    assertEquals(results[1], 3);
    assertEquals(results.slice(2, 9).filter((result) => result !== 0), []);
  });

  it("may have structs as bytes, with resources in them", () => {
    assertEquals(
      imported(
        `r0 = openat$iommufd(0xffffffffffffff9c, &(0x7f0000000000)='/dev/iommu\\x00', 0x2, 0x0)
ioctl$IOMMU_IOAS_ALLOC(r0, 0x3b81, &(0x7f0000000000)={0xc, 0x0, <r1=>0x0})
ioctl$IOMMU_DESTROY$ioas(r0, 0x3b80, &(0x7f0000000000)=ANY=[@ANYBLOB="08000000", @ANYRES32=r1])
ioctl(r0, 0x1234, &(0x7f0000000000)="0102"/4)`,
      ),
      [
        `$1 = open("/dev/iommu", O_RDWR)`,
        "$2 = ioctl($1, IOMMU_IOAS_ALLOC, {})",
        "ioctl($1, IOMMU_DESTROY, {id: $2.outIoasId})",
        `ioctl($1, 0x1234, x"01020000")`,
      ],
    );
  });

  it("may have arrays whose elements are as wide as other fields say, and answers in memory", () => {
    const lines = imported(
      `r0 = openat$iommufd(0xffffffffffffff9c, &AUTO='/dev/iommu\\x00', 0x0, 0x0)
ioctl$IOMMU_HWPT_INVALIDATE$TEST(r0, 0x3b8d, &AUTO={0x20, 0x5, &AUTO=[{0x1, 0x2}], 0xdeadbeef, 0x8, 0x1, 0x0})
ioctl$IOMMU_IOAS_IOVA_RANGES(r0, 0x3b84, &AUTO={0x20, 0x1, 0x1, 0x0, &AUTO=[{<r1=>0x0, 0x0}], 0x0})
ioctl$IOMMU_IOAS_UNMAP(r0, 0x3b86, &AUTO={0x18, 0x1, r1, 0x1000})
ioctl$IOMMU_VFIO_IOMMU_GET_INFO(r0, 0x3b70, &AUTO={0x70, 0x0, 0x0, 0x0, {{0x0, 0x0, 0x0}, 0x0}, {{0x0, 0x0, 0x0}, 0x0, 0x0, [{0x0, 0x0}]}})
ioctl$IOMMU_TEST_OP_MD_CHECK_REFS(r0, 0x3ba0, &AUTO={0x48, 0x4, 0x0, 0x0, 0x1000, &(0x7f0000ffc000/0x1000), 0x1})`,
    );
    assertEquals(lines.slice(1), [
      `poke(0x200000f00000, x"0100000002000000")`,
      "ioctl($1, IOMMU_HWPT_INVALIDATE, {hwptId: 5, dataUptr: 0x200000f00000, dataType: SELFTEST, entryLen: 8, entryNum: 1})",
      `poke(0x200000f00008, x"00*16")`,
      "ioctl($1, IOMMU_IOAS_IOVA_RANGES, {ioasId: 1, numIovas: 1, allowedIovas: 0x200000f00008})",
      "$6 = peek(0x200000f00008, 16)",
      "ioctl($1, IOMMU_IOAS_UNMAP, {ioasId: 1, iova: $6@0.8, length: 0x1000})",
      'ioctl($1, VFIO_IOMMU_GET_INFO, {argsz: 112} then x"00*88")',
      "ioctl($1, IOMMU_TEST_CMD MD_CHECK_REFS, {length: 0x1000, uptr: 0x200000ffc000, refs: 1})",
    ]);
  });

  it("may name an area by its number in place of an IOVA", () => {
    const [, , copy] = imported(
      `r0 = openat$iommufd(0xffffffffffffff9c, &(0x7f0000000000), 0x0, 0x0)
ioctl$IOMMU_IOAS_ALLOC(r0, 0x3b81, &(0x7f0000000000)={0xc, 0x0, <r1=>0x0})
ioctl$IOMMU_IOAS_COPY$syz(r0, 0x3b83, &(0x7f0000000000)={0x28, 0x10006, r1, r1, 0x1000, 0x0, 0x2, 0x3000})`,
    );
    assertStringIncludes(copy!, "srcIova: 0x300000000002");
  });

  it("is noted where a call has no counterpart, or a property", () => {
    const { notes } = importSyzkaller(
      "r0 = socket$inet(0x2, 0x1, 0x0)\nclose(0x3) (async)\n",
      "7.3",
    );
    assertEquals(notes, [
      "Line 1: socket$inet has no counterpart.",
      "Line 2: close is not async here.",
    ]);
  });

  it("is refused with its line, if it is none", () => {
    const error = assertThrows(
      () => importSyzkaller("\nclose(r0", "7.3"),
      UsageError,
    );
    assertStringIncludes(error.message, "Line 2, column 9: close needs");
  });
});

/** A program of the generator, and what the model answered. */
function generated(seed: number) {
  const model = new Model("7.3", MACHINE);
  const names = Object.keys(PROFILES);
  const profile = PROFILES[names[seed % names.length]!]!;
  const random = new Random(seed);
  return generate({ model, uapi: "7.3", random, length: 40, profile });
}

describe("a program that is written for syzkaller", () => {
  it("is the same when it is read back, whatever it calls", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { program, outcomes } = generated(seed);
      const text = exportSyzkaller(program, "7.3", outcomes);
      const back = importSyzkaller(text, "7.3");
      assertEquals(
        formatProgram(back.program, "7.3"),
        formatProgram(program, "7.3"),
        text,
      );
      assertEquals(back.notes, []);
    }
  });

  const PLAIN = `$0 = open("/dev/iommu", O_RDWR)
$1 = ioctl($0, IOMMU_IOAS_ALLOC, {})
mmap(0x10000000, 0x4000, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | MAP_PRIVATE, -1, 0)
$3 = ioctl($0, IOMMU_TEST_CMD MOCK_DOMAIN, {id: $1.outIoasId})
poke(0x10000000, x"0102")
ioctl($0, IOMMU_IOAS_MAP, {flags: READABLE, ioasId: $1.outIoasId, userVa: 0x10000000, length: 0x1000})
set_fail_nth(2)
ioctl($0, IOMMU_DESTROY, {id: $3.outStdevId})
set_fail_nth(0)
close($0)
`;

  it("has all that syzkaller describes as its own calls", () => {
    const text = exportSyzkaller(parseProgram(PLAIN, "7.3"), "7.3");
    assertEquals(
      text,
      `#@ 0x10000000 0x4000 at 0x7f0000000000
r0 = openat$iommufd(0xffffffffffffff9c, &(0x7f0000ffe000)="2f6465762f696f6d6d7500", 0x2, 0x0)
ioctl$IOMMU_IOAS_ALLOC(r0, 0x3b81, &(0x7f0000ffe000)={0xc, 0x0, <r1=>0x0})
mmap(&(0x7f0000000000/0x4000)=nil, 0x4000, 0x3, 0x32, 0xffffffffffffffff, 0x0)
ioctl$IOMMU_TEST_OP_MOCK_DOMAIN(r0, 0x3ba0, &(0x7f0000ffe000)={0x48, 0x2, r1, 0x0, <r2=>0x0, 0x0, 0x0})
ioctl$IOMMU_IOAS_MAP(r0, 0x3b85, &(0x7f0000ffe000)={0x28, 0x4, r1, 0x0, &(0x7f0000000000)="0102", 0x1000, 0x0})
ioctl$IOMMU_DESTROY$ioas(r0, 0x3b80, &(0x7f0000ffe000)={0x8, r2}) (fail_nth: 2)
close(r0)
`,
    );
    assertEquals(
      formatProgram(importSyzkaller(text, "7.3").program, "7.3"),
      PLAIN,
    );
  });

  it("says what syzkaller has no description of, or cannot say", () => {
    const text = exportSyzkaller(
      parseProgram(
        `fork()
P1: close(3)
$2 = ioctl(3, IOMMU_IOAS_MAP, {})
ioctl(3, IOMMU_IOAS_UNMAP, {iova: $2.iova})
`,
        "7.3",
      ),
      "7.3",
      [0, 0, 0].map(() => ({
        kind: "returned",
        result: 0,
        back: new Uint8Array(40).fill(1),
      })),
    );
    assertEquals(text.split("\n").slice(1), [
      "#- fork()",
      "#- P1: close(3)",
      "ioctl$IOMMU_IOAS_MAP(0x3, 0x3b85, &(0x7f0000ffe000)={0x28, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0})",
      "#= ioctl(3, IOMMU_IOAS_UNMAP, {iova: $2.iova})",
      "ioctl$IOMMU_IOAS_UNMAP(0x3, 0x3b86, &(0x7f0000ffe000)={0x18, 0x0, 0x101010101010101, 0x0})",
      "",
    ]);
    assert(!text.includes("$2 ="));
  });
});
