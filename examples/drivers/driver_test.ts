// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import {
  Device,
  Domain,
  type Group,
  type Iommu,
  type IommuCap,
  IommufdClient,
  iommufdCtxFromFd,
  IommufdDevice,
  type IommuOps,
  Kernel,
  MAP_ANONYMOUS,
  MAP_SHARED,
  probeDevice,
  PROT_READ,
  PROT_WRITE,
  releaseDevice,
} from "@iommufd/kit";

const PAGE = 4096;

/** A page table: from number of the IO page to physical address. */
class TinyDomain extends Domain {
  override readonly type = "paging";
  readonly #table = new Map<number, number>();

  override attachDev(): void {}

  override mapPages(iova: number, paddr: number, size: number, n: number) {
    for (let i = 0; i < n; i++) {
      this.#table.set(iova / PAGE + i, paddr + i * size);
    }
    return size * n;
  }

  override unmapPages(iova: number, size: number, n: number) {
    for (let i = 0; i < n; i++) this.#table.delete(iova / PAGE + i);
    return size * n;
  }

  override iovaToPhys(iova: number) {
    const page = this.#table.get(Math.floor(iova / PAGE));
    return page === undefined ? 0 : page + iova % PAGE;
  }
}

/** An IOMMU with pages of 4 KiB that isolates every device. */
class TinyIommu implements IommuOps {
  readonly iommu: Iommu;

  constructor(kernel: Kernel) {
    this.iommu = kernel.iommu;
  }

  capable(_dev: Device, cap: IommuCap): boolean {
    return cap === "cache-coherency";
  }

  deviceGroup(): Group {
    return this.iommu.allocGroup();
  }

  domainAllocPaging(): Domain {
    return new TinyDomain({ owner: this, pgsizeBitmap: BigInt(PAGE) });
  }
}

Deno.test("a device behind an IOMMU of one's own sees what an IOAS maps", () => {
  const kernel = new Kernel();
  const dev = new Device(kernel.iommu, "0000:00:04.0", new TinyIommu(kernel));
  dev.hasIsolatedMsi = true;
  probeDevice(dev);

  // User space: memory and an IOAS.
  const process = kernel.spawn();
  const flags = MAP_SHARED | MAP_ANONYMOUS;
  const userVa = process.mmap(0, PAGE, PROT_READ | PROT_WRITE, flags);
  process.poke(userVa, new Uint8Array([42]));
  const iommufd = IommufdClient.open(process);
  const { ioasId } = iommufd.ioasAlloc();

  // The device's driver, such as VFIO: user space gave it the two numbers.
  const ctx = iommufdCtxFromFd(process, iommufd.fd);
  const idev = IommufdDevice.bindDevice(ctx, dev);
  idev.attach(ioasId);

  // DMA: the device reads through its IOMMU.
  const { iova } = iommufd.ioasMap({ ioasId, userVa, length: PAGE });
  const read = new Uint8Array(1);
  dev.dma.read(Number(iova), read);
  assertEquals(read[0], 42);

  idev.detach();
  idev.unbind();
  ctx.put();
  process.exit();
  releaseDevice(dev);
  assertEquals(kernel.audit(), []);
});
