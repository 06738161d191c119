// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  COPY_COMMAND_COPY,
  COPY_COMMAND_FILL,
  COPY_COMMAND_INTERRUPT,
  COPY_ENGINE_MAX,
  COPY_STATUS_DONE,
  COPY_STATUS_FAULT,
  COPY_STATUS_INVALID,
  CopyEngine,
} from "../../pci/devices/copy_engine.ts";
import { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } from "../../uapi/iommufd.ts";
import { IommuHwptSetDirtyTracking } from "../../uapi/iommufd.ts";
import { IommuHwptGetDirtyBitmap } from "../../uapi/iommufd.ts";
import { VFIO_DEVICE_RESET, VFIO_PCI_MSIX_IRQ_INDEX } from "../../uapi/mod.ts";
import { Bench, bytesOf, IOVA, LENGTH, numberFrom } from "../testing/bench.ts";

const REG = {
  id: 0,
  status: 4,
  command: 8,
  vector: 12,
  source: 16,
  target: 24,
  length: 32,
  pasid: 36,
  fault: 40,
  count: 48,
};

/** Runs a command by registers that are mapped; returns its status. */
function run(
  { process }: Bench,
  bar: number,
  command: number,
  values: Partial<typeof REG> = {},
): number {
  for (const [name, value] of Object.entries(values)) {
    const wide = name === "source" || name === "target";
    const at = bar + REG[name as keyof typeof REG];
    process.poke(at, bytesOf(value, wide ? 8 : 4));
  }
  process.poke(bar + REG.command, bytesOf(command));
  assertEquals(numberFrom(process.peek(bar + REG.command, 4)), 0);
  return numberFrom(process.peek(bar + REG.status, 4));
}

describe("the copy engine", () => {
  it("copies across pages, and sends a message when it is done", () => {
    const bench = new Bench(new CopyEngine());
    const { process, memory } = bench;
    const bar = bench.map(0, 4096);
    const eventfd = bench.eventfd();
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, [-1, -1, eventfd]);
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i % 251);
    process.poke(memory + 100, bytes);
    const status = run(bench, bar, COPY_COMMAND_COPY | COPY_COMMAND_INTERRUPT, {
      vector: 2,
      source: IOVA + 100,
      target: IOVA + 0x8123,
      length: bytes.length,
    });
    assertEquals(status, COPY_STATUS_DONE);
    assertEquals(process.peek(memory + 0x8123, bytes.length), bytes);
    assertEquals(bench.counted(eventfd), 1);
    assertEquals(run(bench, bar, COPY_COMMAND_INTERRUPT), COPY_STATUS_DONE);
    assertEquals(bench.counted(eventfd), 1);
    assertEquals(numberFrom(process.peek(bar + REG.count, 4)), 2);
    bench.end();
  });

  it("is reached by pread and pwrite as well", () => {
    const bench = new Bench(new CopyEngine());
    const { process, memory } = bench;
    assertEquals(bench.load(0, REG.id), 0x31414d44);
    bench.store(0, REG.source, 8, 0xab);
    bench.store(0, REG.target, 8, IOVA + 5);
    bench.store(0, REG.length, 4, 5000);
    bench.store(0, REG.command, 4, COPY_COMMAND_FILL);
    assertEquals(bench.load(0, REG.status), COPY_STATUS_DONE);
    assertEquals(
      process.peek(memory + 5, 5000),
      new Uint8Array(5000).fill(0xab),
    );
    assertEquals(process.peek(memory + 5005, 1), new Uint8Array(1));
    bench.end();
  });

  it("says where it was blocked, with what came before done", () => {
    const bench = new Bench(new CopyEngine());
    const { process, memory } = bench;
    const bar = bench.map(0, 4096);
    const end = IOVA + LENGTH;
    const fill = { source: 7, target: end - 4096, length: 8192 };
    assertEquals(run(bench, bar, COPY_COMMAND_FILL, fill), COPY_STATUS_FAULT);
    assertEquals(numberFrom(process.peek(bar + REG.fault, 8)), end);
    assertEquals(process.peek(memory + LENGTH - 1, 1), Uint8Array.of(7));
    const copy = { source: 2 ** 47, target: IOVA, length: 1 };
    assertEquals(run(bench, bar, COPY_COMMAND_COPY, copy), COPY_STATUS_FAULT);
    assertEquals(numberFrom(process.peek(bar + REG.fault, 8)), 2 ** 47);
    bench.end();
  });

  it("has no DMA and no messages while bus mastering is off", () => {
    const bench = new Bench(new CopyEngine());
    const bar = bench.map(0, 4096);
    const eventfd = bench.eventfd();
    bench.connect(VFIO_PCI_MSIX_IRQ_INDEX, [eventfd]);
    bench.store(7, 4, 2, 3);
    const fill = { target: IOVA, length: 1 };
    const command = COPY_COMMAND_FILL | COPY_COMMAND_INTERRUPT;
    assertEquals(run(bench, bar, command, fill), COPY_STATUS_FAULT);
    assertEquals(bench.counted(eventfd), 0);
    bench.store(7, 4, 2, 7);
    assertEquals(run(bench, bar, command, fill), COPY_STATUS_DONE);
    assertEquals(bench.counted(eventfd), 1);
    bench.end();
  });

  it("refuses what it does not know, and what is too long", () => {
    const bench = new Bench(new CopyEngine());
    const bar = bench.map(0, 4096);
    assertEquals(run(bench, bar, 3), COPY_STATUS_INVALID);
    const length = COPY_ENGINE_MAX + 1;
    const status = run(bench, bar, COPY_COMMAND_COPY, { length });
    assertEquals(status, COPY_STATUS_INVALID);
    bench.process.poke(bar + REG.command, bytesOf(0));
    assertEquals(bench.load(0, REG.count), 2);
    bench.end();
  });

  it("has no domain for a PASID that is not attached", () => {
    const bench = new Bench(new CopyEngine());
    const bar = bench.map(0, 4096);
    const fill = { target: IOVA, length: 1, pasid: 5 };
    assertEquals(run(bench, bar, COPY_COMMAND_FILL, fill), COPY_STATUS_FAULT);
    bench.end();
  });

  it("forgets its registers at a reset", () => {
    const bench = new Bench(new CopyEngine());
    const bar = bench.map(0, 4096);
    run(bench, bar, COPY_COMMAND_FILL, { target: IOVA, length: 1 });
    bench.call(bench.fd, VFIO_DEVICE_RESET, new Uint8Array(0));
    assertEquals(bench.load(0, REG.count), 0);
    assertEquals(bench.load(0, REG.length), 0);
    assertEquals(numberFrom(bench.process.peek(bar, 4)), 0x31414d44);
    bench.end();
  });

  it("leaves a trace where dirty pages are tracked", () => {
    const bench = new Bench(new CopyEngine());
    const { process } = bench;
    const bar = bench.map(0, 4096);
    const hwptId = bench.hwpt(IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
    bench.attach(hwptId);
    const track = IommuHwptSetDirtyTracking.encode({ hwptId, flags: 1 });
    const cmd = IommuHwptSetDirtyTracking.ioctl.number;
    run(bench, bar, COPY_COMMAND_FILL, { target: IOVA, length: 1 });
    bench.call(bench.iommufd, cmd, track);
    run(bench, bar, COPY_COMMAND_FILL, { target: IOVA + 0x3000, length: 1 });
    run(bench, bar, COPY_COMMAND_COPY, {
      source: IOVA + 0x5000,
      target: IOVA + 0x6000,
      length: 1,
    });
    const data = bench.mmap(4096);
    const get = IommuHwptGetDirtyBitmap.encode({
      hwptId,
      iova: BigInt(IOVA),
      length: BigInt(LENGTH),
      pageSize: 4096n,
      data: BigInt(data),
    });
    bench.call(bench.iommufd, IommuHwptGetDirtyBitmap.ioctl.number, get);
    assertEquals(process.peek(data, 2), Uint8Array.of(0b0100_1000, 0));
    bench.end();
  });
});
