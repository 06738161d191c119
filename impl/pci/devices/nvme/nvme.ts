// SPDX-License-Identifier: GPL-2.0-only

/**
 * An NVMe drive: what drivers in user space (QEMU's block driver, SPDK and
 * others) and operating systems need of one. See README.md.
 *
 * @module
 */

import { PciDevice } from "../../device.ts";
import { DmaFault } from "../../../iommu/hardware/dma.ts";
import { admin } from "./admin.ts";
import { AsyncEvents, EVENT } from "./async_events.ts";
import {
  Command,
  Completion,
  CQE_SIZE,
  NvmeError,
  SQE_SIZE,
  STATUS,
  withFlags,
} from "./commands.ts";
import { Data } from "./data.ts";
import { Features } from "./features.ts";
import type { DriveInfo } from "./identify.ts";
import { flushAll, io } from "./io.ts";
import {
  BLOCK_SIZE,
  MAX_ENTRIES,
  MAX_PAGE_SHIFT,
  MIN_PAGE_SIZE,
  QUEUES,
  VERSION,
} from "./limits.ts";
import { LogPages } from "./log_pages.ts";
import {
  type CompletionQueue,
  Queues,
  roomOf,
  type SubmissionQueue,
} from "./queues.ts";
import { NvmeMemory, type NvmeStorage } from "./storage.ts";

/** CAP: entries, contiguous queues, 30 s to get ready; the command set, the longest page. */
const CAP = {
  low: MAX_ENTRIES - 1 | 1 << 16 | 60 << 24,
  high: 1 << 5 | MAX_PAGE_SHIFT << 20,
};
/** CC: on, that it is to be shut down, and the command set, of which only 0 is there. */
const CC = { enable: 1, shutdown: 3 << 14, commandSet: 7 << 4 };
/** CSTS: ready, failed, shut down. */
const CSTS = { ready: 1, fatal: 2, shutdown: 2 << 2 };
/** Where doorbells begin. */
const DOORBELLS = 0x1000;

/** The drive. */
export class NvmeDrive extends PciDevice {
  /** What is behind each namespace; the first is namespace 1. */
  readonly namespaces: readonly NvmeStorage[];
  readonly #queues = new Queues((doorbell) => {
    this.#registers.set("DOORBELL", 0, doorbell);
  });
  readonly #events = new AsyncEvents();
  readonly #data = new Data(this);
  readonly #features = new Features();
  readonly #logs = new LogPages();
  /** All that commands need. */
  readonly #parts;
  /** Commands as they are fetched. */
  readonly #fetched = new Uint8Array(MAX_ENTRIES * SQE_SIZE);
  readonly #completion = new Completion();
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

  /** A drive whose namespaces have so many bytes of memory each, or another storage. */
  constructor(
    first: NvmeStorage | number,
    ...others: readonly (NvmeStorage | number)[]
  ) {
    super({
      vendor: 0x1b36,
      device: 0x0010,
      class: 0x010802,
      revision: 2,
      bars: [{ size: 0x4000, wide: true }],
      msix: QUEUES,
    });
    this.namespaces = [first, ...others].map((storage) =>
      typeof storage === "number" ? new NvmeMemory(storage) : storage
    );
    this.#parts = {
      namespaces: this.namespaces,
      data: this.#data,
      queues: this.#queues,
      features: this.#features,
      logs: this.#logs,
      events: this.#events,
      info: () => this.#info(),
    };
  }

  /** It has no queues. */
  protected override onReset(): void {
    this.#forget();
  }

  #info(): DriveInfo {
    const namespaces = this.namespaces.map(({ size, isReadOnly = false }) => ({
      blocks: Math.floor(size / BLOCK_SIZE),
      isReadOnly,
    }));
    return { name: this.function.name, namespaces };
  }

  #forget(): void {
    this.#queues.clear();
    this.#features.reset();
    this.#events.clear();
    this.#updateIntx();
  }

  #configure(value: number, old: number): void {
    const registers = this.#registers;
    const turnedOn = value & ~old & CC.enable;
    const turnedOff = old & ~value & CC.enable;
    if (turnedOff) {
      this.#forget();
      this.#mask(0);
      registers.set("CSTS", 0);
    }
    if (turnedOn) this.#start(value);
    if (value & CC.shutdown & ~old) this.#shutDown();
  }

  /** The admin queues are where the registers say. */
  #start(config: number): void {
    const registers = this.#registers;
    const pageShift = config >>> 7 & 0xf;
    if (pageShift > MAX_PAGE_SHIFT || (config & CC.commandSet) !== 0) {
      return registers.set("CSTS", CSTS.fatal);
    }
    this.#data.pageSize = MIN_PAGE_SIZE << pageShift;
    const ring = (name: "ASQ" | "ACQ", size: number) => {
      const at = registers.get(name);
      return { iova: at - at % MIN_PAGE_SIZE, size: (size & 0xfff) + 1 };
    };
    const sizes = registers.get("AQA");
    this.#queues.addAdmin(ring("ASQ", sizes), ring("ACQ", sizes >>> 16));
    registers.set("CSTS", CSTS.ready);
  }

  /** Everything is where it stays; no command is carried out until the drive is turned on anew. */
  #shutDown(): void {
    const registers = this.#registers;
    let status = registers.get("CSTS") | CSTS.shutdown;
    try {
      flushAll(this.namespaces);
    } catch {
      status |= CSTS.fatal;
    }
    registers.set("CSTS", status);
  }

  get #isReady(): boolean {
    return this.#registers.get("CSTS") === CSTS.ready;
  }

  /** A doorbell: the tail of the commands of a queue, or the head of its answers. */
  #ring(doorbell: number, value: number): void {
    if (!this.#isReady) return;
    const id = doorbell >> 1;
    const commands = this.#queues.submissions[id];
    const answers = this.#queues.completions[id];
    const queue = doorbell % 2 === 0 ? commands : answers;
    if (queue === undefined || value >= queue.size) {
      return this.#refuse(id, queue === undefined);
    }
    if (queue === commands) {
      commands.tail = value;
      this.#run(commands);
    } else this.#consumed(answers!, value);
    this.#tellEvents();
  }

  /** There is room for answers again. */
  #consumed(queue: CompletionQueue, head: number): void {
    queue.head = head;
    this.#updateIntx();
    for (const waiting of this.#queues.submissions) {
      if (waiting?.completions === queue) this.#run(waiting);
    }
  }

  /** A doorbell says what cannot be. */
  #refuse(queue: number, isMissing: boolean): void {
    this.#logs.add({ queue, status: STATUS.success });
    this.#events.raise(
      isMissing ? EVENT.invalidDoorbell : EVENT.invalidDoorbellValue,
    );
    this.#tellEvents();
  }

  /** Carries out the commands of a queue as long as there is room for answers. */
  #run(queue: SubmissionQueue): void {
    const { completions } = queue;
    const { tail } = completions;
    this.#unlessUnreachable(() => {
      while (this.#isReady && queue.head !== queue.tail) {
        const end = queue.tail > queue.head ? queue.tail : queue.size;
        const count = Math.min(roomOf(completions), end - queue.head);
        if (count === 0) return;
        this.#runNext(queue, count);
      }
    });
    if (completions.tail !== tail) this.#interrupt(completions);
  }

  /** Fetches commands that follow each other, and carries them out. */
  #runNext(queue: SubmissionQueue, count: number): void {
    const bytes = this.#fetched.subarray(0, count * SQE_SIZE);
    this.dma.read(queue.iova + queue.head * SQE_SIZE, bytes);
    for (let at = 0; at < bytes.length; at += SQE_SIZE) {
      queue.head = (queue.head + 1) % queue.size;
      const command = new Command(bytes, at);
      const { status, result } = this.#execute(queue.id, command);
      // An event that is waited for is not answered.
      if (result === undefined) continue;
      this.#answer(queue, command.id, status, result);
    }
  }

  /** What cannot go on without a queue that DMA does not reach fails, until the drive is turned off. */
  #unlessUnreachable(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error;
      this.#registers.set("CSTS", this.#registers.get("CSTS") | CSTS.fatal);
    }
  }

  /** Answers a command. The user must see the phase last. */
  #answer(
    { id: queue, head, completions }: SubmissionQueue,
    id: number,
    status: number,
    result: number,
  ): void {
    const { phase } = completions;
    const at = completions.iova + completions.tail * CQE_SIZE;
    const answer = { result, head, queue, id, status: withFlags(status) };
    this.dma.write(at, this.#completion.fill(answer, 1 - phase));
    this.dma.write(at, this.#completion.fill(answer, phase));
    completions.tail = (completions.tail + 1) % completions.size;
    if (completions.tail === 0) completions.phase = 1 - phase;
  }

  /** Answers commands that wait for events, while there is room. */
  #tellEvents(): void {
    const queue = this.#queues.submissions[0]!;
    const { completions } = queue;
    const { tail } = completions;
    this.#unlessUnreachable(() => {
      while (this.#isReady && roomOf(completions) > 0) {
        const event = this.#events.next();
        if (event === undefined) return;
        this.#answer(queue, event.id, event.status, event.result);
      }
    });
    if (completions.tail !== tail) this.#interrupt(completions);
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
    const waiting = this.#queues.completions.some((queue) =>
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
    const status = { status: STATUS.success as number };
    try {
      // It is not half of a pair, and its data are pages.
      if (command.flags !== 0) throw new NvmeError(STATUS.invalidField);
      if (queue === 0) {
        return { ...status, result: admin(this.#parts, command) };
      }
      io(this.#parts, command);
    } catch (error) {
      status.status = statusOf(error);
      const { id, namespace, block } = command;
      this.#logs.add({ queue, id, ...status, namespace, block });
    }
    return { ...status, result: 0 };
  }
}

/** The status of a command that failed. Throws what is no error of a command. */
function statusOf(error: unknown): number {
  if (error instanceof NvmeError) return error.status;
  if (error instanceof DmaFault) return STATUS.dataTransferError;
  throw error;
}
