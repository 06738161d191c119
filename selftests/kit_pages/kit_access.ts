// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_access`: what accesses may read, write and pin, and what
 * unmapping does to their pins.
 *
 * @module
 */

import {
  EADDRINUSE,
  EBADFD,
  EBUSY,
  EINVAL,
  ENOENT,
} from "../../impl/uapi/errno.ts";
import {
  IOMMU_TEST_OP_ACCESS_PAGES,
  MOCK_APERTURE_START,
  TestAccessPages,
} from "../../impl/uapi/selftest.ts";
import {
  assertEq,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import { U64_MAX } from "../ioctls/ioctls.ts";
import {
  type IoasSelf,
  type IoasVariant,
  setupIoas,
  teardownIoas,
} from "../iommufd_ioas/iommufd_ioas.ts";
import { registerErrors } from "./kit_access_errno.ts";
import { registerReadWrite } from "./kit_access_rw.ts";
import { KIT_IOAS_VARIANTS } from "../kit_ioas/kit_map.ts";

/** The fixture as the files of its tests see it. */
export type AccessFixture = Fixture<IoasVariant, IoasSelf>;

/** Adds the fixture's tests to `registry`. */
export function registerKitAccess(registry: Test[]): void {
  const f: AccessFixture = fixture(registry, "kit_access", {
    variants: KIT_IOAS_VARIANTS,
    upstream: false,
    setup: setupIoas,
    teardown: teardownIoas,
  });
  registerErrors(f);
  registerPins(f);
  registerUnmap(f);
  registerLifetime(f);
  registerReadWrite(f);
}

/** Counts and alignment of pins. */
function registerPins(f: AccessFixture): void {
  f.test("pin_counts", {
    description: "A page is pinned once, whoever uses it and how often",
    rules: ["P07.1", "P08.9"],
  }, async ({ io, ioasId, stdevId, baseIova: iova }) => {
    const { page, buffer, bufferSize } = io;
    const idle = stdevId ? 1 : 0;
    await io.mapFixed(ioasId, buffer, bufferSize, iova);
    const first = await io.mock.createAccess(ioasId, true);
    const second = await io.mock.createAccess(ioasId, true);
    const range = { iova, length: 8n * page, uptr: buffer };
    const offset = 4n * page;
    const overlap = {
      iova: iova + offset,
      length: 8n * page,
      uptr: BigInt(buffer) + offset,
    };
    const item = await io.mock.accessPages(first, range);
    await io.mock.accessPages(second, overlap);
    await io.mock.accessPages(second, range);
    await io.mock.checkRefs(buffer, 12n * page, 1);
    await io.mock.checkRefs(BigInt(buffer) + 12n * page, 4n * page, idle);
    await io.mock.destroyAccessPages(first, item);
    await io.mock.checkRefs(buffer, 12n * page, 1);
    await io.mock.destroyAccess(second);
    await io.mock.checkRefs(buffer, bufferSize, idle);
    await io.mock.destroyAccess(first);
  });

  f.test("pin_from_elsewhere", {
    description:
      "A pin takes pages from the areas of other IOASes that hold them, from each its own",
    rules: ["P07.1"],
  }, async ({ io, ioasId, baseIova }) => {
    const { page, buffer } = io;
    const length = 6n * page;
    await io.mapFixed(ioasId, buffer, length, baseIova);
    const other = await io.ioasAlloc();
    const { hwptId } = await io.mock.domain(other);
    // The second and third page, the fourth and fifth, apart and in another order.
    for (const [first, at] of [[1n, 8n], [3n, 2n]] as const) {
      const dstIova = BigInt(MOCK_APERTURE_START) + at * page;
      const srcIova = baseIova + first * page;
      const source = { src: ioasId, srcIova, length: 2n * page };
      await io.copy({ ...source, dst: other, dstIova });
      const uptr = BigInt(buffer) + first * page;
      await io.mock.checkMap(hwptId, dstIova, 2n * page, uptr);
    }
    const access = await io.mock.createAccess(ioasId, true);
    for (const [first, pages] of [[0n, 6n], [1n, 4n], [2n, 2n]] as const) {
      const item = await io.mock.accessPages(access, {
        iova: baseIova + first * page,
        length: pages * page,
        uptr: BigInt(buffer) + first * page,
      });
      await io.mock.destroyAccessPages(access, item);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("answer_efault", {
    description:
      "A pin whose id cannot be told is taken back, and the id is not used again",
    rules: ["P15.12"],
  }, async ({ io, ioasId, stdevId, baseIova: iova }) => {
    const { page, buffer } = io;
    await io.mapFixed(ioasId, buffer, page, iova);
    const access = await io.mock.createAccess(ioasId, true);
    const range = { iova, length: page, uptr: buffer };
    await io.mock.callUnanswered(
      "ACCESS_PAGES",
      TestAccessPages,
      IOMMU_TEST_OP_ACCESS_PAGES,
      { id: access, iova, length: page, uptr: BigInt(buffer) },
    );
    await io.mock.checkRefs(buffer, page, stdevId ? 1 : 0);
    await io.mock.destroyAccessPages(access, 0, ENOENT);
    const item = await io.mock.accessPages(access, range);
    assertEq(item, 1, "id of the next pin");
    await io.mock.destroyAccess(access);
  });

  f.test("item_ids", {
    description: "Each access counts its items from 0, and never reuses an id",
    rules: ["P15.12"],
  }, async ({ io, ioasId, baseIova: iova }) => {
    await io.mapFixed(ioasId, io.buffer, io.page, iova);
    const range = { iova, length: io.page, uptr: io.buffer };
    for (let i = 0; i < 2; i++) {
      const access = await io.mock.createAccess(ioasId, true);
      for (let expected = 0; expected < 3; expected++) {
        const item = await io.mock.accessPages(access, range);
        await io.mock.destroyAccessPages(access, expected);
        await io.mock.destroyAccessPages(access, item, ENOENT);
      }
      await io.mock.destroyAccess(access);
    }
  });

  f.test("pin_alignment", {
    description:
      "Pins need page alignment: of all areas while a pinning access exists, or of each pin",
    rules: ["B16"],
  }, checkPinAlignment);
}

/** Test `pin_alignment`. */
async function checkPinAlignment(self: IoasSelf): Promise<void> {
  const { io, ioasId, baseIova } = self;
  const { page, mockPage } = io;
  const askew = BigInt(io.buffer) + mockPage;
  const iova = baseIova + page;
  await io.mapFixed(ioasId, askew, page, iova);
  const range = { iova, length: mockPage, uptr: io.buffer };
  if (!io.revision.access.needsPinPages) {
    const access = await io.mock.createAccess(ioasId, true);
    await io.mock.accessPages(access, range, EINVAL);
    await io.mock.destroyAccess(access);
    return;
  }
  await io.mock.createAccess(ioasId, true, EADDRINUSE);
  const reader = await io.mock.createAccess(ioasId, false);
  await io.unmap(ioasId, iova, page);
  const access = await io.mock.createAccess(ioasId, true);
  await io.mapFixed(ioasId, askew, page, iova, EINVAL);
  await io.mapFixed(ioasId, io.buffer, mockPage, iova, EINVAL);
  await io.mapFixed(ioasId, io.buffer, page, iova + mockPage, EINVAL);
  await io.mock.destroyAccess(access);
  await io.mapFixed(ioasId, askew, page, iova);
  await io.mock.destroyAccess(reader);
}

/** Unmapping under pins. */
function registerUnmap(f: AccessFixture): void {
  f.test("unmap_drops_pins", {
    description:
      "Unmapping drops the items that touch the area, and only those",
    rules: ["P09.12", "B24"],
  }, async ({ io, ioasId, baseIova }) => {
    const { page } = io;
    const buffer = BigInt(io.buffer);
    const iova = baseIova + page;
    const access = await io.mock.createAccess(ioasId, true);
    for (let i = 0n; i < 3n; i++) {
      const offset = 2n * i * page;
      await io.mapFixed(ioasId, buffer + offset, 2n * page, iova + offset);
    }
    const pins = [[0n, 2n], [1n, 2n], [2n, 2n], [4n, 2n]] as const;
    for (const [first, pages] of pins) {
      const offset = first * page;
      await io.mock.accessPages(access, {
        iova: iova + offset,
        length: pages * page,
        uptr: buffer + offset,
      });
    }
    await io.unmap(ioasId, iova, 2n * page);
    await io.mock.checkRefs(buffer, 2n * page, 0);
    await io.mock.checkRefs(buffer + 2n * page, 4n * page, 1);
    await io.mock.destroyAccessPages(access, 0, ENOENT);
    await io.mock.destroyAccessPages(access, 1, ENOENT);
    await io.mock.destroyAccessPages(access, 2);
    await io.unmap(ioasId, 0n, U64_MAX);
    await io.mock.destroyAccessPages(access, 3, ENOENT);
    await io.mock.checkRefs(buffer, 6n * page, 0);
    const gone = { iova, length: 1, uptr: io.scratch };
    await io.mock.accessRw(access, gone, ENOENT);
    await io.mapFixed(ioasId, buffer, page, iova);
    await io.mock.accessPages(access, { iova, length: page, uptr: buffer });
    await io.mock.destroyAccess(access);
  });

  f.table("unmap_drops_edge", {
    description:
      "Unmapping drops an item that has a single byte of the area, at either end",
    rules: ["P09.12"],
  }, (t) => {
    for (const which of ["first", "second"]) {
      t.case(`the ${which} area`, async ({ io, ioasId, baseIova }) => {
        const { page, buffer } = io;
        const iova = baseIova + page;
        const middle = iova + page;
        await io.mapFixed(ioasId, buffer, page, iova);
        await io.mapFixed(ioasId, buffer + Number(page), page, middle);
        const access = await io.mock.createAccess(ioasId, true);
        // A pin begins with a page, but may end anywhere.
        const range = { iova, length: page + 1n, uptr: buffer };
        const item = await io.mock.accessPages(access, range);
        await io.unmap(ioasId, which === "first" ? iova : middle, page);
        await io.mock.destroyAccessPages(access, item, ENOENT);
        await io.unmap(ioasId, iova, 2n * page);
        await io.mock.checkRefs(buffer, 2n * page, 0);
        await io.mock.destroyAccess(access);
      });
    }
  });

  f.test("unmap_all_accesses", {
    description: "Unmapping drops the pins of every access of the IOAS",
    rules: ["P13.3"],
  }, async ({ io, ioasId, baseIova: iova }) => {
    const { buffer, bufferSize: length } = io;
    await io.mapFixed(ioasId, buffer, length, iova);
    const accesses: number[] = [];
    for (let i = 0; i < 3; i++) {
      const access = await io.mock.createAccess(ioasId, true);
      await io.mock.accessPages(access, { iova, length, uptr: buffer });
      await io.mock.accessPages(access, { iova, length, uptr: buffer });
      accesses.push(access);
    }
    await io.unmap(ioasId, iova, length);
    await io.mock.checkRefs(buffer, length, 0);
    for (const access of accesses) {
      await io.mock.destroyAccessPages(access, 0, ENOENT);
      await io.mock.destroyAccessPages(access, 1, ENOENT);
      await io.mock.destroyAccess(access);
    }
  });
}

/** How long an access and what it holds live. */
function registerLifetime(f: AccessFixture): void {
  f.test("keeps_ioas", {
    description: "An IOAS and an access's own object are busy while it is open",
    rules: ["P13.1", "P10.2"],
  }, async ({ io, stdevId }) => {
    if (stdevId) return;
    const ioasId = await io.ioasAlloc();
    const access = await io.mock.createAccess(ioasId, true);
    await io.destroy(ioasId, EBUSY);
    await io.destroy(ioasId + 1, EBUSY);
    await io.mock.destroyAccess(access);
    await io.destroy(ioasId + 1, ENOENT);
    await io.destroy(ioasId);
  });

  f.test("outlives_descriptor", {
    description: "An access keeps its pins after the iommufd is closed",
    rules: ["P13.1", "P05.13"],
  }, async ({ io, ioasId, baseIova: iova }) => {
    const { process } = io;
    const { buffer, bufferSize } = io;
    const other = await io.reopen();
    const ioas = await other.ioasAlloc();
    await other.mapFixed(ioas, buffer, bufferSize, iova);
    const access = await other.mock.createAccess(ioas, true);
    const range = { iova, length: 2n * io.page, uptr: buffer };
    await other.mock.accessPages(access, range);
    await process.close(other.fd);
    await io.mock.checkRefs(buffer, 2n * io.page, 1);
    // Any iommufd can be asked about an access: only its descriptor counts.
    const byte = { iova, length: 1, uptr: io.scratch };
    await io.mock.accessRw(access, byte);
    await io.mock.destroyAccess(access);
    await io.mock.checkRefs(buffer, bufferSize, 0);
    await io.unmap(ioasId, iova, io.page, ENOENT);
  });

  f.test("replace_ioas", {
    description:
      "Moving an access to another IOAS drops its pins; a failed move changes nothing",
    rules: ["S15"],
    since: "6.6",
  }, checkReplaceIoas);
}

/** Test `replace_ioas`. */
async function checkReplaceIoas(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId, baseIova: iova } = self;
  const { page, buffer } = io;
  const idle = stdevId ? 1 : 0;
  await io.mapFixed(ioasId, buffer, page, iova);
  const access = await io.mock.createAccess(ioasId, true);
  const range = { iova, length: page, uptr: buffer };
  await io.mock.accessPages(access, range);
  await io.mock.accessReplaceIoas(io.fd, ioasId, EBADFD);
  await io.mock.accessReplaceIoas(access, 999, ENOENT);
  await io.mock.accessReplaceIoas(access, ioasId);
  await io.mock.checkRefs(buffer, page, 1);

  const askew = await io.ioasAlloc();
  await io.mapFixed(askew, BigInt(buffer) + io.mockPage, page, 0n);
  await io.mock.accessReplaceIoas(access, askew, EADDRINUSE);
  await io.mock.accessPages(access, range);

  const empty = await io.ioasAlloc();
  await io.mock.accessReplaceIoas(access, empty);
  await io.mock.checkRefs(buffer, page, idle);
  await io.mock.destroyAccessPages(access, 0, ENOENT);
  await io.mock.accessPages(access, range, ENOENT);
  await io.destroy(empty, EBUSY);
  await io.destroy(askew);
  await io.mock.destroyAccess(access);
  await io.destroy(empty);
}
