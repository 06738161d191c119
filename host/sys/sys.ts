// SPDX-License-Identifier: GPL-2.0-only

/**
 * System calls of this process.
 *
 * Each returns what the kernel returned: a number of at least 0, or a negative
 * errno. Addresses are numbers. What the kernel reads and writes is in blocks
 * of memory whose address is known: {@link Sys.alloc}.
 *
 * @module
 */

import { type Architecture, MACHINE_CODE } from "./machine_code.ts";
import { type LoadedObject, loadObject } from "./load.ts";
import { type Numbers, numbersOf, type SyscallName } from "./numbers.ts";
import { AT_FDCWD, KCMP_VM } from "./structs.ts";

/** Memory of this process that system calls can be told of. */
export interface Block {
  /** Where it is. */
  readonly address: number;
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same. */
  readonly view: DataView<ArrayBuffer>;
}

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
/** Bytes that are asked of the kernel at a time. */
const CHUNK = 1 << 20;
/** Bytes of the block for one path or other text. */
const TEXT = 8192;

/** A system call failed where it must not. */
export class SysError extends Error {
  /** Name of the class. */
  override name = "SysError";
  /** Its errno, positive. */
  readonly errno: number;

  /** Says what was tried, and the errno. */
  constructor(what: string, errno: number) {
    super(`${what} failed with errno ${errno}`);
    this.errno = errno;
  }
}

/** A result, unless it is an errno: then a {@link SysError} is thrown. */
export function must(result: number, what: string): number {
  if (result < 0) throw new SysError(what, -result);
  return result;
}

/** The calls, for one architecture. */
export class Sys {
  /** Which it is. */
  readonly architecture: Architecture;
  /** Numbers by name. */
  readonly nr: Numbers;
  readonly #code: LoadedObject;
  #chunk: Arena | undefined;
  readonly #text: Block;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();

  static #shared: Sys | undefined;

  /** The calls of this process, loaded once. Throws an Error that says what is in the way. */
  static get shared(): Sys {
    return Sys.#shared ??= new Sys();
  }

  private constructor() {
    this.architecture = architectureOf(Deno.build);
    this.nr = numbersOf(this.architecture);
    const { machine, ...functions } = MACHINE_CODE[this.architecture];
    this.#code = loadObject(machine, functions);
    this.#text = this.alloc(TEXT);
  }

  /** Makes a call by number. */
  call(
    nr: number,
    a: number = 0,
    b: number = 0,
    c: number = 0,
    d: number = 0,
    e: number = 0,
    f: number = 0,
  ): number {
    return this.#code.call(nr, a, b, c, d, e, f);
  }

  /** Makes a call in another thread, so that this one goes on meanwhile. */
  callLater(
    nr: number,
    a: number = 0,
    b: number = 0,
    c: number = 0,
    d: number = 0,
    e: number = 0,
    f: number = 0,
  ): Promise<number> {
    return this.#code.callLater(nr, a, b, c, d, e, f);
  }

  /** Runs a script from the entry at an address on; returns the last result (script.ts). */
  run(entry: number): number {
    return this.#code.run(entry);
  }

  /** Memory that lives as long as this process, aligned to 16 bytes, zero. */
  alloc(bytes: number): Block {
    if (bytes > CHUNK / 4) return this.map(bytes);
    if (this.#chunk === undefined || this.#chunk.left < bytes) {
      this.#chunk = this.arena(CHUNK);
    }
    return this.#chunk.alloc(bytes);
  }

  /** Memory to be taken in parts, and given back at once. */
  arena(bytes: number): Arena {
    return new Arena(this, this.map(bytes));
  }

  /** Fresh memory of whole pages, which {@link unmap} gives back. */
  map(bytes: number): Block {
    const { mmap } = this.nr;
    const flags = MAP_PRIVATE_ANONYMOUS;
    const at = this.call(mmap, 0, bytes, PROT_READ_WRITE, flags, -1, 0);
    return this.blockAt(must(at, "mmap"), bytes);
  }

  /** Memory of this process that is mapped already. */
  blockAt(address: number, length: number): Block {
    const pointer = Deno.UnsafePointer.create(BigInt(address));
    if (pointer === null) throw new TypeError("There is nothing at 0");
    const buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, length);
    const bytes = new Uint8Array(buffer);
    return { address, bytes, view: new DataView(buffer) };
  }

  /** Gives mapped memory back: nobody may touch its bytes any more. */
  unmap(address: number, length: number): number {
    return this.call(this.nr.munmap, address, length);
  }

  /** The address of a text with a zero byte at its end, until the next call of this. */
  text(text: string): number {
    const { bytes, address } = this.#text;
    const { written } = this.#encoder.encodeInto(text, bytes);
    if (written === bytes.length) throw new RangeError("The text is too long");
    bytes[written] = 0;
    return address;
  }

  /** Whether the architecture has a call. */
  has(name: SyscallName): boolean {
    return this.nr[name] >= 0;
  }

  /** Opens a path, `dir` is a descriptor or AT_FDCWD. */
  openat(dir: number, path: string, flags: number, mode = 0): number {
    return this.call(this.nr.openat, dir, this.text(path), flags, mode);
  }

  /** Closes a descriptor. */
  close(fd: number): number {
    return this.call(this.nr.close, fd);
  }

  /** Reads into a block, `count` bytes. */
  read(fd: number, to: Block, count: number = to.bytes.length): number {
    return this.call(this.nr.read, fd, to.address, count);
  }

  /** Writes from a block, `count` bytes. */
  write(fd: number, from: Block, count: number = from.bytes.length): number {
    return this.call(this.nr.write, fd, from.address, count);
  }

  /** An ioctl. */
  ioctl(fd: number, command: number, argument: number): number {
    return this.call(this.nr.ioctl, fd, command, argument);
  }

  /**
   * What /proc says of a process behind its name, which may be anything: its
   * state at 1, its parent at 2, its flags at 7. Undefined if it is gone.
   */
  processStat(pid: number): string[] | undefined {
    const text = this.readFile(AT_FDCWD, `/proc/${pid}/stat`);
    if (typeof text === "number") return undefined;
    return text.slice(text.lastIndexOf(")")).split(" ");
  }

  /** Whether two processes have the same memory; false where that cannot be told. */
  haveSameMemory(one: number, other: number): boolean {
    return this.call(this.nr.kcmp, one, other, KCMP_VM) === 0;
  }

  /** The target of a link as text; a negative errno as a number. */
  readlinkat(dir: number, path: string): string | number {
    const to = this.#text;
    const at = this.text(path);
    const half = TEXT / 2;
    const length = this.call(
      this.nr.readlinkat,
      dir,
      at,
      to.address + half,
      half,
    );
    if (length < 0) return length;
    return this.#decoder.decode(to.bytes.subarray(half, half + length));
  }

  /** Everything in a file, such as one of /proc, as text; a negative errno as a number. */
  readFile(dir: number, path: string): string | number {
    const fd = this.openat(dir, path, 0o2000000);
    if (fd < 0) return fd;
    const decoder = new TextDecoder();
    let text = "";
    let length: number;
    while ((length = this.read(fd, this.#text)) > 0) {
      const bytes = this.#text.bytes.slice(0, length);
      text += decoder.decode(bytes, { stream: true });
    }
    this.close(fd);
    return length < 0 ? length : text;
  }

  /** A descriptor of a process. */
  pidfdOpen(pid: number): number {
    return this.call(this.nr.pidfd_open, pid, 0);
  }

  /** A descriptor of this process of what another's is open to. */
  pidfdGetfd(pidfd: number, fd: number): number {
    return this.call(this.nr.pidfd_getfd, pidfd, fd, 0);
  }

  /** A signal to a process, 0 to ask whether it is there. */
  pidfdSendSignal(pidfd: number, signal: number): number {
    return this.call(this.nr.pidfd_send_signal, pidfd, signal, 0, 0);
  }
}

/** Memory that is taken in parts. */
export class Arena {
  /** Numbers of calls, for scripts. */
  readonly nr: Numbers;
  readonly #sys: Sys;
  readonly #block: Block;
  #used = 0;

  /** For {@link Sys.arena} only. */
  constructor(sys: Sys, block: Block) {
    this.nr = sys.nr;
    this.#sys = sys;
    this.#block = block;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#block.bytes.length - this.#used;
  }

  /** A part, aligned to 16 bytes, zero. Throws a RangeError if there is not so much left. */
  alloc(bytes: number): Block {
    const { address, bytes: { buffer } } = this.#block;
    const at = this.#used;
    if (bytes > this.left) throw new RangeError("The arena is too small");
    this.#used += (bytes + 15) & ~15;
    return {
      address: address + at,
      bytes: new Uint8Array(buffer, at, bytes),
      view: new DataView(buffer, at, bytes),
    };
  }

  /** A text with a zero byte at its end; returns its address. */
  text(text: string): number {
    const bytes = new TextEncoder().encode(`${text}\0`);
    const block = this.alloc(bytes.length);
    block.bytes.set(bytes);
    return block.address;
  }

  /** Texts, as an array of addresses with a 0 at its end; returns its address. */
  texts(texts: readonly string[]): number {
    const block = this.alloc(8 * (texts.length + 1));
    texts.forEach((text, i) =>
      block.view.setBigUint64(8 * i, BigInt(this.text(text)), true)
    );
    return block.address;
  }

  /** Gives all of it back: nobody may touch any part any more. */
  release(): void {
    this.#sys.unmap(this.#block.address, this.#block.bytes.length);
  }
}

/** The architecture of a Deno. Throws an Error for one that is not served. */
export function architectureOf(
  build: { readonly os: string; readonly arch: string },
): Architecture {
  if (build.os !== "linux") {
    throw new Error(
      `This runs on Linux alone, not on ${build.os}: use a machine or a container with Linux.`,
    );
  }
  if (build.arch !== "x86_64" && build.arch !== "aarch64") {
    throw new Error(
      `There is no machine code for ${build.arch}: use x86-64 or aarch64.`,
    );
  }
  return build.arch;
}
