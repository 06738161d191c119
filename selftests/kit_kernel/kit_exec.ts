// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_exec`: what is left of a process when it runs another program.
 *
 * @module
 */

import { EBADF, EFAULT, EMFILE, ENOMEM } from "../../impl/uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  F_ADD_SEALS,
  F_GETFD,
  F_SEAL_WRITE,
  F_SETFD,
  FD_CLOEXEC,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_CLOEXEC,
  O_CLOEXEC,
  O_RDWR,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
  SEEK_CUR,
} from "../../impl/uapi/mman.ts";
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
import { faultQueueAlloc } from "../ioctls/hwpt_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";
import { assertFaults, mapFile, memfd } from "./memory_files.ts";

type ExecFixture = Fixture<undefined, Context>;

const IOVA = BigInt(MOCK_APERTURE_START);
const BYTES = new Uint8Array([1, 2, 3]);

/** Adds the fixture's tests to `registry`. */
export function registerKitExec(registry: Test[]): void {
  const f: ExecFixture = fixture(registry, "kit_exec", {
    upstream: false,
    needs: () => ["exec", "files"],
    setup: (context) => Promise.resolve(context),
  });
  registerMemory(f);
  registerDescriptors(f);
  registerCredentials(f);
  registerPins(f);
}

/** Runs a program anew. */
async function exec(process: TargetProcess): Promise<void> {
  assertEq(await process.exec(), 0, "exec");
}

/** Memory. */
function registerMemory(f: ExecFixture): void {
  f.test("memory", {
    description: "No mapping is left, and none counts any more",
    rules: ["U3.1"],
  }, async ({ process, pageSize }) => {
    const fd = await memfd(process, pageSize);
    const shared = await mapFile(process, fd, pageSize, MAP_SHARED);
    const own = await mapFile(process, fd, pageSize, MAP_PRIVATE);
    for (const at of [shared, own]) await process.poke(at, BYTES);
    await exec(process);
    for (const at of [shared, own]) await assertFaults(process, at);
    const seal = await process.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
    assertEq(seal, 0, "F_SEAL_WRITE, which no mapping may");
    const seen = new Uint8Array(BYTES.length);
    assertEq(await process.pread(fd, seen, 0), seen.length, "pread");
    assertBytes(seen, BYTES, "bytes of the file");
  });

  f.test("memory_of_the_parent", {
    description: "A child that runs another program leaves its parent alone",
    rules: ["U3.1"],
    needs: () => ["fork"],
  }, async (context) => {
    const { process } = context;
    const io = await Iommufd.open(context);
    const at = await io.mmap(io.page, MAP_PRIVATE);
    await process.poke(at, BYTES);
    const child = await process.fork();
    await exec(child);
    await assertFaults(child, at);
    assertBytes(await process.peek(at, 3), BYTES, "bytes of the parent");
    await child.exit();
    await io.teardown();
  });
}

/** How a descriptor comes to be. */
type Make = (process: TargetProcess) => Promise<number>;

/** Descriptors. */
function registerDescriptors(f: ExecFixture): void {
  const made: [string, boolean, Make][] = [
    ["open", false, (p) => p.open("/dev/null", O_RDWR)],
    [
      "open with O_CLOEXEC",
      true,
      (p) => p.open("/dev/null", O_RDWR | O_CLOEXEC),
    ],
    ["memfd", false, (p) => p.memfdCreate("kit", 0)],
    ["memfd with MFD_CLOEXEC", true, (p) => p.memfdCreate("kit", MFD_CLOEXEC)],
    ["eventfd", false, (p) => p.eventfd(0, 0)],
    ["eventfd with EFD_CLOEXEC", true, (p) => p.eventfd(0, O_CLOEXEC)],
    ["pipe", false, async (p) => (await p.pipe()).writeFd],
    [
      "dup of one that exec closes",
      false,
      async (p) => p.dup(await p.eventfd(0, O_CLOEXEC)),
    ],
    ["F_SETFD", true, async (p) => {
      const fd = await p.eventfd(0, 0);
      assertEq(await p.fcntl(fd, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
      return fd;
    }],
    ["F_SETFD to nothing", false, async (p) => {
      const fd = await p.eventfd(0, O_CLOEXEC);
      assertEq(await p.fcntl(fd, F_SETFD, 0), 0, "F_SETFD");
      return fd;
    }],
    ["a number that was used before", false, async (p) => {
      await p.close(await p.eventfd(0, O_CLOEXEC));
      return p.eventfd(0, 0);
    }],
  ];
  f.table("descriptors", {
    description: "Descriptors with FD_CLOEXEC are closed, the others stay",
    rules: ["U3.2"],
  }, (t) => {
    for (const [what, closes, make] of made) {
      t.case(what, async ({ process }) => {
        const fd = assertOk(await make(process), what);
        const flags = closes ? FD_CLOEXEC : 0;
        assertEq(await process.fcntl(fd, F_GETFD), flags, "F_GETFD");
        await exec(process);
        const after = await process.fcntl(fd, F_GETFD);
        if (closes) assertErrno(after, EBADF, "F_GETFD after exec");
        else assertEq(after, 0, "F_GETFD after exec");
      });
    }
    t.case("no descriptor", async ({ process }) => {
      assertErrno(await process.fcntl(999, F_GETFD), EBADF, "F_GETFD");
      assertErrno(await process.fcntl(999, F_SETFD), EBADF, "F_SETFD");
    });
  });

  f.test("descriptors_of_a_child", {
    description: "A child has the flags of its parent, and each its own then",
    rules: ["U3.2"],
    needs: () => ["fork"],
  }, async ({ process }) => {
    const fd = assertOk(await process.eventfd(0, O_CLOEXEC), "eventfd");
    const other = assertOk(await process.eventfd(0, 0), "eventfd");
    const child = await process.fork();
    assertEq(await child.fcntl(other, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
    await exec(child);
    assertErrno(await child.close(fd), EBADF, "close");
    assertErrno(await child.close(other), EBADF, "close");
    for (const each of [fd, other]) {
      assertEq(await process.close(each), 0, "close in the parent");
    }
    await child.exit();
  });

  f.test("descriptors_that_are_passed", {
    description:
      "A descriptor that was passed stays, whatever the giver's does",
    rules: ["U3.2"],
    needs: () => ["fork", "passfd"],
  }, async ({ process }) => {
    const fd = assertOk(await process.eventfd(0, O_CLOEXEC), "eventfd");
    const child = await process.fork();
    const passed = assertOk(await process.passFd(fd, child), "passfd");
    await exec(child);
    assertErrno(await child.close(fd), EBADF, "close of the child's");
    assertEq(await child.close(passed), 0, "close of what was passed");
    await child.exit();
  });

  f.test("descriptors_of_iommufd", {
    description: "Descriptors that iommufd makes are closed",
    rules: ["U3.2"],
    since: "6.11",
    needs: () => ["faults"],
  }, async (context) => {
    const { process } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    const { faultFd } = await faultQueueAlloc(io);
    const accessFd = await io.mock.createAccess(ioasId, false);
    for (const fd of [faultFd, accessFd]) {
      assertEq(await process.fcntl(fd, F_GETFD), FD_CLOEXEC, "F_GETFD");
    }
    await exec(process);
    for (const fd of [faultFd, accessFd]) {
      assertErrno(await process.close(fd), EBADF, "close");
    }
    await io.destroy(ioasId);
    assertEq(await process.close(io.fd), 0, "close");
  });

  f.test("position", {
    description: "A file that stays open keeps its position",
    rules: ["U3.2"],
  }, async ({ process }) => {
    const fd = await memfd(process, 0);
    assertEq(await process.write(fd, BYTES), BYTES.length, "write");
    await exec(process);
    assertEq(await process.lseek(fd, 0, SEEK_CUR), BYTES.length, "position");
  });
}

/** Maps a page for a device, which needs the right to lock memory. */
async function mapPage(context: Context, mayLock: boolean): Promise<void> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  await io.mock.domain(ioasId);
  const errno = mayLock ? undefined : ENOMEM;
  await io.mapFixed(ioasId, io.buffer, io.page, IOVA, errno);
  await io.teardown();
}

/** Credentials and limits. */
function registerCredentials(f: ExecFixture): void {
  f.test("capabilities_of_root", {
    description: "Root has the capabilities again that it gave up",
    rules: ["U3.3"],
    needs: () => ["setuid", "setrlimit"],
  }, async (context) => {
    const { process } = context;
    assertEq(await process.setrlimit(RLIMIT_MEMLOCK, 0n), 0, "setrlimit");
    assertEq(await process.dropCapability(CAP_IPC_LOCK), 0, "dropcap");
    await mapPage(context, false);
    await exec(process);
    await mapPage(context, true);
  });

  f.test("capabilities_of_others", {
    description: "Another user has none",
    rules: ["U3.3"],
    needs: () => ["setuid", "setrlimit", "fork"],
  }, async (context) => {
    const { process } = context;
    assertEq(await process.setrlimit(RLIMIT_MEMLOCK, 0n), 0, "setrlimit");
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    const child = await process.fork();
    assertEq(await child.setuid(1000), 0, "setuid");
    await exec(child);
    const theirs = io.in(child);
    const at = await theirs.mmap(io.page, MAP_PRIVATE);
    await theirs.mapFixed(ioasId, at, io.page, IOVA, ENOMEM);
    await child.exit();
    await io.teardown();
  });

  f.test("limits", {
    description: "Limits stay",
    rules: ["U3.3"],
    needs: () => ["setrlimit"],
  }, async ({ process }) => {
    assertEq(await process.setrlimit(RLIMIT_NOFILE, 4n), 0, "setrlimit");
    await exec(process);
    assertEq(await process.dup(0), 3, "dup");
    assertErrno(await process.dup(0), EMFILE, "dup once more");
  });

  f.test("faults", {
    description: "No step is made to fail any more",
    rules: ["U3.4"],
    needs: () => ["fail_nth"],
  }, async ({ process }) => {
    assertOk(await process.setFailNth(1), "failnth");
    await exec(process);
    assertEq(await process.failNthLeft(), 0, "failnthleft");
    assertOk(await process.open("/dev/iommu"), "open");
  });
}

/** What devices have of the memory that is gone. */
function registerPins(f: ExecFixture): void {
  f.test("pins", {
    description:
      "Memory that a device has stays pinned, and is not the new program's",
    rules: ["U3.1"],
  }, async (context) => {
    const { process } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    await io.mapFixed(ioasId, io.buffer, 2n * io.page, IOVA);
    const kib = 2 * io.context.pageSize / 1024;
    assertEq((await process.vmStatus()).vmPin, kib, "VmPin");
    await exec(process);
    assertEq((await process.vmStatus()).vmPin, 0, "VmPin of the new program");
    const fresh = await Iommufd.open(context);
    const old = fresh.at(io.fd);
    await old.mapFixed(ioasId, fresh.buffer, io.page, IOVA + 0x100000n);
    assertEq((await process.vmStatus()).vmPin, kib / 2, "VmPin of its own");
    await old.unmap(ioasId, IOVA, 2n * io.page);
    assertEq((await process.vmStatus()).vmPin, kib / 2, "VmPin as it was");
    assertEq(await process.close(io.fd), 0, "close");
    assertEq((await process.vmStatus()).vmPin, 0, "VmPin at the end");
    await fresh.teardown();
  });

  f.test("pins_to_come", {
    description:
      "Memory that was mapped before and is to be pinned afterwards is gone",
    rules: ["U3.1"],
  }, async (context) => {
    const { process } = context;
    const io = await Iommufd.open(context);
    const ioasId = await io.ioasAlloc();
    await io.mapFixed(ioasId, io.buffer, io.page, IOVA);
    await exec(process);
    const old = (await Iommufd.open(context)).at(io.fd);
    await old.mock.domain(ioasId, EFAULT);
    await old.unmap(ioasId, IOVA, io.page);
    await old.mock.domain(ioasId);
    assertEq(await process.close(io.fd), 0, "close");
  });
}
