// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../kernel/core.ts";
import {
  EINVAL,
  ENODEV,
  ENOMEM,
  ENOSPC,
  EOPNOTSUPP,
  type Errno,
} from "../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_PASID as PASID } from "../uapi/iommufd.ts";
import { Device, deviceIommuCapable, type IommuOps } from "./device.ts";
import { deviceClaimDmaOwner } from "./dma_owner.ts";
import { IOMMU_READ } from "./domain.ts";
import { pagingDomainAlloc } from "./group_domain.ts";
import { groupHasIsolatedMsi } from "./msi.ts";
import { probeDevice, releaseDevice } from "./probe.ts";
import {
  errnoOf,
  groupOfTwo,
  LARGE,
  SMALL,
  TestDevice,
  TestDomain,
  TestOps,
} from "./testing/test_driver.ts";

describe("probing", () => {
  it("gives the first device of a group a DMA API domain, the next one the same", () => {
    const { ops, a, b, group } = groupOfTwo();
    assertEquals(group.devices, [a, b]);
    assertStrictEquals(group.defaultDomain, ops.domains[0]);
    assertEquals(group.defaultDomain?.isDmaDomain, true);
    assertStrictEquals(a.uses, ops.domains[0]);
    assertStrictEquals(b.uses, ops.domains[0]);
  });

  it("lets a device join the domain that its group uses now", () => {
    const { ops, a, group } = groupOfTwo();
    deviceClaimDmaOwner(a, {});
    const c = new TestDevice(ops, "c");
    probeDevice(c);
    assertStrictEquals(c.group, group);
    assertStrictEquals(c.uses, ops.blockedDomain);
  });

  it("uses the driver's static default domain, or identity where it says so", () => {
    const ops = new TestOps();
    ops.defaultType = "identity";
    const refused = new TestDevice(ops, "refused");
    assertStrictEquals(errnoOf(() => probeDevice(refused)), EOPNOTSUPP);
    ops.identityDomain = new TestDomain({ owner: ops }, "identity");
    const a = new TestDevice(ops, "a");
    probeDevice(a);
    assertStrictEquals(a.uses, ops.identityDomain);
    ops.defaultDomain = ops.blockedDomain!;
    const b = new TestDevice(ops, "b");
    probeDevice(b);
    assertStrictEquals(b.uses, ops.blockedDomain);
  });

  for (const [name, asked] of [["6.12", []], ["7.3", [PASID]]] as const) {
    it(`asks in ${name} for a domain beside PASIDs ${asked.length} times`, () => {
      const kernel = new KernelCore({ memory: LARGE, revision: name });
      const ops: TestOps & IommuOps = new TestOps(kernel);
      const flags: number[] = [];
      let errno: Errno | undefined;
      ops.domainAllocPagingFlags = (dev, wanted) => {
        flags.push(wanted);
        if (errno) throw errno;
        return ops.domainAllocPaging(dev);
      };
      const probe = (maxPasids: number) => {
        const dev = new TestDevice(ops, "a");
        dev.maxPasids = maxPasids;
        probeDevice(dev);
        return dev.uses!.type;
      };
      assertEquals([probe(0), flags], ["paging", []]);
      assertEquals([probe(8), flags], ["paging", [...asked]]);
      // A driver without such domains is asked for another.
      errno = EOPNOTSUPP;
      assertEquals(probe(8), "paging");
      errno = ENOSPC;
      const expected = asked.length > 0 ? ENOSPC : undefined;
      assertStrictEquals(errnoOf(() => probe(8)), expected);
      delete ops.domainAllocPagingFlags;
      assertEquals(probe(8), "paging");
    });
  }

  it("twice does nothing, and without IOMMU is ENODEV", () => {
    const { ops, a, group } = groupOfTwo();
    const attempts = a.attempts.length;
    probeDevice(a);
    assertEquals(group.devices.length, 2);
    assertEquals(a.attempts.length, attempts);
    const bare = new Device(ops.iommu, "bare", null);
    assertStrictEquals(errnoOf(() => probeDevice(bare)), ENODEV);
    releaseDevice(bare);
    assertEquals(deviceIommuCapable(bare, "cache-coherency"), false);
    assertStrictEquals(errnoOf(() => pagingDomainAlloc(bare)), ENODEV);
  });

  it("unwinds whatever the driver fails at", () => {
    const failures = ["probe", "group", "alloc", "firstAttach"] as const;
    for (const step of failures) {
      const ops = new TestOps();
      ops.fails[step] = ENOSPC;
      const dev = new TestDevice(ops, "a");
      assertStrictEquals(errnoOf(() => probeDevice(dev)), ENOSPC, step);
      assertStrictEquals(dev.group, null);
      assertEquals(ops.iommu.groups.size, 0);
      assertEquals(ops.released, step === "probe" ? [] : ["a"], step);
      assertEquals(ops.domains.every((domain) => domain.freed), true);
      // Linux too does not expect a driver to refuse the first domain.
      assertEquals(
        ops.iommu.kernel.warnings.list.length,
        step === "firstAttach" ? 1 : 0,
      );
      delete ops.fails[step];
      probeDevice(dev);
      assertEquals(dev.group!.id, 0);
    }
  });

  it("unwinds a failure of the second device without touching the first", () => {
    const { ops, a, group } = groupOfTwo();
    const c = new TestDevice(ops, "c");
    c.refuses.set(group.domain!, EINVAL);
    assertStrictEquals(errnoOf(() => probeDevice(c)), EINVAL);
    assertEquals(group.devices.length, 2);
    assertStrictEquals(c.group, null);
    assertStrictEquals(a.uses, group.defaultDomain);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });
});

describe("releasing a device", () => {
  it("frees domains and number of the group with its last device", () => {
    const { ops, a, b, group } = groupOfTwo();
    ops.releaseDomain = ops.blockedDomain!;
    const domain = ops.domains[0]!;
    releaseDevice(a);
    assertStrictEquals(a.uses, ops.blockedDomain);
    assertEquals(domain.freed, false);
    assertEquals(ops.iommu.groups.size, 1);
    releaseDevice(b);
    releaseDevice(b);
    assertEquals(domain.freed, true);
    assertEquals(ops.iommu.groups.size, 0);
    assertEquals(group.domain, null);
    assertEquals(ops.released, ["a", "b"]);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });

  it("keeps the group's number while somebody holds a reference", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    probeDevice(dev);
    const group = dev.group!.get();
    releaseDevice(dev);
    assertEquals(ops.iommu.allocGroup().id, 1);
    group.put();
    assertEquals(ops.iommu.allocGroup().id, 0);
  });

  it("warns when somebody still owns the group", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    probeDevice(dev);
    deviceClaimDmaOwner(dev, {});
    releaseDevice(dev);
    assertEquals(ops.iommu.kernel.warnings.list.length, 1);
  });
});

describe("a device with regions that must be mapped 1:1", () => {
  it("has them in its default domain and cannot be blocked", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    dev.resv.push({
      start: 0x8000n,
      length: BigInt(2 * SMALL),
      type: "direct",
      prot: IOMMU_READ,
    });
    dev.resv.push({ start: 0xa000n, length: 1n, type: "direct-relaxable" });
    dev.resv.push({ start: 0x20000n, length: 0x1000n, type: "reserved" });
    probeDevice(dev);
    const domain = dev.uses!;
    assertEquals([...domain.pages].map(([iova, { paddr }]) => [iova, paddr]), [
      [0x8000, 0x8000],
      [0x9000, 0x9000],
      [0xa000, 0xa000],
    ]);
    assertEquals(dev.requireDirect, true);
    assertStrictEquals(errnoOf(() => deviceClaimDmaOwner(dev, {})), EINVAL);
    assertStrictEquals(dev.uses, domain);
  });

  for (
    const [name, left] of [["6.12", "blocked"], ["7.3", "identity"]] as const
  ) {
    it(`is left to a domain of type ${left} in ${name}`, () => {
      const kernel = new KernelCore({ memory: LARGE, revision: name });
      const ops = new TestOps(kernel);
      ops.identityDomain = new TestDomain({ owner: ops }, "identity");
      ops.releaseDomain = ops.blockedDomain!;
      const [needs, plain] = ["needs", "plain"].map((name) =>
        new TestDevice(ops, name)
      ) as [TestDevice, TestDevice];
      needs.resv.push({ start: 0x9000n, length: 0x1000n, type: "direct" });
      for (const dev of [needs, plain]) {
        probeDevice(dev);
        releaseDevice(dev);
      }
      assertEquals([needs.uses?.type, plain.uses?.type], [left, "blocked"]);
      // Without an identity domain there is no choice.
      delete ops.identityDomain;
      probeDevice(needs);
      releaseDevice(needs);
      assertStrictEquals(needs.uses, ops.blockedDomain);
    });
  }

  it("maps around what another device of the group has mapped", () => {
    const ops = new TestOps();
    const a = new TestDevice(ops, "a");
    a.resv.push({ start: 0x9000n, length: 0x1000n, type: "direct" });
    probeDevice(a);
    ops.sharedGroup = a.group!;
    const b = new TestDevice(ops, "b");
    b.resv.push({ start: 0x8000n, length: 0x3000n, type: "direct" });
    a.uses!.calls.length = 0;
    probeDevice(b);
    assertEquals(a.uses!.calls, [
      "map 0x8000 0x8000 0x1000x1",
      "map 0xa000 0xa000 0x1000x1",
    ]);
  });

  it("that are relaxable can be blocked", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    dev.resv.push({ start: 0n, length: 0x1000n, type: "direct-relaxable" });
    probeDevice(dev);
    deviceClaimDmaOwner(dev, {});
    assertStrictEquals(dev.uses, ops.blockedDomain);
  });

  it("is probed even if they cannot be mapped before it is attached", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    dev.resv.push({ start: 0x1000n, length: 0x1000n, type: "direct" });
    let tries = 0;
    ops.domainAllocPaging = () => {
      const options = { owner: ops, pgsizeBitmap: BigInt(SMALL) };
      return new class extends TestDomain {
        override mapPages(
          iova: number,
          paddr: number,
          pgsize: number,
          pgcount: number,
          prot: number,
        ): number {
          tries++;
          if (dev.uses !== this) throw ENOMEM;
          return super.mapPages(iova, paddr, pgsize, pgcount, prot);
        }
      }(options, "paging");
    };
    probeDevice(dev);
    assertEquals(tries, 2);
    assertEquals(dev.uses!.pages.size, 1);
  });
});

describe("a default domain for the DMA API", () => {
  it("must have page sizes", () => {
    const ops = new TestOps();
    ops.domainAllocPaging = () => new TestDomain({ owner: ops }, "paging");
    const dev = new TestDevice(ops, "a");
    assertStrictEquals(errnoOf(() => probeDevice(dev)), EINVAL);
    // Once before the device is attached, once after.
    assertEquals(ops.iommu.kernel.warnings.list.length, 2);
    assertStrictEquals(dev.group, null);
    assertEquals(ops.iommu.groups.size, 0);
  });

  it("is freed when there is no memory for its cookie", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    const domain = ops.domainAllocPaging(dev);
    domain.getDmaCookie = () => {
      throw ENOMEM;
    };
    ops.domainAllocPaging = () => domain;
    assertStrictEquals(errnoOf(() => probeDevice(dev)), ENOMEM);
    assertEquals(domain.freed, true);
  });
});

describe("what a driver says about a device", () => {
  it("counts once the device is probed", () => {
    const ops = new TestOps();
    const dev = new TestDevice(ops, "a");
    dev.caps.add("cache-coherency");
    assertEquals(deviceIommuCapable(dev, "cache-coherency"), false);
    probeDevice(dev);
    assertEquals(deviceIommuCapable(dev, "cache-coherency"), true);
    assertEquals(deviceIommuCapable(dev, "dirty-tracking"), false);
  });

  it("isolates interrupts of a group only if it does for every device", () => {
    const { a, b, group } = groupOfTwo();
    assertEquals(groupHasIsolatedMsi(group), false);
    a.hasIsolatedMsi = true;
    assertEquals(groupHasIsolatedMsi(group), false);
    b.hasIsolatedMsi = true;
    assertEquals(groupHasIsolatedMsi(group), true);
  });
});
