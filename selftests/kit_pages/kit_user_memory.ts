// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_user_memory`: what a process does with its memory decides what
 * a pin gets. Of that the rules of Linux's mm that show through iommufd.
 *
 * @module
 */

import { EFAULT, EINVAL, ENOMEM, type Errno } from "../../impl/uapi/errno.ts";
import { IOMMU_IOAS_MAP_READABLE } from "../../impl/uapi/iommufd.ts";
import {
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_HUGETLB,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { assertResult, Iommufd } from "../ioctls/ioctls.ts";
import { registerSharing } from "./kit_user_memory_shared.ts";

/** What the tests share. */
interface Self {
  readonly io: Iommufd;
  /** An IOAS with a mock device. */
  readonly ioasId: number;
  /** The page table of the device. */
  readonly hwptId: number;
}

/** The fixture as the files of its tests see it. */
export type MemoryFixture = Fixture<undefined, Self>;

const IOVA = BigInt(MOCK_APERTURE_START);
const RW = PROT_READ | PROT_WRITE;

/** Adds the fixture's tests to `registry`. */
export function registerKitUserMemory(registry: Test[]): void {
  const f: MemoryFixture = fixture(registry, "kit_user_memory", {
    upstream: false,
    setup,
    teardown: ({ io }) => io.teardown(),
  });
  registerHuge(f);
  registerWriteOnly(f);
  registerPopulate(f);
  registerSharing(f);
}

async function setup(context: Context): Promise<Self> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  const { hwptId } = await io.mock.domain(ioasId);
  return { io, ioasId, hwptId };
}

/** The first byte of some memory. */
async function byteAt({ process }: Iommufd, address: number): Promise<number> {
  return (await process.peek(address, 1))[0]!;
}

/** Huge pages that nobody has touched. */
function registerHuge(f: MemoryFixture): void {
  f.test("huge_untouched", {
    description:
      "Reading private memory of huge pages gives it a page: there is no zero page of that size",
    rules: ["U1.4"],
    needs: () => ["hugetlb"],
  }, async ({ io }) => {
    const { hugePageSize } = io.context;
    const huge = await io.mmap(hugePageSize, MAP_PRIVATE | MAP_HUGETLB);
    const small = await io.mmap(io.page, MAP_PRIVATE);
    // What is part of a huge page is not looked at.
    await io.mock.checkRefs(huge, hugePageSize, 1);
    await io.mock.checkRefs(small, io.page, 0);
    await io.munmap(huge, hugePageSize);
  });

  f.test("huge_hole", {
    description:
      "A private mapping that reads a hole of a huge file has its own page from then on; one of small pages shares the file's",
    rules: ["U1.4"],
    needs: () => ["hugetlb"],
  }, async ({ io }) => {
    const { hugePageSize } = io.context;
    for (const flags of [MFD_HUGETLB, 0]) {
      const { shared, own } = await mapTwice(io, flags, 2 * hugePageSize);
      assertEq(await byteAt(io, own), 0, "the hole");
      await io.process.poke(shared, Uint8Array.of(5));
      await io.process.poke(shared + hugePageSize, Uint8Array.of(6));
      const filled = flags === MFD_HUGETLB ? 0 : 5;
      assertEq(await byteAt(io, own), filled, "the page that was read first");
      assertEq(await byteAt(io, own + hugePageSize), 6, "the other page");
      await io.munmap(shared, 2 * hugePageSize);
      await io.munmap(own, 2 * hugePageSize);
    }
  });

  f.test("huge_hole_pinned", {
    description: "A device sees the private page that was put into a hole",
    rules: ["U1.4"],
    needs: () => ["hugetlb"],
  }, async ({ io, ioasId }) => {
    const { hugePageSize } = io.context;
    const { shared, own } = await mapTwice(io, MFD_HUGETLB, hugePageSize);
    assertEq(await byteAt(io, own), 0, "the hole");
    await io.mapFixed(ioasId, own, io.page, IOVA);
    await io.process.poke(shared, Uint8Array.of(5));
    const access = await io.mock.createAccess(ioasId, false);
    const read = { iova: IOVA, length: 1, uptr: io.scratch };
    await io.process.poke(io.scratch, Uint8Array.of(9));
    await io.mock.accessRw(access, read);
    assertEq(await byteAt(io, io.scratch), 0, "what the device reads");
    await io.process.poke(own, Uint8Array.of(7));
    await io.mock.accessRw(access, read);
    assertEq(await byteAt(io, io.scratch), 7, "what was written since");
    await io.mock.destroyAccess(access);
    await io.unmap(ioasId, IOVA, io.page);
    await io.munmap(shared, hugePageSize);
    await io.munmap(own, hugePageSize);
  });
}

/** A memory file of `size` bytes, mapped shared and private. */
async function mapTwice(
  { process }: Iommufd,
  flags: number,
  size: number,
): Promise<{ shared: number; own: number }> {
  const fd = assertOk(await process.memfdCreate("kit", flags), "memfd_create");
  assertEq(await process.ftruncate(fd, size), 0, "ftruncate");
  const map = async (type: number) =>
    assertOk(await process.mmap(0, size, RW, type, fd), "mmap the file");
  const shared = await map(MAP_SHARED);
  const own = await map(MAP_PRIVATE);
  assertEq(await process.close(fd), 0, "close the file");
  return { shared, own };
}

/** Memory that may be written only. */
function registerWriteOnly(f: MemoryFixture): void {
  f.table("write_only", {
    description:
      "Memory with PROT_WRITE alone can be pinned for reading where a page is present",
    rules: ["U1.12"],
  }, (t, _variant, { pages }) => {
    const forced = pages.readPinsForceWrite;
    const rows: [string, number, number, boolean, boolean][] = [
      ["private", MAP_PRIVATE, PROT_WRITE, true, true],
      ["untouched", MAP_PRIVATE, PROT_WRITE, false, forced],
      ["shared", MAP_SHARED, PROT_WRITE, true, true],
      ["shared, untouched", MAP_SHARED, PROT_WRITE, false, forced],
      ["without access", MAP_PRIVATE, PROT_NONE, true, forced],
      ["readable", MAP_SHARED, PROT_READ, true, !forced],
    ];
    for (const [what, flags, prot, touch, works] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        const { page } = io;
        const buf = await io.mmap(page, flags);
        if (touch) await io.process.poke(buf, Uint8Array.of(1));
        const ret = await io.process.mprotect(buf, Number(page), prot);
        assertEq(ret, 0, "mprotect");
        const errno = works ? undefined : EFAULT;
        const read = IOMMU_IOAS_MAP_READABLE;
        await io.mapFixed(ioasId, buf, page, IOVA, errno, read);
        if (works) await io.unmap(ioasId, IOVA, page);
        await io.munmap(buf, page);
      });
    }
  });

  f.test("write_only_partly", {
    description:
      "A map for reading fails where write-only memory is not present, and unpins what was",
    rules: ["U1.12"],
  }, async ({ io, ioasId }) => {
    if (io.revision.pages.readPinsForceWrite) return;
    const { page } = io;
    const buf = await io.mmap(3n * page, MAP_PRIVATE);
    await io.process.poke(buf, new Uint8Array(2 * Number(page)).fill(1));
    await io.process.mprotect(buf, 3 * Number(page), PROT_WRITE);
    const read = IOMMU_IOAS_MAP_READABLE;
    await io.mapFixed(ioasId, buf, 3n * page, IOVA, EFAULT, read);
    await io.mock.checkRefs(buf, 2n * page, 0);
    await io.mock.checkRefs(buf, 3n * page, 0, EFAULT);
    await io.mapFixed(ioasId, buf, 2n * page, IOVA, undefined, read);
    await io.mock.checkRefs(buf, 2n * page, 1);
    await io.unmap(ioasId, IOVA, 2n * page);
    await io.munmap(buf, 3n * page);
  });

  f.test("write_only_forked", {
    description:
      "Write-only memory is pinned by its own process only, and not while a child has its pages too",
    rules: ["U1.12"],
    needs: () => ["fork"],
  }, async ({ io }) => {
    if (io.revision.pages.readPinsForceWrite) return;
    const { page, process } = io;
    const buf = await io.mmap(page, MAP_PRIVATE);
    await process.poke(buf, Uint8Array.of(1));
    await process.mprotect(buf, Number(page), PROT_WRITE);
    const ioasId = await io.ioasAlloc();
    const read = IOMMU_IOAS_MAP_READABLE;
    await io.mapFixed(ioasId, buf, page, IOVA, undefined, read);
    const child = await process.fork();
    await io.mock.domain(ioasId, EFAULT);
    // A write takes the page away from the child.
    await process.poke(buf, Uint8Array.of(2));
    await io.in(child).mock.domain(ioasId, EFAULT);
    await io.mock.domain(ioasId);
    await child.exit();
  });
}

/** madvise that faults memory in. */
function registerPopulate(f: MemoryFixture): void {
  f.table("populate", {
    description:
      "MADV_POPULATE_* goes from page to page and stops at the first that cannot be had",
    rules: ["U1.6"],
  }, (t) => {
    const pages = { rw: RW, r: PROT_READ, w: PROT_WRITE, none: PROT_NONE };
    type Page = keyof typeof pages | "hole";
    const rows: [string, readonly [Page, Page, Page], Errno?][] = [
      ["WRITE", ["rw", "rw", "rw"]],
      ["WRITE", ["rw", "hole", "r"], ENOMEM],
      ["WRITE", ["rw", "r", "hole"], EINVAL],
      ["WRITE", ["hole", "r", "rw"], ENOMEM],
      ["WRITE", ["rw", "rw", "hole"], ENOMEM],
      ["READ", ["rw", "r", "rw"]],
      ["READ", ["rw", "hole", "none"], ENOMEM],
      ["READ", ["rw", "w", "hole"], EINVAL],
    ];
    for (const [verb, kinds, errno] of rows) {
      const what = `${verb} of ${kinds.join(", ")}`;
      t.case(what, async ({ io }) => {
        const advice = verb === "WRITE"
          ? MADV_POPULATE_WRITE
          : MADV_POPULATE_READ;
        const prots = kinds.map((kind) => kind === "hole" ? -1 : pages[kind]);
        assertResult(await adviseParts(io, advice, prots), errno, what);
      });
    }
  });

  f.table("populate_beyond_file", {
    description: "MADV_POPULATE_READ beyond the end of a file fails, EFAULT",
    rules: ["U1.6"],
  }, (t) => {
    for (const type of [MAP_SHARED, MAP_PRIVATE]) {
      const how = type === MAP_SHARED ? "shared" : "private";
      t.case(`a ${how} mapping`, async ({ io: { process, page } }) => {
        const size = Number(page);
        const fd = assertOk(await process.memfdCreate("short", 0), "memfd");
        assertEq(await process.ftruncate(fd, size), 0, "ftruncate");
        const map = await process.mmap(0, 2 * size, RW, type, fd);
        const at = assertOk(map, "mmap");
        const populate = (length: number) =>
          process.madvise(at, length, MADV_POPULATE_READ);
        assertEq(await populate(size), 0, "the page of the file");
        assertResult(await populate(2 * size), EFAULT, "one page more");
        assertEq(await process.close(fd), 0, "close");
      });
    }
  });
}

/** Advice about pages in a row with these protections; -1 for a page that is not mapped. */
async function adviseParts(
  { process, context: { pageSize } }: Iommufd,
  advice: number,
  prots: readonly number[],
): Promise<number> {
  const length = prots.length * pageSize;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const start = assertOk(await process.mmap(0, length, RW, flags), "mmap");
  for (const [i, prot] of prots.entries()) {
    const at = start + i * pageSize;
    const ret = prot < 0
      ? await process.munmap(at, pageSize)
      : await process.mprotect(at, pageSize, prot);
    assertEq(ret, 0, `protection of page ${i}`);
  }
  const ret = await process.madvise(start, length, advice);
  assertEq(await process.munmap(start, length), 0, "munmap");
  return ret;
}
