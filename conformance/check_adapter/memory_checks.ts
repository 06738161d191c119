// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of the requests about memory.
 *
 * @module
 */

import { EINVAL } from "../../impl/uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
} from "../../selftests/harness/harness.ts";
import type { TargetProcess } from "../../selftests/target/target.ts";
import { MemoryFault } from "../../selftests/target/target_failure.ts";
import { probeMremap } from "../targets/file_probes.ts";
import { mapMemory } from "../targets/probes.ts";
import type { Check } from "./bench.ts";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
/** Advice that does not exist. */
const NO_ADVICE = 999;
/** Where nothing is ever mapped. */
const NOWHERE = 0x10;
/** Bytes of the longest transfer: more than any test makes. */
const LARGE = 1 << 20;

/** The touch of memory must fault. */
async function faults(touch: Promise<unknown>, what: string): Promise<void> {
  try {
    await touch;
  } catch (error) {
    if (error instanceof MemoryFault) return;
    throw error;
  }
  throw new AssertionFailure(what, "fault", "ok");
}

/** The bytes of one page that are all the same. */
function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** Writes and reads a page through the mapping, which must be writable. */
async function isUsable(
  process: TargetProcess,
  addr: number,
  what: string,
): Promise<void> {
  await process.poke(addr, filled(1, 0x5a));
  assertBytes(await process.peek(addr, 1), filled(1, 0x5a), what);
}

/** `mmap` and its kin, `peek` and `poke`. */
export const MEMORY_CHECKS: readonly Check[] = [
  {
    name: "mmap",
    async run({ process, pageSize }) {
      const addr = await mapMemory(process, 2 * pageSize);
      assertEq(addr % pageSize, 0, "offset in the page of a mapping");
      const zeroes = filled(2 * pageSize, 0);
      const fresh = await process.peek(addr, 2 * pageSize);
      assertBytes(fresh, zeroes, "new anonymous memory");
      await isUsable(process, addr, "memory that was written");
      const fixed = ANON | MAP_FIXED;
      const again = await process.mmap(addr, pageSize, RW, fixed);
      assertEq(again, addr, "mmap with MAP_FIXED");
      assertBytes(await process.peek(addr, 1), filled(1, 0), "memory of that");
      const none = await process.mmap(0, 0, RW, ANON);
      assertErrno(none, EINVAL, "mmap of nothing");
    },
  },
  {
    name: "munmap",
    async run({ process, pageSize }) {
      const addr = await mapMemory(process, 2 * pageSize);
      assertEq(await process.munmap(addr, pageSize), 0, "munmap");
      await faults(process.peek(addr, 1), "peek of unmapped memory");
      await isUsable(process, addr + pageSize, "the page behind it");
      const odd = await process.munmap(addr + 1, pageSize);
      assertErrno(odd, EINVAL, "munmap of an odd address");
    },
  },
  { name: "mremap", needs: "mremap", run: probeMremap },
  {
    name: "mprotect",
    async run({ process, pageSize }) {
      const addr = await mapMemory(process, pageSize);
      await isUsable(process, addr, "memory");
      const locked = await process.mprotect(addr, pageSize, PROT_READ);
      assertEq(locked, 0, "mprotect");
      assertBytes(await process.peek(addr, 1), filled(1, 0x5a), "its content");
      const poke = process.poke(addr, filled(1, 0));
      await faults(poke, "poke of memory that may only be read");
      assertEq(await process.mprotect(addr, pageSize, RW), 0, "mprotect back");
      await isUsable(process, addr, "memory after that");
    },
  },
  {
    name: "madvise",
    async run({ process, pageSize }) {
      const addr = await mapMemory(process, pageSize);
      const none = await process.madvise(addr, pageSize, NO_ADVICE);
      assertErrno(none, EINVAL, "madvise with no known advice");
    },
  },
  {
    name: "peek and poke",
    async run({ process }) {
      const addr = await mapMemory(process, LARGE);
      const bytes = new Uint8Array(LARGE);
      bytes.forEach((_, index) => bytes[index] = index * 7);
      await process.poke(addr, bytes);
      const back = await process.peek(addr, LARGE);
      assertBytes(back, bytes, "a megabyte that was written");
      const last = await process.peek(addr + LARGE - 1, 1);
      assertBytes(last, bytes.subarray(-1), "the last byte of it");
      assertEq((await process.peek(addr, 0)).length, 0, "length of no bytes");
      await process.poke(addr, new Uint8Array(0));
    },
  },
  {
    name: "peek and poke: a fault is told and the process goes on",
    async run({ process, pageSize }) {
      const addr = await mapMemory(process, pageSize);
      await faults(process.peek(NOWHERE, 1), "peek of the first page");
      const poke = process.poke(NOWHERE, filled(1, 0));
      await faults(poke, "poke of the first page");
      const gone = await process.munmap(addr + pageSize, pageSize);
      assertEq(gone, 0, "munmap of the page behind");
      const across = process.peek(addr + pageSize - 1, 2);
      await faults(across, "peek across the end of a mapping");
      await isUsable(process, addr, "memory after the faults");
    },
  },
  {
    name: "memfd and ftruncate",
    async run({ process, pageSize }) {
      const fd = assertOk(await process.memfdCreate("näme", 0), "memfd");
      assertEq(await process.ftruncate(fd, 2 * pageSize), 0, "ftruncate");
      const addrs = [];
      for (let i = 0; i < 2; i++) {
        const args = [0, pageSize, RW, MAP_SHARED, fd, pageSize] as const;
        const addr = await process.mmap(...args);
        addrs.push(assertOk(addr, "mmap of a memfd"));
      }
      await process.poke(addrs[0]!, filled(3, 9));
      const shared = await process.peek(addrs[1]!, 3);
      assertBytes(shared, filled(3, 9), "memory that two mappings share");
    },
  },
  {
    name: "vmstatus",
    async run({ process }) {
      const { vmLck, vmPin } = await process.vmStatus();
      assertEq(vmLck, 0, "VMLCK of a new process");
      assertEq(vmPin, 0, "VMPIN of a new process");
    },
  },
];
