// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  ENOENT,
  EPERM,
  errnoOf,
  IOMMU_IOAS_MAP_READABLE,
  PAGE_SIZE,
} from "@iommufd/kit";
import { EmulatedAdder } from "./emulated_device.ts";
import { Program } from "./program.ts";

const QUEUE = 0x10000;

/** A program with two pages of memory, the first mapped at {@link QUEUE}, and the device. */
class Bench extends Program {
  readonly ioasId = this.iommufd.ioasAlloc().ioasId;
  readonly adder = new EmulatedAdder(this.process, this.iommufd.fd);
  readonly memory = this.sharedMemory(2 * PAGE_SIZE);

  constructor() {
    super();
    this.map(QUEUE, this.memory);
  }

  map(iova: number, userVa: number, flags?: number): void {
    const { ioasId } = this;
    const length = PAGE_SIZE;
    const more = flags === undefined ? {} : { flags };
    this.iommufd.ioasMap({ ioasId, userVa, length, iova, ...more });
  }

  /** Has the device add numbers; what it answers. */
  add(...numbers: number[]): number {
    const words = Uint32Array.of(numbers.length, ...numbers);
    this.process.poke(this.memory, new Uint8Array(words.buffer));
    this.adder.ring();
    const answer = this.process.peek(this.memory, 4);
    return new DataView(answer.buffer).getUint32(0, true);
  }

  end(): void {
    this.adder.remove();
    this.exit();
  }
}

describe("an emulated device", () => {
  it("works in the memory that is mapped at its IOVA", () => {
    const bench = new Bench();
    bench.adder.attach(bench.ioasId);
    bench.adder.switchOn(BigInt(QUEUE));
    assertEquals(bench.add(1, 2, 39), 42);
    bench.end();
  });

  it("lets go of what user space unmaps, and of nothing else", () => {
    const bench = new Bench();
    const { adder, ioasId, iommufd } = bench;
    const other = QUEUE + PAGE_SIZE;
    bench.map(other, bench.memory + PAGE_SIZE);
    adder.attach(ioasId);
    adder.switchOn(BigInt(QUEUE));
    iommufd.ioasUnmap({ ioasId, iova: other, length: PAGE_SIZE });
    assertEquals(bench.add(7), 7);
    iommufd.ioasUnmap({ ioasId, iova: QUEUE, length: PAGE_SIZE });
    assertEquals(adder.isOn, false);
    assertEquals(bench.add(7), 1, "the queue is not looked at");
    bench.end();
  });

  it("lets go of everything when it moves to another IOAS", () => {
    const bench = new Bench();
    const { adder, ioasId, iommufd } = bench;
    adder.attach(ioasId);
    adder.switchOn(BigInt(QUEUE));
    adder.attach(iommufd.ioasAlloc().ioasId);
    assertEquals(adder.isOn, false);
    const errno = errnoOf(() => adder.switchOn(BigInt(QUEUE)));
    assertEquals(ENOENT.is(errno), true);
    bench.end();
  });

  it("takes no queue that it may not write", () => {
    const bench = new Bench();
    const { adder, ioasId, memory } = bench;
    const readOnly = QUEUE + 8 * PAGE_SIZE;
    bench.map(readOnly, memory + PAGE_SIZE, IOMMU_IOAS_MAP_READABLE);
    adder.attach(ioasId);
    const errno = errnoOf(() => adder.switchOn(BigInt(readOnly)));
    assertEquals(EPERM.is(errno), true);
    assertEquals(adder.isOn, false);
    bench.end();
  });
});
