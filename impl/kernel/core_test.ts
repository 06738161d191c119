// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandRuns, makeFrameList } from "../lib/frame_list.ts";
import {
  CAP_IPC_LOCK,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { ENOMEM } from "../uapi/errno.ts";
import { NEWEST, REVISION_NAMES, REVISIONS } from "../uapi/revision.ts";
import { KernelCore } from "./core.ts";
import { SimulatedMachine } from "./simulated/machine.ts";

describe("KernelCore", () => {
  it("has the revision that it is made with", () => {
    assertStrictEquals(new KernelCore().revision, REVISIONS[NEWEST]);
    assertStrictEquals(
      new KernelCore({ revision: "v3" }).revision,
      REVISIONS["v3"],
    );
    const newest = REVISIONS[NEWEST];
    const ioas = { ...newest.ioas, mapNeedsProt: false };
    const own = { ...newest, ioas };
    assertStrictEquals(new KernelCore({ revision: own }).revision, own);
  });

  it("refuses options that cannot be, and says what can", () => {
    const bad: readonly [object, string][] = [
      [{ memory: 0 }, "0 bytes"],
      [{ memory: -(2 ** 21) }, "multiple of 2097152"],
      [{ memory: 2 ** 21 + 4096 }, "multiple of 2097152"],
      [{ memory: NaN }, "NaN bytes"],
      [{ memory: 2 ** 43 }, "at most 4398046511104"],
      [{ memory: Infinity }, "at most"],
      [{ revision: "6.1" }, `there are ${REVISION_NAMES.join(", ")}`],
      [{ revision: "toString" }, "no revision toString"],
    ];
    for (const [options, part] of bad) {
      assertThrows(() => new KernelCore(options), RangeError, part);
    }
    const kernel = new KernelCore({ memory: 2 ** 21 });
    for (const uid of [-1, 0.5, 2 ** 32 - 1, NaN]) {
      assertThrows(() => kernel.spawn({ uid }), RangeError, "no user id");
    }
    for (const capability of [-1, 41, 0.5]) {
      const capabilities = [capability];
      assertThrows(() => kernel.spawn({ capabilities }), RangeError);
    }
  });

  it("can use all of the least memory but the zero page", () => {
    const { frames } = new SimulatedMachine({ memory: 2 ** 21 });
    const pfns = new Set(Array.from({ length: 511 }, () => frames.alloc()));
    assertEquals(pfns.size, 511);
    assertEquals(assertThrows(() => frames.alloc()), ENOMEM);
  });

  it("allocates no more for itself than the machine has", () => {
    const kernel = new KernelCore({ memory: 2 ** 21 });
    kernel.allocVirtual("selftest.data", 2 ** 21);
    const more = () => kernel.allocVirtual("selftest.data", 2 ** 21 + 1);
    assertEquals(ENOMEM.is(assertThrows(more)), true);
  });

  it("spawns root with all capabilities, others with none, or what is asked", () => {
    const kernel = new KernelCore();
    assertEquals(kernel.spawn().capable(CAP_IPC_LOCK), true);
    assertEquals(kernel.spawn({ uid: 5 }).capable(CAP_IPC_LOCK), false);
    const chosen = kernel.spawn({ uid: 5, capabilities: [CAP_IPC_LOCK] });
    assertEquals(chosen.capable(CAP_IPC_LOCK), true);
    assertEquals([...kernel.processes].map((p) => p.pid), [1, 2, 3]);
  });

  it("shares nothing with another kernel", () => {
    const [one, two] = [new KernelCore(), new KernelCore()];
    one.user(0).lockedVm = 3;
    one.warnings.on(true, "something");
    one.spawn();
    assertEquals(two.audit(), []);
    assertEquals(two.spawn().pid, 1);
  });

  it("finds nothing wrong after a process that left nothing", () => {
    const kernel = new KernelCore();
    const process = kernel.spawn();
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const addr = process.mmap(0, 8192, PROT_READ | PROT_WRITE, flags);
    process.poke(addr, new Uint8Array(8192));
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("names all that is wrong", () => {
    const kernel = new KernelCore();
    const process = kernel.spawn();
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const addr = process.mmap(0, 8192, PROT_READ | PROT_WRITE, flags);
    process.mm.pinUserPages(addr, 2, 0, makeFrameList(2));
    kernel.user(7).lockedVm = -1;
    kernel.warnings.on(true, "the map is torn");
    kernel.spawn();
    process.exit();
    assertEquals(kernel.audit(), [
      "The kernel warned: the map is torn.",
      "Process 2 has not exited.",
      "2 page frames are still pinned.",
      "2 page frames are still in use.",
      "User 7 is still charged -1 pages.",
    ]);
  });

  it("finds the same frames pinned however they are handed out", () => {
    for (const frameOrder of ["ordered", { scattered: 7 }] as const) {
      const kernel = new KernelCore({ frameOrder });
      const process = kernel.spawn();
      const flags = MAP_PRIVATE | MAP_ANONYMOUS;
      const addr = process.mmap(0, 1 << 20, PROT_READ | PROT_WRITE, flags);
      const list = makeFrameList(256);
      process.mm.pinUserPages(addr, 256, 0, list);
      const out = new Int32Array(256);
      assertEquals(expandRuns(list, out, 0), 256);
      const contiguous = out.every((pfn, i) => pfn === out[0]! + i);
      assertEquals(contiguous, frameOrder === "ordered");
      assertEquals(new Set(out).size, 256);
    }
  });
});
