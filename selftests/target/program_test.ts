// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EBADF, ENOENT } from "../../impl/uapi/errno.ts";
import { IommuDestroy, IommuIoasAlloc } from "../../impl/uapi/ioas.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_RDWR,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { implTarget, Model } from "./impl_target.ts";
import {
  type Outcome,
  type Program,
  resolve,
  runProgram,
  type Step,
  StepByStep,
} from "./program.ts";
import type { Target } from "./target.ts";
import { ProcessDied } from "./target_failure.ts";
import { call } from "./verbs.ts";

const OPEN: Step = { process: 0, call: call("open", "/dev/iommu", O_RDWR) };
const alloc = (fd: number): Step => ({
  process: 0,
  call: call("ioctl", -1, IommuIoasAlloc.ioctl.number, IommuIoasAlloc.encode()),
  patches: [{ arg: 0, from: { step: fd } }],
});
const destroy = (fd: number, ioas: number, process = 0): Step => ({
  process,
  call: call("ioctl", -1, IommuDestroy.ioctl.number, IommuDestroy.encode()),
  patches: [
    { arg: 0, from: { step: fd } },
    {
      arg: 2,
      field: { offset: IommuDestroy.fields.id.offset, bytes: 4 },
      from: {
        step: ioas,
        field: { offset: IommuIoasAlloc.fields.outIoasId.offset, bytes: 4 },
      },
    },
  ],
});
const MMAP: Step = {
  process: 0,
  call: call(
    "mmap",
    0,
    4096,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
    -1,
    0,
  ),
};
const peek = (mapping: number, plus: bigint, process = 0): Step => ({
  process,
  call: call("peek", 0, new Uint8Array(2)),
  patches: [{ arg: 0, from: { step: mapping, plus } }],
});
const poke = (mapping: number, plus: bigint): Step => ({
  process: 0,
  call: call("poke", 0, new Uint8Array([7, 8])),
  patches: [{ arg: 0, from: { step: mapping, plus } }],
});
const FORK: Step = { process: 0, call: call("fork") };
const EXIT: Step = { process: 0, call: call("exit") };

/** What a program gives, which is the same whole, step by step and call by call. */
async function outcomesOf(program: Program): Promise<Outcome[]> {
  const target = await implTarget("7.3");
  const whole = await runProgram(target, program);
  await target.reset();
  delete target.program;
  assertEquals(await runProgram(target, program), whole);
  const steps = new StepByStep(new Model("7.3"));
  for (const step of program) steps.make(step);
  assertEquals(steps.outcomes, whole);
  return whole;
}

/** The results, or what there was instead. */
async function resultsOf(program: Program): Promise<(number | string)[]> {
  return (await outcomesOf(program)).map((outcome) =>
    outcome.kind === "returned" ? outcome.result : outcome.kind
  );
}

describe("a program of calls", () => {
  it("puts results and fields of earlier steps in their places", async () => {
    const program = [OPEN, alloc(0), destroy(0, 1), destroy(0, 1)];
    assertEquals(await resultsOf(program), [3, 0, 0, -ENOENT.code]);
  });

  it("leaves its own steps as they are", async () => {
    const program = [OPEN, alloc(0), destroy(0, 1)];
    const before = structuredClone(program);
    await outcomesOf(program);
    assertEquals(structuredClone(program), before);
  });

  it("goes on after a call that fails, with the negative errno as its value", async () => {
    const none: Step = { process: 0, call: call("open", "/dev/none", O_RDWR) };
    assertEquals(
      await resultsOf([none, alloc(0), destroy(0, 1)]),
      [-ENOENT.code, -EBADF.code, -EBADF.code],
    );
  });

  it("wraps what is added to a result, as 64 bits do", async () => {
    const none: Step = { process: 0, call: call("close", -1) };
    const after: Step = {
      process: 0,
      call: call("ioctlarg", 0, 0, 0n),
      patches: [{ arg: 2, from: { step: 0, plus: -(2n ** 63n) } }],
    };
    const { args } = resolve(after, await outcomesOf([none]));
    assertEquals(args[2], 2n ** 63n - BigInt(EBADF.code));
  });

  it("adds to an address, and brings back what was read", async () => {
    const program = [MMAP, poke(0, 0x10n), peek(0, 0x11n), peek(0, 0x1000n)];
    const [, poked, peeked, beyond] = await outcomesOf(program);
    assertEquals(poked, {
      kind: "returned",
      result: 0,
      back: new Uint8Array(0),
    });
    assertEquals(peeked, {
      kind: "returned",
      result: 0,
      back: new Uint8Array([8, 0]),
    });
    assertEquals(beyond, { kind: "fault" });
  });

  it("numbers processes in the order of their forks, and knows who is gone", async () => {
    const program = [
      MMAP,
      FORK,
      poke(0, 0n),
      peek(0, 0n, 1),
      EXIT,
      FORK,
      peek(0, 0n, 2),
      peek(0, 0n, 1),
    ];
    const results = await resultsOf(program);
    assertEquals(results.slice(1), [1, 0, 0, 0, "gone", "gone", 0]);
  });

  it("passes descriptors to processes by those numbers", async () => {
    const pass = (to: number): Step => ({
      process: 0,
      call: call("passfd", 3, to),
    });
    assertEquals(
      await resultsOf([FORK, OPEN, pass(1), pass(2)]),
      [1, 3, 3, "gone"],
    );
  });

  it("takes fields of numbers that came back as 8 bytes each", async () => {
    const pipe: Step = { process: 0, call: call("pipe", [-1, -1]) };
    const write: Step = {
      process: 0,
      call: call("write", -1, new Uint8Array([1])),
      patches: [{
        arg: 0,
        from: { step: 0, field: { offset: 8, bytes: 8 } },
      }],
    };
    assertEquals(await resultsOf([pipe, write]), [0, 1]);
  });
});

describe("a program on a target whose process dies", () => {
  it("tells how, from that step on", async () => {
    const model = await implTarget("7.3");
    const target: Target = {
      info: model.info,
      spawn: () => model.spawn(),
      make: (process, calls) =>
        calls[0]!.verb.name === "open"
          ? Promise.reject(new ProcessDied("It died", "SIGSEGV"))
          : model.make(process, calls),
      reset: () => model.reset(),
      close: () => model.close(),
    };
    assertEquals((await runProgram(target, [FORK, OPEN, EXIT])).slice(1), [
      { kind: "died", reason: "SIGSEGV" },
      { kind: "died", reason: "SIGSEGV" },
    ]);
  });
});
