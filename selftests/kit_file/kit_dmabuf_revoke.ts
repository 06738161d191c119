// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `kit_dmabuf`: buffers that their driver takes back, at every moment
 * in the life of an area.
 *
 * @module
 */

import { EINVAL, ENODEV } from "../../impl/uapi/errno.ts";
import { assertEq, assertOk } from "../harness/harness.ts";
import {
  dmabufGet,
  dmabufRevoke,
  mapFileFixed,
} from "../ioctls/file_ioctls.ts";
import {
  assertMapped,
  BUFFER_PAGES,
  type DmabufFixture,
  type DmabufSelf,
  IOVA,
  mapAt,
  watch,
} from "./kit_dmabuf.ts";

/** Adds the tests to the fixture. */
export function registerRevocation(f: DmabufFixture): void {
  registerMoments(f);
  registerCopies(f);
  registerDomains(f);
  registerEnds(f);
}

/** Takes the buffer back. */
function revoke({ io, buffer }: DmabufSelf): Promise<void> {
  return dmabufRevoke(io, buffer, true);
}

/** Lets the buffer be used again. */
function restore({ io, buffer }: DmabufSelf): Promise<void> {
  return dmabufRevoke(io, buffer, false);
}

/** When it happens. */
function registerMoments(f: DmabufFixture): void {
  f.test("revoked", {
    description:
      "A buffer that is taken back is in no domain any more, for good",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const iova = await mapAt(self, 0);
    await assertMapped(io, watchId, iova, true);
    await revoke(self);
    await assertMapped(io, watchId, iova, false);
    await mapAt(self, 1, ENODEV);
    // Once more is no harm.
    await revoke(self);
    await restore(self);
    await assertMapped(io, watchId, iova, false);
    // The IOVA stays taken; another map is alive.
    const again = await mapAt(self, 1);
    await assertMapped(io, watchId, again, true);
    await assertMapped(io, watchId, iova, false);
    assertEq(await io.unmap(ioasId, iova, io.page), io.page, "bytes");
    await mapAt(self, 0);
    await assertMapped(io, watchId, iova, true);
    await assertMapped(io, watchId, again, true);
  });

  f.test("invalidated", {
    description:
      "Areas lose a buffer also when its driver lets it be used again",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, watchId } = self;
    const iova = await mapAt(self, 0);
    await restore(self);
    await assertMapped(io, watchId, iova, false);
    const again = await mapAt(self, 1);
    await assertMapped(io, watchId, again, true);
  });

  f.test("revoked_after_unmap", {
    description: "A buffer that is mapped no more can be taken back",
    rules: ["F2.7"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const iova = await mapAt(self, 0);
    const other = await mapAt(self, 4);
    await io.unmap(ioasId, iova, io.page);
    await assertMapped(io, watchId, iova, false);
    await revoke(self);
    await assertMapped(io, watchId, other, false);
    await io.unmap(ioasId, other, io.page);
    await restore(self);
  });

  f.test("other_buffers", {
    description: "Taking a buffer back is no matter of others",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const other = await dmabufGet(io, io.context.pageSize);
    const iova = await mapAt(self, 0);
    const at = IOVA + 8n * io.page;
    await mapFileFixed(io, ioasId, other, 0, io.page, at);
    await io.mapFixed(ioasId, io.buffer, io.page, at + io.page);
    await revoke(self);
    await assertMapped(io, watchId, iova, false);
    await assertMapped(io, watchId, at, true);
    await assertMapped(io, watchId, at + io.page, true);
    assertEq(await io.process.close(other), 0, "close");
  });

  f.test("many_areas", {
    description: "Every area of a buffer loses it",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const places = [0, 1, 2, 3, 10, 11];
    for (const place of places) await mapAt(self, place, undefined, place % 4);
    await io.unmap(ioasId, IOVA + io.page, io.page);
    await revoke(self);
    for (const place of places) {
      await assertMapped(io, watchId, IOVA + BigInt(place) * io.page, false);
    }
    await io.unmap(ioasId, IOVA, 12n * io.page);
  });
}

/** Copies. */
function registerCopies(f: DmabufFixture): void {
  f.test("copies", {
    description: "Copies lose a buffer with the area that they are of",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const { page } = io;
    const other = await io.ioasAlloc();
    const { idevId } = await io.mock.domain(other);
    const otherWatch = await watch(io, idevId, other);
    const srcIova = await mapAt(self, 0, undefined, 0, 3);
    const part = { src: ioasId, srcIova: srcIova + page, length: page };
    const near = IOVA + 16n * page;
    await io.copy({ ...part, dst: ioasId, dstIova: near });
    const far = IOVA + 32n * page;
    await io.copy({ ...part, dst: other, dstIova: far });
    await assertMapped(io, watchId, near, true);
    await assertMapped(io, otherWatch, far, true);
    await revoke(self);
    await assertMapped(io, watchId, srcIova, false);
    await assertMapped(io, watchId, near, false);
    await assertMapped(io, otherWatch, far, false);
    // A copy of what was taken back is as empty, now and later.
    const late = IOVA + 48n * page;
    await io.copy({ ...part, dst: other, dstIova: late });
    await assertMapped(io, otherWatch, late, false);
    await restore(self);
    await assertMapped(io, otherWatch, late, false);
    assertEq(await io.unmap(other, far, page), page, "bytes of a copy");
    assertEq(await io.unmap(ioasId, srcIova, 3n * page), 3n * page, "bytes");
    assertEq(await io.unmap(other, late, page), page, "bytes of a late copy");
  });

  f.test("copy_outlives", {
    description: "A copy has the buffer after the first area is gone",
    rules: ["F2.7"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const srcIova = await mapAt(self, 0);
    const iova = IOVA + 8n * io.page;
    await io.copy({
      dst: ioasId,
      src: ioasId,
      srcIova,
      length: io.page,
      dstIova: iova,
    });
    await io.unmap(ioasId, srcIova, io.page);
    await assertMapped(io, watchId, iova, true);
    await revoke(self);
    await assertMapped(io, watchId, iova, false);
  });
}

/** Domains that come and go. */
function registerDomains(f: DmabufFixture): void {
  f.test("domain_before", {
    description: "A domain that comes to a buffer has it, and loses it",
    rules: ["F2.6"],
  }, async (self) => {
    const { io, ioasId } = self;
    const iova = await mapAt(self, 0, undefined, 0, BUFFER_PAGES);
    const device = await io.mock.domain(ioasId);
    const hwptId = await watch(io, device.idevId, ioasId);
    await assertMapped(io, hwptId, iova, true);
    await revoke(self);
    await assertMapped(io, hwptId, iova, false);
    await io.destroy(hwptId);
    await io.mock.destroyDomain(device);
  });

  f.test("domain_after", {
    description:
      "A domain that comes after a buffer was taken back has nothing of it",
    rules: ["F2.6"],
  }, async (self) => {
    const { io, ioasId } = self;
    const iova = await mapAt(self, 0);
    await revoke(self);
    const device = await io.mock.domain(ioasId);
    const hwptId = await watch(io, device.idevId, ioasId);
    await assertMapped(io, hwptId, iova, false);
    await restore(self);
    const later = await io.mock.domain(ioasId);
    await assertMapped(io, hwptId, iova, false);
    const alive = await mapAt(self, 1);
    await assertMapped(io, hwptId, alive, true);
    await io.mock.destroyDomain(later);
    await io.destroy(hwptId);
    await io.mock.destroyDomain(device);
    await io.unmap(ioasId, iova, 2n * io.page);
  });

  f.test("domain_goes", {
    description:
      "A domain that goes takes its part of a buffer along, or has none",
    rules: ["F2.6"],
  }, async (self) => {
    const { io, ioasId, watchId } = self;
    const device = await io.mock.domain(ioasId);
    const second = await io.mock.domain(ioasId);
    const own = await watch(io, second.idevId, ioasId);
    const iova = await mapAt(self, 0);
    await io.destroy(own);
    await assertMapped(io, watchId, iova, true);
    await io.mock.destroyDomain(second);
    await revoke(self);
    await assertMapped(io, watchId, iova, false);
    await io.mock.destroyDomain(device);
    await io.unmap(ioasId, iova, io.page);
  });

  f.test("attach_fails", {
    description: "A device that cannot have another area has no buffer either",
    rules: ["F2.6"],
  }, async (self) => {
    const { io, buffer } = self;
    const { page } = io;
    const ioasId = await io.ioasAlloc();
    await mapFileFixed(io, ioasId, buffer, 0, page, IOVA);
    const fd = assertOk(await io.process.memfdCreate("", 0), "memfd");
    await mapFileFixed(io, ioasId, fd, 0, page, IOVA + page);
    await mapFileFixed(io, ioasId, buffer, 0, page, IOVA + 2n * page);
    const size = io.context.pageSize;
    await io.mock.domain(ioasId, EINVAL);
    await revoke(self);
    await restore(self);
    assertEq(await io.process.ftruncate(fd, size), 0, "ftruncate");
    const { idevId } = await io.mock.domain(ioasId);
    const hwptId = await watch(io, idevId, ioasId);
    await assertMapped(io, hwptId, IOVA, false);
    await assertMapped(io, hwptId, IOVA + page, true);
    assertEq(await io.process.close(fd), 0, "close");
  });

  f.test("replaced_device", {
    description: "A device that moves to another IOAS leaves the buffer behind",
    rules: ["F2.6"],
  }, async (self) => {
    const { io, ioasId, stdevId, watchId } = self;
    if (!stdevId) return;
    const iova = await mapAt(self, 0);
    const other = await io.ioasAlloc();
    await io.mock.replaceDomain(stdevId, other);
    await assertMapped(io, watchId, iova, true);
    await revoke(self);
    await io.mock.replaceDomain(stdevId, ioasId);
    await assertMapped(io, watchId, iova, false);
  });
}

/** What ends an area. */
function registerEnds(f: DmabufFixture): void {
  f.test("destroyed", {
    description: "An IOAS is destroyed with buffers, whether taken back or not",
    rules: ["F2.7"],
  }, async (self) => {
    const { io, buffer } = self;
    for (const revoked of [false, true]) {
      const ioasId = await io.ioasAlloc();
      await mapFileFixed(io, ioasId, buffer, 0, io.page, IOVA);
      const device = await io.mock.domain(ioasId);
      if (revoked) await revoke(self);
      await io.mock.destroyDomain(device);
      await io.destroy(ioasId);
    }
    await restore(self);
  });

  f.test("closed", {
    description:
      "Closing the iommufd gives a buffer back; it can be taken back then",
    rules: ["F2.7"],
  }, async (self) => {
    const { io } = self;
    const other = await io.reopen();
    const ioasId = await other.ioasAlloc();
    await mapFileFixed(other, ioasId, self.buffer, 0, other.page, IOVA);
    await other.mock.domain(ioasId);
    assertEq(await io.process.close(other.fd), 0, "close");
    await revoke(self);
    const iova = await mapAt(self, 0, ENODEV);
    await restore(self);
    assertEq(await mapAt(self, 0), iova, "IOVA");
  });

  f.test("two_contexts", {
    description: "A buffer that two iommufds map is taken from both",
    rules: ["F2.5"],
  }, async (self) => {
    const { io, watchId } = self;
    const iova = await mapAt(self, 0);
    const other = await io.reopen();
    const ioasId = await other.ioasAlloc();
    const { idevId } = await other.mock.domain(ioasId);
    const otherWatch = await watch(other, idevId, ioasId);
    await mapFileFixed(other, ioasId, self.buffer, 0, other.page, IOVA);
    await assertMapped(other, otherWatch, IOVA, true);
    // Any iommufd's test operation does it.
    await dmabufRevoke(other, self.buffer, true);
    await assertMapped(other, otherWatch, IOVA, false);
    await assertMapped(io, watchId, iova, false);
    assertEq(await io.process.close(other.fd), 0, "close");
  });

  f.test("left_open", {
    description: "A buffer that was taken back is freed with its last user",
    rules: ["F2.7"],
  }, async (self) => {
    const { io, ioasId } = self;
    const fd = await dmabufGet(io, io.context.pageSize);
    const copy = assertOk(await io.process.dup(fd), "dup");
    await mapFileFixed(io, ioasId, fd, 0, io.page, IOVA);
    assertEq(await io.process.close(fd), 0, "close");
    await dmabufRevoke(io, copy, true);
    assertEq(await io.process.close(copy), 0, "close the other");
    await io.unmap(ioasId, IOVA, io.page);
  });
}
