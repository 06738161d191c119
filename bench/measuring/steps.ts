// SPDX-License-Identifier: GPL-2.0-only

/**
 * System calls to time, as data: what is repeated, and which fields of the
 * struct move on from one repetition to the next.
 *
 * Data and not code, so that a program at the far end of a target can make the
 * same calls in a loop of its own.
 *
 * @module
 */

import { IOMMU_TEST_CMD } from "../../impl/uapi/selftest.ts";
import type { Revision } from "../../impl/uapi/revision.ts";
import type { Struct } from "../../impl/uapi/struct.ts";
import { encodeTestCmd } from "../../selftests/ioctls/mock_ioctls.ts";

/** A field that grows with each repetition. */
export interface SweptField {
  /** Its byte offset in the struct. */
  readonly offset: number;
  /** Its size in bytes. */
  readonly size: 4 | 8;
  /** How much it grows. The values stay below 2^53. */
  readonly by: number;
}

/** An ioctl with a struct, made `times` times. */
export interface IoctlStep {
  /** The kind of step. */
  readonly call: "ioctl";
  /** The descriptor. */
  readonly fd: number;
  /** The number of the ioctl. */
  readonly cmd: number;
  /** The struct of the first repetition. The step never changes it. */
  readonly arg: Uint8Array;
  /** How often. */
  readonly times: number;
  /** What moves on in between. */
  readonly sweep: readonly SweptField[];
  /** What each call must return. */
  readonly ret: number;
}

/** A step of a benchmark. */
export type Step =
  | IoctlStep
  /** An ioctl whose argument is passed as it is: a number, or the address of a struct that lies in memory. */
  | {
    readonly call: "ioctlArg";
    readonly fd: number;
    readonly cmd: number;
    readonly arg: number;
    readonly times: number;
    readonly ret: number;
  }
  /** Opens `/dev/iommu`, which must give the descriptor `ret`. */
  | { readonly call: "open"; readonly ret: number }
  /** Closes a descriptor. */
  | {
    readonly call: "close";
    readonly fd: number;
    readonly times: number;
    readonly ret: number;
  }
  /** Reads `ret` bytes. */
  | { readonly call: "read"; readonly fd: number; readonly ret: number }
  /** Writes all of `bytes`. */
  | { readonly call: "write"; readonly fd: number; readonly bytes: Uint8Array }
  /** Forks; the child makes the steps and exits. */
  | { readonly call: "fork"; readonly child: readonly Step[] };

/** How an ioctl is repeated. */
export interface Repetition<T> {
  /** How often; default once. */
  readonly times?: number;
  /** How much fields grow from one call to the next. */
  readonly sweep?: Partial<Record<keyof T & string, number>>;
  /** What each call must return; default 0. */
  readonly ret?: number;
}

/** An ioctl with a struct of the given values. */
export function ioctl<T extends object>(
  fd: number,
  cmd: number,
  layout: Struct<T>,
  values: Partial<T>,
  repetition: Repetition<T> = {},
): IoctlStep {
  return step(fd, cmd, layout, layout.encode(values), repetition);
}

/** A test operation of the selftest module, in the layout of a revision. */
export function testIoctl<T extends { size: number; op: number }>(
  fd: number,
  op: number,
  layout: Struct<T>,
  values: Partial<T>,
  repetition: Repetition<T> & { readonly revision: Revision },
): IoctlStep {
  const bytes = encodeTestCmd(repetition.revision, layout, op, values);
  return step(fd, IOMMU_TEST_CMD, layout, bytes, repetition);
}

function step<T extends object>(
  fd: number,
  cmd: number,
  layout: Struct<T>,
  arg: Uint8Array,
  { times = 1, sweep = {}, ret = 0 }: Repetition<T>,
): IoctlStep {
  return {
    call: "ioctl",
    fd,
    cmd,
    arg,
    times,
    sweep: sweptFields(layout, sweep),
    ret,
  };
}

function sweptFields<T>(
  layout: Struct<T>,
  sweep: Partial<Record<string, number>>,
): SweptField[] {
  return Object.entries(sweep).map(([name, by]) => {
    const { offset, type } = layout.fields[name as keyof T & string];
    if (type !== "u32" && type !== "u64") {
      throw new TypeError(`Field ${name} must be a u32 or a u64, not ${type}`);
    }
    return { offset, size: type === "u64" ? 8 : 4, by: by! };
  });
}
