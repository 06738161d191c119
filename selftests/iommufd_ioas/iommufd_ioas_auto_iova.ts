// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: IOVA that the kernel chooses, allowed and reserved
 * ranges.
 *
 * @module
 */

import { EADDRINUSE, ENOSPC } from "../../impl/uapi/errno.ts";
import type { IommuIovaRange } from "../../impl/uapi/iommufd.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import { assertEq, assertTrue } from "../harness/harness.ts";
import type { IoasFixture, IoasSelf } from "./iommufd_ioas.ts";

/** Adds the tests to the fixture. */
export function registerAutoIova(f: IoasFixture): void {
  f.test("area_auto_iova", {
    description:
      "A chosen IOVA is aligned, avoids reserved ranges and keeps to allowed ones",
    rules: ["P09.4"],
  }, checkAutoIova);

  f.test("reserved_overflow", {
    description:
      "Nothing can be mapped where all but a few pages are reserved, up to the last IOVA",
    rules: ["P09.4"],
    since: "7.3",
  }, async ({ io, ioasId }) => {
    await io.mock.addReserved(ioasId, 6n, 2n ** 64n - 0x7fffn);
    await io.map(ioasId, io.buffer, 5n * io.page, ENOSPC);
  });

  f.test("area_allowed", {
    description: "Allowed and reserved ranges cannot intersect",
    rules: ["P10.4"],
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    const allowed = { start: baseIova, last: baseIova + 600n * page };
    const reserved = allowed.start + page;
    await io.allowIovas(ioasId, [allowed]);
    await io.mock.addReserved(ioasId, reserved, page, EADDRINUSE);
    await io.allowIovas(ioasId, []);
    await io.mock.addReserved(ioasId, reserved, page);
    await io.allowIovas(ioasId, [allowed], EADDRINUSE);
  });
}

/** Test `area_auto_iova`. */
async function checkAutoIova(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId } = self;
  const { page, buffer } = io;
  const iovas: bigint[] = [];
  for (let i = 0; i < 10; i++) iovas.push(await io.map(ioasId, buffer, page));
  for (const iova of iovas) await io.unmap(ioasId, iova, page);

  // Without a domain nothing is pinned, so that any address will do.
  await mapTenSizes(self, stdevId ? buffer : 2 ** 31, () => {});

  const reserved = { start: 4n * page, length: 100n * page };
  await io.mock.addReserved(ioasId, reserved.start, reserved.length);
  await mapTenSizes(self, buffer, (iova) => {
    const inside = iova > reserved.start &&
      iova < reserved.start + reserved.length;
    assertTrue(!inside, `IOVA 0x${iova.toString(16)} is not reserved`);
  });

  const intersecting = { start: page, last: page * 600n };
  await io.allowIovas(ioasId, [intersecting], EADDRINUSE);

  const allowed = allowedRange(self);
  await io.allowIovas(ioasId, [allowed]);
  await mapTenSizes(self, buffer, (iova, length) => {
    const what = `IOVA 0x${iova.toString(16)}`;
    assertTrue(iova >= allowed.start, `${what} starts after the range`);
    assertTrue(iova <= allowed.last, `${what} starts before its end`);
    assertTrue(iova + length > allowed.start, `${what} ends after its start`);
    assertTrue(iova + length <= allowed.last + 1n, `${what} ends in it`);
  });
}

/** A range that is mappable in the variant. */
function allowedRange({ io, stdevId }: IoasSelf): IommuIovaRange {
  const { page } = io;
  if (!stdevId) return { start: page * 200n, last: page * 600n - 1n };
  const aperture = BigInt(MOCK_APERTURE_START);
  return { start: aperture + page, last: aperture + page * 600n - 1n };
}

/**
 * Maps 1 to 10 pages, checks that each IOVA is aligned to the lowest bit of
 * its length and is what `check` expects, and unmaps them.
 */
async function mapTenSizes(
  { io, ioasId }: IoasSelf,
  userVa: number,
  check: (iova: bigint, length: bigint) => void,
): Promise<void> {
  const mapped: { iova: bigint; length: bigint }[] = [];
  for (let pages = 1n; pages <= 10n; pages++) {
    const length = pages * io.page;
    const iova = await io.map(ioasId, userVa, length);
    assertEq(iova % (length & -length), 0n, "misalignment of the IOVA");
    check(iova, length);
    mapped.push({ iova, length });
  }
  for (const { iova, length } of mapped) await io.unmap(ioasId, iova, length);
}
