// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver of the 82576, in loop-back: it has the device copy memory, frame by
 * frame, and send interrupts.
 *
 * What the C driver waits for by the clock is looked for here again and again:
 * a look takes its time where the device has a clock of its own.
 *
 * Linux: tools/testing/selftests/vfio/lib/drivers/igb/igb.c.
 *
 * @module
 */

import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  AssertionFailure,
  assertOk,
  type TargetProcess,
} from "../harness/harness.ts";
import { call } from "../target/verbs.ts";
import { IRQ, REGION, SET, VFIO, type VfioFile } from "./vfio_ioctls.ts";

/** Registers. */
const R = {
  CTRL: 0x0000,
  STATUS: 0x0008,
  EECD: 0x0010,
  CTRL_EXT: 0x0018,
  MDIC: 0x0020,
  IMC: 0x00d8,
  RCTL: 0x0100,
  TCTL: 0x0400,
  GPIE: 0x1514,
  EICS: 0x1520,
  EIMS: 0x1524,
  EIMC: 0x1528,
  EIAC: 0x152c,
  EIAM: 0x1530,
  EICR: 0x1580,
  IVAR0: 0x1700,
  RDBAL: 0x2800,
  SRRCTL: 0x280c,
  RXDCTL: 0x2828,
  TDBAL: 0x3800,
  RDT: 0x2818,
  TDT: 0x3818,
  TXDCTL: 0x3828,
  GCR: 0x5b00,
} as const;

/** CTRL: reset; and what forces a link of 1000 Mbit/s, full duplex. */
const CTRL = {
  reset: 1 << 26,
  speed: 3 << 8,
  link: 1 << 0 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 12,
};
/** STATUS: there is a link. */
const STATUS_LU = 1 << 1;
/** EECD: the EEPROM was read. */
const EECD_AUTO_RD = 1 << 9;
/** CTRL_EXT: a driver is there; the mode of the link. */
const CTRL_EXT = { loaded: 1 << 28, linkMode: 3 << 22 };
/** MDIC: register 0 of the PHY is to be written; that is done, or failed. */
const MDIC = { write: 1 << 21 | 1 << 26, ready: 1 << 28, error: 1 << 30 };
/** BMCR: negotiate anew; then loop back at 1000 Mbit/s, full duplex. */
const PHY_MODES = [0x1200, 0x4140] as const;
/** GCR: requests that are not answered are made again. */
const GCR_RESEND = 1 << 16;
/** RXDCTL and TXDCTL: the queue is on. */
const QUEUE_ENABLE = 1 << 25;
/** RCTL: EN, UPE, MPE, LBM_MAC, BAM, SECRC. TCTL: EN, PSP. */
const RCTL = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15 | 1 << 26;
const TCTL = 1 << 1 | 1 << 3;
/** GPIE: MSI-X, and EIAM counts for messages. */
const GPIE = 1 << 4 | 1 << 30;
/** A descriptor that sends: DTYP data, DEXT, IFCS, EOP. */
const SEND = 3 << 20 | 1 << 29 | 1 << 25 | 1 << 24;
/** Command: memory, bus master. */
const COMMAND = 6;

/** Bytes of the mapped BAR. */
const BAR_SIZE = 0x20000;
/** Bytes of a descriptor. */
const DESCRIPTOR = 16;
/** How often a register is looked at before the driver gives up. */
const PATIENCE = 5000;
/** How often a descriptor is. */
const COPY_PATIENCE = 400;
/** How often the EEPROM is waited for: QEMU's device never says that it was read. */
const EEPROM_PATIENCE = 20;

/** Memory of the driver's, which is mapped for the device. */
export interface DriverMemory {
  /** Its address: the ring that receives, and behind it the one that sends. */
  readonly memory: number;
  /** Where it is mapped. */
  readonly iova: number;
  /** Descriptors of a ring, a multiple of 8. */
  readonly ring: number;
}

/** The device while the driver has it. */
export class IgbDriver {
  /** Bytes that a frame can carry, and frames at a time of a ring of 4096. */
  static readonly MAX = { size: 1024, count: 4095 } as const;
  readonly #device: VfioFile;
  readonly #bar: number;
  readonly #memory: DriverMemory;
  #tail = 0;

  private constructor(device: VfioFile, bar: number, memory: DriverMemory) {
    this.#device = device;
    this.#bar = bar;
    this.#memory = memory;
  }

  /** Resets the device and sets it up. Interrupts are the caller's. */
  static async start(
    device: VfioFile,
    memory: DriverMemory,
  ): Promise<IgbDriver> {
    const bar = await device.process.mmap(
      0,
      BAR_SIZE,
      PROT_READ | PROT_WRITE,
      MAP_SHARED,
      device.fd,
      REGION.BAR0,
    );
    assertOk(bar, "mmap of the registers");
    const driver = new IgbDriver(device, bar, memory);
    await driver.#reset();
    await driver.#init();
    return driver;
  }

  /** The process that it runs in. */
  get #process(): TargetProcess {
    return this.#device.process;
  }

  /** Lets the device go. */
  async stop(): Promise<void> {
    await this.#write(R.RCTL, 0);
    await this.#write(R.TCTL, 0);
    await this.#reset();
    assertEq(await this.#process.munmap(this.#bar, BAR_SIZE), 0, "munmap");
  }

  /**
   * Copies `length` bytes, 60 to 1024, from one IOVA to another. Returns
   * whether the device said so.
   */
  async copy(source: number, target: number, length: number): Promise<boolean> {
    await this.startCopies(source, target, length, 1);
    return await this.waitForCopies();
  }

  /** Starts the same copy `count` times. */
  async startCopies(
    source: number,
    target: number,
    length: number,
    count: number,
  ): Promise<void> {
    await this.#write(R.EIMC, 1);
    const { ring } = this.#memory;
    const rx = new Uint8Array(DESCRIPTOR);
    new DataView(rx.buffer).setBigUint64(0, BigInt(target), true);
    const tx = new Uint8Array(DESCRIPTOR);
    const view = new DataView(tx.buffer);
    view.setBigUint64(0, BigInt(source), true);
    view.setUint32(8, length | SEND, true);
    view.setUint32(12, length << 14, true);
    const pokes = [];
    for (let i = 0; i < count; i++) {
      pokes.push(call("poke", this.#descriptor(this.#tail), rx));
      pokes.push(call("poke", this.#descriptor(ring + this.#tail), tx));
      this.#tail = (this.#tail + 1) % ring;
    }
    await this.#process.batch(pokes);
    await this.#write(R.RDT, this.#tail);
    await this.#write(R.TDT, this.#tail);
  }

  /** Waits for the last copy. Returns whether the device said that it is done. */
  async waitForCopies(): Promise<boolean> {
    const { ring } = this.#memory;
    const last = this.#descriptor((this.#tail + ring - 1) % ring);
    const done = await this.#isDone(last);
    await this.#write(R.EICR, 0xffffffff);
    await this.#write(R.EIMS, 1);
    return done;
  }

  /** Has the device send the message of vector 0. */
  async interrupt(): Promise<void> {
    await this.#write(R.EICS, 1);
  }

  /** After a copy that failed: resets the device and sets it up again, with an eventfd for its message. */
  async recover(eventfd: number): Promise<void> {
    const ret = await this.#process.ioctlArg(this.#device.fd, VFIO.RESET, 0);
    assertEq(ret, 0, "RESET");
    await this.#device.setIrqs(
      { flags: SET.EVENTFD | SET.TRIGGER, index: IRQ.MSIX, count: 1 },
      [eventfd],
    );
    await this.#init();
  }

  /** The address of a descriptor of the ring that receives, or behind it. */
  #descriptor(index: number): number {
    return this.#memory.memory + index * DESCRIPTOR;
  }

  async #reset(): Promise<void> {
    await this.#write(R.CTRL, await this.#read(R.CTRL) | CTRL.reset);
    if (!await this.#has(R.EECD, EECD_AUTO_RD, EEPROM_PATIENCE)) {
      const control = await this.#read(R.CTRL);
      assertEq(control & CTRL.reset, 0, "a reset that is not over");
    }
    await this.#write(R.IMC, 0xffffffff);
  }

  async #init(): Promise<void> {
    const extended = await this.#read(R.CTRL_EXT) & ~CTRL_EXT.linkMode;
    await this.#write(R.CTRL_EXT, extended | CTRL_EXT.loaded);
    const command = await this.#device.config(4, 2);
    await this.#device.setConfig(4, 2, command | COMMAND);
    await this.#loopBack();
    await this.#write(R.GCR, await this.#read(R.GCR) & ~GCR_RESEND);
    const { iova, ring } = this.#memory;
    await this.#setRing(R.TDBAL, iova + ring * DESCRIPTOR);
    await this.#write(R.TXDCTL, QUEUE_ENABLE);
    await this.#setRing(R.RDBAL, iova);
    await this.#write(R.SRRCTL, 1 << 25);
    await this.#write(R.RXDCTL, QUEUE_ENABLE);
    await this.#write(R.RCTL, RCTL);
    await this.#write(R.TCTL, TCTL);
    await this.#until(R.TXDCTL, QUEUE_ENABLE);
    await this.#until(R.RXDCTL, QUEUE_ENABLE);
    await this.#write(R.GPIE, GPIE);
    await this.#write(R.EIAC, 1);
    await this.#write(R.EIAM, 1);
    await this.#write(R.IVAR0, 0x80);
    await this.#write(R.EIMS, 1);
    this.#tail = 0;
  }

  /** What is sent comes back, once there is a link. */
  async #loopBack(): Promise<void> {
    for (const mode of PHY_MODES) {
      await this.#write(R.MDIC, mode | MDIC.write);
      await this.#until(R.MDIC, MDIC.ready);
      assertEq(await this.#read(R.MDIC) & MDIC.error, 0, "an error of the PHY");
    }
    await this.#until(R.STATUS, STATUS_LU);
    const control = await this.#read(R.CTRL) & ~CTRL.speed;
    await this.#write(R.CTRL, control | CTRL.link);
  }

  async #setRing(base: number, iova: number): Promise<void> {
    await this.#write(base, iova % 2 ** 32);
    await this.#write(base + 4, Math.floor(iova / 2 ** 32));
    await this.#write(base + 8, this.#memory.ring * DESCRIPTOR);
    await this.#write(base + 0x10, 0);
    await this.#write(base + 0x18, 0);
  }

  async #read(offset: number): Promise<number> {
    const bytes = await this.#process.peek(this.#bar + offset, 4);
    return new DataView(bytes.buffer).getUint32(0, true);
  }

  async #write(offset: number, value: number): Promise<void> {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    await this.#process.poke(this.#bar + offset, bytes);
  }

  /** Whether a register gets a bit while it is looked at `times` times. */
  async #has(offset: number, bit: number, times: number): Promise<boolean> {
    for (let left = times; left > 0; left--) {
      if ((await this.#read(offset) & bit) !== 0) return true;
    }
    return false;
  }

  async #until(offset: number, bit: number): Promise<void> {
    if (await this.#has(offset, bit, PATIENCE)) return;
    const register = `0x${offset.toString(16)}`;
    throw new AssertionFailure(`register ${register}`, `bit ${bit}`, "never");
  }

  /** Whether a descriptor that receives comes back. */
  async #isDone(address: number): Promise<boolean> {
    for (let left = COPY_PATIENCE; left > 0; left--) {
      const [status] = await this.#process.peek(address + 8, 1);
      if ((status! & 1) !== 0) return true;
    }
    return false;
  }
}
