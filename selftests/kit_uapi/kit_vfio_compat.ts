// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_compat`: the VFIO container's capability chain, its
 * extensions, and all its refusals.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  IommuVfioIoas,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_CC_IOMMU,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  VFIO_EEH,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_NOIOMMU_IOMMU,
  VFIO_SPAPR_TCE_IOMMU,
  VFIO_SPAPR_TCE_v2_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  VfioInfoCapHeader,
  type VfioIommuType1DmaMap,
  VfioIommuType1Info,
  VfioIommuType1InfoCapIovaRange,
  VfioIommuType1InfoDmaAvail,
} from "../../impl/uapi/vfio.ts";
import {
  assertBytes,
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import { registerUnmaps } from "./kit_vfio_unmap.ts";
import {
  COMPAT_VARIANTS,
  type CompatSelf,
  type CompatVariant,
  setupCompat,
} from "../iommufd/vfio_compat_mock_domain.ts";
import {
  checkCapChain,
  checkInfoHeader,
  getInfoInBuffer,
} from "../ioctls/vfio_info.ts";
import {
  DMA_RW,
  getInfo,
  mapDma,
  setIommu,
  unmapDma,
  vfioIoas,
} from "../ioctls/vfio_ioctls.ts";

/** The fixture as the files of its tests see it. */
export type KitCompatFixture = Fixture<CompatVariant, CompatSelf>;

const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioCompat(registry: Test[]): void {
  const f: KitCompatFixture = fixture(registry, "kit_vfio_compat", {
    variants: COMPAT_VARIANTS,
    upstream: false,
    setup: setupCompat,
    teardown: ({ io }) => io.teardown(),
  });
  registerInfo(f);
  registerExtensions(f);
  registerContainer(f);
  registerMapErrors(f);
  registerUnmaps(f);
}

/** GET_INFO. */
function registerInfo(f: KitCompatFixture): void {
  f.table("get_info_caps", {
    description:
      "With room for it the capability chain is whole: the kernel's own test stops one byte short",
    reference: "iommufd.c vfio_compat_mock_domain.get_info",
    rules: ["S21"],
  }, (t, _variant, { vfio }) => {
    const total = vfio.capsDmaAvailFirst ? 72 : 68;
    for (const extra of [0, 1, 64]) {
      t.case(
        `room for ${extra} bytes more`,
        ({ io }) => checkInfoCaps(io, total, total + extra),
      );
    }
    t.case(
      "room for a page",
      ({ io }) => checkInfoCaps(io, total, io.context.pageSize),
    );
  });

  f.table("get_info_short", {
    description:
      "Of a chain that does not fit, the capabilities that do are written, each linked to the next, but the chain is not told",
    rules: ["P14.11"],
  }, (t, _variant, { vfio }) => {
    const { size } = VfioIommuType1Info;
    const chain = vfio.capsDmaAvailFirst
      ? [{ at: size, end: size + 12 }, { at: size + 16, end: size + 48 }]
      : [{ at: size, end: size + 32 }, { at: size + 32, end: size + 44 }];
    const total = chain[1]!.end;
    const [first, second] = chain;
    const rows: [string, number, number][] = [
      ["nothing fits", size, first!.end - 1],
      ["the first fits", first!.end, second!.at - 1],
      ["the second begins", second!.at, total - 1],
    ];
    for (const [what, from, to] of rows) {
      t.case(what, async ({ io }) => {
        for (let argsz = from; argsz <= to; argsz++) {
          await checkShortInfo(io, argsz, total, chain);
        }
      });
    }
  });

  f.test("get_info_ranges", {
    description: "Each usable range of IOVA is in the chain",
    rules: ["P14.13"],
  }, async ({ io, ioasId }) => {
    const { size } = VfioIommuType1Info;
    const before = (await getInfoInBuffer(io, size)).info.argsz;
    await io.mock.addReserved(ioasId, IOVA + io.page, io.page);
    const { argsz } = (await getInfoInBuffer(io, size)).info;
    assertEq(argsz, before + 16, "argsz with one range more");
    const { bytes, info } = await getInfoInBuffer(io, argsz);
    assertEq(info.capOffset, size, "capOffset");
    const caps = io.revision.vfio.capsDmaAvailFirst ? 40 : 24;
    const head = VfioIommuType1InfoCapIovaRange.decode(bytes.subarray(caps));
    assertEq(head.nrIovas, 2, "ranges");
    const ranges = caps + VfioIommuType1InfoCapIovaRange.size;
    const array = new BigUint64Array(
      bytes.slice(ranges, ranges + 32).buffer,
    );
    const expected = [
      IOVA,
      IOVA + io.page - 1n,
      IOVA + 2n * io.page,
      2n ** 31n - 1n,
    ];
    for (const [index, value] of expected.entries()) {
      assertEq(array[index]!, value, `word ${index} of the ranges`);
    }
  });

  f.table("get_info_errno", {
    description: "GET_INFO refuses a bad address and a short struct",
    rules: ["P14.11", "B23"],
  }, (t) => {
    t.case(
      "address 0",
      ({ io }) => io.ioctlArg(VFIO_IOMMU_GET_INFO, 0, EFAULT, "GET_INFO at 0"),
    );
    t.case("argsz 15", ({ io }) => getInfo(io, { argsz: 15 }, EINVAL));
    t.case("argsz 0", ({ io }) => getInfo(io, { argsz: 0 }, EINVAL));
    t.case("page sizes of a mock domain", async ({ io }) => {
      const { iovaPgsizes } = await getInfo(io, {});
      const sizes = io.revision.mock.pageTable === "flat"
        ? io.page
        : 2n ** 37n - io.page;
      assertEq(iovaPgsizes, sizes, "page sizes");
    });
  });

  f.test("get_info_pgsizes", {
    description: "Without a domain every page size from a page on will do",
    rules: ["P14.12"],
  }, async ({ io }, { version }) => {
    const empty = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, empty);
    await setIommu(io, version);
    const { iovaPgsizes } = await getInfo(io, {});
    assertEq(iovaPgsizes, 2n ** 64n - io.page, "page sizes");
  });
}

/** An answer to GET_INFO that has room for the whole chain. */
async function checkInfoCaps(
  io: Iommufd,
  total: number,
  argsz: number,
): Promise<void> {
  const { capsDmaAvailFirst, dmaAvail } = io.revision.vfio;
  const { size } = VfioIommuType1Info;
  const needed = (await getInfoInBuffer(io, size)).info.argsz;
  assertEq(needed, total, "bytes of struct and chain");
  const reply = await getInfoInBuffer(io, argsz);
  checkInfoHeader(reply.info);
  assertEq(reply.info.argsz, total, "argsz in the answer");
  assertEq(reply.info.capOffset, size, "capOffset");
  const caps = checkCapChain(reply);
  const range = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
  const avail = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
  // DMA_AVAIL has 12 bytes, which the later order pads to 16.
  const expected = capsDmaAvailFirst
    ? [[avail, 24, 16], [range, 40, 32]]
    : [[range, 24, 32], [avail, 56, 12]];
  const seen = caps.map(({ id, offset, size }) => [id, offset, size]);
  assertEq(String(seen), String(expected), "capability id, offset, size");
  const at = caps.find(({ id }) => id === avail)!.offset;
  const data = VfioIommuType1InfoDmaAvail.decode(reply.bytes.subarray(at));
  assertEq(data.avail, dmaAvail, "mappings available");
}

/** An answer to GET_INFO that has not room for the whole chain. */
async function checkShortInfo(
  io: Iommufd,
  argsz: number,
  total: number,
  chain: readonly { at: number; end: number }[],
): Promise<void> {
  const whole = (await getInfoInBuffer(io, total)).bytes;
  const { info, bytes } = await getInfoInBuffer(io, argsz);
  checkInfoHeader(info);
  assertEq(info.argsz, total, "argsz in the answer");
  assertEq(info.capOffset, 0, "capOffset");
  const expected = new Uint8Array(argsz);
  const [first, second] = chain;
  for (const { at, end } of chain) {
    if (argsz >= end) expected.set(whole.subarray(at, end), at);
  }
  // The first is linked to the second once there is room up to there.
  const next = first!.at + VfioInfoCapHeader.fields.next.offset;
  if (argsz < second!.at) expected.fill(0, next, next + 4);
  const { size } = VfioIommuType1Info;
  assertBytes(
    bytes.subarray(size, argsz),
    expected.subarray(size),
    "what lies behind the struct",
  );
}

/** CHECK_EXTENSION. */
function registerExtensions(f: KitCompatFixture): void {
  f.table("check_extension", {
    description: "CHECK_EXTENSION answers for every extension",
    rules: ["P14.3"],
  }, (t, _variant, { vfio }) => {
    const rows: [string, number | bigint, number][] = [
      ["TYPE1", VFIO_TYPE1_IOMMU, 1],
      ["TYPE1v2", VFIO_TYPE1v2_IOMMU, 1],
      ["UNMAP_ALL", VFIO_UNMAP_ALL, 1],
      ["SPAPR_TCE", VFIO_SPAPR_TCE_IOMMU, 0],
      ["EEH", VFIO_EEH, 0],
      ["TYPE1_NESTING", VFIO_TYPE1_NESTING_IOMMU, 0],
      ["SPAPR_TCE_v2", VFIO_SPAPR_TCE_v2_IOMMU, 0],
      ["UPDATE_VADDR", VFIO_UPDATE_VADDR, 0],
      ["extension 0", 0, 0],
      ["extension 11", 11, 0],
      ["extension 2^32", 2 ** 32, 0],
      ["extension 2^64-1", U64_MAX, 0],
    ];
    // Where no-IOMMU mode exists the answer depends on how the kernel was built.
    if (!vfio.hasNoIommu) rows.push(["NOIOMMU", VFIO_NOIOMMU_IOMMU, 0]);
    for (const [what, type, answer] of rows) {
      t.case(what, ({ io }) => checkExtension(io, type, answer));
    }
  });

  f.test("dma_cc", {
    description:
      "DMA is coherent if every HWPT of the IOAS enforces it, so also without any",
    rules: ["P14.3"],
  }, async ({ io }) => {
    // The mock does not enforce coherency; only where it is bound it counts.
    const mock = io.revision.selftest.mockDomainBindsDevice ? 0 : 1;
    await checkExtension(io, VFIO_DMA_CC_IOMMU, mock);
    const empty = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, empty);
    await checkExtension(io, VFIO_DMA_CC_IOMMU, 1);
    await vfioIoas(io, IOMMU_VFIO_IOAS_CLEAR);
    const what = "CHECK_EXTENSION of DMA_CC without IOAS";
    const cmd = VFIO_CHECK_EXTENSION;
    await io.ioctlArg(cmd, VFIO_DMA_CC_IOMMU, ENODEV, what);
  });
}

/** Asserts what CHECK_EXTENSION answers. */
async function checkExtension(
  io: Iommufd,
  type: number | bigint,
  expected: number,
): Promise<void> {
  const what = `CHECK_EXTENSION of ${type}`;
  const ret = await io.ioctlArg(VFIO_CHECK_EXTENSION, type, undefined, what);
  assertEq(ret, expected, what);
}

/** VFIO_IOAS and SET_IOMMU. */
function registerContainer(f: KitCompatFixture): void {
  f.table("vfio_ioas_errno", {
    description: "VFIO_IOAS refuses what it does not know, and keeps the IOAS",
    rules: ["P14.7"],
    async finish({ io, ioasId }) {
      const seen = await vfioIoas(io, IOMMU_VFIO_IOAS_GET);
      assertEq(seen, ioasId, "VFIO_IOAS GET");
    },
  }, (t) => {
    const cmd = IOMMU_VFIO_IOAS;
    const get = { op: IOMMU_VFIO_IOAS_GET };
    t.case(
      "a reserved field",
      ({ io }) =>
        io.call(IommuVfioIoas, cmd, { ...get, reserved: 1 }, EOPNOTSUPP),
    );
    t.case(
      "an unknown operation",
      ({ io }) => io.call(IommuVfioIoas, cmd, { op: 3 }, EOPNOTSUPP),
    );
    t.case(
      "an id of nothing",
      ({ io }) => vfioIoas(io, IOMMU_VFIO_IOAS_SET, 999, ENOENT),
    );
  });

  f.test("ioas_destroyed", {
    description:
      "Destroying the container's IOAS clears it; setting takes no reference",
    rules: ["P14.6", "B45"],
  }, async ({ io, ioasId }) => {
    await io.destroy(ioasId, EBUSY);
    const other = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, other);
    assertEq(await vfioIoas(io, IOMMU_VFIO_IOAS_GET), other, "VFIO_IOAS GET");
    await mapDma(io, dma(io));
    await io.destroy(other);
    await vfioIoas(io, IOMMU_VFIO_IOAS_GET, 0, ENODEV);
    await mapDma(io, dma(io), ENODEV);
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
    await mapDma(io, dma(io));
  });

  f.table("set_iommu_errno", {
    description: "SET_IOMMU takes type1 and type1v2 only",
    rules: ["P14.4"],
  }, (t) => {
    for (const type of [0, 2, 7, VFIO_NOIOMMU_IOMMU, 9]) {
      t.case(`type ${type}`, ({ io }) => setIommu(io, type, EINVAL));
    }
    for (const [type, errno] of [[0, EINVAL], [VFIO_TYPE1_IOMMU, ENODEV]]) {
      t.case(`type ${type} without an IOAS`, async ({ io, ioasId }) => {
        await vfioIoas(io, IOMMU_VFIO_IOAS_CLEAR);
        await setIommu(io, type as number, errno as Errno);
        await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
      });
    }
  });

  f.test("set_iommu_askew", {
    description: "type1 wants maps that lie on pages",
    rules: ["P14.5"],
  }, async ({ io }) => {
    const other = await io.ioasAlloc();
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, other);
    await io.mapFixed(other, io.buffer + 512, 512n, IOVA + 512n);
    await setIommu(io, VFIO_TYPE1v2_IOMMU);
    await setIommu(io, VFIO_TYPE1_IOMMU, EADDRINUSE);
    const huge = await io.getOption(IOMMU_OPTION_HUGE_PAGES, other);
    assertEq(huge, 1n, "HUGE_PAGES");
    await io.unmap(other, IOVA + 512n, 512n);
    await setIommu(io, VFIO_TYPE1_IOMMU);
  });

  f.test("set_iommu_again", {
    description:
      "type1 can be set before maps only, and type1v2 does not turn huge pages on again",
    rules: ["P14.5"],
  }, async ({ io, ioasId }, { version }) => {
    await setIommu(io, VFIO_TYPE1v2_IOMMU);
    const isType1 = version === VFIO_TYPE1_IOMMU;
    const huge = await io.getOption(IOMMU_OPTION_HUGE_PAGES, ioasId);
    assertEq(huge, isType1 ? 0n : 1n, "HUGE_PAGES");
    await mapDma(io, dma(io));
    await setIommu(io, VFIO_TYPE1v2_IOMMU);
    await setIommu(io, VFIO_TYPE1_IOMMU, isType1 ? undefined : EINVAL);
  });
}

/** One page of the test buffer at the start of the aperture. */
function dma(io: Iommufd): { iova: bigint; length: bigint; vaddr: bigint } {
  return { iova: IOVA, length: io.page, vaddr: BigInt(io.buffer) };
}

/** MAP_DMA. */
function registerMapErrors(f: KitCompatFixture): void {
  f.table("map_dma_errno", {
    description: "MAP_DMA refuses what it does not know and what a map refuses",
    rules: ["P14.8"],
  }, (t, _variant, { ioas, mock }) => {
    type Values = Partial<VfioIommuType1DmaMap>;
    function row(
      what: string,
      errno: Errno | undefined,
      valuesOf: (io: Iommufd) => Values,
    ): void {
      t.case(what, async ({ io }) => {
        const map = { ...dma(io), ...valuesOf(io) };
        await mapDma(io, map, errno);
        if (!errno) await unmapDma(io, { iova: map.iova, length: map.length });
      });
    }
    t.case(
      "address 0",
      ({ io }) => io.ioctlArg(VFIO_IOMMU_MAP_DMA, 0, EFAULT, "MAP_DMA at 0"),
    );
    row("a short struct", EINVAL, () => ({ argsz: 31 }));
    row("an unknown flag", EINVAL, () => ({ flags: 4 }));
    row("no length", EINVAL, () => ({ length: 0n }));
    row("half a page too long", EINVAL, ({ page }) => ({ length: page + 1n }));
    row("an IOVA off by one", EINVAL, () => ({ iova: IOVA + 1n }));
    row("memory off by one", EINVAL, ({ buffer }) => ({
      vaddr: BigInt(buffer) + 1n,
    }));
    row("memory that is not there", EFAULT, () => ({ vaddr: 2n ** 31n }));
    row("an IOVA that is reserved", ioas.reservedIovaErrno, () => ({
      iova: 0n,
    }));
    row("a range that wraps", EOVERFLOW, ({ page }) => ({
      iova: U64_MAX - page + 1n,
      length: 2n * page,
    }));
    row("the longest struct", undefined, () => ({ argsz: 0xffffffff }));
    if (!mock.mapNeedsRight) row("no rights", undefined, () => ({ flags: 0 }));
    t.case("an IOVA that is mapped", async ({ io }) => {
      await mapDma(io, dma(io));
      await mapDma(io, dma(io), ioas.areaExistsErrno);
      await unmapDma(io, { iova: IOVA, length: io.page });
    });
  });

  f.table("map_dma_rights", {
    description: "MAP_DMA gives the rights that its flags name, and no other",
    rules: ["P14.8"],
  }, (t, _variant, { mock }) => {
    const rows: [string, number, read: boolean, write: boolean][] = [
      ["for reading", VFIO_DMA_MAP_FLAG_READ, true, false],
      ["for writing", VFIO_DMA_MAP_FLAG_WRITE, false, true],
      ["for both", DMA_RW, true, true],
    ];
    if (!mock.mapNeedsRight) rows.unshift(["for nothing", 0, false, false]);
    for (const [what, flags, read, write] of rows) {
      t.case(what, async ({ io, ioasId }) => {
        await mapDma(io, { ...dma(io), flags });
        const access = await io.mock.createAccess(ioasId, false);
        const range = { iova: IOVA, length: 8, uptr: io.scratch };
        await io.mock.accessRw(access, range, read ? undefined : EPERM);
        const writes = { ...range, flags: MOCK_ACCESS_RW_WRITE };
        await io.mock.accessRw(access, writes, write ? undefined : EPERM);
        await io.mock.destroyAccess(access);
        await unmapDma(io, { iova: IOVA, length: io.page });
      });
    }
  });

  f.test("map_dma_without_rights", {
    description:
      "Where the page table knows rights, memory is mapped with one at least",
    rules: ["P14.15"],
    since: "6.19",
    knownBug: () => "warns_of_map_without_access",
  }, async ({ io }) => {
    await mapDma(io, { ...dma(io), flags: 0 }, EINVAL);
    await mapDma(io, dma(io));
    await unmapDma(io, { iova: IOVA, length: io.page });
  });

  f.table("half_pages", {
    description: "type1 works in whole pages, type1v2 in the domain's",
    rules: ["P09.20"],
  }, (t, { version }) => {
    const errno = version === VFIO_TYPE1_IOMMU ? EINVAL : undefined;
    t.case(
      "length",
      ({ io }) => mapDma(io, { ...dma(io), length: io.mockPage }, errno),
    );
    t.case("IOVA", ({ io }) => {
      const iova = IOVA + 2n * io.page + io.mockPage;
      return mapDma(io, { ...dma(io), iova }, errno);
    });
  });

  f.table("unknown_argument", {
    description: "A bad address is found before the IOAS is looked for",
    rules: ["P14.8", "P14.9"],
    async prepare(self) {
      await vfioIoas(self.io, IOMMU_VFIO_IOAS_CLEAR);
      return self;
    },
  }, (t) => {
    const rows: [string, number][] = [
      ["MAP_DMA", VFIO_IOMMU_MAP_DMA],
      ["UNMAP_DMA", VFIO_IOMMU_UNMAP_DMA],
      ["GET_INFO", VFIO_IOMMU_GET_INFO],
    ];
    for (const [what, cmd] of rows) {
      t.case(what, ({ io }) => io.ioctlArg(cmd, 0, EFAULT, `${what} at 0`));
    }
  });
}
