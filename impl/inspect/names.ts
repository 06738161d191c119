// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the things of a context are called in a drawing.
 *
 * @module
 */

import { Device } from "../iommu/device.ts";
import type { Domain } from "../iommu/domain.ts";
import type { Group } from "../iommu/group.ts";
import { Access } from "../iommufd/access/access.ts";
import { IommufdDevice } from "../iommufd/attach/device.ts";
import { IommufdFault } from "../iommufd/events/fault.ts";
import { HwPagetable } from "../iommufd/hwpt/hw_pagetable.ts";
import { Ioas } from "../iommufd/ioas/ioas.ts";
import type { IommufdCtx } from "../iommufd/main.ts";
import type { IommufdObject } from "../iommufd/objects/object.ts";
import type { IoptPages } from "../iommufd/pages/pages.ts";
import { pasidsByDomain } from "./pasids.ts";
import { viommuKind } from "./viommu.ts";

/** The kind of an object (Linux: enum iommufd_object_type). */
export function kindOf(object: IommufdObject): string {
  if (object instanceof Ioas) return "IOAS";
  if (object instanceof HwPagetable) return "HWPT";
  if (object instanceof IommufdDevice) return "device";
  if (object instanceof Access) return "access";
  if (object instanceof IommufdFault) return "fault";
  return viommuKind(object) ?? "selftest";
}

/** The names of one context. */
export class Names {
  readonly #hwpts = new Map<Domain, number>();
  readonly #pages = new Map<IoptPages, string>();
  readonly #pasids = new Map<Group, ReadonlyMap<Domain, string>>();

  /** Looks at the context's HWPTs. */
  constructor(ctx: IommufdCtx) {
    for (const object of ctx.objects) {
      if (object instanceof HwPagetable) {
        this.#hwpts.set(object.domain, object.id);
      }
    }
  }

  /** The HWPT of a domain: `HWPT 4`. Domains that are no object of the context have none. */
  hwpt(domain: Domain | null): string | undefined {
    const id = this.hwptId(domain);
    return id === undefined ? undefined : `HWPT ${id}`;
  }

  /** The id of that HWPT. */
  hwptId(domain: Domain | null): number | undefined {
    return domain === null ? undefined : this.#hwpts.get(domain);
  }

  /** The same, of a domain that a HWPT in the making may have. */
  place(domain: Domain): string {
    return this.hwpt(domain) ?? "a domain";
  }

  /** The PASIDs of a group's devices by the domain that they are attached to. */
  pasids(group: Group): ReadonlyMap<Domain, string> {
    let pasids = this.#pasids.get(group);
    if (pasids === undefined) {
      pasids = pasidsByDomain(group);
      this.#pasids.set(group, pasids);
    }
    return pasids;
  }

  /** The owner of a reserved range. */
  owner(owner: object | null): string {
    if (owner === null) return "ADD_RESERVED";
    if (owner instanceof Device) return owner.name;
    return this.place(owner as Domain);
  }

  /** Pages are called P1, P2, … in the order in which they are asked for. */
  pages(pages: IoptPages): string {
    let name = this.#pages.get(pages);
    if (name === undefined) {
      name = `P${this.#pages.size + 1}`;
      this.#pages.set(pages, name);
    }
    return name;
  }

  /** All pages that were asked for, with their names. */
  get allPages(): [IoptPages, string][] {
    return [...this.#pages];
  }
}
