// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_GET_HW_INFO: what user space needs to know about the IOMMU of a
 * device.
 *
 * Linux: iommufd_get_hw_info of device.c.
 *
 * @module
 */

import {
  type Device,
  deviceIommuCapable,
  type HwInfo,
} from "../../iommu/device.ts";
import * as uapi from "../../uapi/iommufd.ts";
import { IommufdDevice } from "./device.ts";
import { RESERVED_FIELD, UNKNOWN_FLAG } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";

/** The information of a driver that has none. */
const NO_INFO: HwInfo = {
  type: uapi.IOMMU_HW_INFO_TYPE_NONE,
  bytes: new Uint8Array(0),
};

/** IOMMU_GET_HW_INFO. */
export function getHwInfo(ucmd: Ucmd<uapi.IommuHwInfo>): void {
  const { ctx, cmd } = ucmd;
  const { flags, reserved, reserved1, reserved2 } = cmd;
  const { hwInfoTakesType } = ctx.kernel.revision.hwpt;
  const known = hwInfoTakesType ? uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE : 0;
  if (flags & ~known) throw UNKNOWN_FLAG;
  if (reserved || reserved1 || reserved2) throw RESERVED_FIELD;
  const wanted = flags & uapi.IOMMU_HW_INFO_FLAG_INPUT_TYPE
    ? cmd.outDataType
    : uapi.IOMMU_HW_INFO_TYPE_DEFAULT;
  ctx.objects.get(cmd.devId, IommufdDevice).putAfter((idev) => {
    const { dev } = idev;
    const { type, bytes } = infoOf(idev, wanted);
    writeInfo(ucmd, bytes);
    cmd.outDataType = type;
    // All that there is, so that user space learns how large a buffer it needs.
    cmd.dataLen = bytes.length;
    cmd.outCapabilities = capabilitiesOf(dev);
    cmd.outMaxPasidLog2 = ilog2(dev.maxPasids);
    ucmd.respond();
  });
}

/** What the driver says. Throws what it throws, and an errno (with a warning) if it does not say what that is. */
function infoOf({ dev, iommuOps }: IommufdDevice, wanted: number): HwInfo {
  const info = iommuOps.hwInfo?.(dev, wanted);
  if (info === undefined) return NO_INFO;
  const { warnings, revision } = dev.iommu.kernel;
  const broken = warnings.on(
    info.type === uapi.IOMMU_HW_INFO_TYPE_NONE,
    `IOMMU driver of ${dev.name} gives hardware information without a type`,
  );
  if (broken) {
    throw revision.hwpt.hwInfoWithoutTypeErrno.because(
      "the IOMMU driver does not say what its words mean",
    );
  }
  return info;
}

/** Fills the caller's buffer, with zeros beyond the information. Throws EFAULT. */
function writeInfo(
  { ctx, cmd, process }: Ucmd<uapi.IommuHwInfo>,
  bytes: Uint8Array,
): void {
  const uaddr = Number(cmd.dataUptr);
  const length = Math.min(cmd.dataLen, bytes.length);
  if (length > 0) process.mm.copyToUser(uaddr, bytes.subarray(0, length));
  // A copy of nothing can be made to fail too, with no byte left uncopied.
  else ctx.kernel.fails("user.copyTo");
  process.mm.clearUser(uaddr + length, cmd.dataLen - length);
}

/** Bits that number so many PASIDs; 0 for none. */
function ilog2(count: number): number {
  return count === 0 ? 0 : 31 - Math.clz32(count);
}

/** `IOMMU_HW_CAP_*` of a device. Those of PASIDs count only where PASIDs are on. */
function capabilitiesOf(dev: Device): bigint {
  let capabilities = 0n;
  if (deviceIommuCapable(dev, "dirty-tracking")) {
    capabilities |= uapi.IOMMU_HW_CAP_DIRTY_TRACKING;
  }
  const { hwInfoTellsMissingAts } = dev.iommu.kernel.revision.hwpt;
  if (hwInfoTellsMissingAts && !deviceIommuCapable(dev, "pci-ats-supported")) {
    capabilities |= uapi.IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
  }
  if (dev.maxPasids === 0) return capabilities;
  if (dev.pciPasid?.exec) capabilities |= uapi.IOMMU_HW_CAP_PCI_PASID_EXEC;
  if (dev.pciPasid?.priv) capabilities |= uapi.IOMMU_HW_CAP_PCI_PASID_PRIV;
  return capabilities;
}
