// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EBUSY,
  EINVAL,
  ENODEV,
  ENOMEM,
  EPERM,
  type Errno,
} from "../uapi/errno.ts";
import { attachGroup, attachGroupHandle, detachGroup } from "./attach.ts";
import {
  deviceClaimDmaOwner,
  deviceReleaseDmaOwner,
  deviceUnuseDefaultDomain,
  deviceUseDefaultDomain,
  groupClaimDmaOwner,
  groupReleaseDmaOwner,
} from "./dma_owner.ts";
import { AttachHandle } from "./group.ts";
import { releaseDevice } from "./probe.ts";
import { errnoOf, groupOfTwo, TestDevice } from "./testing/test_driver.ts";

type Fixture = ReturnType<typeof groupOfTwo>;

const OWNER = { name: "an iommufd context" };
const OTHER = { name: "another one" };

/** State before, owner asked for, and the results of the claim by device and by group. */
const CLAIMS: {
  readonly before: string;
  readonly prepare: (f: Fixture) => void;
  readonly owner: object | null;
  readonly device: Errno | undefined;
  readonly group: Errno | undefined;
  readonly warnings?: number;
}[] = [
  {
    before: "nothing",
    prepare: () => {},
    owner: OWNER,
    device: undefined,
    group: undefined,
  },
  {
    before: "the same owner",
    prepare: (f) => deviceClaimDmaOwner(f.a, OWNER),
    owner: OWNER,
    device: undefined,
    group: EPERM,
  },
  {
    before: "the same owner, through the group",
    prepare: (f) => groupClaimDmaOwner(f.group, OWNER),
    owner: OWNER,
    device: undefined,
    group: EPERM,
  },
  {
    before: "another owner",
    prepare: (f) => deviceClaimDmaOwner(f.a, OTHER),
    owner: OWNER,
    device: EPERM,
    group: EPERM,
  },
  {
    before: "a kernel driver on the neighbour",
    prepare: (f) => deviceUseDefaultDomain(f.a),
    owner: OWNER,
    device: EPERM,
    group: EPERM,
  },
  {
    before: "a kernel driver that has left",
    prepare: (f) => {
      deviceUseDefaultDomain(f.a);
      deviceUnuseDefaultDomain(f.a);
    },
    owner: OWNER,
    device: undefined,
    group: undefined,
  },
  {
    before: "a domain attached by nobody's leave",
    prepare: (f) => attachGroup(f.domain, f.group),
    owner: OWNER,
    device: EBUSY,
    group: EBUSY,
  },
  {
    before: "a handle left behind",
    prepare: (f) => f.group.pasidArray.set(1, new AttachHandle()),
    owner: OWNER,
    device: EBUSY,
    group: EBUSY,
  },
  {
    before: "a device that cannot be blocked",
    prepare: (f) => f.b.requireDirect = true,
    owner: OWNER,
    device: EINVAL,
    group: EINVAL,
  },
  {
    before: "a driver that refuses to block",
    prepare: (f) => f.b.refuses.set(f.ops.blockedDomain!, ENODEV),
    owner: OWNER,
    device: ENODEV,
    group: ENODEV,
  },
  {
    before: "no blocked domain and no memory for one",
    prepare: (f) => {
      delete f.ops.blockedDomain;
      f.ops.fails.alloc = ENOMEM;
    },
    owner: OWNER,
    device: ENOMEM,
    group: ENOMEM,
  },
  {
    before: "nothing, and nobody claims",
    prepare: () => {},
    owner: null,
    device: EINVAL,
    group: EINVAL,
    warnings: 1,
  },
];

describe("claiming DMA ownership", () => {
  for (
    const { before, prepare, owner, device, group, warnings = 0 } of CLAIMS
  ) {
    it(`after ${before}: device ${device ?? "ok"}, group ${group ?? "ok"}`, () => {
      for (const by of ["device", "group"] as const) {
        const f = groupOfTwo();
        prepare(f);
        const count = f.group.ownerCnt;
        const domain = f.group.domain;
        const result = errnoOf(() =>
          by === "device"
            ? deviceClaimDmaOwner(f.b, owner)
            : groupClaimDmaOwner(f.group, owner)
        );
        const expected = by === "device" ? device : group;
        assertStrictEquals(result, expected, by);
        assertEquals(f.ops.iommu.kernel.warnings.list.length, warnings);
        if (result === undefined) {
          assertStrictEquals(f.group.owner, owner);
          assertEquals(f.group.ownerCnt, count + 1);
          assertStrictEquals(f.group.domain, f.ops.blockedDomain);
        } else {
          assertEquals(f.group.ownerCnt, count);
          assertStrictEquals(f.group.domain, domain);
          assertStrictEquals(f.a.uses, domain);
          assertStrictEquals(f.b.uses, domain);
        }
      }
    });
  }

  it("of a device without group is ENODEV, for nobody EINVAL first", () => {
    const { ops } = groupOfTwo();
    const loose = new TestDevice(ops, "loose");
    assertStrictEquals(
      errnoOf(() => deviceClaimDmaOwner(loose, OWNER)),
      ENODEV,
    );
    assertEquals(ops.iommu.kernel.warnings.list.length, 0);
    assertStrictEquals(errnoOf(() => deviceClaimDmaOwner(loose, null)), EINVAL);
    assertEquals(ops.iommu.kernel.warnings.list.length, 1);
  });

  it("blocks with an empty paging domain where the driver has no blocked one", () => {
    const f = groupOfTwo();
    delete f.ops.blockedDomain;
    deviceClaimDmaOwner(f.a, OWNER);
    const blocking = f.ops.domains.at(-1);
    assertStrictEquals(f.group.domain, blocking);
    assertStrictEquals(f.b.uses, blocking);
    deviceReleaseDmaOwner(f.a);
    assertStrictEquals(f.group.domain, f.group.defaultDomain);
    // Kept for the next owner, freed with the last device.
    assertEquals(blocking?.freed, false);
    releaseDevice(f.a);
    releaseDevice(f.b);
    assertEquals(blocking?.freed, true);
    assertEquals(f.ops.iommu.kernel.warnings.list, []);
  });
});

describe("releasing DMA ownership", () => {
  it("counts claims by device and brings back the default domain at the last", () => {
    const f = groupOfTwo();
    deviceClaimDmaOwner(f.a, OWNER);
    deviceClaimDmaOwner(f.b, OWNER);
    deviceReleaseDmaOwner(f.a);
    assertStrictEquals(f.group.owner, OWNER);
    assertStrictEquals(f.a.uses, f.ops.blockedDomain);
    assertEquals(f.group.ownerCnt, 1);
    deviceReleaseDmaOwner(f.b);
    assertStrictEquals(f.group.owner, null);
    assertStrictEquals(f.a.uses, f.group.defaultDomain);
    assertStrictEquals(f.b.uses, f.group.defaultDomain);
    assertEquals(f.group.ownerCnt, 0);
    assertEquals(f.ops.iommu.kernel.warnings.list, []);
  });

  it("by group ends all claims at once", () => {
    const f = groupOfTwo();
    deviceClaimDmaOwner(f.a, OWNER);
    deviceClaimDmaOwner(f.b, OWNER);
    groupReleaseDmaOwner(f.group);
    assertEquals(f.group.ownerCnt, 0);
    assertEquals(f.ops.iommu.kernel.warnings.list, []);
  });

  it("without a claim warns and changes nothing", () => {
    const f = groupOfTwo();
    groupReleaseDmaOwner(f.group);
    deviceReleaseDmaOwner(f.a);
    deviceUnuseDefaultDomain(f.a);
    assertEquals(f.ops.iommu.kernel.warnings.list.length, 3);
    assertEquals(f.group.ownerCnt, 0);
  });

  it("of what the DMA API uses warns", () => {
    const f = groupOfTwo();
    deviceUseDefaultDomain(f.a);
    groupReleaseDmaOwner(f.group);
    assertEquals(f.ops.iommu.kernel.warnings.list.length, 1);
    assertEquals(f.group.ownerCnt, 1);
  });

  it("with an attachment left warns and keeps the owner", () => {
    const f = groupOfTwo();
    groupClaimDmaOwner(f.group, OWNER);
    attachGroupHandle(f.domain, f.group, new AttachHandle());
    groupReleaseDmaOwner(f.group);
    assertEquals(f.ops.iommu.kernel.warnings.list.length, 1);
    assertStrictEquals(f.group.owner, OWNER);
  });

  it("warns when the driver refuses the default domain, and blocks the device", () => {
    const f = groupOfTwo();
    groupClaimDmaOwner(f.group, OWNER);
    f.b.refuses.set(f.group.defaultDomain!, ENODEV);
    groupReleaseDmaOwner(f.group);
    assertEquals(f.ops.iommu.kernel.warnings.list.length, 1);
    assertStrictEquals(f.group.domain, f.group.defaultDomain);
    assertStrictEquals(f.a.uses, f.group.defaultDomain);
    assertStrictEquals(f.b.uses, f.ops.blockedDomain);
  });
});

describe("the DMA API's use of a group", () => {
  it("is refused while it has an owner, attached or not", () => {
    const f = groupOfTwo();
    deviceClaimDmaOwner(f.a, OWNER);
    assertStrictEquals(errnoOf(() => deviceUseDefaultDomain(f.b)), EBUSY);
    attachGroup(f.domain, f.group);
    assertStrictEquals(errnoOf(() => deviceUseDefaultDomain(f.b)), EBUSY);
    detachGroup(f.domain, f.group);
    deviceReleaseDmaOwner(f.a);
    assertStrictEquals(errnoOf(() => deviceUseDefaultDomain(f.b)), undefined);
  });

  it("is shared by several kernel drivers", () => {
    const f = groupOfTwo();
    deviceUseDefaultDomain(f.a);
    deviceUseDefaultDomain(f.b);
    assertEquals(f.group.ownerCnt, 2);
    deviceUnuseDefaultDomain(f.a);
    assertStrictEquals(
      errnoOf(() => groupClaimDmaOwner(f.group, OWNER)),
      EPERM,
    );
    deviceUnuseDefaultDomain(f.b);
    assertStrictEquals(
      errnoOf(() => groupClaimDmaOwner(f.group, OWNER)),
      undefined,
    );
  });

  it("of a device without group is nobody's business", () => {
    const { ops } = groupOfTwo();
    const loose = new TestDevice(ops, "loose");
    deviceUseDefaultDomain(loose);
    deviceUnuseDefaultDomain(loose);
    assertEquals(ops.iommu.kernel.warnings.list, []);
  });
});
