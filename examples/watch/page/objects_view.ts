// SPDX-License-Identifier: GPL-2.0-only

/**
 * The objects of a context: which stands on which, and what there is to say
 * about each.
 *
 * @module
 */

import type { ObjectSnapshot } from "@iommufd/kit";
import { abridge } from "../../../impl/inspect/text/table.ts";
import { grouped } from "../../../impl/inspect/units.ts";
import { type PlacedNode, placeGraph } from "../play/place.ts";
import { h, s } from "./dom.ts";
import type { PageElement } from "./browser.ts";

/** Objects that are drawn with lines; more of them are in the table only. */
const MOST_DRAWN = 36;
/** Objects that the table shows at each end of many. */
const ENDS = 12;
const ROW = 46;
const BOX = { width: 112, height: 34 };

/** Draws objects; `before` are those before the call. */
export function objectsView(
  objects: readonly ObjectSnapshot[],
  before: readonly ObjectSnapshot[],
  width: number,
): PageElement {
  const known = new Map(before.map((each) => [each.id, JSON.stringify(each)]));
  const changeOf = (object: ObjectSnapshot) => {
    const old = known.get(object.id);
    if (old === undefined) return "new";
    return old === JSON.stringify(object) ? "" : "changed";
  };
  return h(
    "section",
    { class: "objects" },
    h("h3", {}, "Objects, and what each stands on"),
    graph(objects.slice(0, MOST_DRAWN), changeOf, width),
    table(objects, changeOf),
  );
}

function graph(
  objects: readonly ObjectSnapshot[],
  changeOf: (object: ObjectSnapshot) => string,
  width: number,
): PageElement {
  const nodes = placeGraph(objects);
  const columns = Math.max(3, ...nodes.map(({ column }) => column + 1));
  const rows = Math.max(1, ...nodes.map(({ row }) => row + 1));
  const pitch = Math.min(190, (width - 2) / columns);
  const box = Math.min(BOX.width, pitch - 14);
  const placed = new Map(
    nodes.map((
      node,
    ) => [node.item.id, { x: node.column * pitch + 1, y: node.row * ROW + 4 }]),
  );
  const edges = nodes.flatMap(({ item }) =>
    item.uses.flatMap((used) => {
      const [from, to] = [placed.get(item.id)!, placed.get(used)];
      if (to === undefined) return [];
      const [x1, y1] = [from.x, from.y + BOX.height / 2];
      const [x2, y2] = [to.x + box, to.y + BOX.height / 2];
      const middle = (x1 + x2) / 2;
      return [s("path", {
        class: "edge",
        d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`,
      })];
    })
  );
  const height = rows * ROW;
  return s(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label":
        "Lines from each object to those that it stands on; the table has the same in words",
    },
    edges,
    nodes.map((node) =>
      objectBox(node, placed.get(node.item.id)!, box, changeOf)
    ),
  );
}

function objectBox(
  { item }: PlacedNode<ObjectSnapshot>,
  { x, y }: { x: number; y: number },
  width: number,
  changeOf: (object: ObjectSnapshot) => string,
): PageElement {
  const { id, kind, users, facts } = item;
  return s(
    "g",
    { class: `object ${changeOf(item)}` },
    s("title", {}, `${kind} ${id}: ${facts.join(", ")}`),
    s("rect", { x, y, width, height: BOX.height, rx: 5 }),
    s("text", { x: x + 6, y: y + 14 }, `${kind} ${id}`),
    s(
      "text",
      { class: "tick", x: x + 6, y: y + 28 },
      `${users} ${users === 1 ? "user" : "users"}`,
    ),
  );
}

function table(
  objects: readonly ObjectSnapshot[],
  changeOf: (object: ObjectSnapshot) => string,
): PageElement {
  const rows = abridge<ObjectSnapshot, PageElement>(
    objects,
    ENDS,
    (object) =>
      h(
        "tr",
        { class: changeOf(object) },
        h("td", { class: "number" }, String(object.id)),
        h("td", {}, object.kind),
        h("td", { class: "number" }, String(object.users)),
        h("td", {}, object.facts.join(", ")),
      ),
    ({ length }) =>
      h("tr", {}, h("td", { colspan: 4 }, `… ${grouped(length)} more`)),
  );
  return h(
    "div",
    { class: "wide" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["id", "object", "users", "facts"].map((each) =>
            h("th", { scope: "col" }, each)
          ),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}
