// SPDX-License-Identifier: GPL-2.0-only

/**
 * An Ethernet controller of Intel's, the 82576, as far as the driver of the
 * kernel's VFIO selftests and that of DPDK use it: four queues each way, with
 * nobody at the other end of the wire, or a plug that leads back. In loop-back
 * and with such a plug, frames come back, all to the first queue, whatever
 * their address is.
 *
 * A frame whose memory cannot be reached is dropped: nothing is written back
 * for it. Frames are counted, but reading a counter does not clear it, as a
 * load from mapped memory is not seen; nor does reading a cause of interrupts.
 *
 * Linux: tools/testing/selftests/vfio/lib/drivers/igb; the registers are those
 * of drivers/net/ethernet/intel/igb/e1000_regs.h.
 *
 * @module
 */

import { PciDevice } from "../../device.ts";
import type { PciFunction } from "../../function.ts";
import { Nvm } from "./nvm.ts";
import { Phy } from "./phy.ts";
import {
  ADDRESS_VALID,
  CFG_DONE,
  CTRL,
  EECD,
  EERD,
  ENABLE,
  IVAR,
  MDIC,
  QUEUE_ENABLE,
  QUEUES,
  RCTL_LOOPBACK,
  STATUS,
} from "./registers.ts";
import { Receiver, type Ring, send, type Traffic } from "./rings.ts";
import { IGB_VFS, IgbVirtual } from "./virtual.ts";

/** The address of the port, but for its last byte; it is nobody's. */
const ADDRESS = [0x02, 0x49, 0x47, 0x42, 0x00];

/** How a controller is made. */
export interface IgbOptions {
  /** Virtual functions that it has at most; default 7. */
  readonly vfs?: number;
  /** Where its wire leads: `loop` for a plug that leads all frames back; default to nobody. */
  readonly wire?: "loop";
}

/** The device. */
export class Igb extends PciDevice {
  #nvm = new Nvm(new Uint8Array([...ADDRESS, 0]));
  readonly #phy = new Phy(() => this.#setStatus(STATUS.linkUp, true));
  readonly #registers = this.registers(0, {
    CTRL: { at: 0x0000, write: (value) => this.#control(value) },
    STATUS: { at: 0x0008, reset: STATUS.initial, readOnly: true },
    EECD: {
      at: 0x0010,
      reset: EECD,
      write: (value) => this.#registers.set("EECD", (value | EECD) >>> 0),
    },
    EERD: { at: 0x0014, write: (value) => this.#readNvm(value) },
    CTRL_EXT: { at: 0x0018 },
    MDIC: { at: 0x0020, write: (value) => this.#phyAccess(value) },
    IMS: {
      at: 0x00d0,
      write: (value, old) => this.#registers.set("IMS", (value | old) >>> 0),
    },
    IMC: { at: 0x00d8, write: (value) => this.#maskCauses(value) },
    RCTL: { at: 0x0100 },
    TCTL: { at: 0x0400 },
    EEMNGCTL: { at: 0x1010, reset: CFG_DONE },
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
    IVAR: { at: 0x1700, count: 8 },
    RXPBS: { at: 0x2404, reset: 0x40 },
    TXPBS: { at: 0x3404, reset: 0x28 },
    GPRC: { at: 0x4074 },
    GPTC: { at: 0x4080 },
    GORC: { at: 0x4088, bytes: 8 },
    GOTC: { at: 0x4090, bytes: 8 },
    MPC: { at: 0x4010 },
    RAL: { at: 0x5400 },
    RAH: { at: 0x5404 },
    GCR: { at: 0x5b00 },
    RDBA: { at: 0x2800, bytes: 8, ...QUEUES },
    RDLEN: { at: 0x2808, ...QUEUES },
    SRRCTL: { at: 0x280c, ...QUEUES },
    RDH: { at: 0x2810, ...QUEUES },
    RDT: { at: 0x2818, ...QUEUES },
    RXDCTL: { at: 0x2828, ...QUEUES },
    TDBA: { at: 0x3800, bytes: 8, ...QUEUES },
    TDLEN: { at: 0x3808, ...QUEUES },
    TDH: { at: 0x3810, ...QUEUES },
    TXDCTL: { at: 0x3828, ...QUEUES },
    // The last one: what it starts needs all others.
    TDT: {
      at: 0x3818,
      ...QUEUES,
      write: (_value, _old, queue) => this.#send(queue),
    },
  });

  readonly #loops: boolean;

  /** One with 10 vectors, as QEMU's. */
  constructor({ vfs = IGB_VFS, wire }: IgbOptions = {}) {
    super({
      ...vfs > 0 && { sriov: { vfs, make: () => new IgbVirtual() } },
      vendor: 0x8086,
      device: 0x10c9,
      class: 0x020000,
      revision: 1,
      // Those of QEMU.
      subsystemVendor: 0x1af4,
      subsystem: 0x1100,
      bars: [
        { size: 0x20000 },
        { size: 0x20000 },
        { size: 0x20, io: true },
        { size: 0x4000, wide: true },
      ],
      msix: { vectors: 10, bar: 3, table: 0, pending: 0x2000 },
    });
    this.#loops = wire === "loop";
  }

  /** Puts it into a machine: its place there makes its address. */
  override plug(into: PciFunction): void {
    super.plug(into);
    const address = new Uint8Array([...ADDRESS, into.devfn]);
    this.#nvm = new Nvm(address);
    this.#loadAddress();
  }

  /** The registers are as in the beginning, and the address of the port is read anew. */
  protected override resetRegisters(): void {
    super.resetRegisters();
    this.#phy.reset();
    this.#loadAddress();
  }

  #loadAddress(): void {
    const word = (at: number) => this.#nvm.read(at);
    this.#registers.set("RAL", word(0) + word(1) * 2 ** 16);
    this.#registers.set("RAH", word(2) + ADDRESS_VALID);
  }

  #control(value: number): void {
    if (value & CTRL.reset) this.resetRegisters();
    else this.#setStatus(STATUS.master, (value & CTRL.noMaster) === 0);
    if (value & CTRL.resetPhy) this.#phy.reset();
  }

  #setStatus(bit: number, on: boolean): void {
    const status = this.#registers.get("STATUS");
    this.#registers.set("STATUS", (on ? status | bit : status & ~bit) >>> 0);
  }

  #readNvm(value: number): void {
    if ((value & EERD.start) === 0) return;
    const word = this.#nvm.read(value >> 2 & 0x3fff);
    const rest = value & 0xfffc | EERD.done;
    this.#registers.set("EERD", word * 2 ** 16 + rest);
  }

  #phyAccess(value: number): void {
    const register = value >> 16 & 0x1f;
    const phy = this.#phy;
    let rest = value & ~0xffff | MDIC.ready;
    let data = value & 0xffff;
    if (!phy.isAt(value >> 21 & 0x1f)) rest |= MDIC.error;
    else if (value & MDIC.write) phy.write(register, data);
    else if (value & MDIC.read) data = phy.read(register);
    this.#registers.set("MDIC", (rest | data) >>> 0);
  }

  #maskCauses(bits: number): void {
    const registers = this.#registers;
    registers.set("IMC", 0);
    registers.set("IMS", (registers.get("IMS") & ~bits) >>> 0);
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

  /** Sends what is between the head and the tail of a ring. */
  #send(queue: number): void {
    const registers = this.#registers;
    const isOn = registers.get("TCTL") & ENABLE &&
      registers.get("TXDCTL", queue) & QUEUE_ENABLE;
    if (!isOn) return;
    const receiver = this.#receiver();
    const { head, reported, sent } = send(
      this.dma,
      this.#ringOf("T", queue),
      (frame) => receiver?.take(frame),
    );
    registers.set("TDH", head, queue);
    this.#count("GPTC", "GOTC", sent);
    let causes = reported ? this.#causeOf(queue, 8) : 0;
    if (receiver !== undefined) {
      receiver.flush();
      registers.set("RDH", receiver.head);
      registers.set("MPC", (registers.get("MPC") + receiver.missed) >>> 0);
      this.#count("GPRC", "GORC", receiver.received);
      if (receiver.received.frames > 0) causes |= this.#causeOf(0, 0);
    }
    if (causes !== 0) this.#trigger(causes);
  }

  /** The cause of interrupts of a queue: `shift` says which of the entries of its IVAR is meant. */
  #causeOf(queue: number, shift: number): number {
    const entry = this.#registers.get("IVAR", queue) >> shift;
    return entry & IVAR.valid ? 1 << (entry & IVAR.vector) : 0;
  }

  #ringOf(kind: "R" | "T", queue: number): Ring {
    const registers = this.#registers;
    return {
      base: registers.get(`${kind}DBA`, queue),
      length: registers.get(`${kind}DLEN`, queue),
      head: registers.get(`${kind}DH`, queue),
      tail: registers.get(`${kind}DT`, queue),
    };
  }

  /** Who takes frames that come back, if they do. */
  #receiver(): Receiver | undefined {
    const registers = this.#registers;
    const control = registers.get("RCTL");
    const comesBack = this.#loops || (control & RCTL_LOOPBACK) !== 0;
    const isOn = control & ENABLE && registers.get("RXDCTL") & QUEUE_ENABLE;
    if (!comesBack || !isOn) return undefined;
    const buffer = (registers.get("SRRCTL") & 0x7f) * 1024;
    return new Receiver(this.dma, this.#ringOf("R", 0), buffer);
  }

  #count(
    frames: "GPRC" | "GPTC",
    bytes: "GORC" | "GOTC",
    traffic: Traffic,
  ): void {
    const registers = this.#registers;
    registers.set(frames, (registers.get(frames) + traffic.frames) >>> 0);
    registers.set(bytes, registers.get(bytes) + traffic.bytes);
  }
}
