// SPDX-License-Identifier: GPL-2.0-only

/**
 * Pipes (Linux: fs/pipe.c).
 *
 * @module
 */

import { EAGAIN, EPIPE, ESPIPE } from "../../uapi/errno.ts";
import {
  O_RDONLY,
  O_WRONLY,
  PAGE_SIZE,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../../uapi/mman.ts";
import { File } from "./file.ts";
import type { Task } from "../interfaces/task.ts";

/** Bytes that fit into a pipe. */
export const PIPE_SIZE: number = 16 * PAGE_SIZE;
/** A write of up to this many bytes is not split. */
const PIPE_BUF = PAGE_SIZE;

/** What both ends share: a ring of bytes and the ends that are open. */
class PipeBuffer {
  readonly bytes = new Uint8Array(PIPE_SIZE);
  start = 0;
  used = 0;
  reader: File | undefined;
  writer: File | undefined;

  /** Tells both ends that something changed. */
  changed(): void {
    this.reader?.pollChanged();
    this.writer?.pollChanged();
  }
}

/**
 * A pipe: its end to read and its end to write. Nothing may block in the
 * model: where Linux would wait the calls answer EAGAIN, with O_NONBLOCK or
 * without.
 */
export function createPipe(): [reader: File, writer: File] {
  const buffer = new PipeBuffer();
  const reader = buffer.reader = new PipeReader(buffer);
  const writer = buffer.writer = new PipeWriter(buffer);
  return [reader, writer];
}

/** Whether a file is an end of a pipe. */
export function isPipe(file: File | undefined): boolean {
  return file instanceof PipeReader || file instanceof PipeWriter;
}

class PipeReader extends File {
  readonly #pipe: PipeBuffer;

  constructor(pipe: PipeBuffer) {
    super(O_RDONLY);
    this.#pipe = pipe;
  }

  override read(process: Task, uaddr: number, count: number): number {
    const pipe = this.#pipe;
    if (count === 0) return 0;
    if (pipe.used === 0) {
      if (pipe.writer) throw EAGAIN;
      return 0;
    }
    const n = Math.min(count, pipe.used);
    const head = Math.min(n, PIPE_SIZE - pipe.start);
    process.mm.copyToUser(
      uaddr,
      pipe.bytes.subarray(pipe.start, pipe.start + head),
    );
    if (n > head) {
      process.mm.copyToUser(uaddr + head, pipe.bytes.subarray(0, n - head));
    }
    pipe.start = (pipe.start + n) % PIPE_SIZE;
    pipe.used -= n;
    pipe.changed();
    return n;
  }

  override poll(): number {
    const data = this.#pipe.used > 0 ? POLLIN | POLLRDNORM : 0;
    return data | (this.#pipe.writer ? 0 : POLLHUP);
  }

  protected override release(): void {
    this.#pipe.reader = undefined;
    this.#pipe.changed();
  }
}

class PipeWriter extends File {
  readonly #pipe: PipeBuffer;

  constructor(pipe: PipeBuffer) {
    super(O_WRONLY);
    this.#pipe = pipe;
  }

  override fallocate(): never {
    throw ESPIPE;
  }

  override write(process: Task, uaddr: number, count: number): number {
    const pipe = this.#pipe;
    if (count === 0) return 0;
    if (!pipe.reader) throw EPIPE;
    const room = PIPE_SIZE - pipe.used;
    if (room === 0 || (count <= PIPE_BUF && count > room)) throw EAGAIN;
    const n = Math.min(count, room);
    const end = (pipe.start + pipe.used) % PIPE_SIZE;
    const head = Math.min(n, PIPE_SIZE - end);
    process.mm.copyFromUser(pipe.bytes.subarray(end, end + head), uaddr);
    if (n > head) {
      process.mm.copyFromUser(pipe.bytes.subarray(0, n - head), uaddr + head);
    }
    pipe.used += n;
    pipe.changed();
    return n;
  }

  override poll(): number {
    const room = this.#pipe.used < PIPE_SIZE ? POLLOUT | POLLWRNORM : 0;
    return room | (this.#pipe.reader ? 0 : POLLERR);
  }

  protected override release(): void {
    this.#pipe.writer = undefined;
    this.#pipe.changed();
  }
}
