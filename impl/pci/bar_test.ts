// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { SimulatedMachine } from "../kernel/simulated/machine.ts";
import { Bar } from "./bar.ts";

/** A BAR with registers, and what they were told. */
function bench() {
  const told: [string, number, number, number][] = [];
  const note = (name: string) => (value: number, old: number, index: number) =>
    void told.push([name, value, old, index]);
  const bar = new Bar({ size: 4096 });
  const registers = bar.declare({
    ID: { at: 0, reset: 0x1234, readOnly: true },
    GO: { at: 4, write: note("GO") },
    WIDE: { at: 8, bytes: 8, write: note("WIDE") },
    BELL: { at: 0x100, count: 4, stride: 8, write: note("BELL") },
    PLAIN: { at: 0x200, bytes: 2, reset: 7 },
  });
  return { bar, registers, told };
}

function word(value: number, count = 4): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes.subarray(0, count);
}

/** A number that programs read. */
function seen(bar: Bar, at: number, count = 4): number {
  const bytes = new Uint8Array(8);
  bar.read(at, bytes.subarray(0, count));
  return Number(new DataView(bytes.buffer).getBigUint64(0, true));
}

function answering() {
  const all = bench();
  const machine = new SimulatedMachine({ memory: 2 ** 21 });
  all.bar.enable(machine.createObject());
  return { ...all, machine, memory: all.bar.memory! };
}

describe("a BAR", () => {
  it("has a power of two of bytes", () => {
    for (const size of [0, 8, 24, NaN, -16, 16.5]) {
      assertThrows(() => new Bar({ size }), RangeError, "power of two");
    }
    assertEquals(new Bar({ size: 4, io: true }).size, 4);
    assertThrows(() => new Bar({ size: 2, io: true }), RangeError);
  });

  it("has no register that is not all in it", () => {
    for (const at of [-4, 4096, 4094]) {
      assertThrows(() => bench().bar.declare({ X: { at } }), RangeError, "X");
    }
    const array = { at: 4000, count: 25 };
    assertThrows(() => bench().bar.declare({ X: array }), RangeError, "X");
    bench().bar.declare({ X: { at: 4092 } });
  });

  it("tells the flags of its kind", () => {
    const flags = (options: object) => new Bar({ size: 16, ...options }).flags;
    assertEquals(flags({}), 0);
    assertEquals(flags({ io: true }), 1);
    assertEquals(flags({ wide: true }), 4);
    assertEquals(flags({ prefetchable: true }), 8);
    assertEquals(new Bar({ size: 16, wide: true }).isWide, true);
    assertEquals(new Bar({ size: 16, io: true }).isWide, false);
  });

  it("tells a register that was written, also when it had the value", () => {
    const { bar, registers, told } = bench();
    bar.store(4, word(5));
    bar.store(4, word(5));
    assertEquals(told, [["GO", 5, 0, 0], ["GO", 5, 5, 0]]);
    assertEquals([registers.get("GO"), seen(bar, 4)], [5, 5]);
  });

  it("keeps what is read-only, and what the device sets", () => {
    const { bar, registers } = bench();
    bar.store(0, word(1));
    assertEquals(seen(bar, 0), 0x1234);
    registers.set("ID", 9);
    bar.store(0, word(1));
    assertEquals(seen(bar, 0), 9);
    assertEquals(seen(bar, 0x200, 2), 7);
  });

  it("tells each register that a store touches, with what it was", () => {
    const { bar, told } = bench();
    bar.store(8, word(2 ** 40 + 1, 8));
    bar.store(12, word(3));
    bar.store(6, word(2 ** 40, 6));
    assertEquals(told, [
      ["WIDE", 2 ** 40 + 1, 0, 0],
      ["WIDE", 3 * 2 ** 32 + 1, 2 ** 40 + 1, 0],
      ["GO", 0, 0, 0],
      ["WIDE", 3 * 2 ** 32 + 2 ** 24, 3 * 2 ** 32 + 1, 0],
    ]);
  });

  it("tells which of an array was written, and nobody of what lies between", () => {
    const { bar, told } = bench();
    bar.store(0x118, word(1));
    bar.store(0x104, word(1));
    bar.store(0x100 + 4 * 8, word(1));
    assertEquals(told, [["BELL", 1, 0, 3]]);
    bar.store(0x108, new Uint8Array(16).fill(1));
    assertEquals(told.slice(1).map(([, , , index]) => index), [1, 2]);
  });

  it("finds what was stored to its memory by looking", () => {
    const { bar, told, memory } = answering();
    assertEquals(bar.poll(), false);
    memory.write(0x110, word(6));
    memory.write(0, word(6));
    assertEquals(bar.poll(), true);
    assertEquals(told, [["BELL", 6, 0, 2]]);
    assertEquals(seen(bar, 0), 0x1234);
    assertEquals(bar.poll(), false);
  });

  it("takes all that was stored before it tells any of it", () => {
    const { bar, memory } = answering();
    const told: number[] = [];
    const registers = bar.declare({
      DOORBELL: {
        at: 0x400,
        write: (value) => void told.push(value, registers.get("ARGUMENT")),
      },
      ARGUMENT: { at: 0x404 },
    });
    memory.write(0x404, word(7));
    memory.write(0x400, word(1));
    bar.poll();
    assertEquals(told, [1, 7]);
  });

  it("takes again what is stored while it is looking, but not for ever", () => {
    const { bar, memory, told } = answering();
    const load = memory.word.bind(memory);
    let stores = 0;
    // A program that rings once more before each look at the bell.
    memory.word = (index) => {
      if (index === 0x100 / 4) memory.write(0x100, word(++stores));
      return load(index);
    };
    assertEquals(bar.poll(), true);
    assertEquals(told.length, 1);
    memory.word = load;
    bar.poll();
    assertEquals(told[1], ["BELL", stores, told[0]![1], 0]);
  });

  it("puts right what is read-only before it tells, and does not tell what was set meanwhile", () => {
    const { bar, memory } = answering();
    const told: string[] = [];
    const registers = bar.declare({
      GO: {
        at: 0x400,
        write: () => {
          told.push("GO");
          registers.set("DONE", 5);
          registers.set("NEXT", 6);
        },
      },
      DONE: { at: 0x404, readOnly: true },
      NEXT: { at: 0x408, write: () => void told.push("NEXT") },
    });
    for (const at of [0x400, 0x404, 0x408]) memory.write(at, word(1));
    bar.poll();
    assertEquals(told, ["GO"]);
    assertEquals([seen(bar, 0x404), seen(bar, 0x408)], [5, 6]);
  });

  it("does not tell what the device stores there itself while it acts", () => {
    const { bar } = answering();
    const told: number[] = [];
    bar.declare({
      AGAIN: {
        at: 0x400,
        write: (value) => {
          told.push(value);
          bar.store(0x400, word(value + 1));
          bar.store(0, word(value));
        },
      },
    });
    bar.store(0x400, word(1));
    assertEquals([told, seen(bar, 0x400), seen(bar, 0)], [[1], 2, 0x1234]);
    bar.store(0x400, word(7));
    assertEquals(told, [1, 7]);
  });

  it("can be told where a store began, whatever it changed", () => {
    const { bar, memory, told } = answering();
    bar.touched(4);
    memory.write(4, word(6));
    memory.write(0x110, word(1));
    bar.touched(5);
    bar.touched(0x700);
    assertEquals(told, [["GO", 0, 0, 0], ["GO", 6, 0, 0], ["BELL", 1, 0, 2]]);
    memory.write(0, word(9));
    bar.touched(0);
    assertEquals(seen(bar, 0), 0x1234);
    bar.disable();
    bar.touched(4);
    assertEquals(told.length, 3);
  });

  it("can be told of a store to its memory, up to its end", () => {
    const { bar, told, memory } = answering();
    memory.write(4, word(6));
    bar.stored(4, 4);
    bar.stored(4, 4);
    assertEquals(told.map(([, value]) => value), [6, 6]);
    const small = new Bar({ size: 16 });
    small.stored(16, 4);
    small.stored(12, 8);
  });

  it("has memory while it answers, and keeps its bytes meanwhile", () => {
    const { bar, registers, memory, machine } = answering();
    bar.write(0x300, word(77));
    memory.write(0x304, word(78));
    bar.resize(false);
    assertEquals([memory.size, machine.frames.used], [0, 0]);
    registers.set("PLAIN", 8);
    bar.resize(true);
    assertEquals([seen(bar, 0x300), seen(bar, 0x304)], [77, 78]);
    const bytes = new Uint8Array(2);
    memory.read(0x200, bytes);
    assertEquals(bytes[0], 8);
    bar.disable();
    bar.disable();
    assertEquals([bar.memory, machine.frames.used], [undefined, 0]);
    assertEquals([seen(bar, 0x304), bar.poll()], [78, false]);
  });

  it("is as in the beginning after a reset, without telling anybody", () => {
    const { bar, told } = answering();
    bar.write(0x300, word(77));
    bar.store(0x200, word(9));
    bar.reset();
    assertEquals([seen(bar, 0x300), seen(bar, 0x200, 2)], [0, 7]);
    assertEquals(told, []);
    assert(!bar.poll());
  });

  it("need not have registers", () => {
    const machine = new SimulatedMachine({ memory: 2 ** 21 });
    const bar = new Bar({ size: 16 });
    bar.enable(machine.createObject());
    assertEquals([bar.memory!.size, bar.poll()], [4096, false]);
  });
});
