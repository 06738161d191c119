// SPDX-License-Identifier: GPL-2.0-only

/**
 * An Ethernet controller of Intel's, the 82576, as far as the driver of the
 * kernel's VFIO selftests uses it: one queue each way, in loop-back. It copies
 * frames from one descriptor ring's memory to that of the other.
 *
 * A frame whose memory cannot be reached is dropped: nothing is written back
 * for it.
 *
 * Linux: tools/testing/selftests/vfio/lib/drivers/igb; the registers are those
 * of drivers/net/ethernet/intel/igb/e1000_regs.h.
 *
 * @module
 */

import { numberOf, store } from "../bytes.ts";
import { PciDevice } from "../device.ts";
import { DmaFault } from "../dma.ts";

/** CTRL: resets the device. */
const CTRL_RST = 1 << 26;
/** EECD: the EEPROM was read. */
const EECD_AUTO_RD = 1 << 9;
/** MDIC: what is wanted of the PHY, and that it is done. */
const MDIC = { read: 2 << 26, write: 1 << 26, ready: 1 << 28 };
/** RCTL and TCTL: on. */
const ENABLE = 1 << 1;
/** RCTL: frames that are sent come back. */
const RCTL_LOOPBACK = 1 << 6;
/** RXDCTL and TXDCTL: the queue is on. */
const QUEUE_ENABLE = 1 << 25;
/** IVAR0: the entry of the first queue that receives counts, and its vector. */
const IVAR = { valid: 0x80, vector: 0x1f };
/** Bytes of a descriptor. */
const DESCRIPTOR = 16;
/** Status in a descriptor that is written back: done, and the end of a frame. */
const DONE = 0x3;
/** The longest ring, bytes. */
const RING_MAX = 2 ** 16;
/** STATUS of a device with a link, as QEMU's has it. */
const LINK_UP = 0x80080481;

/** Virtual functions that it can have, as the driver of the 82576 allows. */
export const IGB_VFS = 7;

/** One of its virtual functions: it can be opened and mapped, and sends nothing. */
class IgbVirtual extends PciDevice {
  constructor() {
    super({
      vendor: 0x8086,
      device: 0x10ca,
      class: 0x020000,
      revision: 1,
      bars: [
        { size: 0x4000, wide: true, prefetchable: true },
        undefined,
        undefined,
        { size: 0x4000, wide: true, prefetchable: true },
      ],
      msi: 0,
      msix: { vectors: 3, bar: 3, table: 0, pending: 0x2000 },
    });
    this.registers(0, { STATUS: { at: 8, reset: LINK_UP, readOnly: true } });
  }
}

/** The device. */
export class Igb extends PciDevice {
  readonly #phy = new Uint16Array(32);
  readonly #registers = this.registers(0, {
    CTRL: { at: 0x0000, write: (value) => this.#control(value) },
    STATUS: { at: 0x0008, reset: LINK_UP, readOnly: true },
    EECD: { at: 0x0010, reset: EECD_AUTO_RD },
    CTRL_EXT: { at: 0x0018 },
    MDIC: { at: 0x0020, write: (value) => this.#phyAccess(value) },
    IMC: { at: 0x00d8, write: () => this.#registers.set("IMC", 0) },
    RCTL: { at: 0x0100 },
    TCTL: { at: 0x0400 },
    GPIE: { at: 0x1514 },
    // As a driver stores these: one look may find what all of them were told.
    EICR: {
      at: 0x1580,
      write: (value, old) => this.#registers.set("EICR", old & ~value),
    },
    EICS: { at: 0x1520, write: (value) => this.#trigger(value) },
    EIMS: {
      at: 0x1524,
      write: (value, old) => this.#unmask((value | old) >>> 0, value),
    },
    EIMC: { at: 0x1528, write: (value) => this.#mask(value) },
    EIAC: { at: 0x152c },
    EIAM: { at: 0x1530 },
    IVAR0: { at: 0x1700 },
    GCR: { at: 0x5b00 },
    RDBA: { at: 0x2800, bytes: 8 },
    RDLEN: { at: 0x2808 },
    SRRCTL: { at: 0x280c },
    RDH: { at: 0x2810 },
    RDT: { at: 0x2818 },
    RXDCTL: { at: 0x2828 },
    TDBA: { at: 0x3800, bytes: 8 },
    TDLEN: { at: 0x3808 },
    TDH: { at: 0x3810 },
    TXDCTL: { at: 0x3828 },
    // The last one: what it starts needs all others.
    TDT: { at: 0x3818, write: () => this.#send() },
  });

  /** One with 10 vectors, as QEMU's, and so many virtual functions at most. */
  constructor({ vfs = IGB_VFS }: { readonly vfs?: number } = {}) {
    super({
      ...vfs > 0 && { sriov: { vfs, make: () => new IgbVirtual() } },
      vendor: 0x8086,
      device: 0x10c9,
      class: 0x020000,
      revision: 1,
      bars: [
        { size: 0x20000 },
        { size: 0x20000 },
        { size: 0x20, io: true },
        { size: 0x4000, wide: true },
      ],
      msix: { vectors: 10, bar: 3, table: 0, pending: 0x2000 },
    });
  }

  #control(value: number): void {
    if (value & CTRL_RST) this.resetRegisters();
  }

  #phyAccess(value: number): void {
    const register = value >> 16 & 0x1f;
    let data = value & 0xffff;
    if (value & MDIC.write) this.#phy[register] = data;
    if (value & MDIC.read) data = this.#phy[register]!;
    const rest = value & ~0xffff | MDIC.ready;
    this.#registers.set("MDIC", (rest | data) >>> 0);
  }

  /** Causes of interrupts that are not masked are sent, each as its vector. */
  #trigger(causes: number): void {
    const registers = this.#registers;
    registers.set("EICS", 0);
    const mask = registers.get("EIMS");
    const sent = causes & mask;
    registers.set(
      "EICR",
      (registers.get("EICR") | causes) & ~(sent & registers.get("EIAC")),
    );
    registers.set("EIMS", mask & ~(sent & registers.get("EIAM")));
    for (let vector = 0; vector < this.msix!.vectors; vector++) {
      if (sent >> vector & 1) this.msi(vector);
    }
  }

  /** Bits that are written as ones are added to the mask of what may interrupt; what waited for that is sent. */
  #unmask(mask: number, added: number): void {
    this.#registers.set("EIMS", mask);
    const waiting = this.#registers.get("EICR") & added;
    if (waiting !== 0) this.#trigger(waiting);
  }

  #mask(bits: number): void {
    const registers = this.#registers;
    registers.set("EIMC", 0);
    registers.set("EIMS", registers.get("EIMS") & ~bits);
  }

  /** Sends what is between the head and the tail of the ring. */
  #send(): void {
    const registers = this.#registers;
    const count = ringOf(registers.get("TDLEN"));
    const tail = registers.get("TDT");
    let head = registers.get("TDH");
    const on = registers.get("TCTL") & ENABLE &&
      registers.get("TXDCTL") & QUEUE_ENABLE;
    if (!on || tail >= count || head >= count) return;
    let received = false;
    for (; head !== tail; head = (head + 1) % count) {
      if (this.#sendOne(head)) received = true;
    }
    registers.set("TDH", head);
    const entry = registers.get("IVAR0");
    if (received && entry & IVAR.valid) {
      this.#trigger(1 << (entry & IVAR.vector));
    }
  }

  /** Sends one frame; returns whether it came back. */
  #sendOne(head: number): boolean {
    const descriptor = new Uint8Array(DESCRIPTOR);
    const at = this.#registers.get("TDBA") + head * DESCRIPTOR;
    try {
      this.dma.read(at, descriptor);
      const frame = new Uint8Array(numberOf(descriptor, 8, 2));
      this.dma.read(numberOf(descriptor, 0, 8), frame);
      return this.#receive(frame);
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      return false;
    }
  }

  /** Takes a frame in, if there is a descriptor for it. Throws {@link DmaFault}. */
  #receive(frame: Uint8Array): boolean {
    const registers = this.#registers;
    const count = ringOf(registers.get("RDLEN"));
    const head = registers.get("RDH");
    const control = registers.get("RCTL");
    const on = control & ENABLE && control & RCTL_LOOPBACK &&
      registers.get("RXDCTL") & QUEUE_ENABLE;
    if (!on || head >= count || head === registers.get("RDT")) return false;
    const descriptor = new Uint8Array(DESCRIPTOR);
    const at = registers.get("RDBA") + head * DESCRIPTOR;
    this.dma.read(at, descriptor);
    this.dma.write(numberOf(descriptor, 0, 8), frame);
    descriptor.fill(0);
    store(descriptor, 8, 4, DONE);
    store(descriptor, 12, 2, frame.length);
    this.dma.write(at, descriptor);
    registers.set("RDH", (head + 1) % count);
    return true;
  }
}

/** Descriptors of a ring of so many bytes. */
function ringOf(bytes: number): number {
  return Math.floor(Math.min(bytes, RING_MAX) / DESCRIPTOR);
}
