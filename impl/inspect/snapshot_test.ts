// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IommufdClient } from "../client/client.ts";
import { ViommuBench } from "../iommufd/testing/viommu_bench.ts";
import { Kernel } from "../kernel.ts";
import { Igb } from "../pci/devices/igb/igb.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../uapi/mman.ts";
import { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } from "../uapi/iommufd.ts";
import type { RevisionName } from "../uapi/revision.ts";
import { snapshot } from "./snapshot.ts";

const IOVA = 0x100_0000;

/** A client with 16 pages mapped for a device, at IOVA 16 MiB. */
function setUp(revision: RevisionName) {
  const kernel = new Kernel({ revision });
  const process = kernel.spawn();
  const length = 16 * PAGE_SIZE;
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  const userVa = process.mmap(0, length, PROT_READ | PROT_WRITE, flags);
  const iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();
  const device = iommufd.mock.mockDomain({ ptId: ioasId });
  iommufd.ioasMap({ ioasId, userVa, length, iova: IOVA });
  return { kernel, iommufd, ioasId, length, ...device };
}

function pageTables(kernel: Kernel) {
  return snapshot(kernel, { pageTables: true }).contexts[0]!.pageTables;
}

describe("snapshot()", () => {
  it("is plain data that later calls do not change", () => {
    const { kernel, iommufd, ioasId } = setUp("7.3");
    kernel.addPciDevice(new Igb());
    const before = snapshot(kernel, { pageTables: true });
    const copy = structuredClone(before);
    iommufd.ioasUnmapAll(ioasId);
    assertEquals(before, copy);
    // The control: another one is different.
    const after = snapshot(kernel, { pageTables: true }).contexts[0]!;
    assertEquals(after.pages, []);
    assertEquals(after.pageTables[0]!.runs, []);
  });

  it("says which objects each is made or attached on", () => {
    const { kernel, iommufd, ioasId, idevId, hwptId } = setUp("7.3");
    const { faultId } = iommufd.hwpt.faultQueueAlloc();
    const alloc = { devId: idevId!, ptId: ioasId, faultId };
    const own = iommufd.hwpt.alloc(alloc).hwptId;
    iommufd.mock.createAccess({ ioasId });
    const uses = snapshot(kernel).contexts[0]!.objects.map((object) => [
      object.kind,
      object.uses,
    ]);
    assertEquals(uses, [
      ["IOAS", []],
      ["selftest", []],
      ["device", [hwptId]],
      ["HWPT", [ioasId]],
      ["fault", []],
      ["HWPT", [ioasId, faultId]],
      ["access", [ioasId]],
    ]);
    assertEquals(own, hwptId + 2);
  });

  it("knows what stands on a virtual IOMMU", () => {
    const bench = new ViommuBench();
    bench.vdeviceAlloc();
    bench.veventqAlloc();
    const nested = bench.nested(bench.viommu);
    const { objects } = snapshot(bench.machine.kernel).contexts[0]!;
    const on = objects.filter(({ uses }) => uses.includes(bench.viommu));
    assertEquals(on.map(({ kind }) => kind), ["vDEVICE", "vEVENTQ", "HWPT"]);
    assertEquals(on.at(-1)!.id, nested);
    const viommu = objects.find(({ id }) => id === bench.viommu)!;
    assertEquals(viommu.uses.length, 1);
    bench.machine.process.exit();
  });

  it("has page tables where they are asked for", () => {
    const { kernel, hwptId, ioasId } = setUp("7.3");
    assertEquals(snapshot(kernel).contexts[0]!.pageTables, []);
    const [table] = pageTables(kernel);
    assertEquals([table!.hwpt, table!.ioas], [hwptId, ioasId]);
    const mapped = table!.runs.map((
      { iova, size, count },
    ) => [iova, size * count]);
    const [first] = mapped;
    assertEquals(first![0], IOVA);
    assertEquals(mapped.reduce((sum, [, bytes]) => sum + bytes!, 0), 0x10000);
  });

  it("has entries of 2 KiB where the mock's page table is flat", () => {
    const { kernel } = setUp("6.12");
    const [run, ...others] = pageTables(kernel)[0]!.runs;
    assertEquals(others, []);
    assertEquals(
      [run!.iova, run!.size, run!.count, run!.isDirty],
      [IOVA, 2048, 32, false],
    );
  });

  for (const revision of ["6.12", "7.3"] as const) {
    it(`tells entries that a device wrote through, ${revision}`, () => {
      const { kernel, iommufd, ioasId, idevId, stdevId, length } = setUp(
        revision,
      );
      const { hwpt, mock } = iommufd;
      const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
      const alloc = { devId: idevId!, ptId: ioasId, flags };
      const { hwptId } = hwpt.alloc(alloc);
      mock.mockDomainReplace({ stdevId, ptId: hwptId });
      hwpt.setDirtyTracking({ hwptId, on: true });
      const dirty = () =>
        pageTables(kernel).find((table) => table.hwpt === hwptId)!.runs
          .filter(({ isDirty }) => isDirty);
      assertEquals(dirty(), []);
      mock.dirty({ hwptId, iova: IOVA, length, bitmap: Uint8Array.of(1) });
      assertEquals(dirty().length, 1);
      assertEquals(dirty()[0]!.iova, IOVA);
    });
  }
});
