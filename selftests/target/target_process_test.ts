// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EFAULT } from "../../impl/uapi/errno.ts";
import { type Caller, TargetProcess } from "./target.ts";
import { MemoryFault, TargetFailure } from "./target_failure.ts";
import { type Call, call, VERBS } from "./verbs.ts";

/** Takes calls down; each returns `result`. */
class Log implements Caller {
  readonly calls: (Call & { readonly process: number })[] = [];
  result = 0;

  spawn(): Promise<number> {
    return Promise.resolve(7);
  }

  make(process: number, calls: readonly Call[]): Promise<number[]> {
    this.calls.push(...calls.map((call) => ({ ...call, process })));
    return Promise.resolve(calls.map(() => this.result));
  }
}

async function start(): Promise<{ log: Log; process: TargetProcess }> {
  const log = new Log();
  return { log, process: await TargetProcess.spawn(log) };
}

describe("TargetProcess", () => {
  it("has a method for each verb, with an argument for each that the row has", async () => {
    const { log, process } = await start();
    const bytes = new Uint8Array(1);
    await process.open("/dev/iommu");
    await process.close(3);
    await process.dup(3);
    await process.dup2(3, 4);
    await process.dup3(3, 4, 0);
    await process.unlink("/dev/shm/name");
    await process.passFd(3, process);
    await process.ioctl(3, 1, bytes);
    await process.ioctlArg(3, 1, 2n);
    await process.mmap(0, 4096, 0, 0);
    await process.munmap(0, 4096);
    await process.mremap(0, 4096, 4096, 0);
    await process.mprotect(0, 4096, 0);
    await process.madvise(0, 4096, 0);
    await process.read(3, bytes);
    await process.write(3, bytes);
    await process.pread(3, bytes, 0);
    await process.pwrite(3, bytes, 0);
    await process.lseek(3, 0, 0);
    await process.poll(3, 0);
    await process.peek(16, 1);
    await process.poke(16, bytes);
    await process.memfdCreate("name", 0);
    await process.ftruncate(3, 0);
    await process.fallocate(3, 0, 0, 1);
    await process.fcntl(3, 0);
    await process.eventfd(0, 0);
    await process.pipe();
    await process.setrlimit(8, 0n);
    await process.setuid(1000);
    await process.dropCapability(14);
    await process.vmStatus();
    await process.setFailNth(1);
    await process.failNthLeft();
    await process.fork();
    await process.exec();
    await process.exit();
    const made = log.calls.map(({ verb, args }) => [verb.name, args.length]);
    assertEquals(made, VERBS.map(({ name, args }) => [name, args.length]));
  });

  it("makes the calls of the process that was spawned or forked", async () => {
    const { log, process } = await start();
    log.result = 9;
    const child = await process.fork();
    await child.close(3);
    assertEquals([process.number, child.number], [7, 9]);
    assertEquals(log.calls.map(({ process }) => process), [7, 9]);
  });

  it("asks for nothing where there is nothing to make, and for one end only", async () => {
    const { log, process } = await start();
    assertEquals(await process.batch([]), []);
    await process.exit();
    await process.exit();
    assertEquals(log.calls.map(({ verb }) => verb.name), ["exit"]);
  });

  it("rejects where the times of calls cannot be taken", async () => {
    const { process } = await start();
    await assertRejects(() => process.time(1, []), TargetFailure, "take times");
  });

  it("rejects with a MemoryFault when memory may not be touched, and for nothing else", async () => {
    const { log, process } = await start();
    const bytes = new Uint8Array(2);
    log.result = -EFAULT.code;
    for (
      const touch of [
        () => process.peek(16, 2),
        () => process.poke(16, bytes),
        () => process.batch([call("close", 3), call("peek", 16, bytes)]),
      ]
    ) {
      await assertRejects(touch, MemoryFault, "of 2 bytes at 0x10");
    }
    assertEquals(await process.ioctl(3, 1, bytes), -EFAULT.code);
    assertEquals(await process.batch([call("close", 3)]), [-EFAULT.code]);
    assertEquals(await process.make([call("peek", 16, bytes)]), [-EFAULT.code]);
  });
});
