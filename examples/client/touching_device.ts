// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device for the examples of clients: it stores a byte by DMA where it is
 * told to, and asks for pages that are not there.
 *
 * @module
 */

import { DmaFault, PciDevice } from "@iommufd/kit";

/** The byte that it stores. */
export const MARK = 0x5a;

/** The device. */
export class TouchingDevice extends PciDevice {
  /** Bytes that it could not store. */
  lost = 0;

  /** A write to its one register, an IOVA, stores the byte there. */
  constructor() {
    super({
      vendor: 0x1234,
      device: 0x7070,
      class: 0xff0000,
      bars: [{ size: 4096 }],
      pageRequests: true,
    });
    const write = (iova: number) => this.#touch(iova);
    this.registers(0, { TOUCH: { at: 0, bytes: 8, write } });
  }

  #touch(iova: number): void {
    try {
      this.dma.write(iova, Uint8Array.of(MARK));
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      this.requestPage(error, (granted) => {
        if (granted) this.#touch(iova);
        else this.lost++;
      });
    }
  }
}
