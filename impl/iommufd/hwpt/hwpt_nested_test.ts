// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IommuOps } from "../../iommu/device.ts";
import { prepareMsi } from "../../iommu/msi.ts";
import { TestDomain } from "../../iommu/testing/test_driver.ts";
import type { UserDataArray } from "../../iommu/user_data.ts";
import { EBUSY, EINVAL } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IommuHwptAlloc,
} from "../../uapi/iommufd.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import type { IommufdDevice } from "../attach/device.ts";
import { Bench, region } from "../testing/bench.ts";
import { HwptBench } from "../testing/hwpt_bench.ts";
import { outcome, PAGE } from "../testing/machine.ts";

const MAX = 2n ** 64n - 1n;

/** A nested domain that can be invalidated. */
class NestedDomain extends TestDomain {
  override cacheInvalidateUser(array: UserDataArray): void {
    array.handled = array.entryNum;
  }
}

/** A group of two devices, `a` and `b`, one IOAS, and a driver that nests. */
class NestingBench extends Bench {
  readonly ioas: number = this.machine.ioas();

  constructor(name?: RevisionName) {
    super(name);
    const { ops, a } = this;
    (ops as IommuOps).domainAllocPagingFlags = () => ops.domainAllocPaging(a);
    (ops as IommuOps).domainAllocNested = () => {
      const domain = new NestedDomain({ owner: ops }, "nested");
      ops.domains.push(domain);
      return domain;
    };
  }

  alloc(idev: IommufdDevice, values: Partial<IommuHwptAlloc>): number {
    const all = { devId: idev.id, ptId: this.ioas, ...values };
    const answer = this.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, all);
    assertEquals(answer.ret, 0);
    return answer.outHwptId;
  }

  parent(idev: IommufdDevice, ptId = this.ioas): number {
    return this.alloc(idev, { ptId, flags: IOMMU_HWPT_ALLOC_NEST_PARENT });
  }

  nested(idev: IommufdDevice, parent: number): number {
    return this.alloc(idev, { ptId: parent, dataType: 1, dataLen: 1 });
  }
}

describe("a nested HWPT", () => {
  it("lets devices see the IOAS of its parent", () => {
    const bench = new NestingBench();
    bench.a.resv.push(region("reserved", 0n));
    const a = bench.bind(bench.a);
    const parent = bench.parent(a);
    const nested = bench.nested(a, parent);
    assertEquals(a.attach(nested), nested);
    assertEquals(bench.uses(bench.a), 1);
    assertEquals(bench.ranges(bench.ioas), [[PAGE, MAX]]);
    // Between HWPTs of one IOAS its reserved regions stay.
    assertEquals(a.replace(parent), parent);
    assertEquals(bench.uses(bench.a), 0);
    assertEquals(a.replace(nested), nested);
    assertEquals(bench.ranges(bench.ioas), [[PAGE, MAX]]);
    a.detach();
    assertEquals(bench.ranges(bench.ioas), [[0n, MAX]]);
    a.unbind();
    bench.end();
  });

  it("refuses a device whose regions its IOAS maps: EADDRINUSE", () => {
    const bench = new NestingBench();
    const { machine, ioas } = bench;
    bench.a.resv.push(region("reserved", 0n));
    const userVa = BigInt(machine.memory(1));
    machine.map({ ioasId: ioas, userVa, iova: 0n });
    const a = bench.bind(bench.a);
    const nested = bench.nested(a, bench.parent(a));
    assertEquals(outcome(() => a.attach(nested)), "EADDRINUSE");
    assertEquals(bench.uses(bench.a), "blocked");
    machine.unmap({ ioasId: ioas, iova: 0n, length: PAGE });
    a.attach(nested);
    a.detach();
    a.unbind();
    bench.end();
  });

  it("is shared by a group, each device of which holds it", () => {
    const bench = new NestingBench();
    const { machine } = bench;
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const nested = bench.nested(a, bench.parent(a));
    const other = bench.nested(a, bench.parent(a));
    a.attach(nested);
    assertEquals([bench.uses(bench.a), bench.uses(bench.b)], [1, 1]);
    // The rest of the group cannot go elsewhere, not even to the IOAS itself.
    for (const id of [other, bench.ioas]) {
      assertEquals(outcome(() => b.attach(id)), "EINVAL");
      assertEquals(outcome(() => b.replace(id)), "EINVAL");
    }
    assertEquals(b.attach(nested), nested);
    assertEquals(b.replace(other), other);
    assertEquals([bench.uses(bench.a), bench.uses(bench.b)], [3, 3]);
    assertEquals(machine.destroy(nested), 0);
    a.detach();
    assertEquals(machine.destroy(other), "EBUSY");
    assertEquals(bench.uses(bench.b), 3);
    b.detach();
    assertEquals(machine.destroy(other), 0);
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("stays attached when a replacement fails", () => {
    const bench = new NestingBench();
    const { machine, ops } = bench;
    const other = machine.ioas();
    bench.a.resv.push(region("reserved", 0n));
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const nested = bench.nested(a, bench.parent(a));
    const next = bench.nested(a, bench.parent(a, other));
    for (const idev of [a, b]) idev.attach(nested);
    for (const errno of [EINVAL, EBUSY]) {
      bench.b.refuses.set(ops.domains[3]!, errno);
      assertEquals(outcome(() => a.replace(next)), errno.name);
      assertEquals([bench.uses(bench.a), bench.uses(bench.b)], [1, 1]);
      assertEquals(bench.ranges(bench.ioas), [[PAGE, MAX]]);
      assertEquals(bench.ranges(other), [[0n, MAX]]);
      assertEquals(machine.destroy(nested), "EBUSY");
    }
    bench.b.refuses.clear();
    a.replace(next);
    assertEquals(bench.ranges(bench.ioas), [[0n, MAX]]);
    assertEquals(bench.ranges(other), [[PAGE, MAX]]);
    assertEquals(machine.destroy(nested), 0);
    for (const idev of [a, b]) idev.detach();
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("takes the place of an automatic HWPT, which goes", () => {
    const bench = new NestingBench();
    const a = bench.bind(bench.a);
    const nested = bench.nested(a, bench.parent(a));
    const auto = a.attach(bench.ioas);
    assertEquals(a.replace(nested), nested);
    assertEquals(bench.machine.destroy(auto), "ENOENT");
    // The parent is not automatic: a new HWPT is made.
    const again = a.replace(bench.ioas);
    assertEquals(bench.ops.domains.length, 4);
    assertEquals(bench.machine.destroy(nested), 0);
    a.detach();
    assertEquals(bench.machine.destroy(again), "ENOENT");
    a.unbind();
    bench.end();
  });

  it("gives its parent the doorbells of the device", () => {
    const window = 0x8000000;
    // In 6.12 it has the window, but only a paging domain's doorbells are mapped.
    const rows = [
      ["6.12", ["msi", undefined], 0x1000, []],
      ["7.3", ["iommufd", "iommufd"], window, [window]],
    ] as const;
    for (const [name, kinds, doorbell, mapped] of rows) {
      const bench = new NestingBench(name);
      bench.a.resv.push(region("sw-msi", BigInt(window), 2n * PAGE));
      const a = bench.bind(bench.a);
      const nested = bench.nested(a, bench.parent(a));
      a.attach(nested);
      const [parentDomain, nestedDomain] = bench.ops.domains;
      assertEquals(
        [parentDomain!.cookie?.kind, nestedDomain!.cookie?.kind],
        [...kinds],
      );
      assertEquals(prepareMsi(bench.a, 0x1000), doorbell);
      assertEquals([...parentDomain!.pages.keys()], [...mapped]);
      assertEquals(nestedDomain!.pages.size, 0);
      a.detach();
      a.unbind();
      bench.end();
    }
  });

  it("is given up before its parent when the context is closed", () => {
    const bench = new HwptBench();
    const parent = bench.parent();
    const nested = bench.nested(parent);
    assertEquals(bench.replace(nested), 0);
    assertEquals(bench.device(nested).ret, 0);
    assertEquals(bench.device(parent).ret, 0);
    bench.end();
  });
});
