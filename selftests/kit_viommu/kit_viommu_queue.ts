// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of the fixture `kit_viommu`: hardware queues, and how their memory is
 * kept from being unmapped.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EIO,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  ERANGE,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import {
  MAP_HUGETLB,
  MAP_POPULATE,
  MAP_PRIVATE,
} from "../../impl/uapi/mman.ts";
import { assertEq } from "../harness/harness.ts";
import { addSteps } from "../harness/table.ts";
import { unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";
import {
  hwQueueAlloc,
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IommuHwQueueAlloc,
} from "../ioctls/viommu_ioctls.ts";
import type { ViommuFixture, ViommuSelf } from "./kit_viommu.ts";

/** Where the tests map memory. */
const IOVA = 0x1000000n;

/** Adds the tests. */
export function registerHwQueues(f: ViommuFixture): void {
  registerAlloc(f);
  registerMemory(f);
  registerLocks(f);
  registerLives(f);
}

/** Queue 0 in the first page of what is mapped. */
function firstQueue(
  { io, viommuId }: ViommuSelf,
  iova: bigint = IOVA,
): Promise<number> {
  return hwQueueAlloc(io, viommuId, { index: 0, iova, length: io.page });
}

function registerAlloc(f: ViommuFixture): void {
  f.table("hw_queue_order", {
    description:
      "HW_QUEUE_ALLOC checks its arguments in Linux's order, and then nothing was made",
    rules: ["V3.1"],
    async prepare(self) {
      const { io, ioasId } = self;
      const { page } = io;
      const prot = IOMMU_IOAS_MAP_WRITEABLE;
      await io.mapFixed(ioasId, io.buffer, page, IOVA);
      await io.mapFixed(ioasId, io.buffer, page, 2n * IOVA, undefined, prot);
      return { ...self, next: await io.nextId() };
    },
    async finish(state) {
      assertEq(await firstQueue(state), state.next, "id after failed calls");
    },
  }, (t) => {
    const wrong = {
      flags: 1,
      type: 0,
      length: 0n,
      nestingParentIova: 2n ** 64n - 1n,
      viommuId: 999,
      index: 3,
    };
    const unmapped = 3n * IOVA;
    addSteps<ViommuSelf, Partial<IommuHwQueueAlloc>>(
      t,
      wrong,
      [
        ["a flag", EOPNOTSUPP, () => ({ flags: 0 })],
        ["no type", EOPNOTSUPP, () => ({ type: 1 })],
        ["no length", EINVAL, () => ({ length: 2n })],
        ["a range that wraps", EOVERFLOW, () => ({
          nestingParentIova: 0n,
          length: 2n ** 64n - 1n,
        })],
        ["no vIOMMU", ENOENT, ({ parent }) => ({ viommuId: parent })],
        ["a HWPT as the vIOMMU", ENOENT, ({ viommuId }) => ({ viommuId })],
        ["a type of another driver", EOPNOTSUPP, () => ({
          type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
        })],
        ["pages up to the end of all IOVA", ERANGE, () => ({
          length: 2n ** 64n - 4096n,
        })],
        ["more pages than can be listed", ENOMEM, ({ io }) => ({
          nestingParentIova: unmapped,
          length: io.page,
        })],
        ["a page that is not mapped", ENOENT, () => ({
          nestingParentIova: 2n * IOVA,
        })],
        ["a page that may not be read", EPERM, ({ io }) => ({
          nestingParentIova: IOVA,
          length: io.page + 1n,
        })],
        ["a second page that is not mapped", ENOENT, ({ io }) => ({
          length: io.page,
        })],
        ["a queue that there cannot be", EINVAL, () => ({ index: 1 })],
        ["a queue without the one before", EIO, () => ({ index: 0 })],
      ],
      ({ io }, values, errno) =>
        io.call(IommuHwQueueAlloc, IOMMU_HW_QUEUE_ALLOC, values, errno),
    );
  });

  f.table("hw_queue_range", {
    description: "A queue may begin and end anywhere in its pages",
    rules: ["V3.2"],
    async prepare(self) {
      await self.io.mapFixed(self.ioasId, self.io.buffer, self.io.page, IOVA);
      return self;
    },
    finish: ({ io, ioasId }) => io.unmap(ioasId, IOVA, io.page),
  }, (t) => {
    const ranges: [string, bigint, (page: bigint) => bigint][] = [
      ["one byte", 0n, () => 1n],
      ["the last byte", 4095n, () => 1n],
      ["all but the first byte", 1n, (page) => page - 1n],
      ["some bytes", 0x123n, () => 0x456n],
    ];
    for (const [what, offset, lengthOf] of ranges) {
      t.case(what, async ({ io, ioasId, viommuId }) => {
        const length = lengthOf(io.page);
        const place = { index: 0, iova: IOVA + offset, length };
        const id = await hwQueueAlloc(io, viommuId, place);
        await io.unmap(ioasId, IOVA, io.page, EBUSY);
        await io.destroy(id);
      });
    }
  });
}

function registerMemory(f: ViommuFixture): void {
  f.test("hw_queue_scattered", {
    description: "The pages of a queue must be contiguous in memory: EFAULT",
    rules: ["V3.2"],
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    // The same page twice is never contiguous.
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA + io.page);
    const next = await io.nextId();
    const place = { index: 0, iova: IOVA, length: 2n * io.page };
    await hwQueueAlloc(io, viommuId, place, EFAULT);
    assertEq(await io.unmap(ioasId, IOVA, 2n * io.page), 2n * io.page, "gone");
    assertEq(await io.nextId(), next, "id after the failed call");
  });

  f.test("hw_queue_contiguous", {
    description: "A queue may be as long as its memory is contiguous",
    rules: ["V3.2"],
    needs: () => ["hugetlb"],
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    const { hugePageSize } = io.context;
    const flags = MAP_PRIVATE | MAP_HUGETLB | MAP_POPULATE;
    const memory = await io.mmap(hugePageSize, flags);
    await io.mapFixed(ioasId, memory, hugePageSize, IOVA);
    const place = {
      index: 0,
      iova: IOVA + 1n,
      length: BigInt(hugePageSize) - 2n,
    };
    const id = await hwQueueAlloc(io, viommuId, place);
    await io.unmap(ioasId, IOVA, hugePageSize, EBUSY);
    await io.destroy(id);
    await io.unmap(ioasId, IOVA, hugePageSize);
    await io.munmap(memory, hugePageSize);
  });

  f.test("hw_queue_alignment", {
    description:
      "An IOAS with a queue keeps to CPU pages, and one that does not gets none",
    rules: ["V3.4"],
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    const { page, mockPage } = io;
    await io.mapFixed(ioasId, io.buffer, page, IOVA);
    const id = await firstQueue(self);
    const aligned = await io.iovaRanges(ioasId, 1, io.scratch);
    assertEq(aligned.outIovaAlignment, page, "alignment with the queue");
    const odd = 2n * IOVA + mockPage;
    const half = io.buffer + Number(mockPage);
    await io.mapFixed(ioasId, half, mockPage, odd, EINVAL);
    await io.destroy(id);
    const free = await io.iovaRanges(ioasId, 1, io.scratch);
    assertEq(free.outIovaAlignment, mockPage, "alignment without it");
    await io.mapFixed(ioasId, half, mockPage, odd);
    const place = { index: 0, iova: IOVA, length: page };
    await hwQueueAlloc(io, viommuId, place, EADDRINUSE);
    await io.unmap(ioasId, odd, mockPage);
    await firstQueue(self);
  });
}

function registerLocks(f: ViommuFixture): void {
  f.table("locked", {
    description:
      "An area under a queue cannot be unmapped: EBUSY; what comes before it is gone, the rest stays",
    rules: ["V3.3"],
    async prepare(self) {
      const { io, ioasId } = self;
      const { page } = io;
      for (const i of [0n, 1n, 3n]) {
        await io.mapFixed(ioasId, io.buffer, page, IOVA + i * page);
      }
      await io.mapFixed(ioasId, io.buffer, 2n * page, IOVA + 4n * page);
      return { ...self, queue: await firstQueue(self, IOVA + 4n * page) };
    },
    async finish({ io, ioasId, queue }) {
      const { page } = io;
      await io.unmap(ioasId, IOVA + 4n * page, 2n * page, EBUSY);
      await io.destroy(queue);
      const { page: length } = io;
      const got = await io.unmap(ioasId, IOVA + 4n * page, 2n * length);
      assertEq(got, 2n * length, "bytes unmapped without the queue");
    },
  }, (t) => {
    t.case(
      "the area",
      ({ io, ioasId }) =>
        io.unmap(ioasId, IOVA + 4n * io.page, 2n * io.page, EBUSY),
    );
    t.case(
      "a part of it",
      ({ io, ioasId }) => io.unmap(ioasId, IOVA + 5n * io.page, io.page, EBUSY),
    );
    t.case(
      "a part of it and more",
      ({ io, ioasId }) =>
        io.unmap(ioasId, IOVA + 5n * io.page, 3n * io.page, EBUSY),
    );
    t.case("all that comes before, too", async ({ io, ioasId }) => {
      const { page } = io;
      await io.unmap(ioasId, IOVA, 8n * page, EBUSY);
      // They are free now, and in use again for the next case.
      for (const i of [0n, 1n, 3n]) {
        await io.mapFixed(ioasId, io.buffer, page, IOVA + i * page);
      }
    });
    t.case("everything", async ({ io, ioasId }) => {
      const { page } = io;
      await io.unmap(ioasId, 0n, 2n ** 64n - 1n, EBUSY);
      for (const i of [0n, 1n, 3n]) {
        await io.mapFixed(ioasId, io.buffer, page, IOVA + i * page);
      }
    });
    t.case("by VFIO", async ({ io, ioasId }) => {
      await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      const range = { iova: IOVA + 4n * io.page, length: 2n * io.page };
      await unmapDma(io, range, EBUSY);
    });
    t.case("control: what it does not lie in", async ({ io, ioasId }) => {
      const { page } = io;
      const at = IOVA + 3n * page;
      assertEq(await io.unmap(ioasId, at, page), page, "bytes unmapped");
      await io.mapFixed(ioasId, io.buffer, page, at);
    });
  });

  f.test("locked_twice", {
    description: "Two queues in one page lock it until both are gone",
    rules: ["V3.3"],
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const first = await firstQueue(self);
    const place = { index: 1, iova: IOVA + 64n, length: 64 };
    const second = await hwQueueAlloc(io, viommuId, place);
    await io.destroy(second);
    await io.unmap(ioasId, IOVA, io.page, EBUSY);
    await io.destroy(first);
    assertEq(await io.unmap(ioasId, IOVA, io.page), io.page, "unmapped");
  });

  f.test("locked_copies", {
    description:
      "A locked area can be copied, and the copy is not locked; its memory may go from the process",
    rules: ["V3.3"],
  }, async (self) => {
    const { io, ioasId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await firstQueue(self);
    const other = await io.ioasAlloc();
    const copy = await io.copy({
      dst: other,
      src: ioasId,
      srcIova: IOVA,
      length: io.page,
    });
    assertEq(await io.unmap(other, copy, io.page), io.page, "copy unmapped");
    await io.unmap(ioasId, IOVA, io.page, EBUSY);
  });
}

function registerLives(f: ViommuFixture): void {
  f.test("hw_queue_ids", {
    description:
      "A queue has an id and its access the next; nobody can destroy the access, and both are free after the queue",
    rules: ["V3.4"],
  }, async (self) => {
    const { io, ioasId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const next = await io.nextId();
    const id = await firstQueue(self);
    assertEq(id, next, "id of the queue");
    await io.destroy(id + 1, EBUSY);
    assertEq(await io.nextId(), id + 2, "the next id");
    await io.destroy(id);
    await io.destroy(id, ENOENT);
    await io.destroy(id + 1, ENOENT);
    assertEq(await io.nextId(), id, "the next id after the queue");
  });

  f.test("hw_queue_depends", {
    description:
      "Queue 1 needs queue 0, which cannot go before it; an index is used once",
    rules: ["V3.5"],
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const place = (index: number) => ({ index, iova: IOVA, length: io.page });
    await hwQueueAlloc(io, viommuId, place(1), EIO);
    const first = await hwQueueAlloc(io, viommuId, place(0));
    const second = await hwQueueAlloc(io, viommuId, place(1));
    await hwQueueAlloc(io, viommuId, place(0), EEXIST);
    await hwQueueAlloc(io, viommuId, place(1), EEXIST);
    await io.destroy(first, EBUSY);
    await io.destroy(second);
    await io.destroy(first);
  });

  f.test("hw_queue_index_again", {
    description: "An index is free again when its queue is gone, and no other",
    rules: ["V3.5"],
    knownBug: () => "forgets_index_of_queue",
  }, async (self) => {
    const { io, ioasId, viommuId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const place = (index: number) => ({ index, iova: IOVA, length: io.page });
    const first = await hwQueueAlloc(io, viommuId, place(0));
    const second = await hwQueueAlloc(io, viommuId, place(1));
    await io.destroy(second);
    await hwQueueAlloc(io, viommuId, place(0), EEXIST);
    const again = await hwQueueAlloc(io, viommuId, place(1));
    await io.destroy(again);
    await io.destroy(first);
    await hwQueueAlloc(io, viommuId, place(1), EIO);
    await hwQueueAlloc(io, viommuId, place(0));
    await hwQueueAlloc(io, viommuId, place(1));
    // The teardown closes both.
  });

  f.test("hw_queue_holds", {
    description:
      "A queue holds its virtual IOMMU and keeps the IOAS, not the device",
    rules: ["V3.4"],
  }, async (self) => {
    const { io, ioasId, device, parent, viommuId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    const id = await firstQueue(self);
    await io.destroy(device.stdevId);
    for (const held of [viommuId, parent, ioasId]) {
      await io.destroy(held, EBUSY);
    }
    await io.unmap(ioasId, IOVA, io.page, EBUSY);
    for (const each of [id, viommuId, parent, ioasId]) await io.destroy(each);
  });

  f.test("hw_queue_pins", {
    description: "The memory of a queue is pinned once, with what else pins it",
    rules: ["V3.2"],
  }, async (self) => {
    const { io, ioasId } = self;
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await io.mock.checkRefs(io.buffer, io.page, 1);
    const id = await firstQueue(self);
    await io.mock.checkRefs(io.buffer, io.page, 1);
    await io.destroy(id);
    await io.mock.checkRefs(io.buffer, io.page, 1);
    await io.unmap(ioasId, IOVA, io.page);
    await io.mock.checkRefs(io.buffer, io.page, 0);
  });
}
