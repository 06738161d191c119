// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { IOMMU_NO_PASID } from "../../iommu/group.ts";
import { IOMMUFD_ATTACH_FLAGS_ALLOW_UNSAFE_INTERRUPT } from "./hwpt_attachments.ts";
import { Bench, region } from "../testing/bench.ts";
import { REVISION_NAMES } from "../../uapi/revision.ts";
import { outcome, PAGE } from "../testing/machine.ts";

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

  it("get a window in the domain, once, if the driver has one", () => {
    const bench = new Bench();
    const [ioas, other] = [bench.machine.ioas(), bench.machine.ioas()];
    const start = 1n << 27n;
    for (const dev of [bench.a, bench.b, bench.c]) {
      dev.resv.push(region("sw-msi", start));
    }
    const [a, b] = [bench.bind(bench.a), bench.bind(bench.b)];
    const c = bench.bind(bench.c);
    for (const idev of [a, b, c]) idev.attach(ioas);
    assertEquals(bench.ops.domains[0]!.cookie, { kind: "msi", base: start });
    a.replace(other);
    assertEquals(bench.ops.domains[1]!.cookie, { kind: "msi", base: start });
    for (const idev of [a, b, c]) idev.detach();
    for (const idev of [a, b, c]) idev.unbind();
    bench.end();
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
