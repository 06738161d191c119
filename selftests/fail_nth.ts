// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `basic_fail_nth`: sequences of calls in which each fallible step of
 * the kernel is made to fail in turn (tools/testing/selftests/iommu/
 * iommufd_fail_nth.c, which is a program of its own).
 *
 * The tests do not ask how a call fails, only that nothing stays behind: no
 * pinned page after each round, and no kernel warning at the end.
 *
 * @module
 */

import {
  IOMMU_IOAS_ALLOW_IOVAS,
  IommuIoasAllowIovas,
  IommuIovaRange,
} from "../impl/uapi/iommufd.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
  TestHwInfo,
} from "../impl/uapi/iommufd_test.ts";
import { MAP_SHARED } from "../impl/uapi/mman.ts";
import {
  assertEq,
  AssertionFailure,
  assertTrue,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "./harness.ts";
import { getHwInfo, hwptAlloc } from "./hwpt_ioctls.ts";
import { Iommufd, MAP_RW } from "./ioctls.ts";

/** The kernel's bound on the steps of one test. */
const MAX_ROUNDS = 400;

/** Bytes of the shared memory that the tests map. */
const BUFFER_SIZE = 2 * 1024 * 1024;

/** Bytes that most tests map of it. */
const SHORT = 262144;

/** What the tests share. */
interface FailNthSelf {
  /** The process and its memory, with no descriptor yet. */
  readonly base: Iommufd;
  /** {@link BUFFER_SIZE} bytes. */
  readonly buffer: number;
}

type FailNthFixture = Fixture<undefined, FailNthSelf>;

/** One run through a test's calls. */
class Round {
  /** The process and its memory. */
  readonly base: Iommufd;
  /** The memory to map. */
  readonly buffer: number;
  /** The open iommufd, once there is one. */
  io: Iommufd | undefined;
  /** The descriptor of an open access. */
  access: number | undefined;

  readonly #nth: number;

  /** Fails step `nth` after {@link Round.enable}; none if 0. */
  constructor({ base, buffer }: FailNthSelf, nth: number) {
    this.base = base;
    this.buffer = buffer;
    this.#nth = nth;
  }

  /** Opens /dev/iommu. */
  async open(): Promise<Iommufd> {
    this.io = await this.base.reopen();
    return this.io;
  }

  /** From here on steps are counted (C: fail_nth_enable). */
  async enable(): Promise<void> {
    if (!this.#nth) return;
    const ret = await this.base.process.setFailNth(this.#nth);
    assertEq(ret, 0, "fail-nth");
  }

  /** Stops counting. True if the step to fail was reached. */
  async disable(): Promise<boolean> {
    if (!this.#nth) return true;
    const left = await this.base.process.failNthLeft();
    assertEq(await this.base.process.setFailNth(0), 0, "fail-nth");
    return left === 0;
  }

  /** Closes what is open; closing alone must unpin everything. */
  async teardown(): Promise<void> {
    const { process } = this.base;
    if (this.access !== undefined) {
      assertEq(await process.close(this.access), 0, "close the access");
    }
    if (!this.io) return;
    assertEq(await process.close(this.io.fd), 0, "close /dev/iommu");
    const fresh = await this.base.reopen();
    await fresh.mock.checkRefs(this.buffer, BUFFER_SIZE, 0);
    assertEq(await process.close(fresh.fd), 0, "close /dev/iommu again");
  }
}

/**
 * Runs `calls` without failures, then with the first step failing, the second
 * and so on until none is left; that last round must succeed again.
 */
async function sweep(
  self: FailNthSelf,
  calls: (round: Round) => Promise<void>,
): Promise<void> {
  for (let nth = 0; nth < MAX_ROUNDS; nth++) {
    const round = new Round(self, nth);
    const failure = await failureOf(calls, round);
    const reached = await round.disable();
    await round.teardown();
    if (failure && (nth === 0 || !reached)) throw failure;
    if (!reached) {
      assertTrue(nth > 1, "a step can be made to fail");
      return;
    }
  }
  throw new AssertionFailure(
    "fail-nth",
    `fewer than ${MAX_ROUNDS} steps`,
    "more",
  );
}

/** The call that failed, if any. */
async function failureOf(
  calls: (round: Round) => Promise<void>,
  round: Round,
): Promise<AssertionFailure | undefined> {
  try {
    await calls(round);
    return undefined;
  } catch (error) {
    if (error instanceof AssertionFailure) return error;
    throw error;
  }
}

/** Adds the fixture's tests to `registry`. */
export function registerFailNth(registry: Test[]): void {
  const f: FailNthFixture = fixture(registry, "basic_fail_nth", {
    upstream: true,
    program: "iommufd_fail_nth",
    needs: () => ["fail_nth"],
    setup: async (context: Context) => {
      const base = await Iommufd.prepare(context);
      return { base, buffer: await base.mmap(BUFFER_SIZE, MAP_SHARED) };
    },
  });
  add(f, "basic", "ranges, map, copy and unmap without a domain", callBasic);
  add(f, "map_domain", "mapping into a domain", callMapDomain);
  add(f, "map_two_domains", "mapping into two domains", callMapTwoDomains);
  add(f, "access_rw", "reads and writes of an access", callAccessRw);
  add(f, "access_pin", "pins of an access", callAccessPin);
  add(
    f,
    "access_pin_domain",
    "pins of an access beside a domain",
    callAccessPinDomain,
  );
  f.test("device", {
    description: "Every step of a device's life may fail",
    reference: "iommufd_fail_nth.c: basic_fail_nth.device",
    uapi: ["6.12"],
    needs: () => ["hwpt"],
  }, (self) => sweep(self, callDevice));
}

/** Adds one sweep. */
function add(
  f: FailNthFixture,
  name: string,
  what: string,
  calls: (round: Round) => Promise<void>,
): void {
  f.test(name, {
    description: `Every step may fail of ${what}`,
    reference: `iommufd_fail_nth.c: basic_fail_nth.${name}`,
  }, (self) => sweep(self, calls));
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
  const ioasId = await io.ioasAlloc();
  await io.iovaRanges(ioasId, 10, io.scratch);
  await io.process.poke(
    io.scratch,
    IommuIovaRange.encode({
      start: 16384n,
      last: BigInt(BUFFER_SIZE + 16384 * 600 - 1),
    }),
  );
  await io.call(IommuIoasAllowIovas, IOMMU_IOAS_ALLOW_IOVAS, {
    ioasId,
    numIovas: 1,
    allowedIovas: BigInt(io.scratch),
  });
  const iova = await io.map(ioasId, round.buffer, BUFFER_SIZE);
  await io.copy({
    dst: ioasId,
    src: ioasId,
    srcIova: iova,
    length: BigInt(10 * IommuIovaRange.size),
    prot: MAP_RW,
  });
  await io.unmap(ioasId, iova, BUFFER_SIZE);
  // Nothing is there any more; the call may fail in its own way.
  await io.unmap(ioasId, iova, BUFFER_SIZE).catch(ignoreFailure);
}

/** Swallows the failure of a call, and nothing else. */
function ignoreFailure(error: unknown): undefined {
  if (!(error instanceof AssertionFailure)) throw error;
  return undefined;
}

async function callMapDomain(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  await round.enable();
  const { stdevId } = await io.mock.domain(ioasId);
  await io.map(ioasId, round.buffer, SHORT);
  await io.destroy(stdevId);
  await io.mock.domain(ioasId);
}

async function callMapTwoDomains(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const first = await io.mock.domain(ioasId);
  await round.enable();
  const second = await io.mock.domain(ioasId);
  await io.map(ioasId, round.buffer, SHORT);
  await io.destroy(first.stdevId);
  await io.destroy(second.stdevId);
  await io.mock.domain(ioasId);
  await io.mock.domain(ioasId);
}

async function callAccessRw(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const iova = await io.map(ioasId, round.buffer, SHORT);
  await round.enable();
  const access = await io.mock.createAccess(ioasId, false);
  round.access = access;
  const slow = MOCK_ACCESS_RW_SLOW_PATH;
  const write = MOCK_ACCESS_RW_WRITE;
  const range = { iova, length: 64, uptr: io.scratch };
  for (const flags of [0, write, slow, slow | write]) {
    await io.mock.accessRw(access, { ...range, flags });
  }
  await io.mock.accessRw(access, { ...range, length: 32768, flags: slow });
  await io.mock.destroyAccess(access);
  round.access = undefined;
}

async function callAccessPin(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  await pinSwept(round, io, ioasId);
}

async function callAccessPinDomain(round: Round): Promise<void> {
  const [io, ioasId] = await openIoas(round);
  const { stdevId } = await io.mock.domain(ioasId);
  await pinSwept(round, io, ioasId);
  await io.destroy(stdevId);
}

/** Maps, then pins and unpins all with failures. */
async function pinSwept(
  round: Round,
  io: Iommufd,
  ioasId: number,
): Promise<void> {
  const length = BUFFER_SIZE;
  const iova = await io.map(ioasId, round.buffer, length);
  const access = await io.mock.createAccess(ioasId, true);
  round.access = access;
  await round.enable();
  const range = { iova, length, uptr: round.buffer };
  const item = await io.mock.accessPages(access, range);
  await io.mock.destroyAccessPages(access, item);
  await io.mock.destroyAccess(access);
  round.access = undefined;
}

async function callDevice(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const other = await io.ioasAlloc();
  const iova = BigInt(MOCK_APERTURE_START);
  for (const id of [ioasId, other]) {
    await io.mapFixed(id, round.buffer, io.page, iova);
  }
  await round.enable();
  const { stdevId, idevId: devId } = await io.mock.domain(ioasId);
  await getHwInfo(io, devId, TestHwInfo.size);
  const hwpt = await hwptAlloc(io, { devId, ptId: ioasId });
  await io.mock.replaceDomain(stdevId, other);
  await io.mock.replaceDomain(stdevId, hwpt);
}
