// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../kernel/core.ts";
import { EBUSY, EINVAL, ENOENT, ENOSPC, type Errno } from "../uapi/errno.ts";
import {
  attachGroup,
  attachGroupHandle,
  attachHandleGet,
  detachGroup,
  detachGroupHandle,
  replaceGroupHandle,
} from "./attach.ts";
import { deviceClaimDmaOwner } from "./dma_owner.ts";
import { AttachHandle, IOMMU_NO_PASID } from "./group.ts";
import { errnoOf, groupOfTwo, LARGE, TestOps } from "./testing/test_driver.ts";

describe("attaching a domain to a group", () => {
  it("attaches every device; detaching goes back to what the owner state says", () => {
    const { a, b, group, domain, ops } = groupOfTwo();
    attachGroup(domain, group);
    assertStrictEquals(a.uses, domain);
    assertStrictEquals(b.uses, domain);
    detachGroup(domain, group);
    assertStrictEquals(b.uses, group.defaultDomain);

    deviceClaimDmaOwner(a, {});
    attachGroup(domain, group);
    assertStrictEquals(b.uses, domain);
    detachGroup(domain, group);
    assertStrictEquals(a.uses, ops.blockedDomain);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });

  it("is EBUSY over another domain and over itself", () => {
    const { a, group, domain, ops } = groupOfTwo();
    attachGroup(domain, group);
    const other = ops.domainAllocPaging(a);
    assertStrictEquals(errnoOf(() => attachGroup(other, group)), EBUSY);
    assertStrictEquals(errnoOf(() => attachGroup(domain, group)), EBUSY);
    assertStrictEquals(a.uses, domain);
  });

  it("is EINVAL for a domain of another driver", () => {
    const { group, domain } = groupOfTwo();
    const { domain: foreign } = groupOfTwo();
    assertStrictEquals(errnoOf(() => attachGroup(foreign, group)), EINVAL);
    assertStrictEquals(errnoOf(() => attachGroup(domain, group)), undefined);
  });

  it("is EINVAL for one of another driver in place of its own, too", () => {
    const { a, group, domain } = groupOfTwo();
    const { domain: foreign } = groupOfTwo();
    attachGroup(domain, group);
    const replace = () =>
      replaceGroupHandle(group, foreign, new AttachHandle());
    assertStrictEquals(errnoOf(replace), EINVAL);
    assertStrictEquals(a.uses, domain);
  });

  it("takes the first device back when the second refuses", () => {
    const { a, b, group, domain, ops } = groupOfTwo();
    const before = a.uses;
    b.refuses.set(domain, EINVAL);
    assertStrictEquals(errnoOf(() => attachGroup(domain, group)), EINVAL);
    assertStrictEquals(a.attempts.at(-2), domain);
    assertStrictEquals(a.uses, before);
    assertStrictEquals(b.uses, before);
    assertStrictEquals(group.domain, before);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });

  it("warns and blocks a device that cannot go back either", () => {
    const { a, b, group, domain, ops } = groupOfTwo();
    const owner = {};
    deviceClaimDmaOwner(a, owner);
    attachGroup(domain, group);
    const other = ops.domainAllocPaging(a);
    b.refuses.set(other, ENOSPC);
    a.refuses.set(domain, ENOSPC);
    assertStrictEquals(
      errnoOf(() => replaceGroupHandle(group, other, new AttachHandle())),
      ENOSPC,
    );
    assertEquals(ops.iommu.kernel.warnings.list.length, 1);
    assertStrictEquals(a.uses, ops.blockedDomain);
    assertStrictEquals(b.uses, domain);
  });

  for (const [name, again] of [["6.12", 1], ["7.3", 0]] as const) {
    it(`goes back from where each device is, in ${name} with ${again} that refused`, () => {
      const kernel = new KernelCore({ memory: LARGE, revision: name });
      const { a, b, group, domain, ops } = groupOfTwo(new TestOps(kernel));
      attachGroup(domain, group);
      const other = ops.domainAllocPaging(a);
      b.refuses.set(other, ENOSPC);
      for (const dev of [a, b]) dev.left.length = 0;
      const replace = () =>
        replaceGroupHandle(group, other, new AttachHandle());
      assertStrictEquals(errnoOf(replace), ENOSPC);
      assertEquals([a.left, b.left], [
        [domain, other],
        new Array(again).fill(domain),
      ]);
      assertEquals([a.uses, b.uses], [domain, domain]);
      assertEquals(ops.iommu.kernel.warnings.list, []);
    });
  }

  it("lets a bug of the driver through", () => {
    const { a, group, domain } = groupOfTwo();
    a.refuses.set(domain, new TypeError("a bug") as unknown as Errno);
    assertThrows(() => attachGroup(domain, group), TypeError);
  });
});

describe("replacing the domain of a group", () => {
  it("goes from one to the other without blocking in between", () => {
    const { a, group, domain, ops } = groupOfTwo();
    attachGroup(domain, group);
    const other = ops.domainAllocPaging(a);
    const from = a.attempts.length;
    replaceGroupHandle(group, other, new AttachHandle());
    assertEquals(a.attempts.slice(from), [other]);
    replaceGroupHandle(group, other, new AttachHandle());
    assertEquals(a.attempts.length, from + 1);
  });
});

describe("attach handles", () => {
  it("are found by PASID and know their domain", () => {
    const { group, domain } = groupOfTwo();
    const handle = new AttachHandle();
    assertStrictEquals(
      errnoOf(() => attachHandleGet(group, IOMMU_NO_PASID)),
      ENOENT,
    );
    attachGroupHandle(domain, group, handle);
    assertStrictEquals(attachHandleGet(group, IOMMU_NO_PASID), handle);
    assertStrictEquals(
      attachHandleGet(group, IOMMU_NO_PASID, "paging"),
      handle,
    );
    assertStrictEquals(
      errnoOf(() => attachHandleGet(group, IOMMU_NO_PASID, "nested")),
      EBUSY,
    );
    assertStrictEquals(handle.domain, domain);
    detachGroupHandle(domain, group);
    assertStrictEquals(
      errnoOf(() => attachHandleGet(group, IOMMU_NO_PASID)),
      ENOENT,
    );
  });

  it("are dropped when attaching fails", () => {
    const { b, group, domain } = groupOfTwo();
    b.refuses.set(domain, EINVAL);
    const handle = new AttachHandle();
    assertStrictEquals(
      errnoOf(() => attachGroupHandle(domain, group, handle)),
      EINVAL,
    );
    assertEquals(group.pasidArray.size, 0);
    b.refuses.clear();
    attachGroupHandle(domain, group, handle);
    assertEquals(group.pasidArray.size, 1);
  });

  it("occupy the group until they are detached", () => {
    const { group, domain } = groupOfTwo();
    attachGroupHandle(domain, group, new AttachHandle());
    assertStrictEquals(
      errnoOf(() => attachGroupHandle(domain, group, new AttachHandle())),
      EBUSY,
    );
    detachGroupHandle(domain, group);
    assertEquals(group.pasidArray.size, 0);
  });

  it("are replaced with the domain, or kept when that fails", () => {
    const { a, b, group, domain, ops } = groupOfTwo();
    const first = new AttachHandle();
    const second = new AttachHandle();
    const other = ops.domainAllocPaging(a);
    attachGroupHandle(domain, group, first);
    b.refuses.set(other, ENOSPC);
    assertStrictEquals(
      errnoOf(() => replaceGroupHandle(group, other, second)),
      ENOSPC,
    );
    assertStrictEquals(attachHandleGet(group, IOMMU_NO_PASID), first);
    b.refuses.clear();
    replaceGroupHandle(group, other, second);
    assertStrictEquals(attachHandleGet(group, IOMMU_NO_PASID), second);
    assertStrictEquals(second.domain, other);
  });
});

describe("the control", () => {
  it("sees an attachment that does not happen", () => {
    const ops = new TestOps();
    assertEquals(ops.domains.length, 0);
    const { a, group, domain } = groupOfTwo();
    assertThrows(() => assertStrictEquals(a.uses, domain));
    attachGroup(domain, group);
    assertStrictEquals(a.uses, domain);
  });
});
