// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of processes: their privileges, their children and their end.
 *
 * @module
 */

import { EBADF, EINVAL, EPERM } from "../../impl/uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_MEMLOCK,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
} from "../../selftests/harness/harness.ts";
import { TargetProcess } from "../../selftests/target/target.ts";
import { type Check, refuses } from "./bench.ts";

const ONE = new Uint8Array([1]);
const TWO = new Uint8Array([2]);

/** A page of private memory that holds 1. */
async function page(process: TargetProcess, size: number): Promise<number> {
  const addr = await process.mmap(
    0,
    size,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
  );
  await process.poke(assertOk(addr, "mmap"), ONE);
  return addr;
}

/** Whether it names a capability or not, the adapter must answer; a system call that is not there returns an errno. */
function hasCapability(
  capabilities: readonly string[],
  name: string,
  ret: number,
): void {
  if (capabilities.includes(name)) assertOk(ret, `${name}, a capability`);
}

/** `spawn`, `fork`, `exit`, `reset`, privileges and fault injection. */
export const PROCESS_CHECKS: readonly Check[] = [
  {
    name: "spawn",
    async run({ target, process }) {
      const other = await TargetProcess.spawn(target);
      const { pageSize } = target.info;
      const first = await page(process, pageSize);
      const second = await page(other, pageSize);
      await other.poke(second, TWO);
      const memory = await process.peek(first, 1);
      assertBytes(memory, ONE, "memory of a process whose sibling writes");
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      assertErrno(await other.close(fd), EBADF, "close in the sibling");
    },
  },
  {
    name: "setrlimit",
    needs: "setrlimit",
    async run({ process }) {
      const limit = 1n << 20n;
      const memlock = await process.setrlimit(RLIMIT_MEMLOCK, limit);
      assertEq(memlock, 0, "setrlimit of RLIMIT_MEMLOCK");
      const infinite = await process.setrlimit(RLIMIT_MEMLOCK, 2n ** 64n - 1n);
      assertEq(infinite, 0, "setrlimit to infinity");
      const none = await process.setrlimit(1000, limit);
      assertErrno(none, EINVAL, "setrlimit of no resource");
    },
  },
  {
    name: "setuid and dropcap",
    needs: "setuid",
    async run({ process }) {
      assertEq(await process.dropCapability(CAP_IPC_LOCK), 0, "dropcap");
      assertEq(await process.setuid(1000), 0, "setuid");
      assertErrno(await process.setuid(0), EPERM, "setuid back to root");
    },
  },
  {
    name: "failnth and failnthleft",
    async run({ process, target: { info: { capabilities } } }) {
      const ret = await process.setFailNth(1000);
      hasCapability(capabilities, "fail_nth", ret);
      if (ret < 0) return;
      const left = await process.failNthLeft();
      assertTrue(left > 0 && left <= 1000, "failnthleft counts from 1000");
      assertOk(await process.setFailNth(0), "failnth 0");
      assertEq(await process.failNthLeft(), 0, "failnthleft when it is off");
    },
  },
  {
    name: "fork",
    needs: "fork",
    async run({ process, target: { info: { pageSize } } }) {
      const addr = await page(process, pageSize);
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      const child = await process.fork();
      assertBytes(await child.peek(addr, 1), ONE, "memory of the child");
      await child.poke(addr, TWO);
      assertBytes(
        await process.peek(addr, 1),
        ONE,
        "memory of the parent after the child wrote",
      );
      assertEq(await child.close(fd), 0, "close in the child");
      const grandchild = await child.fork();
      assertBytes(
        await grandchild.peek(addr, 1),
        TWO,
        "the grandchild's memory",
      );
      await child.exit();
      assertBytes(
        await grandchild.peek(addr, 1),
        TWO,
        "the grandchild's memory after its parent's end",
      );
      await grandchild.exit();
      assertEq(await process.close(fd), 0, "close in the parent");
    },
  },
  {
    name: "exit",
    async run(bench) {
      const other = await TargetProcess.spawn(bench.target);
      await other.exit();
      await refuses(bench, `${other.number} vmstatus`);
      await bench.process.vmStatus();
    },
  },
  {
    name: "exit: descriptors are gone when the reply comes",
    needs: "fork",
    async run({ process }) {
      const { ret, readFd, writeFd } = await process.pipe();
      assertEq(ret, 0, "pipe");
      const child = await process.fork();
      assertEq(await process.close(writeFd), 0, "close of the write end");
      await child.exit();
      const read = await process.read(readFd, new Uint8Array(1));
      assertEq(read, 0, "read of a pipe whose writer exited");
    },
  },
  {
    name: "reset",
    async run(bench) {
      const { process, target } = bench;
      assertOk(await process.open("/dev/iommu"), "open");
      await page(process, target.info.pageSize);
      const problems = await target.reset();
      assertEq(problems.join(" "), "", "what a reset finds of a process");
      await refuses(bench, `${process.number} vmstatus`);
      assertEq(
        (await target.reset()).join(" "),
        "",
        "what another reset finds",
      );
      const fresh = await TargetProcess.spawn(target);
      assertEq(await fresh.open("/dev/iommu"), 3, "first descriptor after it");
    },
  },
];
