// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { CopyEngine } from "../../pci/devices/copy_engine.ts";
import { DmaFault } from "../../iommu/hardware/dma.ts";
import {
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuIoasMap,
} from "../../uapi/iommufd.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { Bench } from "../testing/bench.ts";

/** Pages of memory, and the IOVA at which they are mapped. */
const PAGES = 48;
const START = 0x800000;
const [READ, WRITE] = [IOMMU_IOAS_MAP_READABLE, IOMMU_IOAS_MAP_WRITEABLE];

/** Some pages of the memory, mapped behind those before; not mapped without rights. */
interface Piece {
  readonly page: number;
  readonly pages: number;
  readonly rights: number;
}

const PIECES = fc.array(
  fc.record({
    page: fc.nat(PAGES - 20),
    pages: fc.integer({ min: 1, max: 20 }),
    rights: fc.constantFrom(0, READ, WRITE, READ | WRITE, READ | WRITE),
  }),
  { minLength: 1, maxLength: 8 },
);

const PLACE = fc.nat(PAGES * PAGE_SIZE);
const TRANSFERS = fc.array(
  fc.record({
    kind: fc.constantFrom("read", "write", "copy"),
    source: PLACE,
    target: PLACE,
    length: fc.oneof(fc.nat(200), fc.nat(40 * PAGE_SIZE)),
  }),
  { maxLength: 8 },
);

/** Where each byte of IOVA is in the memory. */
class Naive {
  readonly bytes = Uint8Array.from(
    { length: PAGES * PAGE_SIZE },
    (_, i) => i * 7 + (i >> 8),
  );
  readonly #pages: { page: number; rights: number }[] = [];

  add({ page, pages, rights }: Piece): void {
    for (let i = 0; i < pages; i++) {
      this.#pages.push({ page: page + i, rights });
    }
  }

  /** Where it is; undefined where the access is blocked. */
  at(offset: number, right: number): number | undefined {
    const found = this.#pages[Math.floor(offset / PAGE_SIZE)];
    if (found === undefined || (found.rights & right) === 0) return undefined;
    return found.page * PAGE_SIZE + offset % PAGE_SIZE;
  }

  /** Whether two ranges have a page in common. */
  overlap(one: number, other: number, length: number): boolean {
    const pages = (start: number) => {
      const first = Math.floor(start / PAGE_SIZE);
      const end = Math.ceil((start + length) / PAGE_SIZE);
      return new Set(this.#pages.slice(first, end).map(({ page }) => page));
    };
    return !pages(one).isDisjointFrom(pages(other));
  }
}

/** A machine with pieces of memory mapped, and a naive model of it. */
function machineWith(pieces: readonly Piece[]) {
  const bench = new Bench(new CopyEngine());
  const naive = new Naive();
  const memory = bench.mmap(PAGES * PAGE_SIZE);
  bench.process.poke(memory, naive.bytes);
  let iova = START;
  for (const piece of pieces) {
    naive.add(piece);
    const length = piece.pages * PAGE_SIZE;
    if (piece.rights !== 0) {
      const map = IommuIoasMap.encode({
        flags: IOMMU_IOAS_MAP_FIXED_IOVA | piece.rights,
        ioasId: bench.ioasId,
        userVa: BigInt(memory + piece.page * PAGE_SIZE),
        length: BigInt(length),
        iova: BigInt(iova),
      });
      bench.call(bench.iommufd, IommuIoasMap.ioctl.number, map);
    }
    iova += length;
  }
  return { bench, naive, memory };
}

/** The offset at which it was blocked; undefined if it was not. */
function blockedAt(act: () => void): number | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof DmaFault) return error.iova - START;
    throw error;
  }
}

describe("DMA", () => {
  it("moves what is mapped up to the first byte that is not, wherever its pages are", () => {
    fc.assert(
      fc.property(PIECES, TRANSFERS, (pieces, transfers) => {
        const { bench, naive, memory } = machineWith(pieces);
        const { dma } = bench.device.pci;
        for (const { kind, source, target, length } of transfers) {
          const bytes = new Uint8Array(length).fill(length);
          const before = naive.bytes.slice();
          let blocked: number | undefined;
          for (let i = 0; i < length && blocked === undefined; i++) {
            const from = naive.at(source + i, READ);
            const to = naive.at(target + i, WRITE);
            if (kind !== "write" && from === undefined) blocked = source + i;
            else if (kind !== "read" && to === undefined) blocked = target + i;
            else if (kind === "write") naive.bytes[to!] = length;
            else if (kind === "copy") naive.bytes[to!] = naive.bytes[from!]!;
          }
          const found = blockedAt(() => {
            if (kind === "read") dma.read(START + source, bytes);
            else if (kind === "write") dma.write(START + target, bytes);
            else dma.copy(START + source, START + target, length);
          });
          assertEquals(found, blocked);
          if (kind === "read") {
            const end = (blocked ?? source + length) - source;
            const expected = Uint8Array.from(
              { length: end },
              (_, i) => before[naive.at(source + i, READ)!]!,
            );
            assertEquals(bytes.subarray(0, end), expected);
          }
          const now = bench.process.peek(memory, naive.bytes.length);
          // What overlaps in memory is copied in an order of its own.
          if (kind === "copy" && naive.overlap(source, target, length)) {
            naive.bytes.set(now);
          } else assertEquals(now, naive.bytes);
        }
        bench.end();
      }),
      { numRuns: 40 },
    );
  });
});
