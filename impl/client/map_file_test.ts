// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as uapi from "../uapi/mod.ts";
import { IommufdClient } from "./client.ts";
import {
  Bench,
  describeReasons,
  IOVA,
  PAGE,
  type Scenario,
} from "./testing/reasons.ts";

const RW = uapi.PROT_READ | uapi.PROT_WRITE;

/** A memory file of a process, of some bytes. */
function memfd({ process }: Bench, length: number): number {
  const fd = process.memfdCreate("memory", 0);
  process.ftruncate(fd, length);
  return fd;
}

describe("the client's memory of files", () => {
  it("is mapped from the file's start, or from where it is told", () => {
    const bench = new Bench();
    const { io, process, ptId, device: { hwptId } } = bench;
    const fd = memfd(bench, 4 * PAGE);
    const shared = process.mmap(0, 4 * PAGE, RW, uapi.MAP_SHARED, fd);
    const all = io.ioasMapFile({ ioasId: ptId, fd, length: 4 * PAGE });
    io.mock.checkMap({ hwptId, ...all, length: 4 * PAGE, userVa: shared });
    const part = { ioasId: ptId, fd, start: PAGE, length: PAGE };
    const second = io.ioasMapFile({ ...part, iova: IOVA + 0x10_0000 });
    assertEquals(second.iova, BigInt(IOVA + 0x10_0000));
    const userVa = shared + PAGE;
    io.mock.checkMap({ hwptId, ...second, length: PAGE, userVa });
    // Closed, it is there as long as it is mapped.
    process.close(fd);
    io.mock.checkMap({ hwptId, ...second, length: PAGE, userVa });
    process.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("is paid for by the process that says it owns it now", () => {
    const bench = new Bench();
    const { io, process, ptId } = bench;
    const fd = memfd(bench, 2 * PAGE);
    io.ioasMapFile({ ioasId: ptId, fd, length: 2 * PAGE });
    const child = process.fork();
    assertEquals([process.mm.pinnedVm, child.mm.pinnedVm], [2, 0]);
    new IommufdClient(child, io.fd).ioasChangeProcess();
    assertEquals([process.mm.pinnedVm, child.mm.pinnedVm], [0, 2]);
    for (const one of [process, child]) one.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("may be a DMA buffer, until it is taken back", () => {
    const { io, process, ptId } = new Bench();
    const { dmabufFd } = io.mock.dmabufGet({ length: 2 * PAGE });
    const map = { ioasId: ptId, fd: dmabufFd, length: 2 * PAGE };
    const { iova } = io.ioasMapFile(map);
    io.mock.dmabufRevoke({ dmabufFd, revoked: true });
    assertEquals(io.ioasUnmap({ ioasId: ptId, iova, length: 2 * PAGE }), {
      length: BigInt(2 * PAGE),
    });
    io.mock.dmabufRevoke({ dmabufFd, revoked: false });
    io.ioasMapFile(map);
    process.exit();
    assertEquals(process.kernel.audit(), []);
  });

  it("is EBADF to what its descriptor was not opened for", () => {
    const { O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE, EBADF, EINVAL } = uapi;
    for (
      const [openFlags, read, write] of [
        [O_RDONLY, EINVAL, EBADF],
        [O_WRONLY, EBADF, EINVAL],
        [O_RDWR, EINVAL, EINVAL],
        [O_ACCMODE, EBADF, EBADF],
      ] as const
    ) {
      const { io, process } = new Bench();
      const { dmabufFd } = io.mock.dmabufGet({ length: PAGE, openFlags });
      const bytes = new Uint8Array(1);
      assertEquals(process.read(dmabufFd, bytes), -read.code);
      assertEquals(process.write(dmabufFd, bytes), -write.code);
    }
  });
});

/** Maps a page of a file where a domain is. */
function mapPage(bench: Bench, options: object): void {
  const { io, ptId } = bench;
  io.ioasMapFile({ ioasId: ptId, fd: 0, length: PAGE, ...options });
}

const FILES: readonly Scenario[] = [
  ["EBADF: the descriptor is not open", (b) => mapPage(b, { fd: 77 })],
  [
    "EOVERFLOW: the part of the file ends beyond 2^64-1",
    (b) => mapPage(b, { start: 2n ** 64n - 1n }),
  ],
  [
    "EINVAL: the file is neither of shmem nor huge pages",
    (b) => mapPage(b, { fd: 0 }),
  ],
  [
    "EINVAL: a page reaches beyond the end of the file",
    (b) => mapPage(b, { fd: memfd(b, PAGE), start: PAGE }),
  ],
  ["EINVAL: the DMA buffer is not so long", (b) => {
    const { dmabufFd } = b.io.mock.dmabufGet({ length: PAGE });
    mapPage(b, { fd: dmabufFd, start: PAGE });
  }],
  ["ENODEV: the DMA buffer was taken back", (b) => {
    const { dmabufFd } = b.io.mock.dmabufGet({ length: PAGE });
    b.io.mock.dmabufRevoke({ dmabufFd, revoked: true });
    mapPage(b, { fd: dmabufFd });
  }],
  [
    "EINVAL: the length is 0 or above 2 MiB",
    (b) => b.io.mock.dmabufGet({ length: 2 ** 21 + 1 }),
  ],
  [
    "EINVAL: it is no DMA buffer",
    (b) => b.io.mock.dmabufRevoke({ dmabufFd: 0, revoked: true }),
  ],
  ["EINVAL: an area maps something else than a file", (b) => {
    b.map();
    b.io.ioasChangeProcess();
  }],
];

describeReasons("memory of files", FILES);
