// SPDX-License-Identifier: GPL-2.0-only

/**
 * The words of the adapter protocol (protocol.md): numbers, bytes, texts,
 * names. Parsing is strict, so that both sides of the protocol agree on every
 * line or say why not.
 *
 * @module
 */

import { ProtocolError } from "../../selftests/target/target_failure.ts";

/** The largest unsigned number of the protocol. */
const U64_MAX = 2n ** 64n - 1n;
/** The smallest signed number of the protocol. */
const I64_MIN = -(2n ** 63n);
/** Numbers from here on are written in hexadecimal: they are addresses, lengths or commands. */
const FIRST_HEX = 4096;
/** Characters of a line that a message quotes. */
const QUOTED = 100;

const NUMBER = /^-?(0|[1-9]\d*|0x[\da-fA-F]+)$/;
const NAME = /^[\w.,=-]+$/;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** A number as a word. It must be an integer of at most 64 bits. */
export function formatNumber(value: number | bigint): string {
  if (value < 0) return `-${formatNumber(-value)}`;
  if (value < FIRST_HEX) return value.toString();
  return `0x${BigInt(value).toString(16)}`;
}

/** Bytes as a word. */
export function formatBytes(bytes: Uint8Array): string {
  return bytes.length === 0 ? "-" : bytes.toHex();
}

/** A text as a word. */
export function formatText(text: string): string {
  return formatBytes(new TextEncoder().encode(text));
}

/** A line as a message quotes it: in quotes, and not at any length. */
export function quoteLine(line: string): string {
  if (line.length <= QUOTED) return JSON.stringify(line);
  return `${JSON.stringify(line.slice(0, QUOTED))}… (${line.length} bytes)`;
}

/**
 * The words of a line, read one after the other. What does not fit throws a
 * {@link ProtocolError} that quotes the line.
 */
export class Words {
  readonly #line: string;
  readonly #words: readonly string[];
  #next = 0;

  /** `line` is without its end. */
  constructor(line: string) {
    this.#line = line;
    this.#words = line.split(" ");
    if (!PRINTABLE.test(line)) {
      this.refuse("it holds a byte that is no printable ASCII character");
    }
    if (line === "") this.refuse("it is empty");
    if (this.#words.includes("")) {
      this.refuse("its words are not separated by single spaces");
    }
  }

  /** How many words are left. */
  get left(): number {
    return this.#words.length - this.#next;
  }

  /** Throws a {@link ProtocolError} about the line: `why` says what is wrong with it. */
  refuse(why: string): never {
    throw new ProtocolError(`Bad line ${quoteLine(this.#line)}: ${why}`);
  }

  /** The next word as it stands; `what` says what it should be. */
  word(what: string): string {
    if (this.left === 0) this.refuse(`${what} is missing`);
    return this.#words[this.#next++]!;
  }

  /** A name. */
  name(what: string): string {
    const word = this.word(what);
    if (!NAME.test(word)) this.refuse(`${what} is no name: ${quoteLine(word)}`);
    return word;
  }

  /** A number of 64 bits, signed or unsigned. */
  bigint(what: string): bigint {
    const word = this.#number(what);
    const value = word.startsWith("-") ? -BigInt(word.slice(1)) : BigInt(word);
    if (value > U64_MAX || value < I64_MIN) {
      this.refuse(`${what} has more than 64 bits: ${quoteLine(word)}`);
    }
    return value;
  }

  /** A number that a JavaScript number holds exactly. */
  number(what: string): number {
    const word = this.#number(what);
    const value = word.startsWith("-") ? -Number(word.slice(1)) : Number(word);
    if (Number.isSafeInteger(value)) return value;
    // Large, but an address such as 2^64 - 4096 is exact.
    const exact = word.startsWith("-") ? -BigInt(word.slice(1)) : BigInt(word);
    if (BigInt(value) !== exact || exact > U64_MAX || exact < I64_MIN) {
      this.refuse(`${what} is out of range: ${quoteLine(word)}`);
    }
    return value;
  }

  /** The next word, which looks like a number. */
  #number(what: string): string {
    const word = this.word(what);
    if (!NUMBER.test(word)) {
      this.refuse(`${what} is no number: ${quoteLine(word)}`);
    }
    return word;
  }

  /** Bytes. */
  bytes(what: string): Uint8Array<ArrayBuffer> {
    const word = this.word(what);
    if (word === "-") return new Uint8Array(0);
    // fromHex() would take upper case too.
    if (/[^\da-f]/.test(word)) {
      this.refuse(`${what} is not written in lower-case hex digits`);
    }
    if (word.length % 2 !== 0) {
      this.refuse(`${what} ends in the middle of a byte`);
    }
    return Uint8Array.fromHex(word);
  }

  /** A text. */
  text(what: string): string {
    const bytes = this.bytes(what);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return this.refuse(`${what} is no UTF-8`);
    }
  }

  /** Goes past the next word if it is `word`; false if it is another or none is left. */
  skip(word: string): boolean {
    if (this.#words[this.#next] !== word) return false;
    this.#next++;
    return true;
  }

  /** The words that are left, as they stand. */
  rest(): string {
    const rest = this.#words.slice(this.#next).join(" ");
    this.#next = this.#words.length;
    return rest;
  }

  /** The words that are left, cut where `separator` stands; none of the parts is empty. */
  split(separator: string): Words[] {
    const parts: string[][] = [[]];
    while (this.left > 0) {
      const word = this.word("a word");
      if (word === separator) parts.push([]);
      else parts.at(-1)!.push(word);
    }
    if (parts.some((part) => part.length === 0)) {
      this.refuse(`nothing stands before or after a "${separator}"`);
    }
    return parts.map((part) => new Words(part.join(" ")));
  }

  /** Throws unless all words were read. */
  end(): void {
    if (this.left === 0) return;
    this.refuse(
      `nothing was expected from ${quoteLine(this.#words[this.#next]!)} on`,
    );
  }
}
