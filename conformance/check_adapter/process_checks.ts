// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks of processes: their privileges, their children and their end.
 *
 * @module
 */

import { EBADF } from "../../impl/uapi/errno.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  assertTrue,
} from "../../selftests/harness/harness.ts";
import { TargetProcess } from "../../selftests/target/target.ts";
import {
  mapMemory,
  probeFork,
  probeSetrlimit,
  probeSetuid,
} from "../targets/probes.ts";
import { probeExec } from "../targets/file_probes.ts";
import { type Check, refuses } from "./bench.ts";

const ONE = new Uint8Array([1]);
const TWO = new Uint8Array([2]);

/** A page of private memory that holds 1. */
async function page(process: TargetProcess, size: number): Promise<number> {
  const addr = await mapMemory(process, size);
  await process.poke(addr, ONE);
  return addr;
}

/** `spawn`, `fork`, `exit`, `reset`, privileges and fault injection. */
export const PROCESS_CHECKS: readonly Check[] = [
  {
    name: "spawn",
    async run({ target, process, pageSize }) {
      const other = await TargetProcess.spawn(target);
      const first = await page(process, pageSize);
      const second = await page(other, pageSize);
      await other.poke(second, TWO);
      const memory = await process.peek(first, 1);
      assertBytes(memory, ONE, "memory of a process whose sibling writes");
      const fd = assertOk(await process.open("/dev/iommu"), "open");
      assertErrno(await other.close(fd), EBADF, "close in the sibling");
    },
  },
  { name: "setrlimit", needs: "setrlimit", run: probeSetrlimit },
  { name: "setuid and dropcap", needs: "setuid", run: probeSetuid },
  {
    name: "failnth and failnthleft",
    async run({ process, target: { info: { capabilities } } }) {
      // Whether it names the capability or not, the adapter must answer.
      const ret = await process.setFailNth(1000);
      const named = capabilities.includes("fail_nth");
      if (named) assertOk(ret, "fail_nth, a capability");
      if (ret < 0) return;
      const left = await process.failNthLeft();
      assertTrue(left > 0 && left <= 1000, "failnthleft counts from 1000");
      assertOk(await process.setFailNth(0), "failnth 0");
      assertEq(await process.failNthLeft(), 0, "failnthleft when it is off");
    },
  },
  { name: "fork", needs: "fork", run: probeFork },
  { name: "exec", needs: "exec", run: probeExec },
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
      const { process, target, pageSize } = bench;
      assertOk(await process.open("/dev/iommu"), "open");
      await page(process, pageSize);
      const problems = await target.reset();
      assertEq(problems.join(" "), "", "what a reset finds of a process");
      await refuses(bench, `${process.number} vmstatus`);
      const again = await target.reset();
      assertEq(again.join(" "), "", "what another reset finds");
      const fresh = await TargetProcess.spawn(target);
      assertEq(await fresh.open("/dev/iommu"), 3, "first descriptor after it");
    },
  },
];
