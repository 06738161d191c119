// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with devices behind an IOMMU that is not the mock one, for the
 * unit tests of this folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { probeDevice, releaseDevice } from "../../iommu/probe.ts";
import type { ResvRegion } from "../../iommu/resv.ts";
import {
  TestDevice,
  TestDomain,
  TestOps,
} from "../../iommu/testing/test_driver.ts";
import {
  IOMMU_IOAS_IOVA_RANGES,
  IommuIoasIovaRanges,
  IommuIovaRange,
} from "../../uapi/iommufd.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import { IommufdDevice } from "../attach/device.ts";
import type { IommufdCtx } from "../main.ts";
import { Machine, PAGE } from "./machine.ts";

/** A domain that can enforce coherency. */
class CoherentDomain extends TestDomain {
  override enforceCacheCoherency(): boolean {
    return true;
  }
}

/** The driver of the tests, which notes its domains and may make coherent ones. */
class Ops extends TestOps {
  /** Whether new domains can enforce coherency. */
  coherent = false;

  override domainAllocPaging(dev: TestDevice): TestDomain {
    if (!this.coherent) return super.domainAllocPaging(dev);
    const options = { owner: this, pgsizeBitmap: PAGE };
    const domain = new CoherentDomain(options, "paging");
    this.domains.push(domain);
    return domain;
  }
}

/** A machine with a driver and three devices: `a` and `b` in one group, `c` in its own. */
export class Bench {
  readonly machine: Machine;
  /** The driver of the three devices' IOMMU. */
  readonly ops: Ops;
  readonly a: TestDevice;
  readonly b: TestDevice;
  readonly c: TestDevice;

  constructor(name?: RevisionName) {
    this.machine = new Machine(name);
    this.ops = new Ops(this.machine.kernel);
    this.ops.defaultDomain = new TestDomain({ owner: this.ops }, "identity");
    this.a = this.#probe("a");
    this.ops.sharedGroup = this.a.group!;
    this.b = this.#probe("b");
    this.ops.sharedGroup = undefined;
    this.c = this.#probe("c");
  }

  #probe(name: string): TestDevice {
    const dev = new TestDevice(this.ops, name);
    dev.caps.add("cache-coherency").add("intr-remap");
    dev.hasIsolatedMsi = true;
    probeDevice(dev);
    return dev;
  }

  /** The context that the process has open. */
  get ctx(): IommufdCtx {
    return this.machine.ctx;
  }

  /** Binds a device to the context. */
  bind(dev: TestDevice): IommufdDevice {
    return IommufdDevice.bindDevice(this.ctx, dev);
  }

  /** Which domain translates a device's DMA: its index among the domains made for HWPTs, else its type. */
  uses(dev: TestDevice): number | string {
    const domain = dev.uses!;
    const index = this.ops.domains.indexOf(domain);
    return index < 0 ? domain.type : index;
  }

  /** The ranges of an IOAS that can be mapped. */
  ranges(ioasId: number): [bigint, bigint][] {
    const { machine } = this;
    const address = machine.memory(1);
    const { numIovas } = machine.call(
      IOMMU_IOAS_IOVA_RANGES,
      IommuIoasIovaRanges,
      { ioasId, numIovas: 256, allowedIovas: BigInt(address) },
    );
    return Array.from({ length: numIovas }, (_, i) => {
      const bytes = machine.process.peek(address + 16 * i, 16);
      const { start, last } = IommuIovaRange.decode(bytes);
      return [start, last];
    });
  }

  /** Ends process and devices; nothing may be left but the warnings that are expected. */
  end(warnings: readonly string[] = []): void {
    this.machine.process.exit();
    for (const dev of [this.a, this.b, this.c]) releaseDevice(dev);
    assertEquals(
      this.machine.kernel.audit(),
      warnings.map((what) => `The kernel warned: ${what}.`),
    );
    for (const domain of this.ops.domains) assertEquals(domain.freed, true);
  }
}

/** A reserved region of one page, unless told otherwise. */
export function region(
  type: ResvRegion["type"],
  start: bigint,
  length = PAGE,
): ResvRegion {
  return { type, start, length };
}
