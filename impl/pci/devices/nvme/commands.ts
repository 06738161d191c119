// SPDX-License-Identifier: GPL-2.0-only

/**
 * NVMe commands: how they are laid out, what they come to, and where their
 * data are.
 *
 * @module
 */

import { numberOf, store } from "../../bytes.ts";
import type { Dma } from "../../dma.ts";

/** Bytes of an entry of a submission queue. */
export const SQE_SIZE = 64;
/** Bytes of an entry of a completion queue. */
export const CQE_SIZE = 16;

/** What a command comes to: the type of the status, and the code in it. */
export const STATUS = {
  success: 0x000,
  invalidOpcode: 0x001,
  invalidField: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  invalidNamespace: 0x00b,
  invalidPrpOffset: 0x013,
  lbaOutOfRange: 0x080,
  completionQueueInvalid: 0x100,
  invalidQueueId: 0x101,
  invalidQueueSize: 0x102,
  tooManyAsyncEvents: 0x105,
  invalidVector: 0x108,
  invalidLogPage: 0x109,
  invalidQueueDeletion: 0x10c,
} as const;

/** A command has an error: its status, of {@link STATUS}. */
export class NvmeError extends Error {
  /** Name of the class. */
  override name = "NvmeError";
  /** The status. */
  readonly status: number;

  /** With a status. */
  constructor(status: number) {
    super(`status 0x${status.toString(16)}`);
    this.status = status;
  }
}

/** An entry of a submission queue. */
export class Command {
  readonly #bytes: Uint8Array;

  /** The command in 64 bytes. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** What it is. */
  get opcode(): number {
    return this.#bytes[0]!;
  }

  /** The number by which its user knows it. */
  get id(): number {
    return numberOf(this.#bytes, 2, 2);
  }

  /** The namespace that it is about. */
  get namespace(): number {
    return numberOf(this.#bytes, 4, 4);
  }

  /** A double word of it: 10 to 15 are its arguments. */
  word(index: number): number {
    return numberOf(this.#bytes, 4 * index, 4);
  }

  /** The first block of a command about blocks. */
  get block(): number {
    return numberOf(this.#bytes, 40, 8);
  }

  /** Where its data begin. */
  get prp1(): number {
    return numberOf(this.#bytes, 24, 8);
  }

  /** Where they go on, or where a list says that. */
  get prp2(): number {
    return numberOf(this.#bytes, 32, 8);
  }
}

/** An entry of a completion queue. */
export function completion(
  values: {
    readonly result: number;
    readonly head: number;
    readonly queue: number;
    readonly id: number;
    readonly status: number;
    readonly phase: number;
  },
): Uint8Array {
  const bytes = new Uint8Array(CQE_SIZE);
  store(bytes, 0, 4, values.result);
  store(bytes, 8, 2, values.head);
  store(bytes, 10, 2, values.queue);
  store(bytes, 12, 2, values.id);
  store(bytes, 14, 2, values.status << 1 | values.phase);
  return bytes;
}

/**
 * Calls `move` for each part of a command's data that is contiguous: its IOVA
 * and where in the data it is. Throws {@link NvmeError} for a list whose entries
 * are not of whole pages.
 */
export function eachPart(
  dma: Dma,
  { prp1, prp2 }: Command,
  length: number,
  pageSize: number,
  move: (iova: number, from: number, end: number) => void,
): void {
  const first = Math.min(length, pageSize - prp1 % pageSize);
  move(prp1, 0, first);
  if (first === length) return;
  if (length - first <= pageSize) {
    checkPage(prp2, pageSize);
    move(prp2, first, length);
    return;
  }
  let list = prp2;
  let entries = entriesFrom(list, pageSize);
  let index = 0;
  const entry = new Uint8Array(8);
  for (let done = first; done < length; index++) {
    dma.read(list + 8 * index, entry);
    const page = numberOf(entry, 0, 8);
    checkPage(page, pageSize);
    // The last entry of a list is the next list, if there is more than a page left.
    if (index === entries - 1 && length - done > pageSize) {
      list = page;
      entries = entriesFrom(list, pageSize);
      index = -1;
      continue;
    }
    const end = Math.min(length, done + pageSize);
    move(page, done, end);
    done = end;
  }
}

/** Entries of a list from an address to the end of its page. */
function entriesFrom(list: number, pageSize: number): number {
  return (pageSize - list % pageSize) / 8;
}

function checkPage(iova: number, pageSize: number): void {
  if (iova % pageSize !== 0) throw new NvmeError(STATUS.invalidPrpOffset);
}
