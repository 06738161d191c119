// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  TestDevice,
  TestDomain,
  TestOps,
} from "../../iommu/testing/test_driver.ts";
import { probeDevice, releaseDevice } from "../../iommu/probe.ts";
import {
  IOMMU_VFIO_IOAS,
  IOMMU_VFIO_IOAS_CLEAR,
  IOMMU_VFIO_IOAS_GET,
  IOMMU_VFIO_IOAS_SET,
  IommuVfioIoas,
} from "../../uapi/iommufd.ts";
import { CAP_SYS_RAWIO, PAGE_SIZE } from "../../uapi/mman.ts";
import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../uapi/revision.ts";
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_CC_IOMMU,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_EEH,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_NOIOMMU_IOMMU,
  VFIO_SET_IOMMU,
  VFIO_SPAPR_TCE_IOMMU,
  VFIO_SPAPR_TCE_v2_IOMMU,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_UNMAP_ALL,
  VFIO_UPDATE_VADDR,
  VfioIommuType1DmaMap,
  VfioIommuType1DmaUnmap,
} from "../../uapi/vfio.ts";
import {
  vfioCompatIoasCreate,
  vfioCompatIoasGetId,
  vfioCompatIoasId,
  vfioCompatSetNoIommu,
} from "./compat_ioas.ts";
import { IommufdDevice } from "../attach/device.ts";
import { IOVA, Machine, outcome, PAGE } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;

function choose(
  machine: Machine,
  op: number,
  values: Partial<IommuVfioIoas> = {},
): [string | number, number] {
  const answer = machine.call(IOMMU_VFIO_IOAS, IommuVfioIoas, {
    op,
    ...values,
  });
  return [answer.ret, answer.ioasId];
}

/** A container with an IOAS, and memory of eight pages. */
function container(
  name: RevisionName,
  type = VFIO_TYPE1v2_IOMMU,
): { machine: Machine; ioasId: number; userVa: bigint } {
  const machine = new Machine(name);
  const ioasId = machine.ioas();
  choose(machine, IOMMU_VFIO_IOAS_SET, { ioasId });
  assertEquals(machine.callArg(VFIO_SET_IOMMU, type), 0);
  return { machine, ioasId, userVa: BigInt(machine.memory(8)) };
}

function mapDma(
  machine: Machine,
  values: Partial<VfioIommuType1DmaMap>,
): string | number {
  return machine.call(VFIO_IOMMU_MAP_DMA, VfioIommuType1DmaMap, {
    flags: 3,
    iova: IOVA,
    length: PAGE,
    ...values,
  }).ret;
}

/** Unmaps; the result and the size that came back. */
function unmapDma(
  machine: Machine,
  values: Partial<VfioIommuType1DmaUnmap>,
): [string | number, bigint] {
  const answer = machine.call(
    VFIO_IOMMU_UNMAP_DMA,
    VfioIommuType1DmaUnmap,
    values,
  );
  return [answer.ret, answer.length];
}

/** Bad arguments are seen before the missing IOAS. */
const BAD_ARGUMENTS: {
  readonly what: string;
  readonly values: { argsz?: number; flags?: number };
  readonly map: string;
  readonly unmap: string;
}[] = [
  {
    what: "a short argsz",
    values: { argsz: 8 },
    map: "EINVAL",
    unmap: "EINVAL",
  },
  {
    what: "an argsz of 0",
    values: { argsz: 0 },
    map: "EINVAL",
    unmap: "EINVAL",
  },
  {
    what: "flag 2^31",
    values: { flags: 2 ** 31 },
    map: "EINVAL",
    unmap: "EINVAL",
  },
  { what: "flag 1", values: { flags: 1 }, map: "ENODEV", unmap: "EINVAL" },
  { what: "flag 4", values: { flags: 4 }, map: "EINVAL", unmap: "EINVAL" },
  {
    what: "a long argsz",
    values: { argsz: 4096 },
    map: "ENODEV",
    unmap: "ENODEV",
  },
];

for (const name of REVISION_NAMES) {
  describe(`VFIO container [${name}]`, () => {
    it("has version 0, and no dirty tracking", () => {
      const machine = new Machine(name);
      assertEquals(machine.callArg(VFIO_GET_API_VERSION, 0), VFIO_API_VERSION);
      assertEquals(machine.callArg(VFIO_IOMMU_DIRTY_PAGES, 0), "ENOTTY");
      assertEquals(machine.callArg(0x3b67, 0), "ENOTTY");
      machine.end();
    });

    it("says which extensions it has", () => {
      const machine = new Machine(name);
      const check = (type: number | bigint) =>
        machine.callArg(VFIO_CHECK_EXTENSION, type);
      for (
        const type of [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL]
      ) {
        assertEquals(check(type), 1);
      }
      for (
        const type of [
          VFIO_SPAPR_TCE_IOMMU,
          VFIO_EEH,
          VFIO_TYPE1_NESTING_IOMMU,
          VFIO_SPAPR_TCE_v2_IOMMU,
          VFIO_NOIOMMU_IOMMU,
          VFIO_UPDATE_VADDR,
          0,
          11,
          -1,
          MAX,
        ]
      ) assertEquals(check(type), 0);
      assertEquals(check(VFIO_DMA_CC_IOMMU), "ENODEV");
      machine.end();
    });

    it("is cache coherent if every HWPT enforces it", () => {
      const { machine, ioasId } = container(name);
      const coherent = () =>
        machine.callArg(VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
      assertEquals(coherent(), 1);
      const ops = new TestOps(machine.kernel);
      ops.defaultDomain = new TestDomain({ owner: ops }, "identity");
      const dev = new TestDevice(ops, "plain");
      dev.caps.add("cache-coherency").add("intr-remap");
      dev.hasIsolatedMsi = true;
      probeDevice(dev);
      const idev = IommufdDevice.bindDevice(machine.ctx, dev);
      idev.attach(ioasId);
      assertEquals(coherent(), 0);
      idev.detach();
      assertEquals(coherent(), 1);
      idev.unbind();
      releaseDevice(dev);
      machine.end();
    });

    it("has an IOAS that user space chooses", () => {
      const machine = new Machine(name);
      const get = () => choose(machine, IOMMU_VFIO_IOAS_GET);
      assertEquals(get()[0], "ENODEV");
      assertEquals(
        choose(machine, IOMMU_VFIO_IOAS_SET, { ioasId: 9 })[0],
        "ENOENT",
      );
      assertEquals(choose(machine, 3)[0], "EOPNOTSUPP");
      assertEquals(
        choose(machine, IOMMU_VFIO_IOAS_GET, { reserved: 1 })[0],
        "EOPNOTSUPP",
      );
      const ioasId = machine.ioas();
      assertEquals(choose(machine, IOMMU_VFIO_IOAS_SET, { ioasId })[0], 0);
      assertEquals(get(), [0, ioasId]);
      assertEquals(choose(machine, IOMMU_VFIO_IOAS_CLEAR)[0], 0);
      assertEquals(get()[0], "ENODEV");
      choose(machine, IOMMU_VFIO_IOAS_SET, { ioasId });
      assertEquals(machine.destroy(ioasId), 0);
      assertEquals(get()[0], "ENODEV");
      assertEquals(machine.ioas(), ioasId);
      assertEquals(get()[0], "ENODEV");
      machine.end();
    });

    it("gets an IOAS from VFIO if it has none", () => {
      const machine = new Machine(name);
      const { ctx } = machine;
      assertEquals(outcome(() => vfioCompatIoasGetId(ctx)), "ENODEV");
      assertEquals(vfioCompatIoasId(ctx), 1);
      assertEquals(vfioCompatIoasId(ctx), 1);
      vfioCompatIoasCreate(ctx);
      assertEquals(vfioCompatIoasGetId(ctx), 1);
      assertEquals(machine.ioas(), 2);
      assertEquals(machine.destroy(1), 0);
      assertEquals(vfioCompatIoasId(ctx), 1);
      machine.end();
    });

    it("is set to type1 only when it has an IOAS", () => {
      const machine = new Machine(name);
      const set = (type: number) => machine.callArg(VFIO_SET_IOMMU, type);
      for (const type of [0, 2, VFIO_NOIOMMU_IOMMU, 99]) {
        assertEquals(set(type), "EINVAL");
      }
      assertEquals(set(VFIO_TYPE1_IOMMU), "ENODEV");
      assertEquals(set(VFIO_TYPE1v2_IOMMU), "ENODEV");
      machine.end();
    });

    it("cannot be set to version 1 once a domain has areas", () => {
      const { machine, ioasId, userVa } = container(name);
      machine.mockDomain(ioasId);
      mapDma(machine, { vaddr: userVa });
      assertEquals(machine.callArg(VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "EINVAL");
      assertEquals(machine.callArg(VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
      machine.end();
    });

    for (const { what, values, map, unmap } of BAD_ARGUMENTS) {
      it(`with ${what}: MAP_DMA answers ${map}, UNMAP_DMA ${unmap}`, () => {
        const machine = new Machine(name);
        assertEquals(mapDma(machine, { length: 0n, ...values }), map);
        assertEquals(unmapDma(machine, values), [unmap, 0n]);
        machine.end();
      });
    }

    it("reads and writes its structs: EFAULT", () => {
      const { machine, userVa } = container(name);
      assertEquals(machine.callArg(VFIO_IOMMU_MAP_DMA, 0), "EFAULT");
      assertEquals(machine.callArg(VFIO_IOMMU_UNMAP_DMA, 0), "EFAULT");
      mapDma(machine, { vaddr: userVa });
      const memory = machine.memory(1);
      const all = { flags: VFIO_DMA_UNMAP_FLAG_ALL };
      machine.process.poke(memory, VfioIommuType1DmaUnmap.encode(all));
      machine.process.mprotect(memory, PAGE_SIZE, 1);
      assertEquals(machine.callArg(VFIO_IOMMU_UNMAP_DMA, memory), "EFAULT");
      assertEquals(unmapDma(machine, all), [0, 0n]);
      machine.end();
    });

    it("maps at a fixed IOVA, with or without permissions", () => {
      const { machine, userVa } = container(name);
      const exists = name === "v3" ? "EADDRINUSE" : "EEXIST";
      assertEquals(mapDma(machine, { vaddr: userVa, flags: 0 }), 0);
      assertEquals(mapDma(machine, { vaddr: userVa }), exists);
      assertEquals(
        mapDma(machine, { vaddr: userVa, iova: 0n, length: 0n }),
        "EINVAL",
      );
      assertEquals(
        mapDma(machine, { vaddr: userVa, iova: MAX, length: 2n }),
        "EOVERFLOW",
      );
      machine.end();
    });

    it("unmaps everything only without a range", () => {
      const { machine, userVa } = container(name);
      const flags = VFIO_DMA_UNMAP_FLAG_ALL;
      mapDma(machine, { vaddr: userVa, length: 8n * PAGE });
      assertEquals(unmapDma(machine, { flags, iova: 1n }), ["EINVAL", 0n]);
      assertEquals(unmapDma(machine, { flags, length: 5n }), ["EINVAL", 5n]);
      assertEquals(unmapDma(machine, { flags }), [0, 8n * PAGE]);
      assertEquals(unmapDma(machine, { flags }), [0, 0n]);
      machine.end();
    });

    it("tells what was unmapped also when it fails", () => {
      const { machine, userVa } = container(name);
      mapDma(machine, { vaddr: userVa });
      mapDma(machine, { vaddr: userVa, iova: IOVA + PAGE, length: 4n * PAGE });
      const cut = { iova: IOVA, length: 3n * PAGE };
      assertEquals(unmapDma(machine, cut), ["ENOENT", PAGE]);
      assertEquals(unmapDma(machine, cut), ["ENOENT", 0n]);
      const empty = { iova: IOVA, length: PAGE };
      assertEquals(unmapDma(machine, empty), [
        name === "v3" ? "ENOENT" : 0,
        0n,
      ]);
      // What v3 leaves uninitialised stays as it was here.
      const kept = (length: bigint): bigint => name === "v3" ? length : 0n;
      assertEquals(unmapDma(machine, { iova: IOVA }), ["EINVAL", 0n]);
      assertEquals(unmapDma(machine, { iova: 2n, length: MAX }), [
        "EOVERFLOW",
        kept(MAX),
      ]);
      machine.end();
    });

    it("version 1 cuts areas where it is asked to", () => {
      const { machine, ioasId, userVa } = container(name, VFIO_TYPE1_IOMMU);
      machine.mockDomain(ioasId);
      mapDma(machine, { vaddr: userVa, length: 8n * PAGE });
      const page = (n: bigint) => ({ iova: IOVA + n * PAGE, length: PAGE });
      assertEquals(unmapDma(machine, page(3n)), [0, PAGE]);
      assertEquals(unmapDma(machine, page(0n)), [0, PAGE]);
      const within = { iova: IOVA + PAGE, length: 100n };
      assertEquals(unmapDma(machine, within), ["EINVAL", 100n]);
      const rest = { iova: IOVA, length: 8n * PAGE };
      assertEquals(unmapDma(machine, rest), [0, 6n * PAGE]);
      machine.end();
    });

    it("version 1 cuts at the start of the IOVA space", () => {
      const { machine, userVa } = container(name, VFIO_TYPE1_IOMMU);
      mapDma(machine, { vaddr: userVa, iova: 0n, length: 4n * PAGE });
      assertEquals(unmapDma(machine, { iova: 0n, length: PAGE }), [0, PAGE]);
      assertEquals(unmapDma(machine, { iova: 0n, length: 4n * PAGE }), [
        0,
        3n * PAGE,
      ]);
      machine.end();
    });

    it("version 2 does not", () => {
      const { machine, userVa } = container(name);
      mapDma(machine, { vaddr: userVa, length: 8n * PAGE });
      const page = { iova: IOVA + PAGE, length: PAGE };
      assertEquals(unmapDma(machine, page), ["ENOENT", 0n]);
      machine.end();
    });
  });
}

describe("VFIO without IOMMU", () => {
  const options = { vfioNoIommu: true };
  const type = VFIO_NOIOMMU_IOMMU;

  it("is an extension where the kernel is built with it", () => {
    const machine = new Machine(NEWEST, options);
    assertEquals(machine.callArg(VFIO_CHECK_EXTENSION, type), 1);
    machine.end();
    const v3 = new Machine("v3", options);
    assertEquals(v3.callArg(VFIO_CHECK_EXTENSION, type), 0);
    assertEquals(outcome(() => vfioCompatSetNoIommu(v3.ctx)), "EINVAL");
    v3.end();
  });

  it("takes the place of all other types", () => {
    const machine = new Machine(NEWEST, options);
    assertEquals(machine.callArg(VFIO_SET_IOMMU, type), "EINVAL");
    vfioCompatSetNoIommu(machine.ctx);
    assertEquals(machine.callArg(VFIO_SET_IOMMU, type), 0);
    for (const other of [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU]) {
      assertEquals(machine.callArg(VFIO_CHECK_EXTENSION, other), 0);
      assertEquals(machine.callArg(VFIO_SET_IOMMU, other), "EINVAL");
    }
    assertEquals(machine.callArg(VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 0);
    assertEquals(outcome(() => vfioCompatIoasCreate(machine.ctx)), "EINVAL");
    assertEquals(machine.ioas(), 1);
    machine.process.dropCapability(CAP_SYS_RAWIO);
    assertEquals(machine.callArg(VFIO_SET_IOMMU, type), "EPERM");
    machine.end();
  });

  it("does not come to a container with an IOAS", () => {
    const machine = new Machine(NEWEST, options);
    vfioCompatIoasCreate(machine.ctx);
    assertEquals(outcome(() => vfioCompatSetNoIommu(machine.ctx)), "EINVAL");
    assertEquals(machine.callArg(VFIO_SET_IOMMU, type), "EINVAL");
    assertEquals(machine.destroy(1), 0);
    assertEquals(outcome(() => vfioCompatSetNoIommu(machine.ctx)), "ok");
    machine.end();
  });

  it("cannot be chosen where the kernel is built without", () => {
    const machine = new Machine();
    vfioCompatSetNoIommu(machine.ctx);
    assertEquals(machine.callArg(VFIO_SET_IOMMU, type), "EINVAL");
    machine.end();
  });
});
