// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the kernel holds.
 *
 * @module
 */

import {
  type ContextSnapshot,
  draw,
  type PagesSnapshot,
  type Snapshot,
} from "@iommufd/kit";
import { titleOf } from "../../../impl/inspect/text/context.ts";
import { drawPci } from "../../../impl/inspect/text/pci.ts";
import { count, grouped } from "../../../impl/inspect/units.ts";
import { axisView, type Range, spansIn } from "./axis_view.ts";
import { h } from "./dom.ts";
import type { PageElement } from "./browser.ts";
import { memoryView } from "./memory_view.ts";
import { objectsView } from "./objects_view.ts";

/** What is looked at of each IOAS: the range by context and id. */
export type Zooms = Map<string, Range>;

/** What the kernel is drawn with. */
export interface StateOptions {
  /** CSS pixels. */
  readonly width: number;
  /** What is looked at. */
  readonly zooms: Zooms;
  /** Draws all of it again. */
  readonly redraw: () => void;
}

/** Draws a kernel; `before` is what it was before the call. */
export function stateView(
  shot: Snapshot,
  before: Snapshot | undefined,
  options: StateOptions,
): PageElement[] {
  const { contexts, devices, warnings } = shot;
  return [
    warnings.length === 0 ? undefined : h(
      "section",
      { class: "warnings", role: "alert" },
      h("h2", {}, "The kernel warned"),
      h("ul", {}, warnings.map((each) => h("li", {}, each))),
    ),
    contexts.length === 0
      ? h("p", { class: "empty" }, "No /dev/iommu is open.")
      : undefined,
    ...contexts.map((ctx, i) =>
      contextView(ctx, before?.contexts[i], i + 1, options)
    ),
    devices.length === 0 ? undefined : h(
      "section",
      {},
      h("h2", {}, "Devices of VFIO"),
      h("pre", { tabindex: 0 }, devices.flatMap(drawPci).join("\n")),
    ),
    accountsView(shot),
    h(
      "details",
      { class: "text" },
      h("summary", {}, "All of it as text, as inspect() draws it"),
      h("pre", { tabindex: 0 }, draw(shot)),
    ),
  ].filter((part) => part !== undefined);
}

function contextView(
  ctx: ContextSnapshot,
  before: ContextSnapshot | undefined,
  number: number,
  { width, zooms, redraw }: StateOptions,
): PageElement {
  return h(
    "section",
    { class: "context" },
    h("h2", {}, titleOf(ctx, number)),
    ctx.ioases.map((ioas) => {
      const key = `${number} ${ioas.id}`;
      const tables = ctx.pageTables.filter((table) => table.ioas === ioas.id);
      return axisView(ioas, tables, {
        width,
        zoom: zooms.get(key),
        before: before?.ioases.find(({ id }) => id === ioas.id),
        onZoom: (zoom) => {
          if (zoom === undefined) zooms.delete(key);
          else zooms.set(key, zoom);
          redraw();
        },
      });
    }),
    ctx.pages.length === 0 ? undefined : memoryView(
      pagesInView(ctx, number, zooms),
      before?.pages ?? [],
      width,
    ),
    ctx.objects.length === 0
      ? undefined
      : objectsView(ctx.objects, before?.objects ?? [], width),
  );
}

/** All memory; where a part of an axis is looked at, the memory behind that. */
function pagesInView(
  ctx: ContextSnapshot,
  number: number,
  zooms: Zooms,
): readonly PagesSnapshot[] {
  const wanted = ctx.ioases.flatMap((ioas) => {
    const zoom = zooms.get(`${number} ${ioas.id}`);
    return zoom === undefined ? [] : spansIn(ioas, zoom);
  });
  if (wanted.length === 0) return ctx.pages;
  const names = new Set(wanted.map(({ area }) => area?.pages));
  return ctx.pages.filter(({ name }) => names.has(name));
}

function accountsView({ processes, users, framesUsed }: Snapshot): PageElement {
  return h(
    "section",
    { class: "accounts" },
    h("h2", {}, "Who is charged"),
    h(
      "ul",
      {},
      processes.map(({ pid, uid, lockedVm, pinnedVm }) =>
        h(
          "li",
          {},
          `process ${pid} (user ${uid}): ${count(lockedVm, "page")} locked, ${
            grouped(pinnedVm)
          } pinned`,
        )
      ),
      users.map(({ uid, lockedVm }) =>
        h("li", {}, `user ${uid}: ${count(lockedVm, "page")} locked`)
      ),
      h("li", {}, `${count(framesUsed, "frame")} of memory in use`),
    ),
  );
}
