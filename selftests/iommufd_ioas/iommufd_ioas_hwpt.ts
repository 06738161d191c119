// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: hardware page tables and hardware information.
 *
 * @module
 */

import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  EOPNOTSUPP,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_DATA_NONE,
  IOMMU_HWPT_FAULT_ID_VALID,
  type IommuHwptAlloc,
} from "../../impl/uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_IOTLB_DEFAULT,
  MOCK_NESTED_DOMAIN_IOTLB_ID_MAX,
  TestHwInfo,
} from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import {
  checkIotlb,
  faultQueueAlloc,
  getHwInfo,
  hwptAlloc,
  hwptInvalidate,
  HwptSelftest,
  hwptSelftestSize,
  triggerIopf,
} from "../ioctls/hwpt_ioctls.ts";
import { testDifferences } from "../iommufd/test_differences.ts";
import type { Iommufd } from "../ioctls/ioctls.ts";
import { MOCK_PASID_WIDTH } from "../ioctls/pasid_ioctls.ts";
import type { IoasFixture, IoasSelf } from "./iommufd_ioas.ts";

/** Each entry of a nested domain's IOTLB before anything is invalidated. */
const FULL = IOMMU_TEST_IOTLB_DEFAULT;

/** Requests that one call can have. */
const INVALIDATE_ENTRY_NUM_MAX = 1 << 19;

/** Adds `alloc_hwpt_nested` to the fixture. */
export function registerAllocHwptNested(f: IoasFixture): void {
  f.test("alloc_hwpt_nested", {
    description:
      "Nested HWPTs can be allocated on a parent, invalidated, attached and made to fault",
    rules: ["C2.25"],
    since: "6.8",
    needs: () => ["hwpt", "faults"],
  }, async (self) => {
    if (!self.idevId) return await checkWithoutDevice(self);
    const tables = await allocateTables(self);
    await checkInvalidateErrors(self.io, tables.parent, tables.nested[0]);
    await checkInvalidate(self.io, tables.nested);
    await checkReplace(self, tables);
  });
}

/** Adds `hwpt_attach` to the fixture. */
export function registerHwptAttach(f: IoasFixture): void {
  f.test("hwpt_attach", {
    description: "A device can be attached to a HWPT by its id",
    rules: ["C2.11"],
    since: "6.4",
  }, async ({ io, stdevId, hwptId }) => {
    await io.mock.domain(hwptId, stdevId ? undefined : ENOENT);
  });
}

/** Adds `get_hw_info` to the fixture. */
export function registerGetHwInfo(f: IoasFixture): void {
  f.test("get_hw_info", {
    description:
      "Hardware information fills a buffer of any size, and zeroes what is beyond it",
    rules: ["C2.24"],
    since: "6.6",
    needs: () => ["hwpt"],
  }, async ({ io, idevId, pasidDevId }) => {
    const larger = TestHwInfo.size + 8;
    if (!idevId) {
      await getHwInfo(io, idevId, TestHwInfo.size, ENOENT);
      await getHwInfo(io, idevId, larger, ENOENT);
      return;
    }
    await getHwInfo(io, idevId, 0);
    const exact = TestHwInfo.size;
    await getHwInfo(io, idevId, exact);
    if (testDifferences(io.revision).asksHwInfoType) {
      const type = IOMMU_HW_INFO_TYPE_SELFTEST;
      await getHwInfo(io, idevId, exact, EOPNOTSUPP, type + 1);
      await getHwInfo(io, idevId, exact, undefined, type);
    }
    await getHwInfo(io, idevId, larger);
    await getHwInfo(io, idevId, TestHwInfo.offsetofend("flags"));
    const { outMaxPasidLog2 } = await getHwInfo(io, idevId, 0);
    assertEq(outMaxPasidLog2, 0, "width of a PASID");
    if (pasidDevId) {
      const { outMaxPasidLog2 } = await getHwInfo(io, pasidDevId, 0);
      assertEq(outMaxPasidLog2, MOCK_PASID_WIDTH, "width of a PASID");
    }
  });
}

/** The HWPTs of `alloc_hwpt_nested`. */
interface Tables {
  readonly parent: number;
  /** Allocated without NEST_PARENT. */
  readonly notParent: number;
  readonly nested: readonly [number, number];
  /** Nested, with a fault queue. */
  readonly faulting: number;
  readonly faultId: number;
  readonly faultFd: number;
}

/** `alloc_hwpt_nested` of the variant without a device: every id is unknown. */
async function checkWithoutDevice(
  { io, idevId, ioasId, stdevId }: IoasSelf,
): Promise<void> {
  const nested = nestedValues(io, idevId, 0);
  await hwptAlloc(io, { devId: idevId, ptId: ioasId }, ENOENT);
  for (let i = 0; i < 2; i++) await hwptAlloc(io, nested, ENOENT);
  for (let i = 0; i < 2; i++) await io.mock.replaceDomain(stdevId, 0, ENOENT);
}

/** The arguments that allocate a nested HWPT; the driver data stand in scratch memory. */
function nestedValues(
  io: Iommufd,
  devId: number,
  ptId: number,
): Partial<IommuHwptAlloc> {
  return {
    devId,
    ptId,
    dataType: IOMMU_HWPT_DATA_SELFTEST,
    dataLen: hwptSelftestSize(io.revision),
    dataUptr: BigInt(io.scratch),
  };
}

/** Allocates the tables of the test, with the refusals that come before and between. */
async function allocateTables(
  { io, idevId: devId, ioasId }: IoasSelf,
): Promise<Tables> {
  await hwptAlloc(io, { devId: ioasId, ptId: devId }, ENOENT);
  await hwptAlloc(io, { devId, ptId: devId }, EINVAL);
  await hwptAlloc(io, {
    devId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID,
  }, EOPNOTSUPP);
  const parent = await hwptAlloc(io, {
    devId,
    ptId: ioasId,
    flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
  });
  const notParent = await hwptAlloc(io, { devId, ptId: ioasId });
  await checkNestedErrors(io, devId, parent, notParent);

  const { faultId, faultFd } = await faultQueueAlloc(io);
  const values = nestedValues(io, devId, parent);
  const nested: [number, number] = [
    await hwptAlloc(io, values),
    await hwptAlloc(io, values),
  ];
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  await hwptAlloc(io, { ...values, flags, faultId: 0xffffffff }, ENOENT);
  const faulting = await hwptAlloc(io, { ...values, flags, faultId });
  for (const id of nested) await checkIotlb(io, id, [FULL, FULL, FULL, FULL]);

  await hwptAlloc(io, nestedValues(io, devId, nested[0]), EINVAL);
  await io.destroy(parent, EBUSY);
  return { parent, notParent, nested, faulting, faultId, faultFd };
}

/** What a nested HWPT cannot be allocated with. */
async function checkNestedErrors(
  io: Iommufd,
  devId: number,
  parent: number,
  notParent: number,
): Promise<void> {
  const data = HwptSelftest.encode({ iotlb: IOMMU_TEST_IOTLB_DEFAULT });
  await io.process.poke(io.scratch, data);
  const values = nestedValues(io, devId, parent);
  const wrongType = IOMMU_HWPT_DATA_SELFTEST + 1;
  const short = HwptSelftest.offsetofend("iotlb") - 1;
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  await hwptAlloc(io, { ...values, dataType: IOMMU_HWPT_DATA_NONE }, EINVAL);
  await hwptAlloc(io, { ...values, dataType: wrongType }, EOPNOTSUPP);
  await hwptAlloc(io, { ...values, dataLen: short }, EINVAL);
  await hwptAlloc(io, { ...values, dataUptr: 0n }, EFAULT);
  await hwptAlloc(io, { ...values, flags }, EOPNOTSUPP);
  await hwptAlloc(io, { ...values, ptId: notParent }, EINVAL);
}

/** What cannot be invalidated; the count of requests handled is right each time. */
async function checkInvalidateErrors(
  io: Iommufd,
  parent: number,
  nested: number,
): Promise<void> {
  const one = [{}];
  const { size } = HwptInvalidateSelftest;
  const wrongType = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID;
  const beyond = MOCK_NESTED_DOMAIN_IOTLB_ID_MAX + 1;
  const unknown = { flags: 0xffffffff };

  const { invalidateOtherErrno } = io.revision.objects;
  await hwptInvalidate(io, parent, one, 0, invalidateOtherErrno);
  await hwptInvalidate(io, nested, [], 0);
  await hwptInvalidate(io, nested, one, 0, EINVAL, { dataType: wrongType });
  await hwptInvalidate(io, nested, one, 0, EINVAL, { entryLen: size + 1 });
  await hwptInvalidate(io, nested, one, 0, EINVAL, { entryLen: 1 });
  if (testDifferences(io.revision).checksInvalidateBounds) {
    const entryLen = io.context.pageSize + 1;
    await hwptInvalidate(io, nested, one, 0, EINVAL, { entryLen });
    const entryNum = INVALIDATE_ENTRY_NUM_MAX + 1;
    await hwptInvalidate(io, nested, one, 0, EINVAL, { entryNum });
  }
  await hwptInvalidate(io, nested, [unknown], 0, EOPNOTSUPP);
  await hwptInvalidate(io, nested, one, 0, EINVAL, { dataUptr: 0n });
  await hwptInvalidate(io, nested, one, 0, EINVAL, { entryLen: 0 });
  await hwptInvalidate(io, nested, [{ iotlbId: beyond }], 0, EINVAL);

  // The first request is carried out, the second fails.
  const second = [{ ...unknown, iotlbId: 1 }, { iotlbId: beyond }];
  for (const [index, errno] of [EOPNOTSUPP, EINVAL].entries()) {
    await hwptInvalidate(
      io,
      nested,
      [{ iotlbId: 0 }, second[index]!],
      1,
      errno,
    );
    await checkIotlb(io, nested, [0, FULL, FULL, FULL]);
  }
}

/** Invalidates the rest of the first nested HWPT piece by piece and the second at once. */
async function checkInvalidate(
  io: Iommufd,
  [first, second]: readonly [number, number],
): Promise<void> {
  await hwptInvalidate(io, first, [{ iotlbId: 1 }], 1);
  await checkIotlb(io, first, [0, 0, FULL, FULL]);
  await hwptInvalidate(io, first, [{ iotlbId: 2 }, { iotlbId: 3 }], 2);
  await checkIotlb(io, first, [0, 0, 0, 0]);
  const all = { flags: IOMMU_TEST_INVALIDATE_FLAG_ALL, iotlbId: 2 };
  await hwptInvalidate(io, second, [all], 1);
  await checkIotlb(io, second, [0, 0, 0, 0]);
}

/** Moves the device through all tables, each busy while it is attached. */
async function checkReplace(
  { io, stdevId, idevId, ioasId }: IoasSelf,
  { parent, notParent, nested, faulting, faultId, faultFd }: Tables,
): Promise<void> {
  await io.mock.replaceDomain(stdevId, nested[0]);
  await io.destroy(nested[0], EBUSY);
  await io.mock.replaceDomain(stdevId, nested[1]);
  await io.destroy(nested[1], EBUSY);
  await io.destroy(nested[0]);
  await io.mock.replaceDomain(stdevId, faulting);
  await io.destroy(faulting, EBUSY);
  await triggerIopf(io, idevId, faultFd);
  await io.mock.replaceDomain(stdevId, parent);
  await io.destroy(nested[1]);
  await io.destroy(faulting);
  await io.mock.replaceDomain(stdevId, ioasId);
  await io.destroy(parent);
  await io.destroy(notParent);
  assertEq(await io.process.close(faultFd), 0, "close the fault queue");
  await io.destroy(faultId);
}
