// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { KernelBug } from "./kernel_bug.ts";
import { EBUSY } from "../uapi/errno.ts";
import { IdTable } from "./id_table.ts";

/** A table with the first `count` ids published as their own names. */
function filled(count: number, max = 2 ** 31 - 1): IdTable<string> {
  const table = new IdTable<string>({ first: 1, max });
  for (let i = 0; i < count; i++) {
    const id = table.alloc();
    table.publish(id, `object ${id}`);
  }
  return table;
}

function errnoOf(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The lowest id from `first` on that a model does not have. */
function lowestFree(model: Map<number, unknown>, first: number): number {
  let id = first;
  while (model.has(id)) id++;
  return id;
}

describe("IdTable", () => {
  for (const first of [0, 1] as const) {
    it(`gives out and finds ids from ${first} on as a plain map does`, () => {
      const step = fc.record({
        kind: fc.constantFrom("alloc", "alloc", "publish", "erase", "erase"),
        nth: fc.nat(),
      });
      const steps = fc.array(step, { maxLength: 200, size: "max" });
      fc.assert(
        fc.property(steps, (steps) => {
          const max = first + 29;
          const table = new IdTable<number>({ first, max });
          const model = new Map<number, number | undefined>();
          for (const { kind, nth } of steps) {
            const id = [...model.keys()][nth % Math.max(model.size, 1)];
            if (kind === "alloc") {
              const expected = lowestFree(model, first);
              if (expected > max) {
                assertEquals(errnoOf(() => table.alloc()), EBUSY);
              } else {
                assertEquals(table.alloc(), expected);
                model.set(expected, undefined);
              }
            } else if (id !== undefined && kind === "erase") {
              assertEquals(table.erase(id), model.get(id));
              model.delete(id);
            } else if (id !== undefined && model.get(id) === undefined) {
              table.publish(id, nth);
              model.set(id, nth);
            }
            assertEquals(table.size, model.size);
            assertEquals(table.isEmpty, model.size === 0);
            for (let at = first - 1; at <= max + 1; at++) {
              assertEquals(table.get(at), model.get(at));
              const reserved = model.has(at) && model.get(at) === undefined;
              assertEquals(table.isReserved(at), reserved);
            }
          }
          const published = [...model].filter(([, value]) =>
            value !== undefined
          );
          assertEquals(
            [...table],
            published.sort(([a], [b]) => a - b) as [number, number][],
          );
        }),
        { seed: 1, numRuns: 100 },
      );
    });
  }

  it("control: the highest free id is not what it gives", () => {
    const table = filled(5);
    table.erase(2);
    table.erase(4);
    assertEquals([table.alloc(), table.alloc(), table.alloc()], [2, 4, 6]);
  });

  it("hides a reserved id until it is published", () => {
    const table = new IdTable<string>({ first: 1, max: 10 });
    const id = table.alloc();
    assertEquals(table.get(id), undefined);
    assert(table.isReserved(id));
    assert(!table.isEmpty);
    assertEquals([...table], []);
    table.publish(id, "object");
    assertEquals(table.get(id), "object");
    assert(!table.isReserved(id));
  });

  it("keeps a retired id from everybody, for good", () => {
    const table = filled(3);
    table.retire(2);
    assertEquals([table.get(2), table.size], [undefined, 3]);
    assertEquals([...table], [[1, "object 1"], [3, "object 3"]]);
    assertEquals(table.alloc(), 4);
    assertThrows(() => table.retire(2), KernelBug);
    assertThrows(() => table.retire(9), KernelBug);
  });

  it("gives EBUSY when all ids are in use, and goes on when one is free", () => {
    const table = filled(3, 3);
    assertEquals(errnoOf(() => table.alloc()), EBUSY);
    table.erase(2);
    assertEquals(table.alloc(), 2);
    assertEquals(errnoOf(() => table.alloc()), EBUSY);
  });

  it("erases a reserved or a free id to nothing", () => {
    const table = filled(1);
    const id = table.alloc();
    assertEquals(table.erase(id), undefined);
    assertEquals(table.erase(id), undefined);
    assertEquals(table.erase(77), undefined);
    assertEquals(table.size, 1);
    assertEquals(table.erase(1), "object 1");
    assert(table.isEmpty);
  });

  it("takes publishing an id that is not reserved for a bug", () => {
    const table = filled(1);
    assertThrows(() => table.publish(1, "again"), KernelBug);
    assertThrows(() => table.publish(2, "early"), KernelBug);
    assertThrows(() => table.publish(0, "below"), KernelBug);
  });

  it("can be changed while it is iterated over", () => {
    const table = filled(8);
    const seen: number[] = [];
    for (const [id] of table) {
      seen.push(id);
      table.erase(id);
      if (id === 2) table.erase(4);
      if (id === 3) table.erase(8);
      if (id === 5) table.publish(table.alloc(), "behind, not seen");
    }
    assertEquals(seen, [1, 2, 3, 5, 6, 7]);
    assertEquals([...table], [[1, "behind, not seen"]]);
  });

  it("gives out id 0 once it was erased while others are in use", () => {
    const table = filled(3);
    assertEquals(table.erase(0), undefined);
    assertEquals([table.get(1), table.size], ["object 1", 3]);
    assertEquals([table.alloc(), table.alloc()], [0, 4]);
    table.publish(0, "zero");
    assertEquals([...table.ids()], [0, 1, 2, 3, 4]);
    for (const id of [...table.ids()]) table.erase(id);
    assertEquals([table.alloc(), table.alloc()], [0, 1]);
  });

  it("control: erasing id 0 of an empty table, or of one that begins with it, is nothing special", () => {
    const empty = filled(0);
    assertEquals(empty.erase(0), undefined);
    assertEquals(empty.alloc(), 1);
    const fromZero = new IdTable<string>({ first: 0, max: 9 });
    assertEquals([fromZero.alloc(), fromZero.alloc()], [0, 1]);
    fromZero.erase(0);
    assertEquals(fromZero.erase(0), undefined);
    assertEquals([fromZero.alloc(), fromZero.alloc()], [0, 2]);
  });

  it("gives out many freed ids in ascending order", () => {
    const table = filled(5000);
    for (let i = 0; i < 4999; i++) table.erase((i * 1237) % 4999 + 1);
    for (let id = 1; id < 5000; id++) assertEquals(table.alloc(), id);
    assertEquals(table.alloc(), 5001);
  });
});
