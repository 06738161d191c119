// SPDX-License-Identifier: GPL-2.0-only

/**
 * The structs of ioctls as strace writes them: what the program passed, and
 * what the kernel answered.
 *
 * @module
 */

import { layoutOf } from "../../conformance/traces/describe_ioctl.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import { asErrno } from "../../impl/uapi/errno.ts";
import type { IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { cName, formatValue } from "../../impl/uapi/layout/format.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
} from "../../impl/uapi/layout/struct.ts";
import type { Revision } from "../../impl/uapi/revision.ts";

/** Elements of an array that are shown. */
const MAX_ELEMENTS = 4;

/** Values of a struct by the names of its fields. */
type Values = Readonly<Record<string, number | bigint>>;

/** Bytes of a program's memory; undefined where it has none, as when it is about to go. */
export function memoryAt(
  process: SystemCalls,
  address: number,
  length: number,
): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  try {
    process.mm.getUser(bytes, address);
    return bytes;
  } catch (error) {
    asErrno(error);
    return undefined;
  }
}

/**
 * The struct that a program passes to an ioctl, as long as it says that it is,
 * but no more than `most` bytes, by default those of the struct as it is known.
 * Undefined for an ioctl without a struct, or where its memory cannot be read.
 */
export function passedStruct(
  row: IoctlStruct<object> | undefined,
  process: SystemCalls,
  address: number,
  most?: number,
): Uint8Array | undefined {
  const head = row && memoryAt(process, address, 4);
  if (row === undefined || head === undefined) return undefined;
  const size = new DataView(head.buffer).getUint32(0, true);
  return memoryAt(
    process,
    address,
    Math.max(4, Math.min(size, most ?? row.size)),
  );
}

/** The struct of one call, before and after it. */
export class StructText {
  readonly #row: IoctlStruct<object>;
  readonly #layout: Struct<object>;
  readonly #fields: readonly Field[];
  readonly #before: Values;
  readonly #revision: Revision;
  readonly #process: SystemCalls;

  /** `bytes` are what {@link passedStruct} found. */
  constructor(
    row: IoctlStruct<object>,
    bytes: Uint8Array,
    process: SystemCalls,
  ) {
    const { revision } = process.kernel;
    this.#row = row;
    this.#layout = layoutOf(this.#row, bytes, revision);
    this.#fields = fieldsOf(this.#layout)
      .filter(({ offset }) => offset < bytes.length);
    this.#before = this.#valuesOf(bytes);
    this.#revision = revision;
    this.#process = process;
  }

  /** What the program passed: `{flags=0x2 (WRITEABLE), ioas_id=1}`. */
  passed(): string {
    const shown = this.#fields.filter((field) => this.#isPassed(field));
    return this.#format(shown, this.#before, "reads");
  }

  /** What the kernel answered, behind an arrow; nothing where it did not. */
  answered(after: Uint8Array, succeeded: boolean): string {
    const values = this.#valuesOf(after);
    const shown = this.#fields.filter(({ name, direction, role }) =>
      values[name] !== this.#before[name] ||
      (succeeded && (direction === "out" ||
        (role.kind === "pointer" && role.use === "writes")))
    );
    if (shown.length === 0) return "";
    return ` => ${this.#format(shown, values, "writes")}`;
  }

  #valuesOf(bytes: Uint8Array): Values {
    const whole = new Uint8Array(this.#layout.size);
    whole.set(bytes.subarray(0, whole.length));
    return this.#layout.decode(whole) as Values;
  }

  /** Whether a field says something of what was passed: not what only comes back, nor what is as it must be. */
  #isPassed({ name, direction, role }: Field): boolean {
    const value = Number(this.#before[name]);
    switch (role.kind) {
      case "size":
        return value !== this.#row.sizeIn(this.#revision.name);
      case "reserved":
      case "unused":
        return value !== 0;
      default:
        return direction !== "out";
    }
  }

  #format(
    fields: readonly Field[],
    values: Values,
    use: "reads" | "writes",
  ): string {
    const texts = fields.map((field) => {
      const value = values[field.name]!;
      const text = `${cName(field.name)}=${formatValue(field, value)}`;
      return text + this.#elements(field, values, use);
    });
    return `{${texts.join(", ")}}`;
  }

  /** The structs that a pointer leads to. */
  #elements({ name, role }: Field, values: Values, use: string): string {
    if (role.kind !== "pointer" || role.use !== use) return "";
    const { unit } = role.extent;
    if (unit === undefined || !("fields" in unit)) return "";
    const count = Number(values[role.count]);
    const texts: string[] = [];
    for (let i = 0; i < Math.min(count, MAX_ELEMENTS); i++) {
      const address = Number(values[name]) + i * unit.size;
      const bytes = memoryAt(this.#process, address, unit.size);
      if (bytes === undefined) break;
      texts.push(formatElement(unit, bytes));
    }
    if (texts.length === 0) return "";
    const more = count > texts.length ? ", …" : "";
    return ` [${texts.join(", ")}${more}]`;
  }
}

/** A whole struct. */
function formatElement(layout: Struct<object>, bytes: Uint8Array): string {
  const values = layout.decode(bytes) as Values;
  const texts = fieldsOf(layout).map((field) =>
    `${cName(field.name)}=${formatValue(field, values[field.name]!)}`
  );
  return `{${texts.join(", ")}}`;
}
