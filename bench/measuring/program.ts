// SPDX-License-Identifier: GPL-2.0-only

/**
 * Runs steps on a process of the model, with as little around each system call
 * as possible.
 *
 * A struct is passed by value, as users of this package do: placed before a
 * guard page, and copied back. That is part of what is timed.
 *
 * @module
 */

import type { Process } from "../../impl/kernel/process.ts";
import { errnoName } from "../../impl/uapi/errno.ts";
import type { IoctlStep, Step, SweptField } from "./steps.ts";

/** Steps that are ready to run, again and again. */
export class Program {
  readonly #ops: readonly (() => void)[];

  /** Prepares steps for a process. */
  constructor(process: Process, steps: readonly Step[]) {
    this.#ops = steps.map((step) => compile(process, step));
  }

  /** Makes all calls. Throws an Error if one does not return what it must. */
  run(): void {
    for (const op of this.#ops) op();
  }
}

function compile(process: Process, step: Step): () => void {
  switch (step.call) {
    case "ioctl":
      return compileIoctl(process, step);
    case "ioctlArg": {
      const { fd, cmd, arg, times, ret } = step;
      return () => {
        for (let i = 0; i < times; i++) {
          expect(step, process.ioctl(fd, cmd, arg), ret);
        }
      };
    }
    case "open":
      return () => expect(step, process.open("/dev/iommu"), step.ret);
    case "close": {
      const { fd, times, ret } = step;
      return () => {
        for (let i = 0; i < times; i++) expect(step, process.close(fd), ret);
      };
    }
    case "read": {
      const into = new Uint8Array(step.ret);
      return () => expect(step, process.read(step.fd, into), step.ret);
    }
    case "write": {
      const { fd, bytes } = step;
      return () => expect(step, process.write(fd, bytes), bytes.length);
    }
    case "fork":
      // A child is another process each time.
      return () => {
        const child = process.fork();
        new Program(child, step.child).run();
        child.exit();
      };
  }
}

function compileIoctl(process: Process, step: IoctlStep): () => void {
  const { fd, cmd, arg, times, ret } = step;
  const bytes = new Uint8Array(arg.length);
  const sweep = new Sweep(bytes, step);
  return () => {
    // The kernel wrote its answer there the last time.
    bytes.set(arg);
    sweep.rewind();
    for (let left = times;;) {
      const got = process.ioctlStruct(fd, cmd, bytes);
      if (got !== ret) expect(step, got, ret);
      if (--left === 0) return;
      sweep.advance();
    }
  };
}

/** Moves the fields of a struct on. */
class Sweep {
  readonly #view: DataView;
  readonly #fields: readonly SweptField[];
  readonly #first: readonly number[];
  readonly #values: number[];

  constructor(bytes: Uint8Array, { arg, sweep }: IoctlStep) {
    const first = new DataView(arg.buffer, arg.byteOffset, arg.length);
    this.#view = new DataView(bytes.buffer);
    this.#fields = sweep;
    this.#first = sweep.map(({ offset, size }) =>
      size === 8
        ? Number(first.getBigUint64(offset, true))
        : first.getUint32(offset, true)
    );
    this.#values = [...this.#first];
  }

  rewind(): void {
    for (let i = 0; i < this.#first.length; i++) {
      this.#values[i] = this.#first[i]!;
    }
  }

  /** Two halves instead of a bigint, which would be garbage for each call. */
  advance(): void {
    for (let i = 0; i < this.#fields.length; i++) {
      const { offset, size, by } = this.#fields[i]!;
      const value = this.#values[i]! + by;
      this.#values[i] = value;
      this.#view.setUint32(offset, value % 2 ** 32, true);
      if (size === 8) {
        this.#view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
      }
    }
  }
}

function expect(step: Step, got: number, wanted: number): void {
  if (got === wanted) return;
  const what = "cmd" in step
    ? `${step.call} 0x${step.cmd.toString(16)}`
    : step.call;
  throw new Error(
    `Cannot measure: ${what} returned ${result(got)} instead of ${
      result(wanted)
    }`,
  );
}

function result(ret: number): string {
  return ret < 0 ? errnoName(ret) : String(ret);
}
