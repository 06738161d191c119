// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelBug } from "../kernel/warn.ts";
import { ENODEV, ENOSPC } from "../uapi/errno.ts";
import { attachGroup, detachGroup } from "./attach.ts";
import { deviceClaimDmaOwner, deviceReleaseDmaOwner } from "./dma_owner.ts";
import { probeDevice, releaseDevice } from "./probe.ts";
import {
  errnoOf,
  groupOfTwo,
  TestDevice,
  TestOps,
} from "./testing/test_driver.ts";

describe("a group", () => {
  it("has the lowest free number, from 0", () => {
    const { iommu } = new TestOps();
    const [a, b] = [iommu.allocGroup(), iommu.allocGroup()];
    assertEquals([a.id, b.id], [0, 1]);
    assertStrictEquals(iommu.groups.get(1), b);
    a.put();
    assertEquals(iommu.allocGroup().id, 0);
  });

  it("is not to be used after its last reference", () => {
    const { iommu } = new TestOps();
    const group = iommu.allocGroup();
    group.get().put();
    group.put();
    assertThrows(() => group.get(), KernelBug);
    assertThrows(() => group.put(), KernelBug);
  });

  it("without devices cannot be attached", () => {
    const { domain, ops } = groupOfTwo();
    const empty = ops.iommu.allocGroup();
    assertThrows(() => attachGroup(domain, empty), KernelBug);
    assertThrows(() => detachGroup(domain, empty), KernelBug);
  });

  it("that is released with a domain is warned about", () => {
    const { ops, domain } = groupOfTwo();
    const group = ops.iommu.allocGroup();
    group.blockingDomain = domain;
    group.put();
    assertEquals(ops.iommu.kernel.warnings.list.length, 1);
  });

  it("is owned by device only while the device is in it", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    probeDevice(dev);
    deviceClaimDmaOwner(dev, {});
    releaseDevice(dev);
    assertThrows(() => deviceReleaseDmaOwner(dev), KernelBug);
  });
});

describe("a domain that must be attached", () => {
  it("is given up for the blocking one, and that too if the driver refuses", () => {
    const { ops, a, b, group, domain } = groupOfTwo();
    const owner = {};
    deviceClaimDmaOwner(a, owner);
    attachGroup(domain, group);
    deviceReleaseDmaOwner(a);
    assertStrictEquals(group.domain, group.defaultDomain);

    deviceClaimDmaOwner(a, owner);
    a.refuses.set(group.defaultDomain!, ENODEV);
    a.refuses.set(ops.blockedDomain!, ENOSPC);
    deviceReleaseDmaOwner(a);
    assertEquals(a.attempts.slice(-2), [
      group.defaultDomain!,
      ops.blockedDomain!,
    ]);
    assertStrictEquals(b.uses, group.defaultDomain);
    assertEquals(ops.iommu.kernel.warnings.list, [
      "IOMMU driver of a failed to attach a core domain: ENODEV",
    ]);
  });

  it("is allocated once per group", () => {
    const { ops, a, group } = groupOfTwo();
    delete ops.blockedDomain;
    const before = ops.domains.length;
    for (let i = 0; i < 2; i++) {
      deviceClaimDmaOwner(a, {});
      deviceReleaseDmaOwner(a);
    }
    assertEquals(ops.domains.length, before + 1);
    assertStrictEquals(errnoOf(() => deviceClaimDmaOwner(a, {})), undefined);
    assertStrictEquals(group.domain, ops.domains[before]);
  });
});
