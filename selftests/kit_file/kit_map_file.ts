// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_map_file`: every way in which MAP_FILE can fail, in the kernel's
 * order of checks; which files it takes; which IOVA it chooses.
 *
 * @module
 */

import {
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  MADV_DONTNEED,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MFD_CLOEXEC,
  MFD_HUGETLB,
  O_RDONLY,
  O_RDWR,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  IOMMU_IOAS_MAP_FILE,
  IommuIoasMapFile,
  mapFile,
  mapFileFixed,
  memfdMmap,
} from "../ioctls/file_ioctls.ts";
import { type Iommufd, MAP_RW, U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd_ioas/iommufd_ioas.ts";
import { registerFileKinds } from "./kit_file_kinds.ts";
import { registerFileMemory } from "./kit_file_memory.ts";

/** The fixture as the files of its tests see it. */
export type MapFileFixture = Fixture<IoasVariant, FileSelf>;

/** What the tests share: an IOAS, and a memory file that is mapped. */
export interface FileSelf extends IoasSelf {
  /** Descriptor of a memory file of {@link FILE_PAGES} pages. */
  readonly file: number;
  /** Where its first byte is mapped. */
  readonly address: number;
}

/** Pages of the memory file. */
export const FILE_PAGES = 8;

const VARIANTS: Readonly<Record<string, IoasVariant>> = {
  no_domain: { mockDomains: 0 },
  mock_domain: { mockDomains: 1 },
  two_mock_domain: { mockDomains: 2 },
  mock_domain_limit: { mockDomains: 1, memoryLimit: 16 },
};

/** Adds the fixture's tests to `registry`. */
export function registerKitMapFile(registry: Test[]): void {
  const f: MapFileFixture = fixture(registry, "kit_map_file", {
    variants: VARIANTS,
    upstream: false,
    since: "7.3",
    needs: () => ["map_file"],
    async setup(context, variant) {
      const self = await setupIoas(context, variant);
      const { fd, address } = await memfdMmap(
        self.io,
        FILE_PAGES * context.pageSize,
      );
      return { ...self, file: fd, address };
    },
    async teardown(self) {
      await teardownIoas(self);
      const fresh = await self.io.reopen();
      const size = BigInt(FILE_PAGES) * fresh.page;
      await fresh.mock.checkRefs(self.address, size, 0);
      assertEq(await fresh.process.close(fresh.fd), 0, "close it");
    },
  });
  registerErrors(f);
  registerKinds(f);
  registerChosenIova(f);
  registerFileMemory(f);
  registerFileKinds(f);
}

/** Where a mock domain can map. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Flags of a fixed map with both rights. */
const FIXED = IOMMU_IOAS_MAP_FIXED_IOVA | MAP_RW;

/** MAP_FILE of the file's first page at the second page of the IOVA unless told otherwise. */
async function mapWith(
  { io, ioasId, baseIova, file }: FileSelf,
  values: Partial<IommuIoasMapFile>,
  errno?: Errno,
): Promise<IommuIoasMapFile> {
  const good = {
    flags: FIXED,
    ioasId,
    fd: file,
    length: io.page,
    iova: baseIova + io.page,
  };
  const all = { ...good, ...values };
  return await io.call(IommuIoasMapFile, IOMMU_IOAS_MAP_FILE, all, errno);
}

/** A row of refused maps. */
type BadMap = readonly [
  what: string,
  errno: Errno,
  values: (page: bigint) => Partial<IommuIoasMapFile>,
];

/** Wrong at once in what is checked later. */
const LATER = { ioasId: 999, length: 0n, fd: 999 };

/** The refusals that do not depend on what the IOAS holds, in the kernel's order of checks. */
const BAD_MAPS: readonly BadMap[] = [
  [
    "an unknown flag",
    EOPNOTSUPP,
    () => ({ ...LATER, flags: 8, iova: U64_MAX }),
  ],
  ["IOVA 2^64-1", EOVERFLOW, () => ({ ...LATER, flags: 0, iova: U64_MAX })],
  [
    "IOVA 2^64-1 although the kernel would choose another",
    EOVERFLOW,
    () => ({ ...LATER, flags: MAP_RW, iova: U64_MAX }),
  ],
  [
    "length 2^64-1",
    EOVERFLOW,
    () => ({ ...LATER, flags: 0, length: U64_MAX }),
  ],
  ["no rights", EINVAL, () => ({ ...LATER, flags: IOMMU_IOAS_MAP_FIXED_IOVA })],
  ["an unknown IOAS", ENOENT, () => LATER],
  ["length 0", EINVAL, () => ({ length: 0n, fd: 999 })],
  [
    "length 0 at the end of all files",
    EINVAL,
    () => ({ length: 0n, start: U64_MAX, fd: 999 }),
  ],
  [
    "a part of the file that wraps",
    EOVERFLOW,
    (page) => ({ start: U64_MAX - page + 1n, length: page + 1n, fd: 999 }),
  ],
  ["a descriptor that is not open", EBADF, () => ({ fd: 999 })],
  ["descriptor -1", EBADF, () => ({ fd: -1 })],
  [
    "a descriptor that is not open, and a length that leaves no page",
    EBADF,
    () => ({ fd: 999, length: U64_MAX - 1n }),
  ],
  [
    "a length that leaves no page",
    EINVAL,
    (page) => ({ length: U64_MAX - page + 1n, iova: 1n }),
  ],
];

/** Refused maps. */
function registerErrors(f: MapFileFixture): void {
  f.table("map_errno", {
    description: "MAP_FILE refuses bad arguments in the kernel's order",
    rules: ["F1.1"],
    finish: (self) => mapWith(self, {}),
  }, (t) => {
    for (const [what, errno, valuesOf] of BAD_MAPS) {
      t.case(what, async (self) => {
        const values = valuesOf(self.io.page);
        const { iova = self.baseIova + self.io.page } = values;
        const left = await mapWith(self, values, errno);
        assertEq(left.iova, iova, "IOVA after a failed map");
      });
    }
    t.case("an IOAS id of another object", async (self) => {
      const ioasId = self.hwptId || 999;
      await mapWith(self, { ioasId }, ENOENT);
    });
  });

  f.test("map_place_errno", {
    description: "The place of a fixed map is checked before the file's pages",
    rules: ["F1.1"],
  }, async (self) => {
    const { io, ioasId, baseIova, stdevId } = self;
    const { page } = io;
    const beyond = { start: 1024n * page };
    await mapWith(self, {});
    await mapWith(self, beyond, EEXIST);
    await mapWith(
      self,
      { ...beyond, iova: U64_MAX - 1n, length: 4n },
      stdevId ? EINVAL : EOVERFLOW,
    );
    const reserved = baseIova + 8n * page;
    await io.mock.addReserved(ioasId, reserved, page);
    await mapWith(self, { ...beyond, iova: reserved }, EINVAL);
    const odd = stdevId ? EINVAL : undefined;
    await mapWith(self, { start: 1n, iova: baseIova + 16n * page }, odd);
    await mapWith(self, { length: 1n, iova: baseIova + 24n * page }, odd);
    await mapWith(self, { length: 8n, iova: baseIova + 32n * page + 1n }, odd);
  });

  f.test("map_unanswered", {
    description: "A map that cannot tell its IOVA stays",
    rules: ["F1.1"],
  }, async (self) => {
    const { io, ioasId, baseIova, file } = self;
    const bytes = IommuIoasMapFile.encode({
      flags: FIXED,
      ioasId,
      fd: file,
      length: io.page,
      iova: baseIova,
    });
    const what = "IOMMU_IOAS_MAP_FILE";
    await io.ioctlReadOnly(IOMMU_IOAS_MAP_FILE, bytes, EFAULT, what);
    assertEq(await io.unmap(ioasId, baseIova, io.page), io.page, "bytes");
  });
}

/** Opens files that have no pages to map, each by its name. */
const OTHER_FILES: readonly [
  what: string,
  open: (self: FileSelf) => Promise<number>,
][] = [
  ["/dev/null", ({ io }) => io.process.open("/dev/null", O_RDWR)],
  ["an eventfd", ({ io }) => io.process.eventfd(0, 0)],
  ["the end of a pipe", async ({ io }) => {
    const { ret, readFd, writeFd } = await io.process.pipe();
    assertEq(ret, 0, "pipe");
    assertEq(await io.process.close(readFd), 0, "close");
    return writeFd;
  }],
  ["another iommufd", async ({ io }) => (await io.reopen()).fd],
];

/** Files that can and cannot be mapped. */
function registerKinds(f: MapFileFixture): void {
  f.table("file_kinds", {
    description:
      "A file that has no pages of shmem or hugetlbfs is only refused when they are pinned",
    rules: ["F1.2"],
    finish: (self) => mapWith(self, {}),
  }, (t, { mockDomains }) => {
    for (const [what, open] of OTHER_FILES) {
      t.case(what, async (self) => {
        const { io, ioasId } = self;
        const iova = IOVA + 2n * io.page;
        const fd = assertOk(await open(self), what);
        await mapWith(self, { fd, iova }, mockDomains ? EINVAL : undefined);
        assertEq(await io.process.close(fd), 0, "close");
        if (mockDomains) return;
        // The first device needs the pages.
        await io.mock.domain(ioasId, EINVAL);
        const access = await io.mock.createAccess(ioasId, true);
        const range = { iova, length: io.page, uptr: 0 };
        await io.mock.accessPages(access, range, EINVAL);
        const copy = { iova, length: 8, uptr: io.scratch };
        await io.mock.accessRw(access, copy, EINVAL);
        await io.mock.destroyAccess(access);
        await io.unmap(ioasId, iova, io.page);
      });
    }
  });

  f.test("own_iommufd", {
    description: "An iommufd that maps itself goes when it is closed",
    rules: ["F1.4"],
    knownBug: ({ mockDomains }) =>
      mockDomains ? undefined : "maps_keep_any_file",
  }, async (self) => {
    const { io, ioasId, baseIova, stdevId } = self;
    await mapWith(self, { fd: io.fd }, stdevId ? EINVAL : undefined);
    const other = await io.reopen();
    const otherId = await other.ioasAlloc();
    const errno = stdevId ? EINVAL : undefined;
    await mapFileFixed(io, ioasId, other.fd, 0, io.page, baseIova, errno);
    await mapFileFixed(other, otherId, io.fd, 0, io.page, io.page);
    assertEq(await io.process.close(other.fd), 0, "close the other one");
  });

  f.test("opened_read_only", {
    description: "How the file was opened does not matter",
    rules: ["F1.3"],
  }, async (self) => {
    const { io, ioasId, address, hwptId } = self;
    const path = `/proc/self/fd/${self.file}`;
    const fd = assertOk(await io.process.open(path, O_RDONLY), "open again");
    const iova = await mapFile(io, ioasId, fd, 0, io.page);
    assertEq(await io.process.close(fd), 0, "close");
    if (hwptId) await io.mock.checkMap(hwptId, iova, io.page, address);
  });

  f.test("closed_file", {
    description: "An area keeps the file's memory when the file is closed",
    rules: ["F1.4"],
  }, async ({ io, ioasId, stdevId }) => {
    const fd = assertOk(
      await io.process.memfdCreate("closed", MFD_CLOEXEC),
      "memfd",
    );
    const size = 2 * io.context.pageSize;
    assertEq(await io.process.ftruncate(fd, size), 0, "ftruncate");
    const bytes = new Uint8Array(size).fill(0x5a);
    assertEq(await io.process.write(fd, bytes), size, "write");
    const iova = IOVA;
    await mapFileFixed(io, ioasId, fd, 0, size, iova);
    assertEq(await io.process.close(fd), 0, "close");
    const access = await io.mock.createAccess(ioasId, false);
    await io.mock.accessRw(access, { iova, length: size, uptr: io.scratch });
    const seen = await io.process.peek(io.scratch, size);
    assertEq(seen.every((byte) => byte === 0x5a), true, "bytes of the file");
    await io.mock.destroyAccess(access);
    if (!stdevId) await io.mock.domain(ioasId);
    await io.unmap(ioasId, iova, size);
  });

  f.test("hugetlb_file", {
    description: "Any pages of a file of huge pages can be mapped",
    rules: ["F1.2"],
    needs: () => ["hugetlb"],
  }, async ({ io, ioasId, hwptId }) => {
    const huge = io.context.hugePageSize;
    const { page } = io;
    const { fd, address } = await memfdMmap(io, 2 * huge, MAP_HUGETLB);
    const first = await mapFile(io, ioasId, fd, page, page);
    const last = await mapFile(io, ioasId, fd, BigInt(2 * huge) - page, page);
    // Across the boundary of two huge pages.
    const start = BigInt(huge) - 2n * page;
    const across = await mapFile(io, ioasId, fd, start, 4n * page);
    await mapFile(io, ioasId, fd, 2 * huge, page, hwptId ? EINVAL : undefined);
    if (hwptId) {
      const at = BigInt(address);
      await io.mock.checkMap(hwptId, first, page, at + page);
      await io.mock.checkMap(hwptId, last, page, at + BigInt(2 * huge) - page);
      await io.mock.checkMap(hwptId, across, 4n * page, at + start);
    }
    await io.unmap(ioasId, across, 4n * page);
    await io.munmap(address, 2 * huge);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("huge_page_dropped_while_pinned", {
    description:
      "Huge memory that is dropped while it is pinned takes nothing from files",
    rules: ["F1.10"],
    needs: () => ["hugetlb"],
    knownBug: () => "unreserves_huge_page_twice",
  }, async ({ io, ioasId }) => {
    const huge = io.context.hugePageSize;
    const buf = await io.mmap(huge, MAP_PRIVATE | MAP_HUGETLB);
    await io.process.poke(buf, Uint8Array.of(1));
    const memory = await io.map(ioasId, buf, huge);
    assertEq(await io.process.madvise(buf, huge, MADV_DONTNEED), 0, "madvise");
    await io.process.poke(buf, Uint8Array.of(2));
    const { fd, address } = await memfdMmap(io, huge, MAP_HUGETLB);
    const iova = await mapFile(io, ioasId, fd, 0, huge);
    await io.unmap(ioasId, iova, huge);
    await io.unmap(ioasId, memory, huge);
    await io.munmap(address, huge);
    await io.munmap(buf, huge);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("huge_length", {
    description: "A file of huge pages is as long as its whole pages",
    rules: ["F1.5"],
    needs: () => ["hugetlb"],
  }, async ({ io, ioasId, hwptId }) => {
    const fd = assertOk(await io.process.memfdCreate("", MFD_HUGETLB), "memfd");
    const errno = hwptId ? EINVAL : undefined;
    await mapFile(io, ioasId, fd, 0, io.page, errno);
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** Which IOVA is chosen. */
function registerChosenIova(f: MapFileFixture): void {
  f.test("chosen_iova", {
    description: "A chosen IOVA is as aligned as the place in the file",
    rules: ["F1.6"],
  }, async ({ io, ioasId, file, baseIova, stdevId }) => {
    const { page } = io;
    // IOVA 0 is never chosen.
    const first = baseIova || page;
    const map = (start: bigint, length: bigint) =>
      mapFile(io, ioasId, file, start, length);
    assertEq(await map(0n, page), first, "first IOVA");
    const aligned = await map(0n, 4n * page);
    assertEq(aligned % (4n * page), 0n, "misalignment of 4 pages from 0 on");
    // The place in the file allows less: a hole that 4 pages did not fit into.
    const less = await map(2n * page, 2n * page);
    const hole = first - first % (2n * page) + 2n * page;
    assertEq(less, hole, "IOVA of 2 pages from 2 on");
    const half = io.mockPage;
    const part = await map(half, half);
    assertEq(part % page, half, "offset in the page");
    const copied = await io.copy({
      dst: ioasId,
      src: ioasId,
      srcIova: part,
      length: half,
    });
    assertEq(copied % page, half, "offset of a copy");
    const odd = stdevId ? EINVAL : undefined;
    await mapFile(io, ioasId, file, half + 1n, 256, odd);
  });

  f.test("chosen_iova_errno", {
    description: "Lengths that are too long, ranges that are full",
    rules: ["F1.6"],
  }, async ({ io, ioasId, file, baseIova }) => {
    const { page } = io;
    await mapFile(io, ioasId, file, 0, 2n ** 63n, EOVERFLOW);
    const start = (baseIova || page) + page;
    await io.allowIovas(ioasId, [{ start, last: start + 2n * page - 1n }]);
    await mapFile(io, ioasId, file, page, 3n * page, ENOSPC);
    assertEq(await mapFile(io, ioasId, file, page, page), start, "1st IOVA");
    const second = await mapFile(io, ioasId, file, page, page);
    assertEq(second, start + page, "2nd IOVA");
    await mapFile(io, ioasId, file, page, page, ENOSPC);
  });

  f.test("rights", {
    description: "A file that was mapped for reading stays so, copies too",
    rules: ["F1.7"],
  }, async ({ io, ioasId, file, stdevId }) => {
    const { page } = io;
    const prot = IOMMU_IOAS_MAP_READABLE;
    const iova = await mapFile(io, ioasId, file, 0, page, undefined, prot);
    await io.copy({
      dst: ioasId,
      src: ioasId,
      srcIova: iova,
      length: page,
      prot,
    });
    if (stdevId) await io.destroy(ioasId, EBUSY);
  });
}

/** An iommufd with the file, in words shorter than a struct. */
export function mapPages(
  { io, ioasId, file }: FileSelf,
  first: number,
  pages: number,
  errno?: Errno,
): Promise<bigint> {
  const { page } = io as Iommufd;
  const start = BigInt(first) * page;
  return mapFile(io, ioasId, file, start, BigInt(pages) * page, errno);
}
