// SPDX-License-Identifier: GPL-2.0-only

/**
 * All calls of programs that the supervisor is asked about.
 *
 * @module
 */

import type { SyscallName } from "../sys/numbers.ts";
import { type Call, CONTINUE, type NotifiedCall } from "./call.ts";
import { CAPABILITY_CALLS } from "./credentials/capabilities.ts";
import { LIMIT_CALLS } from "./credentials/limits.ts";
import { USER_CALLS } from "./credentials/users.ts";
import { DESCRIPTOR_CALLS } from "./descriptor.ts";
import { EXEC_CALLS } from "./exec.ts";
import { IOCTL_CALLS } from "./ioctl.ts";
import { LIST_CALLS } from "./looking/list.ts";
import { LOOK_CALLS } from "./looking/look.ts";
import { FILE_LENGTH_CALLS } from "./file_length.ts";
import { MEMORY_CALLS } from "./memory.ts";
import { MMAP_CALLS } from "./mmap.ts";
import { OPEN_CALLS } from "./open.ts";
import { READ_WRITE_CALLS } from "./read_write.ts";

/** The table; the filter is made of it. */
export const NOTIFIED_CALLS: readonly NotifiedCall[] = joined([
  ...OPEN_CALLS,
  ...LOOK_CALLS,
  ...LIST_CALLS,
  ...IOCTL_CALLS,
  ...READ_WRITE_CALLS,
  ...MEMORY_CALLS,
  ...FILE_LENGTH_CALLS,
  ...MMAP_CALLS,
  ...EXEC_CALLS,
  ...CAPABILITY_CALLS,
  ...LIMIT_CALLS,
  ...USER_CALLS,
  ...DESCRIPTOR_CALLS,
]);

/** Rows in which each name is once: those of one name answer one after the other, until one does. */
function joined(rows: readonly NotifiedCall[]): NotifiedCall[] {
  const byName = Map.groupBy(rows, ({ name }) => name);
  return [...byName.values()].map((same) => same.reduce(joinTwo));
}

function joinTwo(one: NotifiedCall, other: NotifiedCall): NotifiedCall {
  const { when } = one;
  const conditions = when && other.when && [...when, ...other.when];
  return {
    name: one.name,
    ...(conditions === undefined ? {} : { when: conditions }),
    handle(call) {
      const answer = isAbout(one, call) ? one.handle(call) : CONTINUE;
      if (answer !== CONTINUE) return answer;
      return isAbout(other, call) ? other.handle(call) : CONTINUE;
    },
  };
}

/** Whether a row's conditions ask about a call that the filter lets through for it or for another row. */
function isAbout({ when }: NotifiedCall, call: Call): boolean {
  return when === undefined ||
    when.some(({ argument, mask = -1, test, value }) => {
      const bits = (call.int(argument) & mask) >>> 0;
      if (test === "anyBit") return (bits & value) !== 0;
      return test === "equals" ? bits === value >>> 0 : bits > value >>> 0;
    });
}

/** Calls that programs do not have, because what they open would be unseen. */
export const REFUSED_CALLS: readonly SyscallName[] = ["io_uring_setup"];
