// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { REVISION_NAMES } from "../../impl/uapi/revision.ts";
import {
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_READABLE,
  IommuIoasAlloc,
  IommuIoasMap,
} from "../../impl/uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { implTarget } from "./impl_target.ts";
import { MemoryFault } from "./target_failure.ts";
import { TargetProcess } from "./target.ts";
import { call } from "./verbs.ts";

/** One page of private memory. */
function page(process: TargetProcess): Promise<number> {
  return process.mmap(
    0,
    PAGE_SIZE,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
  );
}

/** Opens /dev/iommu and makes an IOAS; returns the descriptor and the id. */
async function ioas(
  process: TargetProcess,
): Promise<{ fd: number; ioasId: number }> {
  const fd = await process.open("/dev/iommu");
  const arg = IommuIoasAlloc.encode();
  assertEquals(await process.ioctl(fd, IOMMU_IOAS_ALLOC, arg), 0);
  return { fd, ioasId: IommuIoasAlloc.decode(arg).outIoasId };
}

for (const uapi of REVISION_NAMES) {
  describe(`implTarget("${uapi}")`, () => {
    it("says what it is", async () => {
      await using target = disposable(await implTarget(uapi));
      assertEquals(target.info.uapi, uapi);
      assertEquals(target.info.pageSize, PAGE_SIZE);
      assertEquals(target.info.capabilities.includes("fork"), true);
    });

    it("makes system calls with structs by value", async () => {
      await using target = disposable(await implTarget(uapi));
      const process = await TargetProcess.spawn(target);
      const { fd, ioasId } = await ioas(process);
      assertEquals([fd, ioasId], [3, 1]);
      assertEquals(await process.close(fd), 0);
      assertEquals(await target.reset(), []);
    });

    it("starts with a fresh kernel after a reset", async () => {
      await using target = disposable(await implTarget(uapi));
      for (let round = 0; round < 2; round++) {
        const process = await TargetProcess.spawn(target);
        const { ioasId } = await ioas(process);
        assertEquals(ioasId, 1);
        // What a process leaves open, its end closes.
        assertEquals(await target.reset(), []);
      }
    });

    it("shares one kernel between processes until the reset", async () => {
      await using target = disposable(await implTarget(uapi));
      const first = await TargetProcess.spawn(target);
      const second = await TargetProcess.spawn(target);
      const [a, b] = [await page(first), await page(second)];
      await first.poke(a, new Uint8Array([1]));
      assertEquals(await second.peek(b, 1), new Uint8Array([0]));
      assertEquals(await target.reset(), []);
    });

    it("makes the calls of a batch in order", async () => {
      await using target = disposable(await implTarget(uapi));
      const process = await TargetProcess.spawn(target);
      const { fd, ioasId } = await ioas(process);
      const addr = await page(process);
      const into = new Uint8Array(2);
      const arg = IommuIoasMap.encode({
        flags: IOMMU_IOAS_MAP_READABLE,
        ioasId,
        userVa: BigInt(addr),
        length: BigInt(PAGE_SIZE),
      });
      const results = await process.batch([
        call("poke", addr, new Uint8Array([7, 8])),
        call("peek", addr, into),
        call("ioctl", fd, IOMMU_IOAS_MAP, arg),
      ]);
      assertEquals(results, [0, 0, 0]);
      assertEquals(into, new Uint8Array([7, 8]));
      assertNotEquals(IommuIoasMap.decode(arg).iova, 0xdeadn);
    });

    it("makes all calls of a batch, those after a fault too", async () => {
      await using target = disposable(await implTarget(uapi));
      const process = await TargetProcess.spawn(target);
      const addr = await page(process);
      const faulting = process.batch([
        call("peek", 0, new Uint8Array(1)),
        call("poke", addr, new Uint8Array([7])),
      ]);
      await assertRejects(() => faulting, MemoryFault);
      assertEquals(await process.peek(addr, 1), new Uint8Array([7]));
    });

    it("forks", async () => {
      await using target = disposable(await implTarget(uapi));
      const parent = await TargetProcess.spawn(target);
      const addr = await page(parent);
      await parent.poke(addr, new Uint8Array([1]));
      const child = await parent.fork();
      await child.poke(addr, new Uint8Array([2]));
      assertEquals(await parent.peek(addr, 1), new Uint8Array([1]));
      await child.exit();
      assertEquals(await target.reset(), []);
    });

    it("rejects, and does not throw, for memory that is not there", async () => {
      await using target = disposable(await implTarget(uapi));
      const process = await TargetProcess.spawn(target);
      const promise = process.peek(0, 1);
      await assertRejects(() => promise, MemoryFault);
    });
  });
}

/** A target that is closed at the end of its block. */
function disposable<T extends { close(): Promise<void> }>(
  target: T,
): T & AsyncDisposable {
  return Object.assign(target, {
    [Symbol.asyncDispose]: () => target.close(),
  });
}
