// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_fail_nth`: sweeps through what the kernel's own program leaves
 * out: copies across areas, charged memory, accesses under unmap, the VFIO
 * container, nested HWPTs, dirty tracking, page faults. The kernel's sequences
 * are here too where it did not have them yet.
 *
 * @module
 */

import { EFAULT, ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  IommuFaultAlloc,
  IOMMUFD_PAGE_RESP_SUCCESS,
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  TestTriggerIopf,
} from "../../impl/uapi/selftest.ts";
import {
  CAP_IPC_LOCK,
  MAP_HUGETLB,
  MAP_POPULATE,
  MAP_SHARED,
  POLLIN,
} from "../../impl/uapi/mman.ts";
import { VFIO_TYPE1_IOMMU } from "../../impl/uapi/vfio.ts";
import {
  registerSweeps,
  type Round,
  type Sequence,
  setUpSweep,
  type SweepSelf,
} from "../harness/fail_nth_sweep.ts";
import {
  assertBytes,
  assertEq,
  assertOk,
  assertTrue,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  getDirtyBitmap,
  hwptAlloc,
  hwptInvalidate,
  markDirty,
  nestedAlloc,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import { SEQUENCES as KERNEL_SEQUENCES } from "../iommufd/iommufd_fail_nth.ts";
import { PASID_SEQUENCES } from "../kit_pasid/pasid_sweeps.ts";
import { VIOMMU_SEQUENCES } from "../kit_viommu/viommu_sweeps.ts";
import { HWPT_SEQUENCES } from "./hwpt_sweeps.ts";
import { mapDma, setIommu, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";

/** Where most memory is mapped. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitFailNth(registry: Test[]): void {
  const f: Fixture<undefined, SweepSelf> = fixture(registry, "kit_fail_nth", {
    upstream: false,
    needs: () => ["fail_nth"],
    setup: setUpSweep,
  });
  registerCount(f);
  // The kernel's sequences where they are no tests of the kernel yet.
  registerSweeps(f, KERNEL_SEQUENCES, { until: "6.2" });
  registerSweeps(f, SEQUENCES);
}

/** Which step fails. */
function registerCount(f: Fixture<undefined, SweepSelf>): void {
  f.table("count", {
    description: "The nth step fails, and none before or after it",
    reference: "lib/fault-inject.c should_fail_ex",
    rules: ["U3.4"],
    prepare: async ({ base }) => await base.reopen(),
  }, (t) => {
    for (let nth = 1; nth <= 5; nth++) {
      t.case(`n ${nth}`, async (io) => {
        const { process } = io;
        assertEq(await process.setFailNth(nth), 0, "fail-nth");
        for (let call = 1; call <= nth + 2; call++) {
          // The copy of the struct is its only step.
          await io.destroy(999, call === nth ? EFAULT : ENOENT);
          const left = Math.max(nth - call, 0);
          assertEq(await process.failNthLeft(), left, "steps left");
        }
        assertEq(await process.setFailNth(0), 0, "fail-nth");
      });
    }
  });
}

/** The sequences that the kernel does not have. */
export const SEQUENCES: readonly Sequence[] = [
  {
    name: "copy",
    what: "a copy across areas into a domain",
    points: { v3: 37, "6.12": 37, "7.3": 31 },
    reference: "io_pagetable.c: iopt_get_pages, iopt_fill_domains_pages",
    rules: ["U4.1"],
    run: callCopy,
  },
  {
    name: "scattered",
    what: "mapping scattered memory in many small batches",
    points: { v3: 59, "6.12": 113 },
    reference: "pages.c: iopt_area_fill_domains, batch_to_domain",
    rules: ["U4.1"],
    run: callScattered,
  },
  {
    name: "huge_pages",
    what: "mapping with IO pages of two sizes",
    points: { "6.12": 72, "7.3": 74 },
    reference: "iommu.c: __iommu_map",
    rules: ["U4.1"],
    needs: ["hugetlb"],
    run: callHugePages,
  },
  {
    name: "charged",
    what: "mapping charged memory",
    points: { v3: 34, "6.12": 66, "7.3": 79 },
    reference: "pages.c: pfn_reader_user_update_pinned",
    rules: ["U4.1"],
    needs: ["setrlimit"],
    run: callCharged,
  },
  {
    name: "unmap_pinned",
    what: "unmapping what accesses have pinned",
    points: { v3: 17, "6.12": 17 },
    reference: "io_pagetable.c: iopt_unmap_iova_range",
    rules: ["U4.1"],
    run: callUnmapPinned,
  },
  {
    name: "vfio",
    what: "the VFIO container, cuts included",
    points: { v3: 39, "6.12": 71, "7.3": 80 },
    reference: "vfio_compat.c: iommufd_vfio_unmap_dma",
    rules: ["U4.1"],
    run: callVfio,
  },
  {
    name: "access_replace",
    what: "moving an access to another IOAS",
    points: { "6.12": 18 },
    reference: "device.c: iommufd_access_change_ioas",
    rules: ["U4.1"],
    run: callAccessReplace,
  },
  {
    name: "nested",
    what: "nested HWPTs and their invalidation",
    points: { "6.12": 49, "7.3": 41 },
    reference: "hw_pagetable.c: iommufd_hwpt_nested_alloc",
    rules: ["U4.2"],
    needs: ["hwpt"],
    run: callNested,
  },
  {
    name: "dirty",
    what: "dirty tracking",
    points: { "6.12": 26, "7.3": 22 },
    reference: "hw_pagetable.c: iommufd_hwpt_get_dirty_bitmap",
    rules: ["U4.2"],
    needs: ["hwpt", "dirty"],
    run: callDirty,
  },
  {
    name: "faults",
    what: "page faults, from queue to answer",
    points: { "6.12": 38 },
    reference: "fault.c, io-pgfault.c",
    rules: ["U4.2"],
    needs: ["hwpt", "faults"],
    run: callFaults,
  },
  ...HWPT_SEQUENCES,
  ...PASID_SEQUENCES,
  ...VIOMMU_SEQUENCES,
];

/** Two adjacent areas, copied in one piece into an IOAS with two domains. */
async function callCopy(round: Round): Promise<void> {
  const io = await round.open();
  const length = 4n * io.page;
  const src = await io.ioasAlloc();
  const dst = await io.ioasAlloc();
  await io.mock.domain(dst);
  await io.mapFixed(src, round.buffer, length, IOVA);
  await io.mapFixed(
    src,
    BigInt(round.buffer) + 8n * io.page,
    length,
    IOVA + length,
  );
  await round.enable();
  const copied = await round.step(() =>
    io.copy({ src, dst, srcIova: IOVA, length: 2n * length })
  );
  // The pages are pinned already when the second area is mapped once more.
  await round.step(() =>
    io.copy({ src: dst, dst, srcIova: copied + length, length })
  );
  await round.stepOnce(() => io.unmap(dst, copied, 2n * length), ENOENT);
}

/** Pages that do not follow each other in memory, two of them to a batch. */
async function callScattered(round: Round): Promise<void> {
  const io = await round.open();
  const { pageSize } = io.context;
  const size = 10 * pageSize;
  const buf = await io.mmap(size, MAP_SHARED);
  // Touched from the end on, no page lies behind its neighbour.
  for (let at = size - pageSize; at >= 0; at -= pageSize) {
    await io.process.poke(buf + at, Uint8Array.of(1));
  }
  const ioasId = await io.ioasAlloc();
  await io.mapFixed(ioasId, buf, size, IOVA);
  await io.mock.setMemoryLimit(24);
  await round.enable();
  await round.device(() => io.mock.domain(ioasId));
  await round.device(() => io.mock.domain(ioasId));
  const iova = await round.step(() => io.map(ioasId, buf, size));
  await round.stepOnce(() => io.unmap(ioasId, iova, size), ENOENT);
  // A map that was repeated because its answer failed is there twice.
  await round.step(() => io.unmap(ioasId, 0n, U64_MAX));
  await round.step(() => io.mock.checkRefs(buf, size, 0));
  await round.step(() => io.mock.setMemoryLimit());
  await io.munmap(buf, size);
}

/** Half a large IO page, then a whole one: of devices that have both, the driver is called for each size. */
async function callHugePages(round: Round): Promise<void> {
  const io = await round.open();
  const { hugePageSize } = io.context;
  const flags = MAP_SHARED | MAP_HUGETLB | MAP_POPULATE;
  const buf = await io.mmap(hugePageSize, flags);
  const ioasId = await io.ioasAlloc();
  const huge = MOCK_FLAGS_DEVICE_HUGE_IOVA & io.revision.mock.deviceFlags;
  await round.enable();
  await round.device(() => io.mock.domainFlags(ioasId, huge));
  const skip = hugePageSize / 4;
  const length = hugePageSize - skip;
  const iova = IOVA + BigInt(skip);
  await round.stepOnce(
    () => io.mapFixed(ioasId, buf + skip, length, iova),
    io.revision.ioas.areaExistsErrno,
  );
  await round.step(() => io.unmap(ioasId, 0n, U64_MAX));
  await io.munmap(buf, hugePageSize);
}

/** Mapping where each page counts against a limit. */
async function callCharged(round: Round): Promise<void> {
  const io = await round.open();
  const dropped = await io.process.dropCapability(CAP_IPC_LOCK);
  assertOk(dropped, "drop CAP_IPC_LOCK");
  const ioasId = await io.ioasAlloc();
  const length = 8n * io.page;
  await io.mapFixed(ioasId, round.buffer, length, IOVA);
  await round.enable();
  await round.device(() => io.mock.domain(ioasId));
  const more = await round.step(() => io.map(ioasId, round.buffer, length));
  await round.stepOnce(() => io.unmap(ioasId, more, length), ENOENT);
}

/** An unmap that accesses must let go for. */
async function callUnmapPinned(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const length = 4n * io.page;
  await io.mapFixed(ioasId, round.buffer, length, IOVA);
  const access = await round.openStep(() => io.mock.createAccess(ioasId, true));
  await round.enable();
  for (const [at, size] of [[IOVA, length], [IOVA + io.page, io.page]]) {
    const uptr = BigInt(round.buffer) + at! - IOVA;
    const range = { iova: at!, length: size!, uptr };
    await round.step(() => io.mock.accessPages(access, range));
  }
  await round.stepOnce(() => io.unmap(ioasId, IOVA, length), ENOENT);
  await round.close(access);
}

/** Type1 version 1: a hole in the middle of a map. */
async function callVfio(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  await round.enable();
  await round.step(() => vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId));
  await round.step(() => setIommu(io, VFIO_TYPE1_IOMMU));
  await round.device(() => io.mock.domain(ioasId));
  const got = await round.step(() => vfioIoas(io, IOMMU_VFIO_IOAS_GET));
  assertEq(got, ioasId, "the IOAS of the container");
  const length = 6n * io.page;
  await round.step(() =>
    mapDma(io, { vaddr: BigInt(round.buffer), iova: IOVA, length })
  );
  const iova = IOVA + 2n * io.page;
  await round.stepOnce(
    () => unmapDma(io, { iova, length: 2n * io.page }),
    ENOENT,
  );
  await round.stepOnce(() => unmapDma(io, { iova: IOVA, length }), ENOENT);
}

/** An access with pins that moves. */
async function callAccessReplace(round: Round): Promise<void> {
  const io = await round.open();
  const ioases = [await io.ioasAlloc(), await io.ioasAlloc()] as const;
  for (const id of ioases) await io.mapFixed(id, round.buffer, io.page, IOVA);
  const access = await round.openStep(() =>
    io.mock.createAccess(ioases[0], true)
  );
  await round.enable();
  const range = { iova: IOVA, length: io.page, uptr: round.buffer };
  await round.step(() => io.mock.accessPages(access, range));
  await round.step(() => io.mock.accessReplaceIoas(access, ioases[1]));
  await round.step(() => io.mock.accessPages(access, range));
  await round.close(access);
}

/** A nested HWPT: allocated, invalidated, attached, left again. */
async function callNested(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  await io.mapFixed(ioasId, round.buffer, io.page, IOVA);
  const { idevId: devId, stdevId } = await io.mock.domain(ioasId);
  await round.enable();
  const parent = await round.step(() =>
    hwptAlloc(io, {
      devId,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
    })
  );
  const nested = await round.step(() => nestedAlloc(io, devId, parent));
  const requests = [{ iotlbId: 1 }, { flags: IOMMU_TEST_INVALIDATE_FLAG_ALL }];
  await round.step(() => hwptInvalidate(io, nested, requests, 2));
  await round.step(() => io.mock.replaceDomain(stdevId, nested));
  await round.step(() => io.mock.replaceDomain(stdevId, ioasId));
  await round.step(() => io.destroy(nested));
  await round.step(() => io.destroy(parent));
}

/** Dirty tracking: on, writes, the bitmap, off. */
async function callDirty(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const length = 8n * io.page;
  // From the middle of a page on, so that each IO page has an entry.
  const memory = BigInt(round.buffer) + io.mockPage;
  await io.mapFixed(ioasId, memory, length, IOVA);
  const { idevId: devId } = await io.mock.domain(ioasId);
  await round.enable();
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const hwptId = await round.step(() =>
    hwptAlloc(io, { devId, ptId: ioasId, flags })
  );
  await round.step(() => setDirtyTracking(io, hwptId, true));
  const address = io.scratch;
  const bitmap = { hwptId, iova: IOVA, length, pageSize: io.mockPage, address };
  const written = Uint8Array.of(0b101, 0x80);
  await io.process.poke(address, written);
  await round.step(() => markDirty(io, bitmap));
  await io.process.poke(address, new Uint8Array(written.length));
  await round.step(() => getDirtyBitmap(io, bitmap));
  const read = await io.process.peek(address, written.length);
  assertBytes(read, written, "the pages that were written");
  await round.step(() => setDirtyTracking(io, hwptId, false));
}

/** Page faults: a queue, a device that faults, its faults read and answered. */
async function callFaults(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const { idevId: devId, stdevId } = await io.mock.domain(ioasId);
  const ptId = await hwptAlloc(io, {
    devId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  await round.enable();
  let faultId = 0;
  const queue = await round.openStep(async () => {
    const reply = await io.call(IommuFaultAlloc, IOMMU_FAULT_QUEUE_ALLOC, {});
    faultId = reply.outFaultId;
    return reply.outFaultFd;
  });
  const hwptId = await round.step(() =>
    nestedAlloc(io, devId, ptId, {
      flags: IOMMU_HWPT_FAULT_ID_VALID,
      faultId,
    })
  );
  await round.step(() => io.mock.replaceDomain(stdevId, hwptId));
  await fault(round, io, devId, queue);
  const cookie = await round.step(() => readFault(io, queue));
  assertEq(cookie, 1, "the lowest cookie, however often the read failed");
  await round.step(() => answerFault(io, queue, cookie));
  // This one is answered for the test.
  await fault(round, io, devId, queue);
  await round.step(() => io.mock.replaceDomain(stdevId, ioasId));
}

/**
 * Makes the device fault until the fault is in the queue. One that there was no
 * memory for is answered with a failure, which the device alone learns.
 */
async function fault(
  round: Round,
  io: Iommufd,
  devId: number,
  queue: number,
): Promise<void> {
  for (let tries = 0; tries < 2; tries++) {
    await round.step(() =>
      io.mock.call(
        "TRIGGER_IOPF",
        TestTriggerIopf,
        IOMMU_TEST_OP_TRIGGER_IOPF,
        { devId, pasid: 1, grpid: 2, perm: 3, addr: 0xdeadbeafn },
      )
    );
    const events = await io.process.poll(queue, POLLIN);
    if (events & POLLIN) return;
  }
  assertTrue(false, "a fault reaches the queue");
}

/** Reads one fault; returns its cookie. */
async function readFault(io: Iommufd, queue: number): Promise<number> {
  const bytes = new Uint8Array(IommuHwptPgfault.size);
  const got = assertOk(await io.process.read(queue, bytes), "read of a fault");
  assertEq(got, bytes.length, "bytes of a fault");
  return IommuHwptPgfault.at(bytes).cookie;
}

async function answerFault(
  io: Iommufd,
  queue: number,
  cookie: number,
): Promise<void> {
  const code = IOMMUFD_PAGE_RESP_SUCCESS;
  const bytes = IommuHwptPageResponse.encode({ cookie, code });
  const put = assertOk(await io.process.write(queue, bytes), "an answer");
  assertEq(put, bytes.length, "bytes of an answer");
}
