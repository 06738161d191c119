// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { prepareMsi } from "../../iommu/msi.ts";
import {
  TestDevice,
  type TestDomain,
} from "../../iommu/testing/test_driver.ts";
import { ENOSPC } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import { IOMMU_NO_PASID } from "../../iommu/group.ts";
import { IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT } from "./hwpt_attachments.ts";
import type { IommufdDevice } from "./device.ts";
import { Bench, region } from "../testing/bench.ts";
import { REVISION_NAMES, type RevisionName } from "../../uapi/revision.ts";
import { outcome, PAGE } from "../testing/machine.ts";

/** Where the window of the devices begins. */
const WINDOW = 1n << 27n;
/** Physical address of a page with a doorbell. */
const DOORBELL = 0xfee00000;

/** Devices `a` and `b` of a group and `c` of another, whose driver has windows there, attached to one IOAS. */
function threeDevices(
  name: RevisionName,
  [first, second = first]: readonly bigint[] = [WINDOW],
) {
  const bench = new Bench(name);
  const ioas = bench.machine.ioas();
  const windows = [[bench.a, first], [bench.b, first], [
    bench.c,
    second,
  ]] as const;
  for (const [dev, start] of windows) {
    if (start !== undefined) dev.resv.push(region("sw-msi", start, 2n ** 20n));
  }
  const devices = windows.map(([dev]) => bench.bind(dev));
  for (const idev of devices) idev.attach(ioas);
  const [a, b, c] = devices;
  return { bench, ioas, devices, a: a!, b: b!, c: c! };
}

/** What is mapped in a domain: IOVA and physical address of each page. */
function doorbellsIn({ pages }: TestDomain): [number, number][] {
  return [...pages].map(([iova, { paddr }]) => [iova, paddr]);
}

/** Detaches and unbinds all; nothing may be left. */
function end(bench: Bench, devices: readonly IommufdDevice[]): void {
  for (const idev of devices) {
    if (idev.pasids.length > 0) idev.detach();
    idev.unbind();
  }
  bench.end();
}

describe("interrupts", () => {
  it("must be isolated at bind, or the kernel told not to care", () => {
    const bench = new Bench();
    bench.b.hasIsolatedMsi = false;
    assertEquals(outcome(() => bench.bind(bench.a)), "EPERM");
    assertEquals(bench.ctx.groups.size, 0);
    bench.machine.kernel.options.allowUnsafeInterrupts = true;
    bench.bind(bench.a).unbind();
    bench.end();
  });

  it("must be isolated at attach in v3, or the driver told not to care", () => {
    const bench = new Bench("v3");
    const ioasId = bench.machine.ioas();
    bench.a.caps.delete("intr-remap");
    bench.a.hasIsolatedMsi = false;
    const idev = bench.bind(bench.a);
    assertEquals(outcome(() => idev.attach(ioasId)), "EPERM");
    assertEquals(bench.uses(bench.a), "blocked");
    idev.attach(
      ioasId,
      IOMMU_NO_PASID,
      IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT,
    );
    idev.detach();
    idev.unbind();
    bench.end();
  });

  it("get a window in each domain, once, if the driver has one", () => {
    const { bench, ioas, a, c, devices } = threeDevices("6.12");
    const cookies = () => bench.ops.domains.map(({ cookie }) => cookie);
    const doorbells = new Map();
    const window = { kind: "msi" as const, base: WINDOW, doorbells };
    assertEquals(cookies(), [window]);
    // The core maps doorbells in the order in which they come.
    assertEquals(prepareMsi(bench.a, DOORBELL + 0x40), Number(WINDOW) + 0x40);
    assertEquals(prepareMsi(bench.b, DOORBELL), Number(WINDOW));
    assertEquals(
      prepareMsi(bench.a, DOORBELL + PAGE_SIZE),
      Number(WINDOW) + PAGE_SIZE,
    );
    a.replace(bench.machine.ioas());
    assertEquals(cookies()[1], window);
    assertEquals(bench.ops.domains[1]!.pages.size, 0);
    // Where it was attached before, the doorbells are still there.
    a.replace(ioas);
    assertEquals(prepareMsi(bench.c, DOORBELL), Number(WINDOW));
    assertEquals(bench.ops.domains[0]!.calls.length, 2);
    c.detach();
    assertEquals(prepareMsi(bench.c, DOORBELL), DOORBELL);
    end(bench, devices);
  });

  it("have their doorbell at one place in all domains of a context", () => {
    const { bench, ioas, a, c, devices } = threeDevices("7.3");
    const { domains } = bench.ops;
    const [first, second] = [Number(WINDOW), Number(WINDOW) + PAGE_SIZE];
    assertEquals(prepareMsi(bench.a, DOORBELL + 0x40), first + 0x40);
    assertEquals(prepareMsi(bench.b, DOORBELL + 0x80), first + 0x80);
    const other = c.replace(bench.machine.ioas());
    assertEquals(domains[1]!.pages.size, 0);
    // Another doorbell of another group: the next place.
    assertEquals(prepareMsi(bench.c, DOORBELL + PAGE_SIZE), second);
    assertEquals(doorbellsIn(domains[1]!), [[second, DOORBELL + PAGE_SIZE]]);
    // They come along, and stay behind.
    a.replace(other);
    assertEquals(doorbellsIn(domains[1]!), [
      [second, DOORBELL + PAGE_SIZE],
      [first, DOORBELL],
    ]);
    const mapped = domains[1]!.calls.length;
    c.replace(ioas);
    c.replace(other);
    assertEquals(prepareMsi(bench.c, DOORBELL), first);
    assertEquals(domains[1]!.calls.length, mapped);
    assertEquals(domains.map(({ cookie }) => cookie?.kind), [
      "iommufd",
      "iommufd",
      "iommufd",
    ]);
    end(bench, devices);
  });

  it("have 64 doorbells in a context, and no more: EOVERFLOW", () => {
    const { bench, devices } = threeDevices("7.3");
    for (let n = 0; n < 64; n++) {
      const at = DOORBELL + n * PAGE_SIZE;
      assertEquals(prepareMsi(bench.a, at), Number(WINDOW) + n * PAGE_SIZE);
    }
    const more = () => prepareMsi(bench.c, DOORBELL - PAGE_SIZE);
    assertEquals(outcome(more), "EOVERFLOW");
    assertEquals(prepareMsi(bench.c, DOORBELL), Number(WINDOW));
    end(bench, devices);
  });

  it("count the places of each window by itself", () => {
    const { bench, devices } = threeDevices("7.3", [WINDOW, 2n * WINDOW]);
    assertEquals(prepareMsi(bench.a, DOORBELL), Number(WINDOW));
    assertEquals(prepareMsi(bench.c, DOORBELL), 2 * Number(WINDOW));
    const next = DOORBELL + PAGE_SIZE;
    assertEquals(prepareMsi(bench.c, next), 2 * Number(WINDOW) + PAGE_SIZE);
    assertEquals(prepareMsi(bench.a, next), Number(WINDOW) + PAGE_SIZE);
    end(bench, devices);
  });

  it("fail where the doorbell cannot be mapped, and an attachment with them", () => {
    const { bench, ioas, a, devices } = threeDevices("7.3");
    const { domains } = bench.ops;
    domains[0]!.failAt = { iova: Number(WINDOW), errno: ENOSPC };
    assertEquals(outcome(() => prepareMsi(bench.a, DOORBELL)), "ENOSPC");
    domains[0]!.failAt = undefined;
    // The place is taken all the same.
    assertEquals(
      prepareMsi(bench.a, DOORBELL + PAGE_SIZE),
      Number(WINDOW) + PAGE_SIZE,
    );
    assertEquals(prepareMsi(bench.a, DOORBELL), Number(WINDOW));
    for (const idev of devices.slice(0, 2)) idev.detach();
    domains[0]!.pages.clear();
    const other = bench.machine.ioas();
    const free = bench.ranges(other);
    const { domainAllocPaging } = bench.ops;
    bench.ops.domainAllocPaging = (dev) => {
      const domain = domainAllocPaging.call(bench.ops, dev);
      domain.failAt = { iova: Number(WINDOW), errno: ENOSPC };
      return domain;
    };
    assertEquals(outcome(() => a.attach(other)), "ENOSPC");
    assertEquals(bench.ranges(other), free);
    assertEquals(bench.uses(bench.a), "blocked");
    bench.ops.domainAllocPaging = domainAllocPaging;
    for (const idev of devices.slice(0, 2)) idev.attach(ioas);
    end(bench, devices);
  });

  it("are left alone without a window, without IOMMU and where nothing is translated", () => {
    for (const name of ["6.12", "7.3"] as const) {
      const { bench, c, devices } = threeDevices(name, []);
      assertEquals(prepareMsi(bench.c, DOORBELL), DOORBELL);
      assertEquals(prepareMsi(new TestDevice(bench.ops, "lone"), 7), 7);
      c.detach();
      // The driver's blocked domain has no user.
      const blocked = outcome(() => prepareMsi(bench.c, DOORBELL));
      assertEquals(blocked, name === "7.3" ? "EOPNOTSUPP" : "ok");
      end(bench, devices);
      assertEquals(prepareMsi(bench.c, DOORBELL), DOORBELL);
    }
  });

  it("get a window in v3 where the platform isolates them", () => {
    const bench = new Bench("v3");
    const ioasId = bench.machine.ioas();
    bench.ops.iommu.irqDomainMsiRemap = true;
    for (const dev of [bench.a, bench.c]) dev.caps.delete("intr-remap");
    bench.a.resv.push(region("sw-msi", 1n << 27n));
    const [a, c] = [bench.bind(bench.a), bench.bind(bench.c)];
    a.attach(ioasId);
    assertEquals(bench.ops.domains[0]!.cookie, {
      kind: "msi",
      base: 1n << 27n,
      doorbells: new Map(),
    });
    assertEquals(outcome(() => c.attach(ioasId)), "EPERM");
    a.detach();
    for (const idev of [a, c]) idev.unbind();
    bench.end([
      "iommufd: a device without software MSI window on a platform that needs one",
    ]);
  });

  it("with both kinds of window are a bug of the driver, or the real one wins", () => {
    for (const name of REVISION_NAMES) {
      const bench = new Bench(name);
      bench.a.resv.push(region("sw-msi", 0n), region("msi", 8n * PAGE));
      const idev = bench.bind(bench.a);
      const ioasId = bench.machine.ioas();
      const result = outcome(() => idev.attach(ioasId));
      assertEquals(result, name === "v3" ? "ok" : "EINVAL");
      if (result === "ok") {
        assertEquals(bench.ops.domains[0]!.cookie, undefined);
        idev.detach();
      }
      idev.unbind();
      // The automatic HWPT is tried once more with a new domain.
      bench.end(
        name === "v3" ? [] : ["resv_regions: both MSI and software MSI"],
      );
    }
  });
});
