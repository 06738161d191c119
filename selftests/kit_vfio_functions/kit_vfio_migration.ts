// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_vfio_migration`: a device is moved to another, and notes what
 * it writes meanwhile.
 *
 * @module
 */

import {
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOMSG,
  ENOTTY,
  EOVERFLOW,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  assertOk,
  type Table,
  type Test,
} from "../harness/harness.ts";
import type { VfioFile } from "../kit_vfio/vfio_ioctls.ts";
import { feature } from "../kit_vfio/vfio_ioctls.ts";
import {
  copy,
  ENGINE,
  engineFixture,
  type EngineSelf,
  GET,
  IOVA,
  LENGTH,
  openEngine,
  PROBE,
  SET,
  words,
} from "./copy_engine.ts";

const [MIGRATION, STATE, START, STOP_LOG, REPORT, SIZE, PRECOPY_V2] = [
  1,
  2,
  6,
  7,
  8,
  9,
  12,
];
const [ERROR, STOP, RUNNING, STOP_COPY, RESUMING, P2P, PRE_COPY] = [
  0,
  1,
  2,
  3,
  4,
  5,
  6,
] as const;
const GET_PRECOPY_INFO = 0x3b79;
/** What is copied. */
const PATTERN = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** Goes to a state; returns the descriptor of the file, or -1. */
async function setState(
  device: VfioFile,
  state: number,
  errno?: Errno,
): Promise<number> {
  const words = Int32Array.of(state, 77);
  const data = new Uint8Array(words.buffer);
  const bytes = await feature(device, STATE | SET, data, errno);
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(4, true);
}

/** The state. */
async function stateOf(device: VfioFile): Promise<number> {
  const bytes = await feature(device, STATE | GET, new Uint8Array(8));
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  assertEq(view.getInt32(4, true), -1, "no file");
  return view.getUint32(0, true);
}

/** All that a file has. */
async function readAll(
  { process }: EngineSelf,
  fd: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(65536);
  let total = 0;
  for (;;) {
    const part = new Uint8Array(1000);
    const ret = assertOk(await process.read(fd, part), "read");
    if (ret === 0) return bytes.subarray(0, total);
    bytes.set(part.subarray(0, ret), total);
    total += ret;
  }
}

/** VFIO_MIG_GET_PRECOPY_INFO: flags, what is left of the first, and of the rest. */
async function precopyInfo(
  { process }: EngineSelf,
  fd: number,
): Promise<[flags: number, initial: number, dirty: number]> {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 24, true);
  view.setUint32(4, 99, true);
  assertEq(await process.ioctl(fd, GET_PRECOPY_INFO, bytes), 0, "info");
  const [initial, dirty] = [8, 16].map((at) => view.getBigUint64(at, true));
  return [view.getUint32(4, true), Number(initial), Number(dirty)];
}

/** What the memory has at an offset. */
async function peek(
  { process, memory }: EngineSelf,
  offset: number,
): Promise<Uint8Array> {
  return await process.peek(memory + offset, 8);
}

/** Adds the fixture's tests to `registry`. */
export function registerKitVfioMigration(registry: Test[]): void {
  const f = engineFixture(registry, "kit_vfio_migration");
  registerStates();
  registerLog();

  function registerStates(): void {
    f.test("what", {
      description: "A device says how it can be moved",
      rules: ["X5.1"],
    }, async ({ device }) => {
      const none = new Uint8Array(0);
      const data = await feature(device, MIGRATION | GET, new Uint8Array(8));
      assertBytes(data, words(5), "STOP_COPY and PRE_COPY");
      await feature(device, MIGRATION | SET | PROBE, none, EINVAL);
      await feature(device, MIGRATION | GET | PROBE, none);
      await feature(device, MIGRATION | GET, new Uint8Array(7), EINVAL);
      await feature(device, STATE | GET | SET | PROBE, none);
      await feature(device, SIZE | SET | PROBE, none, EINVAL);
      assertEq(await stateOf(device), RUNNING, "state");
    });

    f.test("states", {
      description: "Ways lead from state to state, and some do not",
      rules: ["X5.1"],
    }, async (self) => {
      const { device, process } = self;
      for (const bad of [ERROR, P2P, 7, 8, 99]) {
        assertEq(await setState(device, bad, EINVAL), -1, `to ${bad}`);
      }
      assertEq(await setState(device, RUNNING), -1, "as it is");
      const saving = await setState(device, STOP_COPY);
      assertEq(await stateOf(device), STOP_COPY, "state");
      await setState(device, PRE_COPY, EINVAL);
      assertEq(await stateOf(device), STOP_COPY, "state as before");
      assertEq(await setState(device, RUNNING), -1, "no file");
      const bytes = new Uint8Array(24);
      bytes[0] = 24;
      assertErrno(await process.read(saving, bytes), ENODEV, "read");
      const info = await process.ioctl(saving, GET_PRECOPY_INFO, bytes);
      assertErrno(info, ENODEV, "info");
      assertEq(await process.close(saving), 0, "close");
    });

    f.test("stopped", {
      description: "A device that has stopped does nothing until it runs",
      rules: ["X5.1"],
    }, async (self) => {
      const { device, process, memory } = self;
      await process.poke(memory, PATTERN);
      await setState(device, STOP);
      await copy(device, 0, 64);
      assertBytes(await peek(self, 64), new Uint8Array(8), "not copied");
      await setState(device, RUNNING);
      assertBytes(await peek(self, 64), PATTERN, "copied");
    });

    f.test("move", {
      description: "A device that was moved is what the other was",
      rules: ["X5.1"],
    }, async (self) => {
      const { device, process, memory } = self;
      await process.poke(memory, PATTERN);
      await setState(device, STOP);
      await copy(device, 0, 128);
      const size = await feature(device, SIZE | GET, new Uint8Array(8));
      const saving = await setState(device, STOP_COPY);
      const data = await readAll(self, saving);
      const least = new DataView(size.buffer, size.byteOffset)
        .getBigUint64(0, true);
      assertEq(data.length >= Number(least), true, "as long as it was told");
      const other = await openEngine(self, 1);
      const resuming = await setState(other, RESUMING);
      for (let at = 0; at < data.length; at += 777) {
        const part = data.subarray(at, at + 777);
        assertEq(await process.write(resuming, part), part.length, "write");
      }
      assertBytes(await peek(self, 128), new Uint8Array(8), "not yet");
      await setState(other, RUNNING);
      assertBytes(await peek(self, 128), PATTERN, "the other carried it out");
      assertEq(await other.load(0, ENGINE.COUNT, 4), 1, "count");
      assertErrno(await process.write(resuming, PATTERN), ENODEV, "write");
      for (const fd of [saving, resuming]) {
        assertEq(await process.close(fd), 0, "close");
      }
      await other.close();
    });

    f.test("bad_data", {
      description: "What is no state is refused, and a reset helps",
      rules: ["X5.2"],
    }, async ({ device, process }) => {
      for (const bytes of [Uint8Array.of(1, 2), Uint8Array.of(1, 0, 0, 0, 9)]) {
        const fd = await setState(device, RESUMING);
        assertEq(await process.write(fd, bytes), bytes.length, "write");
        await setState(device, RUNNING, EINVAL);
        assertEq(await stateOf(device), ERROR, "state");
        await setState(device, STOP, EINVAL);
        await device.ioctl(0x3b6f, new Uint8Array(0));
        assertEq(await stateOf(device), RUNNING, "state after a reset");
        assertEq(await process.close(fd), 0, "close");
      }
    });

    f.test("precopy", {
      description: "A device is read while it runs, and what changes again",
      rules: ["X5.2"],
    }, async (self) => {
      const { device, process } = self;
      const fd = await setState(device, PRE_COPY);
      const [flags, initial, dirty] = await precopyInfo(self, fd);
      assertEq(flags, 99, "flags are not its own");
      assertEq(initial > 0, true, "there is something");
      assertEq(dirty, 0, "and nothing else");
      const all = new Uint8Array(initial);
      assertEq(await process.read(fd, all), initial, "read");
      assertErrno(await process.read(fd, all), ENOMSG, "nothing new");
      await copy(device, 0, 64);
      const [, left, changed] = await precopyInfo(self, fd);
      assertEq(left, 0, "all of that was read");
      assertEq(changed > 0, true, "it changed");
      assertEq(await setState(device, STOP_COPY), -1, "the same file");
      const bytes = new Uint8Array(24);
      new DataView(bytes.buffer).setUint32(0, 24, true);
      const ret = await process.ioctl(fd, GET_PRECOPY_INFO, bytes);
      assertErrno(ret, EINVAL, "info of what has stopped");
      assertEq((await readAll(self, fd)).length, changed, "read");
      assertErrno(await process.write(fd, bytes), EBADF, "write");
      assertErrno(await process.ioctl(fd, 0x3b64, bytes), ENOTTY, "ioctl");
      assertEq(await process.close(fd), 0, "close");
    });

    f.test("precopy_flags", {
      description: "Flags of what is left are there for who knows them",
      rules: ["X5.2"],
      since: "7.3",
    }, async (self) => {
      const { device, process } = self;
      const none = new Uint8Array(0);
      await feature(device, PRECOPY_V2 | GET | PROBE, none, EINVAL);
      await feature(device, PRECOPY_V2 | SET, none);
      const fd = await setState(device, PRE_COPY);
      assertEq((await precopyInfo(self, fd))[0], 0, "flags");
      assertEq(await process.close(fd), 0, "close");
    });
  }

  function registerLog(): void {
    f.table("log_errno", {
      description: "START checks its ranges in Linux's order",
      rules: ["X5.3"],
      prepare: (self) => Promise.resolve(self),
    }, logErrno);

    f.test("log", {
      description: "Pages that a device wrote are told once",
      rules: ["X5.3"],
    }, async (self) => {
      const { device } = self;
      await report(self, EINVAL);
      await feature(device, STOP_LOG | SET, new Uint8Array(0));
      await startLog(self, [[IOVA, LENGTH]]);
      await startLog(self, [[IOVA, LENGTH]], EINVAL);
      assertEq(await report(self), 0, "nothing yet");
      await copy(device, 0, 0x2ffc);
      await copy(device, 0, 0x5000);
      assertEq(await report(self), 0b101100, "pages 2, 3 and 5");
      assertEq(await report(self), 0, "told once");
      await feature(device, STOP_LOG | SET, new Uint8Array(0));
      await report(self, EINVAL);
      await startLog(self, [[IOVA + 0x4000, 0x2000]]);
      await copy(device, 0, 0x3000);
      await copy(device, 0, 0x4000);
      assertEq(await report(self), 0b10000, "page 4 alone is wanted");
    });

    f.table("report_errno", {
      description: "REPORT checks what it is asked",
      rules: ["X5.3"],
      prepare: async (self) => {
        await startLog(self, [[IOVA, LENGTH]]);
        return self;
      },
    }, (t) => {
      const top = (1n << 64n) - 4096n;
      const rows: [string, Errno, (number | bigint)[]][] = [
        ["no size of pages", EINVAL, [IOVA, LENGTH, 0]],
        ["a small size of pages", EINVAL, [IOVA, LENGTH, 2048]],
        ["no power of two", EINVAL, [IOVA, LENGTH, 12288]],
        ["overflow", EOVERFLOW, [top, 8192, 4096]],
      ];
      for (const [what, errno, values] of rows) {
        t.case(what, async ({ device, io }) => {
          const data = words(...values, io.scratch);
          await feature(device, REPORT | GET, data, errno);
        });
      }
    });
  }
}

/** Begins to note ranges of IOVA and length. */
async function startLog(
  { device, process, io }: EngineSelf,
  ranges: readonly (readonly [number, number])[],
  errno?: Errno,
): Promise<void> {
  await process.poke(io.scratch, words(...ranges.flat()));
  const data = words(8192, ranges.length, io.scratch);
  const bytes = await feature(device, START | SET, data, errno);
  if (errno === undefined) {
    assertBytes(bytes.subarray(0, 8), words(4096), "the size of pages");
  }
}

/** The bits of the memory's first 64 pages. */
async function report(
  { device, process, io }: EngineSelf,
  errno?: Errno,
): Promise<number> {
  await process.poke(io.scratch, new Uint8Array(8));
  const data = words(IOVA, LENGTH, 4096, io.scratch);
  await feature(device, REPORT | GET, data, errno);
  const bytes = await process.peek(io.scratch, 8);
  return Number(
    new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true),
  );
}

function logErrno(t: Table<EngineSelf>): void {
  const top = (1n << 64n) - 4096n;
  type Words = (number | bigint)[];
  const rows: [what: string, errno: Errno, control: Words, ranges: Words][] = [
    ["no ranges", EINVAL, [4096, 0], []],
    ["too many ranges", E2BIG, [4096, 257], []],
    ["no whole pages", EINVAL, [4096, 1], [IOVA + 1, 4096]],
    ["no whole length", EINVAL, [4096, 1], [IOVA, 4097]],
    ["no size of pages", EINVAL, [0, 1], [IOVA, 4096]],
    ["overflow", EOVERFLOW, [4096, 1], [top, 8192]],
    ["overlap", EINVAL, [4096, 2], [IOVA, 8192, IOVA + 4096, 4096]],
  ];
  for (const [what, errno, control, ranges] of rows) {
    t.case(what, async ({ device, process, io }) => {
      await process.poke(io.scratch, words(...ranges));
      const data = words(...control, io.scratch);
      await feature(device, START | SET, data, errno);
    });
  }
  t.case("ranges at no address", async ({ device }) => {
    await feature(device, START | SET, words(4096, 1, 8), EFAULT);
  });
  t.case("a short struct", async ({ device }) => {
    await feature(device, START | SET, new Uint8Array(23), EINVAL);
  });
}
