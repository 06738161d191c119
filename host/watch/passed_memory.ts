// SPDX-License-Identifier: GPL-2.0-only

/**
 * What an ioctl needs beside its struct: memory that pointers lead to, and
 * descriptors. The roles of the fields say where that is.
 *
 * @module
 */

import { layoutOf } from "../../conformance/traces/describe_ioctl.ts";
import type { SystemCalls } from "../../impl/kernel/system_calls.ts";
import type { IoctlStruct } from "../../impl/uapi/ioctl.ts";
import type { Extent } from "../../impl/uapi/layout/roles.ts";
import { type Field, fieldsOf } from "../../impl/uapi/layout/struct.ts";
import * as mman from "../../impl/uapi/mman.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import { type Call, call } from "../../selftests/target/verbs.ts";
import { memoryAt } from "./format_struct.ts";
import type { Told, ToldProcess } from "./told_process.ts";

/** Bytes behind one pointer that are told. */
const MAX_POINTED = 64 * 1024;
/** Pages behind one pointer that are mapped. */
const MAX_PAGES = 2 ** 18;

type Values = Readonly<Record<string, number | bigint>>;

/** The fields of a struct that it is long enough for. */
function fieldsIn(
  row: IoctlStruct<object>,
  bytes: Uint8Array,
  revision: Revision,
): { fields: readonly Field[]; values: Values } {
  const layout = layoutOf(row, bytes, revision);
  const whole = new Uint8Array(layout.size);
  whole.set(bytes.subarray(0, layout.size));
  const values = layout.decode(whole) as Values;
  const fields = fieldsOf(layout)
    .filter(({ offset }) => offset + 4 <= bytes.length);
  return { fields, values };
}

/**
 * Writes other numbers for the descriptors in a struct that go one way. False
 * if one of them has none.
 */
export function rewriteDescriptors(
  row: IoctlStruct<object>,
  bytes: Uint8Array,
  revision: Revision,
  direction: "in" | "out",
  numberOf: (fd: number) => number | undefined,
): boolean {
  const { fields, values } = fieldsIn(row, bytes, revision);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return fields.every((field) => {
    if (field.role.kind !== "fd" || field.direction !== direction) return true;
    const number = numberOf(Number(values[field.name]));
    if (number !== undefined) view.setInt32(field.offset, number, true);
    return number !== undefined;
  });
}

/** The memory of one ioctl. */
export class PassedMemory {
  /** What makes it as the program has it. */
  readonly calls: readonly Told[];
  readonly #written: readonly { address: number; length: number }[];
  readonly #process: SystemCalls;

  /** Looks at what the pointers of a struct lead to. */
  constructor(
    row: IoctlStruct<object>,
    struct: Uint8Array,
    process: SystemCalls,
    revision: Revision,
    told: ToldProcess,
  ) {
    this.#process = process;
    const calls: Told[] = [];
    const written: { address: number; length: number }[] = [];
    const { fields, values } = fieldsIn(row, struct, revision);
    for (const { name, role } of fields) {
      if (role.kind !== "pointer") continue;
      const address = Number(values[name]);
      const length = extentOf(role.count, role.extent, values);
      if (length === 0) continue;
      calls.push(...mapped(process, told, address, length));
      if (role.use === "pins" || length > MAX_POINTED) continue;
      const bytes = memoryAt(process, address, length);
      if (bytes === undefined) continue;
      calls.push({ call: call("poke", address, bytes), result: 0 });
      if (role.use !== "reads") written.push({ address, length });
    }
    this.calls = calls;
    this.#written = written;
  }

  /** What asks for the answers that the call wrote there. */
  *answers(result: number): Iterable<Call> {
    if (result < 0) return;
    for (const { address, length } of this.#written) {
      const bytes = memoryAt(this.#process, address, length);
      if (bytes !== undefined) yield call("peek", address, bytes);
    }
  }
}

/** How many bytes are behind a pointer. */
function extentOf(count: string, { unit }: Extent, values: Values): number {
  const many = Number(values[count]);
  if (unit === undefined) return many;
  if ("fields" in unit) return many * unit.size;
  if ("bytesIn" in unit) return many * Number(values[unit.bytesIn]);
  const bits = many / Number(values[unit.bitPer]);
  return Number.isFinite(bits) ? Math.ceil(bits / 8) : 0;
}

/** Calls that map the pages of a range which the program has and which are not mapped yet, up to the first that it does not have. */
function mapped(
  process: SystemCalls,
  { pages }: ToldProcess,
  address: number,
  length: number,
): Told[] {
  const calls: Told[] = [];
  const first = Math.floor(address / mman.PAGE_SIZE);
  const end = Math.ceil((address + length) / mman.PAGE_SIZE);
  let start = first;
  const flush = (to: number) => {
    if (to > start) calls.push(mapOf(start, to - start));
    start = to + 1;
  };
  let page = first;
  for (; page < Math.min(end, first + MAX_PAGES); page++) {
    if (pages.has(page)) flush(page);
    else if (memoryAt(process, page * mman.PAGE_SIZE, 1) === undefined) break;
    else pages.add(page);
  }
  flush(page);
  return calls;
}

function mapOf(page: number, count: number): Told {
  const { PAGE_SIZE, PROT_READ, PROT_WRITE } = mman;
  const flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;
  const address = page * PAGE_SIZE;
  const prot = PROT_READ | PROT_WRITE;
  return {
    call: call("mmap", address, count * PAGE_SIZE, prot, flags, -1, 0),
    result: address,
  };
}
