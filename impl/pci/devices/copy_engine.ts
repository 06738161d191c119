// SPDX-License-Identifier: GPL-2.0-only

/**
 * A copy engine, for who writes a first test with DMA. It is no hardware's:
 * its registers are on one page, copy_engine.md.
 *
 * @module
 */

import { EINVAL } from "../../uapi/errno.ts";
import { numberOf } from "../bytes.ts";
import { PciDevice } from "../device.ts";
import { DmaFault } from "../dma.ts";

/** Its vendor id. */
export const COPY_ENGINE_VENDOR = 0x1234;
/** Its device id. */
export const COPY_ENGINE_DEVICE = 0xd3a0;
/** What its first register reads: "DMA1". */
export const COPY_ENGINE_ID = 0x31414d44;
/** The most bytes of one command. */
export const COPY_ENGINE_MAX: number = 2 ** 30;

/** Command: copies LENGTH bytes from SOURCE to TARGET. */
export const COPY_COMMAND_COPY = 1;
/** Command: fills LENGTH bytes at TARGET with the lowest byte of SOURCE. */
export const COPY_COMMAND_FILL = 2;
/** Command, beside another or alone: sends a message when it is done. */
export const COPY_COMMAND_INTERRUPT = 1 << 8;

/** Status: a command was carried out. */
export const COPY_STATUS_DONE = 1;
/** Status: DMA of it was blocked; FAULT is where. */
export const COPY_STATUS_FAULT = 2;
/** Status: there is no such command, or it is too long. */
export const COPY_STATUS_INVALID = 4;

/** Bytes that are filled at a time. */
const CHUNK = 4096;
/** Bytes of its registers' BAR. */
const BAR_SIZE = 4096;

/** The device. */
export class CopyEngine extends PciDevice {
  #running = true;
  readonly #registers = this.registers(0, {
    ID: { at: 0x00, reset: COPY_ENGINE_ID, readOnly: true },
    STATUS: { at: 0x04, readOnly: true },
    COMMAND: { at: 0x08, write: (command) => this.#run(command) },
    VECTOR: { at: 0x0c },
    SOURCE: { at: 0x10, bytes: 8 },
    TARGET: { at: 0x18, bytes: 8 },
    LENGTH: { at: 0x20 },
    PASID: { at: 0x24 },
    FAULT: { at: 0x28, bytes: 8, readOnly: true },
    COUNT: { at: 0x30, readOnly: true },
  });

  /** A copy engine with 16 vectors, and so many virtual functions at most, which are copy engines too; default none. */
  constructor({ vfs = 0 }: { readonly vfs?: number } = {}) {
    super({
      ...vfs > 0 && { sriov: { vfs, make: () => new CopyEngine() } },
      vendor: COPY_ENGINE_VENDOR,
      device: COPY_ENGINE_DEVICE,
      class: 0x088000,
      bars: [{ size: BAR_SIZE }],
      msix: 16,
      logsDma: true,
    });
    this.migration = {
      save: () => this.#save(),
      load: (state) => this.#load(state),
      run: (running) => this.#go(running),
    };
  }

  /** All that it is, is in its registers. */
  #save(): Uint8Array {
    const state = new Uint8Array(BAR_SIZE);
    this.bars[0]!.read(0, state);
    return state;
  }

  #load(state: Uint8Array): void {
    if (
      state.length !== BAR_SIZE || numberOf(state, 0, 4) !== COPY_ENGINE_ID
    ) throw EINVAL.because("the state is of no copy engine");
    this.bars[0]!.write(0, state);
  }

  /** A command that came while it had stopped is carried out when it goes on. */
  #go(running: boolean): void {
    this.#running = running;
    if (running) this.#run(this.#registers.get("COMMAND"));
  }

  /** Carries a command out; COMMAND is 0 again when that is over. */
  #run(command: number): void {
    const registers = this.#registers;
    if (command === 0 || !this.#running) return;
    registers.set("STATUS", this.#transfer(command & 0xff));
    registers.set("COUNT", registers.get("COUNT") + 1);
    registers.set("COMMAND", 0);
    if (command & COPY_COMMAND_INTERRUPT) this.msi(registers.get("VECTOR"));
  }

  #transfer(command: number): number {
    const registers = this.#registers;
    const [source, target] = [registers.get("SOURCE"), registers.get("TARGET")];
    const [length, pasid] = [registers.get("LENGTH"), registers.get("PASID")];
    if (length > COPY_ENGINE_MAX) return COPY_STATUS_INVALID;
    try {
      switch (command) {
        case 0:
          break;
        case COPY_COMMAND_COPY:
          this.dma.copy(source, target, length, pasid);
          break;
        case COPY_COMMAND_FILL:
          this.#fill(source % 256, target, length, pasid);
          break;
        default:
          return COPY_STATUS_INVALID;
      }
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      registers.set("FAULT", error.iova);
      return COPY_STATUS_FAULT;
    }
    return COPY_STATUS_DONE;
  }

  #fill(value: number, target: number, length: number, pasid: number): void {
    const chunk = new Uint8Array(Math.min(length, CHUNK)).fill(value);
    for (let done = 0; done < length; done += CHUNK) {
      const part = chunk.subarray(0, Math.min(CHUNK, length - done));
      this.dma.write(target + done, part, pasid);
    }
  }
}
