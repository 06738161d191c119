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
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd_ioas/iommufd_ioas.ts";

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

/** A row of refused maps: what is wrong, the errno, and the values of the struct. */
type BadMap = readonly [
  what: string,
  errno: Errno,
  values: (page: bigint) => Partial<IommuIoasMap>,
];

/** The refusals that do not depend on what the IOAS holds, in the kernel's order of checks. */
function badMaps({ pages }: Revision): readonly BadMap[] {
  const huge = { iova: U64_MAX };
  const unknown = { ioasId: 999 };
  const rows: BadMap[] = [
    ["an unknown flag", EOPNOTSUPP, () => ({ flags: 1 << 3 })],
    ["all flags", EOPNOTSUPP, () => ({ flags: 0xffffffff })],
    [
      "a reserved field",
      EOPNOTSUPP,
      () => ({ reserved: 1, ...huge, ...unknown }),
    ],
    ["IOVA 2^64-1", EOVERFLOW, () => ({ ...huge, ...unknown })],
    ["length 2^64-1", EOVERFLOW, () => ({ length: U64_MAX, ...unknown })],
    [
      "IOVA 2^64-1 although the kernel would choose another",
      EOVERFLOW,
      () => ({ flags: MAP_FLAGS & ~IOMMU_IOAS_MAP_FIXED_IOVA, ...huge }),
    ],
    ["an unknown IOAS", ENOENT, () => unknown],
    ["length 0", EINVAL, () => ({ length: 0n })],
    [
      "a length that leaves no page",
      EINVAL,
      (page) => ({ userVa: 0n, length: U64_MAX - page + 1n }),
    ],
    [
      "the longest length",
      EINVAL,
      () => ({ userVa: 0n, length: U64_MAX - 1n }),
    ],
    [
      "a length that leaves no page, of memory that wraps",
      pages.checksLengthFirst ? EINVAL : EOVERFLOW,
      (page) => ({ userVa: page, length: U64_MAX - page + 1n }),
    ],
  ];
  if (pages.checksUserVaOverflow) {
    rows.push([
      "memory that wraps",
      EOVERFLOW,
      (page) => ({ userVa: U64_MAX - page + 1n, length: 2n * page }),
    ]);
  }
  return rows;
}

/** Refused maps. */
function registerMapErrors(f: MapFixture): void {
  f.table("map_errno", {
    description: "MAP refuses bad arguments in the kernel's order",
    rules: ["P10.6", "S04"],
    finish: (self) => mapWith(self, {}),
  }, (t, _variant, revision) => {
    for (const [what, errno, valuesOf] of badMaps(revision)) {
      t.case(what, (self) => mapWith(self, valuesOf(self.io.page), errno));
    }
  });

  f.test("map_wrapped_length", {
    description: "MAP refuses memory whose number of pages wraps",
    rules: ["P10.12"],
    knownBug: () => "warns_of_wrapped_length",
  }, async ({ io }) => {
    const ioasId = await io.ioasAlloc();
    const length = U64_MAX - io.page;
    // The length is rounded up to 2^64 - 1 and the last byte is on a page of its own.
    await io.mapFixed(ioasId, 1, length, 0n);
    await io.unmap(ioasId, 0n, length);
    await io.mapFixed(ioasId, 2, length, 0n, EOVERFLOW);
    await io.mapFixed(ioasId, 2, length - 1n, 0n);
  });

  f.table("map_without_rights", {
    description: "Whether a map may be neither readable nor writeable",
    rules: ["S03"],
  }, (t, _variant, { ioas }) => {
    const flags = IOMMU_IOAS_MAP_FIXED_IOVA;
    const errno = ioas.mapNeedsProt ? EINVAL : undefined;
    t.case("of an IOAS", (self) => mapWith(self, { flags }, errno));
    // The check comes after that of the IOVA and before that of the IOAS.
    t.case(
      "at IOVA 2^64-1",
      (self) => mapWith(self, { flags, iova: U64_MAX }, EOVERFLOW),
    );
    t.case(
      "of an unknown IOAS",
      (self) => mapWith(self, { flags, ioasId: 999 }, errno ?? ENOENT),
    );
  });

  registerFixedErrors(f);

  f.table("map_bad_memory", {
    description: "Bad memory is only found when pages are pinned",
    rules: ["P08.6"],
    finish: ({ io, ioasId, stdevId, baseIova }) =>
      io.unmap(ioasId, baseIova, 3n * io.page, stdevId ? ENOENT : undefined),
  }, (t, { mockDomains }, { pages }) => {
    const wraps = pages.pinChecksOverflow ? EOVERFLOW : EFAULT;
    type Memory = (io: Iommufd) => { userVa: bigint; length: bigint };
    const rows: [string, Errno, Memory][] = [
      ["a hole", EFAULT, ({ page }) => ({ userVa: 2n ** 31n, length: page })],
      ["the kernel", EFAULT, ({ page }) => ({
        userVa: 2n ** 60n,
        length: page,
      })],
      // The part of the last page that a length can still reach.
      ["the last page", wraps, ({ page, mockPage }) => ({
        userVa: U64_MAX - page + 1n,
        length: mockPage,
      })],
    ];
    for (const [place, [what, errno, memoryOf]] of rows.entries()) {
      t.case(what, (self) => {
        const { io, baseIova } = self;
        const iova = baseIova + BigInt(place) * io.page;
        const values = { iova, ...memoryOf(io) };
        return mapWith(self, values, mockDomains ? errno : undefined);
      });
    }
  });
}

/** Flags of a fixed map with both rights. */
const MAP_FLAGS: number = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
  IOMMU_IOAS_MAP_READABLE;

/** MAP of a page at the second page of the IOVA, with both rights, unless told otherwise. */
async function mapWith(
  { io, ioasId, baseIova }: IoasSelf,
  values: Partial<IommuIoasMap>,
  errno?: Errno,
): Promise<void> {
  const good = {
    flags: MAP_FLAGS,
    ioasId,
    userVa: BigInt(io.buffer),
    length: io.page,
    iova: baseIova + io.page,
  };
  await io.call(IommuIoasMap, IOMMU_IOAS_MAP, { ...good, ...values }, errno);
}

/** Fixed maps. */
function registerFixedErrors(f: MapFixture): void {
  f.table("map_fixed_alignment", {
    description: "A fixed map must be as aligned as the domains need",
    rules: ["S01"],
  }, (t, { mockDomains }) => {
    const misaligned = mockDomains ? EINVAL : undefined;
    type Values = (io: Iommufd, at: bigint) => Partial<IommuIoasMap>;
    const rows: [string, Errno | undefined, Values][] = [
      ["an IOVA off by one", misaligned, (_io, at) => ({ iova: at + 1n })],
      ["a length off by one", misaligned, ({ page }, at) => ({
        iova: at + 2n * page,
        length: page + 1n,
      })],
      ["memory off by one", misaligned, ({ page, buffer }, at) => ({
        iova: at + 4n * page,
        userVa: BigInt(buffer) + 1n,
      })],
      ["half a page off", undefined, ({ page, mockPage, buffer }, at) => ({
        iova: at + 6n * page + mockPage,
        userVa: BigInt(buffer) + mockPage,
      })],
      ["a range that wraps", EOVERFLOW, ({ page }) => ({
        iova: U64_MAX - page + 1n,
        length: 2n * page,
      })],
    ];
    for (const [what, errno, valuesOf] of rows) {
      t.case(what, (self) => {
        const at = self.baseIova + 16n * self.io.page;
        return mapWith(self, valuesOf(self.io, at), errno);
      });
    }
  });

  f.table("map_fixed_errno", {
    description: "A fixed map must be neither reserved nor taken",
    rules: ["S01", "S02"],
    async prepare(self) {
      const { io, ioasId } = self;
      const reserved = self.baseIova + 32n * io.page;
      await io.mock.addReserved(ioasId, reserved, io.page);
      await mapWith(self, { iova: reserved + io.page });
      return { ...self, reserved };
    },
    finish: (self) => mapWith(self, { iova: self.reserved - self.io.page }),
  }, (t, { mockDomains }, { ioas }) => {
    const reserved = ioas.reservedIovaErrno;
    const rows: [string, Errno, bigint, bigint][] = [
      ["what is reserved", reserved, 0n, 1n],
      ["up to what is reserved", reserved, -1n, 2n],
      // What is reserved is told before what is taken.
      ["around what is reserved", reserved, -1n, 3n],
      ["what is mapped", ioas.areaExistsErrno, 1n, 1n],
      ["up from what is mapped", ioas.areaExistsErrno, 1n, 3n],
    ];
    for (const [what, errno, first, pages] of rows) {
      t.case(what, (self) => {
        const { page } = self.io;
        const iova = self.reserved + first * page;
        return mapWith(self, { iova, length: pages * page }, errno);
      });
    }
    if (!mockDomains) return;
    for (const iova of [0n, 2n ** 31n]) {
      t.case(
        `0x${iova.toString(16)} outside of the aperture`,
        (self) => mapWith(self, { iova }, reserved),
      );
    }
  });
}

/** Refused unmaps. */
function registerUnmapErrors(f: MapFixture): void {
  f.table("unmap_errno", {
    description: "UNMAP refuses bad arguments; the struct is left alone then",
    rules: ["P10.8"],
    async finish({ io, ioasId }) {
      const unmapped = await io.unmap(ioasId, 0n, U64_MAX);
      assertEq(unmapped, 0n, "bytes in an empty IOAS");
    },
  }, (t) => {
    const rows: [string, Errno, (page: bigint) => [bigint, bigint]][] = [
      ["IOVA 2^64-1", EOVERFLOW, (page) => [U64_MAX, page]],
      ["length 2^64-1", EOVERFLOW, (page) => [page, U64_MAX]],
      ["length 0", EINVAL, (page) => [page, 0n]],
      [
        "a range that wraps",
        EOVERFLOW,
        (page) => [U64_MAX - page, 2n * page + 1n],
      ],
      ["nothing", ENOENT, (page) => [page, U64_MAX - page]],
    ];
    for (const [what, errno, rangeOf] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        const [iova, length] = rangeOf(io.page);
        const left = await io.unmap(ioasId, iova, length, errno);
        assertEq(left, length, "length after a failed unmap");
      });
    }
    t.case("an unknown IOAS", ({ io }) => io.unmap(999, 0n, U64_MAX, ENOENT));
  });

  f.test("unmap_part", {
    description:
      "UNMAP does not cut an area, but has removed those before it by then",
    rules: ["P09.12"],
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    await io.mapFixed(ioasId, io.buffer, 2n * page, baseIova);
    const left = await io.unmap(ioasId, baseIova, page, ENOENT);
    assertEq(left, page, "length after a failed unmap");
    await io.mapFixed(ioasId, io.buffer, 2n * page, baseIova + 2n * page);
    await io.unmap(ioasId, baseIova, 3n * page, ENOENT);
    await io.unmap(ioasId, baseIova, 2n * page, ENOENT);
    const rest = await io.unmap(ioasId, baseIova + 2n * page, 2n * page);
    assertEq(rest, 2n * page, "bytes of the second area");
  });
}

/** IOVA that the kernel chooses. */
function registerChosenIova(f: MapFixture): void {
  f.test("chosen_iova", {
    description: "The kernel chooses the first IOVA that fits and is aligned",
    rules: ["P09.2", "P09.3", "P09.4"],
  }, checkChosenIova);

  f.test("chosen_iova_errno", {
    description:
      "Lengths that are too long, alignments that are too small, full ranges",
    rules: ["P09.2", "P09.3"],
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const { page, buffer } = io;
    await io.map(ioasId, 0n, 2n ** 63n, EOVERFLOW);
    const odd = stdevId ? EINVAL : undefined;
    await io.map(ioasId, 0n, 2n ** 63n - 1n, odd ?? EOVERFLOW);
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
    rules: ["P09.4"],
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
    rules: ["P09.4"],
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
    rules: ["S08"],
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
