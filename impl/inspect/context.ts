// SPDX-License-Identifier: GPL-2.0-only

/**
 * One context: its objects, each of its IOASes, its memory.
 *
 * @module
 */

import { ACCOUNT_MM } from "../iommufd/pages/accounting.ts";
import { Ioas } from "../iommufd/ioas/ioas.ts";
import type { IommufdCtx } from "../iommufd/main.ts";
import { type AxisSpan, spansOf } from "./axis.ts";
import { Names } from "./names.ts";
import { type ObjectSnapshot, snapshotObjects } from "./objects.ts";
import { type PageTableSnapshot, pageTablesOf } from "./page_tables.ts";
import { type PagesSnapshot, snapshotPages } from "./pages.ts";

/** An IO address space. */
export interface IoasSnapshot {
  /** Of the object. */
  readonly id: number;
  /** What IOVA must be a multiple of, in bytes. */
  readonly iovaAlignment: number;
  /** Large IO pages are on. */
  readonly largePages: boolean;
  /** Where the kernel may choose IOVA; empty where that is not restricted. */
  readonly allowed: readonly {
    readonly start: bigint;
    readonly last: bigint;
  }[];
  /** All IOVA. */
  readonly spans: readonly AxisSpan[];
}

/** An open `/dev/iommu`. */
export interface ContextSnapshot {
  /** The descriptors that it is open as. */
  readonly holders: readonly { readonly pid: number; readonly fd: number }[];
  /** Who is charged for pinned memory. */
  readonly charges: "process" | "user";
  /** The IOAS that stands behind a VFIO container. */
  readonly vfioIoas: number | undefined;
  /** It is a VFIO container without IOMMU. */
  readonly noIommuMode: boolean;
  /** Its objects by id. */
  readonly objects: readonly ObjectSnapshot[];
  /** Its IOASes by id. */
  readonly ioases: readonly IoasSnapshot[];
  /** The memory behind their areas, P1 first. */
  readonly pages: readonly PagesSnapshot[];
  /** The page tables of its HWPTs by id; empty where they were not asked for. */
  readonly pageTables: readonly PageTableSnapshot[];
}

/** What a context holds. */
export function snapshotContext(
  ctx: IommufdCtx,
  pageTables: boolean,
): ContextSnapshot {
  const names = new Names(ctx);
  const objects = [...ctx.objects];
  const ioases = objects.filter((object) => object instanceof Ioas);
  return {
    holders: holdersOf(ctx),
    charges: ctx.accountMode === ACCOUNT_MM ? "process" : "user",
    vfioIoas: ctx.vfioIoas?.id,
    noIommuMode: ctx.noIommuMode,
    objects: snapshotObjects(objects, names),
    ioases: ioases.map((ioas) => snapshotIoas(ioas, names)),
    pages: names.allPages.map(([pages, name]) =>
      snapshotPages(pages, name, names)
    ),
    pageTables: pageTables ? pageTablesOf(objects) : [],
  };
}

function holdersOf(ctx: IommufdCtx): ContextSnapshot["holders"] {
  const holders: { pid: number; fd: number }[] = [];
  for (const { pid, files } of ctx.kernel.tasks) {
    for (const [fd, file] of files) {
      if (file === ctx) holders.push({ pid, fd });
    }
  }
  return holders;
}

function snapshotIoas({ id, iopt }: Ioas, names: Names): IoasSnapshot {
  return {
    id,
    iovaAlignment: iopt.iovaAlignment,
    largePages: !iopt.disableLargePages,
    allowed: Array.from(iopt.allowed, ({ start, last }) => ({ start, last })),
    spans: spansOf(iopt, names),
  };
}
