// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { describe, it } from "@std/testing/bdd";
import { SparseUint32Array } from "./sparse_array.ts";
import { XarrayNodes } from "./xarray_nodes.ts";

function nodes(rootHoldsEntry = true): XarrayNodes {
  return new XarrayNodes({ rootHoldsEntry });
}

/** Nodes of a tree with entries at `indexes`, by walking from each of them to the root. */
function naiveCount(indexes: readonly number[]): number {
  const max = Math.max(...indexes);
  if (max <= 0) return 0;
  let height = 1;
  while (64 ** height <= max) height++;
  const found = new Set<string>();
  for (const index of indexes) {
    for (let level = 1; level <= height; level++) {
      found.add(`${level} ${Math.floor(index / 64 ** level)}`);
    }
  }
  return found.size;
}

describe("XarrayNodes", () => {
  // The figures are what a kernel that counts each allocation showed.
  it("needs one node for the first object id", () => {
    const ids = nodes(false);
    assertEquals(ids.add(1, 1), 1);
    assertEquals(ids.add(2, 63), 0);
  });

  it("needs nine nodes for 512 pages, five of them for the first half", () => {
    const pages = nodes();
    assertEquals(pages.add(0, 255), 5);
    assertEquals(pages.add(256, 511), 4);
  });

  it("needs three nodes for an entry at 16 MiB of 2 KiB each, one for each 64 beyond", () => {
    const ptes = nodes();
    assertEquals(ptes.add(8192, 8192), 3);
    assertEquals(ptes.add(8193, 8192 + 127), 1);
  });

  it("needs none for an entry at index 0 alone, and one if that is reserved first", () => {
    assertEquals(nodes().add(0, 0), 0);
    assertEquals(nodes(false).add(0, 0), 1);
  });

  it("counts the node of the entry at index 0 when the next entry comes", () => {
    const far = nodes();
    far.add(0, 0);
    // The leaves of both, and the root.
    assertEquals(far.add(64, 64), 3);
  });

  it("takes the entries of a sparse array", () => {
    const array = new SparseUint32Array();
    array.set(0, 1);
    assertEquals(XarrayNodes.ofArray(array).add(0, 0), 0);
    assertEquals(XarrayNodes.ofArray(array).add(1, 1), 1);
    array.fillRun(8192, 128, 1, 0);
    assertEquals(XarrayNodes.ofArray(array).add(8192, 8192 + 127), 0);
    assertEquals(XarrayNodes.ofArray(array).add(8192 + 128, 8192 + 128), 1);
  });

  it("takes the indexes that are in use", () => {
    const ids = XarrayNodes.of([1, 2, 70], { rootHoldsEntry: false });
    assertEquals(ids.add(100, 100), 0);
    assertEquals(ids.add(128, 128), 1);
  });

  it("adds up to the nodes of the whole tree", () => {
    const range = fc.record({ first: fc.nat(20000), more: fc.nat(200) });
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (ranges) => {
        const shape = nodes();
        const indexes: number[] = [];
        let total = 0;
        for (const { first, more } of ranges) {
          total += shape.add(first, first + more);
          for (let i = 0; i <= more; i++) indexes.push(first + i);
        }
        assertEquals(total, naiveCount(indexes));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it("has as many nodes as the height of an index asks for, up to the last one", () => {
    const nodes = (index: number) =>
      new XarrayNodes({ rootHoldsEntry: false }).add(index, index);
    assertEquals([0, 63, 64, 4095, 4096].map(nodes), [1, 1, 2, 2, 3]);
    assertEquals(nodes(2 ** 64), 11);
    assertEquals(nodes(2 ** 53), 9);
  });
});
