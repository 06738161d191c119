// SPDX-License-Identifier: GPL-2.0-only

/**
 * What many ioctls can come to.
 *
 * @module
 */

import { fails, type Row } from "../pairs.ts";

/** Of every ioctl of iommufd with a struct: what is looked at before the ioctl itself. */
export const SIZED: Row = {
  ok: "it is done",
  EFAULT: "the struct cannot be read, or not be written",
  EINVAL: "the struct is shorter than the ioctl needs",
  E2BIG:
    "the struct has bytes that this kernel does not know and that are not 0",
};

/** Of every ioctl that makes an object or keeps a note. */
export const ALLOCATES: Row = {
  ENOMEM: fails("an allocation fails"),
};

/** Of what is there to map: whoever fills a page table pins pages. */
export const PINS: Row = {
  EFAULT: "a page cannot be pinned: there is no memory, or its process is gone",
  ENOMEM: "the pages are more than RLIMIT_MEMLOCK allows",
};
