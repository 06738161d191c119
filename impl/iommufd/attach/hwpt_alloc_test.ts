// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IommuOps } from "../../iommu/device.ts";
import { TestDomain } from "../../iommu/testing/test_driver.ts";
import type { UserData } from "../../iommu/user_data.ts";
import { EINVAL, ENOMEM, errnoName } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
  IOMMU_HWPT_INVALIDATE,
  IommuHwptAlloc,
  IommuHwptInvalidate,
} from "../../uapi/iommufd.ts";
import {
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  TestCheckMap,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../uapi/mman.ts";
import { Bench } from "../testing/bench.ts";
import { HwptBench } from "../testing/hwpt_bench.ts";
import { IOVA, Machine, PAGE } from "../testing/machine.ts";

const PASID = IOMMU_HWPT_ALLOC_PASID;
const NEST_PARENT = IOMMU_HWPT_ALLOC_NEST_PARENT;
const DIRTY = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
const FAULT = IOMMU_HWPT_FAULT_ID_VALID;

/** What a fault queue that there is not, and a HWPT for PASIDs, come to in a revision. */
const FLAGS = [
  ["6.12", "EOPNOTSUPP", "EOPNOTSUPP"],
  ["7.3", "ENOENT", 0],
] as const;

/** How many objects there are. */
function objects({ ctx }: Machine): number {
  return [...ctx.objects].length;
}

describe("HWPT_ALLOC", () => {
  it("checks its arguments in Linux's order", () => {
    const bench = new HwptBench();
    const faults: [string, Partial<IommuHwptAlloc>][] = [
      ["EOPNOTSUPP", { reserved: 1 }],
      ["EINVAL", { dataLen: 4 }],
      ["ENOENT", { devId: 99 }],
      ["EINVAL", { ptId: 99 }],
    ];
    for (const [i, [errno]] of faults.entries()) {
      const rest = faults.slice(i).map(([, values]) => values);
      const answer = bench.alloc(Object.assign({}, ...rest));
      assertEquals([answer.ret, answer.outHwptId], [errno, 0]);
    }
    assertEquals(bench.alloc().ret, 0);
    bench.end();
  });

  it("wants data exactly when they have a type", () => {
    const bench = new HwptBench();
    const dataType = IOMMU_HWPT_DATA_SELFTEST;
    assertEquals(bench.alloc({ dataLen: 1 }).ret, "EINVAL");
    assertEquals(bench.alloc({ dataType }).ret, "EINVAL");
    assertEquals(bench.alloc({ dataUptr: 1n }).ret, 0);
    bench.end();
  });

  it("needs a bound device, and an IOAS or a HWPT that is no nested one", () => {
    const bench = new HwptBench();
    const nested = bench.nested(bench.parent());
    for (const devId of [bench.ioas, bench.stdev, bench.auto, 0]) {
      assertEquals(bench.alloc({ devId }).ret, "ENOENT");
    }
    const data = bench.data();
    for (const ptId of [bench.dev, bench.stdev, nested, 0]) {
      assertEquals(bench.alloc({ ptId, ...data }).ret, "EINVAL");
    }
    bench.end();
  });

  it("does not look at the last reserved field", () => {
    const bench = new HwptBench();
    assertEquals(bench.alloc({ reserved2: 1, faultId: 99 }).ret, 0);
    bench.end();
  });

  it("is not there in v3", () => {
    const machine = new Machine("v3");
    assertEquals(machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc).ret, "ENOTTY");
    machine.end();
  });

  it("gives up the HWPT when its id cannot be told: EFAULT", () => {
    const bench = new HwptBench();
    const { machine } = bench;
    const page = machine.memory(1);
    const parent = bench.parent();
    const before = objects(machine);
    for (
      const values of [{ ptId: bench.ioas }, { ptId: parent, ...bench.data() }]
    ) {
      const all = { devId: bench.dev, ...values };
      machine.process.mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE);
      machine.process.poke(page, IommuHwptAlloc.encode(all));
      machine.process.mprotect(page, PAGE_SIZE, PROT_READ);
      const ret = machine.process.ioctl(machine.fd, IOMMU_HWPT_ALLOC, page);
      assertEquals(errnoName(ret), "EFAULT");
      assertEquals(objects(machine), before);
    }
    assertEquals(bench.alloc().outHwptId, parent + 1);
    assertEquals(machine.destroy(parent), 0);
    bench.end();
  });

  it("leaves nothing behind wherever it fails, and succeeds then", () => {
    const bench = new HwptBench();
    const { machine } = bench;
    const { process } = machine;
    const userVa = BigInt(machine.memory(4));
    machine.map({ ioasId: bench.ioas, userVa, length: 4n * PAGE });
    const parent = bench.parent();
    const cases: [number, Partial<IommuHwptAlloc>][] = [
      [6, { flags: NEST_PARENT | DIRTY }],
      [4, { ptId: parent, ...bench.data() }],
    ];
    for (const [points, values] of cases) {
      const before = objects(machine);
      const errnos = new Set<string | number>();
      for (let nth = 1;; nth++) {
        process.setFailNth(nth);
        const { ret, outHwptId } = bench.alloc(values);
        const missed = process.failNthLeft() !== 0;
        process.setFailNth(0);
        // An allocation that there is a spare for does not fail the call.
        if (ret === 0) assertEquals(machine.destroy(outHwptId), 0);
        else errnos.add(ret);
        assertEquals(objects(machine), before);
        if (!missed) continue;
        assertEquals(ret, 0);
        assertEquals(nth > points, true);
        break;
      }
      assertEquals(errnos, new Set(["EFAULT", "ENOENT", "EINVAL", "ENOMEM"]));
    }
    bench.end();
  });
});

describe("HWPT_ALLOC of an IOAS", () => {
  for (const [name, FAULT_ANSWER, PASID_ANSWER] of FLAGS) {
    it(`knows its flags in ${name}`, () => {
      const bench = new HwptBench(0, new Machine(name));
      for (const flags of [0, NEST_PARENT, DIRTY, NEST_PARENT | DIRTY]) {
        assertEquals(bench.alloc({ flags }).ret, 0);
        assertEquals(bench.alloc({ flags: flags | PASID }).ret, PASID_ANSWER);
      }
      for (const flags of [FAULT | NEST_PARENT, 16, 0x80000000]) {
        assertEquals(bench.alloc({ flags }).ret, "EOPNOTSUPP");
      }
      assertEquals(bench.alloc({ flags: FAULT }).ret, FAULT_ANSWER);
      bench.end();
    });
  }

  it("needs a device that can track dirty pages for that", () => {
    const bench = new HwptBench(MOCK_FLAGS_DEVICE_NO_DIRTY);
    assertEquals(bench.alloc({ flags: DIRTY }).ret, "EOPNOTSUPP");
    assertEquals(bench.alloc({ flags: NEST_PARENT }).ret, 0);
    bench.end();
  });

  it("hands data to the driver; the mock wants none, or those of a page table", () => {
    for (
      const [name, answer] of [["6.12", "EOPNOTSUPP"], ["7.3", 0]] as const
    ) {
      const bench = new HwptBench(0, new Machine(name));
      assertEquals(bench.alloc(bench.data()).ret, answer);
      assertEquals(bench.alloc().ret, 0);
      bench.end();
    }
  });

  it("holds the map from the start, and follows it", () => {
    const bench = new HwptBench();
    const { machine, ioas } = bench;
    const userVa = BigInt(machine.memory(4));
    const check = (id: number, iova: bigint, uptr: bigint) =>
      machine.test(IOMMU_TEST_OP_MD_CHECK_MAP, TestCheckMap, {
        id,
        iova,
        length: 2n * PAGE,
        uptr,
      }).ret;
    const length = 2n * PAGE;
    machine.map({ ioasId: ioas, userVa, length });
    const id = bench.alloc().outHwptId;
    assertEquals(check(id, IOVA, userVa), 0);
    assertEquals(check(id, IOVA, userVa + PAGE), "EINVAL");
    const iova = IOVA + length;
    machine.map({ ioasId: ioas, userVa: userVa + length, length, iova });
    assertEquals(check(id, iova, userVa + length), 0);
    assertEquals(machine.destroy(id), 0);
    assertEquals(machine.unmap({ ioasId: ioas, iova, length }).ret, 0);
    bench.end();
  });

  it("fails as adding a domain does, and the IOAS is as before", () => {
    const bench = new HwptBench();
    const { machine, dev } = bench;
    const ioas = machine.ioas();
    const userVa = BigInt(machine.memory(1));
    assertEquals(machine.map({ ioasId: ioas, userVa, iova: 0n }).ret, 0);
    assertEquals(bench.alloc({ ptId: ioas }).ret, "EADDRINUSE");
    assertEquals(
      machine.unmap({ ioasId: ioas, iova: 0n, length: PAGE }).ret,
      0,
    );

    const length = 2n * PAGE;
    machine.map({ ioasId: ioas, userVa, length });
    machine.process.munmap(Number(userVa), PAGE_SIZE);
    assertEquals(bench.alloc({ ptId: ioas }).ret, "EFAULT");
    assertEquals(machine.unmap({ ioasId: ioas, iova: IOVA, length }).ret, 0);
    assertEquals(bench.alloc({ ptId: ioas }).outHwptId, ioas + 1);
    assertEquals(machine.destroy(dev), "EBUSY");
    bench.end();
  });

  it("keeps the IOAS, is kept by devices, and stays when they go", () => {
    const bench = new HwptBench();
    const { machine, stdev, auto } = bench;
    const id = bench.alloc().outHwptId;
    assertEquals(bench.replace(id), 0);
    assertEquals(machine.destroy(auto), "ENOENT");
    assertEquals(machine.destroy(id), "EBUSY");
    assertEquals(machine.destroy(stdev), 0);
    assertEquals(machine.destroy(bench.ioas), "EBUSY");
    // Devices do not share it unless they ask for it.
    const other = bench.device(bench.ioas);
    assertEquals(other.outHwptId === id, false);
    const third = bench.device(id);
    assertEquals([third.ret, third.outHwptId], [0, id]);
    assertEquals(machine.destroy(third.outStdevId), 0);
    assertEquals(machine.destroy(id), 0);
    assertEquals(machine.destroy(other.outStdevId), 0);
    assertEquals(machine.destroy(bench.ioas), 0);
    bench.end();
  });

  it("asks a driver without domainAllocPagingFlags for plain domains only", () => {
    const bench = new Bench();
    const { machine } = bench;
    const ptId = machine.ioas();
    const idev = bench.bind(bench.a);
    const alloc = (values: Partial<IommuHwptAlloc>) => {
      const all = { devId: idev.id, ptId, ...values };
      return machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, all).ret;
    };
    assertEquals(alloc({ flags: NEST_PARENT }), "EOPNOTSUPP");
    assertEquals(alloc({ dataType: 1, dataLen: 1 }), "EOPNOTSUPP");
    assertEquals(bench.ops.domains.length, 0);
    assertEquals(alloc({}), 0);
    assertEquals(bench.ops.domains.length, 1);
    idev.unbind();
    bench.end();
  });

  it("gives the driver flags and data as they came", () => {
    const bench = new Bench();
    const { machine } = bench;
    const ptId = machine.ioas();
    const idev = bench.bind(bench.a);
    const calls: [number, Partial<UserData> | undefined][] = [];
    const ops: IommuOps = bench.ops;
    ops.domainAllocPagingFlags = (_dev, flags, userData) => {
      if (userData) {
        const { type, uptr, len } = userData;
        calls.push([flags, { type, uptr, len }]);
        throw EINVAL;
      }
      calls.push([flags, undefined]);
      return bench.ops.domainAllocPaging(bench.a);
    };
    const alloc = (values: Partial<IommuHwptAlloc>) => {
      const all = { devId: idev.id, ptId, ...values };
      return machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, all).ret;
    };
    assertEquals(alloc({ flags: NEST_PARENT }), 0);
    const data = { dataType: 3, dataLen: 40, dataUptr: 0x1234n };
    assertEquals(alloc({ ...data }), "EINVAL");
    // The automatic HWPT comes the same way.
    idev.attach(ptId);
    idev.detach();
    const seen = { type: 3, uptr: 0x1234, len: 40 };
    assertEquals(calls, [[NEST_PARENT, undefined], [0, seen], [0, undefined]]);
    idev.unbind();
    bench.end();
  });

  it("warns of a driver that cannot enforce the coherency that it promised", () => {
    const bench = new Bench();
    const { machine } = bench;
    const ptId = machine.ioas();
    bench.a.caps.add("enforce-cache-coherency");
    const idev = bench.bind(bench.a);
    const alloc = () =>
      machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, { devId: idev.id, ptId });
    assertEquals(alloc().ret, "EINVAL");
    bench.ops.coherent = true;
    assertEquals(alloc().ret, 0);
    idev.unbind();
    bench.end(["iommufd: a new domain does not enforce cache coherency"]);
  });
});

describe("HWPT_ALLOC of a parent", () => {
  it("needs data, and takes no flags but FAULT_ID_VALID and PASID", () => {
    const bench = new HwptBench();
    const ptId = bench.parent();
    const data = bench.data();
    assertEquals(bench.alloc({ ptId }).ret, "EOPNOTSUPP");
    for (const flags of [NEST_PARENT, DIRTY, 16, 0x80000000, FAULT | DIRTY]) {
      assertEquals(bench.alloc({ ptId, ...data, flags }).ret, "EOPNOTSUPP");
    }
    assertEquals(bench.alloc({ ptId, ...data }).ret, 0);
    assertEquals(bench.alloc({ ptId, ...data, flags: PASID }).ret, 0);
    bench.end();
  });

  it("needs a HWPT that was allocated as a parent, by the same driver", () => {
    const bench = new HwptBench();
    const { machine } = bench;
    const data = bench.data();
    const plain = bench.alloc().outHwptId;
    for (const ptId of [bench.auto, plain]) {
      assertEquals(bench.alloc({ ptId, ...data }).ret, "EINVAL");
      // Flags and data come first.
      assertEquals(bench.alloc({ ptId }).ret, "EOPNOTSUPP");
    }
    machine.end();

    const other = new Bench();
    const idev = other.bind(other.a);
    const ops: IommuOps = other.ops;
    let asked = 0;
    ops.domainAllocNested = () => {
      asked++;
      throw EINVAL;
    };
    const mock = new HwptBench(0, other.machine).parent();
    const values = { devId: idev.id, ptId: mock, dataType: 1, dataLen: 4 };
    const answer = other.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, values);
    assertEquals([answer.ret, asked], ["EINVAL", 0]);
    idev.unbind();
    other.end();
  });

  it("lets the driver check its data", () => {
    const bench = new HwptBench();
    const ptId = bench.parent();
    const before = objects(bench.machine);
    const data = bench.data();
    const cases: [string, Partial<IommuHwptAlloc>][] = [
      ["EOPNOTSUPP", { dataType: IOMMU_HWPT_DATA_SELFTEST + 1 }],
      ["EINVAL", { dataLen: 3 }],
      ["EINVAL", { dataLen: 9 }],
      ["EFAULT", { dataUptr: 0n }],
      ["EFAULT", { dataUptr: 2n ** 64n - 4n }],
    ];
    for (const [errno, values] of cases) {
      assertEquals(bench.alloc({ ptId, ...data, ...values }).ret, errno);
    }
    assertEquals(objects(bench.machine), before);
    bench.end();
  });

  it("needs a known fault queue with FAULT_ID_VALID: ENOENT", () => {
    const bench = new HwptBench();
    const ptId = bench.parent();
    const before = objects(bench.machine);
    const values = { ptId, ...bench.data(), flags: FAULT };
    for (const faultId of [99, bench.ioas]) {
      assertEquals(bench.alloc({ ...values, faultId }).ret, "ENOENT");
    }
    assertEquals(objects(bench.machine), before);
    assertEquals(bench.machine.destroy(ptId), 0);
    bench.end();
  });

  it("keeps the parent, and is kept by devices", () => {
    const bench = new HwptBench();
    const { machine } = bench;
    const parent = bench.parent();
    const [first, second] = [bench.nested(parent), bench.nested(parent)];
    assertEquals(machine.destroy(parent), "EBUSY");
    assertEquals(bench.replace(first), 0);
    assertEquals(machine.destroy(first), "EBUSY");
    assertEquals(machine.destroy(second), 0);
    assertEquals(machine.destroy(parent), "EBUSY");
    assertEquals(bench.replace(bench.ioas), 0);
    assertEquals(machine.destroy(first), 0);
    assertEquals(machine.destroy(parent), 0);
    bench.end();
  });

  it("needs a driver that nests: EOPNOTSUPP before the parent is looked at", () => {
    const bench = new Bench();
    const { machine } = bench;
    const idev = bench.bind(bench.a);
    const auto = idev.attach(machine.ioas());
    const values = { devId: idev.id, ptId: auto, dataType: 1, dataLen: 4 };
    const alloc = () =>
      machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, values).ret;
    assertEquals(alloc(), "EOPNOTSUPP");
    (bench.ops as IommuOps).domainAllocNested = () => {
      throw ENOMEM;
    };
    assertEquals(alloc(), "EINVAL");
    idev.detach();
    idev.unbind();
    bench.end();
  });

  for (
    const [name, errno] of [["6.12", "EINVAL"], ["7.3", "EOPNOTSUPP"]] as const
  ) {
    it(`warns in ${name} of a driver whose nested domain is none`, () => {
      const bench = new Bench(name);
      const { machine } = bench;
      const idev = bench.bind(bench.a);
      const ops: IommuOps = bench.ops;
      const domains: TestDomain[] = [];
      ops.domainAllocPagingFlags = () => bench.ops.domainAllocPaging(bench.a);
      ops.domainAllocNested = () => {
        // The second one is nested, but cannot be invalidated.
        const type = domains.length === 0 ? "paging" : "nested";
        const domain = new TestDomain({ owner: ops }, type);
        domains.push(domain);
        return domain;
      };
      const alloc = (values: Partial<IommuHwptAlloc>) =>
        machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
          devId: idev.id,
          ...values,
        });
      const ioas = machine.ioas();
      const parent = alloc({ ptId: ioas, flags: NEST_PARENT }).outHwptId;
      const values = { ptId: parent, dataType: 1, dataLen: 1 };
      assertEquals(alloc(values).ret, errno);
      assertEquals(domains[0]!.freed, true);
      const warning =
        "iommufd: a driver's nested domain is not nested or cannot be invalidated";
      const mute = alloc(values);
      if (bench.machine.kernel.revision.hwpt.nestedNeedsInvalidate) {
        assertEquals([mute.ret, domains[1]!.freed], [errno, true]);
        idev.unbind();
        bench.end([warning, warning]);
        return;
      }
      assertEquals(mute.ret, 0);
      const invalidate = machine.call(
        IOMMU_HWPT_INVALIDATE,
        IommuHwptInvalidate,
        { hwptId: mute.outHwptId },
      );
      assertEquals(invalidate.ret, "EOPNOTSUPP");
      idev.unbind();
      bench.end([warning]);
    });
  }
});
