// SPDX-License-Identifier: GPL-2.0-only

/**
 * The PASIDs of devices, by what they are attached to.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import { type Group, IOMMU_NO_PASID } from "../iommu/group.ts";
import { grouped } from "./units.ts";

/** PASIDs that are named before the others are only counted. */
const NAMED = 4;

/** The PASIDs of a group's devices by the domain that they have: `PASID 5`, `PASIDs 1, 2`, `PASIDs 1, 2, 3, 4 and 126 more`. */
export function pasidsByDomain({ pasidArray }: Group): Map<Domain, string> {
  const pasids = new Map<Domain, number[]>();
  for (const [pasid, handle] of pasidArray) {
    const domain = handle?.domain;
    if (!domain || pasid === IOMMU_NO_PASID) continue;
    const list = pasids.get(domain);
    if (list === undefined) pasids.set(domain, [pasid]);
    else list.push(pasid);
  }
  return new Map([...pasids].map(([domain, list]) => [domain, inWords(list)]));
}

function inWords(pasids: number[]): string {
  pasids.sort((a, b) => a - b);
  const named = pasids.slice(0, NAMED).join(", ");
  const more = pasids.length - NAMED;
  const rest = more > 0 ? ` and ${grouped(more)} more` : "";
  return `${pasids.length === 1 ? "PASID" : "PASIDs"} ${named}${rest}`;
}
