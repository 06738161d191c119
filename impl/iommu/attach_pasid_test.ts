// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EBUSY,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
} from "../uapi/errno.ts";
import {
  attachDevicePasid,
  attachGroupHandle,
  attachHandleGet,
  detachDevicePasid,
  replaceDevicePasid,
} from "./attach.ts";
import { AttachHandle } from "./group.ts";
import {
  errnoOf,
  groupOfTwo,
  TestDevice,
  TestOps,
} from "./testing/test_driver.ts";

/** Two devices of a group with 16 and 8 PASIDs, and two domains. */
function bench() {
  const two = groupOfTwo();
  const { a, b, ops } = two;
  a.maxPasids = 16;
  b.maxPasids = 8;
  return {
    ...two,
    other: ops.domainAllocPaging(a),
    handle: new AttachHandle(),
  };
}

describe("attachDevicePasid()", () => {
  it("attaches every device of the group that has PASIDs", () => {
    const { a, b, group, domain, handle } = bench();
    attachDevicePasid(domain, a, 5, handle);
    for (const dev of [a, b]) {
      assertStrictEquals(dev.pasids.get(5), domain);
      assertEquals(dev.pasidCalls, ["5: nothing to paging"]);
    }
    assertStrictEquals(attachHandleGet(group, 5), handle);
    assertStrictEquals(handle.domain, domain);
    // The device's DMA without PASID is as before.
    assertStrictEquals(errnoOf(() => attachHandleGet(group, 0)), ENOENT);
    detachDevicePasid(domain, b, 5);
    for (const dev of [a, b]) {
      assertEquals(dev.pasids.size, 0);
      assertEquals(dev.pasidCalls.at(-1), "5: paging to blocked");
    }
    assertStrictEquals(errnoOf(() => attachHandleGet(group, 5)), ENOENT);
  });

  it("leaves out a device without PASIDs", () => {
    const { a, b, domain, handle } = bench();
    b.maxPasids = 0;
    attachDevicePasid(domain, b, 15, handle);
    assertEquals([a.pasids.size, b.pasidCalls.length], [1, 0]);
    detachDevicePasid(domain, b, 15);
    assertEquals([a.pasids.size, b.pasidCalls.length], [0, 0]);
  });

  it("needs a group, a driver that can, a domain of its own and a PASID", () => {
    const { a, ops, domain, group, handle } = bench();
    const lone = new TestDevice(ops, "lone");
    const attach = (dev = a, pasid = 5, what = domain) =>
      errnoOf(() => attachDevicePasid(what, dev, pasid, handle));
    assertStrictEquals(attach(lone), ENODEV);
    const foreign = new TestOps().domainAllocPaging(a);
    assertStrictEquals(attach(a, 5, foreign), EINVAL);
    assertStrictEquals(attach(a, 0), EINVAL);
    // The driver is asked for first.
    Object.assign(foreign, { setDevPasid: undefined });
    assertStrictEquals(attach(a, 5, foreign), EOPNOTSUPP);
    const blocked = ops.blockedDomain!;
    Object.assign(blocked, { setDevPasid: undefined });
    assertStrictEquals(attach(a, 0), EOPNOTSUPP);
    delete ops.blockedDomain;
    assertStrictEquals(attach(), EOPNOTSUPP);
    assertEquals(group.pasidArray.size, 0);
  });

  it("refuses a PASID that one device does not have, and one that is taken", () => {
    const { a, b, domain, other, handle } = bench();
    const attach = (pasid: number) =>
      errnoOf(() => attachDevicePasid(other, a, pasid, new AttachHandle()));
    attachDevicePasid(domain, a, 7, handle);
    assertStrictEquals(attach(7), EBUSY);
    assertStrictEquals(attach(8), EINVAL);
    b.maxPasids = 0;
    assertStrictEquals(attach(8), undefined);
    assertStrictEquals(attach(16), EINVAL);
    a.maxPasids = 7;
    assertStrictEquals(attach(7), EINVAL);
  });

  it("blocks the devices that took it where a later one does not", () => {
    const { a, b, group, domain, ops, handle } = bench();
    b.refusesPasid.set(domain, ENOSPC);
    const attach = () => attachDevicePasid(domain, a, 5, handle);
    assertStrictEquals(errnoOf(attach), ENOSPC);
    assertEquals(a.pasidCalls, [
      "5: nothing to paging",
      "5: paging to blocked",
    ]);
    assertEquals(b.pasidCalls, ["5: nothing to paging"]);
    assertEquals([a.pasids.size, group.pasidArray.size], [0, 0]);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });

  it("warns of a driver that cannot block", () => {
    const { a, ops, group, domain, handle } = bench();
    attachDevicePasid(domain, a, 5, handle);
    a.refusesPasid.set(ops.blockedDomain!, ENOMEM);
    detachDevicePasid(domain, a, 5);
    assertEquals(group.pasidArray.size, 0);
    assertEquals(ops.iommu.kernel.warnings.list, [
      "IOMMU driver of a failed to attach PASID 5 to a blocked domain: ENOMEM",
    ]);
  });
});

describe("replaceDevicePasid()", () => {
  it("moves every device and takes the new handle", () => {
    const { a, b, group, domain, other, handle } = bench();
    attachDevicePasid(domain, a, 5, handle);
    const next = new AttachHandle();
    replaceDevicePasid(other, b, 5, next);
    for (const dev of [a, b]) {
      assertStrictEquals(dev.pasids.get(5), other);
      assertEquals(dev.pasidCalls.at(-1), "5: paging to paging");
    }
    assertStrictEquals(attachHandleGet(group, 5), next);
    // The same domain with another handle: the driver is not asked.
    const calls = a.pasidCalls.length;
    replaceDevicePasid(other, a, 5, handle);
    assertStrictEquals(attachHandleGet(group, 5), handle);
    assertEquals(a.pasidCalls.length, calls);
  });

  it("needs something to replace, and what an attachment needs", () => {
    const { a, group, domain, other, handle } = bench();
    const replace = (pasid: number, what = other) =>
      errnoOf(() => replaceDevicePasid(what, a, pasid, new AttachHandle()));
    assertStrictEquals(replace(5), EINVAL);
    attachGroupHandle(domain, group, new AttachHandle());
    assertStrictEquals(replace(0), EINVAL);
    attachDevicePasid(domain, a, 5, handle);
    assertStrictEquals(replace(5, new TestOps().domainAllocPaging(a)), EINVAL);
    assertStrictEquals(attachHandleGet(group, 5), handle);
  });

  it("gives the devices that moved their domain back where a later one does not", () => {
    const { a, b, ops, group, domain, other, handle } = bench();
    attachDevicePasid(domain, a, 5, handle);
    b.refusesPasid.set(other, ENOSPC);
    const replace = () => replaceDevicePasid(other, a, 5, new AttachHandle());
    assertStrictEquals(errnoOf(replace), ENOSPC);
    for (const dev of [a, b]) assertStrictEquals(dev.pasids.get(5), domain);
    assertStrictEquals(attachHandleGet(group, 5), handle);
    assertEquals(ops.iommu.kernel.warnings.list, []);
    // A device that cannot go back is blocked.
    a.refusesPasid.set(domain, ENOMEM);
    assertStrictEquals(errnoOf(replace), ENOSPC);
    assertEquals(a.pasids.size, 0);
    assertEquals(a.pasidCalls.slice(-3), [
      "5: paging to paging",
      "5: paging to paging",
      "5: paging to blocked",
    ]);
    assertEquals(ops.iommu.kernel.warnings.list, [
      "IOMMU driver of a failed to attach PASID 5 to a paging domain: ENOMEM",
    ]);
  });
});
