// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_HWPT_ALLOC: a hardware page table that user space asks for.
 *
 * Linux: iommufd_hwpt_alloc of hw_pagetable.c.
 *
 * @module
 */

import type { UserData } from "../../iommu/user_data.ts";
import { asErrno, EINVAL } from "../../uapi/errno.ts";
import * as uapi from "../../uapi/iommufd.ts";
import { IommufdDevice } from "./device.ts";
import { setHwptFault } from "../events/fault.ts";
import { type HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";
import { HwptNested, isNestingBase } from "../hwpt/hwpt_nested.ts";
import { Ioas } from "../ioas/ioas.ts";
import { IommufdObject } from "../objects/object.ts";
import { RESERVED_FIELD } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";

const NO_PT = EINVAL.because("there is no IOAS and no HWPT with this id");

/** IOMMU_HWPT_ALLOC. */
export function hwptAlloc(ucmd: Ucmd<uapi.IommuHwptAlloc>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  const hasType = cmd.dataType !== uapi.IOMMU_HWPT_DATA_NONE;
  if (hasType !== (cmd.dataLen !== 0)) {
    throw EINVAL.because("data have no type, or a type has no data");
  }

  ctx.objects.get(cmd.devId, IommufdDevice).putAfter((idev) => {
    getPt(ucmd).putAfter((pt) => {
      const hwpt = allocOn(pt, idev, ucmd);
      ctx.objects.orDestroy(hwpt, () => {
        if (cmd.flags & uapi.IOMMU_HWPT_FAULT_ID_VALID) {
          setHwptFault(hwpt, cmd.faultId);
        }
        cmd.outHwptId = hwpt.id;
        ucmd.respond();
      });
      ctx.objects.finalize(hwpt);
    });
  });
}

/** What to allocate on. An object that is not there is EINVAL as well as one of a wrong kind. */
function getPt({ ctx, cmd }: Ucmd<uapi.IommuHwptAlloc>): IommufdObject {
  try {
    return ctx.objects.get(cmd.ptId, IommufdObject);
  } catch (error) {
    asErrno(error);
    throw NO_PT;
  }
}

/** A HWPT of an IOAS, or one nested in another HWPT or of a vIOMMU; not published. Throws EINVAL for other objects. */
function allocOn(
  pt: IommufdObject,
  idev: IommufdDevice,
  { cmd, process }: Ucmd<uapi.IommuHwptAlloc>,
): HwPagetable {
  const { flags } = cmd;
  const userData: UserData = {
    mm: process.mm,
    type: cmd.dataType,
    uptr: Number(cmd.dataUptr),
    len: cmd.dataLen,
  };
  if (pt instanceof Ioas) {
    return HwptPaging.alloc(pt, idev, {
      flags,
      userData: userData.len === 0 ? undefined : userData,
    });
  }
  if (isNestingBase(pt)) {
    return HwptNested.alloc(pt, idev, flags, userData);
  }
  throw EINVAL.because("the object is no IOAS, no HWPT of one and no vIOMMU");
}
