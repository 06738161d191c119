// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../kernel/core.ts";
import { KernelBug } from "../kernel/warn.ts";
import { EBUSY, EINVAL, ENODEV, ENOMEM, ENOSPC } from "../uapi/errno.ts";
import {
  attachGroupHandle,
  detachGroupHandle,
  replaceGroupHandle,
} from "./attach.ts";
import type { Device } from "./device.ts";
import { AttachHandle } from "./group.ts";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE as LAST_PAGE,
  IOMMU_FAULT_PAGE_REQUEST_PASID_VALID as PASID_VALID,
  IOMMU_PAGE_RESP_FAILURE as FAILURE,
  IOMMU_PAGE_RESP_INVALID as INVALID,
  IOMMU_PAGE_RESP_SUCCESS as SUCCESS,
  type IopfGroup,
  type PageRequest,
  type PageResponse,
  reportDeviceFault,
} from "./page_fault.ts";
import { IopfQueue } from "./page_fault_queue.ts";
import { probeDevice, releaseDevice } from "./probe.ts";
import {
  errnoOf,
  TestDevice,
  TestDomain,
  TestOps,
} from "./testing/test_driver.ts";

/** A kernel that runs out of memory on demand. */
class TightKernel extends KernelCore {
  outOfMemory = false;

  override fails(): boolean {
    return this.outOfMemory;
  }
}

/** A driver with one fault queue that notes what it is to answer. */
class FaultOps extends TestOps {
  userPasidTable = false;
  readonly queue = new IopfQueue();
  /** Answers as `device:group:pasid:code`. */
  readonly answers: string[] = [];
  readonly kernel: TightKernel;

  constructor() {
    const kernel = new TightKernel({ memory: 2 ** 21 });
    super(kernel);
    this.kernel = kernel;
  }

  pageResponse(dev: Device, _last: PageRequest, response: PageResponse): void {
    const { grpid, pasid, code } = response;
    this.answers.push(`${dev.name}:${grpid}:${pasid}:${code}`);
  }
}

/** A driver, and a probed device in its queue that is attached to a domain with a handler. */
function setup(type: "paging" | "nested" = "paging"): {
  ops: FaultOps;
  dev: TestDevice;
  domain: TestDomain;
  handle: AttachHandle;
  /** Groups that the handler took: it dequeued them and did not answer. */
  taken: IopfGroup[];
} {
  const ops = new FaultOps();
  const dev = new TestDevice(ops, "a");
  probeDevice(dev);
  ops.queue.addDevice(dev);
  const domain = new TestDomain({ owner: ops }, type);
  const taken: IopfGroup[] = [];
  domain.iopfHandler = (group) => {
    group.dequeue();
    taken.push(group);
  };
  const handle = new AttachHandle();
  attachGroupHandle(domain, dev.group!, handle);
  return { ops, dev, domain, handle, taken };
}

function request(values: Partial<PageRequest> = {}): PageRequest {
  return { flags: LAST_PAGE, pasid: 0, grpid: 1, perm: 3, addr: 0n, ...values };
}

/** A request that is not the last of its group. */
function partial(grpid: number, addr: bigint, pasid = 0): PageRequest {
  return request({ flags: 0, grpid, addr, pasid });
}

function addresses({ faults }: IopfGroup): bigint[] {
  return faults.map(({ addr }) => addr);
}

describe("reporting a page fault", () => {
  it("delivers a request that is the last of its group at once", () => {
    const { ops, dev, handle, taken } = setup();
    const fault = request({ grpid: 7, addr: 0x1234000n });
    reportDeviceFault(dev, fault);
    assertEquals(taken.length, 1);
    assertEquals(taken[0]!.faults, [fault]);
    assertStrictEquals(taken[0]!.attachHandle, handle);
    assertStrictEquals(taken[0]!.dev, dev);
    assertEquals(ops.answers, []);
  });

  it("keeps the others until then, and delivers them in the order they came", () => {
    const { ops, dev, taken } = setup();
    for (const [grpid, addr] of [[1, 10n], [2, 20n], [1, 11n]] as const) {
      reportDeviceFault(dev, partial(grpid, addr));
    }
    assertEquals(taken, []);
    reportDeviceFault(dev, request({ grpid: 1, addr: 12n }));
    reportDeviceFault(dev, request({ grpid: 2, addr: 21n }));
    reportDeviceFault(dev, request({ grpid: 1, addr: 13n }));
    assertEquals(taken.map(addresses), [[10n, 11n, 12n], [20n, 21n], [13n]]);
    assertEquals(ops.answers, []);
  });

  it("puts requests of different PASIDs into one group if the number is the same", () => {
    const { ops, dev, handle, taken } = setup();
    dev.group!.pasidArray.set(5, handle);
    reportDeviceFault(dev, partial(1, 10n));
    const flags = LAST_PAGE | PASID_VALID;
    reportDeviceFault(dev, request({ flags, pasid: 5, addr: 11n }));
    assertEquals(addresses(taken[0]!), [10n, 11n]);
    taken[0]!.response(SUCCESS);
    assertEquals(ops.answers, [`a:1:5:${SUCCESS}`]);
  });

  it("keeps the requests of two devices apart", () => {
    const { ops, dev, domain, taken } = setup();
    const other = new TestDevice(ops, "b");
    probeDevice(other);
    ops.queue.addDevice(other);
    attachGroupHandle(domain, other.group!, new AttachHandle());
    reportDeviceFault(dev, partial(1, 10n));
    reportDeviceFault(other, request({ addr: 20n }));
    reportDeviceFault(dev, request({ addr: 11n }));
    assertEquals(taken.map(addresses), [[20n], [10n, 11n]]);
    assertEquals(taken.map((group) => group.dev.name), ["b", "a"]);
  });

  it("is answered once, to the driver, with the last request", () => {
    const { ops, dev, taken } = setup();
    const seen: PageRequest[] = [];
    const { pageResponse } = ops;
    ops.pageResponse = (dev, last, response) => {
      seen.push(last);
      pageResponse.call(ops, dev, last, response);
    };
    reportDeviceFault(dev, partial(4, 1n));
    const last = request({ grpid: 4, addr: 2n });
    reportDeviceFault(dev, last);
    taken[0]!.response(SUCCESS);
    assertStrictEquals(seen[0], last);
    assertEquals(ops.answers, [`a:4:0:${SUCCESS}`]);
    assertThrows(() => taken[0]!.response(SUCCESS), KernelBug, "twice");
  });
});

describe("finding who handles a page fault", () => {
  it("is EINVAL, answered INVALID, where nothing is attached or nothing handles faults", () => {
    const { ops, dev, domain, taken } = setup();
    const answer = `a:1:0:${INVALID}`;
    domain.iopfHandler = undefined;
    assertStrictEquals(
      errnoOf(() => reportDeviceFault(dev, request())),
      EINVAL,
    );
    detachGroupHandle(domain, dev.group!);
    assertStrictEquals(
      errnoOf(() => reportDeviceFault(dev, request())),
      EINVAL,
    );
    // Not the last of its group: answered all the same.
    const report = () => reportDeviceFault(dev, partial(1, 0n));
    assertStrictEquals(errnoOf(report), EINVAL);
    assertEquals(ops.answers, [answer, answer, answer]);
    assertEquals(taken, []);
    assertEquals(ops.kernel.warnings.list, []);
  });

  it("asks for the attachment of the PASID, and not for the one without", () => {
    const { ops, dev, domain, taken } = setup();
    const handle = new AttachHandle();
    handle.domain = domain;
    dev.group!.pasidArray.set(9, handle);
    const flags = LAST_PAGE | PASID_VALID;
    reportDeviceFault(dev, request({ flags, pasid: 9 }));
    assertStrictEquals(taken[0]!.attachHandle, handle);
    const report = () => reportDeviceFault(dev, request({ flags, pasid: 8 }));
    assertStrictEquals(errnoOf(report), EINVAL);
    assertEquals(ops.answers, [`a:1:8:${INVALID}`]);
    // A PASID that is not valid does not count.
    reportDeviceFault(dev, request({ pasid: 8 }));
    assertEquals(taken.length, 2);
  });

  it("leaves unknown PASIDs to the nested domain where user space has the table", () => {
    const fault = request({ flags: LAST_PAGE | PASID_VALID, pasid: 8 });
    for (const type of ["nested", "paging"] as const) {
      const { ops, dev, handle, taken } = setup(type);
      ops.userPasidTable = true;
      const errno = errnoOf(() => reportDeviceFault(dev, fault));
      assertStrictEquals(errno, type === "nested" ? undefined : EINVAL);
      assertEquals(
        taken.map((group) => group.attachHandle),
        type === "nested" ? [handle] : [],
      );
    }
    const { dev } = setup("nested");
    assertStrictEquals(errnoOf(() => reportDeviceFault(dev, fault)), EINVAL);
  });

  it("warns of a device that is in no queue", () => {
    const { ops, dev, taken } = setup();
    ops.queue.removeDevice(dev);
    assertStrictEquals(
      errnoOf(() => reportDeviceFault(dev, request())),
      EINVAL,
    );
    assertEquals(ops.answers, [`a:1:0:${INVALID}`]);
    assertEquals(taken, []);
    assertEquals(ops.kernel.warnings.list, [
      "a faults on a domain that handles faults, but is in no queue",
    ]);
  });

  it("is a bug of the driver without group or without a way to answer", () => {
    const { ops, dev, domain } = setup();
    detachGroupHandle(domain, dev.group!);
    Object.assign(ops, { pageResponse: undefined });
    assertThrows(
      () => reportDeviceFault(dev, request()),
      KernelBug,
      "cannot answer",
    );
    releaseDevice(dev);
    assertThrows(
      () => reportDeviceFault(dev, request()),
      KernelBug,
      "not behind an IOMMU",
    );
  });
});

describe("a page fault that cannot be handled", () => {
  it("is answered FAILURE when its handler refuses, and the report succeeds", () => {
    const { ops, dev, domain } = setup();
    domain.iopfHandler = () => {
      throw ENOSPC;
    };
    reportDeviceFault(dev, partial(1, 1n));
    reportDeviceFault(dev, request());
    assertEquals(ops.answers, [`a:1:0:${FAILURE}`]);
    ops.queue.removeDevice(dev);
    assertEquals(ops.answers.length, 1);
  });

  it("is answered FAILURE without memory; the group's requests are gone", () => {
    const { ops, dev, taken } = setup();
    reportDeviceFault(dev, partial(1, 1n));
    ops.kernel.outOfMemory = true;
    reportDeviceFault(dev, request());
    assertEquals(ops.answers, [`a:1:0:${FAILURE}`]);
    ops.kernel.outOfMemory = false;
    reportDeviceFault(dev, request({ addr: 2n }));
    assertEquals(taken.map(addresses), [[2n]]);
  });

  it("is lost, ENOMEM, if it cannot be kept for its group", () => {
    const { ops, dev, taken } = setup();
    ops.kernel.outOfMemory = true;
    const report = () => reportDeviceFault(dev, partial(1, 1n));
    assertStrictEquals(errnoOf(report), ENOMEM);
    ops.kernel.outOfMemory = false;
    reportDeviceFault(dev, request({ addr: 2n }));
    assertEquals(taken.map(addresses), [[2n]]);
    assertEquals(ops.answers, []);
  });

  it("lets a bug of the handler through", () => {
    const { dev, domain } = setup();
    domain.iopfHandler = () => {
      throw new TypeError("a bug");
    };
    assertThrows(() => reportDeviceFault(dev, request()), TypeError, "a bug");
  });
});

describe("a fault queue", () => {
  it("takes a device once, of a driver that can answer", () => {
    const { ops, dev } = setup();
    const add = () => new IopfQueue().addDevice(dev);
    assertStrictEquals(errnoOf(add), EBUSY);
    ops.queue.removeDevice(dev);
    ops.kernel.outOfMemory = true;
    assertStrictEquals(errnoOf(add), ENOMEM);
    assertStrictEquals(dev.faultParam, null);
    ops.kernel.outOfMemory = false;
    assertStrictEquals(errnoOf(add), undefined);
    const mute = new TestDevice(new TestOps(), "mute");
    const addMute = () => ops.queue.addDevice(mute);
    assertStrictEquals(errnoOf(addMute), ENODEV);
  });

  it("forgets a device's incomplete groups and answers the pending ones, newest first", () => {
    const { ops, dev, domain } = setup();
    const kept: IopfGroup[] = [];
    domain.iopfHandler = (group) => void kept.push(group);
    reportDeviceFault(dev, partial(9, 9n));
    for (const grpid of [1, 2, 3]) reportDeviceFault(dev, request({ grpid }));
    kept[1]!.dequeue();
    ops.queue.removeDevice(dev);
    assertEquals(ops.answers, [`a:3:0:${INVALID}`, `a:1:0:${INVALID}`]);
    // What its handler dequeued is still to be answered.
    kept[1]!.response(SUCCESS);
    assertEquals(ops.answers[2], `a:2:0:${SUCCESS}`);

    ops.queue.addDevice(dev);
    reportDeviceFault(dev, request({ grpid: 9, addr: 10n }));
    assertEquals(addresses(kept[3]!), [10n]);
  });

  it("warns when a device is removed that it does not have", () => {
    const { ops, dev, taken } = setup();
    new IopfQueue().removeDevice(dev);
    const warning = "a is not in the fault queue that it is removed from";
    assertEquals(ops.kernel.warnings.list, [warning]);
    reportDeviceFault(dev, request());
    assertEquals(taken.length, 1);
    ops.queue.removeDevice(dev);
    ops.queue.removeDevice(dev);
    assertEquals(ops.kernel.warnings.list, [warning, warning]);
  });

  it("drops the incomplete groups of all its devices on overflow", () => {
    const { ops, dev, domain, taken } = setup();
    const other = new TestDevice(ops, "b");
    probeDevice(other);
    ops.queue.addDevice(other);
    attachGroupHandle(domain, other.group!, new AttachHandle());
    for (const each of [dev, other]) reportDeviceFault(each, partial(1, 1n));
    ops.queue.discardPartial();
    for (const each of [dev, other]) {
      reportDeviceFault(each, request({ addr: 2n }));
    }
    assertEquals(taken.map(addresses), [[2n], [2n]]);
    assertEquals(ops.answers, []);
  });

  it("removes all its devices when it is freed", () => {
    const { ops, dev, domain } = setup();
    const other = new TestDevice(ops, "b");
    probeDevice(other);
    ops.queue.addDevice(other);
    domain.iopfHandler = () => {};
    attachGroupHandle(domain, other.group!, new AttachHandle());
    for (const each of [dev, other]) reportDeviceFault(each, request());
    ops.queue.free();
    assertEquals(ops.answers, [`b:1:0:${INVALID}`, `a:1:0:${INVALID}`]);
    assertEquals([dev.faultParam, other.faultParam], [null, null]);
    assertEquals(ops.kernel.warnings.list, []);
  });
});

/** A driver whose domains see to their own faults, a device of it, and two domains of which the second handles faults. */
function changing() {
  const ops = new FaultOps();
  ops.iopfQueue = ops.queue;
  const dev = new TestDevice(ops, "a");
  probeDevice(dev);
  const [plain, faulting] = [0, 1].map(() =>
    new TestDomain({ owner: ops }, "paging")
  ) as [TestDomain, TestDomain];
  faulting.iopfHandler = () => {};
  return { ops, dev, plain, faulting };
}

describe("changing the domain of a device", () => {
  it("has it in the queue while a domain handles its faults", () => {
    const { ops, dev, plain, faulting } = changing();
    const { queue } = ops;
    queue.changeDomain(dev, plain, null);
    assertEquals(dev.faultParam, null);
    queue.changeDomain(dev, faulting, plain);
    assertEquals(dev.faultParam?.domains, 1);
    // Between two of them it stays there, also where they are the same.
    dev.faultParam!.partial.push(partial(1, 0n));
    queue.changeDomain(dev, faulting, faulting);
    assertEquals(dev.faultParam?.partial.length, 1);
    // A PASID has a domain of its own.
    queue.changeDomain(dev, faulting, null);
    queue.changeDomain(dev, plain, faulting);
    assertEquals(dev.faultParam?.domains, 1);
    queue.changeDomain(dev, plain, faulting);
    assertEquals(dev.faultParam, null);
    assertEquals(ops.kernel.warnings.list, []);
  });

  it("fails as adding the device does, and changes nothing then", () => {
    const { ops, dev, plain, faulting } = changing();
    const change = () => ops.queue.changeDomain(dev, faulting, plain);
    ops.kernel.outOfMemory = true;
    assertStrictEquals(errnoOf(change), ENOMEM);
    ops.kernel.outOfMemory = false;
    // Somebody else has switched them on.
    ops.queue.addDevice(dev);
    assertStrictEquals(errnoOf(change), EBUSY);
    assertEquals(dev.faultParam?.domains, 0);
    ops.queue.removeDevice(dev);
    change();
    assertEquals(dev.faultParam?.domains, 1);
  });

  it("warns if faults are to be switched off that are not on", () => {
    const { ops, dev, plain, faulting } = changing();
    ops.queue.changeDomain(dev, plain, faulting);
    assertEquals(ops.kernel.warnings.list, [
      "a is not in the fault queue that it is removed from",
    ]);
  });

  it("is what attaching, going back and detaching do", () => {
    const { ops, dev, plain, faulting } = changing();
    const group = dev.group!;
    ops.sharedGroup = group;
    const other = new TestDevice(ops, "b");
    probeDevice(other);
    const inQueue = () =>
      [dev, other].map(({ faultParam }) => faultParam?.domains ?? 0);
    attachGroupHandle(plain, group, new AttachHandle());
    other.refuses.set(faulting, ENOSPC);
    const replace = () =>
      replaceGroupHandle(group, faulting, new AttachHandle());
    assertStrictEquals(errnoOf(replace), ENOSPC);
    assertEquals(inQueue(), [0, 0]);
    other.refuses.clear();
    replace();
    assertEquals(inQueue(), [1, 1]);
    detachGroupHandle(faulting, group);
    assertEquals(inQueue(), [0, 0]);
    assertEquals(ops.kernel.warnings.list, []);
  });
});
