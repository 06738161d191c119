// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_IOAS_CHANGE_PROCESS: the caller takes over all mapped memory, for
 * instance after an exec. Linux: ioas.c, iommufd_ioas_change_process.
 *
 * @module
 */

import { XarrayNodes } from "../../lib/xarray_nodes.ts";
import { EBUSY, EINVAL } from "../../uapi/errno.ts";
import type { IommuIoasChangeProcess } from "../../uapi/iommufd.ts";
import { RESERVED_FIELD } from "../objects/refusals.ts";
import type { Ucmd } from "../objects/ucmd.ts";
import { asOwner, changeOwner } from "../pages/accounting.ts";
import type { IoptPages } from "../pages/pages.ts";
import { Ioas } from "./ioas.ts";

/**
 * Runs the ioctl. An owner that is gone is no hindrance: nothing is given back
 * to it then.
 */
export function ioasChangeProcess(ucmd: Ucmd<IommuIoasChangeProcess>): void {
  const { ctx, cmd, process } = ucmd;
  const { kernel } = ctx;
  if (cmd.reserved !== 0) throw RESERVED_FIELD;
  const all = [...ctx.objects].filter((object) => object instanceof Ioas);
  const listed = new XarrayNodes({ rootHoldsEntry: true });
  for (const { id } of all) kernel.allocNodes(() => listed, id, id);
  const pages = new Set(all.flatMap(({ iopt }) => [...filesOf(iopt)]));
  changeOwner(pages, asOwner(process), kernel.warnings);
}

/** The pages of an IO page table. Throws EBUSY for an area in the making, EINVAL for pages that cannot change hands. */
function* filesOf({ areas }: Ioas["iopt"]): Generator<IoptPages> {
  for (const { pages } of areas) {
    if (pages === null) {
      throw EBUSY.because("an area is being mapped or unmapped");
    }
    if (!pages.source.frames?.ownerMayChange) {
      throw EINVAL.because("an area maps something else than a file");
    }
    yield pages;
  }
}
