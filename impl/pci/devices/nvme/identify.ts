// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an NVMe drive tells of itself: the structures of IDENTIFY.
 *
 * @module
 */

import { store } from "../../bytes.ts";
import { NvmeError, STATUS } from "./commands.ts";

/** Bytes of each structure. */
const IDENTIFY_SIZE = 4096;
/** log2 of the bytes of a block. */
export const BLOCK_SHIFT = 9;
/** Bytes of a block. */
export const BLOCK_SIZE: number = 2 ** BLOCK_SHIFT;
/** log2 of the pages of the longest transfer. */
export const MAX_TRANSFER_SHIFT = 7;
/** Events that may be waited for at a time. */
export const MAX_ASYNC_EVENTS = 4;
/** The version, 1.4. */
export const VERSION = 0x10400;

/** A structure by its number. Throws {@link NvmeError} for one that is not there. */
export function identify(
  which: number,
  namespace: number,
  blocks: number,
): Uint8Array {
  switch (which) {
    case 0:
      if (namespace !== 1) throw new NvmeError(STATUS.invalidNamespace);
      return identifyNamespace(blocks);
    case 1:
      return identifyController();
    case 2:
      return listFrom(namespace);
    case 3:
      if (namespace !== 1) throw new NvmeError(STATUS.invalidNamespace);
      return descriptors();
    default:
      throw new NvmeError(STATUS.invalidField);
  }
}

function identifyController(): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_SIZE);
  store(bytes, 0, 2, 0x1b36);
  store(bytes, 2, 2, 0x1af4);
  text(bytes, 4, 20, "iommufd-kit");
  text(bytes, 24, 40, "iommufd-kit NVMe drive");
  text(bytes, 64, 8, "1");
  bytes[77] = MAX_TRANSFER_SHIFT;
  store(bytes, 80, 4, VERSION);
  bytes[258] = 3;
  bytes[259] = MAX_ASYNC_EVENTS - 1;
  // Entries of 64 and of 16 bytes, no others.
  bytes[512] = 0x66;
  bytes[513] = 0x44;
  store(bytes, 516, 4, 1);
  // Write zeroes, and dataset management.
  store(bytes, 520, 2, 1 << 3 | 1 << 2);
  // A cache that can be flushed.
  bytes[525] = 1;
  bytes.set(
    new TextEncoder().encode("nqn.2014-08.org.nvmexpress:iommufd-kit"),
    768,
  );
  return bytes;
}

function identifyNamespace(blocks: number): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_SIZE);
  for (const at of [0, 8, 16]) store(bytes, at, 8, blocks);
  // What is deallocated reads as zeroes.
  bytes[33] = 1;
  bytes[130] = BLOCK_SHIFT;
  return bytes;
}

/** The namespaces with a higher number. */
function listFrom(namespace: number): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_SIZE);
  if (namespace === 0) bytes[0] = 1;
  return bytes;
}

/** An identifier of the namespace: an EUI-64. */
function descriptors(): Uint8Array {
  const bytes = new Uint8Array(IDENTIFY_SIZE);
  bytes.set([1, 8, 0, 0, 0x52, 0x54, 0, 0, 0, 0, 0, 1]);
  return bytes;
}

/** ASCII, padded with blanks. */
function text(
  bytes: Uint8Array,
  at: number,
  length: number,
  value: string,
): void {
  bytes.set(new TextEncoder().encode(value.padEnd(length)), at);
}
