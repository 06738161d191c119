// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { attachGroup, detachGroup } from "../iommu/attach.ts";
import { Device, deviceIommuCapable } from "../iommu/device.ts";
import {
  deviceClaimDmaOwner,
  deviceReleaseDmaOwner,
} from "../iommu/dma_owner.ts";
import { pagingDomainAlloc } from "../iommu/group_domain.ts";
import { Iommu } from "../iommu/iommu.ts";
import { probeDevice } from "../iommu/probe.ts";
import { errnoOf, TestDomain } from "../iommu/testing/test_driver.ts";
import type { UserData } from "../iommu/user_data.ts";
import { KernelCore } from "../kernel/core.ts";
import { FaultInjection } from "../kernel/fault_injection.ts";
import { functionsOfStep, type StepName } from "../kernel/fault_steps.ts";
import { KernelBug } from "../kernel/warn.ts";
import {
  EBUSY,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EPERM,
} from "../uapi/errno.ts";
import {
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
} from "../uapi/iommufd.ts";
import {
  IOMMU_HWPT_DATA_SELFTEST,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
} from "../uapi/selftest.ts";
import { NEWEST, type RevisionName } from "../uapi/revision.ts";
import { isMockDevice, MockIommuOps } from "./mock_device.ts";

/** A kernel whose nth step fails, whoever calls. */
class FailingKernel extends KernelCore {
  readonly faults = new FaultInjection();

  override fails(name: StepName): boolean {
    return this.faults.fails(name, this.revision.name);
  }
}

function newOps(
  revision: RevisionName = NEWEST,
): { ops: MockIommuOps; kernel: FailingKernel } {
  const kernel = new FailingKernel({ revision, memory: 2 ** 21 });
  return { ops: new MockIommuOps(new Iommu(kernel)), kernel };
}

/** How many steps of Linux stand behind some of the model's. */
function steps(...names: StepName[]): number {
  return names.flatMap((name) => functionsOfStep(name, NEWEST)).length;
}

describe("a mock device", () => {
  it("is named with the lowest free number", () => {
    const { ops } = newOps();
    const [a, b, c] = [0, 1, 2].map(() => ops.createDevice());
    assertEquals([a, b, c].map((dev) => dev!.name), [
      "iommufd_mock0",
      "iommufd_mock1",
      "iommufd_mock2",
    ]);
    b!.destroy();
    a!.destroy();
    assertEquals(ops.createDevice().name, "iommufd_mock0");
    assertEquals(ops.createDevice().name, "iommufd_mock1");
    assertEquals(ops.createDevice().name, "iommufd_mock3");
    assertThrows(() => {
      c!.destroy();
      c!.destroy();
    }, KernelBug);
  });

  it("has a group of its own and is blocked by default", () => {
    const { ops, kernel } = newOps();
    const a = ops.createDevice();
    const b = ops.createDevice();
    assertEquals([a.group!.id, b.group!.id], [0, 1]);
    assertStrictEquals(a.group!.domain, ops.blockedDomain);
    assertStrictEquals(a.group!.defaultDomain, ops.blockedDomain);
    assertEquals(a.group!.domain!.type, "blocked");
    a.destroy();
    assertStrictEquals(a.group, null);
    assertEquals(ops.createDevice().group!.id, 0);
    assertEquals(kernel.warnings.list, []);
  });

  it("is coherent, and tracks writes unless made without", () => {
    const { ops } = newOps();
    const dev = ops.createDevice();
    assertEquals(deviceIommuCapable(dev, "cache-coherency"), true);
    assertEquals(deviceIommuCapable(dev, "dirty-tracking"), true);
    assertEquals(deviceIommuCapable(dev, "enforce-cache-coherency"), false);
    assertEquals(deviceIommuCapable(dev, "intr-remap"), false);
    const plain = ops.createDevice(MOCK_FLAGS_DEVICE_NO_DIRTY);
    assertEquals(deviceIommuCapable(plain, "cache-coherency"), true);
    assertEquals(deviceIommuCapable(plain, "dirty-tracking"), false);
  });

  it("cannot be made with unknown flags", () => {
    const { ops } = newOps();
    assertStrictEquals(errnoOf(() => ops.createDevice(8)), EINVAL);
    assertStrictEquals(errnoOf(() => ops.createDevice(3)), EINVAL);
    assertStrictEquals(errnoOf(() => ops.createDevice(5)), undefined);
    assertEquals(ops.devices.size, 1);
  });

  it("decided the page sizes of its domains once", () => {
    const { ops } = newOps("6.12");
    const small = pagingDomainAlloc(ops.createDevice());
    assertEquals(small.pgsizeBitmap, 2048n);
    const huge = pagingDomainAlloc(
      ops.createDevice(MOCK_FLAGS_DEVICE_HUGE_IOVA),
    );
    assertEquals(huge.pgsizeBitmap, 2048n | 2n ** 20n);
    assertEquals(huge.apertureStart, 2n ** 24n);
    assertEquals(huge.apertureEnd, 2n ** 31n - 1n);
    assertStrictEquals(huge.owner, ops);
  });

  it("has page faults while a domain handles them", () => {
    const { ops } = newOps();
    const dev = ops.createDevice();
    const domain = pagingDomainAlloc(dev);
    domain.iopfHandler = () => {};
    attachGroup(domain, dev.group!);
    assertEquals(dev.faultParam?.domains, 1);
    detachGroup(domain, dev.group!);
    assertEquals(dev.faultParam, null);
    // Somebody else's are not its own.
    ops.iopfQueue.addDevice(dev);
    const attach = () => attachGroup(domain, dev.group!);
    assertStrictEquals(errnoOf(attach), EBUSY);
    ops.iopfQueue.removeDevice(dev);
    dev.destroy();
  });

  it("refuses flags that it does not know", () => {
    const { ops } = newOps();
    const dev = ops.createDevice();
    const type = IOMMU_HWPT_DATA_SELFTEST;
    const userData = { type, uptr: 0, len: 4 } as UserData;
    const parent = ops.domainAllocPagingFlags(dev, 0, undefined);
    const paging = (flags: number) =>
      errnoOf(() => ops.domainAllocPagingFlags(dev, flags, undefined));
    const nested = (flags: number) =>
      errnoOf(() => ops.domainAllocNested(dev, parent, flags, userData));
    for (const flag of [1 << 4, 1 << 30]) {
      assertStrictEquals(paging(flag)?.name, "EOPNOTSUPP");
      assertStrictEquals(nested(flag), EOPNOTSUPP);
    }
    assertStrictEquals(nested(IOMMU_HWPT_ALLOC_NEST_PARENT), EOPNOTSUPP);
    assertStrictEquals(paging(IOMMU_HWPT_ALLOC_NEST_PARENT), undefined);
  });

  it("nests in domains of its own driver only, and tracks only if it can", () => {
    const { ops } = newOps();
    const dev = ops.createDevice();
    const type = IOMMU_HWPT_DATA_SELFTEST;
    const userData = { type, uptr: 0, len: 4 } as UserData;
    const foreign = new TestDomain({ owner: ops }, "paging");
    const nested = () => ops.domainAllocNested(dev, foreign, 0, userData);
    assertStrictEquals(errnoOf(nested), EINVAL);

    const plain = ops.createDevice(MOCK_FLAGS_DEVICE_NO_DIRTY);
    const flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING;
    const track = (dev: Device) =>
      ops.domainAllocPagingFlags(dev, flags, undefined);
    assertStrictEquals(errnoOf(() => track(plain)), EOPNOTSUPP);
    assertEquals(track(dev).dirtyOps?.tracksDirty, false);
  });

  it("can be owned and attached like any other", () => {
    const { ops, kernel } = newOps();
    const dev = ops.createDevice();
    const group = dev.group!;
    const owner = {};
    deviceClaimDmaOwner(dev, owner);
    assertStrictEquals(errnoOf(() => deviceClaimDmaOwner(dev, {})), EPERM);
    const domain = pagingDomainAlloc(dev);
    attachGroup(domain, group);
    assertStrictEquals(group.domain, domain);
    detachGroup(domain, group);
    deviceReleaseDmaOwner(dev);
    dev.destroy();
    domain.free();
    assertEquals(kernel.warnings.list, []);
    assertEquals(ops.iommu.groups.size, 0);
  });

  it("is there without a group when its IOMMU could not take it", () => {
    const added = steps("mock.device", "softwareNode.add");
    const told = added + steps("softwareNode.uevent");
    const there = told + steps("fwspec.init", "device.add");
    const probed = there +
      steps("probe.alloc", "probe.link") +
      steps("iommuGroup.alloc", "iommuGroup.add", "iommuGroup.join");
    for (let nth = 1; nth <= probed; nth++) {
      const { ops, kernel } = newOps();
      kernel.faults.nth = nth;
      // Nobody minds if an event is not told.
      if (nth > added && nth <= told) continue;
      if (nth <= there) {
        assertStrictEquals(errnoOf(() => ops.createDevice()), ENOMEM);
        assertEquals(ops.devices.size, 0);
        continue;
      }
      const dev = ops.createDevice();
      assertStrictEquals(dev.group, null);
      assertEquals(deviceIommuCapable(dev, "cache-coherency"), false);
      dev.destroy();
      assertEquals(ops.devices.size, 0);
      assertEquals(ops.iommu.groups.size, 0);
      assertEquals(kernel.warnings.list, []);
    }
    // The controls: these steps are not part of it.
    for (const nth of [added + 1, told, probed + 1]) {
      const { ops, kernel } = newOps();
      kernel.faults.nth = nth;
      assertEquals(ops.createDevice().group?.id, 0);
    }
  });

  it("is told from devices of other buses", () => {
    const { ops } = newOps();
    const foreign = new Device(ops.iommu, "0000:00:01.0", ops);
    assertEquals(isMockDevice(foreign), false);
    assertEquals(isMockDevice(ops.createDevice()), true);
    assertStrictEquals(errnoOf(() => probeDevice(foreign)), ENODEV);
    assertStrictEquals(foreign.group, null);
  });
});
