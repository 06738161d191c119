// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { linkTo, placeAt } from "./play/link.ts";
import { place, placeGraph, weightOfBytes } from "./play/place.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

describe("place()", () => {
  for (const count of [0, 1, 2, 13, 14, 50, 20_001]) {
    for (const width of [20, 334, 808]) {
      it(`fills ${width} pixels with ${count} items, each once and in order`, () => {
        const items = Array.from({ length: count }, (_, i) => i);
        const pieces = place(items, width, () => 1);
        assertEquals(pieces.flatMap(({ items }) => [...items]), items);
        assert(pieces.length <= Math.max(1, width / 26));
        let x = 0;
        for (const piece of pieces) {
          assert(Math.abs(piece.x - x) < 1e-6);
          assert(piece.width > 0);
          x += piece.width;
        }
        if (count > 0) assert(Math.abs(x - width) < 1e-6);
      });
    }
  }

  it("gives more room to what weighs more", () => {
    const pieces = place([4096n, 2n ** 40n], 400, weightOfBytes);
    assert(pieces[1]!.width > 2 * pieces[0]!.width);
  });
});

describe("placeGraph()", () => {
  it("puts each object behind all that it stands on", () => {
    const objects = [
      { id: 1, uses: [] },
      { id: 2, uses: [4, 1] },
      { id: 3, uses: [] },
      { id: 4, uses: [1] },
      { id: 5, uses: [9] }, // of an object that is not drawn
    ];
    assertEquals(
      placeGraph(objects).map((
        { item, column, row },
      ) => [item.id, column, row]),
      [[1, 0, 0], [2, 2, 0], [3, 0, 1], [4, 1, 0], [5, 0, 2]],
    );
  });

  it("ends where objects stand on each other", () => {
    const objects = [{ id: 1, uses: [2] }, { id: 2, uses: [1] }];
    assertEquals(placeGraph(objects).length, 2);
  });
});

describe("a link", () => {
  it("leads to where it was made, of scenarios and of programs", () => {
    const own = {
      scenario: undefined,
      text: `# ümläut ✓\nopen("/dev/iommu", O_RDWR)`,
      revision: "6.12",
      position: 1,
    } as const;
    assertEquals(placeAt(linkTo(own)), own);
    const { id, text } = SCENARIOS[2]!;
    const scenario = {
      scenario: id,
      text: text.trim(),
      revision: "7.3",
      position: 7,
    } as const;
    assertEquals(placeAt(linkTo(scenario)), scenario);
    assertEquals(linkTo(scenario), "#scenario=attach&revision=7.3&step=7");
  });

  for (
    const hash of [
      "",
      "#",
      "#x",
      "#scenario=none&revision=1.0&step=-1",
      "#program=%%",
    ]
  ) {
    it(`that says nothing leads to the beginning: "${hash}"`, () => {
      const { scenario, revision, position } = placeAt(hash);
      assertEquals([scenario, revision, position], ["tour", "7.3", 0]);
    });
  }
});
