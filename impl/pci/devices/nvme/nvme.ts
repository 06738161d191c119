// SPDX-License-Identifier: GPL-2.0-only

/**
 * An NVMe drive with one namespace: what drivers in user space need of one
 * (QEMU's block driver, SPDK and others). Memory or a file is behind it.
 *
 * A command whose data cannot be reached has the status "data transfer error";
 * where a queue itself cannot be reached the controller is in the fatal state
 * (CSTS.CFS) until it is reset.
 *
 * @module
 */

import { PciDevice } from "../../device.ts";
import { DmaFault } from "../../dma.ts";
import { numberOf } from "../../bytes.ts";
import {
  Command,
  completion,
  CQE_SIZE,
  eachPart,
  NvmeError,
  SQE_SIZE,
  STATUS,
} from "./commands.ts";
import {
  BLOCK_SIZE,
  identify,
  MAX_ASYNC_EVENTS,
  MAX_TRANSFER_SHIFT,
  VERSION,
} from "./identify.ts";
import { NvmeMemory, type NvmeStorage } from "./storage.ts";

/** Queues of each kind, with the admin queues. */
const QUEUES = 65;
/** Entries of the longest queue. */
const MAX_ENTRIES = 1024;
/** CAP: entries, contiguous queues, 10 s to get ready; the command set, pages up to 64 KiB. */
const CAP = {
  low: MAX_ENTRIES - 1 | 1 << 16 | 20 << 24,
  high: 1 << 5 | 4 << 20,
};
/** CC: on, and that it is to be shut down. */
const CC = { enable: 1, shutdown: 3 << 14 };
/** CSTS: ready, failed, shut down. */
const CSTS = { ready: 1, fatal: 2, shutdown: 2 << 2 };
/** Where doorbells begin. */
const DOORBELLS = 0x1000;

/** A ring of commands. */
interface SubmissionQueue {
  readonly iova: number;
  readonly size: number;
  readonly completions: CompletionQueue;
  head: number;
  tail: number;
}

/** A ring of answers. */
interface CompletionQueue {
  readonly id: number;
  readonly iova: number;
  readonly size: number;
  /** The message that it sends; none if it sends no interrupts. */
  readonly vector: number | undefined;
  head: number;
  tail: number;
  phase: number;
}

/** What features there are, and what they are in the beginning, by number. */
const FEATURES: ReadonlyMap<number, number> = new Map([
  [0x01, 0],
  [0x02, 0],
  [0x04, 0x157],
  [0x05, 0],
  [0x06, 1],
  [0x08, 0],
  [0x09, 0],
  [0x0a, 0],
  [0x0b, 0],
]);
/** Feature: how many queues there are. */
const NUMBER_OF_QUEUES = 0x07;
/** Log pages: errors, health, firmware. */
const LOG_PAGES = new Set([1, 2, 3]);

/** The drive. */
export class NvmeDrive extends PciDevice {
  /** What is behind it. */
  readonly storage: NvmeStorage;
  readonly #submissions: (SubmissionQueue | undefined)[] = [];
  readonly #completions: (CompletionQueue | undefined)[] = [];
  readonly #features = new Map(FEATURES);
  #asyncEvents = 0;
  readonly #registers = this.registers(0, {
    CAP_LOW: { at: 0x00, reset: CAP.low, readOnly: true },
    CAP_HIGH: { at: 0x04, reset: CAP.high, readOnly: true },
    VS: { at: 0x08, reset: VERSION, readOnly: true },
    INTMS: { at: 0x0c, write: (value, old) => this.#mask(old | value) },
    INTMC: {
      at: 0x10,
      write: (value) => this.#mask(this.#registers.get("INTMS") & ~value),
    },
    AQA: { at: 0x24 },
    ASQ: { at: 0x28, bytes: 8 },
    ACQ: { at: 0x30, bytes: 8 },
    CSTS: { at: 0x1c, readOnly: true },
    CC: { at: 0x14, write: (value, old) => this.#configure(value, old) },
    DOORBELL: {
      at: DOORBELLS,
      count: 2 * QUEUES,
      write: (value, _old, index) => this.#ring(index, value),
    },
  });

  /** A drive with so many bytes of memory, or with another storage behind it. */
  constructor(storage: NvmeStorage | number) {
    super({
      vendor: 0x1b36,
      device: 0x0010,
      class: 0x010802,
      revision: 2,
      bars: [{ size: 0x4000, wide: true }],
      msix: QUEUES,
    });
    this.storage = typeof storage === "number"
      ? new NvmeMemory(storage)
      : storage;
  }

  /** It has no queues. */
  protected override onReset(): void {
    this.#forget();
  }

  #forget(): void {
    this.#submissions.length = 0;
    this.#completions.length = 0;
    this.#features.clear();
    for (const [id, value] of FEATURES) this.#features.set(id, value);
    this.#asyncEvents = 0;
    this.#updateIntx();
  }

  #configure(value: number, old: number): void {
    const registers = this.#registers;
    const turnedOn = value & ~old & CC.enable;
    const turnedOff = old & ~value & CC.enable;
    if (turnedOff) {
      this.#forget();
      registers.set("CSTS", 0);
    }
    if (turnedOn) this.#start();
    if (value & CC.shutdown) {
      registers.set("CSTS", registers.get("CSTS") | CSTS.shutdown);
    }
  }

  /** The admin queues are where the registers say. */
  #start(): void {
    const registers = this.#registers;
    const sizes = registers.get("AQA");
    const completions: CompletionQueue = {
      id: 0,
      iova: registers.get("ACQ"),
      size: (sizes >>> 16 & 0xfff) + 1,
      vector: 0,
      head: 0,
      tail: 0,
      phase: 1,
    };
    this.#completions[0] = completions;
    this.#submissions[0] = {
      iova: registers.get("ASQ"),
      size: (sizes & 0xfff) + 1,
      completions,
      head: 0,
      tail: 0,
    };
    registers.set("CSTS", CSTS.ready);
  }

  /** A doorbell: the tail of the commands of a queue, or the head of its answers. */
  #ring(index: number, value: number): void {
    const id = index >> 1;
    if (index % 2 === 0) {
      const queue = this.#submissions[id];
      if (queue === undefined || value >= queue.size) return;
      queue.tail = value;
      this.#run(id, queue);
      return;
    }
    const queue = this.#completions[id];
    if (queue === undefined || value >= queue.size) return;
    queue.head = value;
    this.#updateIntx();
    // What waited for room goes on.
    for (const [id, waiting] of this.#submissions.entries()) {
      if (waiting?.completions === queue) this.#run(id, waiting);
    }
  }

  /** Carries out the commands of a queue as long as there is room for answers. */
  #run(id: number, queue: SubmissionQueue): void {
    const { completions } = queue;
    let answered = false;
    try {
      const bytes = new Uint8Array(SQE_SIZE);
      while (this.#isReady && queue.head !== queue.tail) {
        if ((completions.tail + 1) % completions.size === completions.head) {
          break;
        }
        this.dma.read(queue.iova + queue.head * SQE_SIZE, bytes);
        queue.head = (queue.head + 1) % queue.size;
        const command = new Command(bytes);
        const { status, result } = this.#execute(id, command);
        // An event that is waited for is not answered.
        if (result === undefined) continue;
        this.#answer(completions, {
          result,
          head: queue.head,
          queue: id,
          id: command.id,
          status,
          phase: completions.phase,
        });
        answered = true;
      }
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      this.#registers.set("CSTS", this.#registers.get("CSTS") | CSTS.fatal);
    }
    if (answered) this.#interrupt(completions);
  }

  get #isReady(): boolean {
    return this.#registers.get("CSTS") === CSTS.ready;
  }

  #answer(
    queue: CompletionQueue,
    values: Parameters<typeof completion>[0],
  ): void {
    this.dma.write(queue.iova + queue.tail * CQE_SIZE, completion(values));
    queue.tail = (queue.tail + 1) % queue.size;
    if (queue.tail === 0) queue.phase ^= 1;
  }

  #interrupt({ vector }: CompletionQueue): void {
    if (vector === undefined) return;
    if (this.usesMessages) this.msi(vector);
    else this.#updateIntx();
  }

  #mask(mask: number): void {
    this.#registers.set("INTMS", mask >>> 0);
    this.#registers.set("INTMC", mask >>> 0);
    this.#updateIntx();
  }

  /** The legacy interrupt is asserted while there are answers to be read. */
  #updateIntx(): void {
    const mask = this.#registers.get("INTMS");
    const waiting = this.#completions.some((queue) =>
      queue?.vector !== undefined && queue.head !== queue.tail
    );
    const asserted = waiting && (mask & 1) === 0 && !this.usesMessages;
    if (asserted !== this.intx) this.intx = asserted;
  }

  /** Carries a command out; no result means that there is no answer. */
  #execute(
    queue: number,
    command: Command,
  ): { status: number; result: number | undefined } {
    try {
      const result = queue === 0
        ? this.#admin(command)
        : (this.#io(command), 0);
      return { status: STATUS.success, result };
    } catch (error) {
      if (error instanceof NvmeError) {
        return { status: error.status, result: 0 };
      }
      if (!(error instanceof DmaFault)) throw error;
      return { status: STATUS.dataTransferError, result: 0 };
    }
  }

  /** Does something with the storage, whose errors are those of the command. */
  #stored(action: () => void): void {
    try {
      action();
    } catch {
      throw new NvmeError(STATUS.internalError);
    }
  }

  #admin(command: Command): number | undefined {
    const word = command.word(10);
    switch (command.opcode) {
      case 0x00:
        this.#deleteQueue(this.#submissions, word & 0xffff);
        return 0;
      case 0x01:
        this.#createSubmissions(command);
        return 0;
      case 0x02:
        this.#getLogPage(command);
        return 0;
      case 0x04:
        if (
          this.#submissions.some((q) => q?.completions.id === (word & 0xffff))
        ) {
          throw new NvmeError(STATUS.invalidQueueDeletion);
        }
        this.#deleteQueue(this.#completions, word & 0xffff);
        return 0;
      case 0x05:
        this.#createCompletions(command);
        return 0;
      case 0x06: {
        const blocks = Math.floor(this.storage.size / BLOCK_SIZE);
        this.#give(command, identify(word & 0xff, command.namespace, blocks));
        return 0;
      }
      case 0x08:
        // It is too late: each command is carried out at once.
        return 1;
      case 0x09:
        return this.#setFeature(word & 0xff, command.word(11));
      case 0x0a:
        return this.#getFeature(word & 0xff);
      case 0x0c:
        if (this.#asyncEvents === MAX_ASYNC_EVENTS) {
          throw new NvmeError(STATUS.tooManyAsyncEvents);
        }
        this.#asyncEvents++;
        return undefined;
      default:
        throw new NvmeError(STATUS.invalidOpcode);
    }
  }

  #io(command: Command): void {
    if (command.namespace !== 1 && command.namespace !== 0xffffffff) {
      throw new NvmeError(STATUS.invalidNamespace);
    }
    switch (command.opcode) {
      case 0x00:
        return this.#stored(() => this.storage.flush());
      case 0x01: {
        const { offset, length } = this.#blocks(command);
        const bytes = new Uint8Array(this.#checkTransfer(length));
        this.#take(command, bytes);
        return this.#stored(() => this.storage.write(offset, bytes));
      }
      case 0x02: {
        const { offset, length } = this.#blocks(command);
        const bytes = new Uint8Array(this.#checkTransfer(length));
        this.#stored(() => this.storage.read(offset, bytes));
        return this.#give(command, bytes);
      }
      case 0x08: {
        const { offset, length } = this.#blocks(command);
        return this.#stored(() => this.storage.zero(offset, length));
      }
      case 0x09:
        return this.#deallocate(command);
      default:
        throw new NvmeError(STATUS.invalidOpcode);
    }
  }

  /** The bytes that a command is about. */
  #blocks(command: Command): { offset: number; length: number } {
    const offset = command.block * BLOCK_SIZE;
    const length = ((command.word(12) & 0xffff) + 1) * BLOCK_SIZE;
    this.#checkRange(offset, length);
    return { offset, length };
  }

  #checkRange(offset: number, length: number): void {
    if (offset + length > this.storage.size) {
      throw new NvmeError(STATUS.lbaOutOfRange);
    }
  }

  #checkTransfer(length: number): number {
    if (length > 4096 << MAX_TRANSFER_SHIFT) {
      throw new NvmeError(STATUS.invalidField);
    }
    return length;
  }

  /** Blocks that are not needed any more read as zeroes. */
  #deallocate(command: Command): void {
    const count = (command.word(10) & 0xff) + 1;
    const ranges = new Uint8Array(16 * count);
    this.#take(command, ranges);
    if ((command.word(11) & 4) === 0) return;
    for (let i = 0; i < count; i++) {
      const length = numberOf(ranges, 16 * i + 4, 4) * BLOCK_SIZE;
      const offset = numberOf(ranges, 16 * i + 8, 8) * BLOCK_SIZE;
      this.#checkRange(offset, length);
      this.#stored(() => this.storage.zero(offset, length));
    }
  }

  get #pageSize(): number {
    return 4096 << (this.#registers.get("CC") >> 7 & 0xf);
  }

  /** Writes a command's data to its user's memory. */
  #give(command: Command, bytes: Uint8Array): void {
    const { dma } = this;
    const move = (iova: number, from: number, end: number) =>
      dma.write(iova, bytes.subarray(from, end));
    eachPart(dma, command, bytes.length, this.#pageSize, move);
  }

  /** Reads them. */
  #take(command: Command, bytes: Uint8Array): void {
    const { dma } = this;
    const move = (iova: number, from: number, end: number) =>
      dma.read(iova, bytes.subarray(from, end));
    eachPart(dma, command, bytes.length, this.#pageSize, move);
  }

  #getLogPage(command: Command): void {
    const word = command.word(10);
    if (!LOG_PAGES.has(word & 0xff)) throw new NvmeError(STATUS.invalidLogPage);
    const words = (word >>> 16) + (command.word(11) & 0xffff) * 2 ** 16 + 1;
    this.#give(command, new Uint8Array(this.#checkTransfer(4 * words)));
  }

  #setFeature(id: number, value: number): number {
    if (id === NUMBER_OF_QUEUES) {
      if ((value & 0xffff) === 0xffff || value >>> 16 === 0xffff) {
        throw new NvmeError(STATUS.invalidField);
      }
      return this.#getFeature(id);
    }
    if (!this.#features.has(id)) throw new NvmeError(STATUS.invalidField);
    this.#features.set(id, value);
    return 0;
  }

  #getFeature(id: number): number {
    const queues = QUEUES - 2;
    if (id === NUMBER_OF_QUEUES) return queues * 2 ** 16 + queues;
    const value = this.#features.get(id);
    if (value === undefined) throw new NvmeError(STATUS.invalidField);
    return value;
  }

  /** What both kinds of queues are made with. */
  #newQueue(
    command: Command,
    queues: readonly unknown[],
  ): { id: number; size: number; iova: number } {
    const word = command.word(10);
    const [id, size] = [word & 0xffff, (word >>> 16) + 1];
    if (id === 0 || id >= QUEUES || queues[id] !== undefined) {
      throw new NvmeError(STATUS.invalidQueueId);
    }
    if (size < 2 || size > MAX_ENTRIES) {
      throw new NvmeError(STATUS.invalidQueueSize);
    }
    if ((command.word(11) & 1) === 0) {
      throw new NvmeError(STATUS.invalidField);
    }
    if (command.prp1 % this.#pageSize !== 0) {
      throw new NvmeError(STATUS.invalidPrpOffset);
    }
    return { id, size, iova: command.prp1 };
  }

  #createCompletions(command: Command): void {
    const queue = this.#newQueue(command, this.#completions);
    const word = command.word(11);
    const vector = word >>> 16;
    if (vector >= QUEUES) throw new NvmeError(STATUS.invalidVector);
    this.#completions[queue.id] = {
      ...queue,
      vector: word & 2 ? vector : undefined,
      head: 0,
      tail: 0,
      phase: 1,
    };
  }

  #createSubmissions(command: Command): void {
    const { id, size, iova } = this.#newQueue(command, this.#submissions);
    const completions = this.#completions[command.word(11) >>> 16];
    if (completions === undefined || completions.id === 0) {
      throw new NvmeError(STATUS.completionQueueInvalid);
    }
    this.#submissions[id] = { size, iova, completions, head: 0, tail: 0 };
  }

  #deleteQueue(queues: unknown[], id: number): void {
    if (id === 0 || queues[id] === undefined) {
      throw new NvmeError(STATUS.invalidQueueId);
    }
    queues[id] = undefined;
  }
}
