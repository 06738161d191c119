// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Device } from "../../iommu/device.ts";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
  reportDeviceFault,
} from "../../iommu/page_fault.ts";
import { IopfQueue } from "../../iommu/page_fault_queue.ts";
import { EBUSY, ENOSPC, type Errno } from "../../uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IommuFaultAlloc,
  IommuHwptAlloc,
  IommuHwptPgfault,
} from "../../uapi/iommufd.ts";
import type { IommufdDevice } from "../attach/device.ts";
import { setHwptFault } from "./fault.ts";
import { HwPagetable } from "../hwpt/hw_pagetable.ts";
import { Bench } from "../testing/bench.ts";
import { outcome } from "../testing/machine.ts";

/** A bench whose driver reports faults and notes when it is switched on and off. */
class IopfBench extends Bench {
  readonly ioas: number;
  readonly fault: number;
  readonly fd: number;
  /** `on` and `off`, the device, and what it uses at that moment. */
  readonly log: string[] = [];
  /** What switching on and off fails with. */
  onErrno: Errno | undefined;
  offErrno: Errno | undefined;

  constructor() {
    super();
    const queue = new IopfQueue();
    const feature = (what: string, dev: Device) => {
      const used = [this.a, this.b, this.c].find((each) => each === dev)!;
      this.log.push(`${what} ${dev.name} ${this.uses(used)}`);
    };
    Object.assign(this.ops, {
      devEnableFeat: (dev: Device) => {
        if (this.onErrno) throw this.onErrno;
        queue.addDevice(dev);
        feature("on", dev);
      },
      devDisableFeat: (dev: Device) => {
        feature("off", dev);
        if (this.offErrno) throw this.offErrno;
        queue.removeDevice(dev);
      },
      pageResponse: () => {},
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

  /** What was noted since the last call. */
  events(): string[] {
    return this.log.splice(0);
  }
}

describe("attaching to a HWPT with a fault queue", () => {
  it("switches faults on before, and off after the detach", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    c.attach(bench.hwpt(c, true));
    assertEquals(bench.uses(bench.c), 0);
    assertEquals(bench.events(), ["on c blocked"]);
    c.detach();
    assertEquals(bench.events(), ["off c blocked"]);
    // Another HWPT does nothing of the kind.
    c.attach(bench.hwpt(c, false));
    c.detach();
    assertEquals(bench.events(), []);
    c.unbind();
    bench.end();
  });

  it("fails as the driver fails, with nothing attached", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const hwpt = bench.hwpt(c, true);
    bench.onErrno = ENOSPC;
    assertEquals(outcome(() => c.attach(hwpt)), "ENOSPC");
    assertEquals(bench.uses(bench.c), "blocked");
    bench.onErrno = undefined;
    Object.assign(bench.ops, { devEnableFeat: undefined });
    assertEquals(outcome(() => c.attach(hwpt)), "ENODEV");
    assertEquals(bench.machine.destroy(hwpt), 0);
    assertEquals(bench.events(), []);
    c.unbind();
    bench.end();
  });

  it("switches faults off again when the domain does not fit", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const hwpt = bench.hwpt(c, true);
    bench.c.refuses.set(bench.ops.domains[0]!, ENOSPC);
    assertEquals(outcome(() => c.attach(hwpt)), "ENOSPC");
    assertEquals(bench.events(), ["on c blocked", "off c blocked"]);
    bench.c.refuses.clear();
    assertEquals(c.attach(hwpt), hwpt);
    assertEquals(bench.events(), ["on c blocked"]);
    c.detach();
    c.unbind();
    bench.end();
  });

  it("is EINVAL for a virtual function, which other HWPTs take", () => {
    const bench = new IopfBench();
    bench.c.isVirtualFunction = true;
    const c = bench.bind(bench.c);
    const [faulting, plain] = [bench.hwpt(c, true), bench.hwpt(c, false)];
    assertEquals(outcome(() => c.attach(faulting)), "EINVAL");
    assertEquals(c.attach(plain), plain);
    assertEquals(outcome(() => c.replace(faulting)), "EINVAL");
    assertEquals(bench.events(), []);
    c.detach();
    c.unbind();
    bench.end();
  });

  it("does not mind a driver that cannot switch faults off", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    c.attach(bench.hwpt(c, true));
    bench.offErrno = EBUSY;
    c.detach();
    assertEquals(bench.events(), ["on c blocked", "off c blocked"]);
    assertEquals(c.iopfEnabled, 0);
    c.unbind();
    bench.end();
  });
});

describe("replacing a HWPT", () => {
  it("switches faults only between one that handles them and one that does not", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const plain = [bench.hwpt(c, false), bench.hwpt(c, false)] as const;
    const faulting = [bench.hwpt(c, true), bench.hwpt(c, true)] as const;
    c.attach(plain[0]);
    c.replace(plain[1]);
    assertEquals(bench.events(), []);
    // On before the new domain, off after it.
    c.replace(faulting[0]);
    assertEquals(bench.events(), ["on c 1"]);
    c.replace(faulting[1]);
    c.replace(faulting[1]);
    assertEquals(bench.events(), []);
    c.replace(plain[0]);
    assertEquals(bench.events(), ["off c 0"]);
    c.detach();
    assertEquals(bench.events(), []);
    c.unbind();
    bench.end();
  });

  it("switches back what it switched when it fails", () => {
    const bench = new IopfBench();
    const c = bench.bind(bench.c);
    const [plain, faulting] = [bench.hwpt(c, false), bench.hwpt(c, true)];
    c.attach(plain);
    const [first, second] = bench.ops.domains;
    bench.c.refuses.set(second!, ENOSPC);
    assertEquals(outcome(() => c.replace(faulting)), "ENOSPC");
    assertEquals(bench.events(), ["on c 0", "off c 0"]);
    bench.onErrno = EBUSY;
    assertEquals(outcome(() => c.replace(faulting)), "EBUSY");
    assertEquals(bench.events(), []);
    bench.onErrno = undefined;

    bench.c.refuses.clear();
    c.replace(faulting);
    assertEquals(bench.events(), ["on c 0"]);
    bench.c.refuses.set(first!, ENOSPC);
    assertEquals(outcome(() => c.replace(plain)), "ENOSPC");
    assertEquals(bench.events(), []);
    assertEquals(c.iopfEnabled, 1);
    c.detach();
    assertEquals(bench.events(), ["off c blocked"]);
    c.unbind();
    bench.end();
  });
});

describe("a group with page faults", () => {
  it("has them through the device that attached first", () => {
    const bench = new IopfBench();
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const hwpt = bench.hwpt(a, true);
    b.attach(hwpt);
    a.attach(hwpt);
    assertEquals(bench.events(), ["on b blocked"]);
    reportDeviceFault(bench.b, {
      flags: IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
      pasid: 0,
      grpid: 1,
      perm: 0,
      addr: 0n,
    });
    const into = new Uint8Array(IommuHwptPgfault.size);
    assertEquals(bench.machine.process.read(bench.fd, into), into.length);
    assertEquals(IommuHwptPgfault.decode(into).devId, b.id);
    a.detach();
    assertEquals(bench.events(), []);
    b.detach();
    assertEquals(bench.events(), ["off b blocked"]);
    for (const idev of [a, b]) idev.unbind();
    bench.end();
  });

  it("keeps them on, with a warning, if another device detaches last", () => {
    const bench = new IopfBench();
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const hwpt = bench.hwpt(a, true);
    a.attach(hwpt);
    b.attach(hwpt);
    a.detach();
    b.detach();
    assertEquals(bench.events(), ["on a blocked"]);
    assertEquals([a.iopfEnabled, b.iopfEnabled], [1, 0]);
    for (const idev of [a, b]) idev.unbind();
    // The device is still in the driver's queue.
    const again = bench.bind(bench.a);
    assertEquals(outcome(() => again.attach(hwpt)), "EBUSY");
    again.unbind();
    bench.end(["iommufd: page faults of b are off already"]);
  });
});
