// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver that gives a real device to user space, as vfio-pci does: it binds
 * it to the iommufd that user space names, attaches it to what user space
 * wants, and passes on its interrupts. User space maps memory, and answers
 * what the device asks for that is not mapped yet.
 *
 * {@link NetworkCard} plays the hardware: its DMA goes through the IOMMU of
 * simple_iommu.ts. No line of either touches a frame of memory.
 *
 * @module
 */

import {
  DmaFault,
  iommufdCtxFromFd,
  IommufdDevice,
  prepareMsi,
  type Process,
} from "@iommufd/kit";
import { SimpleDevice } from "./simple_iommu.ts";

/** Where the platform takes a write for an interrupt. */
const DOORBELL = 0xfee00000;

/** The hardware: it stores what it receives where it is told to. */
export class NetworkCard extends SimpleDevice {
  /** Register: where it writes to raise its interrupt; 0 while it has none. */
  doorbell = 0;
  /** The wire to the interrupt controller. */
  onInterrupt: (() => void) | undefined;
  /** Counts packets that could not be stored. */
  lost = 0;

  /** A packet arrives, for a buffer at an IOVA. If the page is not there it is asked for, once. */
  receive(iova: number, packet: Uint8Array, again = true): void {
    try {
      this.dma.write(iova, packet);
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      if (!again) this.lost++;
      else {
        this.pageRequests.ask([error], (granted) => {
          if (granted) this.receive(iova, packet, false);
          else this.lost++;
        });
      }
      return;
    }
    if (this.doorbell !== 0) this.onInterrupt?.();
  }
}

/** The driver, for one user of a card. */
export class GivenDevice {
  readonly #card: NetworkCard;
  readonly #idev: IommufdDevice;

  /**
   * Takes the card for a process that has an iommufd: its DMA is blocked from
   * here on. Throws EPERM for a card whose interrupts are not isolated, or that
   * somebody else has.
   */
  constructor(card: NetworkCard, process: Process, iommufd: number) {
    const ctx = iommufdCtxFromFd(process, iommufd);
    try {
      this.#idev = IommufdDevice.bindDevice(ctx, card);
    } finally {
      // The bound device keeps the context.
      ctx.put();
    }
    this.#card = card;
  }

  /** What user space calls the device. */
  get devId(): number {
    return this.#idev.id;
  }

  /** Lets its DMA reach what an IOAS or a HWPT maps. Errnos as {@link IommufdDevice.attach}. */
  attach(ptId: number): void {
    if (this.#idev.pasids.length === 0) this.#idev.attach(ptId);
    else this.#idev.replace(ptId);
  }

  /** Has interrupts told from now on. The IOMMU may translate the doorbell, so that is asked first. */
  connect(onInterrupt: () => void): void {
    this.#card.doorbell = prepareMsi(this.#card, DOORBELL);
    this.#card.onInterrupt = onInterrupt;
  }

  /** Gives the card back: the user is gone. */
  remove(): void {
    this.#card.doorbell = 0;
    this.#card.onInterrupt = undefined;
    this.#idev.detach();
    this.#idev.unbind();
  }
}
