// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: IOMMU_IOAS_IOVA_RANGES.
 *
 * @module
 */

import { EMSGSIZE } from "../../impl/uapi/errno.ts";
import { IommuIovaRange } from "../../impl/uapi/iommufd.ts";
import {
  MOCK_APERTURE_LAST,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { assertEq } from "../harness/harness.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";
import type { IoasFixture, IoasSelf } from "./iommufd_ioas.ts";

/** What a mock domain can map. */
export const MOCK_APERTURE: IommuIovaRange = {
  start: BigInt(MOCK_APERTURE_START),
  last: BigInt(MOCK_APERTURE_LAST),
};

/** The contents of an array that was not written. */
const UNTOUCHED: IommuIovaRange = { start: 0n, last: 0n };

/** Adds the test to the fixture. */
export function registerIovaRanges(f: IoasFixture): void {
  f.test("iova_ranges", {
    description:
      "IOVA_RANGES tells the usable ranges and how many did not fit the array",
    rules: ["P10.3"],
  }, checkIovaRanges);
}

/** Asserts that the array at the start of the buffer begins with `expected`. */
export async function assertRanges(
  io: Iommufd,
  expected: readonly IommuIovaRange[],
): Promise<void> {
  const ranges = await io.peekRanges(io.buffer, expected.length);
  ranges.forEach((range, index) => {
    assertEq(range.start, expected[index]!.start, `start of range ${index}`);
    assertEq(range.last, expected[index]!.last, `last of range ${index}`);
  });
}

/** Test `iova_ranges`; the array is the test buffer. */
async function checkIovaRanges(
  { io, ioasId, stdevId }: IoasSelf,
): Promise<void> {
  const { page } = io;
  const capacity = io.memory.bufferSize / IommuIovaRange.size;
  const zero = new Uint8Array(io.memory.bufferSize);
  const one = stdevId ? MOCK_APERTURE : { start: 0n, last: U64_MAX };

  let reply = await io.iovaRanges(ioasId, capacity, io.buffer);
  assertEq(reply.numIovas, 1, "ranges");
  await assertRanges(io, [one]);
  assertEq(reply.outIovaAlignment, stdevId ? io.mockPage : 1n, "alignment");

  await io.process.poke(io.buffer, zero);
  reply = await io.iovaRanges(ioasId, 0, io.buffer, EMSGSIZE);
  assertEq(reply.numIovas, 1, "ranges that an empty array has no room for");
  await assertRanges(io, [UNTOUCHED]);

  const two = stdevId
    ? [MOCK_APERTURE]
    : [{ start: 0n, last: page - 1n }, { start: 2n * page, last: U64_MAX }];
  await io.mock.addReserved(ioasId, page, page);
  reply = await io.iovaRanges(ioasId, capacity, io.buffer);
  assertEq(reply.numIovas, two.length, "ranges after a reservation");
  await assertRanges(io, two);

  await io.process.poke(io.buffer, zero);
  const errno = stdevId ? undefined : EMSGSIZE;
  reply = await io.iovaRanges(ioasId, 1, io.buffer, errno);
  assertEq(reply.numIovas, two.length, "ranges with room for one");
  await assertRanges(io, [two[0]!, UNTOUCHED]);
}
