// SPDX-License-Identifier: GPL-2.0-only

/**
 * The data of NVMe commands: pages of the user's memory, named by one address,
 * by two, or by lists.
 *
 * @module
 */

import type { PciDevice } from "../../device.ts";
import { type Command, longOf, NvmeError, STATUS } from "./commands.ts";
import { MAX_TRANSFER, MIN_PAGE_SIZE } from "./limits.ts";

/** Bytes of an entry of a list. */
const ENTRY = 8;

/** What moves data. */
export class Data {
  /** Bytes of a page, as the user set it. */
  pageSize: number = MIN_PAGE_SIZE;
  readonly #device: PciDevice;
  /** Entries of a list, as they are read. */
  readonly #entries = new Uint8Array(
    ENTRY * (MAX_TRANSFER / MIN_PAGE_SIZE + 1),
  );
  readonly #view = new DataView(this.#entries.buffer);

  /** By the DMA of a device. */
  constructor(device: PciDevice) {
    this.#device = device;
  }

  /** Writes a command's data to its user's memory. Throws a DmaFault, or {@link NvmeError}. */
  give(command: Command, bytes: Uint8Array): void {
    const { dma } = this.#device;
    this.#eachRun(
      command,
      checkTransfer(bytes.length),
      (iova, from, end) => dma.write(iova, bytes.subarray(from, end)),
    );
  }

  /** Fills `bytes` from its user's memory. Throws as {@link give}. */
  take(command: Command, bytes: Uint8Array): void {
    const { dma } = this.#device;
    this.#eachRun(
      command,
      checkTransfer(bytes.length),
      (iova, from, end) => dma.read(iova, bytes.subarray(from, end)),
    );
  }

  /** Calls `move` for each part that is contiguous: its IOVA, and where in the data it is. */
  #eachRun(
    { prp1, prp2 }: Command,
    length: number,
    move: (iova: number, from: number, end: number) => void,
  ): void {
    const { pageSize } = this;
    if (prp1 % 4 !== 0) throw new NvmeError(STATUS.invalidPrpOffset);
    let iova = prp1;
    let from = 0;
    let end = Math.min(length, pageSize - prp1 % pageSize);
    const addPage = (page: number) => {
      if (page % pageSize !== 0) throw new NvmeError(STATUS.invalidPrpOffset);
      if (page !== iova + end - from) {
        move(iova, from, end);
        [iova, from] = [page, end];
      }
      end = Math.min(length, end + pageSize);
    };
    if (length - end > pageSize) {
      this.#eachOfList(prp2, Math.ceil((length - end) / pageSize), addPage);
    } else if (length > end) addPage(prp2);
    move(iova, from, end);
  }

  /** Calls `addPage` for each page of a list, which may go on in others. */
  #eachOfList(
    list: number,
    pages: number,
    addPage: (page: number) => void,
  ): void {
    if (list % ENTRY !== 0) throw new NvmeError(STATUS.invalidPrpOffset);
    for (let left = pages; left > 0;) {
      const room = (this.pageSize - list % this.pageSize) / ENTRY;
      const length = ENTRY * Math.min(room, left);
      this.#device.dma.read(list, this.#entries.subarray(0, length));
      // The last entry of a list is the next list, if there is more than a page left.
      const count = left > room ? room - 1 : left;
      for (let i = 0; i < count; i++) addPage(longOf(this.#view, ENTRY * i));
      left -= count;
      if (left === 0) return;
      list = longOf(this.#view, ENTRY * count);
      if (list % this.pageSize !== 0) {
        throw new NvmeError(STATUS.invalidPrpOffset);
      }
    }
  }
}

/** Returns the length. Throws {@link NvmeError} if it is too long for one command. */
export function checkTransfer(length: number): number {
  if (length > MAX_TRANSFER) throw new NvmeError(STATUS.invalidField);
  return length;
}
