// SPDX-License-Identifier: GPL-2.0-only

/**
 * A device of one's own, in sixty lines: it adds up the bytes of memory, which
 * it reads by DMA, and sends an interrupt when it is done.
 *
 * @module
 */

import { DmaFault, PciDevice } from "@iommufd/kit";

/** Registers, offsets in BAR 0. */
export const CHECKSUM = {
  /** Where the memory is: an IOVA, 64 bits. */
  address: 0x00,
  /** Bytes; a write begins. */
  length: 0x08,
  /** The sum. */
  sum: 0x0c,
  /** 1 if all went well, 2 if the memory could not be reached. */
  status: 0x10,
} as const;

/** Bytes that are read at a time. */
const CHUNK = 4096;
/** More than this is not added up, so that the device always comes to an end. */
const MAX_LENGTH = 2 ** 26;

/** The device. */
export class ChecksumDevice extends PciDevice {
  readonly #registers = this.registers(0, {
    ADDRESS: { at: CHECKSUM.address, bytes: 8 },
    LENGTH: { at: CHECKSUM.length, write: (length) => this.#run(length) },
    SUM: { at: CHECKSUM.sum, readOnly: true },
    STATUS: { at: CHECKSUM.status, readOnly: true },
  });

  /** With one message. */
  constructor() {
    super({
      vendor: 0x1234,
      device: 0xc5c5,
      class: 0xff0000,
      bars: [{ size: 4096 }],
      msix: 1,
    });
  }

  #run(length: number): void {
    let status = 1;
    try {
      this.#registers.set("SUM", this.#sum(Math.min(length, MAX_LENGTH)));
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      status = 2;
    }
    this.#registers.set("STATUS", status);
    this.msi(0);
  }

  #sum(length: number): number {
    const address = this.#registers.get("ADDRESS");
    let sum = 0;
    for (let done = 0; done < length; done += CHUNK) {
      const bytes = new Uint8Array(Math.min(CHUNK, length - done));
      this.dma.read(address + done, bytes);
      for (const byte of bytes) sum = (sum + byte) >>> 0;
    }
    return sum;
  }
}

/** For `deno task run --device examples/checksum_device.ts`. */
export default ChecksumDevice;
