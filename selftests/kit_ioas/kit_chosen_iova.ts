// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_chosen_iova`: the IOVA that the kernel chooses for parts of
 * pages, to the byte. Without a domain nothing need be aligned.
 *
 * The offset within the page is or'ed into the first address of a range, so
 * that a place found in one range need not be below the one found in the next.
 *
 * @module
 */

import { ENOSPC, type Errno } from "../../impl/uapi/errno.ts";
import { MOCK_APERTURE_START } from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  type Context,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { Iommufd } from "../ioctls/ioctls.ts";

/** What the tests share. */
interface ChosenSelf {
  /** The open iommufd. */
  readonly io: Iommufd;
  /** The IOAS to choose in. */
  readonly ioasId: number;
  /** Lets the kernel place `length` bytes from byte `offset` of the buffer on. */
  place(offset: bigint, length: bigint, errno?: Errno): Promise<bigint>;
}

type ChosenFixture = Fixture<{ readonly copies: boolean }, ChosenSelf>;

/** Where the whole buffer is mapped to be copied from. */
const SRC = 2n ** 30n;

/** Adds the fixture's tests to `registry`. */
export function registerKitChosenIova(registry: Test[]): void {
  const f: ChosenFixture = fixture(registry, "kit_chosen_iova", {
    variants: { map: { copies: false }, copy: { copies: true } },
    upstream: false,
    setup,
    teardown: ({ io }) => io.teardown(),
  });
  registerFirstPlace(f);
  registerHoles(f);
}

async function setup(
  context: Context,
  { copies }: { readonly copies: boolean },
): Promise<ChosenSelf> {
  const io = await Iommufd.open(context);
  const ioasId = await io.ioasAlloc();
  if (!copies) {
    const place: ChosenSelf["place"] = (offset, length, errno) =>
      io.map(ioasId, BigInt(io.buffer) + offset, length, errno);
    return { io, ioasId, place };
  }
  const src = await io.ioasAlloc();
  await io.mapFixed(src, io.buffer, io.bufferSize, SRC);
  const place: ChosenSelf["place"] = (offset, length, errno) =>
    io.copy({ src, dst: ioasId, srcIova: SRC + offset, length }, errno);
  return { io, ioasId, place };
}

/** The first place of an allowed range. */
function registerFirstPlace(f: ChosenFixture): void {
  f.test("area_below", {
    description: "An area below the first place is not in the way",
    rules: ["P09.5"],
  }, async ({ io, place }) => {
    const { page, mockPage } = io;
    assertEq(await place(0n, 0x200n), page, "IOVA of the start of a page");
    const half = await place(mockPage, 0x200n);
    assertEq(half, page + mockPage, "IOVA of the middle of a page");
  });

  f.test("reserved_below", {
    description: "Reserved IOVA below the first place is not in the way",
    rules: ["P09.5"],
  }, async ({ io, ioasId, place }) => {
    const { page, mockPage } = io;
    await io.mock.addReserved(ioasId, page, 0x200n);
    assertEq(await place(mockPage, 0x200n), page + mockPage, "IOVA");
  });

  f.test("range_without_place", {
    description:
      "An allowed range counts as full if its first place is no good",
    rules: ["P09.5"],
  }, async ({ io, ioasId, place }) => {
    const first = { start: 0x11600n, last: 0x11dffn };
    await io.allowIovas(ioasId, [first]);
    await io.mapFixed(ioasId, io.buffer, 0x200n, 0x11600n);
    await place(0xa00n, 0x200n, ENOSPC);
    await io.allowIovas(ioasId, [first, { start: 0x21600n, last: 0x21fffn }]);
    assertEq(await place(0xa00n, 0x200n), 0x21e00n, "IOVA in the next range");
    // One byte less at the start is rounded up to a better place.
    await io.allowIovas(ioasId, [{ start: 0x11601n, last: 0x11dffn }]);
    assertEq(await place(0xa00n, 0x200n), 0x11a00n, "IOVA a byte further on");
  });
}

/** Holes above the first place. */
function registerHoles(f: ChosenFixture): void {
  f.test("hole_above", {
    description:
      "In a hole above the first place the offset in the page is or'ed in anew",
    rules: ["P09.5"],
  }, async ({ io, ioasId, place }) => {
    const { buffer } = io;
    await io.allowIovas(ioasId, [{ start: 0x12000n, last: 0x13fffn }]);
    await io.mapFixed(ioasId, buffer, 0x800n, 0x12800n);
    assertEq(await place(0x800n, 0x200n), 0x13800n, "IOVA in the next page");
    await io.mapFixed(ioasId, buffer, 0x200n, 0x13a00n);
    const last = await place(0x800n, 0x200n);
    assertEq(last, 0x13c00n, "IOVA at another offset in the page");
    // What is below the first place stays free.
    await io.allowIovas(ioasId, [{ start: 0x12000n, last: 0x12fffn }]);
    await place(0x800n, 0x200n, ENOSPC);
    assertEq(await place(0x200n, 0x200n), 0x12200n, "IOVA below");
  });

  f.test("short_after_long", {
    description: "A hole that was too short for one is found for another",
    rules: ["P09.3"],
  }, async ({ io, ioasId, place }) => {
    const { page } = io;
    // One page is free below, and all from 0x40000 on.
    await io.mock.addReserved(ioasId, 0n, 0x20000n);
    await io.mock.addReserved(ioasId, 0x20000n + page, 0x20000n - page);
    // Aligned to a page and no more.
    assertEq(await place(page, 2n * page), 0x40000n, "IOVA of two pages");
    assertEq(await place(page, page), 0x20000n, "IOVA of one");
    const third = await place(page, page);
    assertEq(third, 0x40000n + 2n * page, "IOVA of one more");
    await io.unmap(ioasId, 0x20000n, page);
    assertEq(await place(page, page), 0x20000n, "IOVA that is free again");
  });

  f.test("hole_reserved_in_part", {
    description: "Whether reserved ranges bound a hole as areas do",
    rules: ["S26"],
  }, async ({ io, ioasId, place }) => {
    await io.mock.addReserved(ioasId, 0n, 0x31800n);
    await io.mapFixed(ioasId, io.buffer, 0xa00n, 0x31800n);
    await io.mock.addReserved(ioasId, 0x32300n, 0x200n);
    // The hole between areas begins at 0x32200, what is free of it at 0x32500.
    const iova = io.revision.ioas.clipsAreaHoles ? 0x32a00n : 0x32d00n;
    assertEq(await place(0x800n, 0x100n), iova, "IOVA");
  });

  f.test("reserved_no_more", {
    description: "IOVA that a domain reserved is chosen again when it is gone",
    rules: ["P09.15"],
  }, async ({ io, ioasId, place }) => {
    const { page } = io;
    const { stdevId } = await io.mock.domain(ioasId);
    const base = BigInt(MOCK_APERTURE_START);
    assertEq(await place(page, page), base, "IOVA with a domain");
    await io.destroy(stdevId);
    assertEq(await place(page, page), page, "IOVA without one");
  });
}
