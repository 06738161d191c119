// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { TestDevice } from "../../iommu/testing/test_driver.ts";
import { IOMMU_NO_PASID } from "../../iommu/group.ts";
import { KernelBug } from "../../kernel/warn.ts";
import { ENOSPC } from "../../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_PASID,
  IommuHwptAlloc,
} from "../../uapi/iommufd.ts";
import { REVISION_NAMES, REVISIONS } from "../../uapi/revision.ts";
import { Bench, region } from "../testing/bench.ts";
import { outcome, PAGE } from "../testing/machine.ts";
import type { IommufdDevice } from "./device.ts";

/** A bench whose devices have 8 PASIDs. */
class PasidBench extends Bench {
  readonly ioas = this.machine.ioas();

  constructor() {
    super();
    for (const dev of [this.a, this.b, this.c]) dev.maxPasids = 8;
    Object.assign(this.ops, {
      domainAllocPagingFlags: (dev: TestDevice) =>
        this.ops.domainAllocPaging(dev),
    });
  }

  /** A HWPT, made for PASIDs or not. */
  hwpt(idev: IommufdDevice, flags = IOMMU_HWPT_ALLOC_PASID): number {
    const values = { devId: idev.id, ptId: this.ioas, flags };
    return this.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, values)
      .outHwptId;
  }

  /** Which domains translate a device's DMA with PASIDs, by index. */
  pasids(dev: TestDevice): [number, number][] {
    return [...dev.pasids]
      .map(([pasid, domain]) => [pasid, this.ops.domains.indexOf(domain)]);
  }
}

describe("a PASID", () => {
  it("is attached once for the group, with the first of its devices", () => {
    const bench = new PasidBench();
    const [a, b, c] = [bench.a, bench.b, bench.c].map((dev) => bench.bind(dev));
    const [first, second] = [bench.hwpt(a!), bench.hwpt(a!)];
    a!.attach(first, 3);
    for (const dev of [bench.a, bench.b]) {
      assertEquals(bench.pasids(dev), [[3, 0]]);
    }
    assertEquals(outcome(() => a!.attach(first, 3)), "EBUSY");
    assertEquals(outcome(() => b!.attach(second, 3)), "EINVAL");
    assertEquals(outcome(() => b!.replace(second, 3)), "EINVAL");
    assertEquals(b!.attach(first, 3), first);
    assertEquals(bench.b.pasidCalls.length, 1);
    // Another group has PASIDs of its own.
    assertEquals(c!.attach(second, 3), second);
    assertEquals(bench.pasids(bench.c), [[3, 1]]);
    assertEquals([a!.pasids, b!.pasids], [[3], [3]]);

    a!.detach(3);
    assertEquals(bench.pasids(bench.a), [[3, 0]]);
    assertEquals(bench.machine.destroy(first), "EBUSY");
    // It is not a's to detach any more.
    a!.detach(3);
    assertEquals(bench.machine.destroy(first), "EBUSY");
    b!.detach(3);
    for (const dev of [bench.a, bench.b]) {
      assertEquals(bench.pasids(dev), []);
    }
    assertEquals(bench.machine.destroy(first), 0);
    c!.detach(3);
    for (const idev of [a!, b!, c!]) idev.unbind();
    bench.end();
  });

  it("moves for the whole group, whose users move along", () => {
    const bench = new PasidBench();
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const [first, second] = [bench.hwpt(a), bench.hwpt(a)];
    for (const idev of [a, b]) idev.attach(first, 1);
    bench.b.refusesPasid.set(bench.ops.domains[1]!, ENOSPC);
    assertEquals(outcome(() => a.replace(second, 1)), "ENOSPC");
    for (const dev of [bench.a, bench.b]) {
      assertEquals(bench.pasids(dev), [[1, 0]]);
    }
    assertEquals(bench.machine.destroy(second), 0);
    const third = bench.hwpt(a);
    assertEquals(a.replace(third, 1), third);
    for (const dev of [bench.a, bench.b]) {
      assertEquals(bench.pasids(dev), [[1, 2]]);
    }
    assertEquals(bench.machine.destroy(first), 0);
    for (const idev of [b, a]) {
      assertEquals(bench.machine.destroy(third), "EBUSY");
      idev.detach(1);
    }
    assertEquals(bench.machine.destroy(third), 0);
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("reserves nothing in the IOAS: that goes with the device itself", () => {
    const bench = new PasidBench();
    bench.a.resv.push(region("reserved", 0n));
    const a = bench.bind(bench.a);
    const hwpts = [bench.hwpt(a), bench.hwpt(a)];
    const free = bench.ranges(bench.ioas);
    a.attach(hwpts[0]!, 1);
    assertEquals(bench.ranges(bench.ioas), free);
    a.attach(hwpts[0]!);
    const reserved = bench.ranges(bench.ioas);
    assertEquals(reserved[0]![0], PAGE);
    a.replace(hwpts[1]!, 1);
    a.detach(1);
    assertEquals(bench.ranges(bench.ioas), reserved);
    a.attach(hwpts[0]!, 1);
    a.detach();
    assertEquals(bench.ranges(bench.ioas), free);
    a.detach(1);
    assertEquals(bench.ranges(bench.ioas), free);
    a.unbind();
    bench.end();
  });

  it("shares its group with HWPTs for PASIDs only", () => {
    const bench = new PasidBench();
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const [good, plain] = [bench.hwpt(a), bench.hwpt(a, 0)];
    a.attach(plain);
    assertEquals(outcome(() => b.attach(good, 1)), "EINVAL");
    a.replace(good);
    b.attach(good, 1);
    assertEquals(outcome(() => a.replace(plain)), "EINVAL");
    assertEquals(outcome(() => a.replace(bench.ioas)), "EINVAL");
    a.detach();
    assertEquals(outcome(() => b.attach(plain)), "EINVAL");
    b.detach(1);
    assertEquals(b.attach(plain), plain);
    b.detach();
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("needs a driver that has some", () => {
    const bench = new PasidBench();
    const a = bench.bind(bench.a);
    const hwpt = bench.hwpt(a);
    Object.assign(bench.ops.domains[0]!, { setDevPasid: undefined });
    assertEquals(outcome(() => a.attach(hwpt, 1)), "EOPNOTSUPP");
    assertEquals(outcome(() => a.attach(hwpt, 8)), "EOPNOTSUPP");
    assertEquals(a.pasids, []);
    assertEquals(bench.machine.destroy(hwpt), 0);
    a.unbind();
    bench.end();
  });
});

describe("an attachment", () => {
  for (const name of REVISION_NAMES) {
    const { attach } = REVISIONS[name];
    it(`that is not there is ${attach.detachesNothing ? "no matter" : "a driver's fault"} to detach in ${name}`, () => {
      const bench = new Bench(name);
      const a = bench.bind(bench.a);
      const users = a.users;
      if (attach.detachesNothing) a.detach();
      else assertThrows(() => a.detach(), KernelBug, "is not attached");
      assertEquals(a.users, users);
      a.unbind();
      bench.end();
    });

    if (attach.keptWith === "group") {
      it(`is ${attach.attachTwiceErrno.name} to make twice in ${name}`, () => {
        const bench = new Bench(name);
        const ioas = bench.machine.ioas();
        const a = bench.bind(bench.a);
        const hwpt = a.attach(ioas);
        const twice = outcome(() => a.attach(hwpt));
        assertEquals(twice, attach.attachTwiceErrno.name);
        a.detach();
        assertEquals(bench.machine.destroy(hwpt), "ENOENT");
        a.unbind();
        bench.end();
      });
    } else {
      it(`has no PASID in ${name}`, () => {
        const bench = new Bench(name);
        const ioas = bench.machine.ioas();
        const a = bench.bind(bench.a);
        assertThrows(() => a.attach(ioas, 1), KernelBug, "PASID");
        a.attach(ioas);
        assertEquals(a.pasids, [IOMMU_NO_PASID]);
        a.detach();
        a.unbind();
        bench.end();
      });
    }
  }
});
