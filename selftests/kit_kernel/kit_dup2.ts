// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_dup2`: descriptors that become another one's.
 *
 * @module
 */

import { EBADF, EINVAL, ENOENT, ENOTTY } from "../../impl/uapi/errno.ts";
import {
  F_GETFD,
  F_SETFD,
  FD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
  RLIMIT_NOFILE,
} from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertErrno,
  assertOk,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

type Dup2Fixture = Fixture<undefined, Iommufd>;

/** Adds the fixture's tests to `registry`. */
export function registerKitDup2(registry: Test[]): void {
  const f: Dup2Fixture = fixture(registry, "kit_dup2", {
    upstream: false,
    needs: () => ["dup2"],
    setup: (context) => Iommufd.open(context),
  });
  registerContexts(f);
  registerErrors(f);
}

/** Has a page pinned by a mock device; the device. */
async function pinPage(io: Iommufd): Promise<number> {
  const ioasId = await io.ioasAlloc();
  const { stdevId } = await io.mock.domain(ioasId);
  await io.map(ioasId, io.buffer, io.page);
  await assertPinned(io, 1);
  return stdevId;
}

/** So many pages of the process must be pinned. */
async function assertPinned(io: Iommufd, pages: number): Promise<void> {
  const { vmPin } = await io.process.vmStatus();
  assertEq(vmPin, pages * Number(io.page) / 1024, "VmPin");
}

/** Opens what has no ioctls. */
async function openNull(process: TargetProcess): Promise<number> {
  return assertOk(await process.open("/dev/null"), "open of /dev/null");
}

/** iommufds. */
function registerContexts(f: Dup2Fixture): void {
  f.test("last", {
    description: "A context goes when dup2 takes its last descriptor",
    rules: ["U3.9"],
  }, async (io) => {
    const { process, fd } = io;
    await pinPage(io);
    const none = await openNull(process);
    assertEq(await process.dup2(none, fd), fd, "dup2");
    await assertPinned(io, 0);
    await io.destroy(1, ENOTTY);
    assertEq(await process.close(none), 0, "close");
    assertEq(await process.close(fd), 0, "close of the other");
  });

  f.test("copy", {
    description: "A context stays while it has another descriptor",
    rules: ["U3.9"],
  }, async (io) => {
    const { process, fd } = io;
    const device = await pinPage(io);
    const copy = assertOk(await process.dup2(fd, fd + 9), "dup2 to a free one");
    assertEq(copy, fd + 9, "the copy");
    const none = await openNull(process);
    assertEq(none, fd + 1, "the lowest free one");
    assertEq(await process.dup2(none, fd), fd, "dup2");
    await assertPinned(io, 1);
    await io.at(copy).destroy(device);
    await assertPinned(io, 0);
    assertEq(await process.dup2(none, copy), copy, "dup2 over the copy");
  });

  f.test("another", {
    description: "The context of the other descriptor is in its place",
    rules: ["U3.9"],
  }, async (io) => {
    const { process, fd } = io;
    const other = await io.reopen();
    await pinPage(io);
    const ioasId = await other.ioasAlloc();
    assertEq(await process.dup2(other.fd, fd), fd, "dup2");
    await assertPinned(io, 0);
    await io.destroy(ioasId);
    await other.destroy(ioasId, ENOENT);
    assertEq(await process.close(other.fd), 0, "close");
    assertEq(await io.ioasAlloc(), ioasId, "id in the context");
  });

  f.test("itself", {
    description: "dup2 to itself closes nothing, and leaves its flag",
    rules: ["U3.9"],
  }, async (io) => {
    const { process, fd } = io;
    await pinPage(io);
    assertEq(await process.fcntl(fd, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
    assertEq(await process.dup2(fd, fd), fd, "dup2");
    assertEq(await process.fcntl(fd, F_GETFD), FD_CLOEXEC, "F_GETFD");
    await assertPinned(io, 1);
  });

  f.test("flag", {
    description: "The flag of a descriptor is that of the call",
    rules: ["U3.9"],
  }, async ({ process, fd }) => {
    const to = fd + 1;
    for (const flags of [O_CLOEXEC, 0]) {
      assertEq(await process.dup3(fd, to, flags), to, "dup3");
      const flag = flags === 0 ? 0 : FD_CLOEXEC;
      assertEq(await process.fcntl(to, F_GETFD), flag, "F_GETFD after dup3");
    }
    assertEq(await process.fcntl(fd, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
    assertEq(await process.dup2(fd, to), to, "dup2");
    assertEq(await process.fcntl(to, F_GETFD), 0, "F_GETFD after dup2");
  });
}

/** What cannot be. */
function registerErrors(f: Dup2Fixture): void {
  f.table("errno", {
    description: "What fails closes nothing",
    rules: ["U3.9"],
  }, (t) => {
    const beyond = 2 ** 31 - 1;
    const cases: [string, (p: TargetProcess, fd: number) => Promise<number>][] =
      [
        ["dup2 of nothing", (p, fd) => p.dup2(999, fd)],
        ["dup2 of nothing to itself", (p) => p.dup2(999, 999)],
        ["dup2 to a negative one", (p, fd) => p.dup2(fd, -1)],
        ["dup2 to one beyond all limits", (p, fd) => p.dup2(fd, beyond)],
        ["dup3 of nothing", (p, fd) => p.dup3(999, fd, O_CLOEXEC)],
      ];
    for (const [what, make] of cases) {
      t.case(what, async (io) => {
        assertErrno(await make(io.process, io.fd), EBADF, what);
        await io.nextId();
      });
    }
    t.case("dup3 to itself", async ({ process, fd }) => {
      assertErrno(await process.dup3(fd, fd, 0), EINVAL, "dup3");
      assertErrno(await process.dup3(999, 999, 0), EINVAL, "dup3 of nothing");
    });
    t.case("dup3 with another flag", async (io) => {
      const ret = await io.process.dup3(999, io.fd, O_CLOEXEC | O_NONBLOCK);
      assertErrno(ret, EINVAL, "dup3");
      await io.nextId();
    });
  });

  f.test("limit", {
    description: "The limit is one of numbers: what is below it can be one",
    rules: ["U3.9"],
    needs: () => ["setrlimit"],
  }, async ({ process, fd }) => {
    const limit = BigInt(fd + 2);
    assertEq(await process.setrlimit(RLIMIT_NOFILE, limit), 0, "setrlimit");
    assertEq(await process.dup2(fd, fd + 1), fd + 1, "dup2 below the limit");
    assertErrno(await process.dup2(fd, fd + 2), EBADF, "dup2 at the limit");
    assertEq(await process.dup2(0, fd + 1), fd + 1, "dup2 with no free one");
  });
}
