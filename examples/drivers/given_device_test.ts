// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EPERM,
  errnoOf,
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
  PAGE_SIZE,
  releaseDevice,
} from "@iommufd/kit";
import { GivenDevice, NetworkCard } from "./given_device.ts";
import { Program } from "./program.ts";
import { SimpleIommu } from "./simple_iommu.ts";

const IOVA = 0x100000;
const PACKET = Uint8Array.of(1, 2, 3, 4);

/** A program that has a card, attached to a HWPT with a queue of page faults; its first page is mapped. */
class Bench extends Program {
  readonly card = new NetworkCard(new SimpleIommu(this.kernel.iommu), "card0");
  readonly ioasId = this.iommufd.ioasAlloc().ioasId;
  readonly device = new GivenDevice(this.card, this.process, this.iommufd.fd);
  readonly faultFd: number;
  readonly memory = this.sharedMemory(2 * PAGE_SIZE);
  interrupts = 0;

  constructor() {
    super();
    const { iommufd: { hwpt }, device, ioasId } = this;
    const { faultId, faultFd } = hwpt.faultQueueAlloc();
    this.faultFd = faultFd;
    const { devId } = device;
    device.attach(hwpt.alloc({ devId, ptId: ioasId, faultId }).hwptId);
    device.connect(() => this.interrupts++);
    this.map(0);
  }

  map(page: number): void {
    const at = page * PAGE_SIZE;
    this.iommufd.ioasMap({
      ioasId: this.ioasId,
      userVa: this.memory + at,
      length: PAGE_SIZE,
      iova: IOVA + at,
    });
  }

  /** Answers the page fault that waits. */
  answer(code: number): void {
    const { hwpt } = this.iommufd;
    const [fault] = hwpt.readFaults(this.faultFd);
    hwpt.respondFaults(this.faultFd, [{ cookie: fault!.cookie, code }]);
  }

  received(page: number): Uint8Array {
    return this.process.peek(this.memory + page * PAGE_SIZE, PACKET.length);
  }

  end(): void {
    this.device.remove();
    releaseDevice(this.card);
    this.exit();
  }
}

describe("a device that its driver gives to user space", () => {
  it("stores what it receives, and interrupts", () => {
    const bench = new Bench();
    bench.card.receive(IOVA, PACKET);
    assertEquals(bench.received(0), PACKET);
    assertEquals(bench.interrupts, 1);
    bench.end();
  });

  it("waits for the page of a buffer that is not mapped yet", () => {
    const bench = new Bench();
    bench.card.receive(IOVA + PAGE_SIZE, PACKET);
    assertEquals(bench.interrupts, 0);
    bench.map(1);
    bench.answer(IOMMUFD_PAGE_RESP_SUCCESS);
    assertEquals(bench.received(1), PACKET);
    assertEquals(bench.interrupts, 1);
    bench.end();
  });

  it("loses what user space has no page for", () => {
    const bench = new Bench();
    bench.card.receive(IOVA + PAGE_SIZE, PACKET);
    bench.answer(IOMMUFD_PAGE_RESP_INVALID);
    assertEquals([bench.card.lost, bench.interrupts], [1, 0]);
    bench.end();
  });

  it("reaches nothing once it is given back", () => {
    const bench = new Bench();
    bench.device.remove();
    bench.card.receive(IOVA, PACKET);
    assertEquals([bench.card.lost, bench.interrupts], [1, 0]);
    assertEquals(bench.received(0), new Uint8Array(PACKET.length));
    releaseDevice(bench.card);
    bench.exit();
  });

  it("is not given away if its interrupts could be anybody's, and the error says why", () => {
    const { kernel, process, iommufd: { fd } } = new Program();
    const card = new NetworkCard(new SimpleIommu(kernel.iommu), "card0");
    card.hasIsolatedMsi = false;
    const errno = errnoOf(() => new GivenDevice(card, process, fd));
    assertEquals(EPERM.is(errno), true);
    assertEquals(
      errno?.why(),
      "the device's interrupts are not isolated (Device.hasIsolatedMsi)",
    );
  });
});
