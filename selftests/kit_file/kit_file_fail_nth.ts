// SPDX-License-Identifier: GPL-2.0-only

/**
 * Fixture `kit_file_fail_nth`: sweeps through maps of files, accesses to them,
 * DMA buffers, and the change of process.
 *
 * @module
 */

import { ENOENT } from "../../impl/uapi/errno.ts";
import {
  MOCK_ACCESS_RW_WRITE,
  MOCK_APERTURE_START,
} from "../../impl/uapi/selftest.ts";
import { CAP_IPC_LOCK } from "../../impl/uapi/mman.ts";
import {
  registerSweeps,
  type Round,
  type Sequence,
  setUpSweep,
  type SweepSelf,
} from "../harness/fail_nth_sweep.ts";
import {
  assertEq,
  assertOk,
  type Fixture,
  fixture,
  type Test,
} from "../harness/harness.ts";
import {
  changeProcess,
  dmabufGet,
  dmabufRevoke,
  mapFile,
  mapFileFixed,
} from "../ioctls/file_ioctls.ts";
import { hwptAlloc } from "../ioctls/hwpt_ioctls.ts";
import { type Iommufd, U64_MAX } from "../ioctls/ioctls.ts";

/** Where most memory is mapped. */
const IOVA = BigInt(MOCK_APERTURE_START);

/** Adds the fixture's tests to `registry`. */
export function registerKitFileFailNth(registry: Test[]): void {
  const f: Fixture<undefined, SweepSelf> = fixture(
    registry,
    "kit_file_fail_nth",
    {
      upstream: false,
      since: "7.3",
      needs: () => ["map_file", "fail_nth"],
      setup: setUpSweep,
    },
  );
  registerSweeps(f, SEQUENCES);
}

/** The sequences about files and DMA buffers. */
export const SEQUENCES: readonly Sequence[] = [
  {
    name: "two_domains",
    what: "mapping a file into two domains in many small batches",
    points: { "7.3": 26 },
    reference: "pages.c iopt_area_fill_domains, batch_from_folios",
    rules: ["U4.4"],
    run: callTwoDomains,
  },
  {
    name: "charged",
    what: "mapping a file that is charged, by a domain that comes later",
    points: { "7.3": 85 },
    reference: "pages.c pfn_reader_user_update_pinned",
    rules: ["U4.4"],
    needs: ["setrlimit"],
    run: callCharged,
  },
  {
    name: "access_pin",
    what: "pins of a file by an access",
    points: { "7.3": 21 },
    reference: "pages.c iopt_pages_fill, pin_memfd_pages",
    rules: ["U4.4"],
    run: callAccessPin,
  },
  {
    name: "access_rw",
    what: "copies from and to a file",
    points: { "7.3": 19 },
    reference: "pages.c iopt_pages_rw_slow",
    rules: ["U4.4"],
    run: callAccessRw,
  },
  {
    name: "dmabuf",
    what: "a DMA buffer, from making it to taking it back",
    points: { "7.3": 35 },
    reference: "pages.c iopt_alloc_dmabuf_pages, iopt_dmabuf_track_all_domains",
    rules: ["U4.4"],
    run: callDmabuf,
  },
  {
    name: "dmabuf_domain",
    what: "devices that come to a DMA buffer",
    points: { "7.3": 121 },
    reference: "io_pagetable.c iopt_fill_domain",
    rules: ["U4.4"],
    run: callDmabufDomain,
  },
  {
    name: "change_process",
    what: "a change of process",
    points: { "7.3": 4 },
    reference: "ioas.c iommufd_take_all_iova_rwsem",
    rules: ["U4.4"],
    run: callChangeProcess,
  },
];

/** A memory file, with pages that were touched. */
async function makeFile(
  { process, context }: Iommufd,
  pages: number,
): Promise<number> {
  const size = pages * context.pageSize;
  const fd = assertOk(await process.memfdCreate("file", 0), "memfd");
  assertEq(await process.write(fd, new Uint8Array(size)), size, "write");
  return fd;
}

/** Gives an IOAS two domains: that of a device, and another one. */
async function twoDomains(io: Iommufd, ptId: number): Promise<void> {
  const { idevId: devId } = await io.mock.domain(ptId);
  await hwptAlloc(io, { devId, ptId });
}

/** A file in two domains, and a copy; then all goes. */
async function callTwoDomains(round: Round): Promise<void> {
  const io = await round.open();
  const fd = await round.openStep(() => makeFile(io, 10));
  const ioasId = await io.ioasAlloc();
  await twoDomains(io, ioasId);
  await io.mock.setMemoryLimit(24);
  await round.enable();
  const length = 10n * io.page;
  const iova = await round.step(() => mapFile(io, ioasId, fd, 0, length));
  await round.step(() =>
    io.copy({ src: ioasId, dst: ioasId, srcIova: iova, length: 4n * io.page })
  );
  await round.step(() => io.unmap(ioasId, 0n, U64_MAX));
  await round.step(() => io.mock.setMemoryLimit());
}

/** A file that a process is charged for once there is a domain. */
async function callCharged(round: Round): Promise<void> {
  const io = await round.open();
  const fd = await round.openStep(() => makeFile(io, 8));
  assertOk(await io.process.dropCapability(CAP_IPC_LOCK), "dropcap");
  const ioasId = await io.ioasAlloc();
  const length = 4n * io.page;
  await mapFileFixed(io, ioasId, fd, 0, length, IOVA);
  await mapFileFixed(io, ioasId, fd, length, length, IOVA + length);
  await round.enable();
  await round.device(() => io.mock.domain(ioasId));
  const more = await round.step(() => mapFile(io, ioasId, fd, 0, length));
  await round.stepOnce(() => io.unmap(ioasId, more, length), ENOENT);
}

/** Pins over two areas of a file that no domain has. */
async function callAccessPin(round: Round): Promise<void> {
  const io = await round.open();
  const fd = await round.openStep(() => makeFile(io, 8));
  const ioasId = await io.ioasAlloc();
  const length = 4n * io.page;
  await mapFileFixed(io, ioasId, fd, 0, length, IOVA);
  await mapFileFixed(io, ioasId, fd, length, length, IOVA + length);
  const access = await round.openStep(() => io.mock.createAccess(ioasId, true));
  await round.enable();
  const range = { iova: IOVA + io.page, length: 6n * io.page, uptr: 0 };
  await round.step(() => io.mock.accessPages(access, range));
  await round.stepOnce(() => io.unmap(ioasId, IOVA, 2n * length), ENOENT);
  await round.close(access);
}

/** Bytes of a file, in batches of two pages. */
async function callAccessRw(round: Round): Promise<void> {
  const io = await round.open();
  const fd = await round.openStep(() => makeFile(io, 6));
  const ioasId = await io.ioasAlloc();
  const length = 6n * io.page;
  await mapFileFixed(io, ioasId, fd, 0, length, IOVA);
  const access = await round.openStep(() =>
    io.mock.createAccess(ioasId, false)
  );
  await io.mock.setMemoryLimit(24);
  await round.enable();
  for (const flags of [0, MOCK_ACCESS_RW_WRITE]) {
    const range = { iova: IOVA + 8n, length: 5n * io.page, uptr: io.scratch };
    await round.step(() => io.mock.accessRw(access, { ...range, flags }));
  }
  await round.step(() => io.mock.setMemoryLimit());
  await round.close(access);
}

/** A DMA buffer: mapped without a domain, copied to two of them, taken back. */
async function callDmabuf(round: Round): Promise<void> {
  const io = await round.open();
  const src = await io.ioasAlloc();
  const dst = await io.ioasAlloc();
  await twoDomains(io, dst);
  await round.enable();
  const fd = await round.openStep(() => dmabufGet(io, io.context.pageSize));
  const srcIova = await round.step(() => mapFile(io, src, fd, 0, io.page));
  await round.step(() => io.copy({ src, dst, srcIova, length: io.page }));
  await round.step(() => dmabufRevoke(io, fd, true));
  await round.step(() => io.copy({ src, dst, srcIova, length: io.page }));
  await round.step(() => io.unmap(dst, 0n, U64_MAX));
}

/** Devices that come to a DMA buffer before and after it is taken back. */
async function callDmabufDomain(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const fd = await round.openStep(() => dmabufGet(io, io.context.pageSize));
  await mapFileFixed(io, ioasId, fd, 0, io.page, IOVA);
  await mapFileFixed(io, ioasId, fd, 0, io.page, IOVA + io.page);
  await round.enable();
  await round.device(() => io.mock.domain(ioasId));
  await round.step(() => dmabufRevoke(io, fd, true));
  await round.device(() => io.mock.domain(ioasId));
}

/** More IOAS than a node of an xarray has entries. */
async function callChangeProcess(round: Round): Promise<void> {
  const io = await round.open();
  const fd = await round.openStep(() => makeFile(io, 1));
  for (let i = 0; i < 70; i++) {
    await mapFile(io, await io.ioasAlloc(), fd, 0, io.page);
  }
  await round.enable();
  await round.step(() => changeProcess(io));
}
