// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a page table must do, as a list of entries with addresses in bytes.
 *
 * @module
 */

import {
  EADDRINUSE,
  EINVAL,
  ENXIO,
  ERANGE,
  type Errno,
} from "../../../uapi/errno.ts";
import type { AmdV1Options } from "../format.ts";

/** An entry. */
export interface NaiveEntry {
  readonly iova: bigint;
  readonly paddr: bigint;
  readonly size: bigint;
  readonly prot: number;
  dirty: boolean;
}

/** A list of entries. */
export class NaivePageTable {
  entries: NaiveEntry[] = [];
  readonly #options: AmdV1Options;

  constructor(options: AmdV1Options) {
    this.#options = options;
  }

  /** Maps; the errno of a failure. */
  map(
    iova: bigint,
    paddr: bigint,
    size: bigint,
    prot: number,
  ): Errno | undefined {
    const { addressSize, iovaSize, pageSizes } = this.#options;
    if ((prot & 3) === 0) return EINVAL;
    if (paddr >= BigInt(addressSize)) return ERANGE;
    const sizes = pageSizes.map(BigInt).reverse();
    const added: NaiveEntry[] = [];
    for (let done = 0n; done < size;) {
      const [at, to] = [iova + done, paddr + done];
      const fits = (s: bigint) => at % s === 0n && to % s === 0n;
      const largest = sizes.find((s) => fits(s) && s <= size - done);
      if (largest === undefined) return ENXIO;
      added.push({ iova: at, paddr: to, size: largest, prot, dirty: false });
      done += largest;
    }
    if (iova + size > BigInt(iovaSize)) return ERANGE;
    if (this.#within(iova, iova + size).length > 0) return EADDRINUSE;
    this.entries.push(...added);
    this.entries.sort((a, b) => (a.iova < b.iova ? -1 : 1));
    return undefined;
  }

  /** Unmaps; the bytes. */
  unmap(iova: bigint, size: bigint): bigint {
    let at = iova;
    if (iova + size > BigInt(this.#options.iovaSize)) return 0n;
    while (at < iova + size) {
      const entry = this.entries.find((each) => each.iova === at);
      if (entry === undefined) break;
      this.entries = this.entries.filter((each) => each !== entry);
      at += entry.size;
    }
    return at - iova;
  }

  /** The address behind a byte. */
  lookup(iova: bigint): bigint | undefined {
    const [entry] = this.#within(iova, iova + 1n);
    return entry && entry.paddr + iova - entry.iova;
  }

  /** Makes the entry of a byte dirty. */
  setDirty(iova: bigint): void {
    for (const entry of this.#within(iova, iova + 1n)) entry.dirty = true;
  }

  /** The parts of the range that dirty entries map; those that lie in it as a whole are made clean. */
  readDirty(iova: bigint, size: bigint, clears: boolean): [bigint, bigint][] {
    const end = iova + size;
    const dirty = this.#within(iova, end).filter((entry) => entry.dirty);
    return dirty.map((entry) => {
      const last = entry.iova + entry.size;
      const isWhole = entry.iova >= iova && last <= end;
      if (clears && isWhole) entry.dirty = false;
      return [entry.iova > iova ? entry.iova : iova, last < end ? last : end];
    });
  }

  #within(first: bigint, end: bigint): NaiveEntry[] {
    return this.entries.filter(({ iova, size }) =>
      iova < end && iova + size > first
    );
  }
}
