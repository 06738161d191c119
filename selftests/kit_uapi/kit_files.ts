// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_files`: the files that tests of processes lean on: eventfds,
 * pipes, memory files. What a target does with them must be what Linux does.
 *
 * @module
 */

import { EAGAIN, EINVAL, type Errno } from "../../impl/uapi/errno.ts";
import {
  MAP_SHARED,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  PROT_READ,
  PROT_WRITE,
} from "../../impl/uapi/mman.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Random } from "../harness/random.ts";

type FilesFixture = Fixture<undefined, Context>;

/** The highest count of an eventfd. */
const COUNT_MAX = 2n ** 64n - 2n;

/** Adds the fixture's tests to `registry`. */
export function registerKitFiles(registry: Test[]): void {
  const f: FilesFixture = fixture(registry, "kit_files", {
    upstream: false,
    setup: (context) => Promise.resolve(context),
  });
  registerEventfd(f);
  registerStreams(f);
}

/** A number as an eventfd takes it. */
function counter(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** Eventfds. */
function registerEventfd(f: FilesFixture): void {
  f.table("eventfd", {
    description: "An eventfd counts up to 2^64-2, and a read takes the count",
    rules: ["U2.12"],
  }, (t) => {
    const max = COUNT_MAX;
    const rows: [string, readonly [bigint, Errno?][], bigint][] = [
      ["one write", [[5n]], 5n],
      ["two writes", [[5n], [6n]], 11n],
      ["the highest count", [[max]], max],
      ["one more than the highest", [[max], [1n, EAGAIN]], max],
      ["a sum that is too high", [[2n], [max - 1n, EAGAIN], [1n]], 3n],
      ["2^64-1", [[1n], [max + 1n, EINVAL]], 1n],
    ];
    for (const [what, writes, count] of rows) {
      t.case(what, async ({ process }) => {
        const fd = assertOk(await process.eventfd(0, O_NONBLOCK), "eventfd");
        for (const [value, errno] of writes) {
          const ret = await process.write(fd, counter(value));
          if (errno) assertErrno(ret, errno, `write ${value}`);
          else assertEq(ret, 8, `write ${value}`);
        }
        const seen = new Uint8Array(8);
        assertEq(await process.read(fd, seen), 8, "read");
        assertBytes(seen, counter(count), "count");
        assertErrno(await process.read(fd, seen), EAGAIN, "read again");
        assertEq(await process.close(fd), 0, "close");
      });
    }
  });

  f.table("eventfd_poll", {
    description: "An eventfd is readable above 0, writable below the highest",
    rules: ["U2.12"],
  }, (t) => {
    const rows: [string, bigint, number][] = [
      ["0", 0n, POLLOUT],
      ["1", 1n, POLLIN | POLLOUT],
      ["the highest but one", COUNT_MAX - 1n, POLLIN | POLLOUT],
      ["the highest", COUNT_MAX, POLLIN],
    ];
    for (const [what, value, events] of rows) {
      t.case(what, async ({ process }) => {
        const fd = assertOk(await process.eventfd(0, O_NONBLOCK), "eventfd");
        assertEq(await process.write(fd, counter(value)), 8, "write");
        const seen = await process.poll(fd, POLLIN | POLLOUT);
        assertEq(seen, events, "conditions");
        assertEq(await process.close(fd), 0, "close");
      });
    }
  });
}

/** Writes bytes and reads them back, again and again. */
async function passThrough(
  process: TargetProcess,
  writeFd: number,
  readFd: number,
  rounds: number,
): Promise<void> {
  const random = new Random(23);
  const seen = new Uint8Array(3001);
  for (let round = 0; round < rounds; round++) {
    const bytes = random.bytes(seen.length);
    assertEq(await process.write(writeFd, bytes), bytes.length, "write");
    assertEq(await process.read(readFd, seen), bytes.length, "read");
    assertBytes(seen, bytes, `bytes of round ${round}`);
  }
}

/** Pipes and memory files. */
function registerStreams(f: FilesFixture): void {
  f.test("pipe", {
    description: "A pipe passes bytes on in order, however many have passed",
    rules: ["U2.12"],
  }, async ({ process }) => {
    const { ret, readFd, writeFd } = await process.pipe();
    assertEq(ret, 0, "pipe");
    await passThrough(process, writeFd, readFd, 50);
    const seen = new Uint8Array(8);
    assertEq(await process.close(writeFd), 0, "close the end for writing");
    assertEq(await process.read(readFd, seen), 0, "read at the end");
    assertEq(await process.close(readFd), 0, "close the end for reading");
  });

  f.test("memfd", {
    description:
      "Reads and writes of a memory file go on where the last one ended, which all its descriptors share",
    rules: ["U2.11"],
  }, async ({ process, pageSize }) => {
    const fd = assertOk(await process.memfdCreate("kit", 0), "memfd");
    const copy = assertOk(await process.dup(fd), "dup");
    const length = 2 * pageSize;
    assertEq(await process.ftruncate(fd, length), 0, "ftruncate");
    const rights = PROT_READ | PROT_WRITE;
    const map = await process.mmap(0, length, rights, MAP_SHARED, fd);
    const memory = assertOk(map, "mmap");
    const bytes = new Random(29).bytes(length);
    await process.poke(memory, bytes);
    const part = new Uint8Array(pageSize - 100);
    for (let at = 0; at < length - 200; at += part.length) {
      const from = at === 0 ? fd : copy;
      assertEq(await process.read(from, part), part.length, "read");
      const expected = bytes.subarray(at, at + part.length);
      assertBytes(part, expected, `bytes from ${at} on`);
    }
    assertEq(await process.read(fd, part), 200, "read up to the end");
    assertEq(await process.read(copy, part), 0, "read at the end");
    const more = bytes.subarray(0, 10);
    assertEq(await process.write(fd, more), 10, "write at the end");
    assertEq(await process.write(copy, more), 10, "write on");
    assertEq(await process.read(fd, part), 0, "read at the new end");
    assertBytes(await process.peek(memory, length), bytes, "what was there");
    for (const each of [fd, copy]) {
      assertEq(await process.close(each), 0, "close");
    }
  });
}
