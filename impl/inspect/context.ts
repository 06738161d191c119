// SPDX-License-Identifier: GPL-2.0-only

/**
 * One context: its objects, and each of its IOASes.
 *
 * @module
 */

import type { Domain } from "../iommu/domain.ts";
import { type Group, IOMMU_NO_PASID } from "../iommu/group.ts";
import { Access } from "../iommufd/access/access.ts";
import { ACCOUNT_MM } from "../iommufd/pages/accounting.ts";
import { IommufdDevice } from "../iommufd/attach/device.ts";
import { IommufdFault } from "../iommufd/events/fault.ts";
import { HwPagetable, type HwptPaging } from "../iommufd/hwpt/hw_pagetable.ts";
import { HwptNested } from "../iommufd/hwpt/hwpt_nested.ts";
import { Ioas } from "../iommufd/ioas/ioas.ts";
import type { IommufdCtx } from "../iommufd/main.ts";
import type { IommufdObject } from "../iommufd/objects/object.ts";
import { drawAxis } from "./axis.ts";
import { kindOf, Names } from "./names.ts";
import { drawPages } from "./pages.ts";
import { abridge, type Row, table } from "./table.ts";
import { address, bytes, count, grouped, hex } from "./units.ts";
import { viommuFacts } from "./viommu.ts";

/** Objects that are shown at each end of a long list. */
const OBJECT_ENDS = 12;
/** Ranges that are shown at each end of a long list. */
const RANGE_ENDS = 2;

/** The lines of a context; `number` counts the contexts of the kernel from 1. */
export function drawContext(ctx: IommufdCtx, number: number): string[] {
  const objects = [...ctx.objects];
  const names = new Names(ctx);
  const lines = [
    title(ctx, number, objects.length),
    "",
    ...drawObjects(objects, names),
  ];
  for (const object of objects) {
    if (!(object instanceof Ioas)) continue;
    lines.push("", ...drawIoas(object, names));
  }
  const pages = drawPages(names, "    ");
  if (pages.length > 0) lines.push("", "  memory", "", ...pages);
  return lines;
}

function title(ctx: IommufdCtx, number: number, objects: number): string {
  const charged = ctx.accountMode === ACCOUNT_MM ? "process" : "user";
  const facts = [
    count(objects, "object"),
    `pinned memory is charged to the ${charged}`,
  ];
  if (ctx.vfioIoas !== undefined) {
    facts.push(`VFIO container on IOAS ${ctx.vfioIoas.id}`);
  }
  if (ctx.noIommuMode) facts.push("VFIO container without IOMMU");
  return `context ${number} (${holders(ctx)}): ${facts.join(", ")}`;
}

/** The descriptors that the context is open as. */
function holders(ctx: IommufdCtx): string {
  const found: string[] = [];
  for (const process of ctx.kernel.tasks) {
    for (const [fd, file] of process.files) {
      if (file === ctx) found.push(`process ${process.pid} fd ${fd}`);
    }
  }
  return found.length > 0 ? found.join(", ") : "no descriptor";
}

function drawObjects(
  objects: readonly IommufdObject[],
  names: Names,
): string[] {
  const rows = abridge(
    objects,
    OBJECT_ENDS,
    (object) => objectRow(object, objects, names),
    ({ length }) => ({ cells: ["..."], rest: `${grouped(length)} not shown` }),
  );
  const header = { cells: ["id", "object", "users"] };
  return table([header, ...rows], { indent: "  ", right: [0, 2] });
}

function objectRow(
  object: IommufdObject,
  all: readonly IommufdObject[],
  names: Names,
): Row {
  return {
    cells: [String(object.id), kindOf(object), String(object.users)],
    rest: factsOf(object, all, names).join(", "),
  };
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

function drawIoas({ id, iopt }: Ioas, names: Names): string[] {
  const large = iopt.disableLargePages ? "off" : "on";
  const alignment = bytes(BigInt(iopt.iovaAlignment));
  return [
    `  IOAS ${id}: IOVA is aligned to ${alignment}, large IO pages are ${large}`,
    ...drawAllowed([...iopt.allowed]),
    "",
    ...drawAxis(iopt, names, "    "),
  ];
}

/** Where the kernel may choose IOVA, if that is restricted. */
function drawAllowed(
  ranges: readonly { start: bigint; last: bigint }[],
): string[] {
  if (ranges.length === 0) return [];
  return [
    "  kernel-chosen IOVA keeps to",
    ...abridge(
      ranges,
      RANGE_ENDS,
      ({ start, last }) => `    ${address(start)}-${address(last)}`,
      ({ length }) => `    ${grouped(length)} more`,
    ),
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
