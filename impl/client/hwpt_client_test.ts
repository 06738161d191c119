// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import {
  EBUSY,
  EINVAL,
  ENOENT,
  ENOTTY,
  EOPNOTSUPP,
  type Errno,
} from "../uapi/errno.ts";
import {
  IOMMU_HW_CAP_DIRTY_TRACKING,
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMUFD_PAGE_RESP_SUCCESS,
} from "../uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  HwptSelftest,
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_INVALIDATE_FLAG_ALL,
  IOMMU_TEST_IOTLB_DEFAULT,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  TestHwInfo,
} from "../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { IommufdClient } from "./client.ts";
import { IommufdError } from "./error.ts";

/** Runs a body with a mock device on an IOAS; nothing may be left afterwards. */
function withDevice(
  body: (iommufd: IommufdClient, ioasId: number, devId: number) => void,
): void {
  const kernel = new Kernel();
  const process = kernel.spawn();
  const iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  const { idevId } = iommufd.mock.mockDomain({ ptId: ioasId });
  body(iommufd, ioasId, idevId!);
  process.exit();
  assertEquals(kernel.audit(), []);
}

function assertFails(call: () => unknown, errno: Errno, text: string): void {
  const error = assertThrows(call, IommufdError, text);
  assertStrictEquals(error.errno, errno, error.message);
}

/** A HWPT that can be a parent, and one that is nested on it. */
function nest(
  iommufd: IommufdClient,
  ioasId: number,
  devId: number,
  faultId?: number,
): { parent: number; nested: number } {
  const { hwpt } = iommufd;
  const flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
  const parent = hwpt.alloc({ devId, ptId: ioasId, flags }).hwptId;
  const nested = hwpt.alloc({
    devId,
    ptId: parent,
    dataType: IOMMU_HWPT_DATA_SELFTEST,
    data: HwptSelftest.encode({ iotlb: IOMMU_TEST_IOTLB_DEFAULT }),
    ...faultId === undefined ? {} : { faultId },
  }).hwptId;
  return { parent, nested };
}

describe("HwptClient", () => {
  it("allocates HWPTs on an IOAS and on each other", () => {
    withDevice((iommufd, ioasId, devId) => {
      const { parent, nested } = nest(iommufd, ioasId, devId);
      const check = { hwptId: nested, iotlbId: 3 };
      iommufd.mock.checkIotlb({ ...check, iotlb: IOMMU_TEST_IOTLB_DEFAULT });
      assertFails(
        () => iommufd.mock.checkIotlb({ ...check, iotlb: 1 }),
        EINVAL,
        "the entry has another value",
      );
      assertFails(() => iommufd.destroy(parent), EBUSY, "a nested HWPT uses");
      iommufd.destroy(nested);
      iommufd.destroy(parent);
      // What an id may name is said where it was given.
      const alloc = { devId: 77, ptId: ioasId };
      assertFails(
        () => iommufd.hwpt.alloc(alloc),
        ENOENT,
        "ENOENT: there is no device with this id (",
      );
    });
  });

  it("invalidates what a nested HWPT caches", () => {
    withDevice((iommufd, ioasId, devId) => {
      const { nested } = nest(iommufd, ioasId, devId);
      const dataType = IOMMU_HWPT_INVALIDATE_DATA_SELFTEST;
      const one = HwptInvalidateSelftest.encode({ iotlbId: 1 });
      const all = HwptInvalidateSelftest.encode({
        flags: IOMMU_TEST_INVALIDATE_FLAG_ALL,
      });
      const invalidate = (entries: Uint8Array[]) =>
        iommufd.hwpt.invalidate({ hwptId: nested, dataType, entries });
      assertEquals(invalidate([]), { handled: 0 });
      assertEquals(invalidate([one]), { handled: 1 });
      const { mock } = iommufd;
      mock.checkIotlb({ hwptId: nested, iotlbId: 1, iotlb: 0 });
      mock.checkIotlb({
        hwptId: nested,
        iotlbId: 0,
        iotlb: IOMMU_TEST_IOTLB_DEFAULT,
      });
      assertEquals(invalidate([one, all]), { handled: 2 });
      mock.checkIotlb({ hwptId: nested, iotlbId: 0, iotlb: 0 });
      assertThrows(
        () => invalidate([one, all.subarray(4)]),
        RangeError,
        "entries[1] must have 8 bytes as the first entry, not 4",
      );
    });
  });

  it("tells what the hardware is", () => {
    withDevice((iommufd, ioasId, devId) => {
      const info = iommufd.hwpt.getHwInfo(devId);
      assertEquals(info.dataType, IOMMU_HW_INFO_TYPE_SELFTEST);
      assertEquals(TestHwInfo.decode(info.data), {
        flags: 0,
        testReg: IOMMU_HW_INFO_SELFTEST_REGVAL,
      });
      assertEquals(iommufd.hwpt.getHwInfo(devId, info.dataType), info);
      const other = () => iommufd.hwpt.getHwInfo(devId, 77);
      assertFails(other, EOPNOTSUPP, "outDataType 77");
      // The mock's devices cannot use ATS.
      const always = IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
      const tracks = IOMMU_HW_CAP_DIRTY_TRACKING;
      assertEquals(info.capabilities, always | tracks);
      const devFlags = MOCK_FLAGS_DEVICE_NO_DIRTY;
      const plain = iommufd.mock.mockDomain({ ptId: ioasId, devFlags });
      const { capabilities } = iommufd.hwpt.getHwInfo(plain.idevId!);
      assertEquals(capabilities, always);
      assertFails(() => iommufd.hwpt.getHwInfo(77), ENOENT, "no device");
    });
  });

  it("records which pages were written", () => {
    withDevice((iommufd, ioasId, devId) => {
      const { hwpt, mock, process } = iommufd;
      const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
      const { hwptId } = hwpt.alloc({ devId, ptId: ioasId, flags });
      const length = 16 * PAGE_SIZE;
      const mapFlags = MAP_PRIVATE | MAP_ANONYMOUS;
      const prot = PROT_READ | PROT_WRITE;
      // From the middle of a page on, so that each IO page has an entry.
      const size = length + PAGE_SIZE;
      const userVa = process.mmap(0, size, prot, mapFlags) + 2048;
      const iova = 2n ** 24n;
      iommufd.ioasMap({ ioasId, userVa, length, iova });
      const pages = { hwptId, iova, length, pageSize: 2048 };
      const none = () => hwpt.getDirtyBitmap({ ...pages, pageSize: 0 });
      assertFails(none, EINVAL, "pageSize 0x0");

      hwpt.setDirtyTracking({ hwptId, on: true });
      const bitmap = new Uint8Array([0b101, 0, 0, 0x80]);
      assertEquals(mock.dirty({ ...pages, bitmap }), { marked: 3n });
      const peeked = hwpt.getDirtyBitmap({ ...pages, clear: false });
      assertEquals(peeked, bitmap);
      assertEquals(hwpt.getDirtyBitmap(pages), bitmap);
      assertEquals(hwpt.getDirtyBitmap(pages), new Uint8Array(4));

      hwpt.setDirtyTracking({ hwptId, on: false });
      assertFails(() => mock.dirty({ ...pages, bitmap }), EINVAL, "not track");
      const plain = hwpt.alloc({ devId, ptId: ioasId }).hwptId;
      assertFails(
        () => hwpt.setDirtyTracking({ hwptId: plain, on: true }),
        EOPNOTSUPP,
        "the HWPT cannot track writes",
      );
    });
  });

  it("hands page faults out and takes the answers", () => {
    withDevice((iommufd, ioasId, devId) => {
      const { hwpt, mock } = iommufd;
      const { faultId, faultFd } = hwpt.faultQueueAlloc();
      const { nested } = nest(iommufd, ioasId, devId, faultId);
      const stdevId = 2;
      mock.mockDomainReplace({ stdevId, ptId: nested });
      assertEquals(hwpt.readFaults(faultFd), []);

      mock.triggerIopf({ devId, addr: 0xdeadbe000, grpid: 5 });
      const [fault] = hwpt.readFaults(faultFd);
      assertEquals([fault!.devId, fault!.grpid, fault!.addr], [
        devId,
        5,
        0xdeadbe000n,
      ]);
      const { cookie } = fault!;
      const code = IOMMUFD_PAGE_RESP_SUCCESS;
      hwpt.respondFaults(faultFd, [{ cookie, code }]);
      assertFails(
        () => hwpt.respondFaults(faultFd, [{ cookie, code }]),
        EINVAL,
        "no fault that was read has this cookie",
      );
      assertFails(() => mock.triggerIopf({ devId: 77, addr: 0 }), ENOENT, "no");
      mock.mockDomainReplace({ stdevId, ptId: ioasId });
    });
  });

  it("says so where the revision has none of this", () => {
    const iommufd = IommufdClient.open(new Kernel({ revision: "v3" }).spawn());
    const text = "this revision does not have the ioctl";
    assertFails(() => iommufd.hwpt.alloc({ devId: 1, ptId: 1 }), ENOTTY, text);
    assertFails(() => iommufd.hwpt.getHwInfo(1), ENOTTY, text);
    assertFails(() => iommufd.hwpt.faultQueueAlloc(), ENOTTY, text);
  });
});
