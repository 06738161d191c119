// SPDX-License-Identifier: GPL-2.0-only

/**
 * A small IOMMU driver for the tests of this folder: 4 KiB and 2 MiB pages,
 * a map of pages, and every refusal that a driver can answer with.
 *
 * @module
 */

import { KernelCore } from "../../kernel/core.ts";
import { Errno, errnoFromCode } from "../../uapi/errno.ts";
import { Device, type IommuCap, type IommuOps } from "../device.ts";
import { Domain, type DomainOptions, type DomainType } from "../domain.ts";
import type { Group } from "../group.ts";
import { Iommu } from "../iommu.ts";
import type { IopfQueue } from "../page_fault_queue.ts";
import { probeDevice } from "../probe.ts";
import type { ResvRegion } from "../resv.ts";

/** The driver's small page in bytes. */
export const SMALL = 4096;
/** The driver's large page in bytes. */
export const LARGE = 2 ** 21;

/** A domain that notes which devices use it and, if it pages, what is mapped. */
export class TestDomain extends Domain {
  override readonly type: DomainType;
  /** Physical address and size by IOVA, one entry per page of either size. */
  readonly pages = new Map<number, { paddr: number; pgsize: number }>();
  /** The calls for mapping and unmapping: `map IOVA PADDR PGSIZExCOUNT`. */
  readonly calls: string[] = [];
  /** The page that it stops mapping at, after having mapped those before it. */
  failAt: { readonly iova: number; readonly errno: Errno } | undefined;
  /** The most pages that one call maps. */
  pagesPerCall = Infinity;
  freed = false;

  constructor(options: DomainOptions, type: DomainType) {
    super(options);
    this.type = type;
  }

  override attachDev(dev: Device, old: Domain | null): void {
    const device = dev as TestDevice;
    device.attempts.push(this);
    const errno = device.refuses.get(this);
    if (errno !== undefined) throw errno;
    (this.owner as TestOps).iopfQueue?.changeDomain(dev, this, old);
    device.uses = this;
    device.left.push(old);
  }

  override setDevPasid(dev: Device, pasid: number, old: Domain | null): void {
    const device = dev as TestDevice;
    const from = old === null ? "nothing" : old.type;
    device.pasidCalls.push(`${pasid}: ${from} to ${this.type}`);
    const errno = device.refusesPasid.get(this);
    if (errno !== undefined) throw errno;
    (this.owner as TestOps).iopfQueue?.changeDomain(dev, this, old);
    if (this.type === "blocked") device.pasids.delete(pasid);
    else device.pasids.set(pasid, this);
  }

  override mapPages(
    iova: number,
    paddr: number,
    pgsize: number,
    pgcount: number,
    _prot: number,
  ): number {
    this.calls.push(`map ${hex(iova)} ${hex(paddr)} ${hex(pgsize)}x${pgcount}`);
    (this.owner as TestOps).onMap?.();
    let mapped = 0;
    for (let i = 0; i < Math.min(pgcount, this.pagesPerCall); i++) {
      const at = iova + mapped;
      if (at === this.failAt?.iova) {
        if (mapped === 0) throw this.failAt.errno;
        return mapped;
      }
      this.pages.set(at, { paddr: paddr + mapped, pgsize });
      mapped += pgsize;
    }
    return mapped;
  }

  override unmapPages(iova: number, pgsize: number, pgcount: number): number {
    this.calls.push(`unmap ${hex(iova)} ${hex(pgsize)}x${pgcount}`);
    let unmapped = 0;
    while (unmapped < pgsize * pgcount) {
      const at = iova + unmapped;
      const page = this.pages.get(at);
      if (page === undefined) break;
      this.pages.delete(at);
      unmapped += page.pgsize;
    }
    return unmapped;
  }

  override iovaToPhys(iova: number): number {
    for (const size of [SMALL, LARGE]) {
      const offset = iova % size;
      const page = this.pages.get(iova - offset);
      if (page?.pgsize === size) return page.paddr + offset;
    }
    return 0;
  }

  override free(): void {
    this.freed = true;
  }
}

/** A device that notes what its driver was told, and refuses as a test wants. */
export class TestDevice extends Device {
  /** The domain that translates its DMA. */
  uses: TestDomain | undefined;
  /** Every domain that was tried. */
  readonly attempts: TestDomain[] = [];
  /** The domain before, for each one that was attached. */
  readonly left: (Domain | null)[] = [];
  /** What attaching a domain fails with. */
  readonly refuses = new Map<Domain, Errno>();
  /** The domain of each PASID. */
  readonly pasids = new Map<number, TestDomain>();
  /** What its driver was asked about PASIDs: `PASID: FROM to TO`. */
  readonly pasidCalls: string[] = [];
  /** What attaching a domain to a PASID fails with. */
  readonly refusesPasid = new Map<Domain, Errno>();
  readonly resv: ResvRegion[] = [];
  readonly caps = new Set<IommuCap>();

  constructor(ops: TestOps, name: string) {
    super(ops.iommu, name, ops);
  }
}

/** The driver. By default every device gets a group of its own and a static blocked domain. */
export class TestOps implements IommuOps {
  readonly iommu: Iommu;
  blockedDomain?: TestDomain;
  identityDomain?: TestDomain;
  defaultDomain?: TestDomain;
  releaseDomain?: TestDomain;
  /** Its devices that fault, if they can. */
  iopfQueue?: IopfQueue;
  /** The group that devices join; a new one each without it. */
  sharedGroup: Group | undefined;
  /** What the operation of that name fails with. */
  readonly fails: {
    probe?: Errno;
    group?: Errno;
    alloc?: Errno;
    firstAttach?: Errno;
  } = {};
  /** What is done before pages are mapped. */
  onMap: (() => void) | undefined;
  /** All paging domains that were made. */
  readonly domains: TestDomain[] = [];
  defaultType: "identity" | "dma" = "dma";
  released: string[] = [];

  constructor(kernel: KernelCore = new KernelCore({ memory: LARGE })) {
    this.iommu = new Iommu(kernel);
    this.blockedDomain = new TestDomain({ owner: this }, "blocked");
  }

  capable(dev: Device, cap: IommuCap): boolean {
    return (dev as TestDevice).caps.has(cap);
  }

  probeDevice(): void {
    if (this.fails.probe) throw this.fails.probe;
  }

  releaseDevice(dev: Device): void {
    this.released.push(dev.name);
  }

  deviceGroup(): Group {
    if (this.fails.group) throw this.fails.group;
    return this.sharedGroup?.get() ?? this.iommu.allocGroup();
  }

  defDomainType(): "identity" | "dma" {
    return this.defaultType;
  }

  domainAllocPaging(dev: Device): TestDomain {
    if (this.fails.alloc) throw this.fails.alloc;
    const options = { owner: this, pgsizeBitmap: BigInt(SMALL | LARGE) };
    const domain = new TestDomain(options, "paging");
    this.domains.push(domain);
    const { firstAttach } = this.fails;
    if (firstAttach) (dev as TestDevice).refuses.set(domain, firstAttach);
    return domain;
  }

  resvRegions(dev: Device): readonly ResvRegion[] {
    return (dev as TestDevice).resv;
  }
}

/** Two probed devices in one group, and a paging domain to attach. */
export function groupOfTwo(ops: TestOps = new TestOps()): {
  ops: TestOps;
  a: TestDevice;
  b: TestDevice;
  group: Group;
  domain: TestDomain;
} {
  const a = new TestDevice(ops, "a");
  const b = new TestDevice(ops, "b");
  probeDevice(a);
  const group = a.group!;
  ops.sharedGroup = group;
  probeDevice(b);
  return { ops, a, b, group, domain: ops.domainAllocPaging(a) };
}

/** The errno that a call throws, without its reason, or undefined. */
export function errnoOf(call: () => void): Errno | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof Errno) return errnoFromCode(error.code);
    throw error;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
