// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `change_process`: another process takes over the pages that are
 * charged for maps of files.
 *
 * @module
 */

import { EINVAL } from "../../impl/uapi/errno.ts";
import { IOMMU_OPTION_RLIMIT_MODE } from "../../impl/uapi/iommufd.ts";
import { CAP_IPC_LOCK } from "../../impl/uapi/mman.ts";
import {
  assertEq,
  type Context,
  fixture,
  type TargetProcess,
  type Test,
} from "../harness/harness.ts";
import { changeProcess, mapFile, memfdMmap } from "../ioctls/file_ioctls.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** Parameters of a variant. */
interface ChangeProcessVariant {
  /** RLIMIT_MODE; left as it is where there is none. */
  readonly mode?: bigint;
  /** Whether VmLck counts too. */
  readonly locks: boolean;
}

/** The kernel's variants. */
const VARIANTS: Readonly<Record<string, ChangeProcessVariant>> = {
  account_none: { locks: false },
  account_user: { mode: 0n, locks: false },
  account_mm: { mode: 1n, locks: true },
};

/** What the tests share. */
interface ChangeProcessSelf {
  readonly io: Iommufd;
  readonly ioasId: number;
}

/** Adds the fixture's tests to `registry`. */
export function registerChangeProcess(registry: Test[]): void {
  const f = fixture(registry, "change_process", {
    variants: VARIANTS,
    since: "7.3",
    upstream: true,
    needs: () => ["map_file", "setuid"],
    setup: setupChangeProcess,
    teardown: ({ io }) => io.teardown(),
  });
  f.test("basic", {
    description: "The caller of CHANGE_PROCESS is charged for maps of files",
    rules: ["F3.1"],
    needs: () => ["fork"],
  }, checkChangeProcess);
}

/** An IOAS with a mock device, in a process that a limit applies to. */
async function setupChangeProcess(
  context: Context,
  { mode }: ChangeProcessVariant,
): Promise<ChangeProcessSelf> {
  const io = await Iommufd.open(context);
  assertEq(await io.process.dropCapability(CAP_IPC_LOCK), 0, "dropcap");
  if (mode !== undefined) await io.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, mode);
  const ioasId = await io.ioasAlloc();
  await io.mock.domain(ioasId);
  return { io, ioasId };
}

/** Test `basic`. */
async function checkChangeProcess(
  { io, ioasId }: ChangeProcessSelf,
  { locks }: ChangeProcessVariant,
): Promise<void> {
  const { page, process: parent } = io;
  const file = await memfdMmap(io, io.memory.bufferSize);

  // Only maps of files can be taken over.
  const iova = await io.map(ioasId, io.buffer, page);
  await changeProcess(io, EINVAL);
  await io.unmap(ioasId, iova, page);

  await mapFile(io, ioasId, file.fd, 0, page);
  await changeProcess(io);

  const child = await parent.fork();
  const kib = Number(page) / 1024;
  await checkCharged(parent, kib, locks);
  await checkCharged(child, 0, true);
  await changeProcess(io.in(child));
  await checkCharged(parent, 0, true);
  await checkCharged(child, kib, locks);
  await child.exit();
}

/** Asserts how many KiB a process has pinned, and locked if that counts. */
async function checkCharged(
  process: TargetProcess,
  kib: number,
  locks: boolean,
): Promise<void> {
  const { vmPin, vmLck } = await process.vmStatus();
  assertEq(vmPin, kib, "VmPin");
  if (locks) assertEq(vmLck, kib, "VmLck");
}
