// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { Kernel } from "../kernel.ts";
import { FaultInjection } from "../kernel/fault_injection.ts";
import { FdTable } from "../kernel/files/fd_table.ts";
import { ESRCH } from "../uapi/errno.ts";
import { Access } from "../iommufd/access/access.ts";
import { IOMMUFD_ACCESS_RW_WRITE } from "../iommufd/pages/source.ts";
import { iommufdCtxFromFd } from "../iommufd/main.ts";
import { Bench, region } from "../iommufd/testing/bench.ts";
import { IOVA, Machine, PAGE } from "../iommufd/testing/machine.ts";
import { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } from "../uapi/iommufd.ts";
import { IOMMU_IOAS_MAP_WRITEABLE } from "../uapi/ioas.ts";
import { MOCK_FLAGS_DEVICE_HUGE_IOVA } from "../uapi/selftest.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { VFIO_TYPE1v2_IOMMU } from "../uapi/vfio.ts";
import { inspect } from "./inspect.ts";

/** The lines of the drawing that hold a text, without what stands before them. */
function linesWith(kernel: Kernel, text: string): string[] {
  return inspect(kernel).split("\n").filter((line) => line.includes(text))
    .map((line) => line.trim());
}

describe("inspect() says of a context", () => {
  it("that it is a VFIO container, and who is charged for one", () => {
    const kernel = new Kernel();
    const process = kernel.spawn();
    const iommufd = IommufdClient.open(process, "/dev/vfio/vfio");
    const { ioasId } = iommufd.ioasAlloc();
    const begin =
      "context 1 (process 1 fd 3): 1 object, pinned memory is charged to the process";
    assertEquals(linesWith(kernel, "context 1"), [begin]);
    iommufd.vfioIoasSet(ioasId);
    iommufd.vfio.setIommu(VFIO_TYPE1v2_IOMMU);
    assertEquals(linesWith(kernel, "context 1"), [
      `${begin}, VFIO container on IOAS ${ioasId}`,
    ]);
  });

  it("that it is one without IOMMU", () => {
    const { ctx, kernel } = new Machine();
    ctx.noIommuMode = true;
    assertStringIncludes(inspect(kernel), "user, VFIO container without IOMMU");
  });

  it("that only a driver holds it", () => {
    const kernel = new Kernel();
    const process = kernel.spawn();
    const iommufd = IommufdClient.open(process);
    const ctx = iommufdCtxFromFd(process, iommufd.fd);
    process.close(iommufd.fd);
    assertStringIncludes(inspect(kernel), "context 1 (no descriptor): ");
    ctx.put();
    assertEquals(linesWith(kernel, "context 1"), []);
  });

  it("how many objects of a long list it leaves out", () => {
    const kernel = new Kernel();
    const iommufd = IommufdClient.open(kernel.spawn());
    for (let i = 0; i < 25; i++) iommufd.ioasAlloc();
    assertEquals(linesWith(kernel, "not shown"), []);
    iommufd.ioasAlloc();
    assertEquals(linesWith(kernel, "not shown")[0]!.split(/ +/), [
      "...",
      "2",
      "not",
      "shown",
    ]);
  });
});

describe("inspect() says of tasks", () => {
  it("nothing of one that is about to go, and has no memory any more", () => {
    const kernel = new Kernel();
    const { user } = kernel.spawn();
    const nothing = {
      pid: 4711,
      files: new FdTable(),
      user,
      faults: new FaultInjection(),
      capable: () => false,
      rlimit: () => 0n,
    };
    kernel.addTask({
      ...nothing,
      get mm(): never {
        throw ESRCH;
      },
    });
    assertEquals(inspect(kernel).split("\n").slice(2), [
      "process 1 (user 0): 0 pages locked, 0 pinned",
      "user 0: 0 pages locked",
    ]);
  });
});

describe("inspect() says of an object", () => {
  it("that an access has no IOAS", () => {
    const { kernel, ctx } = new Machine();
    const access = Access.create(ctx, {});
    assertEquals(linesWith(kernel, "access  "), [
      "1  access      2  no IOAS, needs IOVA aligned to 1 B",
    ]);
    access.release();
  });

  it("that a HWPT has two page sizes, and tracks writes", () => {
    const kernel = new Kernel({ revision: "6.12" });
    const iommufd = IommufdClient.open(kernel.spawn());
    const { hwpt } = iommufd;
    const { ioasId } = iommufd.ioasAlloc();
    const { idevId } = iommufd.mock.mockDomain({
      ptId: ioasId,
      devFlags: MOCK_FLAGS_DEVICE_HUGE_IOVA,
    });
    const { hwptId } = hwpt.alloc({
      devId: idevId!,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
    });
    const shown = () => linesWith(kernel, `${hwptId}  HWPT  `)[0]!;
    assertStringIncludes(shown(), "2 KiB and 1 MiB pages");
    assertStringIncludes(shown(), "dirty tracking off");
    hwpt.setDirtyTracking({ hwptId, on: true });
    assertStringIncludes(shown(), "dirty tracking on");
  });

  it("which device reserves IOVA, and what a driver's domain does", () => {
    const bench = new Bench();
    bench.ops.coherent = true;
    bench.a.caps.add("enforce-cache-coherency");
    bench.a.resv.push(region("reserved", 4n * PAGE));
    const idev = bench.bind(bench.a);
    const ioasId = bench.machine.ioas();
    idev.attach(ioasId);
    const { kernel } = bench.machine;
    assertEquals(linesWith(kernel, "reserved by"), [
      "0x0000000000004000  |xx|       4 KiB  reserved by a",
    ]);
    assertStringIncludes(linesWith(kernel, "  HWPT  ")[0]!, ", auto, coherent");
    idev.detach();
    idev.unbind();
    bench.end();
  });

  it("that an area is only for writing, and that its unmap waits for an access", () => {
    const machine = new Machine();
    const { kernel, ctx, process } = machine;
    const ioasId = machine.ioas();
    const userVa = BigInt(machine.memory(1));
    machine.map({ ioasId, userVa, flags: IOMMU_IOAS_MAP_WRITEABLE | 1 });
    let during: string[] = [];
    const access = Access.create(ctx, {
      needsPinPages: true,
      unmap(iova, length) {
        during = linesWith(kernel, "|##|");
        access.unpinPages(iova, length);
      },
    });
    access.attach(ioasId);
    access.pinPages(IOVA, PAGE, new Int32Array(1), IOMMUFD_ACCESS_RW_WRITE);
    assertEquals(linesWith(kernel, "|##|"), [
      "0x0000000001000000  |##|       4 KiB  -w    P1 0   none            1",
    ]);
    machine.unmap({ ioasId, iova: IOVA, length: PAGE });
    assertStringIncludes(during[0]!, "1 closing");
    access.release();
    process.exit();
  });

  it("how many ranges for the kernel's choice it leaves out", () => {
    const kernel = new Kernel();
    const iommufd = IommufdClient.open(kernel.spawn());
    const { ioasId } = iommufd.ioasAlloc();
    const ranges = [1, 2, 3, 4, 5, 6].map((i) => ({
      start: i * 0x10000,
      last: i * 0x10000 + 0xfff,
    }));
    iommufd.ioasAllowIovas({ ioasId, ranges });
    assertEquals(linesWith(kernel, "more"), ["2 more"]);
  });

  it("what is in the making, as a driver sees it while it maps", () => {
    const bench = new Bench();
    const { kernel } = bench.machine;
    const ioasId = bench.machine.ioas();
    const userVa = BigInt(bench.machine.memory(2));
    bench.machine.map({ ioasId, userVa });
    const idev = bench.bind(bench.a);
    const seen: string[] = [];
    bench.ops.onMap = () => seen.push(...linesWith(kernel, "|##|"));
    idev.attach(ioasId);
    bench.machine.map({ ioasId, userVa, iova: IOVA + PAGE });
    bench.ops.onMap = undefined;
    assertEquals(seen, [
      "0x0000000001000000  |##|       4 KiB  rw    P1 0   none",
      "0x0000000001000000  |##|       4 KiB  rw    P1 0           HWPT 3",
      "0x0000000001001000  |##|       4 KiB  rw    in the making",
    ]);
    idev.detach();
    idev.unbind();
    bench.end();
  });

  it("that its large IO pages are off, and which of two ranges comes first", () => {
    const kernel = new Kernel();
    const { mock, option, ...io } = ioasOf(kernel, "/dev/iommu");
    option.setHugePages(io.ioasId, false);
    for (const length of [0x2000, 0x1000]) {
      mock.addReserved({ ioasId: io.ioasId, start: 0x1000, length });
    }
    assertStringIncludes(inspect(kernel), ", large IO pages are off");
    assertEquals(linesWith(kernel, "reserved by").length, 2);
  });

  it("which process is charged, and how scattered its frames are", () => {
    const kernel = new Kernel({ frameOrder: { scattered: 1 } });
    const path = "/dev/vfio/vfio";
    const { mock, process, map, ioasId } = ioasOf(kernel, path, 1000);
    mock.mockDomain({ ptId: ioasId });
    const length = 4 * Number(PAGE);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
    map({ ioasId, userVa, length });
    assertStringIncludes(inspect(kernel), "4 pinned, charged to process 1\n");
    assertStringIncludes(linesWith(kernel, "HWPT 4  ")[0]!, " stretches");
  });
});

/** A process's iommufd with an IOAS. */
function ioasOf(kernel: Kernel, path: string, uid = 0) {
  const process = kernel.spawn({ uid });
  const iommufd = IommufdClient.open(process, path);
  const { mock, option } = iommufd;
  const { ioasId } = iommufd.ioasAlloc();
  const map = iommufd.ioasMap.bind(iommufd);
  return { process, ioasId, mock, option, map };
}
