// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_passing`: descriptors that one process gives another.
 *
 * @module
 */

import { EBADF, EINVAL, EMFILE } from "../../impl/uapi/errno.ts";
import { MAP_SHARED, RLIMIT_NOFILE } from "../../impl/uapi/mman.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
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
import { Iommufd } from "../ioctls/ioctls.ts";
import { mapFile, memfd } from "./memory_files.ts";

/** What the tests share. */
interface Self {
  readonly context: Context;
  readonly process: TargetProcess;
  /** Another process. */
  readonly other: TargetProcess;
}

type PassingFixture = Fixture<undefined, Self>;

const IOVA = BigInt(MOCK_APERTURE_START);
const BYTES = new Uint8Array([1, 2, 3]);

/** Adds the fixture's tests to `registry`. */
export function registerKitPassing(registry: Test[]): void {
  const f: PassingFixture = fixture(registry, "kit_passing", {
    upstream: false,
    needs: () => ["fork", "passfd"],
    setup: async (context) => {
      const { process } = context;
      return { context, process, other: await process.fork() };
    },
  });
  registerFiles(f);
  registerContexts(f);
}

/** Passes a descriptor, which must work. */
async function pass(
  from: TargetProcess,
  fd: number,
  to: TargetProcess,
): Promise<number> {
  return assertOk(await from.passFd(fd, to), "descriptor that is passed");
}

/** Files. */
function registerFiles(f: PassingFixture): void {
  f.test("position", {
    description: "Both descriptors are of one open file, with one position",
    rules: ["U3.5"],
  }, async ({ process, other }) => {
    const fd = await memfd(process, 0, 0);
    const passed = await pass(process, fd, other);
    assertEq(await process.write(fd, BYTES), BYTES.length, "write");
    assertEq(await other.write(passed, BYTES), BYTES.length, "write on");
    const seen = new Uint8Array(9);
    assertEq(await process.read(fd, seen), 0, "read at the end");
    assertEq(await process.close(fd), 0, "close");
    assertEq(await other.write(passed, BYTES), BYTES.length, "write on");
  });

  f.test("number", {
    description: "A descriptor that is passed is the lowest free one",
    rules: ["U3.5"],
  }, async ({ process, other }) => {
    const fd = await memfd(process, 0, 0);
    assertEq(await process.passFd(fd, other), 3, "first");
    assertEq(await process.passFd(fd, other), 4, "second");
    assertEq(await other.close(3), 0, "close");
    assertEq(await process.passFd(0, other), 3, "one that was closed");
    assertEq(await process.passFd(fd, process), fd + 1, "to itself");
  });

  f.test("memory", {
    description:
      "Who was given a memory file can map it when the giver is gone",
    rules: ["U3.5"],
  }, async ({ context, process, other }) => {
    const { pageSize } = context;
    const fd = await memfd(other, pageSize, 0);
    const at = await mapFile(other, fd, pageSize, MAP_SHARED);
    const passed = await pass(other, fd, process);
    await other.poke(at, BYTES);
    await other.exit();
    const mapped = await mapFile(process, passed, pageSize, MAP_SHARED);
    assertBytes(await process.peek(mapped, 3), BYTES, "bytes");
  });

  f.test("errno", {
    description:
      "What is not open cannot be passed; nor is it beyond the limit",
    rules: ["U3.5"],
    needs: () => ["setrlimit"],
  }, async ({ process, other }) => {
    assertErrno(await process.passFd(999, other), EBADF, "no descriptor");
    assertErrno(await process.passFd(-1, other), EBADF, "a negative one");
    assertEq(await other.setrlimit(RLIMIT_NOFILE, 4n), 0, "setrlimit");
    await pass(process, 0, other);
    assertErrno(await process.passFd(0, other), EMFILE, "one too many");
    assertEq(await other.close(3), 0, "close");
    assertEq(await process.passFd(0, other), 3, "when there is room");
    assertEq(await other.setrlimit(RLIMIT_NOFILE, 0n), 0, "setrlimit");
    assertErrno(await other.poll(0, 0), EINVAL, "poll of more than may be");
  });
}

/** iommufds. */
function registerContexts(f: PassingFixture): void {
  f.test("iommufd", {
    description:
      "A context lives on with a descriptor that was passed, and the memory of the giver stays pinned",
    rules: ["U3.5"],
  }, async ({ context, process, other }) => {
    const { pageSize } = context;
    const theirs = (await Iommufd.open(context)).in(other);
    const fd = assertOk(await other.open("/dev/iommu"), "open");
    const io = theirs.at(fd);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    const file = await memfd(other, pageSize, 0);
    const at = await mapFile(other, file, pageSize, MAP_SHARED);
    await other.poke(at, BYTES);
    await io.mapFixed(ioasId, at, pageSize, IOVA);
    const passed = await pass(other, fd, process);
    await other.exit();
    const mine = theirs.in(process).at(passed);
    assertEq(await mine.ioasAlloc() > ioasId, true, "it is the same context");
    await mine.unmap(ioasId, IOVA, pageSize);
    assertEq(await process.close(passed), 0, "close");
  });
}
