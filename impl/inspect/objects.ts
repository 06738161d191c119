// SPDX-License-Identifier: GPL-2.0-only

/**
 * The objects of a context: what there is to say about each, and which others
 * it is made or attached on.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import { type Group, IOMMU_NO_PASID } from "../iommu/group.ts";
import { Access } from "../iommufd/access/access.ts";
import { IommufdDevice } from "../iommufd/attach/device.ts";
import { IommufdFault } from "../iommufd/events/fault.ts";
import { HwPagetable, type HwptPaging } from "../iommufd/hwpt/hw_pagetable.ts";
import { HwptNested } from "../iommufd/hwpt/hwpt_nested.ts";
import { Ioas } from "../iommufd/ioas/ioas.ts";
import type { IommufdObject } from "../iommufd/objects/object.ts";
import { kindOf, type Names } from "./names.ts";
import { bytes, count, hex } from "./units.ts";
import { viommuFacts, viommuUses } from "./viommu.ts";

/** An object of a context. */
export interface ObjectSnapshot {
  /** Its id. */
  readonly id: number;
  /** Its kind, as `IOAS`. */
  readonly kind: string;
  /** How many hold it, the context included. */
  readonly users: number;
  /** What else there is to say. */
  readonly facts: readonly string[];
  /** Ids of the objects that it is made or attached on. */
  readonly uses: readonly number[];
}

/** All objects of a context. */
export function snapshotObjects(
  objects: readonly IommufdObject[],
  names: Names,
): ObjectSnapshot[] {
  return objects.map((object) => ({
    id: object.id,
    kind: kindOf(object),
    users: object.users,
    facts: factsOf(object, objects, names),
    uses: usesOf(object, names),
  }));
}

function factsOf(
  object: IommufdObject,
  all: readonly IommufdObject[],
  names: Names,
): string[] {
  if (object instanceof Ioas) return ioasFacts(object, names);
  if (object instanceof HwPagetable) return hwptFacts(object, all, names);
  if (object instanceof IommufdDevice) return deviceFacts(object, names);
  if (object instanceof Access) return accessFacts(object);
  if (object instanceof IommufdFault) {
    const { unread, unanswered } = object;
    return [`${unread.size} unread, ${unanswered.size} unanswered`];
  }
  return viommuFacts(object) ?? ["made by MOCK_DOMAIN"];
}

function usesOf(object: IommufdObject, names: Names): number[] {
  if (object instanceof HwPagetable) {
    const base = object instanceof HwptNested
      ? object.base
      : object.paging.ioas;
    return object.fault === undefined ? [base.id] : [base.id, object.fault.id];
  }
  if (object instanceof IommufdDevice) {
    const { group } = object.dev;
    const pasids = group === null ? [] : names.pasids(group).keys();
    const ids = [domainOf(object), ...pasids].map((each) => names.hwptId(each));
    return [...new Set(ids)].filter((id) => id !== undefined);
  }
  if (object instanceof Access) {
    return object.ioas === undefined ? [] : [object.ioas.id];
  }
  return viommuUses(object);
}

function ioasFacts({ iopt }: Ioas, names: Names): string[] {
  const facts = [count(iopt.areas.size, "area")];
  for (const domain of iopt.domains) {
    facts.push(names.place(domain));
  }
  const { accesses } = iopt;
  if (!accesses.isEmpty) facts.push(count(accesses.size, "access", "accesses"));
  return facts;
}

function hwptFacts(
  hwpt: HwPagetable,
  all: readonly IommufdObject[],
  names: Names,
): string[] {
  const facts = hwpt instanceof HwptNested
    ? [`nested on ${kindOf(hwpt.base)} ${hwpt.base.id}`]
    : pagingFacts(hwpt.paging);
  if (hwpt.pasidCompat) facts.push("for PASIDs");
  if (hwpt.fault !== undefined) facts.push(`faults to ${hwpt.fault.id}`);
  const { domain } = hwpt;
  for (const object of all) {
    if (!(object instanceof IommufdDevice)) continue;
    const { name, group } = object.dev;
    if (domainOf(object) === domain) facts.push(name);
    if (group === null) continue;
    const pasids = names.pasids(group).get(domain);
    if (pasids !== undefined) facts.push(`${pasids} of ${name}`);
  }
  return facts;
}

function pagingFacts(hwpt: HwptPaging): string[] {
  const { domain, ioas } = hwpt;
  const { apertureStart, apertureEnd } = domain;
  const facts = [
    `IOAS ${ioas.id}`,
    `${sizesOf(domain.pageSizes)} pages`,
    `IOVA ${hex(apertureStart)}-${hex(apertureEnd)}`,
  ];
  if (hwpt.autoDomain) facts.push("auto");
  if (hwpt.nestParent) facts.push("parent");
  if (domain.dirtyOps !== undefined) {
    facts.push(`dirty tracking ${domain.dirtyOps.tracksDirty ? "on" : "off"}`);
  }
  if (hwpt.enforceCacheCoherency) facts.push("coherent");
  return facts;
}

function deviceFacts(idev: IommufdDevice, names: Names): string[] {
  const { name, group } = idev.dev;
  const hwpt = names.hwpt(domainOf(idev));
  const detached = group === null ? "detached" : "detached: DMA is blocked";
  return [
    name,
    group === null ? "no group, DMA is not translated" : `group ${group.id}`,
    hwpt === undefined ? detached : `attached to ${hwpt}`,
    ...pasidFacts(group, names),
  ];
}

/** What a device uses for DMA without PASID; without an IOMMU, what it would use. */
function domainOf({ dev, igroup }: IommufdDevice): Domain | null {
  if (dev.group !== null) return dev.group.domain;
  const rid = [...igroup.attachments].find(({ pasid }) =>
    pasid === IOMMU_NO_PASID
  );
  return rid?.hwpt.domain ?? null;
}

/** What the PASIDs of a device are attached to. */
function pasidFacts(group: Group | null, names: Names): string[] {
  if (group === null) return [];
  return [...names.pasids(group)].map(([domain, pasids]) =>
    `${pasids} to ${names.place(domain)}`
  );
}

function accessFacts(access: Access): string[] {
  const { ioas, iovaAlignment } = access;
  const alignment = bytes(BigInt(iovaAlignment));
  return [
    ioas === undefined ? "no IOAS" : `IOAS ${ioas.id}`,
    `needs IOVA aligned to ${alignment}`,
  ];
}

/** The sizes of pages, from the first to the last if those between are there too. */
function sizesOf(pageSizes: readonly number[]): string {
  const sizes = pageSizes.map((size) => bytes(BigInt(size)));
  const all = pageSizes.every((size, i) => size === pageSizes[0]! * 2 ** i);
  return all && sizes.length > 2
    ? `${sizes[0]}-${sizes.at(-1)}`
    : sizes.join(" and ");
}
