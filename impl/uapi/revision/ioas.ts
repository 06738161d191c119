// SPDX-License-Identifier: GPL-2.0-only

/**
 * What differs in an IOAS.
 *
 * @module
 */

import { EADDRINUSE, EEXIST, EINVAL, ENOENT, type Errno } from "../errno.ts";
import { Differences } from "./differences.ts";

/** The IOVA of an IOAS, and its areas. */
export class IoasDifferences extends Differences {
  /** Errno of a fixed map over an existing area (S01; iopt_check_iova). */
  readonly areaExistsErrno: Errno = this.from<Errno>({
    v3: EADDRINUSE,
    "6.2": EEXIST,
  });
  /** Errno of a fixed map that touches reserved IOVA (S02; iopt_check_iova). */
  readonly reservedIovaErrno: Errno = this.from<Errno>({
    v3: ENOENT,
    "6.2": EINVAL,
  });
  /** MAP and COPY must have READABLE or WRITEABLE (S03; ioas.c). */
  readonly mapNeedsProt: boolean = this.since("6.2");
  /** COPY refuses a source or destination IOVA of 2^64-1 (B13). */
  readonly copyChecksIova: boolean = this.since("6.2");
  /** Kernel-chosen IOVA is aligned to at most a huge page (S08; iopt_alloc_iova). */
  readonly capsIovaAlignment: boolean = this.since("6.11");
  /** Choosing an IOVA looks at each hole between areas from its own first place on (S26; iopt_alloc_iova). */
  readonly clipsAreaHoles: boolean = this.until("6.2");
}
