// SPDX-License-Identifier: GPL-2.0-only

/**
 * A naive model of IO page tables for property tests: plain arrays, linear
 * searches, ranges of single bytes, and every rule written down once more in
 * the simplest way. It shares no code with what it checks.
 *
 * Operations throw the errno that the kernel must give, for the reason that it
 * must name, before they change
 * anything.
 *
 * @module
 */

import {
  EADDRINUSE,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EOVERFLOW,
  EPERM,
} from "../../uapi/errno.ts";
import type { Revision } from "../../uapi/revision.ts";

const PAGE = 4096n;
const GRANULE = 2048n;
const U64_MAX = 2n ** 64n - 1n;
const APERTURE = { start: 1n << 24n, last: (1n << 31n) - 1n };

/** A range of bytes, last inclusive. */
export interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

function intersects(a: Range, b: Range): boolean {
  return a.start <= b.last && b.start <= a.last;
}

/** Frame of a page that was pinned by the current operation: known after it ran. */
export const PENDING = -1;

/** The pages behind areas: who holds each page, and its frame while somebody does. */
export class NaivePages {
  readonly uaddr: bigint;
  readonly writable: boolean;
  readonly holds: number[];
  readonly pfns: (number | undefined)[];

  constructor(uaddr: bigint, length: bigint, writable: boolean) {
    this.uaddr = uaddr - uaddr % PAGE;
    const npages = Number((uaddr % PAGE + length + PAGE - 1n) / PAGE);
    this.writable = writable;
    this.holds = new Array(npages).fill(0);
    this.pfns = new Array(npages).fill(undefined);
  }
}

/** A mapped range of IOVA. */
export interface NaiveArea extends Range {
  readonly pages: NaivePages;
  readonly startByte: bigint;
  readonly writable: boolean;
  readonly readable: boolean;
}

/** A pin through an access. */
export interface NaiveItem extends Range {
  readonly access: NaiveAccess;
  readonly parts: {
    readonly area: NaiveArea;
    readonly first: number;
    readonly last: number;
  }[];
}

/** An in-kernel user of an IOAS. */
export interface NaiveAccess {
  readonly ioas: NaiveIoas;
  readonly needsPin: boolean;
}

/** The user memory that a model looks at: which pages exist. */
export interface NaiveMemory {
  isMapped(uaddr: bigint): boolean;
}

/** What all IOAS of a model share. */
export class NaiveWorld {
  readonly revision: Revision;
  readonly memory: NaiveMemory;
  readonly allPages = new Set<NaivePages>();
  items: NaiveItem[] = [];
  /** Pages that may be charged; none: not limited. */
  lockLimit: number | undefined;

  constructor(revision: Revision, memory: NaiveMemory) {
    this.revision = revision;
    this.memory = memory;
  }

  /** Pages pinned, each once for each NaivePages. */
  get pinned(): number {
    let total = 0;
    for (const pages of this.allPages) {
      total += pages.pfns.filter((pfn) => pfn !== undefined).length;
    }
    return total;
  }

  /**
   * Holds the pages first..last. Throws EFAULT, then what `mapped` throws, then
   * ENOMEM, with nothing held: pages are charged after they were mapped.
   */
  hold(
    pages: NaivePages,
    first: number,
    last: number,
    mapped: () => void = () => {},
  ): void {
    this.allPages.add(pages);
    const held: number[] = [];
    try {
      for (let i = first; i <= last; i++) {
        if (pages.pfns[i] !== undefined) continue;
        if (!this.memory.isMapped(pages.uaddr + BigInt(i) * PAGE)) {
          throw EFAULT.because("there is no memory at an address");
        }
        pages.pfns[i] = PENDING;
        held.push(i);
      }
      mapped();
      const over = this.lockLimit !== undefined && this.pinned > this.lockLimit;
      if (held.length > 0 && over) {
        throw ENOMEM.because("RLIMIT_MEMLOCK does not allow to pin more");
      }
    } catch (error) {
      for (const i of held) pages.pfns[i] = undefined;
      throw error;
    }
    for (let i = first; i <= last; i++) pages.holds[i]!++;
  }

  /** Undoes a hold. */
  release(pages: NaivePages, first: number, last: number): void {
    for (let i = first; i <= last; i++) {
      if (--pages.holds[i]! === 0) pages.pfns[i] = undefined;
    }
  }

  /** Pins of each frame. */
  pinsByFrame(): Map<number, number> {
    const pins = new Map<number, number>();
    for (const pages of this.allPages) {
      for (const pfn of pages.pfns) {
        if (pfn !== undefined) pins.set(pfn, (pins.get(pfn) ?? 0) + 1);
      }
    }
    return pins;
  }
}

/** A reserved range, for a domain or for nobody. */
type Reserved = Range & { readonly owner: object | null };

/** For ranges that may overlap. */
export function byEnds(a: Range, b: Range): number {
  if (a.start !== b.start) return a.start < b.start ? -1 : 1;
  if (a.last === b.last) return 0;
  return a.last < b.last ? -1 : 1;
}

function whereIs({ owner }: Pick<Reserved, "owner">): string {
  return owner === null
    ? "in a reserved range"
    : "outside of what a domain can map";
}

/** One IOAS. */
export class NaiveIoas {
  readonly world: NaiveWorld;
  areas: NaiveArea[] = [];
  reserved: Reserved[] = [];
  allowed: Range[] = [];
  domains: object[] = [];
  accesses: NaiveAccess[] = [];
  largePages = true;

  constructor(world: NaiveWorld) {
    this.world = world;
  }

  /** The alignment that is demanded now. */
  get alignment(): bigint {
    return this.#alignmentWith({});
  }

  #alignmentWith(extra: {
    domain?: boolean;
    needsPin?: boolean;
    smallPages?: boolean;
  }): bigint {
    const needsPin = extra.needsPin ||
      this.accesses.some((access) => access.needsPin);
    const byPin = needsPin && this.world.revision.access.needsPinPages;
    if (byPin || !this.largePages || extra.smallPages) return PAGE;
    return extra.domain || this.domains.length > 0 ? GRANULE : 1n;
  }

  /** Throws EADDRINUSE unless all areas conform. */
  #checkAlignment(alignment: bigint): void {
    for (const area of this.areas) {
      const length = area.last - area.start + 1n;
      const values = [area.start, length, area.startByte % PAGE];
      if (values.some((value) => value % alignment !== 0n)) {
        throw EADDRINUSE.because("an area is not as aligned as is needed then");
      }
    }
  }

  /** IOPTEs that each domain must have: granule number → physical granule number. */
  granules(): Map<number, number> {
    const granules = new Map<number, number>();
    for (const area of this.areas) {
      for (let iova = area.start; iova <= area.last; iova += GRANULE) {
        const byte = area.startByte + iova - area.start;
        const pfn = area.pages.pfns[Number(byte / PAGE)]!;
        const half = Number(byte % PAGE / GRANULE);
        granules.set(Number(iova / GRANULE), pfn * 2 + half);
      }
    }
    return granules;
  }

  map(options: {
    iova: bigint | undefined;
    uaddr: bigint;
    length: bigint;
    writable: boolean;
  }): bigint {
    const { iova, uaddr, length, writable } = options;
    if (length === 0n) throw EINVAL.because("the length is 0");
    const pages = new NaivePages(uaddr, length, writable);
    const slices = [{ pages, startByte: uaddr % PAGE, length }];
    return this.#place(slices, length, iova, { readable: true, writable });
  }

  copy(
    source: NaiveIoas,
    options: {
      sourceIova: bigint;
      length: bigint;
      iova: bigint | undefined;
      writable: boolean;
    },
  ): bigint {
    const { sourceIova, length, iova, writable } = options;
    if (length === 0n) throw EINVAL.because("the length is 0");
    const slices = source.tile(sourceIova, sourceIova + length - 1n).map(
      ({ area, start, last }) => ({
        pages: area.pages,
        startByte: area.startByte + start - area.start,
        length: last - start + 1n,
      }),
    );
    return this.#place(slices, length, iova, { readable: true, writable });
  }

  /** The areas that tile a range without gap, each with its part of the range. Throws ENOENT. */
  tile(
    start: bigint,
    last: bigint,
  ): { area: NaiveArea; start: bigint; last: bigint }[] {
    const parts = [];
    for (let iova = start; iova <= last;) {
      const area = this.areas.find((a) => a.start <= iova && iova <= a.last);
      if (!area) throw ENOENT.because("part of the source range is not mapped");
      const end = area.last < last ? area.last : last;
      parts.push({ area, start: iova, last: end });
      iova = end + 1n;
    }
    return parts;
  }

  #place(
    slices: { pages: NaivePages; startByte: bigint; length: bigint }[],
    length: bigint,
    fixed: bigint | undefined,
    prot: { readable: boolean; writable: boolean },
  ): bigint {
    if (length % this.alignment !== 0n) {
      throw EINVAL.because("the length is not as aligned as the IOAS demands");
    }
    const { pages, startByte } = slices[0]!;
    const iova = fixed ?? this.chooseIova(pages.uaddr + startByte, length);
    if (fixed !== undefined) this.#checkFixed(fixed, length);
    let start = iova;
    const areas: NaiveArea[] = [];
    for (const slice of slices) {
      if (prot.writable && !slice.pages.writable) {
        throw EPERM.because("WRITEABLE is set for what was mapped without it");
      }
      if (slice.startByte % PAGE % this.alignment !== 0n) {
        throw EINVAL.because(
          "the memory is not as aligned as the IOAS demands",
        );
      }
      areas.push({
        start,
        last: start + slice.length - 1n,
        pages: slice.pages,
        startByte: slice.startByte,
        ...prot,
      });
      start += slice.length;
    }
    if (this.domains.length > 0) {
      // The driver refuses what does not lie on its page boundaries.
      this.#holdAreas(areas);
    }
    this.areas.push(...areas);
    return iova;
  }

  /** Holds the pages of all areas, or of none. A boundary inside a granule is the driver's EINVAL. */
  #holdAreas(areas: readonly NaiveArea[]): void {
    const done: NaiveArea[] = [];
    try {
      for (const area of areas) {
        const { first, last } = pageRange(area);
        this.world.hold(area.pages, first, last, () => {
          const length = area.last - area.start + 1n;
          if (area.start % GRANULE !== 0n || length % GRANULE !== 0n) {
            throw EINVAL;
          }
        });
        done.push(area);
      }
    } catch (error) {
      this.#releaseAreas(done);
      throw error;
    }
  }

  #releaseAreas(areas: readonly NaiveArea[]): void {
    for (const area of areas) {
      const { first, last } = pageRange(area);
      this.world.release(area.pages, first, last);
    }
  }

  #checkFixed(iova: bigint, length: bigint): void {
    const { revision } = this.world;
    const range = { start: iova, last: iova + length - 1n };
    if (iova % this.alignment !== 0n) {
      throw EINVAL.because("the IOVA is not as aligned as the IOAS demands");
    }
    if (range.last > U64_MAX) {
      throw EOVERFLOW.because("the range of IOVA reaches beyond 2^64-1");
    }
    const reserved = this.#reservedIn(range);
    if (reserved !== undefined) {
      const { reservedIovaErrno } = revision.ioas;
      const where = whereIs(reserved);
      throw reservedIovaErrno.because(`part of the range of IOVA is ${where}`);
    }
    if (this.areas.some((a) => intersects(a, range))) {
      const { areaExistsErrno } = revision.ioas;
      throw areaExistsErrno.because(
        "part of the range of IOVA is mapped already",
      );
    }
  }

  /** The lowest reserved range that has to do with a range. */
  #reservedIn(range: Range): Reserved | undefined {
    return this.reserved.filter((r) => intersects(r, range)).sort(byEnds)[0];
  }

  /** Plain transcription of the rule for kernel-chosen IOVA: every hole is looked at. */
  chooseIova(uptr: bigint, length: bigint): bigint {
    if (length === 0n || length >= U64_MAX / 2n) throw EOVERFLOW;
    let alignment = 1n;
    while (alignment < length) alignment *= 2n;
    if (uptr !== 0n) {
      const natural = uptr & -uptr;
      if (natural < alignment) alignment = natural;
    }
    const huge = 512n * PAGE;
    if (this.world.revision.ioas.capsIovaAlignment && alignment > huge) {
      alignment = huge;
    }
    if (alignment < this.alignment) {
      throw EINVAL.because("the memory is not as aligned as the IOAS demands");
    }

    const place = (range: Range) => {
      const up = (range.start + alignment - 1n) / alignment * alignment;
      const start = up | (uptr % PAGE);
      const fits = up <= U64_MAX && start < range.last &&
        range.last - start >= length - 1n;
      return fits ? [{ start, last: range.last }] : [];
    };
    const window = { start: PAGE, last: U64_MAX - PAGE };
    const allowed = this.allowed.length === 0 ? [window] : merge(this.allowed);
    // Each level of ranges is looked at from the first place in it on.
    const levels = this.world.revision.ioas.clipsAreaHoles
      ? [this.areas, this.reserved]
      : [[...this.areas, ...this.reserved]];
    let ranges = allowed.flatMap((range) => clip(range, window)).flatMap(place);
    for (const used of levels) {
      ranges = ranges.flatMap((range) => holes(range, used)).flatMap(place);
    }
    if (ranges.length === 0) {
      throw ENOSPC.because("no free range of IOVA is long enough");
    }
    return ranges[0]!.start;
  }

  /** Returns bytes unmapped so far through `result`, also when it throws. */
  unmap(range: Range, result: { unmapped: bigint }): void {
    const inside = this.areas.filter((area) => intersects(area, range))
      .sort((a, b) => a.start < b.start ? -1 : 1);
    for (const area of inside) {
      if (area.start < range.start || area.last > range.last) {
        throw ENOENT.because("the range cuts an area");
      }
      if (this.isAccessed(area)) this.unpinIntersecting(area);
      if (this.domains.length > 0) this.#releaseAreas([area]);
      this.areas = this.areas.filter((other) => other !== area);
      result.unmapped += area.last - area.start + 1n;
    }
  }

  /** Whether a pin uses the area. */
  isAccessed(area: NaiveArea): boolean {
    return this.world.items.some((item) =>
      item.parts.some((part) => part.area === area)
    );
  }

  /** What the selftest's unmap callback does, for every access of the IOAS. */
  unpinIntersecting(range: Range): void {
    for (const item of this.world.items) {
      if (item.access.ioas === this && intersects(item, range)) {
        this.unpin(item);
      }
    }
  }

  addDomain(domain: object): void {
    const alignment = this.#alignmentWith({ domain: true });
    if (alignment !== this.alignment) this.#checkAlignment(alignment);
    const outside = [
      { start: 0n, last: APERTURE.start - 1n, owner: domain },
      { start: APERTURE.last + 1n, last: U64_MAX, owner: domain },
    ];
    for (const range of outside) this.#checkReservable(range);
    // Lowest IOVA first: that decides which error comes first.
    this.areas.sort((a, b) => a.start < b.start ? -1 : 1);
    this.#holdAreas(this.areas);
    this.reserved.push(...outside);
    this.domains.push(domain);
    if (this.domains.length > 1) this.#releaseAreas(this.areas);
  }

  removeDomain(domain: object): void {
    this.domains = this.domains.filter((other) => other !== domain);
    this.reserved = this.reserved.filter((range) => range.owner !== domain);
    if (this.domains.length === 0) this.#releaseAreas(this.areas);
  }

  #checkReservable(range: Reserved): void {
    for (
      const [what, ranges] of [
        ["an area", this.areas],
        ["an allowed range", this.allowed],
      ] as const
    ) {
      if (!ranges.some((other) => intersects(other, range))) continue;
      throw EADDRINUSE.because(`${what} is ${whereIs(range)}`);
    }
  }

  reserve(range: Range): void {
    const reserved = { ...range, owner: null };
    this.#checkReservable(reserved);
    this.reserved.push(reserved);
  }

  allow(ranges: readonly Range[]): void {
    ranges.forEach((range, i) => {
      if (range.start >= range.last) {
        throw EINVAL.because("a range does not end behind its start");
      }
      if (ranges.slice(0, i).some((other) => intersects(other, range))) {
        throw EINVAL.because("two ranges overlap");
      }
    });
    for (const range of [...ranges].sort(byEnds)) {
      const reserved = this.#reservedIn(range);
      if (reserved === undefined) continue;
      throw EADDRINUSE.because(`part of a range is ${whereIs(reserved)}`);
    }
    this.allowed = [...ranges];
  }

  setLargePages(enabled: boolean): void {
    if (enabled) {
      this.largePages = true;
      return;
    }
    if (!this.largePages) return;
    if (this.domains.length > 0 && this.areas.length > 0) {
      throw EINVAL.because(
        "a domain has areas already, perhaps in large pages",
      );
    }
    this.#checkAlignment(this.#alignmentWith({ smallPages: true }));
    this.largePages = false;
  }

  addAccess(needsPin: boolean): NaiveAccess {
    const alignment = this.#alignmentWith({ needsPin });
    if (alignment > this.alignment) this.#checkAlignment(alignment);
    const access = { ioas: this, needsPin };
    this.accesses.push(access);
    return access;
  }

  removeAccess(access: NaiveAccess): void {
    for (const item of this.world.items) {
      if (item.access === access) this.unpin(item);
    }
    this.accesses = this.accesses.filter((other) => other !== access);
  }

  pin(access: NaiveAccess, range: Range, write: boolean): NaiveItem {
    const item: NaiveItem = { ...range, access, parts: [] };
    try {
      let iova = range.start;
      while (iova <= range.last) {
        const area = this.areas.find((a) => a.start <= iova && iova <= a.last);
        if (!area) {
          throw ENOENT.because("part of the range of IOVA is not mapped");
        }
        const last = area.last < range.last ? area.last : range.last;
        const firstByte = area.startByte + iova - area.start;
        const lastByte = area.startByte + last - area.start;
        const toTheEnd = range.last <= area.last;
        const notWhole = EINVAL.because(
          "the range is not of whole pages of memory",
        );
        if (firstByte % PAGE !== 0n) throw notWhole;
        const areaEnd = area.startByte + area.last - area.start;
        if (!toTheEnd && areaEnd % PAGE !== PAGE - 1n) throw notWhole;
        if (write ? !area.writable : !area.readable) {
          throw EPERM.because("an area in the range does not allow that");
        }
        const part = {
          area,
          first: Number(firstByte / PAGE),
          last: Number(lastByte / PAGE),
        };
        this.world.hold(area.pages, part.first, part.last);
        item.parts.push(part);
        iova = last + 1n;
      }
    } catch (error) {
      for (const { area, first, last } of item.parts) {
        this.world.release(area.pages, first, last);
      }
      throw error;
    }
    this.world.items.push(item);
    return item;
  }

  unpin(item: NaiveItem): void {
    this.world.items = this.world.items.filter((other) => other !== item);
    for (const { area, first, last } of item.parts) {
      this.world.release(area.pages, first, last);
    }
  }
}

/** Indexes of the pages of an area. */
function pageRange(area: NaiveArea): { first: number; last: number } {
  return {
    first: Number(area.startByte / PAGE),
    last: Number((area.startByte + area.last - area.start) / PAGE),
  };
}

function clip(range: Range, window: Range): Range[] {
  const start = range.start > window.start ? range.start : window.start;
  const last = range.last < window.last ? range.last : window.last;
  return start <= last ? [{ start, last }] : [];
}

/** The ranges sorted, overlapping and adjacent ones joined. */
function merge(ranges: readonly Range[]): Range[] {
  const merged: { start: bigint; last: bigint }[] = [];
  const sorted = [...ranges].sort((a, b) => a.start < b.start ? -1 : 1);
  for (const { start, last } of sorted) {
    const tail = merged.at(-1);
    if (tail && start <= tail.last + 1n) {
      if (last > tail.last) tail.last = last;
    } else merged.push({ start, last });
  }
  return merged;
}

/** What of `range` no used range covers, ascending. */
function holes(range: Range, used: readonly Range[]): Range[] {
  const result: Range[] = [];
  let start = range.start;
  for (const span of merge(used)) {
    if (span.last < start) continue;
    if (span.start > range.last) break;
    if (span.start > start) result.push({ start, last: span.start - 1n });
    start = span.last + 1n;
  }
  if (start <= range.last) result.push({ start, last: range.last });
  return result;
}
