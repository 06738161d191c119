// SPDX-License-Identifier: GPL-2.0-only

/**
 * Says what the struct of an ioctl is made of.
 *
 * @module
 */

import {
  cName,
  formatNumber,
  formatRole,
} from "../../impl/uapi/layout/format.ts";
import type { IoctlStruct, Numbered } from "../../impl/uapi/ioctl.ts";
import { IOCTLS, TEST_OPS } from "../../impl/uapi/ioctls.ts";
import { existsIn, VERSIONS } from "../../impl/uapi/revision/versions.ts";
import { fieldsOf, type Struct } from "../../impl/uapi/layout/struct.ts";

/** What is known of an ioctl or a test operation by its C name; undefined if there is none. */
export function explainIoctl(name: string): string | undefined {
  const op = TEST_OPS.find(({ op }) => op.name === name);
  if (op) return text(op.op, structLines(op));
  const row = IOCTLS.find(({ ioctl }) => ioctl.name === name);
  if (row === undefined) return undefined;
  const rest = "fields" in row
    ? [...sizeLines(row), ...structLines(row)]
    : [`takes     ${formatRole(row.arg)}`];
  return text(row.ioctl, rest);
}

function text(
  { name, number, since = VERSIONS[0] }: Numbered,
  rest: readonly string[],
): string {
  const first = [`number    ${formatNumber(number)}`, `since     ${since}`];
  return `${name}\n${
    [...first, ...rest].map((line) => `  ${line}\n`).join("")
  }`;
}

/** How long a struct is from which version on, and the least that a caller must provide. */
function sizeLines(row: IoctlStruct<object>): string[] {
  const sizes = VERSIONS.filter((version) => existsIn(version, row.ioctl))
    .map((version) => [version, row.sizeIn(version), row.minSizeIn(version)]);
  return sizes.filter(([, size], i) => size !== sizes[i - 1]?.[1])
    .map(([version, size, min]) =>
      `size      ${version}: ${size} bytes, at least ${min}`
    );
}

function structLines(layout: Struct<object>): string[] {
  const fields = fieldsOf(layout);
  const width = Math.max(...fields.map(({ name }) => cName(name).length));
  const lines = fields.map((field) => {
    const { offset, type, name, since } = field;
    const place = `${String(offset).padStart(4)}  ${type.padEnd(3)}`;
    const later = since ? ` (since ${since})` : "";
    return `${place}  ${cName(name).padEnd(width)}  ${
      formatRole(field)
    }${later}`;
  });
  return [`struct    ${layout.name}`, ...lines];
}
