// SPDX-License-Identifier: GPL-2.0-only

/**
 * IOMMU_OPTION: how pinned memory is charged, and large IO pages.
 *
 * Linux: iommufd_option of main.c, iommufd_option_rlimit_mode and
 * iommufd_ioas_option of ioas.c.
 *
 * @module
 */

import { EBUSY, EINVAL, EOPNOTSUPP, EPERM } from "../uapi/errno.ts";
import * as uapi from "../uapi/iommufd.ts";
import { CAP_SYS_RESOURCE } from "../uapi/mman.ts";
import { ACCOUNT_MM, ACCOUNT_USER } from "./pages/accounting.ts";
import { disableLargePages, enableLargePages } from "./ioas/large_pages.ts";
import { Ioas } from "./ioas/ioas.ts";
import { RESERVED_FIELD, UNKNOWN_OPERATION } from "./objects/refusals.ts";
import type { Ucmd } from "./objects/ucmd.ts";

const NOT_A_BIT = EINVAL.because("the value is neither 0 nor 1");

const VALUE = uapi.IommuOption.fields.val64.offset;

/** IOMMU_OPTION. Only the value goes back to the caller. */
export function option(ucmd: Ucmd<uapi.IommuOption>): void {
  const { ctx, cmd, bytes } = ucmd;
  if (ctx.kernel.revision.objects.checksReservedFields && cmd.reserved !== 0) {
    throw RESERVED_FIELD;
  }
  switch (cmd.optionId) {
    case uapi.IOMMU_OPTION_RLIMIT_MODE:
      rlimitMode(ucmd);
      break;
    case uapi.IOMMU_OPTION_HUGE_PAGES:
      hugePages(ucmd);
      break;
    default:
      throw EOPNOTSUPP.because("the option is unknown");
  }
  ucmd.process.mm.copyToUser(
    ucmd.uaddr + VALUE,
    bytes.subarray(VALUE, VALUE + 8),
  );
}

function rlimitMode({ ctx, cmd, process }: Ucmd<uapi.IommuOption>): void {
  if (
    ctx.kernel.revision.objects.rlimitModeChecksObjectId && cmd.objectId !== 0
  ) {
    throw EOPNOTSUPP.because("RLIMIT_MODE has no object");
  }
  switch (cmd.op) {
    case uapi.IOMMU_OPTION_OP_GET:
      cmd.val64 = ctx.accountMode === ACCOUNT_MM ? 1n : 0n;
      return;
    case uapi.IOMMU_OPTION_OP_SET:
      if (!process.capable(CAP_SYS_RESOURCE)) {
        throw EPERM.because("the process lacks CAP_SYS_RESOURCE");
      }
      if (!ctx.objects.isEmpty) {
        throw EBUSY.because("there are objects already");
      }
      if (cmd.val64 > 1n) throw NOT_A_BIT;
      ctx.accountMode = cmd.val64 === 1n ? ACCOUNT_MM : ACCOUNT_USER;
      return;
    default:
      throw UNKNOWN_OPERATION;
  }
}

function hugePages({ ctx, cmd }: Ucmd<uapi.IommuOption>): void {
  ctx.objects.get(cmd.objectId, Ioas).putAfter((ioas) => {
    switch (cmd.op) {
      case uapi.IOMMU_OPTION_OP_GET:
        cmd.val64 = ioas.iopt.disableLargePages ? 0n : 1n;
        return;
      case uapi.IOMMU_OPTION_OP_SET:
        if (cmd.val64 > 1n) throw NOT_A_BIT;
        if (cmd.val64 === 0n) disableLargePages(ioas.iopt);
        else enableLargePages(ioas.iopt);
        return;
      default:
        throw UNKNOWN_OPERATION;
    }
  });
}
