// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_change_process`: what CHANGE_PROCESS takes over, whom it charges
 * in all three ways of accounting, and that nothing changes if it fails.
 *
 * @module
 */

import {
  EINVAL,
  ENOMEM,
  EOPNOTSUPP,
  type Errno,
} from "../../impl/uapi/errno.ts";
import { IOMMU_OPTION_RLIMIT_MODE } from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { CAP_IPC_LOCK, RLIMIT_MEMLOCK } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  assertOk,
  type Context,
  type Fixture,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import type { KnownBug } from "../harness/known_bugs.ts";
import {
  changeProcess,
  dmabufGet,
  dmabufRevoke,
  mapFile,
  mapFileFixed,
  memfdMmap,
} from "../ioctls/file_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** Parameters of a variant. */
interface OwnerVariant {
  /** What RLIMIT_MODE is set to: 0 charges the user, 1 the process. */
  readonly mode: bigint;
  /** Whether the process may lock any amount, so that nobody is charged. */
  readonly privileged: boolean;
}

/** What the tests share. */
interface OwnerSelf {
  readonly io: Iommufd;
  /** An IOAS with a mock device. */
  readonly ioasId: number;
  /** Descriptor of a memory file of {@link LIMIT} pages. */
  readonly file: number;
  readonly variant: OwnerVariant;
}

type OwnerFixture = Fixture<OwnerVariant, OwnerSelf>;

const VARIANTS: Readonly<Record<string, OwnerVariant>> = {
  none: { mode: 0n, privileged: true },
  user: { mode: 0n, privileged: false },
  mm: { mode: 1n, privileged: false },
};

const IOVA = BigInt(MOCK_APERTURE_START);

/** Pages that each process may lock. */
const LIMIT = 8;

/** Linux does not move pins that nobody is charged for. */
function leavesPins({ privileged }: OwnerVariant): KnownBug | undefined {
  return privileged ? "leaves_pins_with_owner" : undefined;
}

/** Adds the fixture's tests to `registry`. */
export function registerKitChangeProcess(registry: Test[]): void {
  registerMixed(registry);
  const f: OwnerFixture = fixture(registry, "kit_change_process", {
    variants: VARIANTS,
    upstream: false,
    since: "7.3",
    needs: () => ["map_file", "fork", "setrlimit"],
    setup: setupOwner,
    teardown: ({ io }) => io.teardown(),
  });
  registerErrors(f);
  registerMoves(f);
  registerLimits(f);
  registerUsers(f);
  registerGone(f);
}

async function setupOwner(
  context: Context,
  variant: OwnerVariant,
): Promise<OwnerSelf> {
  const io = await Iommufd.open(context);
  await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, variant.mode);
  const ioasId = await io.ioasAlloc();
  await io.mock.domain(ioasId);
  const { fd } = await memfdMmap(io, LIMIT * context.pageSize);
  if (!variant.privileged) {
    assertOk(await io.process.dropCapability(CAP_IPC_LOCK), "dropcap");
  }
  await limit(io, io.process, LIMIT);
  return { io, ioasId, file: fd, variant };
}

/** Limits what a process may lock. */
async function limit(
  io: Iommufd,
  process: TargetProcess,
  pages: number,
): Promise<void> {
  const ret = await process.setrlimit(RLIMIT_MEMLOCK, BigInt(pages) * io.page);
  assertOk(ret, "setrlimit");
}

/** Maps pages of the file, from the first on. */
function map({ io, ioasId, file }: OwnerSelf, pages: number): Promise<bigint> {
  return mapFile(io, ioasId, file, 0, BigInt(pages) * io.page);
}

/** Asserts how many pages each process has pinned, and is charged where processes are. */
async function assertPinned(
  { io, variant }: OwnerSelf,
  ...counts: readonly (readonly [TargetProcess, number])[]
): Promise<void> {
  const kib = Number(io.page / 1024n);
  for (const [index, [process, pages]] of counts.entries()) {
    const who = `of process ${index + 1}, KiB`;
    const { vmPin, vmLck } = await process.vmStatus();
    assertEq(vmPin, pages * kib, `VmPin ${who}`);
    assertEq(vmLck, variant.mode ? pages * kib : 0, `VmLck ${who}`);
  }
}

/** What cannot be taken over. */
function registerErrors(f: OwnerFixture): void {
  type Make = (self: OwnerSelf) => Promise<unknown>;
  const rows: readonly (readonly [string, Errno | undefined, Make])[] = [
    ["nothing", undefined, () => Promise.resolve()],
    ["a file", undefined, (self) => map(self, 2)],
    ["a file that is not there", undefined, async ({ io }) => {
      const fd = await io.process.eventfd(0, 0);
      await mapFile(io, await io.ioasAlloc(), fd, 0, io.page);
      assertEq(await io.process.close(fd), 0, "close");
    }],
    ["memory", EINVAL, ({ io, ioasId }) => io.map(ioasId, io.buffer, io.page)],
    ["memory that is not pinned", EINVAL, async ({ io }) => {
      await io.map(await io.ioasAlloc(), io.buffer, io.page);
    }],
    ["a file and memory behind it", EINVAL, async (self) => {
      const iova = await map(self, 2);
      const { io, ioasId } = self;
      await io.mapFixed(ioasId, io.buffer, io.page, iova + 2n * io.page);
    }],
    ["memory in a later IOAS", EINVAL, async (self) => {
      await map(self, 2);
      const { io } = self;
      await io.map(await io.ioasAlloc(), io.buffer, io.page);
    }],
    ["a DMA buffer", EINVAL, async ({ io, ioasId }) => {
      const fd = await dmabufGet(io, io.context.pageSize);
      await mapFile(io, ioasId, fd, 0, io.page);
    }],
    ["a DMA buffer that was taken back", EINVAL, async ({ io, ioasId }) => {
      const fd = await dmabufGet(io, io.context.pageSize);
      await mapFile(io, ioasId, fd, 0, io.page);
      await dmabufRevoke(io, fd, true);
    }],
  ];
  for (const [index, [what, errno, make]] of rows.entries()) {
    f.test(`takes_${index + 1}_${what.replaceAll(/\W+/g, "_")}`, {
      description: `${
        errno ? "Nothing is taken over" : "It succeeds"
      } where ${what} is mapped`,
      rules: [errno ? "F3.2" : "F3.1"],
    }, async (self) => {
      const { io } = self;
      await make(self);
      const before = await io.process.vmStatus();
      // The reserved field comes first.
      await changeProcess(io, EOPNOTSUPP, { reserved: 1 });
      const child = await io.process.fork();
      await changeProcess(io.in(child), EOPNOTSUPP, { reserved: 1 });
      if (!errno) return await child.exit();
      await changeProcess(io.in(child), errno);
      await changeProcess(io, errno);
      await assertPinned(self, [child, 0]);
      await child.exit();
      const after = await io.process.vmStatus();
      assertEq(after.vmPin, before.vmPin, "VmPin");
      assertEq(after.vmLck, before.vmLck, "VmLck");
    });
  }

  f.test("without_ioas", {
    description: "It succeeds where nothing is",
    rules: ["F3.1"],
  }, async ({ io }) => {
    const fresh = await io.reopen();
    await changeProcess(fresh);
    const ioasId = await fresh.ioasAlloc();
    await changeProcess(fresh);
    await mapFile(fresh, ioasId, -1, 0, 0, EINVAL);
    await changeProcess(fresh);
    assertEq(await fresh.process.close(fresh.fd), 0, "close");
  });
}

/** Pins that move. */
function registerMoves(f: OwnerFixture): void {
  f.test("moves", {
    description: "What is pinned is the caller's from then on",
    rules: ["F3.1"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io, ioasId } = self;
    const parent = io.process;
    const iova = await map(self, 3);
    await assertPinned(self, [parent, 3]);
    const child = await parent.fork();
    await assertPinned(self, [parent, 3], [child, 0]);
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 3]);
    // Once more changes nothing.
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 3]);
    await changeProcess(io);
    await assertPinned(self, [parent, 3], [child, 0]);
    await changeProcess(io.in(child));
    // Whoever unmaps, the owner gets it back.
    await io.unmap(ioasId, iova, 3n * io.page);
    await assertPinned(self, [parent, 0], [child, 0]);
    await child.exit();
  });

  f.test("same_process", {
    description: "A process that owns everything is not charged twice",
    rules: ["F3.3"],
  }, async (self) => {
    await map(self, LIMIT);
    await changeProcess(self.io);
    await assertPinned(self, [self.io.process, LIMIT]);
  });

  f.test("shared_pages", {
    description: "Pages of several areas are charged once",
    rules: ["F3.3"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io, ioasId } = self;
    const { page, process: parent } = io;
    const other = await io.ioasAlloc();
    await io.mock.domain(other);
    const srcIova = await map(self, 3);
    const part = { src: ioasId, srcIova, length: 3n * page };
    const near = await io.copy({ ...part, dst: ioasId });
    const far = await io.copy({ ...part, dst: other });
    // Another map pins again.
    await mapFile(io, other, self.file, 0, page);
    await assertPinned(self, [parent, 4]);
    const child = await parent.fork();
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 4]);
    await io.unmap(ioasId, srcIova, 3n * page);
    await io.unmap(ioasId, near, 3n * page);
    await assertPinned(self, [parent, 0], [child, 4]);
    await io.unmap(other, far, 3n * page);
    await assertPinned(self, [parent, 0], [child, 1]);
    await child.exit();
  });

  f.test("pinned_later", {
    description: "What is pinned later is charged to the owner of then",
    rules: ["F3.4"],
  }, async (self) => {
    const { io, file } = self;
    const parent = io.process;
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, file, 0, 2n * io.page, IOVA);
    const child = await parent.fork();
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 0]);
    const device = await io.mock.domain(ioasId);
    await assertPinned(self, [parent, 0], [child, 2]);
    await io.mock.destroyDomain(device);
    await assertPinned(self, [parent, 0], [child, 0]);
    await child.exit();
  });

  f.test("pinned_by_access", {
    description: "Pins of accesses move as well",
    rules: ["F3.1"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io, file } = self;
    const parent = io.process;
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, file, 0, 4n * io.page, IOVA);
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova: IOVA + io.page, length: 2n * io.page, uptr: 0 };
    const item = await io.mock.accessPages(access, range);
    await assertPinned(self, [parent, 2]);
    const child = await parent.fork();
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 2]);
    await io.mock.destroyAccessPages(access, item);
    await assertPinned(self, [parent, 0], [child, 0]);
    await io.mock.destroyAccess(access);
    await child.exit();
  });

  f.test("several_files", {
    description: "All areas of all IOAS move together",
    rules: ["F3.1"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io } = self;
    const parent = io.process;
    await map(self, 1);
    await map(self, 2);
    for (let i = 0; i < 3; i++) {
      const ioasId = await io.ioasAlloc();
      await io.mock.domain(ioasId);
      const { fd } = await memfdMmap(io, io.context.pageSize);
      await mapFile(io, ioasId, fd, 0, io.page);
    }
    await assertPinned(self, [parent, 6]);
    const child = await parent.fork();
    await limit(io, child, 2 * LIMIT);
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 6]);
    await child.exit();
  });
}

/** Limits. */
function registerLimits(f: OwnerFixture): void {
  f.test("limit", {
    description: "The caller's limit counts, and nothing changes over it",
    rules: ["F3.3"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io, variant } = self;
    const parent = io.process;
    await map(self, 3);
    const child = await parent.fork();
    // A user has the pages already and is charged a second time at first.
    const needed = variant.mode ? 3 : 6;
    await limit(io, child, needed - 1);
    const errno = variant.privileged ? undefined : ENOMEM;
    await changeProcess(io.in(child), errno);
    if (errno) await assertPinned(self, [parent, 3], [child, 0]);
    await limit(io, child, needed);
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 3]);
    await child.exit();
  });

  f.test("limit_of_owner", {
    description: "What is pinned later is limited as its new owner is",
    rules: ["F3.4"],
  }, async (self) => {
    const { io, file, variant } = self;
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, file, 0, 2n * io.page, IOVA);
    const child = await io.process.fork();
    await limit(io, child, 1);
    await changeProcess(io.in(child));
    await io.mock.domain(ioasId, variant.privileged ? undefined : ENOMEM);
    await limit(io, child, 2);
    await io.mock.domain(ioasId);
    await assertPinned(self, [io.process, 0], [child, 2]);
    await child.exit();
  });

  f.test("other_user", {
    description: "Another user is charged, and the former one no more",
    rules: ["F3.3"],
    needs: () => ["setuid"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io } = self;
    const parent = io.process;
    await map(self, LIMIT);
    const child = await parent.fork();
    assertOk(await child.setuid(4711), "setuid");
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, LIMIT]);
    // The parent has all of its limit again, and the child nothing.
    await map(self, LIMIT);
    await assertPinned(self, [parent, LIMIT], [child, LIMIT]);
    const { privileged } = self.variant;
    await changeProcess(io.in(child), privileged ? undefined : ENOMEM);
    await child.exit();
  });
}

/** Both ways of accounting in one context, in a fixture without variants. */
function registerMixed(registry: Test[]): void {
  const variant = { mode: 0n, privileged: true };
  const f: Fixture<undefined, OwnerSelf> = fixture(
    registry,
    "kit_change_process_mixed",
    {
      upstream: false,
      since: "7.3",
      needs: () => ["map_file", "fork", "setrlimit"],
      setup: (context) => setupOwner(context, variant),
      teardown: ({ io }) => io.teardown(),
    },
  );
  f.test("limit", {
    description:
      "What nobody is charged for moves only if the rest can be charged",
    rules: ["F3.3"],
    knownBug: () => "leaves_pins_with_owner",
  }, async (self) => {
    const { io } = self;
    const parent = io.process;
    await map(self, 1);
    assertOk(await parent.dropCapability(CAP_IPC_LOCK), "dropcap");
    await map(self, 2);
    const child = await parent.fork();
    await limit(io, child, 3);
    await changeProcess(io.in(child), ENOMEM);
    await assertPinned(self, [parent, 3], [child, 0]);
    await limit(io, child, 4);
    await changeProcess(io.in(child));
    await assertPinned(self, [parent, 0], [child, 3]);
    await child.exit();
  });
}

/** Users. */
function registerUsers(f: OwnerFixture): void {
  f.test("user_of_same_process", {
    description: "A process that became another user's takes over from itself",
    rules: ["F3.3"],
    needs: () => ["setuid"],
  }, async (self) => {
    const { io, variant } = self;
    const child = await io.process.fork();
    const other = { ...self, io: io.in(child) };
    const iova = await map(other, LIMIT);
    // What the child has counts for the user of both.
    const isUsers = !variant.mode && !variant.privileged;
    const errno = isUsers ? ENOMEM : undefined;
    const length = io.page;
    const own = await mapFile(io, self.ioasId, self.file, 0, length, errno);
    if (!errno) await io.unmap(self.ioasId, own, length);
    assertOk(await child.setuid(4711), "setuid");
    await changeProcess(other.io);
    await assertPinned(self, [io.process, 0], [child, LIMIT]);
    await map(self, LIMIT);
    await assertPinned(self, [io.process, LIMIT], [child, LIMIT]);
    await io.unmap(self.ioasId, iova, BigInt(LIMIT) * io.page);
    await assertPinned(self, [io.process, LIMIT], [child, 0]);
    await child.exit();
  });
}

/** Owners that are gone. */
function registerGone(f: OwnerFixture): void {
  f.test("owner_gone", {
    description: "What a process that is gone has left can be taken over",
    rules: ["F3.1"],
    knownBug: (variant) =>
      variant.mode ? "takes_from_dead_owner" : leavesPins(variant),
  }, async (self) => {
    const { io, ioasId } = self;
    const parent = io.process;
    const child = await parent.fork();
    const iova = await map({ ...self, io: io.in(child) }, 2);
    await assertPinned(self, [parent, 0], [child, 2]);
    await child.exit();
    await assertPinned(self, [parent, 0]);
    await changeProcess(io);
    await assertPinned(self, [parent, 2]);
    await changeProcess(io);
    await assertPinned(self, [parent, 2]);
    await io.unmap(ioasId, iova, 2n * io.page);
    await assertPinned(self, [parent, 0]);
    // Nothing is left charged.
    await map(self, LIMIT);
  });

  f.test("owner_runs_another_program", {
    description: "A process takes over what it has mapped before an exec",
    rules: ["F3.1"],
    needs: () => ["exec"],
    knownBug: (variant) =>
      variant.mode ? "takes_from_dead_owner" : leavesPins(variant),
  }, async (self) => {
    const { io, ioasId } = self;
    const child = await io.process.fork();
    const other = { ...self, io: io.in(child) };
    const iova = await map(other, 2);
    assertEq(await child.exec(), 0, "exec");
    await assertPinned(self, [io.process, 0], [child, 0]);
    await changeProcess(other.io);
    await assertPinned(self, [io.process, 0], [child, 2]);
    // What is pinned from now on is its own as well.
    const later = await io.copy({
      src: ioasId,
      dst: ioasId,
      srcIova: iova,
      length: io.page,
    });
    await io.unmap(ioasId, iova, 2n * io.page);
    await assertPinned(self, [io.process, 0], [child, 1]);
    await io.unmap(ioasId, later, io.page);
    await assertPinned(self, [io.process, 0], [child, 0]);
    await child.exit();
  });

  f.test("passed_descriptor", {
    description: "Whoever is given the iommufd can take everything over",
    rules: ["F3.1"],
    needs: () => ["passfd"],
    knownBug: leavesPins,
  }, async (self) => {
    const { io, file } = self;
    const parent = io.process;
    // It has neither the iommufd nor, in its memory, the file.
    const child = await parent.fork();
    const fresh = await io.reopen();
    const { mode } = self.variant;
    await fresh.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, mode);
    const ioasId = await fresh.ioasAlloc();
    await fresh.mock.domain(ioasId);
    await mapFile(fresh, ioasId, file, 0, 2n * io.page);
    await assertPinned(self, [parent, 2], [child, 0]);
    const passed = await parent.passFd(fresh.fd, child);
    const other = io.in(child).at(assertOk(passed, "passfd"));
    await changeProcess(other);
    await assertPinned(self, [parent, 0], [child, 2]);
    assertEq(await parent.close(fresh.fd), 0, "close");
    await assertPinned(self, [parent, 0], [child, 2]);
    assertEq(await child.close(other.fd), 0, "close in the child");
    await assertPinned(self, [parent, 0], [child, 0]);
    await child.exit();
  });

  f.test("new_owner_gone", {
    description: "A file outlives its new owner as it does its first one",
    rules: ["F3.4"],
  }, async (self) => {
    const { io, ioasId, file } = self;
    const unpinned = await io.ioasAlloc();
    await mapFileFixed(io, unpinned, file, 0, io.page, IOVA);
    const child = await io.process.fork();
    await changeProcess(io.in(child));
    await child.exit();
    await io.unmap(unpinned, IOVA, io.page);
    await mapFileFixed(io, ioasId, file, 0, io.page, IOVA);
    await changeProcess(io);
    await assertPinned(self, [io.process, 1]);
  });
}
