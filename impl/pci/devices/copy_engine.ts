// SPDX-License-Identifier: GPL-2.0-only

/**
 * A copy engine, for who writes a first test with DMA. It is no hardware's:
 * its registers are on one page, copy_engine.md.
 *
 * @module
 */

import { IOMMU_READ } from "../../iommu/domain.ts";
import { EINVAL } from "../../uapi/errno.ts";
import { numberOf } from "../bytes.ts";
import { PciDevice } from "../device.ts";
import { DmaFault } from "../../iommu/hardware/dma.ts";

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

/** Status: a page was asked for, and the command waits for the answer; FAULT is where. */
export const COPY_STATUS_WAITING = 8;

/** log2 of its PASIDs. */
const PASID_BITS = 16;

/** Bytes that are filled at a time. */
const CHUNK = 4096;
/** Bytes of its registers' BAR. */
const BAR_SIZE = 4096;

/** How a copy engine is made. */
export interface CopyEngineOptions {
  /** Virtual functions at most, which are copy engines too; default none. */
  readonly vfs?: number;
  /** Whether it asks for pages that are not mapped; default false. */
  readonly pri?: boolean;
  /** The bytes of its expansion ROM; default none. */
  readonly rom?: Uint8Array;
}

/** A command that is carried out. */
interface Transfer {
  readonly command: number;
  readonly source: number;
  readonly target: number;
  readonly length: number;
  readonly pasid: number;
  /** Bytes that are done. */
  done: number;
}

/** The device. */
export class CopyEngine extends PciDevice {
  #running = true;
  readonly #registers = this.registers(0, {
    ID: { at: 0x00, reset: COPY_ENGINE_ID, readOnly: true },
    STATUS: { at: 0x04, readOnly: true },
    COMMAND: { at: 0x08, write: (command) => this.#start(command) },
    VECTOR: { at: 0x0c },
    SOURCE: { at: 0x10, bytes: 8 },
    TARGET: { at: 0x18, bytes: 8 },
    LENGTH: { at: 0x20 },
    PASID: { at: 0x24 },
    FAULT: { at: 0x28, bytes: 8, readOnly: true },
    COUNT: { at: 0x30, readOnly: true },
  });

  /** The command that waits for a page. */
  #waiting: Transfer | undefined;

  /** A copy engine with 16 vectors. */
  constructor({ vfs = 0, pri = false, rom }: CopyEngineOptions = {}) {
    super({
      ...rom && { rom },
      ...vfs > 0 && { sriov: { vfs, make: () => new CopyEngine() } },
      pasidBits: PASID_BITS,
      pageRequests: pri,
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

  /** A command that came while it had stopped is carried out when it goes on, and one that waited then begins again. */
  #go(running: boolean): void {
    this.#running = running;
    if (running) this.#start(this.#registers.get("COMMAND"));
    else {
      this.#waiting = undefined;
      this.function.pageRequests.forget();
    }
  }

  /** A reset ends what waits. */
  protected override onReset(): void {
    this.#waiting = undefined;
  }

  /** Begins a command, unless one waits. */
  #start(command: number): void {
    const registers = this.#registers;
    if (this.#waiting !== undefined) {
      registers.set("COMMAND", this.#waiting.command);
    } else if (command !== 0 && this.#running) {
      this.#run({
        command,
        source: registers.get("SOURCE"),
        target: registers.get("TARGET"),
        length: registers.get("LENGTH"),
        pasid: registers.get("PASID"),
        done: 0,
      });
    }
  }

  /** Goes on with a command; COMMAND is 0 again when that is over. */
  #run(transfer: Transfer): void {
    const registers = this.#registers;
    try {
      this.#end(transfer, this.#transfer(transfer));
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      const { iova, access } = error;
      const begin = access === IOMMU_READ ? transfer.source : transfer.target;
      transfer.done = iova - begin;
      registers.set("FAULT", iova);
      registers.set("STATUS", COPY_STATUS_WAITING);
      this.#waiting = transfer;
      this.requestPage(error, (granted) => {
        this.#waiting = undefined;
        if (granted) this.#run(transfer);
        else this.#end(transfer, COPY_STATUS_FAULT);
      });
    }
  }

  #end({ command }: Transfer, status: number): void {
    const registers = this.#registers;
    registers.set("STATUS", status);
    registers.set("COUNT", registers.get("COUNT") + 1);
    registers.set("COMMAND", 0);
    if (command & COPY_COMMAND_INTERRUPT) this.msi(registers.get("VECTOR"));
  }

  /** Does what is left of a command; returns its status. Throws {@link DmaFault}. */
  #transfer({ command, source, target, length, pasid, done }: Transfer) {
    if (length > COPY_ENGINE_MAX) return COPY_STATUS_INVALID;
    const left = length - done;
    switch (command & 0xff) {
      case 0:
        return COPY_STATUS_DONE;
      case COPY_COMMAND_COPY:
        this.dma.copy(source + done, target + done, left, pasid);
        return COPY_STATUS_DONE;
      case COPY_COMMAND_FILL:
        this.#fill(source % 256, target + done, left, pasid);
        return COPY_STATUS_DONE;
      default:
        return COPY_STATUS_INVALID;
    }
  }

  #fill(value: number, target: number, length: number, pasid: number): void {
    const chunk = new Uint8Array(Math.min(length, CHUNK)).fill(value);
    for (let done = 0; done < length; done += CHUNK) {
      const part = chunk.subarray(0, Math.min(CHUNK, length - done));
      this.dma.write(target + done, part, pasid);
    }
  }
}
