// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls that reach known bugs with what they are given, and with objects.
 *
 * @module
 */

import { HwPagetable } from "../../../impl/iommufd/hwpt/hw_pagetable.ts";
import { HwptNested } from "../../../impl/iommufd/hwpt/hwpt_nested.ts";
import { IommufdHwQueue } from "../../../impl/iommufd/viommu/hw_queue.ts";
import { IommufdCtx } from "../../../impl/iommufd/main.ts";
import { IommuHwptInvalidate } from "../../../impl/uapi/hwpt.ts";
import {
  IommuDestroy,
  IommuIoasMap,
  IommuIoasMapFile,
} from "../../../impl/uapi/iommufd.ts";
import { PAGE_SIZE } from "../../../impl/uapi/mman.ts";
import {
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_REPLACE,
  TestMockDomainReplace,
  TestPasidAttach,
} from "../../../impl/uapi/selftest.ts";
import { VfioIommuType1DmaMap } from "../../../impl/uapi/vfio.ts";
import { VfioDeviceAttachIommufdPt } from "../../../impl/uapi/vfio/device.ts";
import { fields, type Here, objectOf, testOp } from "./here.ts";

/** Bytes of memory that the kernel gives at most at once. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Bytes of an entry of an invalidation, at least. */
const LEAST_ENTRY = 8;

/** A map is so long that the number of its pages wraps. */
export function isWrappedLength(here: Here): boolean {
  const least = 2n ** 64n - 2n * BigInt(PAGE_SIZE);
  switch (here.command) {
    case IommuIoasMap.ioctl.number:
      return fields(here, IommuIoasMap).length >= least;
    case IommuIoasMapFile.ioctl.number:
      return fields(here, IommuIoasMapFile).length >= least;
    case VfioIommuType1DmaMap.ioctl.number:
      return fields(here, VfioIommuType1DmaMap).length >= least;
    default:
      return false;
  }
}

/** VFIO maps with neither right. */
export function isMapWithoutAccess(here: Here): boolean {
  return here.command === VfioIommuType1DmaMap.ioctl.number &&
    (fields(here, VfioIommuType1DmaMap).flags & 3) === 0;
}

/** An invalidation has so many entries that there cannot be memory for them. */
export function isLongestInvalidation(here: Here): boolean {
  return here.command === IommuHwptInvalidate.ioctl.number &&
    fields(here, IommuHwptInvalidate).entryNum > MOST_BYTES / LEAST_ENTRY / 2;
}

/** A file is mapped that is no memory. */
export function fileIsIommufd(here: Here): boolean {
  if (here.command !== IommuIoasMapFile.ioctl.number) return false;
  const { fd } = fields(here, IommuIoasMapFile);
  const file = here.process.files.get(fd);
  return file instanceof IommufdCtx ||
    file !== undefined && file.pinnable === undefined;
}

/** A queue goes. */
export function forgetsQueue(here: Here): boolean {
  return here.command === IommuDestroy.ioctl.number &&
    objectOf(here, fields(here, IommuDestroy).id) instanceof IommufdHwQueue;
}

/** A device gets a PASID, with which it may be destroyed. */
export function givesUpDevice(here: Here): boolean {
  const op = testOp(here);
  return op === IOMMU_TEST_OP_PASID_ATTACH ||
    op === IOMMU_TEST_OP_PASID_REPLACE;
}

/** A step of attaching a nested HWPT may be made to fail. */
export function isNestedAttach(here: Here): boolean {
  if (here.process.faults.nth === 0) return false;
  const op = testOp(here);
  const layout = op === IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE
    ? TestMockDomainReplace
    : TestPasidAttach;
  if (op !== IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE && !givesUpDevice(here)) {
    return false;
  }
  const { ptId } = fields<{ ptId: number }>(here, layout);
  return objectOf(here, ptId) instanceof HwptNested;
}

/** A device is attached elsewhere, where there are page tables of two drivers. */
export function mixesDrivers(here: Here): boolean {
  const isAttach = here.command === VfioDeviceAttachIommufdPt.ioctl.number ||
    testOp(here) === IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE;
  if (!isAttach) return false;
  for (const [, file] of here.process.files) {
    if (!(file instanceof IommufdCtx)) continue;
    const owners = [...file.objects].flatMap((object) =>
      object instanceof HwPagetable ? [object.domain.owner] : []
    );
    if (new Set(owners).size > 1) return true;
  }
  return false;
}
