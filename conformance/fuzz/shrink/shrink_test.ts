// SPDX-License-Identifier: GPL-2.0-only

/**
 * Faults are planted, and programs that show them made small. The same check
 * catches shrinkers that are wrong: one that goes too far, and one that stops
 * early.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../../impl/uapi/errno.ts";
import {
  IommuIoasAlloc as IoasAlloc,
  IommuIoasMap as IoasMap,
  IommuIoasUnmap as IoasUnmap,
} from "../../../impl/uapi/ioas.ts";
import { MAP_FIXED } from "../../../impl/uapi/mman.ts";
import { Random } from "../../../selftests/harness/random.ts";
import {
  IMPL_CALLS,
  type ImplCalls,
} from "../../../selftests/target/impl_calls.ts";
import type {
  Patch,
  Program,
  Step,
} from "../../../selftests/target/program.ts";
import { type Call, call } from "../../../selftests/target/verbs.ts";
import { Planted } from "../testing/planted.ts";
import { type IsStill, shrink } from "./shrink.ts";
import { without } from "./steps.ts";

/** Something that makes programs smaller. */
type Shrinker = (program: Program, isStill: IsStill) => Promise<Program>;

const MEMORY = 0x10000000;
const PAGE = 4096;

/** A call, whose first argument is what an earlier step gave. */
function on(step: number, call: Call, process = 0): Step {
  return { process, call, patches: [{ arg: 0, from: { step } }] };
}

/** Puts the id of an IOAS that an earlier step made into a struct. */
function ofIoas(step: number, offset: number): Patch {
  const id = { offset: IoasAlloc.fields.outIoasId.offset, bytes: 4 } as const;
  return {
    arg: 2,
    field: { offset, bytes: 4 },
    from: { step, field: id },
  };
}

/** Maps and unmaps a page of the IOAS of step 3, beside much else. */
function noisyProgram(seed: number, process = 0): Program {
  const random = new Random(seed);
  const program: Step[] = [
    { process: 0, call: call("open", "/dev/iommu", 2) },
    {
      process: 0,
      call: call("mmap", MEMORY, 64 * PAGE, 3, 0x21 | MAP_FIXED, -1, 0),
    },
    { process: 0, call: call("fork") },
    on(0, call("ioctl", 0, IoasAlloc.ioctl.number, IoasAlloc.encode())),
  ];
  const noise = () => {
    for (let i = random.below(12); i > 0; i--) {
      const other = call(
        "poke",
        MEMORY + 8 * random.below(99),
        random.bytes(5),
      );
      const poll = on(0, call("poll", 0, 1), random.below(2));
      const alloc = program[3]!;
      program.push(
        [{ process: 0, call: other }, poll, alloc][random.below(3)]!,
      );
    }
  };
  noise();
  const iova = BigInt(PAGE * (1 + random.below(9)));
  const length = BigInt(PAGE * (1 + random.below(9)));
  const userVa = BigInt(MEMORY + PAGE * random.below(9));
  const map = IoasMap.encode({ flags: 7, userVa, length, iova });
  program.push({
    process,
    call: call("ioctl", 0, IoasMap.ioctl.number, map),
    patches: [
      { arg: 0, from: { step: 0 } },
      ofIoas(3, IoasMap.fields.ioasId.offset),
    ],
  });
  noise();
  const unmap = IoasUnmap.encode({ iova, length });
  program.push({
    process,
    call: call("ioctl", 0, IoasUnmap.ioctl.number, unmap),
    patches: [
      { arg: 0, from: { step: 0 } },
      ofIoas(3, IoasUnmap.fields.ioasId.offset),
    ],
  });
  noise();
  return program;
}

/** Ioctls that do something else after they did what is right. */
function ioctlThat(
  wrong: (
    cmd: number,
    struct: Uint8Array,
    result: number,
    pid: number,
  ) => number,
): Partial<ImplCalls> {
  return {
    ioctl: (
      process: Parameters<typeof IMPL_CALLS.ioctl>[0],
      fd: number,
      cmd: number,
      struct: Uint8Array,
    ) => {
      const result = IMPL_CALLS.ioctl(process, fd, cmd, struct);
      return wrong(cmd, struct, result, process.pid);
    },
  };
}

/** Says that a page less was unmapped. */
const SHORT_UNMAP = ioctlThat((cmd, struct, result) => {
  if (cmd === IoasUnmap.ioctl.number && result === 0) {
    IoasUnmap.at(struct).length -= 4096n;
  }
  return result;
});

/** Refuses to map for a process that was forked. */
const NO_MAP_FOR_CHILD = ioctlThat((cmd, _, result, pid) =>
  cmd === IoasMap.ioctl.number && pid > 1 ? -EINVAL.code : result
);

/** Makes a program small, and checks what must hold of what comes of it. */
async function assertMinimal(
  shrinker: Shrinker,
  calls: Partial<ImplCalls>,
  program: Program,
): Promise<Program> {
  const planted = new Planted(calls);
  const cause = planted.causeOf(program);
  assert(cause !== undefined, "it shows nothing in the first place");
  const small = await shrinker(
    program,
    (smaller) => Promise.resolve(planted.causeOf(smaller) === cause),
  );
  assertEquals(planted.causeOf(small), cause, "it went too far");
  for (const i of small.keys()) {
    const smaller = planted.causeOf(without(small, [i]));
    assert(smaller !== cause, `it stopped early: step ${i} is not needed`);
  }
  return small;
}

/** The names of what is called. */
function namesIn(program: Program): string[] {
  return program.map(({ call: { verb } }) => verb.name);
}

describe("shrink()", () => {
  it("leaves no step that is not needed", async () => {
    for (const seed of [1, 2, 3, 4]) {
      const small = await assertMinimal(
        shrink,
        SHORT_UNMAP,
        noisyProgram(seed),
      );
      // Memory is not needed: nobody looks at it before a device is attached.
      assertEquals(namesIn(small), ["open", "ioctl", "ioctl", "ioctl"]);
    }
  });

  it("keeps a process that is needed, and no other", async () => {
    const program = noisyProgram(5, 1);
    const small = await assertMinimal(shrink, NO_MAP_FOR_CHILD, program);
    assert(namesIn(small).includes("fork"));
    const other = await assertMinimal(shrink, SHORT_UNMAP, program);
    assert(!namesIn(other).includes("fork"));
  });

  it("makes values simple: what is usual, and 0", async () => {
    const small = await assertMinimal(shrink, SHORT_UNMAP, noisyProgram(6));
    const [map, unmap] = small.slice(-2).map(({ call }) =>
      call.args[2] as Uint8Array
    );
    const { userVa, length, iova } = IoasMap.at(map!);
    assertEquals({ userVa, length }, { userVa: 0n, length: 4096n });
    assertEquals(IoasUnmap.at(unmap!).iova, iova);
  });

  it("leaves out what the same in another order does not need", async () => {
    const [open, poll, dup] = [
      { process: 0, call: call("open", "/dev/iommu", 2) },
      { process: 0, call: call("poll", 0, 1) },
      { process: 0, call: call("dup", 0) },
    ];
    const small = await shrink([open, poll, dup], (program) => {
      const [first, ...others] = program.map(({ call }) => call.verb.name);
      const names = others.concat(first ?? "");
      const isStill = names.includes("open") && names.includes("dup") &&
        (first === "dup" || names.includes("poll"));
      return Promise.resolve(isStill);
    });
    assertEquals(small.map(({ call }) => call.verb.name), ["dup", "open"]);
  });

  it("leaves out what another file does not need", async () => {
    const option: Step = { process: 0, call: call("dup", 0) };
    const open: Step = { process: 0, call: call("open", "/dev/iommu", 2) };
    const small = await shrink([open, option], (program) => {
      const [path] = program[0]?.call.args ?? [];
      const isOther = path === "/dev/vfio/vfio";
      return Promise.resolve(
        isOther || path === "/dev/iommu" && program.length === 2,
      );
    });
    assertEquals(small.length, 1);
  });

  it("makes bytes simple, however many there are", async () => {
    const bytes = new Random(7).bytes(PAGE);
    const poke: Step = { process: 0, call: call("poke", MEMORY, bytes) };
    const small = await shrink([poke], ([step]) => {
      const now = step?.call.args[1] as Uint8Array | undefined;
      return Promise.resolve(now !== undefined && now[99] === bytes[99]);
    });
    assertEquals(
      small[0]!.call.args[1],
      new Uint8Array(100).with(99, bytes[99]!),
    );
  });

  it("makes a number simple that several places have", async () => {
    const program = [
      { process: 0, call: call("eventfd", 1024, 0) },
      { process: 0, call: call("poll", 1024, 0) },
    ];
    const small = await shrink(program, ([first, second]) => {
      const number = first?.call.args[0];
      const isStill = Number(number) > 0 && number === second?.call.args[0];
      return Promise.resolve(isStill);
    });
    assertEquals(small.map(({ call }) => call.args), [[1, 0], [1, 0]]);
  });

  it("leaves out memory whose bytes an ioctl can come with", async () => {
    const bytes = Uint8Array.from([7, 0, 0, 0, 9]);
    const cmd = 0x3b75;
    const program = [
      { process: 0, call: call("mmap", MEMORY, PAGE, 3, 0x32, -1, 0) },
      { process: 0, call: call("poke", MEMORY + 8, bytes) },
      { process: 0, call: call("ioctlarg", 3, cmd, MEMORY + 8) },
    ];
    const small = await shrink(program, (program) => {
      const last = program.at(-1)?.call;
      const isStill = last?.verb.name === "ioctlarg"
        ? program.length === 3
        : last?.verb.name === "ioctl" && (last.args[2] as Uint8Array)[4] === 9;
      return Promise.resolve(isStill);
    });
    assertEquals(namesIn(small), ["ioctl"]);
  });

  it("makes bytes short that no struct has", async () => {
    const bytes = new Uint8Array(24).fill(1, 0, 3);
    const program = [{ process: 0, call: call("ioctl", 0, 0x3b68, bytes) }];
    const small = await shrink(program, ([step]) => {
      const [, , now] = step?.call.args ?? [];
      return Promise.resolve((now as Uint8Array | undefined)?.[2] === 1);
    });
    assertEquals(small[0]!.call.args[2], Uint8Array.from([0, 0, 1, 0]));
  });

  it("leaves a program as it is that does not show it each time", async () => {
    const program = noisyProgram(7);
    let times = 0;
    const small = await shrink(
      program,
      () => Promise.resolve(++times % 2 === 1),
    );
    assertEquals(small, program);
  });

  it("does not take a program for smaller that shows it only once", async () => {
    const program = noisyProgram(8);
    const seen = new Set<number>();
    const small = await shrink(program, ({ length }) => {
      const isFirst = !seen.has(length);
      seen.add(length);
      return Promise.resolve(length === program.length || isFirst);
    });
    assertEquals(small.length, program.length);
  });

  it("tries no more programs than it may", async () => {
    let tries = 0;
    const isStill = ({ length }: Program) => {
      tries++;
      return Promise.resolve(length > 5);
    };
    await shrink(noisyProgram(9), isStill, { tries: 30 });
    assertEquals(tries, 30);
  });

  it("is told from shrinkers that go too far", async () => {
    const tooFar: Shrinker = async (program, isStill) =>
      without(await shrink(program, isStill), [2]);
    await assertRejects(
      () => assertMinimal(tooFar, SHORT_UNMAP, noisyProgram(1)),
      Error,
      "it went too far",
    );
  });

  it("is told from shrinkers that stop early", async () => {
    const early: Shrinker = (program, isStill) =>
      shrink(program, isStill, { tries: 20 });
    await assertRejects(
      () => assertMinimal(early, SHORT_UNMAP, noisyProgram(1)),
      Error,
      "it stopped early",
    );
  });
});
