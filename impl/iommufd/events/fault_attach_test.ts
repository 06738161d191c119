// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Device } from "../../iommu/device.ts";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
  IOMMU_PAGE_RESP_INVALID,
  type PageRequest,
  type PageResponse,
  reportDeviceFault,
} from "../../iommu/page_fault.ts";
import { IopfQueue } from "../../iommu/page_fault_queue.ts";
import { ENOSPC } from "../../uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IommuFaultAlloc,
  IommuHwptAlloc,
  IommuHwptPgfault,
} from "../../uapi/iommufd.ts";
import type { TestDevice } from "../../iommu/testing/test_driver.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import type { IommufdDevice } from "../attach/device.ts";
import { setHwptFault } from "./fault.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { Bench } from "../testing/bench.ts";
import { outcome } from "../testing/machine.ts";

/** Whether the page faults of a virtual function are refused, by revision and by whether it has PRI. */
const VIRTUAL_FUNCTIONS = [
  ["6.12", false, true],
  ["6.12", true, true],
  ["7.3", false, false],
  ["7.3", true, true],
] as const;

/** A bench whose driver switches page faults on when a domain handles them. */
class IopfBench extends Bench {
  readonly ioas: number;
  readonly fault: number;
  readonly fd: number;
  /** Page responses: the device and the code. */
  readonly answers: string[] = [];

  constructor(name?: RevisionName) {
    super(name);
    this.ops.iopfQueue = new IopfQueue();
    Object.assign(this.ops, {
      pageResponse: (dev: Device, _last: PageRequest, { code }: PageResponse) =>
        void this.answers.push(`${dev.name} ${code}`),
    });
    this.ioas = this.machine.ioas();
    const { outFaultId, outFaultFd } = this.machine.call(
      IOMMU_FAULT_QUEUE_ALLOC,
      IommuFaultAlloc,
    );
    this.fault = outFaultId;
    this.fd = outFaultFd;
  }

  /** A HWPT, with the fault queue or without. */
  hwpt(idev: IommufdDevice, faults: boolean): number {
    const answer = this.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
      devId: idev.id,
      ptId: this.ioas,
    });
    assertEquals(answer.ret, 0);
    if (faults) {
      const hwpt = this.ctx.objects.get(answer.outHwptId, HwPagetable);
      setHwptFault(hwpt, this.fault);
      hwpt.put();
    }
    return answer.outHwptId;
  }

  /** The devices whose faults are reported. */
  get faulting(): string[] {
    const all = [this.a, this.b, this.c];
    return all.filter((dev) => dev.faultParam).map((dev) => dev.name);
  }

  /** A device asks for a page; the id of the device that user space reads. */
  request(dev: TestDevice): number {
    reportDeviceFault(dev, {
      flags: IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
      pasid: 0,
      grpid: 1,
      perm: 0,
      addr: 0n,
    });
    const into = new Uint8Array(IommuHwptPgfault.size);
    assertEquals(this.machine.process.read(this.fd, into), into.length);
    return IommuHwptPgfault.decode(into).devId;
  }
}

describe("attaching to a HWPT with a fault queue", () => {
  it("lets the driver switch faults on, and off at the detach", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    c.attach(bench.hwpt(c, true));
    assertEquals(bench.faulting, ["c"]);
    bench.request(bench.c);
    c.detach();
    assertEquals(bench.faulting, []);
    assertEquals(bench.answers, [`c ${IOMMU_PAGE_RESP_INVALID}`]);
    // Another HWPT does nothing of the kind.
    c.attach(bench.hwpt(c, false));
    assertEquals(bench.faulting, []);
    c.detach();
    c.unbind();
    bench.end();
  });

  it("fails as the driver fails, with nothing attached", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const hwpt = bench.hwpt(c, true);
    bench.c.refuses.set(bench.ops.domains[0]!, ENOSPC);
    assertEquals(outcome(() => c.attach(hwpt)), "ENOSPC");
    bench.c.refuses.clear();
    Object.assign(bench.ops, { pageResponse: undefined });
    assertEquals(outcome(() => c.attach(hwpt)), "ENODEV");
    assertEquals([bench.faulting, bench.uses(bench.c)], [[], "blocked"]);
    assertEquals(bench.machine.destroy(hwpt), 0);
    c.unbind();
    bench.end();
  });

  for (const [name, hasPri, refused] of VIRTUAL_FUNCTIONS) {
    const what = hasPri ? "with" : "without";
    const answer = refused ? "EINVAL" : "allowed";
    it(`is ${answer} in ${name} for a virtual function ${what} PRI`, () => {
      const bench = new IopfBench(name);
      Object.assign(bench.c, { isVirtualFunction: true, hasPri });
      const c = bench.bind(bench.c);
      const [faulting, plain] = [bench.hwpt(c, true), bench.hwpt(c, false)];
      const expected = refused ? "EINVAL" : "ok";
      assertEquals(outcome(() => c.attach(faulting)), expected);
      if (!refused) c.detach();
      assertEquals(c.attach(plain), plain);
      assertEquals(outcome(() => c.replace(faulting)), expected);
      c.detach();
      c.unbind();
      bench.end();
    });
  }
});

describe("replacing a HWPT", () => {
  it("answers what came through the old one, and keeps faults on between two", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const plain = bench.hwpt(c, false);
    const faulting = [bench.hwpt(c, true), bench.hwpt(c, true)] as const;
    c.attach(plain);
    c.replace(faulting[0]);
    assertEquals(bench.faulting, ["c"]);
    bench.request(bench.c);
    c.replace(faulting[0]);
    assertEquals(bench.answers, []);
    c.replace(faulting[1]);
    assertEquals(bench.answers, [`c ${IOMMU_PAGE_RESP_INVALID}`]);
    assertEquals(bench.faulting, ["c"]);
    c.replace(plain);
    assertEquals(bench.faulting, []);
    c.detach();
    c.unbind();
    bench.end();
  });

  it("changes nothing when it fails", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const [plain, faulting] = [bench.hwpt(c, false), bench.hwpt(c, true)];
    c.attach(plain);
    const [first, second] = bench.ops.domains;
    bench.c.refuses.set(second!, ENOSPC);
    assertEquals(outcome(() => c.replace(faulting)), "ENOSPC");
    assertEquals(bench.faulting, []);
    bench.c.refuses.clear();
    c.replace(faulting);
    bench.request(bench.c);
    bench.c.refuses.set(first!, ENOSPC);
    assertEquals(outcome(() => c.replace(plain)), "ENOSPC");
    assertEquals([bench.faulting, bench.answers], [["c"], []]);
    c.detach();
    c.unbind();
    bench.end();
  });
});

describe("a group with page faults", () => {
  it("has them for all its devices, under the id of the one that attached first", () => {
    const bench = new IopfBench();
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const hwpt = bench.hwpt(a, true);
    b.attach(hwpt);
    a.attach(hwpt);
    assertEquals(bench.faulting, ["a", "b"]);
    for (const dev of [bench.a, bench.b]) {
      assertEquals(bench.request(dev), b.id);
    }
    b.detach();
    assertEquals(bench.faulting, ["a", "b"]);
    a.detach();
    assertEquals(bench.faulting, []);
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });
});
