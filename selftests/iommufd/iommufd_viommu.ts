// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `iommufd_viommu`: a virtual IOMMU, its devices, events and queues.
 *
 * @module
 */

import {
  EBUSY,
  EEXIST,
  EINVAL,
  EIO,
  ENOENT,
  ENXIO,
  EOPNOTSUPP,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  assertErrno,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  faultQueueAlloc,
  hwptAlloc,
  nestedAlloc,
  triggerIopf,
} from "../ioctls/hwpt_ioctls.ts";
import { Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import {
  expectVevents,
  triggerVevents,
  VeventHeader,
  VEVENTQ_MAX_DEPTH,
  veventqAlloc,
} from "../ioctls/vevent_ioctls.ts";
import {
  devCheckCacheAll,
  type HwQueue,
  hwQueueAlloc,
  IOMMU_HW_QUEUE_TYPE_DEFAULT,
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  IOMMU_TEST_HW_QUEUE_MAX,
  IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID,
  mmapRegion,
  MOCK_DEV_CACHE_ID_MAX,
  vdeviceAlloc,
  viommuAlloc,
  viommuAllocWithData,
  viommuInvalidate,
  ViommuInvalidateSelftest,
} from "../ioctls/viommu_ioctls.ts";

/** Parameters of a variant. */
interface ViommuVariant {
  /** Whether there is a vIOMMU, and a device. */
  readonly viommu: boolean;
}

/** What the tests share; all but the IOAS are 0 without a vIOMMU. */
interface ViommuSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
  readonly stdevId: number;
  /** The bound device. */
  readonly devId: number;
  /** The nesting parent. */
  readonly hwptId: number;
  readonly viommuId: number;
  /** A nested HWPT of the vIOMMU. */
  readonly nestedId: number;
}

type ViommuFixture = Fixture<ViommuVariant, ViommuSelf>;

/** The kernel's variants. */
const VARIANTS: Readonly<Record<string, ViommuVariant>> = {
  no_viommu: { viommu: false },
  mock_viommu: { viommu: true },
};

/** What the guest knows the device by. */
const VIRT_ID = 0x99;

/** Adds the fixture's tests to `registry`. */
export function registerIommufdViommu(registry: Test[]): void {
  const f: ViommuFixture = fixture(registry, "iommufd_viommu", {
    variants: VARIANTS,
    since: "7.3",
    upstream: true,
    needs: () => ["hwpt", "viommu"],
    setup: setupViommu,
    teardown: ({ io }) => io.teardown(),
  });
  registerViommu(f);
  registerVdevice(f);
  registerHwQueue(f);
  registerTombstone(f);
}

/** Why half of the tests do nothing without a vIOMMU. */
function skipsItself({ viommu }: ViommuVariant): string | undefined {
  return viommu ? undefined : "There is no vIOMMU in this variant";
}

/** Opens an iommufd with an IOAS, and a vIOMMU on it in the variant that has one. */
async function setupViommu(
  context: Context,
  { viommu }: ViommuVariant,
): Promise<ViommuSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  await io.mock.tryMemoryLimit();
  const none = { stdevId: 0, devId: 0, hwptId: 0, viommuId: 0, nestedId: 0 };
  if (!viommu) return { io, ioasId, ...none };

  const { stdevId, idevId: devId } = await io.mock.domain(ioasId);
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const hwptId = await hwptAlloc(io, { devId, ptId: ioasId, flags });
  const viommuId = await viommuAlloc(io, devId, hwptId);
  const nestedId = await nestedAlloc(io, devId, viommuId);
  return { io, ioasId, stdevId, devId, hwptId, viommuId, nestedId };
}

/** Tests of the vIOMMU itself. */
function registerViommu(f: ViommuFixture): void {
  f.test("viommu_auto_destroy", {
    description: "Closing the descriptor frees a vIOMMU and what is made on it",
    rules: ["V1.3"],
  }, async () => {});

  f.test("viommu_negative_tests", {
    description:
      "A vIOMMU wants a nesting parent and a type that the driver has, and is busy while it is used",
    rules: ["V1.1"],
  }, async ({ io, ioasId, devId, hwptId, viommuId }) => {
    if (!devId) return void await viommuAlloc(io, devId, hwptId, {}, ENOENT);
    await viommuAlloc(io, devId, 0, {}, ENOENT);
    const plain = await hwptAlloc(io, { devId, ptId: ioasId });
    await viommuAlloc(io, devId, plain, {}, EINVAL);
    await io.destroy(plain);
    await viommuAlloc(io, devId, hwptId, { type: 0xdead }, EOPNOTSUPP);
    await io.destroy(hwptId, EBUSY);
    await io.destroy(viommuId, EBUSY);
  });

  f.test("viommu_alloc_nested_iopf", {
    description:
      "A nested HWPT of a vIOMMU can have a fault queue, and needs a vDEVICE to be attached",
    rules: ["V1.8"],
    skipsItself,
  }, checkNestedIopf);

  f.test("viommu_alloc_with_data", {
    description: "A driver can offer memory of a vIOMMU to be mapped, whole",
    rules: ["V1.2"],
    skipsItself,
  }, async ({ io, devId, hwptId }) => {
    const inData = 0xbeef;
    const answer = await viommuAllocWithData(io, devId, hwptId, inData);
    const { outMmapOffset: offset, outMmapLength: length } = answer;
    assertEq(answer.outData, inData, "out_data");

    await mmapRegion(io, length, offset + io.page, ENXIO);
    await mmapRegion(io, length, offset + 2n * io.page, ENXIO);
    await mmapRegion(io, length / 2n, offset, ENXIO);
    await mmapRegion(io, 2n * length, offset, ENXIO);

    const address = await mmapRegion(io, length, offset);
    const word = await io.process.peek(address, 4);
    const value = new DataView(word.buffer).getUint32(0, true);
    assertEq(value, inData, "first word of the memory");
    await io.destroy(answer.viommuId, EBUSY);
    await io.munmap(address, length);
  });
}

/** Test `viommu_alloc_nested_iopf`. */
async function checkNestedIopf(
  { io, ioasId, stdevId, devId, viommuId }: ViommuSelf,
): Promise<void> {
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  const unknown = (flags | 1 << 31) >>> 0;
  const { faultId, faultFd } = await faultQueueAlloc(io);
  const noQueue = { flags, faultId: 0xffffffff };
  await nestedAlloc(io, devId, viommuId, noQueue, ENOENT);
  const values = { flags: unknown, faultId };
  await nestedAlloc(io, devId, viommuId, values, EOPNOTSUPP);
  const hwptId = await nestedAlloc(io, devId, viommuId, { flags, faultId });

  await io.mock.replaceDomain(stdevId, hwptId, ENOENT);
  await vdeviceAlloc(io, viommuId, devId, VIRT_ID);
  await io.mock.replaceDomain(stdevId, hwptId);
  await io.destroy(hwptId, EBUSY);
  await triggerIopf(io, devId, faultFd);

  await io.mock.replaceDomain(stdevId, ioasId);
  await io.destroy(hwptId);
  assertEq(await io.process.close(faultFd), 0, "close the fault queue");
  await io.destroy(faultId);
}

/** Tests of vDEVICEs. */
function registerVdevice(f: ViommuFixture): void {
  f.test("vdevice_alloc", {
    description:
      "A device has one vDEVICE, by whose id its events go to the vIOMMU's queue",
    rules: ["V1.6"],
  }, async (self) => {
    const { io, devId, viommuId } = self;
    if (!devId) {
      return void await vdeviceAlloc(io, viommuId, devId, VIRT_ID, ENOENT);
    }
    await checkVdevice(self);
  });

  f.test("vdevice_cache", {
    description: "Requests to a vIOMMU clear words of a device's cache",
    rules: ["V5.1"],
    skipsItself,
  }, checkVdeviceCache);
}

/** Test `vdevice_alloc` of the variant with a vIOMMU. */
async function checkVdevice(
  { io, ioasId, stdevId, devId, viommuId, nestedId }: ViommuSelf,
): Promise<void> {
  await io.mock.replaceDomain(stdevId, nestedId, ENOENT);

  await veventqAlloc(io, viommuId, 0, EINVAL);
  await veventqAlloc(io, viommuId, VEVENTQ_MAX_DEPTH + 1, EINVAL);
  const deepest = await veventqAlloc(io, viommuId, VEVENTQ_MAX_DEPTH);
  assertEq(await io.process.close(deepest.veventqFd), 0, "close the queue");
  await io.destroy(deepest.veventqId);

  const { veventqId, veventqFd: fd } = await veventqAlloc(io, viommuId, 2);
  await veventqAlloc(io, viommuId, 2, EEXIST);
  await readTooShort(io, fd, 0);
  await readTooShort(io, fd, VeventHeader.size - 1);

  const vdevId = await vdeviceAlloc(io, viommuId, devId, VIRT_ID);
  await io.mock.replaceDomain(stdevId, nestedId);
  await triggerVevents(io, devId);
  await readTooShort(io, fd, 0);
  await readTooShort(io, fd, VeventHeader.size);
  await expectVevents(io, fd, [[0, VIRT_ID]], 1);
  await vdeviceAlloc(io, viommuId, devId, VIRT_ID, EEXIST);
  await io.mock.replaceDomain(stdevId, ioasId);
  await io.destroy(vdevId);

  const another = await vdeviceAlloc(io, viommuId, devId, 0x88);
  await io.mock.replaceDomain(stdevId, nestedId);
  // Two fit, and the third is lost.
  await triggerVevents(io, devId, 3);
  await expectVevents(io, fd, [[1, 0x88], [2, 0x88], [3]], 3);
  await triggerVevents(io, devId);
  await expectVevents(io, fd, [[4, 0x88]], 1);
  assertEq(await io.process.close(fd), 0, "close the queue");
  await io.mock.replaceDomain(stdevId, ioasId);
  await io.destroy(another);
  await io.destroy(veventqId);
}

/** A read of too few bytes, for any event or for the next one. */
async function readTooShort(
  io: Iommufd,
  fd: number,
  bytes: number,
): Promise<void> {
  const ret = await io.process.read(fd, new Uint8Array(bytes));
  assertErrno(ret, EINVAL, `read of ${bytes} bytes`);
}

/** Test `vdevice_cache`. */
async function checkVdeviceCache(
  { io, devId, viommuId }: ViommuSelf,
): Promise<void> {
  const FULL = IOMMU_TEST_DEV_CACHE_DEFAULT;
  const { size } = ViommuInvalidateSelftest;
  const vdevId = VIRT_ID;
  const one = [{}];
  const wrongType = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID;
  const beyond = MOCK_DEV_CACHE_ID_MAX + 1;
  const unknown = { flags: 0xffffffff, vdevId };
  const vdevice = await vdeviceAlloc(io, viommuId, devId, vdevId);
  await devCheckCacheAll(io, devId);

  await viommuInvalidate(io, viommuId, [], 0);
  await viommuInvalidate(io, viommuId, one, 0, EINVAL, { dataType: wrongType });
  await viommuInvalidate(io, viommuId, one, 0, EINVAL, { entryLen: size + 1 });
  await viommuInvalidate(io, viommuId, one, 0, EINVAL, { entryLen: 1 });
  await viommuInvalidate(io, viommuId, [unknown], 0, EOPNOTSUPP);
  const here = [{ vdevId }];
  await viommuInvalidate(io, viommuId, here, 0, EINVAL, { dataUptr: 0n });
  await viommuInvalidate(io, viommuId, here, 0, EINVAL, { entryLen: 0 });
  const noWord = { vdevId, cacheId: beyond };
  await viommuInvalidate(io, viommuId, [noWord], 0, EINVAL);
  await viommuInvalidate(io, viommuId, [{ vdevId: 0x9 }], 0, EINVAL);

  // The first request is carried out, the second fails.
  const first = { vdevId, cacheId: 0 };
  const flawed = [first, { ...unknown, cacheId: 1 }];
  await viommuInvalidate(io, viommuId, flawed, 1, EOPNOTSUPP);
  await devCheckCacheAll(io, devId, [0, FULL, FULL, FULL]);
  await viommuInvalidate(io, viommuId, [first, noWord], 1, EINVAL);
  await devCheckCacheAll(io, devId, [0, FULL, FULL, FULL]);

  await viommuInvalidate(io, viommuId, [{ vdevId, cacheId: 1 }], 1);
  await devCheckCacheAll(io, devId, [0, 0, FULL, FULL]);
  const rest = [{ vdevId, cacheId: 2 }, { vdevId, cacheId: 3 }];
  await viommuInvalidate(io, viommuId, rest, 2);
  await devCheckCacheAll(io, devId, [0, 0, 0, 0]);
  const all = { flags: IOMMU_TEST_INVALIDATE_FLAG_ALL, vdevId };
  await viommuInvalidate(io, viommuId, [all], 1);
  await devCheckCacheAll(io, devId, [0, 0, 0, 0]);
  await io.destroy(vdevice);
}

/** Test `hw_queue`. */
function registerHwQueue(f: ViommuFixture): void {
  f.test("hw_queue", {
    description:
      "Hardware queues lie in mapped memory, which cannot be unmapped, and depend on those before",
    rules: ["V3.2"],
    skipsItself,
  }, async ({ io, ioasId, viommuId }) => {
    const { buffer, page } = io;
    function alloc(values: Partial<HwQueue>, errno?: Errno) {
      const queue = { index: 0, iova, length: page, ...values };
      return hwQueueAlloc(io, viommuId, queue, errno);
    }
    let iova = BigInt(MOCK_APERTURE_START);
    await alloc({ type: IOMMU_HW_QUEUE_TYPE_DEFAULT }, EOPNOTSUPP);
    await alloc({ length: 0 }, EINVAL);
    await alloc({ iova: U64_MAX }, EOVERFLOW);
    await alloc({}, ENOENT);

    iova = await io.map(ioasId, buffer, page);
    const other = await io.map(ioasId, buffer + Number(page), page);
    await alloc({ index: 1 }, EIO);
    await alloc({ index: IOMMU_TEST_HW_QUEUE_MAX }, EINVAL);
    const first = await alloc({});
    await alloc({}, EEXIST);
    await io.unmap(ioasId, iova, page, EBUSY);
    await io.unmap(ioasId, other, page);

    const half = page / 2n;
    const second = await alloc({ index: 1, iova: iova + half, length: half });
    await io.destroy(first, EBUSY);
    await io.destroy(second);
    await io.destroy(first);
    await io.unmap(ioasId, iova, page);
  });
}

/** Test `vdevice_tombstone`. */
function registerTombstone(f: ViommuFixture): void {
  f.test("vdevice_tombstone", {
    description: "A vDEVICE goes with its device",
    rules: ["V1.9"],
    skipsItself,
  }, async ({ io, stdevId, devId, viommuId }) => {
    const vdevId = await vdeviceAlloc(io, viommuId, devId, VIRT_ID);
    await io.destroy(stdevId);
    await io.destroy(vdevId, ENOENT);
  });
}
