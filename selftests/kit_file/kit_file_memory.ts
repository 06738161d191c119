// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_map_file`: the pages of a file: which are there, when they are
 * pinned, and what a device and an access see of them.
 *
 * @module
 */

import { EINVAL, EPERM } from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
  MOCK_FLAGS_ACCESS_WRITE,
} from "../../impl/uapi/selftest.ts";
import { VFIO_TYPE1_IOMMU } from "../../impl/uapi/vfio.ts";
import { assertBytes, assertEq } from "../harness/harness.ts";
import { Random } from "../harness/random.ts";
import { mapFile, mapFileFixed, memfdMmap } from "../ioctls/file_ioctls.ts";
import { type Iommufd, MAP_RW } from "../ioctls/ioctls.ts";
import { setIommu, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";
import { FILE_PAGES, type MapFileFixture, mapPages } from "./kit_map_file.ts";

/** Where a mock domain can map. */
const IOVA = BigInt(MOCK_APERTURE_START);

const SLOW = MOCK_ACCESS_RW_SLOW_PATH;
const WRITE = MOCK_ACCESS_RW_WRITE;

/** Adds the tests to the fixture. */
export function registerFileMemory(f: MapFileFixture): void {
  registerLengths(f);
  registerPins(f);
  registerTruncation(f);
  registerAccess(f);
  registerOwners(f);
  registerLayout(f);
}

/** Where a file ends. */
function registerLengths(f: MapFileFixture): void {
  f.table("lengths", {
    description: "Only whole pages of a file can be pinned",
    rules: ["F1.5"],
  }, (t, { mockDomains }) => {
    const rows: [string, number, number, number, boolean][] = [
      ["all of 3 pages", 3, 0, 3, true],
      ["the last of 3 pages", 3, 2, 1, true],
      ["a page too many", 3, 0, 4, false],
      ["what begins at the end", 3, 3, 1, false],
      ["what is far beyond the end", 3, 2 ** 40, 1, false],
      ["the whole pages of a file that ends in a page", 2.25, 0, 2, true],
      ["the part of a page at the end", 2.25, 2, 0.25, false],
      ["a page of an empty file", 0, 0, 1, false],
      ["a part of a page of an empty file", 0, 0, 0.5, false],
    ];
    for (const [what, length, first, pages, good] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        const size = io.context.pageSize;
        const fd = await makeFile(io, length * size);
        const errno = mockDomains && !good ? EINVAL : undefined;
        const start = first * size;
        // A part of a page is mapped in granules of the mock's.
        const bytes = Math.max(pages * size, size / 2);
        const iova = await mapFile(io, ioasId, fd, start, bytes, errno);
        if (!errno) await io.unmap(ioasId, iova, bytes);
        assertEq(await io.process.close(fd), 0, "close");
      });
    }
  });

  f.test("start_beyond_all_files", {
    description: "No file reaches beyond 2^63-1",
    rules: ["F1.5"],
  }, async ({ io, ioasId, file, stdevId }) => {
    const errno = stdevId ? EINVAL : undefined;
    for (const start of [2n ** 63n, 2n ** 63n - io.page, 2n ** 64n - io.page]) {
      await mapFile(io, ioasId, file, start, io.page, errno);
    }
  });

  f.test("grown_file", {
    description: "A file that was too short can be pinned once it has grown",
    rules: ["F1.5"],
  }, async ({ io }) => {
    const { page } = io;
    const at = IOVA;
    const size = io.context.pageSize;
    const ioasId = await io.ioasAlloc();
    const fd = await makeFile(io, size);
    await mapFileFixed(io, ioasId, fd, 0, page, at);
    await mapFileFixed(io, ioasId, fd, page, page, at + page);
    await io.mock.domain(ioasId, EINVAL);
    assertEq(await io.process.ftruncate(fd, 2 * size), 0, "ftruncate");
    await io.mock.domain(ioasId);
    assertEq(await io.process.close(fd), 0, "close");
  });
}

/** A memory file of some bytes; its descriptor. */
async function makeFile(io: Iommufd, length: number): Promise<number> {
  const fd = await io.process.memfdCreate("file", 0);
  assertEq(await io.process.ftruncate(fd, length), 0, "ftruncate");
  return fd;
}

/** How often pages are pinned. */
function registerPins(f: MapFileFixture): void {
  f.test("pins", {
    description: "A page is pinned once by each map of it, copies not counted",
    rules: ["F1.8"],
  }, async (self) => {
    const { io, ioasId, address, stdevId, hwptId } = self;
    const { page } = io;
    const refs = (first: number, pages: number, count: number) =>
      io.mock.checkRefs(
        BigInt(address) + BigInt(first) * page,
        BigInt(pages) * page,
        stdevId ? count : 0,
      );
    const size = BigInt(FILE_PAGES) * page;
    const all = await mapPages(self, 0, FILE_PAGES);
    if (hwptId) await io.mock.checkMap(hwptId, all, size, address);
    await refs(0, FILE_PAGES, 1);
    const part = await mapPages(self, 2, 3);
    await refs(0, 2, 1);
    await refs(2, 3, 2);
    await refs(5, FILE_PAGES - 5, 1);
    const srcIova = all + page;
    await io.copy({ dst: ioasId, src: ioasId, srcIova, length: 4n * page });
    await refs(0, 2, 1);
    await refs(2, 3, 2);
    // The memory is the same when it is mapped by its address.
    await io.map(ioasId, address, page);
    await refs(0, 1, 2);
    await io.unmap(ioasId, all, size);
    await refs(1, 1, 1);
    await refs(2, 3, 2);
    await refs(5, 3, 0);
    await io.unmap(ioasId, part, 3n * page);
    await refs(2, 3, 1);
  });

  f.test("pinned_by_first_domain", {
    description: "Without a domain nothing is pinned until there is one",
    rules: ["F1.8"],
  }, async (self) => {
    const { io, address, file } = self;
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, file, 0, io.page, IOVA);
    await io.mock.checkRefs(address, io.page, 0);
    const first = await io.mock.domain(ioasId);
    await io.mock.checkMap(first.hwptId, IOVA, io.page, address);
    await io.mock.checkRefs(address, io.page, 1);
    const second = await io.mock.domain(ioasId);
    await io.mock.checkRefs(address, io.page, 1);
    await io.mock.destroyDomain(first);
    await io.mock.checkRefs(address, io.page, 1);
    await io.mock.destroyDomain(second);
    await io.mock.checkRefs(address, io.page, 0);
  });

  f.test("attach_fails", {
    description: "A device that cannot have one area gets none",
    rules: ["F1.8"],
  }, async ({ io, address, file }) => {
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    const at = IOVA;
    await mapFileFixed(io, ioasId, file, 0, page, at);
    await mapFileFixed(
      io,
      ioasId,
      file,
      BigInt(FILE_PAGES) * page,
      page,
      at + page,
    );
    await mapFileFixed(io, ioasId, file, page, page, at + 2n * page);
    await io.mock.domain(ioasId, EINVAL);
    await io.mock.checkRefs(address, 2n * page, 0);
    await io.unmap(ioasId, at + page, page);
    const { hwptId } = await io.mock.domain(ioasId);
    await io.mock.checkMap(hwptId, at, page, address);
    await io.mock.checkRefs(address, 2n * page, 1);
  });

  f.test("fails_late", {
    description: "A map that fails after many pages leaves none pinned",
    rules: ["F1.8"],
  }, async (self) => {
    const { io, address, stdevId } = self;
    if (!stdevId) return;
    await mapPages(self, 0, FILE_PAGES + 1, EINVAL);
    await io.mock.checkRefs(address, BigInt(FILE_PAGES) * io.page, 0);
    await io.mock.setMemoryLimit(24);
    await mapPages(self, 0, FILE_PAGES + 1, EINVAL);
    await io.mock.checkRefs(address, BigInt(FILE_PAGES) * io.page, 0);
    const iova = await mapPages(self, 0, FILE_PAGES);
    await io.mock.checkRefs(address, BigInt(FILE_PAGES) * io.page, 1);
    await io.unmap(self.ioasId, iova, BigInt(FILE_PAGES) * io.page);
  });

  f.test("missing_pages", {
    description: "Pages that the file does not have yet are made by a pin",
    rules: ["F1.9"],
  }, async ({ io, ioasId, hwptId }) => {
    const size = 4 * io.context.pageSize;
    const { fd, address } = await memfdMmap(io, size);
    // Every second page is there.
    for (const index of [1, 3]) {
      const at = address + index * io.context.pageSize;
      await io.process.poke(at, Uint8Array.of(index));
    }
    const iova = await mapFile(io, ioasId, fd, 0, size);
    if (hwptId) await io.mock.checkMap(hwptId, iova, size, address);
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova, length: size, uptr: address };
    const item = await io.mock.accessPages(access, range);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
    const bytes = await io.process.peek(address, size);
    for (const index of [0, 1, 2, 3]) {
      const first = bytes[index * io.context.pageSize];
      assertEq(first!, index % 2 ? index : 0, `first byte of page ${index}`);
    }
    await io.unmap(ioasId, iova, size);
    await io.munmap(address, size);
  });
}

/** Files that are cut while they are mapped. */
function registerTruncation(f: MapFileFixture): void {
  f.test("truncated_while_pinned", {
    description:
      "Pages that are pinned stay what they were when the file is cut",
    rules: ["F1.10"],
  }, async (self) => {
    const { io, ioasId, file, address, hwptId } = self;
    const size = io.context.pageSize;
    const bytes = new Random(1).bytes(size);
    await io.process.poke(address, bytes);
    const iova = await mapPages(self, 0, 1);
    const access = await io.mock.createAccess(ioasId, true);
    const pins = { iova, length: io.page, uptr: address };
    const item = await io.mock.accessPages(access, pins);
    assertEq(await io.process.ftruncate(file, 0), 0, "ftruncate");
    const copy = { iova, length: size, uptr: io.scratch };
    await io.mock.accessRw(access, copy);
    assertBytes(await io.process.peek(io.scratch, size), bytes, "pinned page");
    await mapPages(self, 0, 1, hwptId ? EINVAL : undefined);
    assertEq(await io.process.ftruncate(file, size * FILE_PAGES), 0, "grow");
    // The file has another page there now.
    assertEq((await io.process.peek(address, 1))[0]!, 0, "first byte");
    if (hwptId) await io.mock.checkMap(hwptId, iova, size, address, EINVAL);
    await io.mock.accessRw(access, { ...copy, flags: SLOW });
    assertBytes(await io.process.peek(io.scratch, size), bytes, "pinned page");
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
    await io.unmap(ioasId, iova, io.page);
  });

  f.test("truncated_before_pins", {
    description: "What was cut off can be neither pinned nor copied",
    rules: ["F1.10"],
  }, async ({ io, file }) => {
    const ioasId = await io.ioasAlloc();
    const iova = IOVA;
    await mapFileFixed(io, ioasId, file, 0, 2n * io.page, iova);
    const access = await io.mock.createAccess(ioasId, true);
    assertEq(await io.process.ftruncate(file, io.context.pageSize), 0, "cut");
    const two = { iova, length: 2n * io.page, uptr: io.scratch };
    await io.mock.accessPages(access, { ...two, uptr: 0 }, EINVAL);
    await io.mock.accessRw(access, two, EINVAL);
    await io.mock.accessRw(access, { ...two, length: io.page });
    const item = await io.mock.accessPages(access, {
      ...two,
      length: io.page,
      uptr: 0,
    });
    await io.mock.domain(ioasId, EINVAL);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
    const size = FILE_PAGES * io.context.pageSize;
    assertEq(await io.process.ftruncate(file, size), 0, "grow");
  });
}

/** Accesses. */
function registerAccess(f: MapFileFixture): void {
  f.test("access_pins", {
    description: "An access pins the file's pages, once with a domain",
    rules: ["F1.8"],
  }, async (self) => {
    const { io, ioasId, address, stdevId } = self;
    const { page } = io;
    const iova = await mapPages(self, 0, 4);
    const access = await io.mock.createAccess(ioasId, true);
    const at = BigInt(address);
    const range = { iova: iova + page, length: 2n * page, uptr: at + page };
    const item = await io.mock.accessPages(access, range);
    const same = await io.mock.accessPages(access, range);
    await io.mock.checkRefs(at + page, 2n * page, 1);
    await io.mock.checkRefs(at, page, stdevId ? 1 : 0);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.checkRefs(at + page, 2n * page, 1);
    await io.mock.destroyAccessPages(access, same);
    await io.mock.checkRefs(at + page, 2n * page, stdevId ? 1 : 0);
    // UNMAP asks the access to let go.
    await io.mock.accessPages(access, range);
    await io.unmap(ioasId, iova, 4n * page);
    await io.mock.checkRefs(at, 4n * page, 0);
    await io.mock.destroyAccess(access);
  });

  f.table("access_rw", {
    description: "Bytes that an access copies are those of the file",
    rules: ["F1.12"],
    async prepare(self) {
      const { io, ioasId, address } = self;
      const size = FILE_PAGES * io.context.pageSize;
      const bytes = new Random(2).bytes(size);
      await io.process.poke(address, bytes);
      const iova = await mapPages(self, 0, FILE_PAGES);
      const access = await io.mock.createAccess(ioasId, false);
      return { io, iova, address, access, bytes };
    },
    async finish({ io, access, bytes, address }) {
      const left = await io.process.peek(address, bytes.length);
      assertBytes(left, bytes, "the file");
      await io.mock.destroyAccess(access);
    },
  }, (t) => {
    const rows: [string, (page: number) => [offset: number, length: number]][] =
      [
        ["a byte", () => [0, 1]],
        ["a part of a page", () => [100, 200]],
        ["a page", (page) => [page, page]],
        ["across two pages", (page) => [page - 8, 16]],
        ["across many pages", (page) => [10, 5 * page + 20]],
        ["the last bytes", (page) => [FILE_PAGES * page - 3, 3]],
      ];
    for (const [what, rangeOf] of rows) {
      for (const flags of [0, SLOW]) {
        const how = flags ? ", the slow way" : "";
        t.case(`read ${what}${how}`, async ({ io, iova, access, bytes }) => {
          const [offset, length] = rangeOf(io.context.pageSize);
          const at = iova + BigInt(offset);
          const range = { iova: at, length, uptr: io.scratch, flags };
          await io.mock.accessRw(access, range);
          const actual = await io.process.peek(io.scratch, length);
          assertBytes(actual, bytes.subarray(offset, offset + length), what);
        });
        t.case(`write ${what}${how}`, async (self) => {
          const { io, iova, access, address, bytes } = self;
          const [offset, length] = rangeOf(io.context.pageSize);
          const part = new Random(offset + flags).bytes(length);
          await io.process.poke(io.scratch, part);
          const at = iova + BigInt(offset);
          const range = { iova: at, length, uptr: io.scratch };
          await io.mock.accessRw(access, { ...range, flags: flags | WRITE });
          const actual = await io.process.peek(address + offset, length);
          assertBytes(actual, part, what);
          bytes.set(part, offset);
        });
      }
    }
  });

  f.test("access_rights", {
    description: "A file mapped for reading is not written",
    rules: ["F1.7"],
  }, async ({ io, ioasId, file }) => {
    const prot = IOMMU_IOAS_MAP_READABLE;
    const iova = await mapFile(io, ioasId, file, 0, io.page, undefined, prot);
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova, length: io.page, uptr: 0 };
    const flags = MOCK_FLAGS_ACCESS_WRITE;
    await io.mock.accessPages(access, { ...range, flags }, EPERM);
    const copy = { iova, length: 4, uptr: io.scratch };
    await io.mock.accessRw(access, { ...copy, flags: WRITE }, EPERM);
    await io.mock.accessRw(access, { ...copy, flags: WRITE | SLOW }, EPERM);
    await io.mock.accessRw(access, copy);
    const copyRw = { dst: ioasId, src: ioasId, srcIova: iova, length: io.page };
    await io.copy({ ...copyRw, prot: MAP_RW }, EPERM);
    await io.mock.destroyAccess(access);
  });
}

/** Processes. */
function registerOwners(f: MapFileFixture): void {
  f.test("owner_gone", {
    description:
      "A file can be pinned after the process that mapped it is gone",
    rules: ["F1.4"],
    needs: () => ["fork"],
  }, async (self) => {
    const { io, file, address } = self;
    const ioasId = await io.ioasAlloc();
    const bytes = new Random(3).bytes(io.context.pageSize);
    await io.process.poke(address, bytes);
    const child = await io.process.fork();
    await mapFileFixed(io.in(child), ioasId, file, 0, 2n * io.page, IOVA);
    await child.exit();
    const access = await io.mock.createAccess(ioasId, true);
    const copy = { iova: IOVA, length: bytes.length, uptr: io.scratch };
    await io.mock.accessRw(access, copy);
    const seen = await io.process.peek(io.scratch, bytes.length);
    assertBytes(seen, bytes, "the file");
    const range = { iova: IOVA, length: io.page, uptr: address };
    const item = await io.mock.accessPages(access, range);
    const { hwptId } = await io.mock.domain(ioasId);
    await io.mock.checkMap(hwptId, IOVA, 2n * io.page, address);
    await io.mock.checkRefs(address, 2n * io.page, 1);
    await io.mock.destroyAccessPages(access, item);
    await io.mock.destroyAccess(access);
  });
}

/** How areas lie. */
function registerLayout(f: MapFileFixture): void {
  f.test("small_pages", {
    description: "Without large pages a file is mapped page by page",
    rules: ["F1.13"],
  }, async ({ io, file, address }) => {
    const ioasId = await io.ioasAlloc();
    await io.setOption(IOMMU_OPTION_HUGE_PAGES, ioasId, 0n);
    const { hwptId } = await io.mock.domain(ioasId);
    const size = BigInt(FILE_PAGES) * io.page;
    const iova = await mapFile(io, ioasId, file, 0, size);
    await io.mock.checkMap(hwptId, iova, size, address);
    await mapFile(io, ioasId, file, io.mockPage, io.page, EINVAL);
  });

  f.test("vfio_cut", {
    description: "VFIO's UNMAP_DMA of version 1 cuts an area of a file",
    rules: ["F1.13"],
  }, async ({ io, file, address }) => {
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
    await setIommu(io, VFIO_TYPE1_IOMMU);
    const { hwptId } = await io.mock.domain(ioasId);
    const at = IOVA;
    await mapFileFixed(io, ioasId, file, 0, 4n * page, at);
    const iova = at + page;
    assertEq(await unmapDma(io, { iova, length: page }), page, "bytes");
    await io.mock.checkMap(hwptId, at, page, address);
    const rest = BigInt(address) + 2n * page;
    await io.mock.checkMap(hwptId, at + 2n * page, 2n * page, rest);
    await io.mock.checkRefs(BigInt(address) + page, page, 0);
    await io.mock.checkRefs(rest, 2n * page, 1);
  });

  f.test("copy_between", {
    description:
      "A copy in another IOAS has the same pages, and outlives the first",
    rules: ["F1.12"],
  }, async (self) => {
    const { io, ioasId, address } = self;
    const { page } = io;
    const other = await io.ioasAlloc();
    const { hwptId } = await io.mock.domain(other);
    const srcIova = await mapPages(self, 1, 4);
    const iova = await io.copy({
      dst: other,
      src: ioasId,
      srcIova: srcIova + page,
      length: 2n * page,
    });
    const at = BigInt(address) + 2n * page;
    await io.mock.checkMap(hwptId, iova, 2n * page, at);
    await io.unmap(ioasId, srcIova, 4n * page);
    await io.mock.checkMap(hwptId, iova, 2n * page, at);
    await io.mock.checkRefs(at, 2n * page, 1);
    await io.mock.checkRefs(address, 2n * page, 0);
  });
}
