// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_memory_limit`: memory in single scattered pages, under limits
 * of the temporary memory that end a batch after one element, after two, and
 * after many.
 *
 * @module
 */

import { EFAULT, EINVAL } from "../../impl/uapi/errno.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { MAP_SHARED } from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import type { MockDomain } from "../ioctls/mock_ioctls.ts";
import { Random } from "../harness/random.ts";

/** Parameters of a variant. */
interface LimitVariant {
  /** Temporary memory limit, bytes: 12 are one batch element. */
  readonly limit: number;
}

/** What the tests share. */
interface LimitSelf {
  readonly io: Iommufd;
  /** An IOAS with a mock device. */
  readonly ioasId: number;
  readonly domain: MockDomain;
  /** {@link PAGES} pages that do not follow each other in memory. */
  readonly buf: number;
}

type LimitFixture = Fixture<LimitVariant, LimitSelf>;

const VARIANTS: Readonly<Record<string, LimitVariant>> = {
  limit_12: { limit: 12 },
  limit_24: { limit: 24 },
  limit_4096: { limit: 4096 },
};

const IOVA = BigInt(MOCK_APERTURE_START);

/** Pages of the memory: more than a batch on the kernel's stack holds. */
const PAGES = 48;

/** Adds the fixture's tests to `registry`. */
export function registerKitMemoryLimit(registry: Test[]): void {
  const f: LimitFixture = fixture(registry, "kit_memory_limit", {
    variants: VARIANTS,
    upstream: false,
    setup: setupLimit,
    teardown: async ({ io }) => {
      await io.mock.setMemoryLimit();
      await io.teardown();
    },
  });
  registerLimit(f);
  registerDomains(f);
  registerPins(f);
}

async function setupLimit(
  context: Context,
  { limit }: LimitVariant,
): Promise<LimitSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  await io.mock.setMemoryLimit(limit);
  const domain = await io.mock.domain(ioasId);
  const { pageSize } = context;
  const buf = await io.mmap(PAGES * pageSize, MAP_SHARED);
  // Touched from the end on, no page lies behind its neighbour in memory.
  for (let page = PAGES - 1; page >= 0; page--) {
    await io.process.poke(buf + page * pageSize, Uint8Array.of(page));
  }
  return { io, ioasId, domain, buf };
}

/** The limit itself. */
function registerLimit(f: LimitFixture): void {
  f.table("smallest_limit", {
    description: "A limit that holds no batch element is refused",
    rules: ["P15.13"],
    since: "6.2",
  }, (t) => {
    for (const limit of [11, 0]) {
      t.case(
        `${limit} bytes`,
        ({ io }) => io.mock.setMemoryLimit(limit, EINVAL),
      );
    }
    t.case("12 bytes", ({ io }) => io.mock.setMemoryLimit(12));
  });
}

/** Domains that are filled in many batches. */
function registerDomains(f: LimitFixture): void {
  f.test("map", {
    description: "Memory reaches its domains over any number of batches",
    rules: ["P07.8", "P08.6"],
  }, async ({ io, ioasId, domain, buf }) => {
    const length = BigInt(PAGES) * io.page;
    await io.mapFixed(ioasId, buf, length, IOVA);
    const second = await io.mock.domain(ioasId);
    for (const { hwptId } of [domain, second]) {
      await io.mock.checkMap(hwptId, IOVA, length, buf);
    }
    await io.mock.checkRefs(buf, length, 1);
    const copyIova = IOVA + length;
    const copy = { src: ioasId, srcIova: IOVA, dst: ioasId, length };
    await io.copy({ ...copy, dstIova: copyIova });
    await io.mock.checkMap(domain.hwptId, copyIova, length, buf);
    await io.mock.checkRefs(buf, length, 1);
    await io.unmap(ioasId, IOVA, length);
    await io.mock.checkMap(second.hwptId, copyIova, length, buf);
    await io.mock.destroyDomain(domain);
    await io.mock.checkMap(second.hwptId, copyIova, length, buf);
    await io.unmap(ioasId, copyIova, length);
    await io.mock.checkRefs(buf, length, 0);
  });

  f.test("map_unaligned", {
    description: "Half pages at both ends reach the domain",
    rules: ["P07.15"],
  }, async ({ io, ioasId, domain, buf }) => {
    const start = BigInt(buf) + io.mockPage;
    const length = BigInt(PAGES - 1) * io.page;
    await io.mapFixed(ioasId, start, length, IOVA + io.mockPage);
    const { hwptId } = domain;
    await io.mock.checkMap(hwptId, IOVA + io.mockPage, length, start);
    await io.mock.checkRefs(buf, BigInt(PAGES) * io.page, 1);
    await io.unmap(ioasId, IOVA + io.mockPage, length);
  });

  f.test("map_pairs", {
    description: "Runs of two pages reach the domain, each with its edges",
    rules: ["P07.15", "P08.2"],
  }, async ({ io, ioasId, domain }) => {
    const { pageSize } = io.context;
    const length = BigInt(PAGES) * io.page;
    const pairs = await io.mmap(PAGES * pageSize, MAP_SHARED);
    for (let page = PAGES - 2; page >= 0; page -= 2) {
      await io.process.poke(pairs + page * pageSize, Uint8Array.of(page));
      await io.process.poke(pairs + (page + 1) * pageSize, Uint8Array.of(page));
    }
    await io.mapFixed(ioasId, pairs, length, IOVA);
    await io.mock.checkMap(domain.hwptId, IOVA, length, pairs);
    await io.mock.checkRefs(pairs, length, 1);
    await io.unmap(ioasId, IOVA, length);
    await io.mock.checkRefs(pairs, length, 0);
  });

  f.test("fault_in_late_batch", {
    description: "Bad memory in a late batch undoes the early ones",
    rules: ["B25", "B26"],
  }, async ({ io, ioasId, buf }) => {
    await io.mock.domain(ioasId);
    const { pageSize } = io.context;
    const length = BigInt(PAGES) * io.page;
    for (const hole of [PAGES - 1, PAGES / 2, 1]) {
      await io.munmap(buf + hole * pageSize, pageSize);
      await io.mapFixed(ioasId, buf, length, IOVA, EFAULT);
      await io.mock.checkRefs(buf, hole * pageSize, 0);
    }
    await io.mapFixed(ioasId, buf, io.page, IOVA);
    await io.unmap(ioasId, IOVA, io.page);
  });
}

/** Pins and transfers in many batches. */
function registerPins(f: LimitFixture): void {
  f.test("pin_and_unfill", {
    description:
      "Islands of pinned pages survive the domains, whatever lies between",
    rules: ["B27"],
  }, checkIslands);

  f.test("rw_slow", {
    description: "The slow path reads and writes over any number of batches",
    rules: ["P08.14"],
  }, async ({ io, ioasId, domain, buf }) => {
    const size = PAGES * io.context.pageSize - 300;
    const half = size >> 1;
    const random = new Random(11);
    const access = await io.mock.createAccess(ioasId, false);
    const away = await io.mmap(PAGES * io.context.pageSize, MAP_SHARED);
    await io.mapFixed(ioasId, buf, BigInt(PAGES) * io.page, IOVA);
    // First out of a domain, then out of the process's memory.
    for (const pinned of [true, false]) {
      if (!pinned) await io.mock.destroyDomain(domain);
      const contents = random.bytes(size);
      await io.process.poke(buf + 100, contents);
      const read = {
        iova: IOVA + 100n,
        length: size,
        uptr: away,
        flags: MOCK_ACCESS_RW_SLOW_PATH,
      };
      await io.mock.accessRw(access, read);
      const seen = await io.process.peek(away, size);
      assertBytes(seen, contents, "bytes read");
      const flags = MOCK_ACCESS_RW_SLOW_PATH | MOCK_ACCESS_RW_WRITE;
      await io.process.poke(away, random.bytes(half));
      await io.mock.accessRw(access, { ...read, length: half, flags });
      contents.set(await io.process.peek(away, half));
      const written = await io.process.peek(buf + 100, size);
      assertBytes(written, contents, "bytes written");
      const refs = pinned ? 1 : 0;
      await io.mock.checkRefs(buf, PAGES * io.context.pageSize, refs);
    }
    await io.mock.destroyAccess(access);
  });
}

/** Test `pin_and_unfill`. */
async function checkIslands(self: LimitSelf): Promise<void> {
  const { io, ioasId, domain, buf } = self;
  const { pageSize } = io.context;
  await io.mapFixed(ioasId, buf, BigInt(PAGES) * io.page, IOVA);
  const access = await io.mock.createAccess(ioasId, true);
  const islands = [[0, 1], [3, 5], [20, 7], [24, 10], [PAGES - 2, 2]] as const;
  const items: number[] = [];
  for (const [first, count] of islands) {
    const item = await io.mock.accessPages(access, {
      iova: IOVA + BigInt(first * pageSize),
      length: count * pageSize,
      uptr: buf + first * pageSize,
    });
    items.push(item);
  }
  await io.mock.destroyDomain(domain);
  const open = new Set(islands);
  await checkPinned(self, open);
  for (const [index, island] of islands.entries()) {
    await io.mock.destroyAccessPages(access, items[index]!);
    open.delete(island);
    await checkPinned(self, open);
  }
  await io.mock.destroyAccess(access);
}

/** Asserts that each page is pinned that an island covers, and no other. */
async function checkPinned(
  { io, buf }: LimitSelf,
  islands: ReadonlySet<readonly [number, number]>,
): Promise<void> {
  const { pageSize } = io.context;
  for (let page = 0; page < PAGES; page++) {
    const isPinned = [...islands].some(([first, count]) =>
      page >= first && page < first + count
    );
    const at = buf + page * pageSize;
    await io.mock.checkRefs(at, pageSize, isPinned ? 1 : 0);
  }
}
