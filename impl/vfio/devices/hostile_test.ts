// SPDX-License-Identifier: GPL-2.0-only

/** Programs that write anything to a device: it goes on, and nothing is left. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  COPY_COMMAND_FILL,
  COPY_COMMAND_INTERRUPT,
  COPY_STATUS_DONE,
  CopyEngine,
} from "../../pci/devices/copy_engine.ts";
import { Igb } from "../../pci/devices/igb/igb.ts";
import { Ioat } from "../../pci/devices/ioat.ts";
import { NvmeDrive } from "../../pci/devices/nvme/nvme.ts";
import { PciDevice } from "../../pci/device.ts";
import { IommuIoasMapFile, VFIO_DEVICE_RESET } from "../../uapi/mod.ts";
import { VFIO_DEVICE_SET_IRQS, VfioIrqSet } from "../../uapi/vfio/device.ts";
import {
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_IOEVENTFD,
  VfioDeviceFeature,
  VfioDeviceFeatureDmaBuf,
  VfioDeviceIoeventfd,
  VfioRegionDmaRange,
} from "../../uapi/vfio/feature.ts";
import { Bench, bytesOf, IOVA, LENGTH } from "../testing/bench.ts";
import { numbers, oneOf, type Random, value } from "../testing/random.ts";

/** A store to BAR 0. */
type Store = readonly [at: number, value: number, count?: number];

/** The devices, and how each is put to work, so that what is random does something. */
const DEVICES: readonly (readonly [
  name: string,
  make: () => PciDevice,
  stores: readonly Store[],
])[] = [
  ["a copy engine", () => new CopyEngine(), [
    [0x10, IOVA, 8],
    [0x18, IOVA, 8],
    [0x20, LENGTH],
    [0x08, COPY_COMMAND_FILL],
  ]],
  ["one that asks for pages", () => new CopyEngine({ pri: true }), [
    [0x18, 2 ** 40, 8],
    [0x20, 1],
    [0x08, COPY_COMMAND_FILL],
  ]],
  ["an 82576", () => new Igb(), [
    [0x100, 0x2 | 0x40],
    [0x400, 0x2],
    [0x1524, 1],
    [0x1700, 0x80],
    [0x2800, IOVA, 8],
    [0x2808, 65536],
    [0x2828, 1 << 25],
    [0x3800, IOVA + 0x8000, 8],
    [0x3808, 65536],
    [0x3828, 1 << 25],
    [0x2818, 4095],
    [0x3818, 4095],
  ]],
  ["an engine of I/OAT", () => new Ioat(), [
    [0x80, 9, 2],
    [0x98, IOVA, 8],
    [0xa8, 0xffffffff],
    [0x84, 0x20, 1],
    [0x90, IOVA + 0x40, 8],
    [0x86, 100, 2],
  ]],
  ["a drive", () => new NvmeDrive(2 ** 20), [
    [0x24, 0xff00ff],
    [0x28, IOVA, 8],
    [0x30, IOVA + 0x8000, 8],
    [0x14, 0x460001],
    [0x1000, 255],
  ]],
];

/** Where a device finds its own BAR 0. */
const BAR_IOVA = 0x800000;
/** Runs of DMA that one store may bring about: 65535 descriptors, and what belongs to each. */
const MAX_RUNS = 2 ** 19;

/** Lets a device reach its own BAR 0. */
function mapOwnBar(bench: Bench, length: number): void {
  const { process, fd, ioasId, iommufd } = bench;
  const data = new Uint8Array(8 + 16 + 16);
  const flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
  data.set(VfioDeviceFeature.encode({ argsz: data.length, flags }));
  data.set(VfioDeviceFeatureDmaBuf.encode({ nrRanges: 1, openFlags: 2 }), 8);
  data.set(VfioRegionDmaRange.encode({ length: BigInt(length) }), 24);
  const buffer = process.ioctlStruct(fd, VFIO_DEVICE_FEATURE, data);
  assert(buffer > 0);
  const map = IommuIoasMapFile.encode({
    flags: 7,
    ioasId,
    fd: buffer,
    length: BigInt(length),
    iova: BigInt(BAR_IOVA),
  });
  bench.call(iommufd, IommuIoasMapFile.ioctl.number, map);
}

/** Counts the runs of DMA of a device; returns how to ask for them, which begins again. */
function countRuns({ device }: Bench): () => number {
  const { translations } = device.pci;
  const get = translations.get.bind(translations);
  let runs = 0;
  translations.get = (pasid) => {
    runs++;
    return get(pasid);
  };
  return () => {
    const counted = runs;
    runs = 0;
    return counted;
  };
}

/** Fills memory with what may be descriptors. */
function descriptors(bench: Bench, random: Random): void {
  const words = new Uint32Array(LENGTH / 4);
  for (let i = 0; i < words.length; i++) {
    words[i] = random(2)
      ? 0
      : random(8) === 0
      ? BAR_IOVA + random(0x20000)
      : value(random);
  }
  bench.process.poke(bench.memory, new Uint8Array(words.buffer));
}

describe("a device that is written to at random", () => {
  for (const [name, make, stores] of DEVICES) {
    for (let seed = 1; seed <= 4; seed++) {
      it(`comes to an end each time: ${name}, ${seed}`, () => {
        const bench = new Bench(make());
        const { pci } = bench.device;
        const random = numbers(seed);
        const { size } = pci.device.bars[0]!;
        mapOwnBar(bench, size);
        descriptors(bench, random);
        const runs = countRuns(bench);
        let most = 0;
        const prime = () => {
          for (const [at, value, count = 4] of stores) {
            bench.store(0, at, count, value);
          }
        };
        prime();
        for (let i = 0; i < 1500; i++) {
          const count = 2 ** random(4);
          const at = random(size / count) * count;
          // Most registers of all are in the first pages.
          const place = random(4) ? at % 0x5000 % size : at;
          const given = random(8) ? value(random) : BAR_IOVA + random(size);
          bench.store(0, place, count, given);
          most = Math.max(most, runs());
          if (random(100) === 0) {
            bench.call(bench.fd, VFIO_DEVICE_RESET, new Uint8Array(0));
            bench.store(7, 4, 2, 7);
            descriptors(bench, random);
            prime();
          }
        }
        assert(most <= MAX_RUNS, `one store had ${most} runs of DMA`);
        bench.end();
      });
    }
  }

  it("is found out if it goes on and on", () => {
    class Endless extends PciDevice {
      readonly #registers = this.registers(0, {
        GO: { at: 0, write: (value) => this.#go(value) },
      });
      constructor() {
        super({ vendor: 1, device: 1, class: 0, bars: [{ size: 4096 }] });
      }
      #go(value: number): void {
        const one = new Uint8Array(1);
        for (let i = 0; i < value; i++) this.dma.read(IOVA, one);
        this.#registers.set("GO", 0);
      }
    }
    const bench = new Bench(new Endless());
    const runs = countRuns(bench);
    bench.store(0, 0, 4, 2 * MAX_RUNS);
    assert(runs() > MAX_RUNS);
    bench.end();
  });

  it("has a configuration space that takes anything", () => {
    for (const [, make] of DEVICES) {
      const bench = new Bench(make());
      const random = numbers(7);
      const ids = bench.load(7, 0, 4);
      for (let i = 0; i < 3000; i++) {
        const count = oneOf(random, [1, 2, 4]);
        const at = random(random(2) ? 256 / count : 4096 / count) * count;
        bench.store(7, at, count, value(random));
      }
      assertEquals(bench.load(7, 0, 4), ids);
      assertEquals(bench.device.core.irqs.mode, undefined);
      bench.end();
    }
  });
});

describe("a device that reaches itself", () => {
  it("by DMA, and its registers take no notice of that", () => {
    const bench = new Bench(new CopyEngine());
    mapOwnBar(bench, 4096);
    // Each byte of COMMAND becomes 2: fill.
    bench.store(0, 0x10, 8, 2);
    bench.store(0, 0x18, 8, BAR_IOVA + 8);
    bench.store(0, 0x20, 4, 4);
    bench.store(0, 0x08, 4, COPY_COMMAND_FILL);
    assertEquals(bench.load(0, 0x04), COPY_STATUS_DONE);
    assertEquals([bench.load(0, 0x08), bench.load(0, 0x30)], [0, 1]);
    bench.end();
  });

  it("by an eventfd that writes, once", () => {
    const bench = new Bench(new CopyEngine());
    const eventfd = bench.eventfd();
    bench.connect(2, [eventfd]);
    const set = VfioDeviceIoeventfd.encode({
      argsz: VfioDeviceIoeventfd.size,
      flags: 4,
      offset: 8n,
      data: BigInt(COPY_COMMAND_INTERRUPT),
      fd: eventfd,
    });
    bench.call(bench.fd, VFIO_DEVICE_IOEVENTFD, set);
    bench.store(0, 0x08, 4, COPY_COMMAND_INTERRUPT);
    assertEquals(bench.load(0, 0x30), 1);
    bench.process.write(eventfd, bytesOf(1, 8));
    assertEquals(bench.load(0, 0x30), 2);
    bench.end();
  });

  it("by an eventfd that lets its legacy interrupt through, once", () => {
    class Pulled extends PciDevice {
      constructor() {
        super({ vendor: 1, device: 1, class: 0, bars: [{ size: 4096 }] });
      }
    }
    const device = new Pulled();
    const bench = new Bench(device);
    const eventfd = bench.eventfd();
    bench.connect(0, [eventfd]);
    const set = new Uint8Array(VfioIrqSet.size + 4);
    const flags = 0x14;
    const argsz = set.length;
    set.set(VfioIrqSet.encode({ argsz, flags, index: 0, count: 1 }));
    set.set(bytesOf(eventfd), VfioIrqSet.size);
    bench.call(bench.fd, VFIO_DEVICE_SET_IRQS, set);
    device.intx = true;
    assertEquals(bench.counted(eventfd), 1);
    bench.end();
  });
});
