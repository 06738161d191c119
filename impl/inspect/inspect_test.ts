// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { Kernel } from "../kernel.ts";
import { MockDevice } from "../mock/mock_device.ts";
import { IommufdDevice } from "../iommufd/attach/device.ts";
import { iommufdCtxFromFd } from "../iommufd/main.ts";
import type { Process } from "../kernel/simulated/process.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_IOAS_MAP_READABLE,
} from "../uapi/iommufd.ts";
import {
  HwptSelftest,
  IOMMU_HWPT_DATA_SELFTEST,
  MOCK_FLAGS_DEVICE_PASID,
} from "../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { NEWEST, type RevisionName } from "../uapi/revision.ts";
import { inspect } from "./inspect.ts";

const MEMORY = 0x1000_0000;
const IOVA = 0x100_0000;

function mapMemory(process: Process, npages: number): void {
  process.mmap(
    MEMORY,
    npages * PAGE_SIZE,
    PROT_READ | PROT_WRITE,
    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
  );
}

/** A machine with a client and 16 pages of memory. The structs of the client's ioctls are in frame 1. */
function setUp(
  revision: RevisionName = NEWEST,
): { kernel: Kernel; process: Process; iommufd: IommufdClient } {
  const kernel = new Kernel({ revision });
  const process = kernel.spawn();
  mapMemory(process, 16);
  return { kernel, process, iommufd: IommufdClient.open(process) };
}

/** The scene that two revisions draw: a device, an access on part of an area, and a copy. */
function drawDeviceAccessAndCopy(revision: RevisionName): string {
  const { kernel, iommufd } = setUp(revision);
  const { ioasId } = iommufd.ioasAlloc();
  const map = { ioasId, userVa: MEMORY, length: 16 * PAGE_SIZE, iova: IOVA };
  iommufd.ioasMap(map);
  iommufd.mock.mockDomain({ ptId: ioasId });
  iommufd.ioasCopy({
    srcIoasId: ioasId,
    srcIova: IOVA + PAGE_SIZE,
    dstIoasId: iommufd.ioasAlloc().ioasId,
    length: 2 * PAGE_SIZE,
  });
  const { accessFd } = iommufd.mock.createAccess({ ioasId });
  const pinned = { iova: IOVA, length: 4 * PAGE_SIZE };
  iommufd.mock.accessPages({ accessFd, ...pinned });
  return inspect(kernel);
}

describe("inspect()", () => {
  it("draws a machine on which nothing happened", () => {
    assertEquals(
      inspect(new Kernel({ revision: "v3" })),
      "iommufd v3: 0 contexts, 0 frames in use",
    );
  });

  it("draws a device, an access and a copy in the newest revision", () => {
    assertEquals(
      drawDeviceAccessAndCopy(NEWEST),
      `\
iommufd 7.3: 1 context, 17 frames in use

context 1 (process 1 fd 3): 6 objects, pinned memory is charged to the user

  id  object    users
   1  IOAS          3  1 area, HWPT 4, 1 access
   2  selftest      1  made by MOCK_DOMAIN
   3  device        3  iommufd_mock0, group 0, attached to HWPT 4
   4  HWPT          2  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, auto, iommufd_mock0
   5  IOAS          1  1 area
   6  access        2  IOAS 1, needs IOVA aligned to 4 KiB

  IOAS 1: IOVA is aligned to 4 KiB, large IO pages are on

    IOVA                +--+      length  prot  pages    storage  accesses
    0x0000000000000000  |xx|      16 MiB  reserved by HWPT 4
    0x0000000001000000  |##|      64 KiB  rw    P1 0-15  HWPT 4          1
    0x0000000001010000  |  |   ~1.98 GiB
    0x0000000080000000  |xx|  ~15.99 EiB  reserved by HWPT 4
    0xffffffffffffffff  +--+

  IOAS 5: IOVA is aligned to 1 B, large IO pages are on

    IOVA                +--+      length  prot  pages   storage  accesses
    0x0000000000000000  |  |       4 KiB
    0x0000000000001000  |##|       8 KiB  rw    P1 1-2  none
    0x0000000000003000  |  |  ~15.99 EiB
    0xffffffffffffffff  +--+

  memory

        page  pins  kept in      frames
    P1  16 pages of process 1 at 0x10000000, writable, 16 pinned, charged to nobody
        0-3      1  pinned_pfns  2-5
        4-15     1  HWPT 4       6-17

process 1 (user 0): 0 pages locked, 16 pinned
user 0: 0 pages locked`,
    );
  });

  it("draws the same scene in v3: no device, no alignment for the access", () => {
    assertEquals(
      drawDeviceAccessAndCopy("v3").split("\n\n").slice(0, 4).join("\n\n"),
      `\
iommufd v3: 1 context, 17 frames in use

context 1 (process 1 fd 3): 5 objects, pinned memory is charged to the user

  id  object    users
   1  IOAS          3  1 area, HWPT 3, 1 access
   2  selftest      1  made by MOCK_DOMAIN
   3  HWPT          2  IOAS 1, 2 KiB pages, IOVA 0x1000000-0x7fffffff
   4  IOAS          1  1 area
   5  access        2  IOAS 1, needs IOVA aligned to 1 B

  IOAS 1: IOVA is aligned to 2 KiB, large IO pages are on`,
    );
  });

  it("shows memory that nothing uses yet as not pinned", () => {
    const { kernel, iommufd } = setUp();
    const { ioasId } = iommufd.ioasAlloc();
    const map = { ioasId, userVa: MEMORY + 100, length: 5000 };
    iommufd.ioasMap({ ...map, iova: 4, flags: IOMMU_IOAS_MAP_READABLE });
    const drawing = inspect(kernel);
    assertStringIncludes(
      drawing,
      `
    IOVA                +--+      length  prot  pages        storage  accesses
    0x0000000000000000  |  |         4 B
    0x0000000000000004  |##|   ~4.88 KiB  r-    P1 0-1 +100  none
    0x000000000000138c  |  |  ~15.99 EiB
    0xffffffffffffffff  +--+

  memory

        page  pins  kept in      frames
    P1  2 pages of process 1 at 0x10000000, read-only, 0 pinned, charged to nobody
        0-1         user memory
`,
    );
  });

  it("names every owner of reserved IOVA, and lists where the kernel may choose", () => {
    const { kernel, iommufd } = setUp();
    const { ioasId } = iommufd.ioasAlloc();
    iommufd.mock.mockDomain({ ptId: ioasId });
    iommufd.mock.addReserved({ ioasId, start: IOVA, length: 0x1000 });
    const ranges = [
      { start: 0x200_0000, last: 0x2ff_ffff },
      { start: 0x400_0000, last: 0x4ff_ffff },
    ];
    iommufd.ioasAllowIovas({ ioasId, ranges });
    const drawing = inspect(kernel);
    assertStringIncludes(
      drawing,
      `
  kernel-chosen IOVA keeps to
    0x0000000002000000-0x0000000002ffffff
    0x0000000004000000-0x0000000004ffffff

`,
    );
    assertStringIncludes(drawing, "|xx|      16 MiB  reserved by HWPT 4\n");
    assertStringIncludes(
      drawing,
      "|xx|       4 KiB  reserved by ADD_RESERVED\n",
    );
  });

  it("shows pins that two HWPTs and two areas share as one", () => {
    const { kernel, iommufd } = setUp();
    const map = { userVa: MEMORY, length: 2 * PAGE_SIZE, iova: IOVA };
    const { ioasId } = iommufd.ioasAlloc();
    iommufd.ioasMap({ ioasId, ...map });
    const { ioasId: other } = iommufd.ioasAlloc();
    iommufd.ioasCopy({
      srcIoasId: ioasId,
      srcIova: IOVA,
      dstIoasId: other,
      dstIova: IOVA,
      length: map.length,
    });
    iommufd.mock.mockDomain({ ptId: ioasId });
    iommufd.mock.mockDomain({ ptId: other });
    assertStringIncludes(
      inspect(kernel),
      "2 pinned, charged to nobody\n        0-1      1  HWPT 5   2-3\n",
    );
    // Mapped a second time it is other pages to iommufd, and pinned again.
    iommufd.ioasMap({ ioasId, ...map, iova: IOVA + 0x10_0000 });
    assertStringIncludes(inspect(kernel), "0-1      2  HWPT 5   2-3\n");
  });

  it("names who is charged", () => {
    const kernel = new Kernel();
    const process = kernel.spawn({ uid: 1000 });
    mapMemory(process, 4);
    const iommufd = IommufdClient.open(process);
    const { ioasId } = iommufd.ioasAlloc();
    iommufd.mock.mockDomain({ ptId: ioasId });
    const map = { ioasId, userVa: MEMORY, length: 3 * PAGE_SIZE };
    const { iova } = iommufd.ioasMap(map);
    const charged = inspect(kernel);
    assertStringIncludes(charged, "3 pinned, charged to user 1000\n");
    assertStringIncludes(
      charged,
      "process 1 (user 1000): 0 pages locked, 3 pinned\n" +
        "user 1000: 3 pages locked",
    );
    iommufd.ioasUnmap({ ioasId, iova, length: map.length });
    assertStringIncludes(inspect(kernel), "user 1000: 0 pages locked");
  });

  it("shows a device that a driver bound but did not attach", () => {
    const { kernel, process, iommufd } = setUp();
    const ctx = iommufdCtxFromFd(process, iommufd.fd);
    const idev = IommufdDevice.bindDevice(ctx, kernel.mock.createDevice());
    assertEquals(idev.dev instanceof MockDevice, true);
    assertStringIncludes(
      inspect(kernel),
      "   1  device      2  iommufd_mock0, group 0, detached: DMA is blocked\n",
    );
    idev.unbind();
    ctx.put();
  });

  it("shows what HWPTs are nested on, track, and where their faults go", () => {
    const { kernel, iommufd } = setUp();
    const { hwpt, mock } = iommufd;
    const { ioasId } = iommufd.ioasAlloc();
    const { stdevId, idevId } = mock.mockDomain({ ptId: ioasId });
    const { faultId } = hwpt.faultQueueAlloc();
    const flags = IOMMU_HWPT_ALLOC_NEST_PARENT |
      IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const devId = idevId!;
    const parent = hwpt.alloc({ devId, ptId: ioasId, flags }).hwptId;
    const nested = hwpt.alloc({
      devId,
      ptId: parent,
      dataType: IOMMU_HWPT_DATA_SELFTEST,
      data: HwptSelftest.encode(),
      faultId,
    }).hwptId;
    mock.mockDomainReplace({ stdevId, ptId: nested });
    mock.triggerIopf({ devId, addr: 0 });
    assertStringIncludes(
      inspect(kernel),
      `
  id  object    users
   1  IOAS          2  0 areas, HWPT 6
   2  selftest      1  made by MOCK_DOMAIN
   3  device        3  iommufd_mock0, group 0, attached to HWPT 7
   5  fault         3  1 unread, 0 unanswered
   6  HWPT          2  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, parent, dirty tracking off
   7  HWPT          2  nested on HWPT 6, faults to 5, iommufd_mock0
`,
    );
  });

  it("shows what the PASIDs of a device are attached to", () => {
    const { kernel, iommufd } = setUp();
    const { hwpt, mock } = iommufd;
    const { ioasId } = iommufd.ioasAlloc();
    const devFlags = MOCK_FLAGS_DEVICE_PASID;
    const { stdevId, idevId } = mock.mockDomain({ ptId: ioasId, devFlags });
    const alloc = {
      devId: idevId!,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_PASID,
    };
    const [rid, one, many] = [0, 1, 2].map(() => hwpt.alloc(alloc).hwptId);
    mock.mockDomainReplace({ stdevId, ptId: rid! });
    for (let pasid = 10; pasid > 3; pasid--) {
      mock.pasidAttach({ stdevId, pasid, ptId: many! });
    }
    mock.pasidAttach({ stdevId, pasid: 2, ptId: one! });
    assertStringIncludes(
      inspect(kernel),
      `
   3  device       11  iommufd_mock0, group 0, attached to HWPT 5, PASIDs 4, 5, 6, 7 and 3 more to HWPT 7, PASID 2 to HWPT 6
   5  HWPT          2  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, for PASIDs, iommufd_mock0
   6  HWPT          2  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, for PASIDs, PASID 2 of iommufd_mock0
   7  HWPT          8  IOAS 1, 2 KiB-64 GiB pages, IOVA 0x1000000-0x7fffffff, for PASIDs, PASIDs 4, 5, 6, 7 and 3 more of iommufd_mock0
`,
    );
    mock.pasidReplace({ stdevId, pasid: 2, ptId: rid! });
    mock.pasidCheckHwpt({ stdevId, pasid: 2, hwptId: rid! });
    assertStringIncludes(
      inspect(kernel),
      "iommufd_mock0, PASID 2 of iommufd_mock0\n",
    );
    mock.pasidDetach({ stdevId, pasid: 2 });
    mock.pasidCheckHwpt({ stdevId, pasid: 2, hwptId: 0 });
  });

  it("finds contexts by their descriptors, in every process", () => {
    const { kernel, process, iommufd } = setUp();
    process.dup(iommufd.fd);
    const child = process.fork();
    IommufdClient.open(child);
    const drawing = inspect(kernel);
    assertStringIncludes(
      drawing,
      "context 1 (process 1 fd 3, process 1 fd 4, process 2 fd 3, process 2 fd 4): 0 objects",
    );
    assertStringIncludes(drawing, "context 2 (process 2 fd 5): 0 objects");
  });

  it("sums up the middle of 100,000 areas", () => {
    const kernel = new Kernel();
    const process = kernel.spawn();
    mapMemory(process, 1);
    const iommufd = IommufdClient.open(process);
    const { ioasId } = iommufd.ioasAlloc();
    const map = { ioasId, userVa: MEMORY, length: PAGE_SIZE };
    for (let i = 0; i < 100_000; i++) {
      iommufd.ioasMap({ ...map, iova: IOVA + i * 2 * PAGE_SIZE });
    }
    const drawing = inspect(kernel);
    assertEquals(drawing.split("\n").length, 52);
    assertStringIncludes(drawing, "1  IOAS        1  100,000 areas\n");
    assertStringIncludes(
      drawing,
      ":  :              99,992 areas of ~390.59 MiB, 99,993 free ranges not shown\n",
    );
    assertStringIncludes(
      drawing,
      "99,992 more of ~390.59 MiB, 0 of their 99,992 pages pinned, not shown\n",
    );
  });

  it("sums up the middle of scattered runs", () => {
    const { kernel, iommufd } = setUp();
    const { ioasId } = iommufd.ioasAlloc();
    const { mock } = iommufd;
    const map = { ioasId, userVa: MEMORY, length: 16 * PAGE_SIZE, iova: IOVA };
    iommufd.ioasMap(map);
    const { accessFd } = mock.createAccess({ ioasId });
    for (let i = 0; i < 16; i += 2) {
      const iova = IOVA + i * PAGE_SIZE;
      mock.accessPages({ accessFd, iova, length: PAGE_SIZE });
    }
    assertStringIncludes(
      inspect(kernel),
      `\
        3           user memory
        ...   8 runs not shown
        12       1  pinned_pfns  8
`,
    );
  });

  it("changes nothing, and draws the same state the same way", () => {
    const first = drawDeviceAccessAndCopy(NEWEST);
    assertEquals(drawDeviceAccessAndCopy(NEWEST), first);
    const { kernel, process, iommufd } = setUp();
    const { ioasId } = iommufd.ioasAlloc();
    const map = { ioasId, userVa: MEMORY, length: PAGE_SIZE, iova: IOVA };
    iommufd.ioasMap(map);
    iommufd.mock.mockDomain({ ptId: ioasId });
    const before = inspect(kernel);
    assertEquals(inspect(kernel), before);
    // The control: what is unmapped is not drawn any more.
    iommufd.ioasUnmapAll(ioasId);
    assertEquals(inspect(kernel).includes("|##|"), false);
    process.exit();
    assertEquals(kernel.audit(), []);
  });

  it("ends with what the kernel warned about", () => {
    const kernel = new Kernel();
    kernel.warnings.on(true, "something that cannot be");
    assertStringIncludes(
      inspect(kernel),
      "\nwarning: something that cannot be",
    );
  });
});
