// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver of the 82576, in loop-back: it has the device copy memory, frame by
 * frame, and send interrupts.
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
import { REGION, type VfioFile } from "./vfio_ioctls.ts";

/** Registers. */
const R = {
  CTRL: 0x0000,
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
  RDLEN: 0x2808,
  SRRCTL: 0x280c,
  RDH: 0x2810,
  RDT: 0x2818,
  RXDCTL: 0x2828,
  TDBAL: 0x3800,
  TDLEN: 0x3808,
  TDH: 0x3810,
  TDT: 0x3818,
  TXDCTL: 0x3828,
} as const;

/** Bytes of the mapped BAR. */
const BAR_SIZE = 0x20000;
/** Descriptors of a ring, of 16 bytes. */
const RING = 256;
/** How often a register is looked at before the driver gives up. */
const PATIENCE = 2000;

/** The device while the driver has it. */
export class IgbDriver {
  readonly #device: VfioFile;
  readonly #bar: number;
  readonly #memory: number;
  readonly #iova: number;
  #tail = 0;

  private constructor(
    device: VfioFile,
    bar: number,
    memory: number,
    iova: number,
  ) {
    this.#device = device;
    this.#bar = bar;
    this.#memory = memory;
    this.#iova = iova;
  }

  /** Two pages of the process at `memory` are mapped at `iova`: the rings. */
  static async start(
    device: VfioFile,
    memory: number,
    iova: number,
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
    const driver = new IgbDriver(device, bar, memory, iova);
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
    assertEq(await this.#process.munmap(this.#bar, BAR_SIZE), 0, "munmap");
  }

  /**
   * Copies `length` bytes, 60 to 1024 for each frame, from one IOVA to another.
   * Returns whether the device said so.
   */
  async copy(source: number, target: number, length: number): Promise<boolean> {
    await this.#write(R.EIMC, 1);
    const at = this.#tail;
    const rx = new Uint8Array(16);
    new DataView(rx.buffer).setBigUint64(0, BigInt(target), true);
    const tx = new Uint8Array(16);
    const view = new DataView(tx.buffer);
    view.setBigUint64(0, BigInt(source), true);
    // DTYP data, DEXT, IFCS, EOP.
    view.setUint32(8, length | 3 << 20 | 1 << 29 | 1 << 25 | 1 << 24, true);
    view.setUint32(12, length << 14, true);
    await this.#process.poke(this.#memory + at * 16, rx);
    await this.#process.poke(this.#memory + 4096 + at * 16, tx);
    this.#tail = (at + 1) % RING;
    await this.#write(R.RDT, this.#tail);
    await this.#write(R.TDT, this.#tail);
    const done = await this.#isDone(this.#memory + at * 16);
    await this.#write(R.EICR, 0xffffffff);
    await this.#write(R.EIMS, 1);
    return done;
  }

  /** Has the device send the message of vector 0. */
  async interrupt(): Promise<void> {
    await this.#write(R.EICS, 1);
  }

  async #reset(): Promise<void> {
    await this.#write(R.CTRL, await this.#read(R.CTRL) | 1 << 26);
    await this.#until(R.EECD, 1 << 9);
    await this.#write(R.IMC, 0xffffffff);
  }

  async #init(): Promise<void> {
    await this.#write(R.CTRL_EXT, 1 << 28);
    await this.#device.setConfig(4, 2, 6);
    // Restart the negotiation; then loop back at 1000 Mbit/s, full duplex.
    for (const value of [0x1200, 0x4140]) {
      await this.#write(R.MDIC, value | 1 << 21 | 1 << 26);
      await this.#until(R.MDIC, 1 << 28);
    }
    // SLU, FD, FRCSPD, FRCDPX, 1000 Mbit/s.
    await this.#write(R.CTRL, 1 | 1 << 6 | 1 << 9 | 1 << 11 | 1 << 12);
    for (const [base, offset] of [[R.RDBAL, 0], [R.TDBAL, 4096]] as const) {
      await this.#write(base, (this.#iova + offset) % 2 ** 32);
      await this.#write(base + 4, Math.floor(this.#iova / 2 ** 32));
      await this.#write(base + 8, RING * 16);
      await this.#write(base + 0x10, 0);
      await this.#write(base + 0x18, 0);
    }
    await this.#write(R.SRRCTL, 1 << 25);
    for (const control of [R.RXDCTL, R.TXDCTL]) {
      await this.#write(control, 1 << 25);
      await this.#until(control, 1 << 25);
    }
    // EN, UPE, MPE, LBM_MAC, BAM, SECRC.
    const receive = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15 | 1 << 26;
    await this.#write(R.RCTL, receive);
    await this.#write(R.TCTL, 1 << 1 | 1 << 3);
    await this.#write(R.GPIE, 1 << 4 | 1 << 30);
    await this.#write(R.EIAC, 1);
    await this.#write(R.EIAM, 1);
    await this.#write(R.IVAR0, 0x80);
    await this.#write(R.EIMS, 1);
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

  async #until(offset: number, bit: number): Promise<void> {
    for (let left = PATIENCE; left > 0; left--) {
      if ((await this.#read(offset) & bit) !== 0) return;
    }
    const register = `0x${offset.toString(16)}`;
    throw new AssertionFailure(`register ${register}`, `bit ${bit}`, "never");
  }

  /** Whether a descriptor that receives comes back. */
  async #isDone(address: number): Promise<boolean> {
    for (let left = 100; left > 0; left--) {
      const [status] = await this.#process.peek(address + 8, 1);
      if ((status! & 1) !== 0) return true;
    }
    return false;
  }
}
