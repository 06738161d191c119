// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { TestDomain } from "../../../iommu/testing/test_driver.ts";
import {
  IOMMU_CACHE,
  IOMMU_MMIO,
  IOMMU_READ,
  IOMMU_WRITE,
} from "../../../iommu/domain.ts";
import { DmaBuf, type DmaBufExporter } from "../../../kernel/files/dma_buf.ts";
import { File } from "../../../kernel/files/file.ts";
import type { MemoryObject } from "../../../kernel/interfaces/memory_object.ts";
import { EIO, ENOMEM } from "../../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  IommuHwptAlloc,
  IommuIoasChangeProcess,
  IommuIoasMapFile,
} from "../../../uapi/iommufd.ts";
import { O_RDWR } from "../../../uapi/mman.ts";
import {
  IOMMU_TEST_OP_DMABUF_REVOKE,
  TestDmabufRevoke,
} from "../../../uapi/selftest.ts";
import { Ioas } from "../../ioas/ioas.ts";
import { Bench } from "../../testing/bench.ts";
import { PAGE } from "../../testing/machine.ts";
import type { DmaBufMemory } from "./dma_buf_memory.ts";

const PADDR = 0x4000_0000;
const IOVA = 0x10_0000n;
const RIGHTS = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;

/** A driver that has a piece of a device's memory to share. */
class Exporter implements DmaBufExporter {
  readonly size = 4 * Number(PAGE);
  released = 0;
  physicalRange() {
    return { paddr: PADDR, length: this.size };
  }
  release(): void {
    this.released++;
  }
}

/** A bench with an IOAS, two devices attached to it, and a buffer. */
class FileBench extends Bench {
  readonly ioas = this.machine.ioas();
  readonly devices = [this.a, this.c].map((dev) => this.bind(dev));
  readonly exporter = new Exporter();
  readonly buffer = this.install(new DmaBuf(this.exporter, O_RDWR));

  /** Attaches both devices, and makes another HWPT; their domains, two of them. */
  attach(): TestDomain[] {
    for (const device of this.devices) device.attach(this.ioas);
    const values = { devId: this.devices[0]!.id, ptId: this.ioas };
    const { ret } = this.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, values);
    assertEquals([ret, this.ops.domains.length], [0, 2]);
    return this.ops.domains;
  }

  install(file: File): number {
    return this.machine.process.files.install(file, 1024n);
  }

  map(fd: number, values: Partial<IommuIoasMapFile> = {}): string | number {
    return this.machine.call(IOMMU_IOAS_MAP_FILE, IommuIoasMapFile, {
      flags: IOMMU_IOAS_MAP_FIXED_IOVA | RIGHTS,
      ioasId: this.ioas,
      fd,
      length: PAGE,
      iova: IOVA,
      ...values,
    }).ret;
  }

  finish(): void {
    for (const device of this.devices) device.unbind();
    this.end();
    assertEquals(this.exporter.released, 1);
  }
}

describe("a DMA buffer", () => {
  it("is mapped as the memory of a device, from its place in the buffer on", () => {
    const bench = new FileBench();
    const domains = bench.attach();
    const prots = new Set<number>();
    for (const domain of domains) {
      const map = domain.mapPages.bind(domain);
      domain.mapPages = (iova, paddr, pgsize, pgcount, prot) => {
        prots.add(prot);
        return map(iova, paddr, pgsize, pgcount, prot);
      };
    }
    assertEquals(
      bench.map(bench.buffer, { start: PAGE, length: 2n * PAGE }),
      0,
    );
    assertEquals([...prots], [IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO]);
    for (const { pages } of domains) {
      const places = [...pages].map(([iova, { paddr }]) => [iova, paddr]);
      assertEquals(places, [
        [Number(IOVA), PADDR + 0x1000],
        [Number(IOVA) + 0x1000, PADDR + 0x2000],
      ]);
    }
    const memory = BigInt(bench.machine.memory(1));
    const place = { ioasId: bench.ioas, iova: IOVA + 8n * PAGE };
    assertEquals(bench.machine.map({ ...place, userVa: memory }).ret, 0);
    assertEquals(prots.has(IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE), true);
    for (const device of bench.devices) device.detach();
    bench.finish();
  });

  it("is in no domain if one of them cannot have it", () => {
    const bench = new FileBench();
    const [first, second] = bench.attach();
    second!.failAt = { iova: Number(IOVA) + 0x1000, errno: EIO };
    assertEquals(bench.map(bench.buffer, { length: 3n * PAGE }), "EIO");
    assertEquals([first!.pages.size, second!.pages.size], [0, 0]);
    second!.failAt = undefined;
    assertEquals(bench.map(bench.buffer, { length: 3n * PAGE }), 0);
    assertEquals([first!.pages.size, second!.pages.size], [3, 3]);
    for (const device of bench.devices) device.detach();
    bench.finish();
  });

  it("is not taken from a driver that does not tell where it is", () => {
    const bench = new FileBench();
    const silent: DmaBufExporter = { size: Number(PAGE), release() {} };
    const fd = bench.install(new DmaBuf(silent, O_RDWR));
    assertEquals(bench.map(fd), "EOPNOTSUPP");
    bench.finish();
  });

  it("of another driver is not the selftest module's to take back", () => {
    const bench = new FileBench();
    const { ret } = bench.machine.test(
      IOMMU_TEST_OP_DMABUF_REVOKE,
      TestDmabufRevoke,
      { dmabufFd: bench.buffer, revoked: 1 },
    );
    assertEquals(ret, "EOPNOTSUPP");
    bench.finish();
  });

  it("is taken back by its driver outside of any call", () => {
    const bench = new FileBench();
    const [domain] = bench.attach();
    assertEquals(bench.map(bench.buffer), 0);
    const [area] = bench.machine.ctx.objects.get(bench.ioas, Ioas).putAfter(
      ({ iopt }) => [...iopt.areas],
    );
    const source = area!.pages!.source as DmaBufMemory;
    assertEquals([source.revoked, source.mapped.size], [false, 1]);
    const file = bench.machine.process.files.get(bench.buffer) as DmaBuf;
    file.invalidate();
    assertEquals([source.revoked, source.mapped.size], [true, 0]);
    assertEquals(domain!.pages.size, 0);
    for (const device of bench.devices) device.detach();
    bench.finish();
  });
});

/** A file whose memory is what a test makes of it. */
class FakeFile extends File {
  constructor(memory: Partial<MemoryObject>) {
    super();
    this.pinned = {
      size: 2 ** 20,
      get: () => this.pinned,
      put: () => {},
      ...memory,
    } as MemoryObject;
  }
  readonly pinned: MemoryObject;
  override get pinnable(): MemoryObject {
    return this.pinned;
  }
}

describe("a file", () => {
  it("gives back what is pinned of it when a later page cannot be had", () => {
    const bench = new FileBench();
    const { process, kernel } = bench.machine;
    const fd = process.memfdCreate("", 0);
    // More than the machine has.
    const size = kernel.frames.count * Number(PAGE);
    assertEquals(process.ftruncate(fd, size), 0);
    assertEquals(bench.map(fd, { length: BigInt(size) }), 0);
    const [device] = bench.devices;
    const error = assertThrows(() => device!.attach(bench.ioas));
    assertEquals(ENOMEM.is(error), true);
    assertEquals(kernel.frames.countPinned(), 0);
    bench.finish();
  });

  it("with a page that is pinned as often as can be is EINVAL", () => {
    const bench = new FileBench();
    const { frames } = bench.machine.kernel;
    const pin = () => 0;
    const fd = bench.install(new FakeFile({ pin, frameAt: () => 1 }));
    const domains = bench.attach();
    assertEquals(bench.map(fd), "EINVAL");
    assertEquals(frames.countPinned(), 0);
    assertEquals(domains[0]!.pages.size, 0);
    for (const device of bench.devices) device.detach();
    bench.finish();
  });
});

it("CHANGE_PROCESS is EBUSY while an area is being mapped", () => {
  const bench = new FileBench();
  const [domain] = bench.attach();
  const { machine } = bench;
  const answers: (string | number)[] = [];
  const map = domain!.mapPages.bind(domain);
  domain!.mapPages = (...args) => {
    const cmd = IOMMU_IOAS_CHANGE_PROCESS;
    answers.push(machine.call(cmd, IommuIoasChangeProcess).ret);
    return map(...args);
  };
  const fd = machine.process.memfdCreate("", 0);
  assertEquals(machine.process.ftruncate(fd, Number(PAGE)), 0);
  assertEquals(bench.map(fd), 0);
  assertEquals(answers, ["EBUSY"]);
  for (const device of bench.devices) device.detach();
  bench.finish();
});
