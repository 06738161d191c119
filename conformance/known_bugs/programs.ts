// SPDX-License-Identifier: GPL-2.0-only

/**
 * A minimal program for each known bug of Linux: a test of what is right, which
 * the model passes and Linux does not.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENXIO,
  EOVERFLOW,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import {
  CAP_IPC_LOCK,
  MADV_DONTNEED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MFD_HUGETLB,
  PROT_READ,
} from "../../impl/uapi/mman.ts";
import {
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_PASID,
} from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  AssertionFailure,
  assertTrue,
  type Fixture,
  fixture,
  type Test,
  type TestOptions,
} from "../../selftests/harness/harness.ts";
import {
  KNOWN_BUGS,
  type KnownBug,
} from "../../selftests/harness/known_bugs.ts";
import {
  changeProcess,
  dmabufGet,
  mapFile,
  memfdMmap,
} from "../../selftests/ioctls/file_ioctls.ts";
import {
  faultQueueAlloc,
  getDirtyBitmap,
  hwptAlloc,
  markDirty,
  nestedAlloc,
  setDirtyTracking,
} from "../../selftests/ioctls/hwpt_ioctls.ts";
import { Iommufd, U64_MAX } from "../../selftests/ioctls/ioctls.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  pasidAttach,
} from "../../selftests/ioctls/pasid_ioctls.ts";
import { triggerVevents } from "../../selftests/ioctls/vevent_ioctls.ts";
import { mapDma, vfioIoas } from "../../selftests/ioctls/vfio_ioctls.ts";
import {
  hwQueueAlloc,
  vdeviceAlloc,
  viommuAlloc,
  viommuInvalidate,
} from "../../selftests/ioctls/viommu_ioctls.ts";

/** The fixture: an open iommufd, and nothing that looks at what is left but the target itself. */
type Programs = Fixture<undefined, Iommufd>;

const IOVA = BigInt(MOCK_APERTURE_START);

/** Bugs that no program can show, and why. */
export const WITHOUT_PROGRAM: Partial<Record<KnownBug, string>> = {
  replace_drops_reserved:
    "the mock devices reserve nothing; a driver of ours that does has a test in impl/iommufd/attach",
  replaces_with_any_domain:
    "every device of the machine is a mock device; a driver of ours has a test in impl/iommu",
  takes_any_device_for_mock: "every device of the machine is a mock device",
  tells_dirty_of_unmapped:
    "the machine has no VFIO device; kit_vfio_type1.v2.dirty_again is it",
  unpins_unused_folios:
    "what is unpinned is what the memory of the array happens to hold",
};

/** The programs, each under the name of its bug: `known_bug.NAME`. */
export function knownBugPrograms(): Test[] {
  const registry: Test[] = [];
  const f: Programs = fixture(registry, "known_bug", {
    upstream: false,
    setup: (context) => Iommufd.open(context),
  });
  registerMemory(f);
  registerFiles(f);
  registerDirty(f);
  registerDevices(f);
  return registry;
}

/** What the bug's row says of its program. */
function about(
  bug: KnownBug,
  needs: ReturnType<NonNullable<TestOptions<undefined>["needs"]>> = [],
): TestOptions<undefined> {
  const { linux, right, ...lifetime } = KNOWN_BUGS[bug];
  return {
    ...lifetime,
    description: right,
    reference: linux,
    rules: [],
    needs: () => needs,
  };
}

/** Memory by address. */
function registerMemory(f: Programs): void {
  f.test(
    "unlocks_dead_owner",
    about("unlocks_dead_owner", ["fork"]),
    async (io) => {
      await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1n);
      await dropLock(io);
      const src = await io.ioasAlloc();
      const dst = await io.ioasAlloc();
      for (const id of [src, dst]) await io.mock.domain(id);
      const child = await io.process.fork();
      const length = 2n * io.page;
      await io.in(child).mapFixed(src, io.buffer, length, IOVA);
      // One of the pages stays pinned, so that the other is unpinned by itself.
      const range = { srcIova: IOVA, dstIova: IOVA, length: io.page };
      await io.copy({ src, dst, ...range });
      await child.exit();
      await io.unmap(src, IOVA, length);
      await io.copy({ src: dst, dst: src, ...range });
    },
  );

  f.test(
    "warns_of_wrapped_length",
    about("warns_of_wrapped_length"),
    async (io) => {
      const ioasId = await io.ioasAlloc();
      // The length is rounded up to 2^64 - 1 and the last byte is on a page of its own.
      await io.mapFixed(ioasId, 2, U64_MAX - io.page, 0n, EOVERFLOW);
    },
  );

  f.test(
    "warns_of_map_without_access",
    about("warns_of_map_without_access", ["vfio"]),
    async (io) => {
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      const vaddr = BigInt(io.buffer);
      const map = { flags: 0, vaddr, iova: IOVA, length: io.page };
      await mapDma(io, map, EINVAL);
    },
  );

  f.test("maps_cut_page", about("maps_cut_page"), async (io) => {
    const src = await io.ioasAlloc();
    const dst = await io.ioasAlloc();
    await io.mock.domain(dst);
    const { buffer, page } = io;
    await io.mapFixed(src, buffer, page - 1n, IOVA);
    await io.mapFixed(src, buffer, 1n, IOVA + page - 1n);
    const range = { srcIova: IOVA, dstIova: IOVA, length: page };
    await io.copy({ src, dst, ...range }, ENXIO);
  });

  f.test(
    "lets_child_write_huge_page",
    about("lets_child_write_huge_page", ["hugetlb", "fork"]),
    async (io) => {
      const size = io.context.hugePageSize;
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      const flags = MAP_PRIVATE | MAP_HUGETLB;
      const memory = await io.mmap(size, flags, PROT_READ);
      await io.map(ioasId, memory, size, undefined, IOMMU_IOAS_MAP_READABLE);
      const child = await io.process.fork();
      await io.in(child).map(ioasId, memory, size, EFAULT);
      await child.exit();
    },
  );

  f.test(
    "unreserves_huge_page_twice",
    // Where there is MAP_FILE, it is seen by that.
    { ...about("unreserves_huge_page_twice", ["hugetlb"]), since: "6.13" },
    async (io) => {
      const size = io.context.hugePageSize;
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      const memory = await io.mmap(size, MAP_PRIVATE | MAP_HUGETLB);
      await io.mapFixed(ioasId, memory, size, IOVA);
      const ret = await io.process.madvise(memory, size, MADV_DONTNEED);
      assertEq(ret, 0, "madvise");
      await io.process.poke(memory, new Uint8Array(1));
      const fd = await io.process.memfdCreate("huge", MFD_HUGETLB);
      assertEq(await io.process.ftruncate(fd, size), 0, "ftruncate");
      await mapFile(io, ioasId, fd, 0, size);
    },
  );
}

/** Memory by file. */
function registerFiles(f: Programs): void {
  f.test(
    "drops_dmabuf_descriptor",
    about("drops_dmabuf_descriptor"),
    async (io) => {
      const fd = await dmabufGet(io, io.context.pageSize);
      assertTrue(fd > io.fd, "the descriptor is a new one");
      assertEq(await io.process.close(fd), 0, "close");
    },
  );

  f.test("maps_keep_any_file", about("maps_keep_any_file"), async (io) => {
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await mapFile(io, await io.ioasAlloc(), io.fd, 0, io.page);
  });

  f.test(
    "pins_unwritten_memory",
    about("pins_unwritten_memory", ["files"]),
    async (io) => {
      const { fd, address } = await memfdMmap(io, io.context.pageSize);
      const size = io.context.pageSize;
      assertEq(await io.process.fallocate(fd, 0, 0, size), 0, "fallocate");
      const ioasId = await io.ioasAlloc();
      const iova = await mapFile(io, ioasId, fd, 0, io.page);
      const access = await io.mock.createAccess(ioasId, false);
      await io.process.poke(io.scratch, new Uint8Array([1]));
      const write = { flags: MOCK_ACCESS_RW_WRITE, uptr: io.scratch };
      await io.mock.accessRw(access, { ...write, iova, length: 1 });
      const [byte] = await io.process.peek(address, 1);
      assertEq(byte!, 1, "the byte");
      await io.mock.destroyAccess(access);
    },
  );

  f.test(
    "takes_from_dead_owner",
    about("takes_from_dead_owner", ["fork"]),
    async (io) => {
      await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1n);
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      const { fd } = await memfdMmap(io, io.context.pageSize);
      await dropLock(io);
      const child = await io.process.fork();
      const iova = await mapFile(io.in(child), ioasId, fd, 0, io.page);
      await child.exit();
      await changeProcess(io);
      await io.unmap(ioasId, iova, io.page);
      assertEq((await io.process.vmStatus()).vmPin, 0, "VmPin in KiB");
    },
  );

  f.test(
    "leaves_pins_with_owner",
    about("leaves_pins_with_owner", ["fork"]),
    async (io) => {
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      const { fd } = await memfdMmap(io, io.context.pageSize);
      await mapFile(io, ioasId, fd, 0, io.page);
      const child = await io.process.fork();
      await changeProcess(io.in(child));
      const kib = Number(io.page / 1024n);
      assertEq((await child.vmStatus()).vmPin, kib, "VmPin in KiB");
      assertEq((await io.process.vmStatus()).vmPin, 0, "VmPin before");
      await child.exit();
    },
  );
}

/** Gives up the right to lock any amount of memory: only then it is charged. */
async function dropLock({ process }: Iommufd): Promise<void> {
  const ret = await process.dropCapability(CAP_IPC_LOCK);
  assertEq(ret, 0, "drop CAP_IPC_LOCK");
}

/** Dirty tracking. */
function registerDirty(f: Programs): void {
  f.test(
    "loses_dirty_of_cut_entry",
    about("loses_dirty_of_cut_entry", ["dirty", "hugetlb"]),
    async (io) => {
      const size = BigInt(io.context.hugePageSize);
      const ioasId = await io.ioasAlloc();
      const { idevId: devId } = await io.mock.domain(ioasId);
      const memory = await io.mmap(size, MAP_PRIVATE | MAP_HUGETLB);
      const hwptId = await hwptAlloc(io, {
        devId,
        ptId: ioasId,
        flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
      });
      const iova = 2n * size + IOVA / size * size;
      await io.mapFixed(ioasId, memory, size, iova);
      await setDirtyTracking(io, hwptId, true);
      const pageSize = io.page;
      const address = io.scratch;
      async function read(at: bigint, pages: bigint): Promise<number> {
        await io.process.poke(address, new Uint8Array(16));
        const length = pages * pageSize;
        await getDirtyBitmap(io, {
          hwptId,
          iova: at,
          length,
          pageSize,
          address,
        });
        const bytes = await io.process.peek(address, 16);
        return bytes.reduce(
          (bits, byte) => bits + byte.toString(2).split("1").length - 1,
          0,
        );
      }
      await io.process.poke(address, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
      const first = { hwptId, iova, length: pageSize, pageSize, address };
      await markDirty(io, first);
      assertEq(await read(iova + 2n * pageSize, 2n), 2, "bits inside");
      assertEq(await read(iova, 2n), 2, "bits at its start");
      const rest = size / pageSize - 64n;
      assertEq(await read(iova + rest * pageSize, 64n), 64, "bits at its end");
    },
  );
}

/** Devices and virtual IOMMUs. */
function registerDevices(f: Programs): void {
  f.test(
    "keeps_device_with_pasid",
    about("keeps_device_with_pasid"),
    async (io) => {
      const ioasId = await io.ioasAlloc();
      const flags = MOCK_FLAGS_DEVICE_PASID;
      const { stdevId, idevId: devId } = await io.mock.domainFlags(
        ioasId,
        flags,
      );
      const hwptId = await hwptAlloc(io, {
        devId,
        ptId: ioasId,
        flags: IOMMU_HWPT_ALLOC_PASID,
      });
      await io.mock.replaceDomain(stdevId, hwptId);
      await pasidAttach(io, stdevId, 1, hwptId);
      await io.destroy(stdevId);
      await io.destroy(devId, ENOENT);
      await io.destroy(hwptId);
    },
  );

  f.test(
    "keeps_viommu_of_failed_attach",
    about("keeps_viommu_of_failed_attach", ["faults", "fail_nth"]),
    async (io) => {
      const { stdevId, idevId, parent, viommuId } = await viommuOf(io);
      await vdeviceAlloc(io, viommuId, idevId, 1);
      const { faultId } = await faultQueueAlloc(io);
      const nested = await nestedAlloc(io, idevId, viommuId, {
        flags: IOMMU_HWPT_FAULT_ID_VALID,
        faultId,
      });
      for (let nth = 1;; nth++) {
        await io.process.setFailNth(nth);
        const errno = await failure(() =>
          io.mock.replaceDomain(stdevId, nested)
        );
        await io.process.setFailNth(0);
        if (errno === undefined) break;
        // With another errno it may be the answer that failed.
        if (errno === ENOMEM.name) await triggerVevents(io, idevId, 1, ENOENT);
        await io.mock.replaceDomain(stdevId, parent);
      }
    },
  );

  f.test(
    "warns_of_most_invalidations",
    about("warns_of_most_invalidations"),
    async (io) => {
      const { idevId, viommuId } = await viommuOf(io);
      await vdeviceAlloc(io, viommuId, idevId, 0);
      const most = 1 << 19;
      const memory = await io.mmap(12 * most, MAP_PRIVATE);
      const options = { dataUptr: BigInt(memory), entryNum: most };
      await viommuInvalidate(io, viommuId, [], most, undefined, options);
    },
  );

  f.test(
    "forgets_index_of_queue",
    about("forgets_index_of_queue"),
    async (io) => {
      const { ioasId, viommuId } = await viommuOf(io);
      await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
      const place = (index: number) => ({ index, iova: IOVA, length: io.page });
      await hwQueueAlloc(io, viommuId, place(0));
      await io.destroy(await hwQueueAlloc(io, viommuId, place(1)));
      await hwQueueAlloc(io, viommuId, place(1));
    },
  );
}

/** A virtual IOMMU, and the device behind it. */
async function viommuOf(io: Iommufd) {
  const ioasId = await io.ioasAlloc();
  const { stdevId, idevId } = await io.mock.domain(ioasId);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const parent = await hwptAlloc(io, { devId: idevId, ptId: ioasId, flags });
  await io.mock.replaceDomain(stdevId, parent);
  const viommuId = await viommuAlloc(io, idevId, parent);
  return { ioasId, stdevId, idevId, parent, viommuId };
}

/** The errno that a call fails with, if it does. */
async function failure(
  call: () => Promise<unknown>,
): Promise<string | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    if (error instanceof AssertionFailure) return error.actual;
    throw error;
  }
}
