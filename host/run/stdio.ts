// SPDX-License-Identifier: GPL-2.0-only

/**
 * The standard streams of programs.
 *
 * @module
 */

import { O_CLOEXEC, O_RDWR } from "../../impl/uapi/mman.ts";
import { AT_FDCWD } from "../sys/structs.ts";
import { type Block, must, type Sys } from "../sys/sys.ts";
import type { Stdio } from "./program.ts";

/** Bytes that are read or written at a time. */
const PART = 64 * 1024;
/** Linux: EINTR. */
const EINTR = -4;

/** One stream: what the program has of it, and what this process has. */
export interface Stream {
  /** The program's end, as a descriptor of this process. */
  readonly theirs: number;
  /** This process's end, if it is piped. */
  readonly own: number | undefined;
  /** Whether the program's end is to be closed here once the program has it. */
  readonly closes: boolean;
}

/** Opens the stream that is descriptor `fd` of a program. */
export function openStream(sys: Sys, fd: number, stdio: Stdio): Stream {
  switch (stdio) {
    case "inherit":
      return { theirs: fd, own: undefined, closes: false };
    case "null": {
      const theirs = sys.openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
      must(theirs, "Opening /dev/null");
      return { theirs, own: undefined, closes: true };
    }
    case "piped": {
      const ends = sys.alloc(8);
      must(sys.call(sys.nr.pipe2, ends.address, O_CLOEXEC), "pipe2");
      const [read, write] = [0, 4].map((at) => ends.view.getInt32(at, true));
      const [theirs, own] = fd === 0 ? [read!, write!] : [write!, read!];
      return { theirs, own, closes: true };
    }
  }
}

/** What comes out of a pipe, which is closed at its end. */
export function readableOf(sys: Sys, fd: number): ReadableStream<Uint8Array> {
  const pipe = new Pipe(sys, fd);
  return new ReadableStream({
    async pull(controller) {
      const bytes = await pipe.read();
      if (bytes === undefined) controller.close();
      else controller.enqueue(bytes);
    },
    cancel: () => pipe.close(),
  }, { highWaterMark: 0 });
}

/** What goes into a pipe, which is closed with it. */
export function writableOf(sys: Sys, fd: number): WritableStream<Uint8Array> {
  const pipe = new Pipe(sys, fd);
  return new WritableStream({
    write: (bytes) => pipe.write(bytes),
    close: () => pipe.close(),
    abort: () => pipe.close(),
  });
}

/** One end of a pipe. */
class Pipe {
  readonly #sys: Sys;
  readonly #fd: number;
  readonly #block: Block;
  #busy = false;
  #open = true;

  constructor(sys: Sys, fd: number) {
    this.#sys = sys;
    this.#fd = fd;
    this.#block = sys.map(PART);
  }

  /** The next bytes; undefined at the end, where it is closed. */
  async read(): Promise<Uint8Array | undefined> {
    const count = await this.#call(this.#sys.nr.read, PART);
    if (count > 0) return this.#block.bytes.slice(0, count);
    this.close();
    return undefined;
  }

  /** Writes all bytes. Throws a BrokenPipe if nobody reads them. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      const part = bytes.subarray(sent, sent + PART);
      this.#block.bytes.set(part);
      const count = await this.#call(this.#sys.nr.write, part.length);
      if (count < 0) {
        this.close();
        throw new Deno.errors.BrokenPipe("The program does not read it");
      }
      sent += count;
    }
  }

  /** Closes it, once nobody waits for it. */
  close(): void {
    const was = this.#open;
    this.#open = false;
    if (was && !this.#busy) this.#release();
  }

  async #call(nr: number, count: number): Promise<number> {
    if (!this.#open) return -1;
    this.#busy = true;
    let result: number;
    do {
      const { address } = this.#block;
      result = await this.#sys.callLater(nr, this.#fd, address, count);
    } while (result === EINTR);
    this.#busy = false;
    if (this.#open) return result;
    this.#release();
    return -1;
  }

  #release(): void {
    this.#sys.close(this.#fd);
    this.#sys.unmap(this.#block.address, PART);
  }
}
