// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a failed call of the typed client throws.
 *
 * @module
 */

import type { Errno } from "../uapi/errno.ts";
import { formatNumber, formatValue } from "../uapi/layout/format.ts";
import type { FieldSpec } from "../uapi/layout/struct.ts";

/** What was passed to a call, by name. */
export type CallArguments = Readonly<
  Record<string, number | bigint | string | boolean | undefined>
>;

/** What is known of the arguments, by name. */
export type ArgumentFields = Readonly<
  Record<string, Pick<FieldSpec, "role" | "type">>
>;

/**
 * A system call that failed. The message says what failed, with which errno,
 * what was wrong, and what was passed:
 *
 * ```text
 * IOMMU_IOAS_MAP failed with EEXIST: part of the range of IOVA is mapped already
 * (flags 0x7 (FIXED_IOVA | WRITEABLE | READABLE), ioasId 1,
 * userVa 0x7f0000000000, length 0x1000, iova 0x1000000)
 * ```
 */
export class IommufdError extends Error {
  /** Name of the class. */
  override name = "IommufdError";
  /** The system call or ioctl by its C name, for instance `IOMMU_IOAS_MAP`. */
  readonly call: string;
  /** The errno: compare it with the constants, as in `error.errno === EBUSY`. */
  readonly errno: Errno;
  /** What was passed. */
  readonly args: CallArguments;

  /** For the client: `why` says what was wrong, `fields` what the arguments mean. */
  constructor(
    call: string,
    errno: Errno,
    args: CallArguments,
    why: string,
    fields: ArgumentFields = {},
  ) {
    const passed = Object.entries(args)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name} ${formatArgument(value, fields[name])}`);
    const what = passed.length > 0 ? ` (${passed.join(", ")})` : "";
    super(`${call} failed with ${errno}: ${why}${what}`);
    this.call = call;
    this.errno = errno;
    this.args = args;
  }
}

function formatArgument(
  value: CallArguments[string],
  field: ArgumentFields[string] | undefined,
): string {
  if (typeof value !== "number" && typeof value !== "bigint") {
    return String(value);
  }
  return field ? formatValue(field, value) : formatNumber(value);
}
