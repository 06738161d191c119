// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NvmeDrive } from "../../pci/devices/nvme/nvme.ts";
import {
  NvmeMemory,
  type NvmeStorage,
} from "../../pci/devices/nvme/storage.ts";
import {
  VFIO_DEVICE_RESET,
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
} from "../../uapi/mod.ts";
import { Bench, bytesOf, IOVA, LENGTH, numberFrom } from "../testing/bench.ts";
import { DATA, ENTRIES, NvmeDriver } from "../testing/nvme_driver.ts";

const SIZE = 2 ** 20;
const READ = 2;
const WRITE = 1;

function start(storage: NvmeStorage | number = SIZE) {
  const bench = new Bench(new NvmeDrive(storage));
  return { bench, driver: new NvmeDriver(bench), ...bench };
}

/** With queues for data. */
function ready(storage?: NvmeStorage | number) {
  const all = start(storage);
  all.driver.createQueues();
  return all;
}

/** The arguments of a command about `count` blocks. */
function blocks(first: number, count: number): number[] {
  return [first % 2 ** 32, Math.floor(first / 2 ** 32), count - 1];
}

/** Bytes that are unlike others. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 256);
}

describe("an NVMe drive", () => {
  it("gets ready, and forgets its queues when it is turned off", () => {
    const { bench, driver } = ready();
    assertEquals(driver.csts, 1);
    driver.write(0x14, 0);
    assertEquals(driver.csts, 0);
    driver.submit(0, { opcode: 6 });
    assertEquals(driver.complete(0)?.id, undefined);
    driver.write(0x14, 1 << 14);
    assertEquals(driver.csts, 8);
    bench.end();
  });

  it("tells what it is", () => {
    const { bench, driver, process, memory } = start();
    const identify = (which: number, namespace = 0) =>
      driver.admin({
        opcode: 6,
        namespace,
        prp1: IOVA + DATA,
        words: [which],
      }).status;
    const at = (offset: number, count: number) =>
      numberFrom(process.peek(memory + DATA + offset, count));
    assertEquals([identify(0, 1), at(0, 8), at(130, 1)], [0, SIZE / 512, 9]);
    assertEquals([identify(1), at(77, 1), at(512, 2)], [0, 7, 0x4466]);
    assertEquals([identify(2), at(0, 4), at(4, 4)], [0, 1, 0]);
    assertEquals([identify(2, 1), at(0, 4)], [0, 0]);
    assertEquals([identify(3, 1), at(0, 2)], [0, 0x801]);
    assertEquals([identify(0), identify(3, 2), identify(9)], [11, 11, 2]);
    bench.end();
  });

  it("reads what was written, by one page, by two, by a list", () => {
    const { bench, driver, process, memory } = ready();
    for (
      const [length, offset] of [
        [512, 0],
        [4096, 512],
        [8192, 0],
        [8192, 512],
        [40960, 1024],
      ] as const
    ) {
      const bytes = pattern(length);
      const first = IOVA + DATA + offset;
      const second = IOVA + DATA + 4096;
      const rest = length - (4096 - offset);
      let prp2 = second;
      if (rest > 4096) {
        // Scattered, from the back: the list is in the last page.
        prp2 = IOVA + LENGTH - 4096 + 8;
        for (let page = 0; page * 4096 < rest; page++) {
          const at = memory + LENGTH - 4096 + 8 + 8 * page;
          process.poke(at, bytesOf(second + page * 4096, 8));
        }
      }
      process.poke(memory + DATA + offset, bytes);
      const wanted = { prp1: first, prp2, words: blocks(3, length / 512) };
      assertEquals(driver.io({ opcode: WRITE, ...wanted }).status, 0);
      process.poke(memory + DATA + offset, new Uint8Array(length));
      assertEquals(driver.io({ opcode: READ, ...wanted }).status, 0);
      assertEquals(process.peek(memory + DATA + offset, length), bytes);
    }
    bench.end();
  });

  it("goes on in the next list where one ends", () => {
    const { bench, driver, process, memory } = ready();
    const list = memory + DATA + 0x1000 - 16;
    const next = IOVA + DATA + 0x2000;
    process.poke(list, bytesOf(IOVA + DATA + 0x3000, 8));
    process.poke(list + 8, bytesOf(next, 8));
    process.poke(memory + DATA + 0x2000, bytesOf(IOVA + DATA + 0x4000, 8));
    process.poke(memory + DATA + 0x2008, bytesOf(IOVA + DATA + 0x5000, 8));
    const wanted = {
      prp1: IOVA + DATA + 0x6000,
      prp2: IOVA + DATA + 0x1000 - 16,
      words: blocks(0, 32),
    };
    const bytes = pattern(0x4000);
    const pages = [0x6000, 0x3000, 0x4000, 0x5000];
    pages.forEach((page, i) => {
      const part = bytes.subarray(i * 4096, (i + 1) * 4096);
      process.poke(memory + DATA + page, part);
    });
    assertEquals(driver.io({ opcode: WRITE, ...wanted }).status, 0);
    for (const page of pages) {
      process.poke(memory + DATA + page, new Uint8Array(4096));
    }
    assertEquals(driver.io({ opcode: READ, ...wanted }).status, 0);
    pages.forEach((page, i) => {
      const part = bytes.subarray(i * 4096, (i + 1) * 4096);
      assertEquals(process.peek(memory + DATA + page, 4096), part);
    });
    bench.end();
  });

  it("flushes, writes zeroes and forgets blocks", () => {
    const { bench, driver, process, memory } = ready();
    const data = { prp1: IOVA + DATA, words: blocks(0, 8) };
    const write = () => {
      process.poke(memory + DATA, new Uint8Array(4096).fill(1));
      assertEquals(driver.io({ opcode: WRITE, ...data }).status, 0);
    };
    const ones = () => {
      assertEquals(driver.io({ opcode: READ, ...data }).status, 0);
      return process.peek(memory + DATA, 4096).filter((byte) => byte === 1)
        .length;
    };
    write();
    assertEquals(driver.io({ opcode: 0 }).status, 0);
    assertEquals(driver.io({ opcode: 8, words: blocks(1, 2) }).status, 0);
    assertEquals(ones(), 4096 - 1024);
    write();
    process.poke(memory + DATA, new Uint8Array(16));
    process.poke(memory + DATA + 4, bytesOf(3));
    const forget = { opcode: 9, prp1: IOVA + DATA };
    assertEquals(driver.io({ ...forget, words: [0, 0] }).status, 0);
    assertEquals(ones(), 4096);
    process.poke(memory + DATA, new Uint8Array(16));
    process.poke(memory + DATA + 4, bytesOf(3));
    assertEquals(driver.io({ ...forget, words: [0, 4] }).status, 0);
    assertEquals(ones(), 4096 - 1536);
    bench.end();
  });

  it("refuses commands as the specification says", () => {
    const { bench, driver } = ready();
    const io = (opcode: number, values: object = {}) =>
      driver.io({
        opcode,
        prp1: IOVA + DATA,
        words: blocks(0, 1),
        ...values,
      }).status;
    assertEquals(io(0x55), 1);
    assertEquals(io(READ, { namespace: 2 }), 0xb);
    assertEquals(io(READ, { words: blocks(SIZE / 512, 1) }), 0x80);
    assertEquals(io(WRITE, { words: blocks(2 ** 40, 1) }), 0x80);
    assertEquals(io(8, { words: blocks(SIZE / 512 - 1, 2) }), 0x80);
    assertEquals(io(READ, { words: blocks(0, 1025) }), 2);
    assertEquals(io(READ, { prp1: 0 }), 4);
    assertEquals(io(WRITE, { prp1: 2 ** 40 }), 4);
    const two = { words: blocks(0, 16), prp2: IOVA + DATA + 100 };
    assertEquals(io(READ, two), 0x13);
    assertEquals(driver.csts, 1);
    const admin = (opcode: number, ...words: number[]) =>
      driver.admin({ opcode, prp1: IOVA + DATA, words }).status;
    assertEquals(admin(0x55), 1);
    assertEquals([admin(0, 0), admin(0, 2), admin(4, 7)], [
      0x101,
      0x101,
      0x101,
    ]);
    assertEquals(admin(4, 1), 0x10c);
    assertEquals([admin(5, 0x70001, 1), admin(5, 0x70000, 1)], [0x101, 0x101]);
    assertEquals([admin(5, 0x70041, 1), admin(5, 0x2, 1)], [0x101, 0x102]);
    assertEquals(admin(5, 0x4000002, 1), 0x102);
    assertEquals(admin(5, 0x70002, 0), 2);
    assertEquals(admin(5, 0x70002, 65 * 2 ** 16 + 3), 0x108);
    const odd = { opcode: 5, prp1: IOVA + 8, words: [0x70002, 1] };
    assertEquals(driver.admin(odd).status, 0x13);
    assertEquals([admin(1, 0x70002, 0x20001), admin(1, 0x70002, 1)], [
      0x100,
      0x100,
    ]);
    assertEquals([admin(0, 1), admin(4, 1)], [0, 0]);
    assertEquals([admin(2, 0x9), admin(2, 0xff0002)], [0x109, 0]);
    assertEquals(driver.admin({ opcode: 8 }), { status: 0, result: 1 });
    bench.end();
  });

  it("has features", () => {
    const { bench, driver } = start();
    const set = (id: number, value: number) =>
      driver.admin({ opcode: 9, words: [id, value] });
    const get = (id: number) => driver.admin({ opcode: 10, words: [id] });
    assertEquals(set(7, 0x30003), { status: 0, result: 63 * 2 ** 16 + 63 });
    assertEquals(get(7).result, 63 * 2 ** 16 + 63);
    assertEquals([set(7, 0xffff).status, set(7, 0xffff0000).status], [2, 2]);
    assertEquals([set(6, 0).status, get(6).result], [0, 0]);
    assertEquals([set(0x99, 0).status, get(0x99).status], [2, 2]);
    driver.write(0x14, 0);
    bench.end();
  });

  it("answers no event that is waited for, and takes four", () => {
    const { bench, driver } = start();
    for (let i = 0; i < 4; i++) driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0), undefined);
    assertEquals(driver.admin({ opcode: 0xc }).status, 0x105);
    bench.end();
  });

  it("waits for room for its answers", () => {
    const { bench, driver } = ready();
    for (let i = 0; i < ENTRIES - 1; i++) driver.submit(1, { opcode: 0 });
    driver.submit(1, { opcode: 0 });
    let answers = 0;
    while (driver.complete(1) !== undefined) answers++;
    assertEquals(answers, ENTRIES);
    bench.end();
  });

  it("sends a message for answers, of a queue that wants it", () => {
    const { bench, driver } = start();
    const eventfds = [bench.eventfd(), bench.eventfd(), bench.eventfd()];
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, eventfds);
    driver.createQueues(2);
    assertEquals(bench.counted(eventfds[0]!), 2);
    driver.io({ opcode: 0, namespace: 1 });
    assertEquals(eventfds.map((fd) => bench.counted(fd)), [0, 0, 1]);
    bench.end();
  });

  it("asserts its legacy interrupt until the answers are read", () => {
    const { bench, driver } = start();
    const { pci } = bench.device;
    const eventfd = bench.eventfd();
    bench.connect(VFIO_PCI_INTX_IRQ_INDEX, [eventfd]);
    driver.submit(0, { opcode: 8 });
    assertEquals([pci.device.intx, bench.counted(eventfd)], [true, 1]);
    driver.write(0x0c, 1);
    assertEquals(pci.device.intx, false);
    driver.write(0x10, 1);
    assertEquals(pci.device.intx, true);
    driver.complete(0);
    assertEquals(pci.device.intx, false);
    bench.end();
  });

  it("fails where a queue cannot be reached, until it is turned off", () => {
    const bench = new Bench(new NvmeDrive(SIZE));
    const driver = new NvmeDriver(bench, 2 ** 40);
    driver.submit(0, { opcode: 8 });
    assertEquals([driver.csts, driver.complete(0)], [3, undefined]);
    driver.write(0x14, 0);
    assertEquals(driver.csts, 0);
    bench.end();
  });

  it("ignores doorbells of what is not there, and wild values", () => {
    const { bench, driver } = ready();
    for (let offset = 0x1000; offset < 0x1200; offset += 4) {
      driver.write(offset, 0xffffffff);
    }
    assertEquals(driver.csts, 1);
    bench.call(bench.fd, VFIO_DEVICE_RESET, new Uint8Array(0));
    assertEquals(driver.csts, 0);
    bench.end();
  });

  it("passes errors of what is behind it on to its user", () => {
    const fails = (): never => {
      throw new Error("the disk is broken");
    };
    const storage = {
      size: SIZE,
      read: fails,
      write: fails,
      flush: fails,
      zero: fails,
    };
    const { bench, driver } = ready(storage);
    const data = { prp1: IOVA + DATA, words: blocks(0, 1) };
    for (const opcode of [0, WRITE, READ, 8]) {
      assertEquals(driver.io({ opcode, ...data }).status, 6);
    }
    bench.end();
  });
});

describe("memory behind a drive", () => {
  it("is zero, and keeps what is written across chunks", () => {
    const memory = new NvmeMemory(SIZE);
    const bytes = pattern(2 ** 17);
    memory.write(2 ** 16 - 100, bytes);
    const read = new Uint8Array(2 ** 17 + 200);
    memory.read(2 ** 16 - 200, read);
    assertEquals(read.subarray(100, -100), bytes);
    memory.zero(2 ** 16 - 50, 2 ** 16 + 100);
    memory.read(2 ** 16 - 200, read);
    assertEquals(read.subarray(100, 150), bytes.subarray(0, 50));
    assertEquals(read[150], 0);
    assertEquals(read[150 + 2 ** 16 + 100], bytes[50 + 2 ** 16 + 100]);
    memory.flush();
  });

  it("has whole blocks", () => {
    for (const size of [0, 100, NaN]) {
      assertThrows(() => new NvmeMemory(size), RangeError);
    }
  });
});
