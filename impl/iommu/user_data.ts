// SPDX-License-Identifier: GPL-2.0-only

/**
 * Data that user space passes to the driver of an IOMMU through iommufd, which
 * does not know what they mean. A driver gets a description of where they are
 * and reads them itself, with the functions here.
 *
 * A struct of such data may grow: user space says how long its one is. It must
 * be at least as long as the struct's first version, whose last field the
 * driver names, and not longer than what the driver knows; what is missing
 * reads as zero. Other than with the struct of an ioctl, a longer one is
 * refused even if its tail is zero.
 *
 * Linux: struct iommu_user_data, iommu_user_data_array and the
 * iommu_copy_struct_from_user*() of include/linux/iommu.h.
 *
 * @module
 */

import type { Mm } from "../kernel/interfaces/mm.ts";
import { KernelBug } from "../kernel/warn.ts";
import { E2BIG, EINVAL } from "../uapi/errno.ts";
import type { Struct } from "../uapi/layout/struct.ts";

const UNKNOWN_TYPE = EINVAL.because(
  "the IOMMU driver does not know the type of the data",
);

/** Where one struct of driver data is (Linux: struct iommu_user_data). */
export interface UserData {
  /** The memory of the process that passed them. */
  readonly mm: Mm;
  /** What they are: a number that the driver and its users agreed on. Not 0. */
  readonly type: number;
  /** Their address; nothing has been checked about it. */
  readonly uptr: number;
  /** Bytes that user space provides. Not 0. */
  readonly len: number;
}

/** Where an array of driver data is (Linux: struct iommu_user_data_array). */
export interface UserDataArray {
  /** The memory of the process that passed them. */
  readonly mm: Mm;
  /** What its entries are. */
  readonly type: number;
  /** The address of the first entry; nothing has been checked about it. */
  readonly uptr: number;
  /** Bytes from one entry to the next, which are the bytes of an entry. */
  readonly entryLen: number;
  /** Entries. 0 asks only whether the driver knows the type. */
  readonly entryNum: number;
  /** Entries that the driver has carried out: it counts them one by one, and user space is told also when it throws. */
  handled: number;
}

/**
 * Reads driver data. `type` is what they must be, `last` the last field of the
 * struct's first version, `size` what the driver knows of it. Throws EINVAL for another type and for a length that
 * is too small or too large, EFAULT. (Linux: iommu_copy_struct_from_user.)
 */
export function copyStructFromUser<T extends object>(
  struct: Struct<T>,
  data: UserData,
  type: number,
  last: keyof T & string,
  size: number = struct.size,
): T {
  checkStruct(struct, data, type, last, size);
  const bytes = new Uint8Array(struct.size);
  data.mm.copyFromUser(bytes.subarray(0, data.len), data.uptr);
  return struct.at(bytes);
}

/**
 * Stores the answer of a driver over the data that it read, as much of it as
 * user space provides. Throws as {@link copyStructFromUser} does.
 * (Linux: iommu_copy_struct_to_user.)
 */
export function copyStructToUser<T extends object>(
  struct: Struct<T>,
  data: UserData,
  type: number,
  last: keyof T & string,
  answer: T,
): void {
  checkStruct(struct, data, type, last);
  const bytes = struct.encode(answer);
  data.mm.copyToUser(data.uptr, bytes.subarray(0, data.len));
}

/** Throws EINVAL unless the data are of the type, and of a length that the struct has had. */
function checkStruct<T extends object>(
  struct: Struct<T>,
  data: UserData,
  type: number,
  last: keyof T & string,
  size: number = struct.size,
): void {
  if (data.type !== type) throw UNKNOWN_TYPE;
  if (data.len < struct.offsetofend(last) || data.len > size) {
    throw EINVAL.because("the IOMMU driver does not know data of that length");
  }
}

/**
 * Reads the entry of an array at `index`, which is less than its `entryNum`.
 * Throws as {@link copyStructFromUser} does.
 * (Linux: iommu_copy_struct_from_user_array.)
 */
export function copyStructFromUserArray<T extends object>(
  struct: Struct<T>,
  array: UserDataArray,
  type: number,
  index: number,
  last: keyof T & string,
): T {
  const { mm, uptr, entryLen, entryNum } = array;
  if (index >= entryNum) {
    throw new KernelBug(`Entry ${index} of ${entryNum} was read`);
  }
  const entry = { mm, type: array.type, uptr: uptr + entryLen * index };
  return copyStructFromUser(struct, { ...entry, len: entryLen }, type, last);
}

/**
 * Reads a whole array, which is not empty. Entries may be shorter than the
 * struct, which then ends in zeroes, and longer if they end in zeroes. Throws
 * EINVAL for another type and an empty array, E2BIG, EFAULT.
 * (Linux: iommu_copy_struct_from_full_user_array.)
 */
export function copyStructFromFullUserArray<T extends object>(
  struct: Struct<T>,
  array: UserDataArray,
  type: number,
): T[] {
  const { mm, uptr, entryLen, entryNum } = array;
  if (array.type !== type) throw UNKNOWN_TYPE;
  if (entryNum === 0) throw EINVAL.because("the array has no entries");
  const { size } = struct;
  const bytes = new Uint8Array(entryNum * size);
  if (entryLen === size) mm.copyFromUser(bytes, uptr);
  const all: T[] = [];
  for (let i = 0; i < entryNum; i++) {
    const entry = bytes.subarray(i * size, (i + 1) * size);
    if (entryLen !== size) {
      const from = uptr + i * entryLen;
      if (entryLen > size && !mm.isZeroed(from + size, entryLen - size)) {
        throw E2BIG.because("an entry is longer than known, and not zero");
      }
      mm.copyFromUser(entry.subarray(0, entryLen), from);
    }
    all.push(struct.at(entry));
  }
  return all;
}
