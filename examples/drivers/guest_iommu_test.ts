// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EBUSY,
  EINVAL,
  EOPNOTSUPP,
  Errno,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IommufdError,
  PAGE_SIZE,
  releaseDevice,
} from "@iommufd/kit";
import { GuestAddress, GuestIommu } from "./guest_iommu.ts";
import { Program } from "./program.ts";
import {
  SIMPLE_IOMMU,
  SimpleDevice,
  SimpleStage1,
  STAGE1_VALID,
} from "./simple_iommu.ts";

/** Pages of the guest's memory, which begins at IOVA 0 of the parent: its table, and data. */
const [TABLE, DATA, OTHER] = [0, 1, 2];
/** What the guest calls its device. */
const VIRT_ID = 0x99n;

/** A monitor of a virtual machine with one device of the host. */
class Monitor extends Program {
  readonly nic = new SimpleDevice(new GuestIommu(this.kernel.iommu), "nic0");
  readonly idev = this.bind(this.nic);
  /** The guest's memory, in the monitor's. */
  readonly memory = this.sharedMemory(3 * PAGE_SIZE);
  readonly parent: number;
  readonly viommuId: number;

  constructor() {
    super();
    const { iommufd, memory: userVa } = this;
    const { ioasId } = iommufd.ioasAlloc();
    iommufd.ioasMap({ ioasId, userVa, length: 3 * PAGE_SIZE, iova: 0 });
    const devId = this.idev.id;
    const type = SIMPLE_IOMMU;
    this.parent = iommufd.hwpt.alloc({
      devId,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
    }).hwptId;
    const hwptId = this.parent;
    this.viommuId = iommufd.viommu.alloc({ devId, hwptId, type }).viommuId;
  }

  /** The guest lets its device read one of its pages at address 0. */
  writeTable(page: number): void {
    const entry = new BigUint64Array([BigInt(page) << 12n | STAGE1_VALID]);
    const bytes = new Uint8Array(entry.buffer);
    this.process.poke(this.memory + TABLE * PAGE_SIZE, bytes);
  }

  /** A HWPT for the guest's table. */
  nest(): number {
    return this.iommufd.hwpt.alloc({
      devId: this.idev.id,
      ptId: this.viommuId,
      dataType: SIMPLE_IOMMU,
      data: SimpleStage1.encode({ table: TABLE * PAGE_SIZE }),
    }).hwptId;
  }

  /** The guest says that what its device has at an address changed. */
  invalidate(virtId: bigint, addr = 0n): number {
    return this.iommufd.hwpt.invalidate({
      hwptId: this.viommuId,
      dataType: SIMPLE_IOMMU,
      entries: [GuestAddress.encode({ virtId, addr })],
    }).handled;
  }

  end(): void {
    this.idev.unbind();
    releaseDevice(this.nic);
    this.exit();
  }
}

function errnoOf(call: () => unknown): unknown {
  return assertThrows(call, IommufdError).errno;
}

describe("a guest with an IOMMU of its own", () => {
  it("decides by its table what its device reads", () => {
    const monitor = new Monitor();
    const { iommufd, process, memory, nic, idev, viommuId } = monitor;
    process.poke(memory + DATA * PAGE_SIZE, new Uint8Array([42]));
    process.poke(memory + OTHER * PAGE_SIZE, new Uint8Array([43]));
    monitor.writeTable(DATA);

    const nested = monitor.nest();
    const devId = idev.id;
    const { vdeviceId } = iommufd.viommu.vdeviceAlloc({
      viommuId,
      devId,
      virtId: VIRT_ID,
    });
    idev.attach(nested);
    assertEquals(nic.read(0, 1), new Uint8Array([42]));
    // The hardware has read the entry; it does so again when the guest says.
    monitor.writeTable(OTHER);
    assertEquals(nic.read(0, 1), new Uint8Array([42]));
    assertEquals(monitor.invalidate(VIRT_ID), 1);
    assertEquals(nic.read(0, 1), new Uint8Array([43]));
    assertEquals(errnoOf(() => monitor.invalidate(VIRT_ID + 1n)), EINVAL);

    idev.detach();
    assertEquals(errnoOf(() => iommufd.destroy(viommuId)), EBUSY);
    for (const id of [vdeviceId, nested, viommuId, monitor.parent]) {
      iommufd.destroy(id);
    }
    monitor.end();
  });

  it("learns where its device was blocked, by its own number for it", () => {
    const monitor = new Monitor();
    const { iommufd, nic, idev, viommuId } = monitor;
    const { veventqFd } = iommufd.viommu.veventqAlloc({
      viommuId,
      type: SIMPLE_IOMMU,
      veventqDepth: 1,
    });
    iommufd.viommu.vdeviceAlloc({
      viommuId,
      devId: idev.id,
      virtId: VIRT_ID,
    });
    idev.attach(monitor.nest());
    const addr = 0x1234;
    for (let i = 0; i < 2; i++) assertEquals(nic.read(addr, 1), undefined);
    const { size } = GuestAddress;
    const [event, lost, ...more] = iommufd.viommu.readEvents(veventqFd, size);
    assertEquals(GuestAddress.decode(event!.data!), {
      virtId: VIRT_ID,
      addr: BigInt(addr),
    });
    // There was room for one.
    assertEquals([lost!.data, more], [undefined, []]);
    idev.detach();
    monitor.end();
  });

  it("has no table for a device that it does not know, and no event without a queue", () => {
    const monitor = new Monitor();
    const { iommufd, nic, idev, viommuId } = monitor;
    const nested = monitor.nest();
    assertThrows(() => idev.attach(nested), Errno, "ENOENT");
    iommufd.viommu.vdeviceAlloc({
      viommuId,
      devId: idev.id,
      virtId: VIRT_ID,
    });
    idev.attach(nested);
    assertEquals(nic.read(0, 1), undefined);
    idev.detach();
    monitor.end();
  });

  it("gets what the hardware has, and no more", () => {
    const monitor = new Monitor();
    const { iommufd, idev, parent: hwptId } = monitor;
    const devId = idev.id;
    const alloc = (type: number, data: Uint8Array) =>
      iommufd.viommu.alloc({ devId, hwptId, type, data });
    const none = new Uint8Array();
    assertEquals(errnoOf(() => alloc(SIMPLE_IOMMU + 1, none)), EOPNOTSUPP);
    const some = new Uint8Array(4);
    assertEquals(errnoOf(() => alloc(SIMPLE_IOMMU, some)), EOPNOTSUPP);
    monitor.end();
  });
});
