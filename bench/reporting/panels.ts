// SPDX-License-Identifier: GPL-2.0-only

/**
 * Which series the chart shows.
 *
 * @module
 */

import type { Curve, Panel } from "./chart.ts";
import type { Figures } from "./figures.ts";
import { LENGTHS } from "../operations/sizes.ts";
import { formatBytes } from "../measuring/scenario.ts";

/** Series over bytes, by the label of their curve. */
const BY_BYTES: Readonly<Record<string, string>> = {
  "map": "IOAS_MAP, 4 KiB pages, 1 domain",
  "unmap": "IOAS_UNMAP, 4 KiB pages, 1 domain",
  "map, 2 domains": "IOAS_MAP, 4 KiB pages, 2 domains",
  "map, scattered frames": "IOAS_MAP, scattered 4 KiB pages, 1 domain",
  "unmap, scattered frames": "IOAS_UNMAP, scattered 4 KiB pages, 1 domain",
  "copy": "IOAS_COPY, 1 domain",
  "access pin": "access pin, no domain",
  "dirty bitmap": "HWPT_GET_DIRTY_BITMAP, half of it dirty",
  "map, no domain": "IOAS_MAP, 4 KiB pages, no domain",
};

/** The floor that is drawn with them. */
const FLOOR_OF = BY_BYTES.map!;

/** Series over areas. */
const BY_AREAS: Readonly<Record<string, string>> = {
  "one more fixed map": "one more fixed IOAS_MAP among",
  "one more chosen map": "one more kernel-chosen IOAS_MAP, behind",
  "unmap of everything": "IOAS_UNMAP of everything, no domain",
  "attach a device": "MOCK_DOMAIN over 2 KiB each",
  "close of the fd": "close of the fd with 4 KiB each",
};

/** The panels of the chart. Series that were not measured are left out, and so are panels without any. */
export function chartPanels(all: readonly Figures[]): Panel[] {
  const floor = {
    label: "floor of map",
    points: pointsOf(all, FLOOR_OF, ({ floor }) => floor),
    reference: true,
  };
  const byBytes = {
    title: "Time against length",
    axis: "bytes of one call",
    ticks: LENGTHS,
    formatSize: formatBytes,
    curves: [...curvesOf(all, BY_BYTES), floor],
  };
  const byAreas = {
    title: "Time against number of areas",
    axis: "areas in the IOAS",
    ticks: [100, 1000, 10_000, 100_000, 1_000_000],
    formatSize: (size: number) => size.toLocaleString("en-US"),
    curves: curvesOf(all, BY_AREAS),
  };
  // A curve needs two points.
  return [byBytes, byAreas].map((panel) => ({
    ...panel,
    curves: panel.curves.filter(({ points }) => points.length > 1),
  })).filter(({ curves }) => curves.length > 0);
}

function curvesOf(
  all: readonly Figures[],
  series: Readonly<Record<string, string>>,
): Curve[] {
  return Object.entries(series).map(([label, name]) => ({
    label,
    points: pointsOf(all, name, ({ best }) => best),
  }));
}

function pointsOf(
  all: readonly Figures[],
  series: string,
  timeOf: (figures: Figures) => number | undefined,
): { size: number; time: number }[] {
  return all.flatMap((figures) => {
    const { operation } = figures;
    const time = timeOf(figures);
    if (operation.series !== series || time === undefined) return [];
    return [{ size: operation.size?.value ?? 1, time }];
  });
}
