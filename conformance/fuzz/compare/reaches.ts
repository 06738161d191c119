// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls that reach known bugs with what they are given, and with objects.
 *
 * @module
 */

import { HwPagetable } from "../../../impl/iommufd/hwpt/hw_pagetable.ts";
import { HwptNested } from "../../../impl/iommufd/hwpt/hwpt_nested.ts";
import type { IommufdObject } from "../../../impl/iommufd/objects/object.ts";
import { SelftestDevice } from "../../../impl/iommufd/selftest/selftest_device.ts";
import { IommufdHwQueue } from "../../../impl/iommufd/viommu/hw_queue.ts";
import { IommufdCtx } from "../../../impl/iommufd/main.ts";
import { IOMMU_NO_PASID } from "../../../impl/iommu/group.ts";
import { EventFd } from "../../../impl/kernel/files/eventfd.ts";
import type { File } from "../../../impl/kernel/files/file.ts";
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
import {
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_UNMAP_DMA,
  VfioIommuType1DmaMap,
} from "../../../impl/uapi/vfio.ts";
import { VfioDeviceAttachIommufdPt } from "../../../impl/uapi/vfio/device.ts";
import { fields, type Here, objectOf, testOp } from "./here.ts";

/** Bytes of memory that the kernel gives at most at once. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Bytes of an entry of an invalidation, at least. */
const LEAST_ENTRY = 8;

/** A map is so long that the number of its pages wraps. */
export function isWrappedLength(here: Here): boolean {
  if (here.ctx === undefined) return false;
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

/** VFIO maps with neither right: on an iommufd, as a device has an ioctl of that number. */
export function isMapWithoutAccess(here: Here): boolean {
  return here.ctx !== undefined &&
    here.command === VfioIommuType1DmaMap.ioctl.number &&
    (fields(here, VfioIommuType1DmaMap).flags & 3) === 0;
}

/** A container of VFIO's own is asked which pages were written. */
export function asksVfioForDirty(here: Here): boolean {
  return here.ctx === undefined &&
    (here.command === VFIO_IOMMU_DIRTY_PAGES ||
      here.command === VFIO_IOMMU_UNMAP_DMA);
}

/** An invalidation has so many entries that there cannot be memory for them. */
export function isLongestInvalidation(here: Here): boolean {
  return here.command === IommuHwptInvalidate.ioctl.number &&
    fields(here, IommuHwptInvalidate).entryNum > MOST_BYTES / LEAST_ENTRY / 2;
}

/** The file that is mapped, if it is no memory. */
function mappedFile(here: Here): File | undefined {
  if (here.command !== IommuIoasMapFile.ioctl.number) return undefined;
  const { fd } = fields(here, IommuIoasMapFile);
  const file = here.process.files.get(fd);
  return file?.pinnable === undefined ? file : undefined;
}

/** A file is mapped that is no memory. */
export function fileIsNoMemory(here: Here): boolean {
  return mappedFile(here) !== undefined;
}

/** A file is mapped that may keep the iommufd open that it is mapped in. */
export function fileMayBeIommufd(here: Here): boolean {
  const file = mappedFile(here);
  return file !== undefined && !(file instanceof EventFd);
}

/** A queue goes. */
export function forgetsQueue(here: Here): boolean {
  return here.command === IommuDestroy.ioctl.number &&
    objectOf(here, fields(here, IommuDestroy).id) instanceof IommufdHwQueue;
}

/** The PASIDs that a mock device is attached for. */
export function pasidsOf({ idev }: SelftestDevice): number[] {
  return idev.pasids.filter((pasid) => pasid !== IOMMU_NO_PASID);
}

/** Whether an object is a device that is attached for a PASID. */
function hasPasid(object: IommufdObject | undefined): boolean {
  return object instanceof SelftestDevice && pasidsOf(object).length > 0;
}

/** The descriptors that a call closes. */
function closed({ process: { files }, call: { verb, args } }: Here): number[] {
  if (verb.name === "close") return [Number(args[0])];
  // Another descriptor takes its place.
  if (verb.name === "dup2" || verb.name === "dup3") return [Number(args[1])];
  if (verb.name !== "exit" && verb.name !== "exec") return [];
  const all = [...files].map(([fd]) => fd);
  return verb.ends ? all : all.filter((fd) => files.closesOnExec(fd));
}

/** Whether a file has another descriptor than some of a process. */
function staysOpen(
  file: File,
  { process }: Here,
  without: readonly number[],
): boolean {
  return [...process.kernel.processes].some((other) =>
    [...other.files].some(([fd, its]) =>
      its === file && !(other === process && without.includes(fd))
    )
  );
}

/** A device goes with a PASID: it is destroyed, or the last descriptor of its iommufd is closed. */
export function givesUpDevice(here: Here): boolean {
  if (here.command === IommuDestroy.ioctl.number) {
    return hasPasid(objectOf(here, fields(here, IommuDestroy).id));
  }
  const fds = closed(here);
  return fds.some((fd) => {
    const file = here.process.files.get(fd);
    return file instanceof IommufdCtx &&
      [...file.objects].some(hasPasid) && !staysOpen(file, here, fds);
  });
}

/** A device is attached for a PASID. */
function attachesPasid(here: Here): boolean {
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
  if (op !== IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE && !attachesPasid(here)) {
    return false;
  }
  const { ptId } = fields<{ ptId: number }>(here, layout);
  return objectOf(here, ptId) instanceof HwptNested;
}

/** A VFIO device is attached to a HWPT with a queue of page faults, which may fail, while it is attached in the same IOAS. */
export function mayFailToReplace(here: Here): boolean {
  const idev = here.device?.idev;
  if (
    idev === undefined ||
    here.command !== VfioDeviceAttachIommufdPt.ioctl.number
  ) {
    return false;
  }
  const { ptId } = fields(here, VfioDeviceAttachIommufdPt);
  const hwpt = [...idev.ctx.objects].find(({ id }) => id === ptId);
  if (!(hwpt instanceof HwPagetable) || hwpt.fault === undefined) return false;
  return [...idev.igroup.attachments]
    .some((attached) => attached.hwpt.paging.ioas === hwpt.paging.ioas);
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
