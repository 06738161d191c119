// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  EMFILE,
  ENOENT,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  CAP_SYS_RESOURCE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDWR,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
import { compileAgent } from "../linux_vm/build.ts";
import { missingTools } from "../linux_vm/programs.ts";
import { Channel } from "../protocol/channel.ts";
import { connectTarget, greet } from "../protocol/client.ts";
import { Words } from "../protocol/codec.ts";
import { spawnConnection } from "../protocol/stdio.ts";
import { LINUX } from "../../selftests/harness/known_bugs.ts";
import { type Target, TargetProcess } from "../../selftests/target/target.ts";
import {
  MemoryFault,
  ProcessDied,
} from "../../selftests/target/target_failure.ts";
import { call, type Verb, VERBS } from "../../selftests/target/verbs.ts";

const ALL_VERBS: readonly Verb[] = VERBS;
const PAGE = 4096;
const RW = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS;
/** The ioctl of a pipe that tells how many bytes are in it, as an int. */
const FIONREAD = 0x541b;
/** The one that makes a descriptor wait or not, by an int. */
const FIONBIO = 0x5421;
const RLIMIT_FSIZE = 1;

/** Why the agent cannot be built here. */
const [missing] = Deno.build.os === "linux"
  ? await missingTools([{ what: "gcc", debianPackage: "gcc" }])
  : ["this is not Linux"];

let folder: string;

function agent(): string {
  return `${folder}/linux_agent`;
}

/** Proves something about the agent on the kernel of this machine, which need not know iommufd. */
function proves(
  rule: string,
  body: (process: TargetProcess, target: Target) => Promise<void>,
): void {
  it(rule, async () => {
    const target = await connectTarget(spawnConnection(agent(), []));
    try {
      await body(await TargetProcess.spawn(target), target);
      assertEquals(await target.reset(), []);
    } finally {
      await target.close();
    }
  });
}

function fails(ret: number, errno: Errno): void {
  assertEquals(ret, -errno.code);
}

function bytes(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values);
}

/** The replies to lines that are sent all at once. */
async function replies(...lines: string[]): Promise<string[]> {
  const child = new Deno.Command(agent(), {
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  await writer.close();
  const { stdout, success } = await child.output();
  assert(success);
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

const why = missing === undefined ? "" : ` (skipped: ${missing})`;

describe(`linux_agent${why}`, { skip: missing !== undefined }, () => {
  before(async () => {
    folder = await Deno.makeTempDir({ prefix: "linux_agent_" });
    await compileAgent(agent());
  });
  after(() => Deno.remove(folder, { recursive: true }));

  it("knows every verb, and which can be batched and timed", async () => {
    const channel = new Channel(spawnConnection(agent(), []));
    const { number } = await TargetProcess.spawn(await greet(channel));
    async function reasonFor(request: string): Promise<string> {
      const line = `${channel.takeSequence()} ${number} ${request}`;
      const words = new Words(await channel.exchange(line));
      words.number("the sequence number");
      assertEquals(words.word("error"), "error", request);
      return words.text("the reason");
    }
    for (const { name, batched = false, timed = false } of ALL_VERBS) {
      // Too many words for any of them, of which `exit` is another request then.
      const words = `${name} 1 1 1 1 1 1 1`;
      const reason = await reasonFor(words);
      assertEquals(/unknown/.test(reason), name === "exit", name);
      const inBatch = await reasonFor(`batch ${words}`);
      assertEquals(!/part of a batch|unknown/.test(inBatch), batched, name);
      const repeated = await reasonFor(`time 1 ${words}`);
      assertEquals(!/cannot be timed/.test(repeated), timed, name);
    }
    await channel.close();
  });

  proves("hello tells what the kernel is", async (_process, { info }) => {
    assertEquals(info.name, "linux");
    assertEquals(info.uapi, "6.12");
    assertEquals(info.pageSize, PAGE);
    assert(info.capabilities.includes("fork"));
    assert(info.capabilities.includes(LINUX));
    await Promise.resolve();
  });

  proves("a process has descriptors 0 to 2", async (process) => {
    fails(await process.close(3), EBADF);
    assertEquals(await process.open("/dev/null", O_RDWR), 3);
    assertEquals(await process.dup(3), 4);
    assertEquals(await process.close(3), 0);
    assertEquals(await process.dup(0), 3);
    fails(await process.open("/nowhere/at/all", O_RDWR), ENOENT);
  });

  proves("standard input is not that of the agent", async (process) => {
    assertEquals(await process.read(0, bytes(0)), 0);
    assertEquals(await process.write(1, bytes(1, 2)), 2);
  });

  proves("memory is mapped, protected, read and written", async (process) => {
    const addr = await process.mmap(0, 2 * PAGE, RW, PRIVATE);
    assert(addr > 0);
    await process.poke(addr + 5, bytes(1, 2, 3));
    assertEquals(await process.peek(addr + 4, 5), bytes(0, 1, 2, 3, 0));
    assertEquals(await process.mprotect(addr, PAGE, PROT_READ), 0);
    await assertRejects(() => process.poke(addr, bytes(1)), MemoryFault);
    assertEquals(await process.peek(addr + 5, 1), bytes(1));
    assertEquals(await process.munmap(addr, PAGE), 0);
    await assertRejects(() => process.peek(addr, 1), MemoryFault);
    assertEquals(await process.peek(addr + PAGE, 1), bytes(0));
    fails(await process.munmap(addr + 1, PAGE), EINVAL);
    assertEquals(await process.peek(addr, 0), bytes());
  });

  proves("a page behind the end of its file faults", async (process) => {
    const fd = await process.memfdCreate("short", 0);
    const addr = await process.mmap(0, PAGE, RW, MAP_SHARED, fd);
    await assertRejects(() => process.peek(addr, 1), MemoryFault);
    assertEquals(await process.ftruncate(fd, PAGE), 0);
    await process.poke(addr, bytes(7));
    const out = bytes(0);
    assertEquals(await process.read(fd, out), 1);
    assertEquals(out, bytes(7));
  });

  proves("a struct lies before a guard page", async (process) => {
    const { ret, readFd, writeFd } = await process.pipe();
    assertEquals(ret, 0);
    assertEquals(await process.write(writeFd, bytes(1, 2, 3)), 3);
    const count = bytes(9, 9, 9, 9);
    assertEquals(await process.ioctl(readFd, FIONREAD, count), 0);
    assertEquals(count, bytes(3, 0, 0, 0));
    fails(await process.ioctl(readFd, FIONREAD, bytes(9, 9, 9)), EFAULT);
    fails(await process.ioctl(readFd, FIONREAD, bytes()), EFAULT);
    fails(await process.ioctlArg(readFd, FIONREAD, 16), EFAULT);
    const addr = await process.mmap(0, PAGE, RW, PRIVATE);
    assertEquals(await process.ioctlArg(readFd, FIONREAD, BigInt(addr)), 0);
    assertEquals(await process.peek(addr, 1), bytes(3));
  });

  proves(
    "the guard page is not a hole for the next mapping",
    async (process) => {
      const { readFd } = await process.pipe();
      for (let i = 0; i < 16; i++) await process.mmap(0, PAGE, RW, PRIVATE);
      fails(await process.ioctl(readFd, FIONREAD, bytes(9, 9)), EFAULT);
    },
  );

  proves("all calls of a batch are made", async (process) => {
    const { readFd } = await process.pipe();
    const addr = await process.mmap(0, PAGE, RW, PRIVATE);
    const into = bytes(0, 0);
    const count = bytes(9, 9, 9, 9);
    const results = await process.batch([
      call("poke", addr, bytes(5, 6)),
      call("ioctl", readFd, FIONREAD, bytes(9)),
      call("peek", addr, into),
      call("ioctl", readFd, FIONREAD, count),
    ]);
    assertEquals(results, [0, -EFAULT.code, 0, 0]);
    assertEquals(into, bytes(5, 6));
    assertEquals(count, bytes(0, 0, 0, 0));
    await assertRejects(() =>
      process.batch([
        call("peek", 16, into),
        call("poke", addr, bytes(8)),
      ]), MemoryFault);
    assertEquals(await process.peek(addr, 1), bytes(8));
  });

  proves("calls are made again and again, and timed", async (process) => {
    const { readFd, writeFd } = await process.pipe();
    const count = bytes(9, 9, 9, 9);
    await process.write(writeFd, bytes(1, 2, 3));
    const { nanoseconds, results } = await process.time(4, [
      call("ioctl", readFd, FIONREAD, count),
      call("ioctlarg", readFd, FIONREAD, 16),
      call("open", "/dev/null", O_RDWR),
      call("close", writeFd + 1),
      call("close", 99),
    ]);
    // Each repetition found the descriptor free again.
    assertEquals(results, [0, -EFAULT.code, writeFd + 1, 0, -EBADF.code]);
    assertEquals(count, bytes(3, 0, 0, 0));
    assertEquals(nanoseconds.length, 5);
    assert(nanoseconds.every((each) => each > 0), `${nanoseconds}`);
  });

  proves("a struct is put back before each call", async (process) => {
    const { readFd } = await process.pipe();
    const count = bytes(1, 0, 0, 0);
    const { results } = await process.time(2, [
      call("ioctl", readFd, FIONREAD, count),
      call("ioctl", readFd, FIONBIO, bytes(1, 0, 0, 0)),
    ]);
    assertEquals(results, [0, 0]);
    assertEquals(count, bytes(0, 0, 0, 0));
    // FIONBIO read its own 1, and not the 0 that FIONREAD left at that place.
    fails(await process.read(readFd, bytes(0)), EAGAIN);
  });

  proves("a megabyte goes there and back", async (process) => {
    const length = 1 << 20;
    const addr = await process.mmap(0, length, RW, PRIVATE);
    const data = new Uint8Array(length).map((_, index) => index * 7);
    await process.poke(addr, data);
    assertEquals(await process.peek(addr, length), data);
  });

  proves("poll tells what holds now", async (process) => {
    const { readFd, writeFd } = await process.pipe();
    assertEquals(await process.poll(readFd, POLLIN), 0);
    assertEquals(await process.poll(writeFd, POLLOUT), POLLOUT);
    await process.write(writeFd, bytes(1));
    assertEquals(await process.poll(readFd, POLLIN), POLLIN);
    assertEquals(await process.poll(77, POLLIN), POLLNVAL);
    const eventfd = await process.eventfd(3, 0);
    const value = new Uint8Array(8);
    assertEquals(await process.read(eventfd, value), 8);
    assertEquals(value[0], 3);
  });

  proves("a child has a copy of memory and descriptors", async (process) => {
    const { readFd, writeFd } = await process.pipe();
    const addr = await process.mmap(0, PAGE, RW, PRIVATE);
    const child = await process.fork();
    await process.poke(addr, bytes(1));
    assertEquals(await child.peek(addr, 1), bytes(0));
    assertEquals(await process.close(writeFd), 0);
    assertEquals(await child.write(writeFd, bytes(4)), 1);
    const grandchild = await child.fork();
    await child.exit();
    assertEquals(await grandchild.write(writeFd, bytes(5)), 1);
    await grandchild.exit();
    const into = bytes(0, 0, 0);
    assertEquals(await process.read(readFd, into), 2);
    assertEquals(into, bytes(4, 5, 0));
    // Both are gone, and their descriptors with them.
    assertEquals(await process.read(readFd, into), 0);
  });

  proves(
    "a call may kill its process, and no other",
    async (process, target) => {
      const child = await process.fork();
      const fd = await child.memfdCreate("limited", 0);
      assertEquals(await child.setrlimit(RLIMIT_FSIZE, 1n), 0);
      const died = await assertRejects(
        () => child.ftruncate(fd, PAGE),
        ProcessDied,
      );
      assertStringIncludes(died.message, "SIGXFSZ");
      const again = await assertRejects(() => child.dup(0), ProcessDied);
      assertStringIncludes(again.message, "SIGXFSZ");
      assertEquals(await process.dup(0), 3);
      assertEquals(await (await TargetProcess.spawn(target)).dup(0), 3);
    },
  );

  proves("a process that unmaps itself dies of SIGSEGV", async (process) => {
    const everything = 2 ** 47 - PAGE;
    const died = await assertRejects(
      () => process.mmap(0, everything, PROT_NONE, PRIVATE | MAP_FIXED),
      ProcessDied,
    );
    assertStringIncludes(died.message, "SIGSEGV");
  });

  proves("limits hold", async (process) => {
    assertEquals(await process.vmStatus(), { vmLck: 0, vmPin: 0 });
    assertEquals(await process.setrlimit(RLIMIT_NOFILE, 4n), 0);
    assertEquals(await process.dup(0), 3);
    fails(await process.dup(0), EMFILE);
    assertEquals(await process.dropCapability(CAP_SYS_RESOURCE), 0);
    fails(await process.dropCapability(77), EINVAL);
  });

  proves("fail-nth is off, or not there", async (process, { info }) => {
    const expected = info.capabilities.includes("fail_nth") ? 0 : -ENOENT.code;
    assertEquals(await process.setFailNth(0), expected);
    assertEquals(await process.failNthLeft(), 0);
  });

  it("what is not understood is answered with a reason", async () => {
    const answers = await replies(
      "1 0 hello 1",
      "2 0 spawn\r",
      "3 1 dup 1 1",
      "4 1 dup",
      "5 1 dup 0x",
      "6 1 dup 010",
      "7 1 dup 0x10000000000000000",
      "8 1 write 1 ABCD",
      "9 1 write 1 abc",
      "10 1 nonsense",
      "11 1 batch dup 1",
      "12 1 batch",
      "13 2 dup 1",
      "14 0 nonsense",
      "15 0 hello 2",
      "16 1",
      "17 1  dup 1",
      "18 1 open 00 0x0",
      "19 1 dup 1",
      "20 1 exit",
      "21 1 dup 1",
      "22 0 bye",
      "23 0 spawn",
    );
    const [hello, ...rest] = answers;
    assert(hello!.startsWith("1 ok protocol=1 name=linux "));
    const kinds = rest.map((line) => line.split(" ").slice(0, 2).join(" "));
    const refused = Array.from({ length: 16 }, (_, i) => `${i + 3} error`);
    assertEquals(kinds, [
      "2 ok",
      ...refused,
      "19 ok",
      "20 ok",
      "21 error",
      "22 ok",
    ]);
  });

  it("a list is timed as a whole or not at all", async () => {
    const [, ...answers] = await replies(
      "1 0 spawn",
      "2 1 time 0 close 1",
      "3 1 time 1",
      "4 1 time 1 dup 1",
      "5 1 time 1 close 1 1",
      "6 1 time 1 close 1 ; close x",
      "7 1 close 1",
    );
    const kinds = answers.map((line) => line.split(" ").slice(0, 2).join(" "));
    assertEquals(
      kinds,
      ["2 error", "3 error", "4 error", "5 error", "6 error", "7 ok"],
    );
    assertEquals(answers.at(-1), "7 ok 0");
  });

  it("numbers have 64 bits, with a sign or without", async () => {
    const answers = await replies(
      "1 0 spawn",
      "2 1 munmap 0xFFFFFFFFFFFFF000 0x1000",
      "3 1 munmap -9223372036854775808 1",
      "4 1 munmap -9223372036854775809 1",
      "5 1 munmap 18446744073709547520 1",
    );
    assertEquals(answers[1], `2 ok -${EINVAL.code}`);
    assertEquals(answers[2], `3 ok -${EINVAL.code}`);
    assert(answers[3]!.startsWith("4 error "));
    assertEquals(answers[4], `5 ok -${EINVAL.code}`);
  });

  it("no process outlives the agent", async () => {
    const target = await connectTarget(spawnConnection(agent(), []));
    const process = await TargetProcess.spawn(target);
    await process.fork();
    const pid = await ownPid(process);
    assert(isAlive(pid));
    await target.close();
    assert(!isAlive(pid));
  });

  proves("reset ends all processes", async (process, target) => {
    const pid = await ownPid(await process.fork());
    assertEquals(await target.reset(), []);
    assert(!isAlive(pid));
    assertEquals(await (await TargetProcess.spawn(target)).dup(0), 3);
  });
});

/** The number that the kernel gave a process: the first word of its stat file. */
async function ownPid(process: TargetProcess): Promise<number> {
  const fd = await process.open("/proc/self/stat", 0);
  const text = new Uint8Array(32);
  assert(await process.read(fd, text) > 0);
  await process.close(fd);
  return parseInt(new TextDecoder().decode(text));
}

function isAlive(pid: number): boolean {
  try {
    // To a process that was not stopped, this signal does nothing.
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
