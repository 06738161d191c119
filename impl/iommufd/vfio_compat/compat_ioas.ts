// SPDX-License-Identifier: GPL-2.0-only

/**
 * The compatibility IOAS: the one that a context's VFIO container ioctls act
 * on. User space chooses it with IOMMU_VFIO_IOAS; VFIO makes one if there is
 * none when a group joins the container.
 *
 * The context only points to it: it can be destroyed like any other IOAS.
 *
 * Linux: the first half of drivers/iommu/iommufd/vfio_compat.c.
 *
 * @module
 */

import { EINVAL, ENODEV } from "../../uapi/errno.ts";
import {
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  type IommuVfioIoas,
} from "../../uapi/iommufd.ts";
import { Ioas } from "../ioas/ioas.ts";
import type { IommufdCtx } from "../main.ts";
import { RESERVED_FIELD, UNKNOWN_OPERATION } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";

const NO_COMPAT_IOAS = ENODEV.because(
  "there is no IOAS for the VFIO container ioctls",
);

/** The compatibility IOAS, taken until its `put`. Throws ENODEV without one. (Linux: get_compat_ioas.) */
export function getCompatIoas(ctx: IommufdCtx): Ioas {
  const ioas = ctx.vfioIoas;
  if (ioas === undefined || !ioas.lock()) throw NO_COMPAT_IOAS;
  return ioas;
}

/** The id of the compatibility IOAS. Throws ENODEV without one. (Linux: iommufd_vfio_compat_ioas_get_id.) */
export function vfioCompatIoasGetId(ctx: IommufdCtx): number {
  const ioas = getCompatIoas(ctx);
  ioas.put();
  return ioas.id;
}

/**
 * Makes sure that there is a compatibility IOAS. It belongs to user space,
 * which can ask for its id and destroy it. Throws EINVAL in no-IOMMU mode,
 * ENOMEM. (Linux: iommufd_vfio_compat_ioas_create.)
 */
export function vfioCompatIoasCreate(ctx: IommufdCtx): void {
  const ioas = new Ioas(ctx);
  if (ctx.noIommuMode) {
    ctx.objects.abort(ioas);
    throw EINVAL.because("a device without IOMMU uses the container");
  }
  if (ctx.vfioIoas?.lock()) {
    ctx.vfioIoas.put();
    ctx.objects.abort(ioas);
    return;
  }
  ctx.vfioIoas = ioas;
  ctx.objects.finalize(ioas);
}

/**
 * The id of the compatibility IOAS, which is made if there is none. Throws
 * ENOMEM. (v3: iommufd_vfio_compat_ioas_id.)
 */
export function vfioCompatIoasId(ctx: IommufdCtx): number {
  vfioCompatIoasCreate(ctx);
  return vfioCompatIoasGetId(ctx);
}

/**
 * Called when a device without IOMMU joins the container: from then on only
 * that IOMMU type can be chosen. Throws EINVAL if there is a compatibility
 * IOAS, and where the revision has no such mode.
 * (Linux: iommufd_vfio_compat_set_no_iommu.)
 */
export function vfioCompatSetNoIommu(ctx: IommufdCtx): void {
  if (!ctx.kernel.revision.vfio.hasNoIommu || ctx.vfioIoas !== undefined) {
    throw EINVAL.because("the container is used with an IOMMU");
  }
  ctx.noIommuMode = true;
}

/** IOMMU_VFIO_IOAS. Setting and clearing does not touch what is attached already. */
export function vfioIoas(ucmd: Ucmd<IommuVfioIoas>): void {
  const { ctx, cmd } = ucmd;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  switch (cmd.op) {
    case IOMMU_VFIO_IOAS_GET:
      cmd.ioasId = vfioCompatIoasGetId(ctx);
      ucmd.respond();
      return;
    case IOMMU_VFIO_IOAS_SET: {
      const ioas = ctx.objects.get(cmd.ioasId, Ioas);
      ctx.vfioIoas = ioas;
      ioas.put();
      return;
    }
    case IOMMU_VFIO_IOAS_CLEAR:
      ctx.vfioIoas = undefined;
      return;
    default:
      throw UNKNOWN_OPERATION;
  }
}
