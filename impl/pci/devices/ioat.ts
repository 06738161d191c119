// SPDX-License-Identifier: GPL-2.0-only

/**
 * A DMA engine of Intel's (I/OAT, of Skylake's servers) with one channel, as
 * the driver of the kernel's VFIO selftests and DPDK's use it: copies and
 * fills by a chain of descriptors.
 *
 * A driver that spins on its status takes what a reset left there for the
 * answer to what it has just stored: each store must be seen at once.
 *
 * Linux: tools/testing/selftests/vfio/lib/drivers/ioat.
 *
 * @module
 */

import { IOMMU_WRITE } from "../../iommu/domain.ts";
import { numberOf, store } from "../bytes.ts";
import { PciDevice } from "../device.ts";
import { DmaFault } from "../../iommu/hardware/dma.ts";

/** log2 of the bytes of a copy: hardware has 20, which the 65535 copies of one store would take a minute for. */
const XFERCAP = 14;
/** CHANERR, in configuration space too, and errors of the device that are not the channel's. */
const CHANERR_INT = 0x180;
const DMAUNCERRSTS = 0x148;
/** INTRCTRL: each channel has its vector. */
const INTRCTRL_MSIX = 8;

/** CHANCMD. */
const COMMAND = { suspend: 0x04, abort: 0x08, resume: 0x10, reset: 0x20 };
/** CHANCTRL: interrupts are let through, also for errors; errors are told to CHANCMP. */
const CONTROL = { rearm: 0x1, completesErrors: 0x4, interruptsErrors: 0x10 };
/** CHANSTS, its lowest three bits. */
const STATUS = { active: 0, done: 1, suspended: 2, halted: 3, armed: 4 };
/** CHANERR. */
const ERROR = {
  next: 0x4,
  alignment: 0x8,
  read: 0x100,
  write: 0x200,
  control: 0x400,
  length: 0x800,
  completion: 0x1000,
};
/** Bytes of a descriptor, and its bits. */
const DESCRIPTOR = 64;
const INTERRUPT = 0x1;
const WRITES_COMPLETION = 0x8;
const NULL = 0x20;
const OP = { copy: 0, fill: 1 };
/** Bytes that are filled at a time. */
const CHUNK = 4096;

/** A descriptor cannot be carried out, for a bit of CHANERR. */
class ChannelError extends Error {
  readonly bit: number;

  constructor(bit: number) {
    super();
    this.bit = bit;
  }
}

/** The device. */
export class Ioat extends PciDevice {
  readonly #registers = this.registers(0, {
    CHANCNT: { at: 0x00, bytes: 1, reset: 1, readOnly: true },
    XFERCAP: { at: 0x01, bytes: 1, reset: XFERCAP, readOnly: true },
    INTRCTRL: { at: 0x03, bytes: 1 },
    VER: { at: 0x08, bytes: 1, reset: 0x33, readOnly: true },
    CHANCTRL: { at: 0x80, bytes: 2 },
    CHANCMD: { at: 0x84, bytes: 1, write: (value) => this.#command(value) },
    CHANSTS: { at: 0x88, bytes: 8, reset: STATUS.halted, readOnly: true },
    CHAINADDR: { at: 0x90, bytes: 8, write: (value) => this.#arm(value) },
    CHANCMP: { at: 0x98, bytes: 8 },
    CHANERR: {
      at: 0xa8,
      write: (value, old) =>
        this.#registers.set("CHANERR", (old & ~value) >>> 0),
    },
    DMACOUNT: { at: 0x86, bytes: 2, write: (value) => this.#go(value) },
  });

  /** The next descriptor, and how many were done since its chain was set. */
  #next = 0;
  #done = 0;
  readonly #descriptor = new Uint8Array(DESCRIPTOR);

  /** One with a vector. */
  constructor() {
    super({
      vendor: 0x8086,
      device: 0x2021,
      class: 0x088000,
      bars: [{ size: 0x4000 }],
      msix: 1,
      seesStores: true,
    });
    for (const at of [DMAUNCERRSTS, CHANERR_INT]) {
      this.config.declare(at, 4, 0, 0, -1);
    }
  }

  #command(value: number): void {
    const registers = this.#registers;
    registers.set("CHANCMD", 0);
    const isHalted = registers.get("CHANSTS") % 8 === STATUS.halted;
    if (value & COMMAND.reset) {
      registers.set("CHANSTS", STATUS.halted);
      registers.set("DMACOUNT", 0);
      this.#done = 0;
    } else if (value & COMMAND.abort) this.#setStatus(STATUS.halted);
    else if (isHalted) return;
    else if (value & COMMAND.suspend) this.#setStatus(STATUS.suspended);
    else if (value & COMMAND.resume) this.#setStatus(STATUS.done);
  }

  /** A chain begins. */
  #arm(address: number): void {
    const registers = this.#registers;
    if (registers.get("CHANERR") !== 0) return;
    this.#next = address;
    this.#done = 0;
    registers.set("CHANSTS", STATUS.armed);
  }

  /** Carries descriptors out until so many of the chain were, in 16 bits. */
  #go(count: number): void {
    const registers = this.#registers;
    if (registers.get("CHANSTS") % 8 === STATUS.halted) return;
    try {
      while (this.#done !== count) {
        const at = this.#next;
        const control = this.#one(at);
        this.#done = (this.#done + 1) % 2 ** 16;
        const isLast = this.#done === count;
        const status = isLast ? STATUS.done : STATUS.active;
        registers.set("CHANSTS", at + status);
        if (control & WRITES_COMPLETION) this.#complete();
        if (control & INTERRUPT) this.#interrupt();
      }
      this.#setStatus(STATUS.done);
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#fail(error.bit);
    }
  }

  /** Carries a descriptor out; returns its control bits. Throws {@link ChannelError}. */
  #one(at: number): number {
    const descriptor = this.#descriptor;
    if (at % DESCRIPTOR !== 0) throw new ChannelError(ERROR.alignment);
    tried(ERROR.next, () => this.dma.read(at, descriptor));
    const size = numberOf(descriptor, 0, 4);
    const control = numberOf(descriptor, 4, 4);
    const source = numberOf(descriptor, 8, 8);
    const target = numberOf(descriptor, 16, 8);
    this.#next = numberOf(descriptor, 24, 8);
    if (control & NULL) return control;
    if (size > 2 ** XFERCAP) throw new ChannelError(ERROR.length);
    switch (control >>> 24) {
      case OP.copy:
        tried(ERROR.read, () => this.dma.copy(source, target, size));
        break;
      case OP.fill:
        this.#fill(descriptor.slice(8, 16), target, size);
        break;
      default:
        throw new ChannelError(ERROR.control);
    }
    return control;
  }

  #fill(pattern: Uint8Array, target: number, size: number): void {
    const chunk = new Uint8Array(Math.min(size, CHUNK));
    for (let i = 0; i < chunk.length; i++) chunk[i] = pattern[i % 8]!;
    for (let done = 0; done < size; done += CHUNK) {
      const part = chunk.subarray(0, Math.min(CHUNK, size - done));
      tried(ERROR.write, () => this.dma.write(target + done, part));
    }
  }

  /** Tells CHANSTS to memory. Throws {@link ChannelError}. */
  #complete(): void {
    const { get } = this.#registers;
    const bytes = new Uint8Array(8);
    store(bytes, 0, 8, get("CHANSTS"));
    tried(ERROR.completion, () => this.dma.write(get("CHANCMP"), bytes));
  }

  #interrupt(): void {
    const { get } = this.#registers;
    const isOn = get("CHANCTRL") & CONTROL.rearm &&
      get("INTRCTRL") & INTRCTRL_MSIX;
    if (isOn) this.msi(0);
  }

  /** Stops, and says why. */
  #fail(bit: number): void {
    const registers = this.#registers;
    const errors = registers.get("CHANERR") | bit;
    registers.set("CHANERR", errors);
    this.config.set(CHANERR_INT, 4, errors);
    this.#setStatus(STATUS.halted);
    const control = registers.get("CHANCTRL");
    if (control & CONTROL.completesErrors && bit !== ERROR.completion) {
      try {
        this.#complete();
      } catch (error) {
        if (!(error instanceof ChannelError)) throw error;
      }
    }
    if (control & CONTROL.interruptsErrors) this.#interrupt();
  }

  /** The state, behind the address of what was done last. */
  #setStatus(status: number): void {
    const registers = this.#registers;
    const old = registers.get("CHANSTS");
    registers.set("CHANSTS", old - old % 8 + status);
  }

  /** A reset of the function. */
  protected override onReset(): void {
    this.#next = 0;
    this.#done = 0;
  }
}

/** Does DMA; what is blocked is an error of the channel's: of reading, if `bit` is that and it does not write. */
function tried(bit: number, body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!(error instanceof DmaFault)) throw error;
    const writes = bit === ERROR.read && error.access === IOMMU_WRITE;
    throw new ChannelError(writes ? ERROR.write : bit);
  }
}
