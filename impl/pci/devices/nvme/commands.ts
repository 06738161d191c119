// SPDX-License-Identifier: GPL-2.0-only

/**
 * NVMe commands: how they and their answers are laid out, and what they come
 * to.
 *
 * @module
 */

/** Bytes of an entry of a submission queue. */
export const SQE_SIZE = 64;
/** Bytes of an entry of a completion queue. */
export const CQE_SIZE = 16;
/** Stands for all namespaces. */
export const ALL_NAMESPACES = 0xffffffff;

/** What a command comes to: the type of the status, and the code in it. */
export const STATUS = {
  success: 0x000,
  invalidOpcode: 0x001,
  invalidField: 0x002,
  dataTransferError: 0x004,
  internalError: 0x006,
  abortRequested: 0x007,
  invalidNamespace: 0x00b,
  commandSequenceError: 0x00c,
  invalidPrpOffset: 0x013,
  namespaceWriteProtected: 0x020,
  lbaOutOfRange: 0x080,
  completionQueueInvalid: 0x100,
  invalidQueueId: 0x101,
  invalidQueueSize: 0x102,
  tooManyAsyncEvents: 0x105,
  invalidVector: 0x108,
  invalidLogPage: 0x109,
  invalidQueueDeletion: 0x10c,
  featureNotSaveable: 0x10d,
  featureNotChangeable: 0x10e,
  compareFailure: 0x285,
} as const;

/** With a status: there is more about it in the log of errors. */
export const MORE = 0x2000;
/** With a status: the same command will fail again. */
export const DO_NOT_RETRY = 0x4000;

/** What may be another time. */
const PASSING: ReadonlySet<number> = new Set([
  STATUS.dataTransferError,
  STATUS.internalError,
  STATUS.abortRequested,
]);

/** A command has an error: its status, of {@link STATUS}. */
export class NvmeError extends Error {
  /** Name of the class. */
  override name = "NvmeError";
  /** The status. */
  readonly status: number;

  /** With a status. */
  constructor(status: number) {
    super(`status 0x${status.toString(16)}`);
    this.status = status;
  }
}

/** A status as an answer has it, if there is an entry in the log about it. */
export function withFlags(status: number): number {
  if (status === STATUS.success) return status;
  return status | MORE | (PASSING.has(status) ? 0 : DO_NOT_RETRY);
}

/** An entry of a submission queue. */
export class Command {
  readonly #view: DataView;

  /** The command that is at a place in bytes. */
  constructor(bytes: Uint8Array, at = 0) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset + at, SQE_SIZE);
  }

  /** What it is. */
  get opcode(): number {
    return this.#view.getUint8(0);
  }

  /** Whether it is half of a pair, or says where its data are in another way than pages. */
  get flags(): number {
    return this.#view.getUint8(1);
  }

  /** The number by which its user knows it. */
  get id(): number {
    return this.#view.getUint16(2, true);
  }

  /** The namespace that it is about. */
  get namespace(): number {
    return this.word(1);
  }

  /** A double word of it: 10 to 15 are its arguments. */
  word(index: number): number {
    return this.#view.getUint32(4 * index, true);
  }

  /** The first block of a command about blocks. */
  get block(): number {
    return longOf(this.#view, 40);
  }

  /** Where its data begin. */
  get prp1(): number {
    return longOf(this.#view, 24);
  }

  /** Where they go on, or where a list says that. */
  get prp2(): number {
    return longOf(this.#view, 32);
  }
}

/** A number of 64 bits, exact up to 2^53: no address that an IOMMU here translates is longer. */
export function longOf(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
}

/** What an entry of a completion queue says. */
export interface Answer {
  readonly result: number;
  readonly head: number;
  readonly queue: number;
  readonly id: number;
  readonly status: number;
}

/** An entry of a completion queue, as bytes that are used again for the next. */
export class Completion {
  /** The entry. */
  readonly bytes: Uint8Array = new Uint8Array(CQE_SIZE);
  readonly #view = new DataView(this.bytes.buffer);

  /** Says so, with a phase. */
  fill(answer: Answer, phase: number): Uint8Array {
    const view = this.#view;
    view.setUint32(0, answer.result, true);
    view.setUint16(8, answer.head, true);
    view.setUint16(10, answer.queue, true);
    view.setUint16(12, answer.id, true);
    view.setUint16(14, answer.status << 1 | phase, true);
    return this.bytes;
  }
}
