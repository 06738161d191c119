// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_rlimit`: how pinned memory is charged against RLIMIT_MEMLOCK,
 * in all three ways of accounting.
 *
 * @module
 */

import {
  EBUSY,
  EINVAL,
  ENOMEM,
  EPERM,
  type Errno,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_OPTION_RLIMIT_MODE,
  IOMMU_VFIO_IOAS_SET,
} from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  CAP_IPC_LOCK,
  CAP_SYS_RESOURCE,
  O_RDWR,
  RLIMIT_MEMLOCK,
  RLIMIT_RTPRIO,
} from "../../impl/uapi/mman.ts";
import {
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
import { mapDma, unmapDma, vfioIoas } from "../ioctls/vfio_ioctls.ts";

/** Parameters of a variant. */
interface RlimitVariant {
  /** What RLIMIT_MODE is set to: 0 charges the user, 1 the process. */
  readonly mode: bigint;
}

/** What the tests share. */
interface RlimitSelf {
  readonly io: Iommufd;
  /** An IOAS with a mock device. */
  readonly ioasId: number;
}

type RlimitFixture = Fixture<RlimitVariant, RlimitSelf>;

const VARIANTS: Readonly<Record<string, RlimitVariant>> = {
  user: { mode: 0n },
  mm: { mode: 1n },
};

const IOVA = BigInt(MOCK_APERTURE_START);

/** Pages that the tests may pin. */
const LIMIT = 4n;

/** Adds the fixture's tests to `registry`. */
export function registerKitRlimit(registry: Test[]): void {
  registerModes(registry);
  const f: RlimitFixture = fixture(registry, "kit_rlimit", {
    variants: VARIANTS,
    upstream: false,
    needs: () => ["setrlimit"],
    setup: setupRlimit,
    teardown: ({ io }) => io.teardown(),
  });
  registerLimits(f);
  registerSharing(f);
}

/** Chooses the accounting, gives up the right to lock any amount, and limits the rest. */
async function setupRlimit(
  context: Context,
  { mode }: RlimitVariant,
): Promise<RlimitSelf> {
  const io = await Iommufd.open(context);
  await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, mode);
  const ioasId = await io.ioasAlloc();
  await io.mock.domain(ioasId);
  await limit(io, io.process);
  return { io, ioasId };
}

/** Limits a process to {@link LIMIT} pages. */
async function limit(io: Iommufd, process: TargetProcess): Promise<void> {
  assertOk(await process.dropCapability(CAP_IPC_LOCK), "drop CAP_IPC_LOCK");
  const ret = await process.setrlimit(RLIMIT_MEMLOCK, LIMIT * io.page);
  assertOk(ret, "setrlimit");
}

/** Asserts what /proc/self/status says: pages charged to the process, and pages pinned. */
async function assertStatus(
  io: Iommufd,
  charged: bigint,
  pinned: bigint,
  process: TargetProcess = io.process,
): Promise<void> {
  const { vmLck, vmPin } = await process.vmStatus();
  const kib = Number(io.page / 1024n);
  assertEq(vmLck, Number(charged) * kib, "VmLck in KiB");
  assertEq(vmPin, Number(pinned) * kib, "VmPin in KiB");
}

/** The option itself, in a fixture without variants. */
function registerModes(registry: Test[]): void {
  const f: Fixture<undefined, Iommufd> = fixture(registry, "kit_rlimit_mode", {
    upstream: false,
    setup: (context) => Iommufd.open(context),
    teardown: (io) => io.teardown(),
  });
  const mode = IOMMU_OPTION_RLIMIT_MODE;

  f.test("objects_busy", {
    description: "RLIMIT_MODE cannot change once there are objects",
    rules: ["P10.10"],
  }, async (io) => {
    const ioasId = await io.ioasAlloc();
    await io.setOption(mode, 0, 1n, EBUSY);
    await io.setOption(mode, 0, 2n, EBUSY);
    await io.destroy(ioasId);
    await io.setOption(mode, 0, 2n, EINVAL);
    await io.setOption(mode, 0, 1n);
    assertEq(await io.getOption(mode, 0), 1n, "RLIMIT_MODE");
  });

  f.test("needs_capability", {
    description: "RLIMIT_MODE can be set with CAP_SYS_RESOURCE only",
    rules: ["P10.10"],
    needs: () => ["setrlimit"],
  }, async (io) => {
    const ret = await io.process.dropCapability(CAP_SYS_RESOURCE);
    assertOk(ret, "drop CAP_SYS_RESOURCE");
    await io.setOption(mode, 0, 1n, EPERM);
    await io.setOption(mode, 0, 2n, EPERM);
    await io.ioasAlloc();
    await io.setOption(mode, 0, 1n, EPERM);
    assertEq(await io.getOption(mode, 0), 0n, "RLIMIT_MODE");
  });

  f.test("raise", {
    description:
      "A process raises a limit beyond the hard one with CAP_SYS_RESOURCE only",
    rules: ["P08.19"],
    needs: () => ["setrlimit"],
  }, async ({ process }) => {
    const limit = (soft: bigint) => process.setrlimit(RLIMIT_RTPRIO, soft);
    assertOk(await limit(1n), "setrlimit");
    const ret = await process.dropCapability(CAP_SYS_RESOURCE);
    assertOk(ret, "drop CAP_SYS_RESOURCE");
    assertOk(await limit(0n), "less");
    assertOk(await limit(1n), "the same again");
    assertErrno(await limit(2n), EPERM, "more");
  });

  f.test("no_limit", {
    description: "With CAP_IPC_LOCK nothing is charged, but pins are counted",
    rules: ["P07.24"],
    needs: () => ["setrlimit"],
  }, async (io) => {
    const ret = await io.process.setrlimit(RLIMIT_MEMLOCK, 0n);
    assertOk(ret, "setrlimit");
    await io.setOption(mode, 0, 1n);
    const ioasId = await io.ioasAlloc();
    await io.mock.domain(ioasId);
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    await assertStatus(io, 0n, io.bufferSize / io.page);
    await io.unmap(ioasId, IOVA, io.bufferSize);
    await assertStatus(io, 0n, 0n);
  });

  f.test("vfio_device", {
    description: "An iommufd from /dev/vfio/vfio charges the process",
    rules: ["S23"],
    since: "6.2",
    needs: () => ["vfio", "setrlimit"],
  }, async (io) => {
    const fd = assertOk(
      await io.process.open("/dev/vfio/vfio", O_RDWR),
      "open",
    );
    const container = io.at(fd);
    assertEq(await container.getOption(mode, 0), 1n, "RLIMIT_MODE");
    assertEq(await io.process.close(fd), 0, "close /dev/vfio/vfio");
  });
}

/** What the limit does. */
function registerLimits(f: RlimitFixture): void {
  f.test("map_limit", {
    description:
      "A map over the limit fails and leaves nothing pinned or charged",
    rules: ["P07.22", "P07.23"],
  }, async ({ io, ioasId }, { mode }) => {
    const { page, buffer } = io;
    const charged = (pages: bigint) => mode ? pages : 0n;
    await io.mapFixed(ioasId, buffer, (LIMIT + 1n) * page, IOVA, ENOMEM);
    await io.mock.checkRefs(buffer, io.bufferSize, 0);
    await assertStatus(io, 0n, 0n);

    await io.mapFixed(ioasId, buffer, (LIMIT - 1n) * page, IOVA);
    await assertStatus(io, charged(LIMIT - 1n), LIMIT - 1n);
    const next = IOVA + LIMIT * page;
    await io.mapFixed(ioasId, buffer, 2n * page, next, ENOMEM);
    await io.mapFixed(ioasId, buffer, page, next);
    await assertStatus(io, charged(LIMIT), LIMIT);
    await io.mapFixed(ioasId, buffer, page, next + page, ENOMEM);

    await io.unmap(ioasId, IOVA, (LIMIT - 1n) * page);
    await assertStatus(io, charged(1n), 1n);
    await io.mapFixed(ioasId, buffer, (LIMIT - 1n) * page, IOVA);
  });

  f.test("vfio_map", {
    description: "MAP_DMA of VFIO charges as the context does",
    reference: "vfio_compat.c iommufd_vfio_map_dma",
    rules: ["P07.22", "P07.23"],
  }, async ({ io, ioasId }, { mode }) => {
    const { page } = io;
    await vfioIoas(io, IOMMU_VFIO_IOAS_SET, ioasId);
    const map = { iova: IOVA, vaddr: BigInt(io.buffer) };
    await mapDma(io, { ...map, length: (LIMIT + 1n) * page }, ENOMEM);
    await mapDma(io, { ...map, length: LIMIT * page });
    await assertStatus(io, mode ? LIMIT : 0n, LIMIT);
    assertEq(
      await unmapDma(io, { iova: IOVA, length: LIMIT * page }),
      LIMIT * page,
      "unmapped",
    );
    await assertStatus(io, 0n, 0n);
  });

  f.test("lowered", {
    description:
      "Memory can be unmapped although the limit is below what is charged, and charged again up to it",
    reference: "pages.c do_update_pinned",
    rules: ["P07.22", "P07.23"],
  }, async ({ io, ioasId }, { mode }) => {
    const { page, buffer } = io;
    const half = LIMIT / 2n * page;
    await io.mapFixed(ioasId, buffer, half, IOVA);
    await io.mapFixed(ioasId, buffer + Number(half), half, IOVA + half);
    const ret = await io.process.setrlimit(RLIMIT_MEMLOCK, page);
    assertOk(ret, "setrlimit");
    await io.unmap(ioasId, IOVA, half);
    await assertStatus(io, mode ? LIMIT / 2n : 0n, LIMIT / 2n);
    await io.mapFixed(ioasId, buffer, page, IOVA, ENOMEM);
    await io.unmap(ioasId, IOVA + half, half);
    await assertStatus(io, 0n, 0n);
    await io.mapFixed(ioasId, buffer, page, IOVA);
  });

  f.test("charged_once", {
    description: "Memory is charged when it is pinned, and once",
    rules: ["P07.21", "P08.6"],
  }, async ({ io, ioasId }, { mode }) => {
    const { page, buffer } = io;
    const length = LIMIT * page;
    const charged = mode ? LIMIT : 0n;
    // Nothing is pinned in an IOAS without domains.
    const lazy = await io.ioasAlloc();
    await io.mapFixed(lazy, buffer, io.bufferSize, IOVA);
    await assertStatus(io, 0n, 0n);
    const copy = { src: lazy, srcIova: IOVA, dst: ioasId, length };
    await io.copy({ ...copy, dstIova: IOVA });
    await io.copy({ ...copy, dstIova: IOVA + length });
    await io.mock.domain(ioasId);
    await assertStatus(io, charged, LIMIT);

    const access = await io.mock.createAccess(lazy, true);
    const range = { iova: IOVA, length, uptr: buffer };
    await io.mock.accessPages(access, range);
    await assertStatus(io, charged, LIMIT);
    const more = { ...range, length: length + page };
    await io.mock.accessPages(access, more, ENOMEM);
    await io.mock.destroyAccess(access);
    await assertStatus(io, charged, LIMIT);
    await io.destroy(lazy);
    await io.unmap(ioasId, IOVA, 2n * length);
    await assertStatus(io, 0n, 0n);
  });

  f.test("domain_limit", {
    description: "A domain whose memory is over the limit cannot be added",
    rules: ["P08.5"],
  }, async ({ io }) => {
    const { page, buffer } = io;
    const ioasId = await io.ioasAlloc();
    const last = IOVA + LIMIT * page;
    await io.mapFixed(ioasId, buffer, LIMIT * page, IOVA);
    await io.mapFixed(ioasId, buffer, page, last);
    await io.mock.domain(ioasId, ENOMEM);
    await io.mock.checkRefs(buffer, io.bufferSize, 0);
    await assertStatus(io, 0n, 0n);
    await io.unmap(ioasId, last, page);
    const domain = await io.mock.domain(ioasId);
    await io.mock.checkMap(domain.hwptId, IOVA, LIMIT * page, buffer);
  });
}

/** Who shares a limit. */
function registerSharing(f: RlimitFixture): void {
  f.test("two_processes", {
    description:
      "Processes of one user share its charge; charged by process they do not",
    rules: ["P06.1"],
    needs: () => ["fork"],
  }, async ({ io, ioasId }, { mode }) => {
    const { page, buffer } = io;
    await io.mapFixed(ioasId, buffer, (LIMIT - 1n) * page, IOVA);
    const child = await io.process.fork();
    const over: Errno | undefined = mode ? undefined : ENOMEM;
    const theirs = io.in(child);
    const next = IOVA + io.bufferSize;
    await theirs.mapFixed(ioasId, buffer, 2n * page, next, over);
    if (over) await theirs.mapFixed(ioasId, buffer, page, next);
    await assertStatus(io, mode ? LIMIT - 1n : 0n, LIMIT - 1n);
    const pages = over ? 1n : 2n;
    await assertStatus(io, mode ? pages : 0n, pages, child);
    // The charge goes back to whom it was taken from.
    await io.unmap(ioasId, next, pages * page);
    await assertStatus(io, 0n, 0n, child);
    await child.exit();
  });

  f.test("owner_limit", {
    description:
      "The limit is that of the process whose memory it is, whoever has it pinned",
    rules: ["P08.17"],
    needs: () => ["fork"],
  }, async ({ io }, { mode }) => {
    const { page, buffer, process } = io;
    const other = await io.ioasAlloc();
    await io.mapFixed(other, buffer, LIMIT * page, IOVA);
    const child = await process.fork();
    const theirs = io.in(child);
    // The child may pin less than its parent, then more.
    assertOk(await child.setrlimit(RLIMIT_MEMLOCK, page), "setrlimit");
    const domain = await theirs.mock.domain(other);
    await assertStatus(io, mode ? LIMIT : 0n, LIMIT);
    await io.mock.destroyDomain(domain);
    assertOk(await child.setrlimit(RLIMIT_MEMLOCK, 2n * LIMIT * page), "more");
    assertOk(await process.setrlimit(RLIMIT_MEMLOCK, page), "setrlimit");
    await theirs.mock.domain(other, ENOMEM);
    await assertStatus(io, 0n, 0n);
    await child.exit();
  });

  f.test("dead_owner", {
    description: "A charge is gone with the process that it was made to",
    rules: ["P08.18"],
    needs: () => ["fork"],
    knownBug: ({ mode }) => mode ? "unlocks_dead_owner" : undefined,
  }, async ({ io, ioasId }, { mode }) => {
    const { page, buffer } = io;
    const other = await io.ioasAlloc();
    const { hwptId } = await io.mock.domain(other);
    const child = await io.process.fork();
    await io.in(child).mapFixed(ioasId, buffer, LIMIT * page, IOVA);
    const middle = { srcIova: IOVA + page, dstIova: IOVA + page };
    const length = 2n * page;
    await io.copy({ src: ioasId, dst: other, ...middle, length });
    await child.exit();
    // Two of the pages are unpinned, which only a charge to the user notices.
    await io.unmap(ioasId, IOVA, LIMIT * page);
    await io.copy({ src: other, dst: ioasId, ...middle, length });
    await io.mock.checkMap(hwptId, IOVA + page, length, buffer + Number(page));
    const free = mode ? LIMIT : LIMIT - 2n;
    const next = IOVA + io.bufferSize;
    await io.mapFixed(ioasId, buffer, (free + 1n) * page, next, ENOMEM);
    await io.mapFixed(ioasId, buffer, free * page, next);
  });

  f.test("two_users", {
    description: "Another user has a limit of its own in both modes",
    rules: ["P06.1"],
    needs: () => ["fork", "setuid"],
  }, async ({ io, ioasId }) => {
    const { page, buffer } = io;
    await io.mapFixed(ioasId, buffer, LIMIT * page, IOVA);
    const child = await io.process.fork();
    assertOk(await child.setuid(12345), "setuid");
    const theirs = io.in(child);
    const next = IOVA + io.bufferSize;
    await theirs.mapFixed(ioasId, buffer, LIMIT * page, next);
    const last = next + io.bufferSize;
    await theirs.mapFixed(ioasId, buffer, page, last, ENOMEM);
    await io.mapFixed(ioasId, buffer, page, last, ENOMEM);
    await io.unmap(ioasId, IOVA, LIMIT * page);
    await theirs.mapFixed(ioasId, buffer, page, last, ENOMEM);
    await io.mapFixed(ioasId, buffer, page, last);
    await child.exit();
  });
}
