// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Ioat } from "../../pci/devices/ioat.ts";
import { VFIO_DEVICE_RESET } from "../../uapi/mod.ts";
import { Bench, bytesOf, IOVA, numberFrom } from "../testing/bench.ts";

const REG = {
  intrctrl: [0x03, 1],
  chanctrl: [0x80, 2],
  chancmd: [0x84, 1],
  dmacount: [0x86, 2],
  chansts: [0x88, 8],
  chainaddr: [0x90, 8],
  chancmp: [0x98, 8],
  chanerr: [0xa8, 4],
} as const;
type Name = keyof typeof REG;

/** Descriptors, where completions are told, memory to copy from and to, and where nothing is. */
const DESC = IOVA;
const COMPLETION = IOVA + 0x800;
const [SOURCE, TARGET, NOWHERE] = [IOVA + 0x1000, IOVA + 0x8000, 0x900000];
const [DONE, SUSPENDED, HALTED, ARMED] = [1, 2, 3, 4];

/** A driver of the engine, by registers that are mapped. */
class Driver {
  readonly bench = new Bench(new Ioat());
  readonly eventfd = this.bench.eventfd();
  readonly #bar = this.bench.map(0, 4096);

  constructor() {
    this.bench.connect(2, [this.eventfd]);
    this.set("intrctrl", 8);
    this.set("chanctrl", 9);
    this.set("chancmp", COMPLETION);
  }

  set(name: Name, value: number): void {
    const [at, bytes] = REG[name];
    this.bench.process.poke(this.#bar + at, bytesOf(value, bytes));
  }

  get(name: Name): number {
    const [at, bytes] = REG[name];
    return numberFrom(this.bench.process.peek(this.#bar + at, bytes));
  }

  /** Stores a descriptor, by its number. */
  descriptor(
    number: number,
    source: number,
    target: number,
    { size = 64, control = 0, next = DESC + 64 * (number + 1) } = {},
  ): void {
    const bytes = new Uint8Array(64);
    bytes.set(bytesOf(size), 0);
    bytes.set(bytesOf(control >>> 0), 4);
    bytes.set(bytesOf(source, 8), 8);
    bytes.set(bytesOf(target, 8), 16);
    bytes.set(bytesOf(next, 8), 24);
    this.poke(DESC + 64 * number, bytes);
  }

  poke(iova: number, bytes: Uint8Array): void {
    this.bench.process.poke(this.bench.memory + iova - IOVA, bytes);
  }

  peek(iova: number, length: number): Uint8Array {
    return this.bench.process.peek(this.bench.memory + iova - IOVA, length);
  }

  /** Runs a chain. */
  go(count: number, chain = DESC): void {
    this.set("chainaddr", chain);
    this.set("dmacount", count);
  }

  get state(): number {
    return this.get("chansts") % 8;
  }
}

describe("an engine of I/OAT", () => {
  it("is reset as drivers expect", () => {
    const driver = new Driver();
    const { bench } = driver;
    assertEquals([0, 1, 8].map((at) => bench.load(0, at, 1)), [1, 14, 0x33]);
    driver.set("chancmd", 0x20);
    assertEquals([driver.get("chancmd"), driver.state], [0, HALTED]);
    driver.set("chainaddr", DESC);
    assertEquals(driver.get("chansts"), ARMED);
    bench.call(bench.fd, VFIO_DEVICE_RESET, new Uint8Array(0));
    assertEquals(driver.state, HALTED);
    bench.end();
  });

  it("does the same descriptor as often as is wanted, and is suspended then", () => {
    const driver = new Driver();
    driver.poke(SOURCE, Uint8Array.of(1, 2, 3));
    const control = 1;
    driver.descriptor(0, SOURCE, TARGET, { size: 3, control, next: DESC });
    driver.go(3);
    assertEquals(driver.get("chansts"), DESC + DONE);
    assertEquals(driver.peek(TARGET, 3), Uint8Array.of(1, 2, 3));
    assertEquals(driver.bench.counted(driver.eventfd), 3);
    driver.set("chancmd", 0x04);
    assertEquals(driver.state, SUSPENDED);
    driver.set("intrctrl", 0);
    driver.go(1);
    assertEquals(driver.bench.counted(driver.eventfd), 0);
    driver.bench.end();
  });

  it("goes on in its chain, counts in 16 bits, and tells what it has done", () => {
    const driver = new Driver();
    const last = { next: DESC, control: 8 };
    driver.descriptor(0, SOURCE, TARGET);
    driver.descriptor(1, 0, 0, { ...last, control: 0x28 });
    driver.set("chainaddr", DESC);
    driver.set("dmacount", 1);
    assertEquals(driver.get("chansts"), DESC + DONE);
    assertEquals(driver.peek(COMPLETION, 8), new Uint8Array(8));
    driver.set("dmacount", 2);
    const told = () => numberFrom(driver.peek(COMPLETION, 8));
    assertEquals(told(), DESC + 64 + DONE);
    driver.set("dmacount", 65535);
    assertEquals(driver.get("chansts"), DESC + DONE);
    driver.set("dmacount", 1);
    assertEquals(told(), DESC + 64);
    driver.bench.end();
  });

  it("fills with eight bytes, over pages", () => {
    const driver = new Driver();
    driver.descriptor(0, 0, TARGET, { size: 5000, control: 1 << 24 });
    const pattern = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255);
    driver.poke(DESC + 8, pattern);
    driver.go(1);
    assertEquals(driver.peek(TARGET + 4096, 8), pattern);
    assertEquals(driver.peek(TARGET + 4992, 9), Uint8Array.of(...pattern, 0));
    driver.bench.end();
  });

  const bad: [what: string, error: number, prepare: (_: Driver) => void][] = [
    ["a source", 0x100, (driver) => driver.descriptor(0, NOWHERE, TARGET)],
    ["a target", 0x200, (driver) => driver.descriptor(0, SOURCE, NOWHERE)],
    [
      "a target to fill",
      0x200,
      (driver) => driver.descriptor(0, 0, NOWHERE, { control: 1 << 24 }),
    ],
    [
      "an operation",
      0x400,
      (driver) => driver.descriptor(0, SOURCE, TARGET, { control: 9 << 24 }),
    ],
    [
      "a length",
      0x800,
      (driver) => driver.descriptor(0, SOURCE, TARGET, { size: 16385 }),
    ],
    ["a place to tell", 0x1000, (driver) => {
      driver.set("chancmp", NOWHERE);
      driver.descriptor(0, SOURCE, TARGET, { control: 8 });
    }],
  ];
  for (const [what, error, prepare] of bad) {
    it(`stops at ${what} that is none, until it is reset`, () => {
      const driver = new Driver();
      prepare(driver);
      driver.set("chanctrl", 9 | 0x14);
      driver.go(1);
      assertEquals(driver.state, HALTED);
      assertEquals(driver.get("chanerr"), error);
      assertEquals(driver.bench.load(7, 0x180), error);
      assertEquals(driver.bench.counted(driver.eventfd), 1);
      const told = numberFrom(driver.peek(COMPLETION, 8));
      assertEquals(told, error === 0x1000 ? 0 : HALTED);
      driver.set("dmacount", 5);
      driver.set("chancmd", 0x04);
      driver.set("chainaddr", DESC);
      assertEquals(driver.state, HALTED);
      driver.bench.store(7, 0x180, 4, error);
      driver.set("chanerr", error);
      driver.set("chancmd", 0x20);
      assertEquals(driver.bench.load(7, 0x180), 0);
      driver.set("chancmp", COMPLETION);
      driver.descriptor(0, SOURCE, TARGET);
      driver.go(1);
      assertEquals(driver.state, DONE);
      driver.bench.end();
    });
  }

  it("stops where its chain leads nowhere", () => {
    for (const [chain, error] of [[NOWHERE, 4], [DESC + 8, 8]] as const) {
      const driver = new Driver();
      driver.go(1, chain);
      assertEquals([driver.state, driver.get("chanerr")], [HALTED, error]);
      driver.bench.end();
    }
  });

  it("stops and goes on as it is told", () => {
    const driver = new Driver();
    driver.descriptor(0, SOURCE, TARGET);
    driver.go(1);
    driver.set("chancmd", 0x04);
    driver.set("chancmd", 0x10);
    assertEquals(driver.state, DONE);
    driver.set("chancmd", 0x08);
    assertEquals(driver.state, HALTED);
    driver.bench.end();
  });
});
