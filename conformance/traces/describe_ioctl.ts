// SPDX-License-Identifier: GPL-2.0-only

/**
 * Ioctls and their structs in words, for failure reports.
 *
 * @module
 */

import {
  cName,
  formatNumber,
  formatValue,
} from "../../impl/uapi/layout/format.ts";
import type { Ioctl, IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { IOCTLS, testOpOf, VFIO_IOCTLS } from "../../impl/uapi/ioctls.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import { TestCmd, type TestOp } from "../../impl/uapi/selftest.ts";
import { fieldsOf, type Struct } from "../../impl/uapi/layout/struct.ts";
import type { Kind } from "../api_coverage/open_files.ts";
import type { SentStruct } from "../reports/results.ts";

/** What the names of test operations begin with. */
const OP_PREFIX = "IOMMU_TEST_OP_";

/** All ioctls. Where a container and a device have the same number it is the container's. */
const ALL: readonly Ioctl[] = [...IOCTLS, ...VFIO_IOCTLS];
/** All ioctls, where it is the device's. */
const OF_DEVICES: readonly Ioctl[] = [...VFIO_IOCTLS, ...IOCTLS];

/** All ioctls, first those of a kind of file: by that, a number can have several names. */
export function ioctlsOn(kind: Kind | undefined): readonly Ioctl[] {
  return kind === "device" || kind === "group" ? OF_DEVICES : ALL;
}

/** The row of a table that an ioctl has. */
export function rowOf(
  cmd: number,
  table: readonly Ioctl[],
): Ioctl | undefined {
  return table.find(({ ioctl }) => ioctl.number === cmd);
}

/** The row of an ioctl that has a struct. */
export function structRow(
  cmd: number,
  table: readonly Ioctl[] = ALL,
): IoctlStruct<object> | undefined {
  const row = rowOf(cmd, table);
  return row && "fields" in row ? row : undefined;
}

/** The layout that a struct has: of the test ioctl that of its operation. */
export function layoutOf(
  row: IoctlStruct<object>,
  bytes: Uint8Array,
  revision: Revision,
): Struct<object> {
  return testOp(row.ioctl.number, bytes, revision) ?? row;
}

/** Name of an ioctl: its C constant, or the number in hexadecimal. */
export function ioctlName(
  cmd: number,
  table: readonly Ioctl[] = ALL,
): string {
  return rowOf(cmd, table)?.ioctl.name ?? `0x${cmd.toString(16)}`;
}

/**
 * Name of an ioctl with what its struct chooses: `IOMMU_TEST_CMD` is followed
 * by its operation, as in `IOMMU_TEST_CMD MD_CHECK_MAP`.
 */
export function ioctlNameWith(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
  table: readonly Ioctl[] = ALL,
): string {
  const op = testOpName(cmd, bytes, revision);
  const name = ioctlName(cmd, table);
  return op ? `${name} ${op}` : name;
}

/** Name of the test operation that a struct asks for, such as `MD_CHECK_MAP`; undefined where it asks for none. */
export function testOpName(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
): string | undefined {
  return testOp(cmd, bytes, revision)?.op.name.slice(OP_PREFIX.length);
}

/** The argument of an ioctl that is a plain number. */
export function describeArg(
  cmd: number,
  arg: number | bigint,
  table: readonly Ioctl[] = ALL,
): string {
  const row = rowOf(cmd, table);
  return row && "arg" in row ? formatValue(row.arg, arg) : formatNumber(arg);
}

/**
 * The struct of an ioctl, decoded. Fields beyond the end of `bytes` are left
 * out; bytes beyond the end of the struct are counted. Undefined where the
 * layout is not known.
 */
export function describeStruct(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
  table: readonly Ioctl[] = ALL,
): SentStruct | undefined {
  const row = structRow(cmd, table);
  if (row === undefined) return undefined;
  const layout = layoutOf(row, bytes, revision);

  const whole = new Uint8Array(Math.max(layout.size, bytes.length));
  whole.set(bytes);
  const values = layout.decode(whole) as Record<string, number | bigint>;
  const fields: Record<string, string> = {};
  for (const field of fieldsOf(layout)) {
    if (field.offset >= bytes.length) continue;
    fields[cName(field.name)] = formatValue(field, values[field.name]!);
  }
  const size = row.sizeIn(revision.name);
  if (bytes.length > size) {
    const rest = bytes.subarray(size);
    const what = rest.some((byte) => byte !== 0) ? "not all zero" : "all zero";
    fields["beyond the end"] = `${rest.length} bytes, ${what}`;
  }
  return { name: layout.name, fields };
}

/** The test operation that a struct asks for. */
function testOp(
  cmd: number,
  bytes: Uint8Array,
  revision: Revision,
): TestOp<TestCmd> | undefined {
  const { ioctl, fields, offsetofend } = TestCmd;
  if (cmd !== ioctl.number || bytes.length < offsetofend("op")) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return testOpOf(view.getUint32(fields.op.offset, true), revision);
}
