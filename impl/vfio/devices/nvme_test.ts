// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
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
import { Bench, bytesOf, IOVA, LENGTH } from "../testing/bench.ts";
import { DATA, ENTRIES, NvmeDriver } from "../testing/nvme_driver.ts";

const SIZE = 2 ** 20;
const READ = 2;
const COMPARE = 5;
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
    assertEquals(io(READ, { prp1: IOVA + DATA + 2 }), 0x13);
    const list = { words: blocks(0, 32), prp2: IOVA + DATA + 100 };
    assertEquals(io(READ, list), 0x13);
    assertEquals([io(READ, { flags: 1 }), io(READ, { flags: 0x40 })], [2, 2]);
    assertEquals([io(0x55), io(READ, { namespace: 0 })], [1, 0xb]);
    assertEquals(driver.csts, 1);
    bench.end();
  });

  it("follows a list only to where whole pages are", () => {
    const { bench, driver, process, memory } = ready();
    // A list with room for one entry, which is the next list.
    const prp2 = IOVA + DATA + 0x1000 - 8;
    const read = (next: number) => {
      process.poke(memory + DATA + 0x1000 - 8, bytesOf(next, 8));
      const prp1 = IOVA + DATA;
      return driver.io({ opcode: READ, prp1, prp2, words: blocks(0, 24) });
    };
    assertEquals(read(prp2).status, 0x13);
    process.poke(memory + DATA + 0x2000, bytesOf(IOVA + DATA + 0x3000, 8));
    process.poke(memory + DATA + 0x2008, bytesOf(IOVA + DATA + 0x4000, 8));
    assertEquals(read(IOVA + DATA + 0x2000).status, 0);
    bench.end();
  });

  it("moves pages that follow each other at once", () => {
    const storage = new NvmeMemory(SIZE);
    const { bench, driver, process, memory } = ready(storage);
    const moves: number[] = [];
    const { dma } = bench.device.pci;
    const write = dma.write.bind(dma);
    dma.write = (iova, from) => {
      if (from.length > 16) moves.push(from.length);
      write(iova, from);
    };
    const list = memory + LENGTH - 4096;
    const pages = [0x1000, 0x2000, 0x5000, 0x6000, 0x7000];
    pages.forEach((page, i) =>
      process.poke(list + 8 * i, bytesOf(IOVA + DATA + page, 8))
    );
    const prp2 = IOVA + LENGTH - 4096;
    const prp1 = IOVA + DATA;
    const wanted = { opcode: READ, prp1, prp2, words: blocks(0, 48) };
    assertEquals(driver.io(wanted).status, 0);
    assertEquals(moves, [0x3000, 0x3000]);
    bench.end();
  });

  it("compares", () => {
    const { bench, driver, process, memory } = ready();
    const data = { prp1: IOVA + DATA, words: blocks(5, 2) };
    process.poke(memory + DATA, pattern(1024));
    assertEquals(driver.io({ opcode: COMPARE, ...data }).status, 0x285);
    assertEquals(driver.io({ opcode: WRITE, ...data }).status, 0);
    assertEquals(driver.io({ opcode: COMPARE, ...data }).status, 0);
    process.poke(memory + DATA + 1023, bytesOf(1, 1));
    assertEquals(driver.io({ opcode: COMPARE, ...data }), {
      status: 0x285,
      result: 0,
      flags: 3,
    });
    bench.end();
  });

  it("says what may go another time", () => {
    const { bench, driver } = ready();
    const read = (values: object) =>
      driver.io({ opcode: READ, words: blocks(0, 1), ...values });
    assertEquals(read({ prp1: 0 }), { status: 4, result: 0, flags: 1 });
    assertEquals(read({ namespace: 9 }), { status: 11, result: 0, flags: 3 });
    assertEquals(read({ prp1: IOVA + DATA }), { status: 0, result: 0 });
    bench.end();
  });

  it("flushes what is forced, and all without a cache", () => {
    const storage = new NvmeMemory(SIZE);
    let flushed = 0;
    storage.flush = () => void flushed++;
    const { bench, driver } = ready(storage);
    const write = (word = 0) => {
      const words = blocks(0, 1);
      words[2]! += word;
      const prp1 = IOVA + DATA;
      assertEquals(driver.io({ opcode: WRITE, prp1, words }).status, 0);
      return flushed;
    };
    assertEquals([write(), write(2 ** 30), write()], [0, 1, 1]);
    driver.admin({ opcode: 9, words: [6, 0] });
    assertEquals([write(), write()], [2, 3]);
    assertEquals(driver.io({ opcode: 0, namespace: 0xffffffff }).status, 0);
    assertEquals(flushed, 4);
    driver.write(0x14, 1 | 1 << 14);
    assertEquals([driver.csts, flushed], [9, 5]);
    driver.submit(1, { opcode: 0, namespace: 1 });
    assertEquals([driver.complete(1), flushed], [undefined, 5]);
    bench.end();
  });

  it("cannot be shut down well where the storage fails", () => {
    const storage = new NvmeMemory(SIZE);
    storage.flush = () => {
      throw new Error("the disk is broken");
    };
    const { bench, driver } = start(storage);
    driver.write(0x14, 1 | 1 << 14);
    assertEquals(driver.csts, 0xb);
    bench.end();
  });

  it("lets nobody write to what is read-only", () => {
    const storage = Object.assign(new NvmeMemory(SIZE), { isReadOnly: true });
    const { bench, driver, process, memory } = ready(storage);
    const data = { prp1: IOVA + DATA, words: blocks(0, 8) };
    for (const opcode of [WRITE, 8]) {
      assertEquals(driver.io({ opcode, ...data }).status, 0x20);
    }
    assertEquals(driver.io({ opcode: READ, ...data }).status, 0);
    process.poke(memory + DATA + 4, bytesOf(3));
    const forget = { opcode: 9, prp1: IOVA + DATA, words: [0, 4] };
    assertEquals(driver.io(forget).status, 0x20);
    bench.end();
  });

  it("has several namespaces, each with data of its own", () => {
    const bench = new Bench(new NvmeDrive(SIZE, 2 * SIZE));
    const driver = new NvmeDriver(bench);
    driver.createQueues();
    const { process, memory } = bench;
    const prp1 = IOVA + DATA;
    const io = (opcode: number, namespace: number, first = 0) =>
      driver.io({ opcode, namespace, prp1, words: blocks(first, 1) }).status;
    process.poke(memory + DATA, pattern(512));
    assertEquals(io(WRITE, 2), 0);
    assertEquals([io(COMPARE, 2), io(COMPARE, 1), io(READ, 3)], [
      0,
      0x285,
      0xb,
    ]);
    const last = SIZE / 512;
    assertEquals([io(READ, 2, last), io(READ, 1, last)], [0, 0x80]);
    bench.end();
  });

  it("waits for room for its answers", () => {
    const { bench, driver } = ready();
    const wait = { opcode: 0, namespace: 1 };
    const commands = 2 * (ENTRIES - 1);
    for (let i = 0; i < commands; i++) driver.submit(1, wait);
    let answers = 0;
    while (driver.complete(1)?.status === 0) answers++;
    assertEquals(answers, commands);
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

  it("fails with a configuration that it has not", () => {
    for (const config of [1 | 5 << 7, 1 | 1 << 4]) {
      const bench = new Bench(new NvmeDrive(SIZE));
      const driver = new NvmeDriver(bench, IOVA, config);
      assertEquals(driver.csts, 2);
      driver.restart();
      assertEquals([driver.csts, driver.admin({ opcode: 8 }).status], [1, 0]);
      bench.end();
    }
  });

  it("has pages as long as its user sets", () => {
    const bench = new Bench(new NvmeDrive(SIZE));
    const driver = new NvmeDriver(bench, IOVA, 1 | 1 << 7);
    // All of it is in one page.
    const wanted = { opcode: 6, prp1: IOVA + 0x6000, prp2: 1, words: [1] };
    assertEquals(driver.admin(wanted).status, 0);
    bench.end();
  });

  it("hears the first ring of a queue that there was before", () => {
    const { bench, driver } = ready();
    // Where nobody sees stores, a ring is a number that was another one.
    const doorbell = (at: number) => driver.read(at);
    const flush = { opcode: 0, namespace: 1 };
    assertEquals(driver.io(flush).status, 0);
    driver.deleteQueues();
    driver.createQueues();
    assertEquals(doorbell(0x1008), 0);
    assertEquals(driver.io(flush).status, 0);
    driver.restart();
    assertEquals(doorbell(0x1000), 0);
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
