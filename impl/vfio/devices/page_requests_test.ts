// SPDX-License-Identifier: GPL-2.0-only

/** Devices that ask for pages: the copy engine, and queues of page faults. */

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../../client/client.ts";
import { IommufdError } from "../../client/error.ts";
import { VfioDevice } from "../../client/vfio_device.ts";
import { Kernel } from "../../kernel.ts";
import {
  COPY_COMMAND_COPY,
  COPY_COMMAND_FILL,
  COPY_COMMAND_INTERRUPT,
  COPY_STATUS_DONE,
  COPY_STATUS_FAULT,
  COPY_STATUS_WAITING,
  CopyEngine,
  type CopyEngineOptions,
} from "../../pci/devices/copy_engine.ts";
import { MAX_PAGE_REQUESTS } from "../../iommu/hardware/page_requests.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_PGFAULT_PERM_WRITE,
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
} from "../../uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";

const IOVA = 0x100000;
const PASID = 7;
const REG = { status: 4, command: 8, source: 16, target: 24, length: 32 };
const BUSY = { pasid: 36, fault: 40, count: 48 };
/** Linux passes the bit on too that says that the answer has the PASID. */
const FLAGS = IOMMU_PGFAULT_FLAGS_PASID_VALID | IOMMU_PGFAULT_FLAGS_LAST_PAGE |
  1 << 2;

/** A program that has a copy engine, on a HWPT with a queue of page faults. */
class Asker {
  readonly kernel = new Kernel();
  readonly process = this.kernel.spawn();
  readonly iommufd = IommufdClient.open(this.process);
  readonly device: VfioDevice;
  readonly devId: number;
  readonly ioasId = this.iommufd.ioasAlloc().ioasId;
  readonly faultFd: number;
  readonly hwptId: number;
  readonly memory: number;
  readonly eventfd = this.process.eventfd(0, 0);

  constructor(pasid?: number, options: CopyEngineOptions = { pri: true }) {
    this.kernel.addPciDevice(new CopyEngine(options));
    this.device = VfioDevice.open(this.process);
    this.devId = this.device.bind(this.iommufd).devId;
    const { hwpt } = this.iommufd;
    const { faultId, faultFd } = hwpt.faultQueueAlloc();
    this.faultFd = faultFd;
    const { devId, ioasId: ptId } = this;
    const flags = pasid === undefined ? 0 : IOMMU_HWPT_ALLOC_PASID;
    this.hwptId = hwpt.alloc({ devId, ptId, faultId, flags }).hwptId;
    this.device.attach({
      ptId: this.hwptId,
      ...pasid !== undefined && { pasid },
    });
    if (pasid !== undefined) this.device.store(0, BUSY.pasid, pasid);
    this.device.setBusMaster(true);
    this.device.connect({ index: 2 }, [this.eventfd]);
    const shared = MAP_SHARED | MAP_ANONYMOUS;
    const prot = PROT_READ | PROT_WRITE;
    this.memory = this.process.mmap(0, 4 * PAGE_SIZE, prot, shared);
  }

  /** Maps a page of memory at the same page of IOVA. */
  mapPage(number: number): void {
    this.iommufd.ioasMap({
      ioasId: this.ioasId,
      userVa: this.memory + number * PAGE_SIZE,
      length: PAGE_SIZE,
      iova: IOVA + number * PAGE_SIZE,
    });
  }

  /** Begins a command. */
  start(command: number, source: number, target: number, length: number) {
    const { device } = this;
    device.store(0, REG.source, source, 8);
    device.store(0, REG.target, target, 8);
    device.store(0, REG.length, length);
    device.store(0, REG.command, command);
  }

  /** Fills from the second half of page 0 on. */
  fill(length = PAGE_SIZE): void {
    const command = COPY_COMMAND_FILL | COPY_COMMAND_INTERRUPT;
    this.start(command, 0x5a, IOVA + PAGE_SIZE / 2, length);
  }

  /** What the faults that wait say. */
  faults() {
    return this.iommufd.hwpt.readFaults(this.faultFd);
  }

  answer(cookie: number, code = IOMMUFD_PAGE_RESP_SUCCESS): void {
    this.iommufd.hwpt.respondFaults(this.faultFd, [{ cookie, code }]);
  }

  get status(): number {
    return this.device.load(0, REG.status);
  }

  get interrupts(): number {
    const count = new Uint8Array(8);
    return this.process.read(this.eventfd, count) === 8 ? count[0]! : 0;
  }

  end(): void {
    this.process.exit();
    assertEquals(this.kernel.audit(), []);
  }
}

describe("a device that asks for pages", () => {
  it("waits for the answer, and goes on where it was", () => {
    const asker = new Asker();
    const { device, process, memory } = asker;
    asker.fill();
    assertEquals(asker.status, COPY_STATUS_WAITING);
    assertEquals(asker.interrupts, 0);
    const [first, ...others] = asker.faults();
    assertEquals(others, []);
    assertEquals(first!.flags, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
    assertEquals(first!.perm, IOMMU_PGFAULT_PERM_WRITE);
    assertEquals(first!.addr, BigInt(IOVA));
    assertEquals(first!.devId, asker.devId);
    asker.mapPage(0);
    asker.answer(first!.cookie);
    assertEquals(asker.status, COPY_STATUS_WAITING);
    assertEquals(device.load(0, BUSY.fault, 4), IOVA + PAGE_SIZE);
    process.poke(memory + PAGE_SIZE - 1, Uint8Array.of(1));
    asker.mapPage(1);
    const [second] = asker.faults();
    assertEquals(second!.addr, BigInt(IOVA + PAGE_SIZE));
    asker.answer(second!.cookie);
    assertEquals(asker.status, COPY_STATUS_DONE);
    assertEquals(device.load(0, REG.command), 0);
    assertEquals(device.load(0, BUSY.count), 1);
    assertEquals(asker.interrupts, 1);
    // What was done before the fault was not done again.
    assertEquals(
      process.peek(memory + PAGE_SIZE - 2, 3),
      Uint8Array.of(0x5a, 1, 0x5a),
    );
    asker.end();
  });

  it("asks for either end of a copy, for what it wants to do there", () => {
    const asker = new Asker();
    asker.start(COPY_COMMAND_COPY, IOVA + 8, IOVA + PAGE_SIZE + 8, 16);
    const [read] = asker.faults();
    assertEquals(read!.perm, IOMMU_PGFAULT_PERM_READ);
    asker.process.poke(asker.memory + 8, Uint8Array.of(3, 4, 5));
    asker.mapPage(0);
    asker.answer(read!.cookie);
    const [write] = asker.faults();
    assertEquals(write!.perm, IOMMU_PGFAULT_PERM_WRITE);
    assertEquals(write!.addr, BigInt(IOVA + PAGE_SIZE));
    asker.mapPage(1);
    asker.answer(write!.cookie);
    const copied = asker.process.peek(asker.memory + PAGE_SIZE + 8, 3);
    assertEquals(copied, Uint8Array.of(3, 4, 5));
    asker.end();
  });

  it("asks with its PASID, whose domain answers", () => {
    const asker = new Asker(PASID);
    asker.fill(16);
    const [fault] = asker.faults();
    assertEquals([fault!.flags, fault!.pasid], [FLAGS, PASID]);
    asker.mapPage(0);
    asker.answer(fault!.cookie);
    assertEquals(asker.status, COPY_STATUS_DONE);
    // Without a PASID there is no domain to ask.
    asker.device.store(0, BUSY.pasid, 0);
    asker.fill(16);
    assertEquals(asker.status, COPY_STATUS_FAULT);
    assertEquals(asker.faults(), []);
    asker.device.store(0, BUSY.pasid, PASID);
    asker.fill();
    assertEquals(asker.status, COPY_STATUS_WAITING);
    asker.device.detach({ pasid: PASID });
    assertEquals(asker.status, COPY_STATUS_FAULT);
    asker.end();
  });

  it("fails where the answer is that the page cannot be had", () => {
    const asker = new Asker();
    asker.fill();
    const [fault] = asker.faults();
    asker.answer(fault!.cookie, IOMMUFD_PAGE_RESP_INVALID);
    assertEquals(asker.status, COPY_STATUS_FAULT);
    assertEquals(asker.interrupts, 1);
    asker.end();
  });

  it("asks again for a page that is not there after all", () => {
    const asker = new Asker();
    asker.fill();
    for (let round = 0; round < 3; round++) {
      const [fault, ...others] = asker.faults();
      assertEquals(others, []);
      asker.answer(fault!.cookie);
      assertEquals(asker.status, COPY_STATUS_WAITING);
    }
    asker.end();
  });

  it("takes no other command while it waits", () => {
    const asker = new Asker();
    asker.fill();
    for (const command of [0, COPY_COMMAND_COPY]) {
      asker.device.store(0, REG.command, command);
      const running = COPY_COMMAND_FILL | COPY_COMMAND_INTERRUPT;
      assertEquals(asker.device.load(0, REG.command), running);
    }
    assertEquals(asker.faults().length, 1);
    assertEquals(asker.device.load(0, BUSY.count), 0);
    asker.end();
  });

  it("asks for nothing while bus mastering is off", () => {
    const asker = new Asker();
    asker.device.setBusMaster(false);
    asker.fill();
    assertEquals(asker.status, COPY_STATUS_FAULT);
    assertEquals(asker.faults(), []);
    asker.end();
  });

  for (const isRead of [false, true]) {
    it(`is answered for its user when it is detached, ${isRead ? "read" : "unread"}`, () => {
      const asker = new Asker();
      asker.fill();
      if (isRead) assertEquals(asker.faults().length, 1);
      asker.device.detach();
      assertEquals(asker.status, COPY_STATUS_FAULT);
      assertEquals(asker.interrupts, 1);
      assertEquals(asker.faults(), []);
      asker.end();
    });

    it(`leaves nothing when it is closed, ${isRead ? "read" : "unread"}`, () => {
      const asker = new Asker();
      asker.fill();
      if (isRead) assertEquals(asker.faults().length, 1);
      asker.device.close();
      assertEquals(asker.faults(), []);
      assertEquals(asker.interrupts, 0);
      asker.end();
    });
  }

  it("forgets at a reset what it asked for, whose answer comes later", () => {
    const asker = new Asker();
    asker.fill();
    const [fault] = asker.faults();
    asker.device.reset();
    asker.device.setBusMaster(true);
    asker.fill();
    asker.answer(fault!.cookie);
    assertEquals(asker.status, COPY_STATUS_WAITING);
    const [next, ...others] = asker.faults();
    assertEquals(others, []);
    asker.answer(next!.cookie, IOMMUFD_PAGE_RESP_INVALID);
    assertEquals(asker.status, COPY_STATUS_FAULT);
    asker.end();
  });

  it("has so many requests at most, those of before a reset too", () => {
    const asker = new Asker();
    for (let i = 0; i < MAX_PAGE_REQUESTS; i++) {
      asker.fill();
      assertEquals(asker.status, COPY_STATUS_WAITING);
      asker.device.reset();
      asker.device.setBusMaster(true);
    }
    asker.fill();
    assertEquals(asker.status, COPY_STATUS_FAULT);
    const faults = [];
    for (let more = asker.faults(); more.length > 0; more = asker.faults()) {
      faults.push(...more);
    }
    assertEquals(new Set(faults.map(({ grpid }) => grpid)).size, 512);
    asker.answer(faults[9]!.cookie);
    asker.fill();
    assertEquals(asker.status, COPY_STATUS_WAITING);
    asker.end();
  });

  it("is told by its configuration space that it can", () => {
    const ids = (pri: boolean) => {
      const { config } = new CopyEngine({ pri });
      return [0x0f, 0x13].map((id) => config.findExtended(id) !== 0);
    };
    assertEquals(ids(true), [true, true]);
    assertEquals(ids(false), [false, false]);
    const asker = new Asker();
    const user = (at: number) => asker.device.load(7, at);
    // ATS and PRI, both switched on; users do not see that of PASIDs.
    assertEquals(user(0x1b0), 0x1c0 << 20 | 0x1000f);
    assertEquals(user(0x1b4) >>> 0, 0x80000020);
    assertEquals(user(0x1c0) >>> 20, 0);
    assertEquals(user(0x1c0) & 0xffff, 0x13);
    assertEquals(user(0x1c8), MAX_PAGE_REQUESTS);
    assertEquals(asker.iommufd.hwpt.getHwInfo(asker.devId).maxPasidLog2, 16);
    asker.end();
  });
});

describe("a domain that answers page requests", () => {
  it("is for devices that make them: ENODEV", () => {
    const error = assertThrows(
      () => new Asker(undefined, {}),
      IommufdError,
      "the device cannot ask for pages",
    );
    assertEquals(error.errno.name, "ENODEV");
  });
});
