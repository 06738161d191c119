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

import { errnoName } from "../../impl/uapi/errno.ts";
import type { IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import {
  encodeTestOp,
  TestCmd,
  type TestOp,
} from "../../impl/uapi/selftest.ts";
import type { Struct } from "../../impl/uapi/layout/struct.ts";
import type { Iommufd } from "../../selftests/ioctls/ioctls.ts";
import { type Call, call } from "../../selftests/target/verbs.ts";

/** A field that grows with each repetition. */
export interface SweptField {
  /** Its byte offset in the struct. */
  readonly offset: number;
  /** Its size in bytes. */
  readonly size: 4 | 8;
  /** How much it grows. The values stay below 2^53. */
  readonly by: number;
}

/** A call, made `times` times. */
export interface CallStep {
  /** The first of them. The step never changes its struct. */
  readonly call: Call;
  /** How often. */
  readonly times: number;
  /** What moves on in the struct in between. */
  readonly sweep: readonly SweptField[];
  /** What each call must return. */
  readonly ret: number;
}

/** A step of a benchmark. */
export type Step =
  | CallStep
  /** Forks; the child makes the steps and exits. */
  | { readonly fork: readonly Step[] };

/** A call without anything that moves on. It must return `ret`. */
export function step(call: Call, ret: number, times = 1): CallStep {
  return { call, times, sweep: [], ret };
}

/** Opens the iommufd. */
export const OPEN_IOMMU: Call = call("open", "/dev/iommu", O_RDWR);

/** What is thrown when a call does not return what it must. */
export function unexpected({ call, ret }: CallStep, got: number): Error {
  const { verb, args } = call;
  const command = verb.args.findIndex(([, kind]) => kind === "command");
  const what = command < 0
    ? verb.name
    : `${verb.name} 0x${Number(args[command]).toString(16)}`;
  const [came, wanted] = [got, ret].map((result) =>
    result < 0 ? errnoName(result) : String(result)
  );
  return new Error(
    `Cannot measure: ${what} returned ${came} instead of ${wanted}`,
  );
}

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
  layout: IoctlStruct<T>,
  values: Partial<T>,
  repetition: Repetition<T> = {},
): CallStep {
  const { number } = layout.ioctl;
  return swept(fd, number, layout, layout.encode(values), repetition);
}

/** A test operation of the selftest module. */
export function testIoctl<T extends TestCmd>(
  { fd, revision }: Iommufd,
  layout: TestOp<T>,
  values: Partial<T>,
  repetition: Repetition<T> = {},
): CallStep {
  const bytes = encodeTestOp(layout, revision, values);
  return swept(fd, TestCmd.ioctl.number, layout, bytes, repetition);
}

function swept<T extends object>(
  fd: number,
  cmd: number,
  layout: Struct<T>,
  arg: Uint8Array,
  { times = 1, sweep = {}, ret = 0 }: Repetition<T>,
): CallStep {
  const made = call("ioctl", fd, cmd, arg);
  return { call: made, times, sweep: sweptFields(layout, sweep), ret };
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
