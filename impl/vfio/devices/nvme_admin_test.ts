// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NvmeDrive } from "../../pci/devices/nvme/nvme.ts";
import { Bench, IOVA, numberFrom } from "../testing/bench.ts";
import { DATA, NvmeDriver } from "../testing/nvme_driver.ts";

const SIZE = 2 ** 20;

function start(drive = new NvmeDrive(SIZE)) {
  const bench = new Bench(drive);
  const driver = new NvmeDriver(bench);
  const { process, memory } = bench;
  const ask = (opcode: number, namespace: number, ...words: number[]) =>
    driver.admin({ opcode, namespace, prp1: IOVA + DATA, words });
  return {
    bench,
    driver,
    admin: (opcode: number, ...words: number[]) => ask(opcode, 0, ...words),
    identify: (which: number, namespace = 0) => ask(6, namespace, which).status,
    /** A number in what a command gave. */
    at: (offset: number, count: number) =>
      numberFrom(process.peek(memory + DATA + offset, count)),
    text: (offset: number, count: number) =>
      new TextDecoder().decode(process.peek(memory + DATA + offset, count)),
  };
}

describe("the admin queue of an NVMe drive", () => {
  it("tells what the drive is", () => {
    const { bench, identify, at, text } = start(
      new NvmeDrive(SIZE, 2 * SIZE),
    );
    assertEquals([identify(0, 1), at(0, 8), at(130, 1)], [0, SIZE / 512, 9]);
    assertEquals([identify(0, 2), at(0, 8), at(99, 1)], [0, SIZE / 256, 0]);
    assertEquals([identify(1), at(77, 1), at(512, 2)], [0, 7, 0x4466]);
    assertEquals([at(516, 4), at(520, 2), at(525, 1)], [2, 0x1d, 7]);
    assertEquals(text(4, 20), "kit-0000:00:04.0    ");
    assertEquals(text(64, 8), "1       ");
    assertEquals([identify(2), at(0, 4), at(4, 4), at(8, 4)], [0, 1, 2, 0]);
    assertEquals([identify(2, 1), at(0, 4), at(4, 4)], [0, 2, 0]);
    assertEquals([identify(3, 1), at(0, 2), at(10, 2)], [0, 0x801, 1]);
    assertEquals([identify(3, 2), at(0, 2), at(10, 2)], [0, 0x801, 2]);
    assertEquals([identify(0), identify(3, 3), identify(9)], [11, 11, 2]);
    assertEquals(identify(2, 0xffffffff), 11);
    bench.end();
  });

  it("tells that a namespace is read-only", () => {
    const drive = new NvmeDrive(SIZE);
    Object.assign(drive.namespaces[0]!, { isReadOnly: true });
    const { bench, identify, at } = start(drive);
    assertEquals([identify(0, 1), at(99, 1)], [0, 1]);
    bench.end();
  });

  it("refuses commands as the specification says", () => {
    const { bench, driver, admin: ask } = start();
    driver.createQueues();
    const admin = (opcode: number, ...words: number[]) =>
      ask(opcode, ...words).status;
    assertEquals(admin(0x55), 1);
    assertEquals([admin(0, 0), admin(0, 2)], [0x101, 0x101]);
    assertEquals([admin(4, 0), admin(4, 7)], [0x101, 0x101]);
    assertEquals(admin(4, 1), 0x10c);
    assertEquals([admin(5, 0x70001, 1), admin(5, 0x70000, 1)], [0x101, 0x101]);
    assertEquals([admin(5, 0x70041, 1), admin(5, 0x2, 1)], [0x101, 0x102]);
    assertEquals(admin(5, 0x4000002, 1), 0x102);
    assertEquals(admin(5, 0x70002, 0), 2);
    assertEquals(admin(5, 0x70002, 65 * 2 ** 16 + 3), 0x108);
    const odd = { opcode: 5, prp1: IOVA + 8, words: [0x70002, 1] };
    assertEquals(driver.admin(odd).status, 0x13);
    const missing = [admin(1, 0x70002, 0x20001), admin(1, 0x70002, 1)];
    assertEquals(missing, [0x100, 0x100]);
    assertEquals([admin(0, 1), admin(4, 1)], [0, 0]);
    const flags = { opcode: 6, flags: 0x40, words: [1] };
    assertEquals(driver.admin(flags).status, 2);
    bench.end();
  });

  it("makes queues again that were deleted", () => {
    const { bench, driver } = start();
    for (let round = 0; round < 3; round++) {
      driver.createQueues();
      assertEquals(driver.io({ opcode: 0 }).status, 0);
      driver.deleteQueues();
    }
    bench.end();
  });

  it("has features", () => {
    const { bench, driver, admin } = start();
    const set = (id: number, value: number) => admin(9, id, value);
    const get = (id: number, value = 0) => admin(10, id, value);
    assertEquals(set(7, 0x30003), { status: 0, result: 63 * 2 ** 16 + 63 });
    assertEquals(get(7).result, 63 * 2 ** 16 + 63);
    assertEquals([set(7, 0xffff).status, set(7, 0xffff0000).status], [2, 2]);
    assertEquals([set(6, 0).status, get(6).result], [0, 0]);
    assertEquals([set(6, 2).status, set(2, 1).status], [2, 2]);
    assertEquals([set(0x99, 0).status, get(0x99).status], [2, 2]);
    driver.restart();
    assertEquals(get(6).result, 1);
    bench.end();
  });

  it("tells what a feature was, and what can be done with it", () => {
    const { bench, admin } = start();
    admin(9, 4, 0x140);
    const get = (select: number) => admin(10, select * 256 + 4);
    const results = [0, 1, 2, 3].map((select) => get(select).result);
    assertEquals(results, [0x140, 0x157, 0x157, 4]);
    assertEquals(get(4).status, 2);
    assertEquals(admin(9, 2 ** 31 + 4, 0).status, 0x10d);
    bench.end();
  });

  it("has a feature of each message", () => {
    const { bench, admin } = start();
    admin(9, 9, 0x10005);
    const of = (vector: number) => admin(10, 9, vector);
    assertEquals([of(5).result, of(6).result], [0x10005, 6]);
    assertEquals(of(65).status, 2);
    bench.end();
  });

  it("does not ask for a number of queues when there are some", () => {
    const { bench, driver, admin } = start();
    driver.createQueues();
    assertEquals(admin(9, 7, 0).status, 0xc);
    driver.deleteQueues();
    assertEquals(admin(9, 7, 0).status, 0);
    bench.end();
  });

  it("logs errors, the newest first", () => {
    const { bench, driver, admin, at } = start();
    driver.createQueues();
    driver.io({ opcode: 2, namespace: 7, words: [9, 0, 0] });
    admin(0x55);
    assertEquals(admin(2, 0x3ff0001).status, 0);
    assertEquals([at(0, 8), at(8, 2), at(12, 2)], [2, 0, 1 << 1]);
    assertEquals([at(64, 8), at(72, 2), at(76, 2)], [1, 1, 0xb << 1]);
    assertEquals([at(80, 8), at(88, 4), at(128, 8)], [9, 7, 0]);
    for (let i = 0; i < 20; i++) admin(0x55);
    // 16 are remembered; behind them is nothing.
    assertEquals([admin(2, 0x3ff0001).status, at(0, 8)], [0, 22]);
    assertEquals([at(15 * 64, 8), at(16 * 64, 8)], [7, 0]);
    bench.end();
  });

  it("logs what was read and written", () => {
    const { bench, driver, admin, at } = start();
    driver.createQueues();
    const data = { prp1: IOVA + DATA, words: [0, 0, 7] };
    driver.io({ opcode: 2, ...data });
    driver.io({ opcode: 2, ...data });
    driver.io({ opcode: 1, ...data });
    assertEquals(admin(2, 0x7f0002).status, 0);
    assertEquals([at(32, 8), at(48, 8), at(64, 8), at(80, 8)], [1, 1, 2, 1]);
    bench.end();
  });

  it("has logs of its firmware and its commands, and no others", () => {
    const { bench, admin, at } = start();
    assertEquals([admin(2, 0x7f0003).status, at(0, 1), at(8, 1)], [0, 1, 49]);
    assertEquals([admin(2, 0x3ff0005).status, at(4 * 6, 4)], [0, 1]);
    assertEquals([at(1024 + 4, 4), at(1024 + 8, 4)], [3, 1]);
    assertEquals(at(4 * 0x55, 4), 0);
    assertEquals(admin(2, 9).status, 0x109);
    bench.end();
  });

  it("gives a part of a log", () => {
    const { bench, admin, at } = start();
    admin(0x55);
    const part = (offset: number) => admin(2, 0x10001, 0, offset).status;
    assertEquals([part(8), at(0, 2), at(4, 2)], [0, 0, 2]);
    assertEquals([part(1024), at(0, 4)], [0, 0]);
    assertEquals([part(1028), part(2)], [2, 2]);
    assertEquals(admin(2, 0xffff0002, 2).status, 2);
    bench.end();
  });

  it("answers no event that is waited for, and takes four", () => {
    const { bench, driver } = start();
    for (let i = 0; i < 4; i++) driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0), undefined);
    assertEquals(driver.admin({ opcode: 0xc }).status, 0x105);
    bench.end();
  });

  it("aborts a wait for an event, and nothing else", () => {
    const { bench, driver } = start();
    const id = driver.submit(0, { opcode: 0xc });
    assertEquals(driver.admin({ opcode: 8 }), { status: 0, result: 1 });
    const words = [id * 2 ** 16];
    const abort = driver.submit(0, { opcode: 8, words });
    const first = driver.complete(0);
    assertEquals([first?.id, first?.result], [abort, 0]);
    const second = driver.complete(0);
    assertEquals([second?.id, second!.status & 0x7ff], [id, 7]);
    assertEquals(driver.admin({ opcode: 8, words }).result, 1);
    bench.end();
  });

  it("tells of a wild doorbell, once until the log is read", () => {
    const { bench, driver, admin } = start();
    driver.write(0x1000, 0xffff);
    assertEquals(driver.complete(0), undefined);
    const id = driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0), { id, status: 0, result: 0x10100 });
    driver.submit(0, { opcode: 0xc });
    driver.write(0x1010, 1);
    assertEquals(driver.complete(0), undefined);
    admin(2, 0xf8001);
    driver.write(0x1010, 1);
    assertEquals(driver.complete(0), undefined);
    admin(2, 0xf0001);
    driver.write(0x1010, 1);
    assertEquals(driver.complete(0)?.result, 0x10000);
    driver.restart();
    driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0), undefined);
    bench.end();
  });

  it("keeps an event until its log was read, and a command waits", () => {
    const { bench, driver, admin } = start();
    driver.write(0x1010, 1);
    driver.write(0x1000, 0xffff);
    driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0)?.result, 0x10000);
    driver.submit(0, { opcode: 0xc });
    assertEquals(driver.complete(0), undefined);
    admin(2, 0xf0001);
    assertEquals(driver.complete(0)?.result, 0x10100);
    bench.end();
  });

  it("fails where the log of events cannot be told", () => {
    const bench = new Bench(new NvmeDrive(SIZE));
    const driver = new NvmeDriver(bench);
    driver.submit(0, { opcode: 0xc });
    bench.store(7, 4, 2, 2);
    driver.write(0x1010, 1);
    assertEquals(driver.csts, 3);
    bench.end();
  });
});
