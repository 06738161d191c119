// SPDX-License-Identifier: GPL-2.0-only

/**
 * NVMe commands: how they and their answers are laid out, and what they come
 * to.
 *
 * @module
 */

import { numberOf, store } from "../../bytes.ts";

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
  readonly #bytes: Uint8Array;

  /** The command in 64 bytes. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** What it is. */
  get opcode(): number {
    return this.#bytes[0]!;
  }

  /** Whether it is half of a pair, or says where its data are in another way than pages. */
  get flags(): number {
    return this.#bytes[1]!;
  }

  /** The number by which its user knows it. */
  get id(): number {
    return numberOf(this.#bytes, 2, 2);
  }

  /** The namespace that it is about. */
  get namespace(): number {
    return numberOf(this.#bytes, 4, 4);
  }

  /** A double word of it: 10 to 15 are its arguments. */
  word(index: number): number {
    return numberOf(this.#bytes, 4 * index, 4);
  }

  /** The first block of a command about blocks. */
  get block(): number {
    return numberOf(this.#bytes, 40, 8);
  }

  /** Where its data begin. */
  get prp1(): number {
    return numberOf(this.#bytes, 24, 8);
  }

  /** Where they go on, or where a list says that. */
  get prp2(): number {
    return numberOf(this.#bytes, 32, 8);
  }
}

/** What an entry of a completion queue says. */
export interface Answer {
  readonly result: number;
  readonly head: number;
  readonly queue: number;
  readonly id: number;
  readonly status: number;
  readonly phase: number;
}

/** An entry of a completion queue. */
export function completion(answer: Answer): Uint8Array {
  const bytes = new Uint8Array(CQE_SIZE);
  store(bytes, 0, 4, answer.result);
  store(bytes, 8, 2, answer.head);
  store(bytes, 10, 2, answer.queue);
  store(bytes, 12, 2, answer.id);
  store(bytes, 14, 2, answer.status << 1 | answer.phase);
  return bytes;
}
