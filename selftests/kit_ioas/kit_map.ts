// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_map`: every way in which MAP and UNMAP can fail, and exactly
 * which IOVA the kernel chooses.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasMap,
} from "../../impl/uapi/iommufd.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd/iommufd_ioas.ts";

type MapFixture = Fixture<IoasVariant, IoasSelf>;

/** The variants of our fixtures over an IOAS. */
export const KIT_IOAS_VARIANTS: Readonly<Record<string, IoasVariant>> = {
  no_domain: { mockDomains: 0 },
  mock_domain: { mockDomains: 1 },
};

/** Adds the fixture's tests to `registry`. */
export function registerKitMap(registry: Test[]): void {
  const f: MapFixture = fixture(registry, "kit_map", {
    variants: KIT_IOAS_VARIANTS,
    upstream: false,
    setup: setupIoas,
    teardown: teardownIoas,
  });
  registerMapErrors(f);
  registerUnmapErrors(f);
  registerChosenIova(f);
}

/** One refused map: what is wrong with it, and the errno. */
type BadMap = readonly [string, Partial<IommuIoasMap>, Errno | undefined];

/** The refusals that do not depend on what the IOAS holds, in the kernel's order of checks. */
function badMaps(revision: Revision, page: bigint): readonly BadMap[] {
  const reserved = { reserved: 1 };
  const huge = { iova: U64_MAX };
  const unknown = { ioasId: 999 };
  return [
    ["an unknown flag", { flags: 1 << 3 }, EOPNOTSUPP],
    ["all flags", { flags: 0xffffffff }, EOPNOTSUPP],
    ["a reserved field", { ...reserved, ...huge, ...unknown }, EOPNOTSUPP],
    ["IOVA 2^64-1", { ...huge, ...unknown }, EOVERFLOW],
    ["length 2^64-1", { length: U64_MAX, ...unknown }, EOVERFLOW],
    ["an unknown IOAS", unknown, ENOENT],
    ["length 0", { length: 0n }, EINVAL],
    ["a length that leaves no page", { length: U64_MAX - page + 1n }, EINVAL],
    [
      "memory that wraps",
      { userVa: U64_MAX - page + 1n, length: 2n * page },
      revision.pages.checksUserVaOverflow ? EOVERFLOW : undefined,
    ],
  ];
}

/** Refused maps. */
function registerMapErrors(f: MapFixture): void {
  f.test("map_errno", {
    description: "MAP refuses bad arguments in the kernel's order",
    reference: "ioas.c iommufd_ioas_map, pages.c iopt_alloc_pages; P10.6, S04",
  }, async (self) => {
    const { io, ioasId, baseIova } = self;
    const good = {
      flags: MAP_FLAGS,
      ioasId,
      userVa: BigInt(io.buffer),
      length: io.page,
      iova: baseIova + io.page,
    };
    for (const [what, values, errno] of badMaps(io.revision, io.page)) {
      if (!errno) continue;
      const bad = { ...good, ...values };
      await io.call(IommuIoasMap, IOMMU_IOAS_MAP, bad, errno, what);
    }
    // The IOVA is checked although the kernel would choose another.
    const chosen = { ...good, flags: MAP_FLAGS & ~IOMMU_IOAS_MAP_FIXED_IOVA };
    const beyond = { ...chosen, iova: U64_MAX };
    await io.call(IommuIoasMap, IOMMU_IOAS_MAP, beyond, EOVERFLOW);
    await io.call(IommuIoasMap, IOMMU_IOAS_MAP, good);
  });

  f.test("map_wrapped_length", {
    description: "MAP refuses memory whose number of pages wraps",
    reference: "pages.c iopt_alloc_pages, io_pagetable.c iopt_insert_area",
    knownBug: "warns_of_wrapped_length",
  }, async ({ io, stdevId }) => {
    if (stdevId) return;
    const ioasId = await io.ioasAlloc();
    const length = U64_MAX - io.page;
    // The length is rounded up to 2^64 - 1 and the last byte is on a page of its own.
    await io.mapFixed(ioasId, 1, length, 0n);
    await io.unmap(ioasId, 0n, length);
    await io.mapFixed(ioasId, 2, length, 0n, EOVERFLOW);
    await io.mapFixed(ioasId, 2, length - 1n, 0n);
  });

  f.test("map_without_rights", {
    description: "Whether a map may be neither readable nor writeable",
    reference: "ioas.c iommufd_ioas_map; S03",
  }, async ({ io, ioasId, baseIova }) => {
    const errno = io.revision.ioas.mapNeedsProt ? EINVAL : undefined;
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova, errno, 0);
    // The check comes after that of the IOVA and before that of the IOAS.
    await io.mapFixed(ioasId, io.buffer, io.page, U64_MAX, EOVERFLOW, 0);
    await io.mapFixed(999, io.buffer, io.page, baseIova, errno ?? ENOENT, 0);
  });

  f.test("map_fixed_errno", {
    description:
      "A fixed map must be aligned, fit, and be neither reserved nor taken",
    reference: "io_pagetable.c iopt_check_iova; S01, S02",
  }, checkFixedErrors);

  f.test("map_bad_memory", {
    description: "Bad memory is only found when pages are pinned",
    reference: "io_pagetable.c iopt_fill_domains_pages; P08.6",
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const errno = stdevId ? EFAULT : undefined;
    const nothing = 2n ** 31n;
    await io.mapFixed(ioasId, nothing, io.page, baseIova, errno);
    await io.mapFixed(ioasId, 2n ** 60n, io.page, baseIova + io.page, errno);
    // The part of the last page that a length can still reach.
    const top = U64_MAX - io.page + 1n;
    const wraps = io.revision.pages.pinChecksOverflow ? EOVERFLOW : EFAULT;
    const part = io.mockPage;
    await io.mapFixed(
      ioasId,
      top,
      part,
      baseIova + 2n * io.page,
      stdevId ? wraps : undefined,
    );
    await io.unmap(ioasId, baseIova, io.page, stdevId ? ENOENT : undefined);
  });
}

/** Flags of a fixed map with both rights. */
const MAP_FLAGS: number = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
  IOMMU_IOAS_MAP_READABLE;

/** Test `map_fixed_errno`. */
async function checkFixedErrors(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId, baseIova } = self;
  const { page, mockPage, buffer } = io;
  const reserved = io.revision.ioas.reservedIovaErrno;
  const misaligned = stdevId ? EINVAL : undefined;
  const at = baseIova + 16n * page;

  await io.mapFixed(ioasId, buffer, page, at + 1n, misaligned);
  await io.mapFixed(ioasId, buffer, page + 1n, at + 2n * page, misaligned);
  const inPage = BigInt(buffer) + 1n;
  await io.mapFixed(ioasId, inPage, page, at + 4n * page, misaligned);
  const half = BigInt(buffer) + mockPage;
  await io.mapFixed(ioasId, half, page, at + 6n * page + mockPage);
  const wraps = U64_MAX - page + 1n;
  await io.mapFixed(ioasId, buffer, 2n * page, wraps, EOVERFLOW);

  const first = baseIova + 32n * page;
  await io.mock.addReserved(ioasId, first, page);
  for (const [start, pages] of [[0n, 1n], [-1n, 2n], [-1n, 3n]] as const) {
    const iova = first + start * page;
    await io.mapFixed(ioasId, buffer, pages * page, iova, reserved);
  }
  await io.mapFixed(ioasId, buffer, page, first - page);
  await io.mapFixed(ioasId, buffer, page, first + page);
  // What is reserved is told before what is taken.
  await io.mapFixed(ioasId, buffer, 3n * page, first - page, reserved);
  const exists = io.revision.ioas.areaExistsErrno;
  await io.mapFixed(ioasId, buffer, page, first + page, exists);
  if (stdevId) await io.mapFixed(ioasId, buffer, page, 0n, reserved);
  if (stdevId) await io.mapFixed(ioasId, buffer, page, 2n ** 31n, reserved);
}

/** Refused unmaps. */
function registerUnmapErrors(f: MapFixture): void {
  f.test("unmap_errno", {
    description: "UNMAP refuses bad arguments; the struct is left alone then",
    reference: "ioas.c iommufd_ioas_unmap; P10.8",
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    await io.unmap(999, 0n, U64_MAX, ENOENT);
    await io.unmap(ioasId, U64_MAX, page, EOVERFLOW);
    await io.unmap(ioasId, page, U64_MAX, EOVERFLOW);
    await io.unmap(ioasId, page, 0n, EINVAL);
    await io.unmap(ioasId, U64_MAX - page, 2n * page + 1n, EOVERFLOW);
    await io.unmap(ioasId, page, U64_MAX - page, ENOENT);
    await io.mapFixed(ioasId, io.buffer, 2n * page, baseIova);
    const left = await io.unmap(ioasId, baseIova, page, ENOENT);
    assertEq(left, page, "length after a failed unmap");
    // One whole area before the one that is cut is gone already.
    await io.mapFixed(ioasId, io.buffer, 2n * page, baseIova + 2n * page);
    await io.unmap(ioasId, baseIova, 3n * page, ENOENT);
    await io.unmap(ioasId, baseIova, 2n * page, ENOENT);
    const rest = await io.unmap(ioasId, baseIova + 2n * page, 2n * page);
    assertEq(rest, 2n * page, "bytes of the second area");
    assertEq(await io.unmap(ioasId, 0n, U64_MAX), 0n, "bytes in an empty IOAS");
  });
}

/** IOVA that the kernel chooses. */
function registerChosenIova(f: MapFixture): void {
  f.test("chosen_iova", {
    description: "The kernel chooses the first IOVA that fits and is aligned",
    reference: "io_pagetable.c iopt_alloc_iova; P09.2-P09.4",
  }, checkChosenIova);

  f.test("chosen_iova_errno", {
    description:
      "Lengths that are too long, alignments that are too small, full ranges",
    reference: "io_pagetable.c iopt_alloc_iova; P09.2, P09.3",
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const { page, buffer } = io;
    await io.map(ioasId, 0n, 2n ** 63n, EOVERFLOW);
    const odd = stdevId ? EINVAL : undefined;
    const iova = await io.map(ioasId, BigInt(buffer) + 1024n, page, odd);
    if (!odd) await io.unmap(ioasId, iova, page);
    const start = (baseIova || page) + page;
    await io.allowIovas(ioasId, [{ start, last: start + 4n * page - 1n }]);
    await io.map(ioasId, buffer, 5n * page, ENOSPC);
    for (let i = 0n; i < 4n; i++) {
      const iova = await io.map(ioasId, buffer, page);
      assertEq(iova, start + i * page, "IOVA in the allowed range");
    }
    await io.map(ioasId, buffer, page, ENOSPC);
    // A fixed map may lie outside.
    await io.mapFixed(ioasId, buffer, page, start + 4n * page);
  });

  f.test("chosen_iova_full", {
    description: "Where everything is reserved there is nothing to choose",
    reference: "io_pagetable.c iopt_alloc_iova; P09.4",
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    // Aligned to a page and no more, so that alignment wastes nothing.
    const memory = BigInt(io.buffer) + page;
    const free = (baseIova || page) + 8n * page;
    await io.mock.addReserved(ioasId, 0n, free);
    const above = free + 3n * page;
    await io.mock.addReserved(ioasId, above, U64_MAX - above);
    await io.map(ioasId, memory, 4n * page, ENOSPC);
    const iova = await io.map(ioasId, memory, 3n * page);
    assertEq(iova, free, "IOVA of all that is free");
    await io.map(ioasId, memory, page, ENOSPC);
  });

  f.test("chosen_iova_end", {
    description: "The last page of the IOVA space is never chosen",
    reference: "io_pagetable.c iopt_alloc_iova; P09.4",
  }, async ({ io }) => {
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    // Aligned to a page and no more, so that alignment wastes nothing.
    const memory = BigInt(io.buffer) + page;
    const end = U64_MAX - page + 1n;
    await io.mock.addReserved(ioasId, 0n, end - page);
    assertEq(await io.map(ioasId, memory, page), end - page, "last IOVA");
    await io.map(ioasId, memory, page, ENOSPC);
    await io.mapFixed(ioasId, memory, page, end);
  });

  f.test("chosen_iova_alignment", {
    description:
      "A chosen IOVA is as aligned as length and memory, up to a huge page",
    reference: "io_pagetable.c iopt_alloc_iova; S08",
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const huge = BigInt(io.context.hugePageSize);
    // Memory of a domain must exist; it need not where nothing is pinned.
    const cap = io.revision.ioas.capsIovaAlignment ? huge : 4n * huge;
    if (!stdevId) {
      const iova = await io.map(ioasId, 0n, 4n * huge);
      assertEq(iova, cap, "IOVA of a long range of memory at 0");
    }
    const { page, buffer } = io;
    await io.map(ioasId, buffer, page);
    const aligned = await io.map(ioasId, buffer, 8n * page);
    assertEq(aligned % (8n * page), 0n, "misalignment of 8 pages");
    const offset = BigInt(buffer) + 4n * page;
    const less = await io.map(ioasId, offset, 8n * page);
    assertEq(less % (4n * page), 0n, "misalignment of memory aligned to 4");
    assertEq(less >= baseIova, true, "the IOVA is in the aperture");
  });
}

/** Test `chosen_iova`. */
async function checkChosenIova(self: IoasSelf): Promise<void> {
  const { io, ioasId, baseIova } = self;
  const { page, mockPage, buffer } = io;
  // IOVA 0 is never chosen.
  const first = baseIova || page;
  assertEq(await io.map(ioasId, buffer, page), first, "first IOVA");
  assertEq(await io.map(ioasId, buffer, page), first + page, "next IOVA");

  // Part of a page keeps the memory's offset in the page.
  const half = BigInt(buffer) + mockPage;
  let iova = await io.map(ioasId, half, mockPage);
  assertEq(iova, first + 2n * page + mockPage, "IOVA with a page offset");
  iova = await io.map(ioasId, buffer, mockPage);
  assertEq(iova, first + 2n * page, "IOVA in front of it");

  // The lowest hole that is long enough is used again.
  await io.unmap(ioasId, first, page);
  await io.unmap(ioasId, first + page, page);
  iova = await io.map(ioasId, BigInt(buffer) + page, 2n * page);
  assertEq(iova, first, "IOVA of a hole");
  await io.unmap(ioasId, first, 2n * page);
  await io.mapFixed(ioasId, buffer, page, first);
  iova = await io.map(ioasId, BigInt(buffer) + page, 2n * page);
  assertEq(iova, first + 3n * page, "IOVA after a hole that is too short");
}
