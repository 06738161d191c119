// SPDX-License-Identifier: GPL-2.0-only

/**
 * One context as lines: its objects, and each of its IOASes.
 *
 * @module
 */

import type { ContextSnapshot, IoasSnapshot } from "../context.ts";
import type { ObjectSnapshot } from "../objects.ts";
import { address, bytes, count, grouped } from "../units.ts";
import { drawAxis } from "./axis.ts";
import { drawPages } from "./pages.ts";
import { abridge, type Row, table } from "./table.ts";

/** Objects that are shown at each end of a long list. */
const OBJECT_ENDS = 12;
/** Ranges that are shown at each end of a long list. */
const RANGE_ENDS = 2;

/** The lines of a context; `number` counts the contexts of the kernel from 1. */
export function drawContext(ctx: ContextSnapshot, number: number): string[] {
  const lines = [titleOf(ctx, number), "", ...drawObjects(ctx.objects)];
  for (const ioas of ctx.ioases) lines.push("", ...drawIoas(ioas));
  const pages = drawPages(ctx.pages, "    ");
  if (pages.length > 0) lines.push("", "  memory", "", ...pages);
  return lines;
}

/** What a context is called, with what holds for all of it. */
export function titleOf(ctx: ContextSnapshot, number: number): string {
  const facts = [
    count(ctx.objects.length, "object"),
    `pinned memory is charged to the ${ctx.charges}`,
  ];
  if (ctx.vfioIoas !== undefined) {
    facts.push(`VFIO container on IOAS ${ctx.vfioIoas}`);
  }
  if (ctx.noIommuMode) facts.push("VFIO container without IOMMU");
  return `context ${number} (${holders(ctx)}): ${facts.join(", ")}`;
}

/** The descriptors that the context is open as. */
function holders({ holders }: ContextSnapshot): string {
  const found = holders.map(({ pid, fd }) => `process ${pid} fd ${fd}`);
  return found.length > 0 ? found.join(", ") : "no descriptor";
}

function drawObjects(objects: readonly ObjectSnapshot[]): string[] {
  const rows = abridge<ObjectSnapshot, Row>(
    objects,
    OBJECT_ENDS,
    ({ id, kind, users, facts }) => ({
      cells: [String(id), kind, String(users)],
      rest: facts.join(", "),
    }),
    ({ length }) => ({ cells: ["..."], rest: `${grouped(length)} not shown` }),
  );
  const header = { cells: ["id", "object", "users"] };
  return table([header, ...rows], { indent: "  ", right: [0, 2] });
}

function drawIoas(ioas: IoasSnapshot): string[] {
  return [
    `  ${ioasTitle(ioas)}`,
    ...drawAllowed(ioas),
    "",
    ...drawAxis(ioas.spans, "    "),
  ];
}

/** What an IOAS is called, with its options. */
export function ioasTitle(
  { id, iovaAlignment, largePages }: IoasSnapshot,
): string {
  const alignment = bytes(BigInt(iovaAlignment));
  const large = largePages ? "on" : "off";
  return `IOAS ${id}: IOVA is aligned to ${alignment}, large IO pages are ${large}`;
}

/** Where the kernel may choose IOVA, if that is restricted. */
function drawAllowed({ allowed }: IoasSnapshot): string[] {
  if (allowed.length === 0) return [];
  return [
    "  kernel-chosen IOVA keeps to",
    ...abridge(
      allowed,
      RANGE_ENDS,
      ({ start, last }) => `    ${address(start)}-${address(last)}`,
      ({ length }) => `    ${grouped(length)} more`,
    ),
  ];
}
