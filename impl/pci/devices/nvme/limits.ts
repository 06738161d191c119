// SPDX-License-Identifier: GPL-2.0-only

/**
 * How much of everything a drive has.
 *
 * @module
 */

/** The version, 1.4. */
export const VERSION = 0x10400;
/** log2 of the bytes of a block. */
export const BLOCK_SHIFT = 9;
/** Bytes of a block. */
export const BLOCK_SIZE: number = 2 ** BLOCK_SHIFT;
/** Bytes of the shortest page. */
export const MIN_PAGE_SIZE = 4096;
/** log2 of the shortest pages of the longest transfer. */
export const MAX_TRANSFER_SHIFT = 7;
/** Bytes of the longest transfer. */
export const MAX_TRANSFER: number = MIN_PAGE_SIZE << MAX_TRANSFER_SHIFT;
/** log2 of the longest page, counted from the shortest. */
export const MAX_PAGE_SHIFT = 4;
/** Queues of each kind, with the admin queues; messages too. */
export const QUEUES = 65;
/** Entries of the longest queue. */
export const MAX_ENTRIES = 1024;
/** Events that may be waited for at a time. */
export const MAX_ASYNC_EVENTS = 4;
/** Errors that are remembered. */
export const MAX_ERRORS = 16;
