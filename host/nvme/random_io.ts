// SPDX-License-Identifier: GPL-2.0-only

/**
 * Random commands of qemu-io, of which each read says what it must find.
 *
 * @module
 */

import { Random } from "../../selftests/harness/random.ts";

/** Bytes of a block. */
const BLOCK = 512;
/** Commands that are in flight together, at most. */
const DEPTH = 16;

/** Commands, a line each, and what the storage has when they are over. */
export interface RandomIo {
  readonly script: string;
  readonly contents: Uint8Array;
}

/** So many reads and writes of a storage that is zero, the same for a seed. */
export function randomIo(
  { operations, size, seed }: {
    readonly operations: number;
    /** Bytes of the storage, a multiple of 512. */
    readonly size: number;
    readonly seed: number;
  },
): RandomIo {
  return new Generator(new Random(seed), size).generate(operations);
}

/** A part of the storage. */
interface Part {
  readonly at: number;
  readonly length: number;
}

class Generator {
  readonly #random: Random;
  readonly #contents: Uint8Array;
  readonly #lines: string[] = [];
  #operations = 0;

  constructor(random: Random, size: number) {
    this.#random = random;
    this.#contents = new Uint8Array(size);
  }

  generate(operations: number): RandomIo {
    while (this.#operations < operations) {
      const left = operations - this.#operations;
      switch (this.#random.below(16)) {
        case 0:
          this.#together(Math.min(left, 1 + this.#random.below(DEPTH)));
          break;
        case 1:
          this.#odd();
          break;
        default:
          this.#one(this.#blocks());
      }
    }
    const script = `${this.#lines.join("\n")}\n`;
    return { script, contents: this.#contents };
  }

  /** A read or a write. */
  #one(part: Part): void {
    if (this.#random.below(2) === 0) this.#read(part);
    else this.#write(part);
  }

  /** Commands in flight at the same time, each of a part of its own. */
  #together(count: number): void {
    const taken: Part[] = [];
    for (let i = 0; i < count; i++) {
      const part = this.#blocks();
      const isFree = taken.every(({ at, length }) =>
        part.at + part.length <= at || at + length <= part.at
      );
      if (!isFree) continue;
      taken.push(part);
      if (this.#random.below(2) === 0) this.#readRun("aio_read", part);
      else this.#fill("aio_write", part);
    }
    this.#lines.push("aio_flush");
  }

  /** A part that has no whole blocks: a write changes some bytes of others; a read prints them. */
  #odd(): void {
    const length = 1 + this.#random.below(100);
    const at = this.#random.below(this.#contents.length - length);
    if (this.#random.below(2) === 0) {
      this.#command("read -q -v", `${at} ${length}`);
    } else this.#fill("write", { at, length });
  }

  #read(part: Part): void {
    if (this.#random.below(4) === 0) return this.#readRun("readv", part);
    const { at, length } = part;
    const run = this.#runFrom(at + this.#random.below(length), at + length);
    const inside = `-s ${run.at - at} -l ${run.length}`;
    this.#command(
      `read -q -P ${this.#contents[run.at]} ${inside}`,
      `${at} ${length}`,
    );
  }

  /** Reads as much of a part as is alike. */
  #readRun(verb: string, { at, length }: Part): void {
    const run = this.#runFrom(at, at + length);
    const whole = run.length - run.length % BLOCK || BLOCK;
    // A block that was written in parts is not looked at.
    const pattern = run.length < BLOCK ? "" : ` -P ${this.#contents[at]}`;
    this.#command(`${verb} -q${pattern}`, this.#cut(at, whole));
  }

  #write(part: Part): void {
    switch (this.#random.below(16)) {
      case 0:
        return this.#zero("write -q -z", part);
      case 1:
        // What is discarded may have any bytes.
        this.#lines.push(`discard -q ${part.at} ${part.length}`);
        return this.#zero("write -q -z -u", part);
      case 2:
        this.#lines.push("flush");
        return this.#fill("write -f", part);
      case 3:
      case 4:
        return this.#fill("writev", part);
      default:
        return this.#fill("write", part);
    }
  }

  #zero(verb: string, { at, length }: Part): void {
    this.#contents.fill(0, at, at + length);
    this.#command(verb, `${at} ${length}`);
  }

  #fill(verb: string, { at, length }: Part): void {
    const pattern = 1 + this.#random.below(255);
    this.#contents.fill(pattern, at, at + length);
    const words = verb === "write" || verb === "write -f"
      ? `${at} ${length}`
      : this.#cut(at, length);
    this.#command(`${verb} -q -P ${pattern}`, words);
  }

  #command(verb: string, words: string): void {
    this.#lines.push(`${verb} ${words}`);
    this.#operations++;
  }

  /** Where a part is, and its length in some pieces of whole blocks. */
  #cut(at: number, length: number): string {
    const words = [at];
    let left = length;
    for (let i = this.#random.below(4); i > 0 && left > BLOCK; i--) {
      const piece = BLOCK * (1 + this.#random.below(left / BLOCK - 1));
      words.push(piece);
      left -= piece;
    }
    return [...words, left].join(" ");
  }

  /** The bytes from `at` on that are alike. */
  #runFrom(at: number, end: number): Part {
    let to = at + 1;
    while (to < end && this.#contents[to] === this.#contents[at]) to++;
    return { at, length: to - at };
  }

  /** Whole blocks: few more often than many. */
  #blocks(): Part {
    const { length: size } = this.#contents;
    const most = [8, 8, 8, 128, 128, 1024, 4096][this.#random.below(7)]!;
    const length = BLOCK * (1 + this.#random.below(most));
    const blocks = (size - length) / BLOCK;
    return { at: BLOCK * this.#random.below(blocks), length };
  }
}
