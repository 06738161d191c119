// SPDX-License-Identifier: GPL-2.0-only

/**
 * Calls by which a program lets go of memory that may be pinned. The host does
 * them; what is pinned is kept before that.
 *
 * @module
 */

import { EFAULT } from "../../impl/uapi/errno.ts";
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
} from "../../impl/uapi/mman.ts";
import type { HostMm } from "../memory/host_mm.ts";
import {
  followMoved,
  hasPinned,
  keepRemoved,
  keepUnmapped,
  keepUnneeded,
  type Range,
  rangeOf,
} from "../memory/leaving.ts";
import type { HostMachine } from "../memory/machine.ts";
import { type Answer, type Call, CONTINUE, type NotifiedCall } from "./call.ts";
import { TracedThread } from "./traced_thread.ts";

const MADV_DONTNEED_LOCKED = 24;
const MADV_GUARD_INSTALL = 102;

/** Has `keep` keep what is pinned of the caller's memory, if there can be any. */
function keeping(
  keep: (call: Call, mm: HostMm) => void,
): (call: Call) => Answer {
  return (call) => {
    const mm = call.process.openedMm;
    if (mm !== undefined) keep(call, mm);
    return CONTINUE;
  };
}

/** The range of an address and a length that are arguments. */
function rangeAt(call: Call, address: number, length: number): Range {
  return rangeOf(call.arg(address), call.arg(length));
}

const munmap = keeping((call, mm) => {
  if (call.arg(0) % PAGE_SIZE !== 0) return;
  keepUnmapped(call.host.machine, mm, rangeAt(call, 0, 1));
});

/** The end of the heap: what is behind it is unmapped. */
const brk = keeping((call, mm) => {
  const { start } = rangeOf(call.arg(0) + PAGE_SIZE - 1, 0);
  const heap = mm.space.mapping(call.arg(0));
  if (heap === undefined) return;
  keepUnmapped(call.host.machine, mm, { start, end: heap.end });
});

const shmdt = keeping((call, mm) => {
  const { space } = mm;
  const mapping = space.mapping(call.arg(0));
  if (mapping === undefined || !mapping.shared) return;
  call.host.machine.losePlaces({ space, ...mapping });
});

function madvise(call: Call): Answer {
  const mm = call.process.openedMm;
  const { machine } = call.host;
  if (mm === undefined || call.arg(0) % PAGE_SIZE !== 0) return CONTINUE;
  const range = rangeAt(call, 0, 1);
  switch (call.int(2)) {
    case MADV_FREE:
      // What is pinned would stay until memory is short, and then too.
      return hasPinned(machine, mm, range) ? 0 : CONTINUE;
    case MADV_REMOVE:
      keepRemoved(machine, mm, range);
      return CONTINUE;
    default:
      keepUnneeded(machine, mm, range);
      return CONTINUE;
  }
}

/** Whether a device's memory is mapped at an address: it cannot grow (Linux: VM_DONTEXPAND). */
function isDevice(
  machine: HostMachine,
  { space }: HostMm,
  address: number,
): boolean {
  const file = space.mapping(address)?.file;
  return file !== undefined && machine.objectOfFile(file)?.own === true;
}

/** What is pinned stays the page that it is, wherever it goes. */
function mremap(call: Call): Answer {
  const mm = call.process.openedMm;
  if (mm === undefined) return CONTINUE;
  const { machine, sys } = call.host;
  const [from, oldLength, length] = [call.arg(0), call.arg(1), call.arg(2)];
  const flags = call.int(3);
  if (length > oldLength && isDevice(machine, mm, from)) return -EFAULT.code;
  const old = rangeOf(from, oldLength);
  const staying = rangeOf(from, Math.min(oldLength, length));
  keepUnmapped(machine, mm, { start: staying.end, end: old.end });
  if ((flags & MREMAP_FIXED) !== 0) {
    keepUnmapped(machine, mm, rangeAt(call, 4, 2));
  }
  const { space } = mm;
  const matters = hasPinned(machine, mm, staying) ||
    machine.hasPlaces({ space, ...staying });
  if (!matters || (flags & MREMAP_MAYMOVE) === 0) return CONTINUE;
  const thread = TracedThread.of(sys, call.tid);
  if (thread === undefined) {
    keepUnmapped(machine, mm, staying);
    return CONTINUE;
  }
  const result = thread.resultAfter(() => call.goOn()) ?? 0;
  if (result > 0 && result !== from) followMoved(machine, mm, staying, result);
  return CONTINUE;
}

/** Others may hold what is pinned of a process that ends. */
const keepAtExit = keeping(({ host }, mm) => {
  if (host.kernel.tasks.size > 1) host.machine.remember(mm);
});

function exitGroup(call: Call): Answer {
  call.process.exits = call.int(0);
  return keepAtExit(call);
}

/** The family. */
export const MEMORY_CALLS: readonly NotifiedCall[] = [
  { name: "munmap", handle: munmap },
  { name: "mremap", handle: mremap },
  { name: "brk", handle: brk },
  { name: "shmdt", handle: shmdt },
  {
    name: "madvise",
    when: [
      MADV_DONTNEED,
      MADV_FREE,
      MADV_REMOVE,
      MADV_DONTNEED_LOCKED,
      MADV_GUARD_INSTALL,
    ].map((value) => ({ argument: 2, test: "equals", value })),
    handle: madvise,
  },
  { name: "exit_group", handle: exitGroup },
];
