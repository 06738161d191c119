// SPDX-License-Identifier: GPL-2.0-only

/**
 * A driver of an NVMe drive: its queues are at the beginning of a bench's
 * memory, its data behind them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Bench, bytesOf, IOVA, numberFrom } from "./bench.ts";

/** Where data are in the memory. */
export const DATA = 0x4000;
/** Entries of each queue. */
export const ENTRIES = 8;

const REG = { cc: 0x14, csts: 0x1c, aqa: 0x24, asq: 0x28, acq: 0x30 };

/** A command: what it is, the namespace, where its data are, and its arguments from number 10 on. */
export interface Wanted {
  readonly opcode: number;
  readonly namespace?: number;
  /** In its first double word, from bit 8 on. */
  readonly flags?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  readonly words?: readonly number[];
}

/** What a command came to. */
export interface Answer {
  readonly status: number;
  readonly result: number;
  /** With an error: that there is more in the log (1), that it will not go another time (2). */
  readonly flags?: number;
}

/** The drive, with admin queues. */
export class NvmeDriver {
  readonly #bench: Bench;
  /** The mapped registers. */
  readonly bar: number;
  readonly #tails = [0, 0];
  readonly #heads = [0, 0];
  #id = 0;

  /** Turns the drive on, with a configuration. */
  constructor(bench: Bench, asq: number = IOVA, config = 1) {
    this.#bench = bench;
    this.bar = bench.map(0, 0x4000);
    this.write(REG.aqa, (ENTRIES - 1) << 16 | ENTRIES - 1);
    this.write(REG.asq, asq, 8);
    this.write(REG.acq, IOVA + 0x1000, 8);
    this.write(REG.cc, config);
  }

  /** Turns it off and on. */
  restart(): void {
    this.write(REG.cc, 0);
    this.#tails.fill(0);
    this.#heads.fill(0);
    const { process, memory } = this.#bench;
    process.poke(memory, new Uint8Array(DATA));
    this.write(REG.cc, 1);
  }

  /** The status register. */
  get csts(): number {
    return this.read(REG.csts);
  }

  read(offset: number): number {
    return numberFrom(this.#bench.process.peek(this.bar + offset, 4));
  }

  write(offset: number, value: number, count = 4): void {
    this.#bench.process.poke(this.bar + offset, bytesOf(value, count));
  }

  /** Removes the queues that {@link createQueues} made. */
  deleteQueues(): void {
    const of = (opcode: number) => this.admin({ opcode, words: [1] }).status;
    assertEquals([of(0), of(4)], [0, 0]);
    this.#tails[1] = this.#heads[1] = 0;
    const { process, memory } = this.#bench;
    process.poke(memory + 0x2000, new Uint8Array(0x2000));
  }

  /** Makes a queue of each kind, number 1, with a message or without. */
  createQueues(vector?: number): void {
    const flags = vector === undefined ? 1 : vector * 2 ** 16 + 3;
    const size = (ENTRIES - 1) * 2 ** 16 + 1;
    const cq = this.admin({
      opcode: 5,
      prp1: IOVA + 0x3000,
      words: [size, flags],
    });
    const sq = this.admin({
      opcode: 1,
      prp1: IOVA + 0x2000,
      words: [size, 0x10001],
    });
    assertEquals([cq.status, sq.status], [0, 0]);
  }

  admin(wanted: Wanted): Answer {
    return this.call(0, wanted);
  }

  io(wanted: Wanted): Answer {
    return this.call(1, { namespace: 1, ...wanted });
  }

  /** Has the drive carry out a command and reads the answer. */
  call(queue: number, wanted: Wanted): Answer {
    const id = this.submit(queue, wanted);
    const answer = this.complete(queue);
    assertEquals(answer?.id, id);
    const { status, result } = answer!;
    const flags = status >> 13;
    return { status: status & 0x7ff, result, ...flags && { flags } };
  }

  /** Puts a command into a queue and rings; returns its number. */
  submit(queue: number, wanted: Wanted): number {
    const bytes = new Uint8Array(64);
    const { opcode, namespace = 0, prp1 = 0, prp2 = 0, words = [] } = wanted;
    const { flags = 0 } = wanted;
    const id = ++this.#id;
    bytes.set(bytesOf(flags << 8 | opcode));
    bytes.set(bytesOf(id, 2), 2);
    bytes.set(bytesOf(namespace), 4);
    bytes.set(bytesOf(prp1, 8), 24);
    bytes.set(bytesOf(prp2, 8), 32);
    words.forEach((word, i) => bytes.set(bytesOf(word), 40 + 4 * i));
    const { process, memory } = this.#bench;
    const tail = this.#tails[queue]!;
    process.poke(memory + queue * 0x2000 + tail * 64, bytes);
    this.#tails[queue] = (tail + 1) % ENTRIES;
    this.write(0x1000 + 8 * queue, this.#tails[queue]!);
    return id;
  }

  /** The next answer; undefined if there is none. It makes room for another. */
  complete(
    queue: number,
  ): { id: number; status: number; result: number } | undefined {
    const { process, memory } = this.#bench;
    const head = this.#heads[queue]!;
    const at = memory + queue * 0x2000 + 0x1000 + head % ENTRIES * 16;
    const bytes = process.peek(at, 16);
    const status = numberFrom(bytes.subarray(14, 16));
    const phase = Math.floor(head / ENTRIES) % 2 === 0 ? 1 : 0;
    if (status % 2 !== phase) return undefined;
    this.#heads[queue] = head + 1;
    this.write(0x1004 + 8 * queue, (head + 1) % ENTRIES);
    return {
      id: numberFrom(bytes.subarray(12, 14)),
      status: status >> 1,
      result: numberFrom(bytes.subarray(0, 4)),
    };
  }
}
