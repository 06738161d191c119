// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_ranges`: IOVA_RANGES, ALLOW_IOVAS and OPTION in all ways in
 * which they can fail.
 *
 * @module
 */

import {
  EADDRINUSE,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENOENT,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  IommuIoasAllowIovas,
  IommuIoasIovaRanges,
  IommuIovaRange,
  IommuOption,
} from "../../impl/uapi/iommufd.ts";
import { MAP_PRIVATE } from "../../impl/uapi/mman.ts";
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
import {
  assertRanges,
  MOCK_APERTURE,
} from "../iommufd_ioas/iommufd_ioas_iova_ranges.ts";
import { KIT_IOAS_VARIANTS } from "./kit_map.ts";

type RangesFixture = Fixture<IoasVariant, IoasSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitRanges(registry: Test[]): void {
  const f: RangesFixture = fixture(registry, "kit_ranges", {
    variants: KIT_IOAS_VARIANTS,
    upstream: false,
    setup: setupIoas,
    teardown: teardownIoas,
  });
  registerIovaRanges(f);
  registerAllowIovas(f);
  registerOption(f);
}

/** The address of the last `count` entries of an array that ends where no memory is. */
async function arrayBeforeHole(io: Iommufd, count: number): Promise<number> {
  const { pageSize } = io.context;
  const pages = await io.mmap(2 * pageSize, MAP_PRIVATE);
  await io.munmap(pages + pageSize, pageSize);
  return pages + pageSize - count * IommuIovaRange.size;
}

/** IOVA_RANGES. */
function registerIovaRanges(f: RangesFixture): void {
  f.table("iova_ranges_errno", {
    description: "IOVA_RANGES refuses a reserved field, a bad id, a bad array",
    rules: ["P10.3"],
    async prepare(self) {
      // Two ranges, of which the second is of no use to a domain, and room for one of them.
      const { io, ioasId } = self;
      await io.mock.addReserved(ioasId, 2n ** 25n, io.page);
      return { ...self, array: await arrayBeforeHole(io, 1) };
    },
  }, (t) => {
    t.case("a reserved field before the id", ({ io }) => {
      const bad = { ioasId: 999, reserved: 1 };
      const cmd = IOMMU_IOAS_IOVA_RANGES;
      return io.call(IommuIoasIovaRanges, cmd, bad, EOPNOTSUPP);
    });
    t.case("an id of nothing", ({ io }) => io.iovaRanges(999, 0, 0, ENOENT));
    t.case(
      "address 0",
      ({ io, ioasId }) => io.iovaRanges(ioasId, 1, 0, EFAULT),
    );
    t.case("no room", async ({ io, ioasId }) => {
      const reply = await io.iovaRanges(ioasId, 0, 0, EMSGSIZE);
      assertEq(reply.numIovas, 2, "ranges");
    });
    t.case("room for one", async ({ io, ioasId, array }) => {
      const reply = await io.iovaRanges(ioasId, 1, array, EMSGSIZE);
      assertEq(reply.numIovas, 2, "ranges");
    });
    t.case("memory for one", async ({ io, ioasId, array }) => {
      const reply = await io.iovaRanges(ioasId, 2, array, EFAULT);
      assertEq(reply.numIovas, 2, "numIovas after EFAULT");
    });
  });

  f.test("iova_ranges_contents", {
    description:
      "The ranges are what is left between reserved ones, however those overlap",
    rules: ["P10.3"],
  }, async ({ io, ioasId, stdevId }) => {
    const { page } = io;
    const at = 2n ** 25n;
    const whole = stdevId ? MOCK_APERTURE : { start: 0n, last: U64_MAX };
    await io.mock.addReserved(ioasId, at, 4n * page);
    await io.mock.addReserved(ioasId, at + 2n * page, 4n * page);
    await io.mock.addReserved(ioasId, at + 6n * page, page);
    await io.mock.addReserved(ioasId, at + 8n * page, 1n);
    // Neither areas nor the allowed list make a difference.
    await io.mapFixed(ioasId, io.buffer, page, at + 16n * page);
    await io.allowIovas(ioasId, [{ start: 2n * at, last: 2n * at + page }]);
    const reply = await io.iovaRanges(ioasId, 8, io.buffer);
    assertEq(reply.numIovas, 3, "ranges");
    await assertRanges(io, [
      { start: whole.start, last: at - 1n },
      { start: at + 7n * page, last: at + 8n * page - 1n },
      { start: at + 8n * page + 1n, last: whole.last },
    ]);
  });
}

/** ALLOW_IOVAS. */
function registerAllowIovas(f: RangesFixture): void {
  registerAllowErrors(f);

  f.test("allow_iovas_choice", {
    description: "Kernel-chosen maps keep to the list, in its order of IOVA",
    rules: ["B33"],
  }, async ({ io, ioasId, baseIova }) => {
    const { page, buffer } = io;
    const high = baseIova + 64n * page;
    const low = baseIova + 32n * page;
    await io.allowIovas(ioasId, [
      { start: high, last: high + 2n * page - 1n },
      { start: low, last: low + page - 1n },
    ]);
    assertEq(await io.map(ioasId, buffer, page), low, "in the lower range");
    assertEq(await io.map(ioasId, buffer, page), high, "in the higher range");
    await io.allowIovas(ioasId, []);
    const any = await io.map(ioasId, buffer, page);
    assertEq(any, baseIova || page, "anywhere once the list is empty");
  });

  f.test("allow_iovas_domain", {
    description: "A domain that cannot map all that is allowed is refused",
    rules: ["B33"],
  }, async ({ io, stdevId }) => {
    if (stdevId) return;
    const ioasId = await io.ioasAlloc();
    const { start, last } = MOCK_APERTURE;
    await io.allowIovas(ioasId, [{ start: start - 1n, last: start }]);
    await io.mock.domain(ioasId, EADDRINUSE);
    await io.allowIovas(ioasId, [{ start: last, last: last + 1n }]);
    await io.mock.domain(ioasId, EADDRINUSE);
    await io.allowIovas(ioasId, [MOCK_APERTURE]);
    const domain = await io.mock.domain(ioasId);
    await io.allowIovas(ioasId, [{ start: 0n, last: 1n }], EADDRINUSE);
    await io.mock.destroyDomain(domain);
    await io.allowIovas(ioasId, [{ start: 0n, last: U64_MAX }]);
  });
}

/** What ALLOW_IOVAS refuses. */
function registerAllowErrors(f: RangesFixture): void {
  f.table("allow_iovas_errno", {
    description:
      "ALLOW_IOVAS refuses bad ranges and a bad array, and keeps the old list then",
    rules: ["B12", "P10.4"],
    async prepare(self) {
      const { io, ioasId, baseIova } = self;
      const { page } = io;
      const start = baseIova + 8n * page;
      const range = { start, last: start + 8n * page - 1n };
      const blocked = baseIova + 32n * page;
      await io.mock.addReserved(ioasId, blocked, page);
      await io.allowIovas(ioasId, [range]);
      return { ...self, range, blocked };
    },
    async finish({ io, ioasId, range }) {
      const iova = await io.map(ioasId, io.buffer, io.page);
      assertEq(iova, range.start, "the old list is still there");
    },
  }, (t, _variant, { objects }) => {
    const cmd = IOMMU_IOAS_ALLOW_IOVAS;
    if (objects.checksReservedFields) {
      t.case("a reserved field", ({ io, ioasId }) => {
        const values = { ioasId, reserved: 1 };
        return io.call(IommuIoasAllowIovas, cmd, values, EOPNOTSUPP);
      });
    }
    t.case("an id of nothing", ({ io }) => {
      const values = { ioasId: 999, numIovas: 1 };
      return io.call(IommuIoasAllowIovas, cmd, values, ENOENT);
    });
    t.case("an array at 0", ({ io, ioasId }) => {
      const values = { ioasId, numIovas: 1 };
      return io.call(IommuIoasAllowIovas, cmd, values, EFAULT);
    });
    t.case("an array with memory for one of two", async (state) => {
      const { io, ioasId, range } = state;
      const array = await arrayBeforeHole(io, 1);
      await io.pokeRanges(array, [range]);
      const values = { ioasId, numIovas: 2, allowedIovas: BigInt(array) };
      await io.call(IommuIoasAllowIovas, cmd, values, EFAULT);
    });
    type Range = { start: bigint; last: bigint };
    const lists: [string, Errno, (range: Range, blocked: bigint) => Range[]][] =
      [
        ["one byte", EINVAL, ({ start }) => [{ start, last: start }]],
        [
          "a range that ends before it begins",
          EINVAL,
          ({ start, last }) => [{ start: last, last: start }],
        ],
        ["a range twice", EINVAL, (range) => [range, range]],
        [
          "ranges with a byte in common",
          EINVAL,
          (range) => [range, { start: range.last, last: range.last + 4096n }],
        ],
        [
          "what is reserved",
          EADDRINUSE,
          (_range, start) => [{ start, last: start + 1n }],
        ],
      ];
    for (const [what, errno, listOf] of lists) {
      t.case(
        what,
        ({ io, ioasId, range, blocked }) =>
          io.allowIovas(ioasId, listOf(range, blocked), errno),
      );
    }
  });
}

/** OPTION. */
function registerOption(f: RangesFixture): void {
  f.table("option_errno", {
    description: "OPTION refuses what it does not know",
    rules: ["B14", "S05", "P10.9", "P10.10", "P10.11"],
  }, (t, _variant, { objects }) => {
    const huge = IOMMU_OPTION_HUGE_PAGES;
    const mode = IOMMU_OPTION_RLIMIT_MODE;
    function row(
      what: string,
      errno: Errno | undefined,
      values: Partial<IommuOption>,
    ): void {
      t.case(what, ({ io, ioasId: objectId }) => {
        const get = { optionId: huge, op: IOMMU_OPTION_OP_GET, objectId };
        return io.call(IommuOption, IOMMU_OPTION, { ...get, ...values }, errno);
      });
    }
    const reserved = objects.checksReservedFields ? EOPNOTSUPP : undefined;
    row("a reserved field", reserved, { reserved: 1 });
    row("an unknown option", EOPNOTSUPP, { optionId: 2 });
    row("an unknown operation", EOPNOTSUPP, { op: 2 });
    row("an unknown operation of RLIMIT_MODE", EOPNOTSUPP, {
      optionId: mode,
      objectId: 0,
      op: 2,
    });
    row("an id of nothing", ENOENT, { objectId: 999 });
    row("id 0", ENOENT, { objectId: 0 });
    row("a value of 2^32", EINVAL, {
      op: IOMMU_OPTION_OP_SET,
      val64: 2n ** 32n,
    });
    const ignored = objects.rlimitModeChecksObjectId ? EOPNOTSUPP : undefined;
    row("an object for RLIMIT_MODE", ignored, { optionId: mode });
  });

  f.table("option_kept", {
    description: "A SET that is refused leaves the option as it was",
    rules: ["P10.11"],
  }, (t) => {
    const optionId = IOMMU_OPTION_HUGE_PAGES;
    const set = IOMMU_OPTION_OP_SET;
    for (const now of [1n, 0n]) {
      const rows: [string, Errno, Partial<IommuOption>][] = [
        ["2", EINVAL, { op: set, val64: 2n }],
        ["2^64-1", EINVAL, { op: set, val64: U64_MAX }],
        ["unknown operation", EOPNOTSUPP, { op: 2, val64: 1n - now }],
      ];
      for (const [what, errno, values] of rows) {
        t.case(`${what} while it is ${now}`, async ({ io, ioasId }) => {
          await io.setOption(optionId, ioasId, now);
          const bad = { optionId, objectId: ioasId, ...values };
          await io.call(IommuOption, IOMMU_OPTION, bad, errno);
          assertEq(await io.getOption(optionId, ioasId), now, "HUGE_PAGES");
        });
      }
    }
  });

  f.test("huge_pages_with_areas", {
    description: "HUGE_PAGES cannot be turned off while a domain has areas",
    rules: ["P09.23"],
  }, async ({ io, ioasId, stdevId, baseIova }) => {
    const huge = IOMMU_OPTION_HUGE_PAGES;
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    await io.setOption(huge, ioasId, 1n);
    await io.setOption(huge, ioasId, 0n, stdevId ? EINVAL : undefined);
    await io.unmap(ioasId, baseIova, io.page);
    await io.setOption(huge, ioasId, 0n);
    await io.mapFixed(ioasId, io.buffer, io.page, baseIova);
    // Off already: no question of areas.
    await io.setOption(huge, ioasId, 0n);
    const half = baseIova + 2n * io.page + io.mockPage;
    await io.mapFixed(ioasId, io.buffer, io.page, half, EINVAL);
    await io.mapFixed(ioasId, io.buffer, io.mockPage, half, EINVAL);
    await io.setOption(huge, ioasId, 1n);
    await io.mapFixed(ioasId, io.buffer, io.page, half);
  });
}
