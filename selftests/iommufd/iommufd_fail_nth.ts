// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `basic_fail_nth`: sequences of calls in which each fallible step of
 * the kernel is made to fail in turn (tools/testing/selftests/iommu/
 * iommufd_fail_nth.c, which is a program of its own).
 *
 * Each test asserts how many steps it swept, at least: what that Linux has,
 * less what varies there from run to run. That is
 *
 * - nodes for the numbers of inodes under /sys, one for each 64 of them;
 * - new pages for slabs that happen to be full;
 * - a call of 6.12's driver for each run of frames beyond the first, if memory
 *   is not contiguous: another 126 in `map_domain` and `map_two_domains`.
 *
 * A run of Linux 6.12 with all of this had 32, 146, 181, 32, 20, 20 and 101, one
 * of 7.3 had 32, 174, 175, 230, 32, 19, 22 and 182; without it, with contiguous
 * memory, they had the steps of the model in its order
 * (conformance/linux_vm/fault_steps).
 *
 * @module
 */

import { ENOENT } from "../../impl/uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_IOAS_ALLOW_IOVAS,
  IommuIoasAllowIovas,
  IommuIovaRange,
} from "../../impl/uapi/iommufd.ts";
import type { ByVersion } from "../../impl/uapi/revision/versions.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
  TestHwInfo,
} from "../../impl/uapi/selftest.ts";
import {
  registerSweeps,
  type Round,
  type Sequence,
  setUpSweep,
  SWEEP_BUFFER_SIZE,
  type SweepSelf,
} from "../harness/fail_nth_sweep.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { mapFile } from "../ioctls/file_ioctls.ts";
import {
  faultQueueAlloc,
  getHwInfo,
  hwptAlloc,
  nestedAlloc,
} from "../ioctls/hwpt_ioctls.ts";
import { type Iommufd, MAP_RW } from "../ioctls/ioctls.ts";
import {
  IOMMU_HWPT_ALLOC_PASID,
  MOCK_FLAGS_DEVICE_PASID,
  pasidAttach,
  pasidDetach,
  pasidReplace,
} from "../ioctls/pasid_ioctls.ts";
import { veventqAlloc } from "../ioctls/vevent_ioctls.ts";
import {
  hwQueueAlloc,
  vdeviceAlloc,
  viommuAlloc,
} from "../ioctls/viommu_ioctls.ts";
import { testDifferences } from "./test_differences.ts";

/** Any PASID. */
const PASID = 200;

/** Bytes that most tests map. */
const SHORT = 262144;

/** The sequences of the kernel's program. */
export const SEQUENCES: readonly Sequence[] = [
  kernelSequence("basic", "ranges, map, copy and unmap without a domain", {
    v3: 32,
    "6.12": 32,
  }, callBasic),
  kernelSequence(
    "map_domain",
    "mapping into a domain",
    { v3: 77, "6.12": 143, "7.3": 171 },
    callMapDomain,
  ),
  {
    ...kernelSequence("map_file_domain", "mapping a file into a domain", {
      "7.3": 171,
    }, callMapFileDomain),
    rules: ["U4.4"],
    needs: ["map_file"],
  },
  kernelSequence("map_two_domains", "mapping into two domains", {
    v3: 97,
    "6.12": 179,
    "7.3": 227,
  }, callMapTwoDomains),
  kernelSequence("access_rw", "reads and writes of an access", {
    v3: 32,
    "6.12": 32,
  }, callAccessRw),
  kernelSequence(
    "access_pin",
    "pins of an access",
    { v3: 19, "6.12": 19 },
    callAccessPin,
  ),
  kernelSequence("access_pin_domain", "pins of an access beside a domain", {
    v3: 18,
    "6.12": 20,
    "7.3": 22,
  }, callAccessPinDomain),
  {
    ...kernelSequence("device", "a device's life", {
      "6.12": 97,
      "7.3": 180,
    }, callDevice),
    rules: ["U4.2"],
    needs: ["hwpt"],
  },
];

function kernelSequence(
  name: string,
  what: string,
  points: ByVersion<number>,
  run: Sequence["run"],
): Sequence {
  const reference = `iommufd_fail_nth.c: basic_fail_nth.${name}`;
  return { name, what, reference, rules: ["U4.1"], points, run };
}

/** Adds the fixture's tests to `registry`. */
export function registerIommufdFailNth(registry: Test[]): void {
  const f: Fixture<undefined, SweepSelf> = fixture(
    registry,
    "basic_fail_nth",
    {
      upstream: true,
      program: "iommufd_fail_nth",
      since: "6.2",
      needs: () => ["fail_nth"],
      setup: setUpSweep,
    },
  );
  registerSweeps(f, SEQUENCES);
}

/** Opens an iommufd with an IOAS, in small batches. */
async function openIoas(round: Round): Promise<[Iommufd, number]> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  await io.mock.setMemoryLimit(32);
  return [io, ioasId];
}

async function callBasic(round: Round): Promise<void> {
  await round.enable();
  const io = await round.open();
  const { scratch } = io;
  const ioasId = await round.step(() => io.ioasAlloc());
  await round.step(() => io.iovaRanges(ioasId, 10, scratch));
  await io.pokeRanges(scratch, [{
    start: 16384n,
    last: BigInt(SWEEP_BUFFER_SIZE + 16384 * 600 - 1),
  }]);
  await round.step(() =>
    io.call(IommuIoasAllowIovas, IOMMU_IOAS_ALLOW_IOVAS, {
      ioasId,
      numIovas: 1,
      allowedIovas: BigInt(scratch),
    })
  );
  const iova = await round.step(() =>
    io.map(ioasId, round.buffer, SWEEP_BUFFER_SIZE)
  );
  await round.step(() =>
    io.copy({
      dst: ioasId,
      src: ioasId,
      srcIova: iova,
      length: BigInt(10 * IommuIovaRange.size),
      prot: MAP_RW,
    })
  );
  await round.stepOnce(
    () => io.unmap(ioasId, iova, SWEEP_BUFFER_SIZE),
    ENOENT,
  );
  await round.step(() => io.unmap(ioasId, iova, SWEEP_BUFFER_SIZE, ENOENT));
}

async function callMapDomain(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  await round.enable();
  const { stdevId } = await round.device(() => io.mock.domain(ioasId));
  await round.step(() => io.map(ioasId, round.buffer, SHORT));
  await round.step(() => io.destroy(stdevId));
  await round.device(() => io.mock.domain(ioasId));
}

async function callMapFileDomain(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  await round.enable();
  const { stdevId } = await round.device(() => io.mock.domain(ioasId));
  await round.step(() => mapFile(io, ioasId, round.file, 0, SHORT));
  await round.step(() => io.destroy(stdevId));
  await round.device(() => io.mock.domain(ioasId));
}

async function callMapTwoDomains(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const first = await io.mock.domain(ioasId);
  await round.enable();
  const second = await round.device(() => io.mock.domain(ioasId));
  await round.step(() => io.map(ioasId, round.buffer, SHORT));
  await round.step(() => io.destroy(first.stdevId));
  await round.step(() => io.destroy(second.stdevId));
  await round.device(() => io.mock.domain(ioasId));
  await round.device(() => io.mock.domain(ioasId));
}

async function callAccessRw(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const iova = await io.map(ioasId, round.buffer, SHORT);
  await round.enable();
  const access = await round.openStep(() =>
    io.mock.createAccess(ioasId, false)
  );
  const slow = MOCK_ACCESS_RW_SLOW_PATH;
  const write = MOCK_ACCESS_RW_WRITE;
  const range = { iova, length: 64, uptr: io.scratch };
  for (const flags of [0, write, slow, slow | write]) {
    await round.step(() => io.mock.accessRw(access, { ...range, flags }));
  }
  await round.step(() =>
    io.mock.accessRw(access, { ...range, length: 32768, flags: slow })
  );
  await round.close(access);
}

async function callAccessPin(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  await pinSwept(round, io, ioasId);
}

async function callAccessPinDomain(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const { stdevId } = await io.mock.domain(ioasId);
  await pinSwept(round, io, ioasId);
  await round.step(() => io.destroy(stdevId));
}

/** Maps, then pins and unpins all with failures. */
async function pinSwept(
  round: Round,
  io: Iommufd,
  ioasId: number,
): Promise<void> {
  const length = SWEEP_BUFFER_SIZE;
  const iova = await io.map(ioasId, round.buffer, length);
  const access = await round.openStep(() => io.mock.createAccess(ioasId, true));
  await round.enable();
  const range = { iova, length, uptr: round.buffer };
  const item = await round.step(() => io.mock.accessPages(access, range));
  await round.step(() => io.mock.destroyAccessPages(access, item));
  await round.close(access);
}

async function callDevice(round: Round): Promise<void> {
  const io = await round.open();
  const { hasPasidDevice } = testDifferences(io.revision);
  const ioasId = await io.ioasAlloc();
  const other = await io.ioasAlloc();
  const iova = BigInt(MOCK_APERTURE_START);
  for (const id of [ioasId, other]) {
    await io.mapFixed(id, round.buffer, io.page, iova);
  }
  await round.enable();
  const { stdevId, idevId: devId } = await round.device(() =>
    hasPasidDevice
      ? io.mock.domainFlags(ioasId, MOCK_FLAGS_DEVICE_PASID)
      : io.mock.domain(ioasId)
  );
  await round.step(() => getHwInfo(io, devId, TestHwInfo.size));
  const flags = hasPasidDevice ? IOMMU_HWPT_ALLOC_PASID : 0;
  const onIoas = { devId, ptId: ioasId, flags };
  const hwpt = await round.step(() => hwptAlloc(io, onIoas));
  await round.step(() => io.mock.replaceDomain(stdevId, other));
  await round.step(() => io.mock.replaceDomain(stdevId, hwpt));
  if (!hasPasidDevice) return;

  const parent = await round.step(() =>
    hwptAlloc(io, { ...onIoas, flags: flags | IOMMU_HWPT_ALLOC_NEST_PARENT })
  );
  await callViommu(round, io, devId, parent, iova);
  const forPasids = await round.step(() => hwptAlloc(io, onIoas));
  await round.step(() => pasidAttach(io, stdevId, PASID, parent));
  await round.step(() => pasidReplace(io, stdevId, PASID, forPasids));
  await round.step(() => pasidDetach(io, stdevId, PASID));
}

/** The part of {@link callDevice} that is about a vIOMMU, and page faults beside it. */
async function callViommu(
  round: Round,
  io: Iommufd,
  devId: number,
  parent: number,
  iova: bigint,
): Promise<void> {
  const viommuId = await round.step(() => viommuAlloc(io, devId, parent));
  await round.step(() => vdeviceAlloc(io, viommuId, devId, 0));
  const queue = { index: 0, iova, length: io.page };
  await round.step(() => hwQueueAlloc(io, viommuId, queue));
  const { faultId, faultFd } = await round.step(() => faultQueueAlloc(io));
  assertEq(await io.process.close(faultFd), 0, "close the fault queue");
  const flags = IOMMU_HWPT_FAULT_ID_VALID;
  await round.step(() => nestedAlloc(io, devId, parent, { flags, faultId }));
  const { veventqFd } = await round.step(() => veventqAlloc(io, viommuId, 2));
  assertEq(await io.process.close(veventqFd), 0, "close the vEVENTQ");
}
