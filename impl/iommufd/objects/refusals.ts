// SPDX-License-Identifier: GPL-2.0-only

/**
 * What many ioctls are refused for.
 *
 * @module
 */

import { EINVAL, EOPNOTSUPP, EOVERFLOW, type Errno } from "../../uapi/errno.ts";

/** A flag that the kernel does not know. */
export const UNKNOWN_FLAG: Errno = EOPNOTSUPP.because("a flag is unknown");
/** A field that is to be zero. */
export const RESERVED_FIELD: Errno = EOPNOTSUPP.because(
  "a reserved field is not zero",
);
/** A number that names what to do. */
export const UNKNOWN_OPERATION: Errno = EOPNOTSUPP.because(
  "the operation is unknown",
);
/** A range of no bytes. */
export const NO_LENGTH: Errno = EINVAL.because("the length is 0");
/** A range past the end of the IOVA space. */
export const IOVA_WRAPS: Errno = EOVERFLOW.because(
  "the range of IOVA reaches beyond 2^64-1",
);
