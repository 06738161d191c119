// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in dispatch, and in what concerns every ioctl.
 *
 * @module
 */

import { EINVAL, ENOENT, EOPNOTSUPP, type Errno } from "../errno.ts";
import { Differences } from "./differences.ts";

/** Dispatch, ids, reserved fields, options. */
export class ObjectDifferences extends Differences {
  /** Errno for a struct shorter than the ioctl's minimum (B02; main.c iommufd_fops_ioctl). */
  readonly shortStructErrno: Errno = this.from<Errno>({
    v3: EOPNOTSUPP,
    "6.2": EINVAL,
  });
  /** Ids of objects are at most this (main.c xa_limit_31b). */
  readonly maxId: number = this.from({ v3: 2 ** 32 - 1, "6.6": 2 ** 31 - 1 });
  /** ALLOW_IOVAS and OPTION refuse a non-zero reserved field (B12, B14). */
  readonly checksReservedFields: boolean = this.since("6.2");
  /** Errno of HWPT_INVALIDATE for an object without a cache (iommufd_hwpt_invalidate). */
  readonly invalidateOtherErrno: Errno = this.from<Errno>({
    v3: ENOENT,
    "6.13": EINVAL,
  });
  /** Memory that drivers offer can be mapped through the descriptor; else ENODEV (iommufd_fops_mmap). */
  readonly hasMmap: boolean = this.since("6.17");
  /** RLIMIT_MODE refuses an object id (S05; iommufd_option_rlimit_mode). */
  readonly rlimitModeChecksObjectId: boolean = this.since("6.2");
}
