// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd_dirty_tracking`: finding out which pages a device wrote.
 *
 * @module
 */

import { EINVAL, EOPNOTSUPP } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR,
  IOMMU_OPTION_HUGE_PAGES,
} from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_START,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_HUGE_PAGE_SIZE,
} from "../../impl/uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  type Bitmap,
  getDirtyBitmap,
  getHwInfo,
  hwptAlloc,
  hwptData,
  markDirty,
  MOCK_IOMMUPT_DEFAULT,
  MOCK_IOMMUPT_HUGE,
  setDirtyTracking,
} from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { testDifferences } from "./test_differences.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  MOCK_FLAGS_DEVICE_PASID,
  pasidAttach,
  pasidDetach,
} from "../ioctls/pasid_ioctls.ts";

/** Parameters of a variant. */
interface DirtyVariant {
  /** Bytes of memory that are mapped. */
  readonly bufferSize: number;
  /** Whether memory and domain have huge pages. */
  readonly hugepages: boolean;
}

/** What the tests share. */
interface DirtySelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  /** The bound device. */
  readonly idevId: number;
  /** Address of the memory. */
  readonly buffer: number;
  /** Page-aligned address of the bitmap; a page is to spare behind it. */
  readonly bitmap: number;
}

type DirtyFixture = Fixture<DirtyVariant, DirtySelf>;

const KIB = 1024;
const MIB = 1024 * KIB;

/** The kernel's variants: the bitmap's size runs from half a byte to 8 KiB. */
const VARIANTS: Readonly<Record<string, DirtyVariant>> = {
  domain_dirty8k: { bufferSize: 8 * KIB, hugepages: false },
  domain_dirty16k: { bufferSize: 16 * KIB, hugepages: false },
  domain_dirty64k: { bufferSize: 64 * KIB, hugepages: false },
  domain_dirty128k: { bufferSize: 128 * KIB, hugepages: false },
  domain_dirty320k: { bufferSize: 320 * KIB, hugepages: false },
  domain_dirty64M: { bufferSize: 64 * MIB, hugepages: false },
  domain_dirty64M_huge: { bufferSize: 64 * MIB, hugepages: true },
  domain_dirty128M: { bufferSize: 128 * MIB, hugepages: false },
  domain_dirty128M_huge: { bufferSize: 128 * MIB, hugepages: true },
};

/** Adds the fixture's tests to `registry`. */
export function registerIommufdDirtyTracking(registry: Test[]): void {
  const f: DirtyFixture = fixture(registry, "iommufd_dirty_tracking", {
    variants: VARIANTS,
    since: "6.7",
    upstream: true,
    needs: ({ hugepages }) =>
      hugepages ? ["hwpt", "dirty", "hugetlb"] : ["hwpt", "dirty"],
    setup: setupDirty,
    teardown: ({ io }) => io.teardown(),
  });
  registerTracking(f);
  registerBitmaps(f);
}

/** Maps the memory and makes a mock device. */
async function setupDirty(
  context: Context,
  variant: DirtyVariant,
): Promise<DirtySelf> {
  const io = await Iommufd.open(context);
  const buffer = await mapAligned(io, variant);
  const bits = variant.bufferSize / Number(io.mockPage);
  const bytes = Math.ceil(bits / 8) + context.pageSize;
  const bitmap = await io.mmap(bytes, MAP_PRIVATE);
  const ioasId = await io.ioasAlloc();
  const { choosesPageTable } = testDifferences(io.revision);
  if (choosesPageTable && !variant.hugepages) {
    await io.setOption(IOMMU_OPTION_HUGE_PAGES, ioasId, 0n);
  }
  const { idevId } = variant.hugepages && !choosesPageTable
    ? await io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_HUGE_IOVA)
    : await io.mock.domain(ioasId);
  return { io, ioasId, idevId, buffer, bitmap };
}

/** Maps the variant's memory at a huge-page-aligned address. */
async function mapAligned(
  io: Iommufd,
  { bufferSize, hugepages }: DirtyVariant,
): Promise<number> {
  const { hugePageSize, process } = io.context;
  const size = hugepages ? Math.max(bufferSize, hugePageSize) : bufferSize;
  const room = await io.mmap(size + hugePageSize, MAP_PRIVATE, PROT_NONE);
  const aligned = Math.ceil(room / hugePageSize) * hugePageSize;
  const huge = hugepages ? MAP_HUGETLB | MAP_POPULATE : 0;
  const buffer = await process.mmap(
    aligned,
    size,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | huge,
  );
  assertEq(buffer, aligned, "address of the memory");
  return buffer;
}

/** Tests that look at the capability and the switch. */
function registerTracking(f: DirtyFixture): void {
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;

  f.test("enforce_dirty", {
    description:
      "A device without dirty tracking cannot join a HWPT that has it",
    rules: ["C2.36"],
  }, async ({ io, ioasId, idevId: devId }) => {
    const noDirty = MOCK_FLAGS_DEVICE_NO_DIRTY;
    const hwpt = await hwptAlloc(io, { devId, ptId: ioasId, flags });
    const capable = await io.mock.domain(hwpt);
    await io.mock.domainFlags(hwpt, noDirty, EINVAL);
    await io.destroy(capable.stdevId);
    await io.destroy(hwpt);

    const other = await io.ioasAlloc();
    const incapable = await io.mock.domainFlags(other, noDirty);
    const values = { devId: incapable.idevId, ptId: other, flags };
    await hwptAlloc(io, values, EOPNOTSUPP);
    await io.destroy(incapable.stdevId);
  });

  f.test("set_dirty_tracking", {
    description: "Dirty tracking can be turned on and off",
    rules: ["C2.26"],
  }, async ({ io, ioasId, idevId: devId }) => {
    const hwpt = await hwptAlloc(io, { devId, ptId: ioasId, flags });
    const domain = await io.mock.domain(hwpt);
    await setDirtyTracking(io, hwpt, true);
    await setDirtyTracking(io, hwpt, false);
    await io.destroy(domain.stdevId);
    await io.destroy(hwpt);
  });

  f.test("pasid_set_dirty_tracking", {
    description:
      "Dirty tracking can be turned on and off while a PASID is attached",
    rules: ["C2.26"],
    since: "7.3",
    needs: () => ["pasid"],
  }, async ({ io, ioasId, idevId: devId }) => {
    const pasid = 100;
    const hasPasids = MOCK_FLAGS_DEVICE_PASID;
    const hwpt = await hwptAlloc(io, {
      devId,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_PASID | flags,
    });
    const { stdevId } = await io.mock.domainFlags(hwpt, hasPasids);
    await pasidAttach(io, stdevId, pasid, hwpt);
    await setDirtyTracking(io, hwpt, true);
    await setDirtyTracking(io, hwpt, false);
    await pasidDetach(io, stdevId, pasid);
    await io.destroy(stdevId);

    // Its own HWPT is not for PASIDs: that is why, not that it cannot track.
    const other = await io.ioasAlloc();
    const incapable = await io.mock.domainFlags(
      other,
      hasPasids | MOCK_FLAGS_DEVICE_NO_DIRTY,
    );
    await pasidAttach(io, incapable.stdevId, pasid, hwpt, EINVAL);
    await io.destroy(incapable.stdevId);
    await io.destroy(hwpt);
  });

  f.test("device_dirty_capability", {
    description: "GET_HW_INFO tells that a device can track dirty pages",
    rules: ["C2.24"],
  }, async ({ io, ioasId, idevId: devId }) => {
    const hwpt = await hwptAlloc(io, { devId, ptId: ioasId });
    const domain = await io.mock.domain(hwpt);
    const { outCapabilities } = await getHwInfo(io, devId, 0);
    assertEq(
      outCapabilities & IOMMU_HW_CAP_DIRTY_TRACKING,
      IOMMU_HW_CAP_DIRTY_TRACKING,
      "capability DIRTY_TRACKING",
    );
    await io.destroy(domain.stdevId);
    await io.destroy(hwpt);
  });
}

/** Tests that read the bitmap. */
function registerBitmaps(f: DirtyFixture): void {
  f.test("get_dirty_bitmap", {
    description: "Reading the bitmap tells what was dirtied, and clears it",
    rules: ["C2.27"],
  }, (self, variant) => checkDirtyBitmaps(self, variant, 0));

  f.test(
    "get_dirty_bitmap_no_clear",
    {
      description: "With NO_CLEAR the bitmap can be read again",
      rules: ["C2.29"],
    },
    (self, variant) =>
      checkDirtyBitmaps(self, variant, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR),
  );
}

/** Both tests: the bitmap at three alignments. */
async function checkDirtyBitmaps(
  self: DirtySelf,
  variant: DirtyVariant,
  flags: number,
): Promise<void> {
  const { io, buffer, bitmap } = self;
  const { bufferSize } = variant;
  const iova = BigInt(MOCK_APERTURE_START);
  const { choosesPageTable } = testDifferences(io.revision);
  const ioasId = choosesPageTable ? self.ioasId : await io.ioasAlloc();
  await io.mapFixed(ioasId, buffer, bufferSize, iova);
  const hwptId = await allocTracking(self, variant, ioasId);
  await setDirtyTracking(io, hwptId, true);
  const smallest = choosesPageTable ? io.page : io.mockPage;
  const pteSize = variant.hugepages ? MOCK_HUGE_PAGE_SIZE : Number(smallest);
  for (const offset of [0, Number(io.mockPage), 0xff1]) {
    await checkDirtyBitmap(
      io,
      {
        hwptId,
        iova,
        length: BigInt(bufferSize),
        pageSize: io.mockPage,
        address: bitmap + offset,
      },
      pteSize,
      flags,
    );
  }
  await io.destroy(hwptId);
}

/** A HWPT that tracks, with the variant's page table where the HWPT has the choice. */
async function allocTracking(
  { io, idevId: devId }: DirtySelf,
  { hugepages }: DirtyVariant,
  ptId: number,
): Promise<number> {
  const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
  const values = { devId, ptId, flags };
  if (!testDifferences(io.revision).choosesPageTable) {
    return await hwptAlloc(io, values);
  }
  const data = await hwptData(io, {
    pagetableType: hugepages ? MOCK_IOMMUPT_HUGE : MOCK_IOMMUPT_DEFAULT,
  });
  return await hwptAlloc(io, { ...values, ...data });
}

/**
 * Dirties every second IOPTE and reads the bitmap twice: each bit of a dirty
 * IOPTE is set, and the second time only if the first did not clear it.
 */
async function checkDirtyBitmap(
  io: Iommufd,
  range: Bitmap,
  pteSize: number,
  flags: number,
): Promise<void> {
  const bits = Number(range.length / range.pageSize);
  const bitsPerPte = pteSize / Number(range.pageSize);
  const zero = new Uint8Array(Math.ceil(bits / 8));

  const marked = setBits(bits, (bit) => bit % (2 * bitsPerPte) === 0);
  await io.process.poke(range.address, marked);
  const dirtied = await markDirty(io, range);
  const expected = Math.floor(bits / (2 * bitsPerPte)) || 1;
  assertEq(dirtied, BigInt(expected), "IOPTEs dirtied");

  const dirty = setBits(bits, (bit) => bit % (2 * bitsPerPte) < bitsPerPte);
  await io.process.poke(range.address, zero);
  await getDirtyBitmap(io, range, flags);
  let seen = await io.process.peek(range.address, zero.length);
  assertBytes(seen, dirty, "dirty bitmap");

  await io.process.poke(range.address, zero);
  await getDirtyBitmap(io, range, flags);
  seen = await io.process.peek(range.address, zero.length);
  const left = flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR ? dirty : zero;
  assertBytes(seen, left, "dirty bitmap read again");
}

/** A bitmap of `count` bits. */
function setBits(
  count: number,
  isSet: (bit: number) => boolean,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.ceil(count / 8));
  for (let bit = 0; bit < count; bit++) {
    if (isSet(bit)) bytes[bit >> 3]! |= 1 << (bit & 7);
  }
  return bytes;
}
