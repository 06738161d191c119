// SPDX-License-Identifier: GPL-2.0-only

/**
 * Interrupts of devices whose IOMMU translates the write that raises them, so
 * that software must map the doorbell: the IOMMU's driver says in which window
 * of IOVA ("sw-msi"). How is a strategy of the context.
 *
 * Linux: iommufd_group_setup_msi of device.c, iommufd_sw_msi and its neighbours
 * of driver.c.
 *
 * @module
 */

import { IOMMU_MMIO, IOMMU_READ, IOMMU_WRITE } from "../../iommu/domain.ts";
import type { Group } from "../../iommu/group.ts";
import { iommuMap } from "../../iommu/map.ts";
import type { KernelCore } from "../../kernel/core.ts";
import { type Iova, plus, toIova } from "../../lib/brands.ts";
import { EOVERFLOW } from "../../uapi/errno.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { HwPagetable, HwptPaging } from "../hwpt/hw_pagetable.ts";

/** The doorbells of a context. */
export interface SwMsi {
  /** Those of a group that the context begins to use. */
  ofGroup(group: Group): GroupMsi;
  /** A HWPT has got its domain. */
  adopt(hwpt: HwPagetable): void;
}

/** The doorbells of a group. */
export interface GroupMsi {
  /** Where the window of its devices begins, if they have one (Linux: sw_msi_start). */
  start: bigint | undefined;
  /** Gives a domain what the interrupts of the group need, which is about to use it. Throws ENOMEM, and what the driver throws. */
  setUp(paging: HwptPaging): void;
}

/** The strategy of a new context. */
export function swMsiOf(kernel: KernelCore): SwMsi {
  return kernel.revision.attach.softwareMsi === "list"
    ? new SwMsiList(kernel)
    : { ofGroup: () => new CookieMsi(), adopt() {} };
}

/** A window in each domain, in which the IOMMU core maps doorbells as they come (Linux before 6.15). */
class CookieMsi implements GroupMsi {
  start: bigint | undefined;

  /** Gives the domain its window, once. */
  setUp(paging: HwptPaging): void {
    if (this.start === undefined || paging.msiCookie) return;
    paging.domain.getMsiCookie(this.start);
    paging.msiCookie = true;
  }
}

/** A doorbell's place in a window (Linux: struct iommufd_sw_msi_map). */
export interface SwMsiMap {
  /** Where the window begins. */
  readonly start: bigint;
  /** Physical address of the doorbell's page. */
  readonly page: number;
  /** Where it is mapped, in all domains. */
  readonly iova: Iova;
}

/** The most doorbells that a context has (Linux: bits of struct iommufd_sw_msi_maps). */
const MAX_DOORBELLS = 64;

/** A doorbell has the same IOVA in all domains of the context (Linux: sw_msi_list). */
class SwMsiList implements SwMsi {
  readonly #kernel: KernelCore;
  readonly #maps: SwMsiMap[] = [];
  readonly #groups: WeakMap<Group, ListMsi> = new WeakMap();

  constructor(kernel: KernelCore) {
    this.#kernel = kernel;
  }

  ofGroup(group: Group): GroupMsi {
    const msi = new ListMsi(this);
    this.#groups.set(group, msi);
    return msi;
  }

  /** Interrupts of devices that use the domain come here (Linux: iommufd_sw_msi). */
  adopt(hwpt: HwPagetable): void {
    hwpt.domain.getIommufdCookie((dev, msiAddr) =>
      this.#groups.get(dev.group!)!.prepare(hwpt.paging, msiAddr)
    );
  }

  /** The place of a doorbell in a window. Throws EOVERFLOW, ENOMEM. (Linux: iommufd_sw_msi_get_map.) */
  get(start: bigint, page: number): SwMsiMap {
    const window = this.#maps.filter((map) => map.start === start);
    const known = window.find((map) => map.page === page);
    if (known !== undefined) return known;
    if (this.#maps.length >= MAX_DOORBELLS) {
      throw EOVERFLOW.because("the context has mapped 64 doorbells");
    }
    this.#kernel.step("swMsi.map");
    const iova = plus(toIova(start), window.length * PAGE_SIZE);
    const map = { start, page, iova };
    this.#maps.push(map);
    return map;
  }
}

/** The doorbells that a group has asked for: they come along to each domain. */
class ListMsi implements GroupMsi {
  start: bigint | undefined;
  readonly #list: SwMsiList;
  readonly #required: Set<SwMsiMap> = new Set();

  constructor(list: SwMsiList) {
    this.#list = list;
  }

  setUp(paging: HwptPaging): void {
    for (const map of this.#required) {
      if (map.start === this.start) install(paging, map);
    }
  }

  /** Maps the doorbell at an address into the domain that the group uses; returns what a device must write to. */
  prepare(paging: HwptPaging, msiAddr: number): number {
    if (this.start === undefined) return msiAddr;
    const page = msiAddr - msiAddr % PAGE_SIZE;
    const map = this.#list.get(this.start, page);
    install(paging, map);
    this.#required.add(map);
    return map.iova + msiAddr - page;
  }
}

/** Maps a doorbell into a domain that does not have it; it stays there (Linux: iommufd_sw_msi_install). */
function install(paging: HwptPaging, map: SwMsiMap): void {
  if (paging.swMsi.has(map)) return;
  const prot = IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO;
  iommuMap(paging.domain, map.iova, map.page, PAGE_SIZE, prot);
  paging.swMsi.add(map);
}
