// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { Kernel } from "../kernel.ts";
import { CAP_IPC_LOCK, MFD_HUGETLB, PAGE_SIZE } from "../uapi/mman.ts";
import { inspect } from "./inspect.ts";

const IOVA = 0x100_0000;

it("inspect() draws files and DMA buffers, and what was taken back", () => {
  const kernel = new Kernel();
  const process = kernel.spawn();
  process.dropCapability(CAP_IPC_LOCK);
  using io = IommufdClient.open(process);
  const { ioasId } = io.ioasAlloc();
  io.mock.mockDomain({ ptId: ioasId });
  const length = 2 * PAGE_SIZE;

  const small = process.memfdCreate("small", 0);
  process.ftruncate(small, 4 * PAGE_SIZE);
  const start = PAGE_SIZE;
  io.ioasMapFile({ ioasId, fd: small, start, length, iova: IOVA });
  const huge = process.memfdCreate("huge", MFD_HUGETLB);
  const other = io.ioasAlloc();
  io.ioasMapFile({ ...other, fd: huge, length });
  const { dmabufFd: kept } = io.mock.dmabufGet({ length });
  io.ioasMapFile({ ioasId, fd: kept, length, iova: IOVA + 2 * length });
  const { dmabufFd: lost } = io.mock.dmabufGet({ length });
  io.ioasMapFile({ ioasId, fd: lost, length, iova: IOVA + 4 * length });
  io.mock.dmabufRevoke({ dmabufFd: lost, revoked: true });
  io.ioasMapFile({ ...other, fd: process.eventfd(0, 0), length });

  const text = inspect(kernel);
  const memory = text.slice(
    text.indexOf("  memory"),
    text.indexOf("process 1 ("),
  );
  assertEquals(
    memory.trimEnd(),
    `\
  memory

        page  pins  kept in     frames
    P1  2 pages of a file, mapped by process 1, at 0x1000, writable, 2 pinned, charged to user 0
        0-1      1  HWPT 4      2-3
    P2  2 pages of a DMA buffer, mapped by process 1, at 0x0, writable, 0 pinned, charged to nobody
        0-1         a device
    P3  2 pages of a DMA buffer, mapped by process 1, at 0x0, writable, 0 pinned, charged to nobody
        0-1         taken back
    P4  2 pages of a hugetlb file, mapped by process 1, at 0x0, writable, 0 pinned, charged to user 0
        0-1         the file
    P5  2 pages of a file without memory, mapped by process 1, at 0x0, writable, 0 pinned, charged to user 0
        0-1         the file`,
  );
});
