// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tests of `iommufd_ioas`: accesses, that is emulated devices that pin, read
 * and write.
 *
 * @module
 */

import { ENOENT } from "../../impl/uapi/errno.ts";
import {
  MOCK_ACCESS_RW_SLOW_PATH,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { MAP_HUGETLB, MAP_POPULATE, MAP_SHARED } from "../../impl/uapi/mman.ts";
import { checkAccessRw } from "./access_rw_check.ts";
import { BUFFER_PAGES, type Iommufd } from "../ioctls/ioctls.ts";
import type { IoasFixture, IoasSelf } from "./iommufd_ioas.ts";
import type { AccessRange } from "../ioctls/mock_ioctls.ts";

/** IOVA of the tests that map in the aperture in all variants. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the tests to the fixture. */
export function registerAccess(f: IoasFixture): void {
  registerPins(f);
  registerReadWrite(f);
}

/** Tests that pin pages. */
function registerPins(f: IoasFixture): void {
  f.test("access_domain_destory", {
    description:
      "A pin inside a huge page survives the removal of the only domain",
    rules: ["P08.8"],
    since: "6.3",
    needs: () => ["hugetlb"],
  }, checkDomainDestroy);

  f.test("access", {
    description:
      "Pages can be pinned once, twice, and while a domain comes and goes",
    rules: ["P07.1"],
    until: "6.2",
  }, async ({ io, ioasId }) => {
    const access = await io.mock.createAccess(ioasId, true);
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    await checkPins(io, ioasId, access, io.bufferSize);
    await io.mock.destroyAccess(access);
  });

  f.test("access_pin", {
    description:
      "1 to 15 pages can be pinned once, twice, and while a domain comes and goes",
    rules: ["P07.1"],
    since: "6.2",
  }, async ({ io, ioasId }) => {
    const access = await io.mock.createAccess(ioasId, true);
    for (let pages = 1n; pages < BigInt(BUFFER_PAGES); pages++) {
      await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
      await checkPins(io, ioasId, access, pages * io.page);
      await io.unmap(ioasId, IOVA, io.bufferSize);
    }
    await io.mock.destroyAccess(access);
  });

  f.test("access_pin_unmap", {
    description: "Unmapping makes an access give its pins up",
    rules: ["P13.3"],
    since: "6.2",
  }, async ({ io, ioasId }) => {
    const access = await io.mock.createAccess(ioasId, true);
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, IOVA);
    const item = await io.mock.accessPages(access, {
      iova: IOVA,
      length: io.bufferSize,
      uptr: io.buffer,
    });
    await io.unmap(ioasId, IOVA, io.bufferSize);
    await io.mock.destroyAccessPages(access, item, ENOENT);
  });
}

/** Test `access_domain_destory`, spelled as in the kernel. */
async function checkDomainDestroy(self: IoasSelf): Promise<void> {
  const { io, ioasId, stdevId, baseIova } = self;
  const size = 2 * io.context.hugePageSize;
  const buf = await io.mmap(size, MAP_SHARED | MAP_HUGETLB | MAP_POPULATE);
  await io.mapFixed(ioasId, buf, size, baseIova);
  const access = await io.mock.createAccess(ioasId, true);
  const item = await io.mock.accessPages(access, {
    iova: baseIova + io.page,
    length: io.page,
    uptr: buf + io.context.pageSize,
  });
  // Unpins around a page that stays pinned, across a huge page's boundary.
  if (stdevId) await io.destroy(stdevId);
  await io.mock.destroyAccessPages(access, item);
  await io.mock.destroyAccess(access);
  await io.munmap(buf, size);
}

/** Pins `length` bytes of the mapped buffer once, twice, and around a domain's life. */
async function checkPins(
  io: Iommufd,
  ioasId: number,
  access: number,
  length: bigint,
): Promise<void> {
  const range: AccessRange = { iova: IOVA, length, uptr: io.buffer };
  const single = await io.mock.accessPages(access, range);
  await io.mock.destroyAccessPages(access, single);

  const first = await io.mock.accessPages(access, range);
  const second = await io.mock.accessPages(access, range);
  await io.mock.destroyAccessPages(access, second);
  await io.mock.destroyAccessPages(access, first);

  const item = await io.mock.accessPages(access, range);
  const domain = await io.mock.domain(ioasId);
  await io.mock.checkMap(domain.hwptId, IOVA, io.bufferSize, io.buffer);
  await io.mock.destroyDomain(domain);
  await io.mock.destroyAccessPages(access, item);
}

/** Tests that read and write. */
function registerReadWrite(f: IoasFixture): void {
  f.test("access_rw", {
    description: "Any bytes can be read and written, on both paths",
    rules: ["P13.7"],
  }, async ({ io, ioasId }) => {
    const access = await io.mock.createAccess(ioasId, false);
    const iova = await io.map(ioasId, io.buffer, io.bufferSize);
    await checkAccessRw(io, access, iova, 0);
    await checkAccessRw(io, access, iova, MOCK_ACCESS_RW_SLOW_PATH);
    await io.unmap(ioasId, iova, io.bufferSize);
    await io.mock.destroyAccess(access);
  });

  f.test("access_rw_unaligned", {
    description:
      "Any bytes can be read and written where IOVA and memory differ in page offset",
    rules: ["P13.7"],
  }, async ({ io, ioasId, baseIova }) => {
    const access = await io.mock.createAccess(ioasId, false);
    const iova = baseIova + io.mockPage;
    await io.mapFixed(ioasId, io.buffer, io.bufferSize, iova);
    await checkAccessRw(io, access, iova, 0);
    await io.unmap(ioasId, iova, io.bufferSize);
    await io.mock.destroyAccess(access);
  });
}
