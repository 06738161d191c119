// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_dmabuf`: MAP_FILE of DMA buffers: every way in which it can
 * fail, what may be done with such an area, and buffers that are taken back.
 *
 * @module
 */

import {
  EBADF,
  EBUSY,
  EEXIST,
  EINVAL,
  EMFILE,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
  MOCK_FLAGS_ACCESS_WRITE,
} from "../../impl/uapi/selftest.ts";
import {
  CAP_IPC_LOCK,
  MAP_SHARED,
  O_RDWR,
  POLLIN,
  PROT_READ,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
import { VFIO_TYPE1_IOMMU } from "../../impl/uapi/vfio.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  dmabufGet,
  dmabufRevoke,
  mapFile,
  mapFileFixed,
  memfdMmap,
} from "../ioctls/file_ioctls.ts";
import {
  getDirtyBitmap,
  hwptAlloc,
  markDirty,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import { hwQueueAlloc, viommuAlloc } from "../ioctls/viommu_ioctls.ts";
import { setIommu, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd_ioas/iommufd_ioas.ts";
import { registerRevocation } from "./kit_dmabuf_revoke.ts";

/** The fixture as the files of its tests see it. */
export type DmabufFixture = Fixture<IoasVariant, DmabufSelf>;

/** What the tests share: an IOAS and a buffer. */
export interface DmabufSelf extends IoasSelf {
  /** Descriptor of a buffer of {@link BUFFER_PAGES} pages. */
  readonly buffer: number;
  /** A HWPT of the IOAS that tells what is mapped; 0 without a device. */
  readonly watchId: number;
}

/** Pages of the buffer. */
export const BUFFER_PAGES = 4;

/** Where a mock domain can map. */
export const IOVA = BigInt(MOCK_APERTURE_START);

const VARIANTS: Readonly<Record<string, IoasVariant>> = {
  no_domain: { mockDomains: 0 },
  mock_domain: { mockDomains: 1 },
  two_mock_domain: { mockDomains: 2 },
};

/** Adds the fixture's tests to `registry`. */
export function registerKitDmabuf(registry: Test[]): void {
  const f: DmabufFixture = fixture(registry, "kit_dmabuf", {
    variants: VARIANTS,
    upstream: false,
    since: "7.3",
    needs: () => ["map_file"],
    async setup(context, variant) {
      const self = await setupIoas(context, variant);
      const { io, ioasId, idevId } = self;
      const buffer = await dmabufGet(io, BUFFER_PAGES * context.pageSize);
      const watchId = idevId ? await watch(io, idevId, ioasId) : 0;
      return { ...self, buffer, watchId };
    },
    teardown: (self) => teardownIoas(self),
  });
  registerOperations(f);
  registerErrors(f);
  registerUse(f);
  registerRevocation(f);
}

/** A HWPT of an IOAS for {@link assertMapped}. */
export async function watch(
  io: Iommufd,
  devId: number,
  ptId: number,
): Promise<number> {
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const hwptId = await hwptAlloc(io, { devId, ptId, flags });
  await setDirtyTracking(io, hwptId, true);
  return hwptId;
}

/**
 * Asserts whether something is mapped at an IOVA where an area begins: a device
 * cannot make dirty what is not. Nothing is asserted without a HWPT to look at.
 */
export async function assertMapped(
  io: Iommufd,
  hwptId: number,
  iova: bigint,
  mapped: boolean,
): Promise<void> {
  if (!hwptId) return;
  const { page, mockPage } = io;
  const address = io.scratch;
  const range = { hwptId, iova, length: page, address };
  await io.process.poke(address, new Uint8Array(64).fill(0xff));
  await markDirty(io, { ...range, pageSize: mockPage });
  await io.process.poke(address, new Uint8Array(64));
  await getDirtyBitmap(io, { ...range, pageSize: page });
  const [bits] = await io.process.peek(address, 1);
  assertEq((bits! & 1) === 1, mapped, `0x${iova.toString(16)} is mapped`);
}

/** Maps pages of the buffer at {@link IOVA} plus some pages. */
export async function mapAt(
  { io, ioasId, buffer }: DmabufSelf,
  place: number,
  errno?: Errno,
  first = 0,
  pages = 1,
): Promise<bigint> {
  const { page } = io;
  const iova = IOVA + BigInt(place) * page;
  const start = BigInt(first) * page;
  const length = BigInt(pages) * page;
  await mapFileFixed(io, ioasId, buffer, start, length, iova, errno);
  return iova;
}

/** The test operations. */
function registerOperations(f: DmabufFixture): void {
  f.table("get_errno", {
    description: "A buffer has up to 2 MiB, and whole pages",
    rules: ["F2.8"],
  }, (t) => {
    const most = 2 ** 21;
    for (const length of [0, most + 1, 2 ** 31, 2 ** 32 - 1]) {
      t.case(`${length} bytes`, ({ io }) => dmabufGet(io, length, EINVAL));
    }
    for (const length of [1, 4097, most]) {
      t.case(`${length} bytes of whole pages`, async ({ io, ioasId }) => {
        const { pageSize } = io.context;
        const size = Math.ceil(length / pageSize) * pageSize;
        const fd = await dmabufGet(io, length);
        await mapFile(io, ioasId, fd, 0, size + pageSize, EINVAL);
        const iova = await mapFile(io, ioasId, fd, 0, size);
        await io.unmap(ioasId, iova, size);
        assertEq(await io.process.close(fd), 0, "close");
      });
    }
  });

  f.test("get_without_descriptor", {
    description: "A buffer for which there is no descriptor is not made",
    rules: ["F2.8"],
    needs: () => ["setrlimit"],
  }, async ({ io }) => {
    const next = await io.nextFd();
    const limit = (fds: number) =>
      io.process.setrlimit(RLIMIT_NOFILE, BigInt(fds));
    assertEq(await limit(next), 0, "setrlimit");
    await dmabufGet(io, io.context.pageSize, EMFILE);
    // The length is looked at before.
    await dmabufGet(io, 0, EINVAL);
    assertEq(await limit(next + 1), 0, "setrlimit");
    assertEq(await dmabufGet(io, io.context.pageSize), next, "descriptor");
    assertEq(await limit(1024), 0, "setrlimit");
  });

  f.table("revoke_errno", {
    description: "Only a buffer can be taken back",
    rules: ["F2.8"],
    finish: ({ io, buffer }) => dmabufRevoke(io, buffer, true),
  }, (t) => {
    for (const fd of [999, -1]) {
      t.case(
        `descriptor ${fd}`,
        ({ io }) => dmabufRevoke(io, fd, true, EBADF),
      );
    }
    t.case("the iommufd", ({ io }) => dmabufRevoke(io, io.fd, true, EINVAL));
    t.case("a memory file", async ({ io }) => {
      const fd = assertOk(await io.process.memfdCreate("", 0), "memfd");
      await dmabufRevoke(io, fd, false, EINVAL);
      assertEq(await io.process.close(fd), 0, "close");
    });
    t.case("/dev/null", async ({ io }) => {
      const fd = assertOk(await io.process.open("/dev/null", O_RDWR), "open");
      await dmabufRevoke(io, fd, true, EINVAL);
      assertEq(await io.process.close(fd), 0, "close");
    });
  });

  f.test("as_a_file", {
    description:
      "A buffer is a file that is neither read nor written nor mapped",
    rules: ["F2.8"],
  }, async ({ io, buffer }) => {
    const bytes = new Uint8Array(8);
    assertErrno(await io.process.read(buffer, bytes), EINVAL, "read");
    assertErrno(await io.process.write(buffer, bytes), EBADF, "write");
    const { pageSize } = io.context;
    const ret = await io.process.mmap(
      0,
      pageSize,
      PROT_READ,
      MAP_SHARED,
      buffer,
    );
    assertErrno(ret, EINVAL, "mmap");
    assertEq(await io.process.poll(buffer, POLLIN), POLLIN, "poll");
  });
}

/** Refused maps. */
function registerErrors(f: DmabufFixture): void {
  f.table("map_errno", {
    description: "MAP_FILE looks at the buffer before it looks at the IOVA",
    rules: ["F2.1"],
    async prepare(self) {
      await mapAt(self, 0);
      return self;
    },
    finish: (self) => mapAt(self, 1),
  }, (t) => {
    type Part = (page: bigint) => [start: bigint, length: bigint];
    const size = BigInt(BUFFER_PAGES);
    const rows: [string, Errno, Part][] = [
      ["length 0", EINVAL, () => [0n, 0n]],
      ["a part that wraps", EOVERFLOW, (page) => [U64_MAX, page]],
      ["what begins at the end", EINVAL, (page) => [size * page, page]],
      ["a byte too many", EINVAL, (page) => [0n, size * page + 1n]],
      ["far beyond the end", EINVAL, (page) => [2n ** 63n, page]],
      ["the last of all bytes", EINVAL, () => [U64_MAX, 1n]],
      ["a length that leaves no page", EINVAL, () => [0n, U64_MAX - 1n]],
      // The IOVA is taken, which is only found then.
      ["all of it", EEXIST, (page) => [0n, size * page]],
    ];
    for (const [what, errno, partOf] of rows) {
      t.case(what, async ({ io, ioasId, buffer }) => {
        const [start, length] = partOf(io.page);
        await mapFileFixed(io, ioasId, buffer, start, length, IOVA, errno);
      });
    }
    t.case("an unknown IOAS", async ({ io, buffer }) => {
      await mapFileFixed(io, 999, buffer, 0, 0n, IOVA, ENOENT);
    });
    t.case("a buffer that was taken back", async (self) => {
      const { io, ioasId } = self;
      const fd = await dmabufGet(io, io.context.pageSize);
      await dmabufRevoke(io, fd, true);
      const map = (length: bigint, errno?: Errno) =>
        mapFileFixed(io, ioasId, fd, 0, length, IOVA, errno);
      await map(io.page + 1n, EINVAL);
      await map(io.page, ENODEV);
      await dmabufRevoke(io, fd, false);
      await map(io.page, EEXIST);
      assertEq(await io.process.close(fd), 0, "close");
    });
  });

  f.test("parts_of_pages", {
    description: "A part of a page is mapped in the granules of the domain",
    rules: ["F2.2"],
  }, async ({ io, ioasId, buffer, stdevId, watchId }) => {
    const half = io.mockPage;
    const { page } = io;
    const part = await mapFile(io, ioasId, buffer, half, half);
    assertEq(part % page, half, "offset in the page");
    const long = await mapFile(io, ioasId, buffer, half, 3n * page);
    assertEq(long % page, half, "offset in the page");
    const odd = stdevId ? EINVAL : undefined;
    await mapFile(io, ioasId, buffer, half + 1n, half, odd);
    await mapFile(io, ioasId, buffer, half, half - 1n, odd);
    assertEq(watchId !== 0, stdevId !== 0, "a HWPT to look at");
    await dmabufRevoke(io, buffer, true);
    assertEq(await io.unmap(ioasId, part, half), half, "bytes of a part");
    assertEq(await io.unmap(ioasId, long, 3n * page), 3n * page, "bytes");
  });

  f.test("chosen_iova", {
    description: "A chosen IOVA is as aligned as the place in the buffer",
    rules: ["F2.1"],
  }, async ({ io, ioasId, buffer, baseIova }) => {
    const { page } = io;
    const first = baseIova || page;
    assertEq(await mapFile(io, ioasId, buffer, 0, page), first, "first IOVA");
    const all = await mapFile(io, ioasId, buffer, 0, 4n * page);
    assertEq(all % (4n * page), 0n, "misalignment of 4 pages from 0 on");
    const less = await mapFile(io, ioasId, buffer, 2n * page, 2n * page);
    const hole = first - first % (2n * page) + 2n * page;
    assertEq(less, hole, "IOVA of 2 pages from 2 on");
  });
}

/** What may be done with an area. */
function registerUse(f: DmabufFixture): void {
  f.table("access_errno", {
    description:
      "An access gets nothing of a buffer, once its rights are known",
    rules: ["F2.3"],
    async prepare(self) {
      const { io, ioasId, buffer } = self;
      const access = await io.mock.createAccess(ioasId, true);
      const map = (place: bigint, prot?: number) =>
        mapFileFixed(
          io,
          ioasId,
          buffer,
          0,
          io.page,
          IOVA + place * io.page,
          undefined,
          prot,
        );
      await map(0n);
      await map(1n, IOMMU_IOAS_MAP_READABLE);
      await map(2n, IOMMU_IOAS_MAP_WRITEABLE);
      return { io, access };
    },
    finish: ({ io, access }) => io.mock.destroyAccess(access),
  }, (t) => {
    const rows: [string, bigint, boolean, Errno][] = [
      ["read", 0n, false, EINVAL],
      ["write", 0n, true, EINVAL],
      ["write what is mapped for reading", 1n, true, EPERM],
      ["read what is mapped for writing", 2n, false, EPERM],
      ["read nothing", 3n, false, ENOENT],
    ];
    for (const [what, place, write, errno] of rows) {
      t.case(`pin to ${what}`, async ({ io, access }) => {
        const flags = write ? MOCK_FLAGS_ACCESS_WRITE : 0;
        const iova = IOVA + place * io.page;
        const range = { iova, length: io.page, uptr: 0, flags };
        await io.mock.accessPages(access, range, errno);
      });
      for (const slow of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
        const how = slow ? ", the slow way" : "";
        t.case(`copy to ${what}${how}`, async ({ io, access }) => {
          const flags = slow | (write ? MOCK_ACCESS_RW_WRITE : 0);
          const iova = IOVA + place * io.page;
          const range = { iova, length: 8, uptr: io.scratch, flags };
          await io.mock.accessRw(access, range, errno);
        });
      }
    }
  });

  f.test("access_does_not_hinder", {
    description: "An IOAS with accesses maps and loses buffers as any other",
    rules: ["F2.3"],
  }, async (self) => {
    const { io, ioasId, buffer } = self;
    const { page } = io;
    const access = await io.mock.createAccess(ioasId, true);
    const iova = await mapAt(self, 0, undefined, 0, 2);
    await io.mapFixed(ioasId, io.buffer, page, iova + 2n * page);
    const memory = { iova: iova + 2n * page, length: page, uptr: io.buffer };
    await io.mock.accessPages(access, memory);
    // Both areas: what was pinned of the second is given back.
    const both = { iova: iova + page, length: 2n * page, uptr: 0 };
    await io.mock.accessPages(access, both, EINVAL);
    await dmabufRevoke(io, buffer, true);
    await io.mock.accessPages(access, both, EINVAL);
    await io.unmap(ioasId, iova, 3n * page);
    await io.mock.checkRefs(io.buffer, page, 0);
    await io.mock.destroyAccess(access);
  });

  f.test("hw_queue", {
    description:
      "A hardware queue lies in the memory of a file, and not in a buffer",
    rules: ["F2.3"],
    needs: () => ["viommu"],
  }, async (self) => {
    const { io, buffer } = self;
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    const { idevId: devId } = await io.mock.domain(ioasId);
    const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
    const hwptId = await hwptAlloc(io, { devId, ptId: ioasId, flags });
    const viommuId = await viommuAlloc(io, devId, hwptId);
    await mapFileFixed(io, ioasId, buffer, 0, page, IOVA);
    const queue = { index: 0, iova: IOVA, length: page };
    await hwQueueAlloc(io, viommuId, queue, EINVAL);
    await dmabufRevoke(io, buffer, true);
    await hwQueueAlloc(io, viommuId, queue, EINVAL);
    await io.unmap(ioasId, IOVA, page);
    const { fd, address } = await memfdMmap(io, io.context.pageSize);
    await mapFileFixed(io, ioasId, fd, 0, page, IOVA);
    const queueId = await hwQueueAlloc(io, viommuId, queue);
    await io.unmap(ioasId, IOVA, page, EBUSY);
    await io.destroy(queueId);
    await io.mock.checkRefs(address, page, 1);
    await io.unmap(ioasId, IOVA, page);
    await io.mock.checkRefs(address, page, 0);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("not_pinned", {
    description: "A buffer is neither pinned nor charged",
    rules: ["F2.2"],
    needs: () => ["setrlimit"],
  }, async (self) => {
    const { io } = self;
    assertOk(
      await io.process.dropCapability(CAP_IPC_LOCK),
      "drop CAP_IPC_LOCK",
    );
    assertOk(await io.process.setrlimit(RLIMIT_MEMLOCK, 0n), "setrlimit");
    const before = await io.process.vmStatus();
    const iova = await mapAt(self, 0, undefined, 0, BUFFER_PAGES);
    const mapped = await io.process.vmStatus();
    assertEq(mapped.vmPin, before.vmPin, "VmPin");
    assertEq(mapped.vmLck, before.vmLck, "VmLck");
    await io.unmap(self.ioasId, iova, BigInt(BUFFER_PAGES) * io.page);
    assertEq((await io.process.vmStatus()).vmPin, before.vmPin, "VmPin");
  });

  f.test("closed_buffer", {
    description: "An area keeps a buffer whose descriptor is closed",
    rules: ["F2.7"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const iova = await mapAt(self, 0);
    const copied = await io.copy({
      dst: ioasId,
      src: ioasId,
      srcIova: iova,
      length: io.page,
    });
    assertEq(await io.process.close(self.buffer), 0, "close");
    await io.unmap(ioasId, iova, io.page);
    await assertMapped(io, watchId, copied, true);
    await io.unmap(ioasId, copied, io.page);
  });

  f.test("small_pages", {
    description: "Without large pages a buffer is mapped page by page",
    rules: ["F2.2"],
  }, async ({ io, buffer }) => {
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    await io.setOption(IOMMU_OPTION_HUGE_PAGES, ioasId, 0n);
    const { idevId } = await io.mock.domain(ioasId);
    const hwptId = await watch(io, idevId, ioasId);
    await mapFileFixed(io, ioasId, buffer, 0, 4n * page, IOVA);
    for (let i = 0n; i < 4n; i++) {
      await assertMapped(io, hwptId, IOVA + i * page, true);
    }
    await dmabufRevoke(io, buffer, true);
    for (let i = 0n; i < 4n; i++) {
      await assertMapped(io, hwptId, IOVA + i * page, false);
    }
  });

  f.test("largest", {
    description: "The largest buffer is mapped, in parts and as a whole",
    rules: ["F2.8"],
  }, async ({ io, ioasId, watchId }) => {
    const size = 2 ** 21;
    const fd = await dmabufGet(io, size);
    const all = await mapFile(io, ioasId, fd, 0, size);
    const tail = await mapFile(io, ioasId, fd, BigInt(size) - io.page, io.page);
    await assertMapped(io, watchId, all, true);
    await assertMapped(io, watchId, tail, true);
    await dmabufRevoke(io, fd, true);
    await assertMapped(io, watchId, all, false);
    await assertMapped(io, watchId, tail, false);
    assertEq(await io.unmap(ioasId, all, size), BigInt(size), "bytes");
  });

  f.test("vfio_cut", {
    description: "An area of a buffer cannot be cut",
    rules: ["F2.4"],
  }, async ({ io, buffer, idevId }) => {
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
    await setIommu(io, VFIO_TYPE1_IOMMU);
    if (idevId) await io.mock.domain(ioasId);
    await mapFileFixed(io, ioasId, buffer, 0, 4n * page, IOVA);
    const part = { iova: IOVA + page, length: page };
    await unmapDma(io, part, EOPNOTSUPP);
    // Before the cut's own alignment is looked at.
    await unmapDma(io, { iova: IOVA + 1n, length: page }, EOPNOTSUPP);
    await dmabufRevoke(io, buffer, true);
    await unmapDma(io, part, EOPNOTSUPP);
    const all = { iova: IOVA, length: 4n * page };
    assertEq(await unmapDma(io, all), 4n * page, "bytes");
  });
}
