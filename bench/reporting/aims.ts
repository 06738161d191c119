// SPDX-License-Identifier: GPL-2.0-only

/**
 * How fast the model means to be, and whether it is.
 *
 * @module
 */

import { type Figures, FLOOR_LIMIT, isAboutPages } from "./figures.ts";
import { formatRows, formatTime } from "./table.ts";

/** All figures of a report. */
export interface Report {
  /** Figures by the name of the operation. */
  readonly figures: ReadonlyMap<string, Figures>;
  /** Bytes per area by the name of the operation that makes the areas. */
  readonly areaBytes: ReadonlyMap<string, number>;
}

/** One aim. */
interface Aim {
  readonly what: string;
  /** The most it may be: milliseconds, a factor or bytes. */
  readonly limit: number;
  readonly format: (value: number) => string;
  /** NaN where something was not measured. */
  readonly value: (report: Report) => number;
}

const MAP = "IOAS_MAP, 4 KiB pages,";
const UNMAP = "IOAS_UNMAP, 4 KiB pages,";
const FIXED = "one more fixed IOAS_MAP among,";
const CHOSEN = "one more kernel-chosen IOAS_MAP, behind,";
const FILL = "fixed IOAS_MAP until there are all,";
const CHOSEN_FILL = "kernel-chosen IOAS_MAP until there are all, no domain,";
const CLOSE = "close of the fd with 4 KiB each,";
const MANY = "100,000 areas";

const AIMS: readonly Aim[] = [
  floors("map 64 MiB, 1 domain", `${MAP} 1 domain, 64 MiB`, FLOOR_LIMIT),
  floors("unmap 64 MiB, 1 domain", `${UNMAP} 1 domain, 64 MiB`, FLOOR_LIMIT),
  {
    what: "any operation of 16 MiB or more, against its floor",
    limit: FLOOR_LIMIT,
    format: formatFactor,
    value: ({ figures }) => {
      const all = [...figures.values()].filter(isAboutPages);
      return all.length === 0 ? NaN : Math.max(...all.map((it) => it.ratio!));
    },
  },
  time("map 64 MiB, 1 domain", `${MAP} 1 domain, 64 MiB`, 0.3),
  time("unmap 64 MiB, 1 domain", `${UNMAP} 1 domain, 64 MiB`, 0.3),
  quotient(
    "map 64 MiB: 2 domains against 1",
    [`${MAP} 2 domains, 64 MiB`, `${MAP} 1 domain, 64 MiB`],
    1.7,
  ),
  quotient(
    "unmap 64 MiB: 2 domains against 1",
    [`${UNMAP} 2 domains, 64 MiB`, `${UNMAP} 1 domain, 64 MiB`],
    1.7,
  ),
  time(
    "map and unmap 4 KiB, 1 domain",
    "IOAS_MAP and IOAS_UNMAP in turn, 1 domain, 4 KiB",
    0.004,
  ),
  time(
    "an ioctl that fails at once",
    "ioctl that fails at once, the struct in memory already",
    0.0005,
  ),
  quotient(
    "one more fixed map: 1,000,000 areas against 1,000",
    [`${FIXED} 1,000,000 areas`, `${FIXED} 1,000 areas`],
    3,
  ),
  quotient(
    "one more kernel-chosen map: 1,000,000 areas against 1,000",
    [`${CHOSEN} 1,000,000 areas`, `${CHOSEN} 1,000 areas`],
    3,
  ),
  {
    what: "100,000 kernel-chosen maps in total",
    limit: 1000,
    format: formatTime,
    value: (report) => best(report, `${CHOSEN_FILL} ${MANY}`) * 100_000,
  },
  time(
    "unmap of everything, 100,000 areas",
    `IOAS_UNMAP of everything, no domain, ${MANY}`,
    18,
  ),
  time(
    "unmap of everything, 1 domain, 100,000 areas",
    `IOAS_UNMAP of everything, 1 domain, ${MANY}`,
    46,
  ),
  time(
    "attach a domain to 100,000 areas",
    `MOCK_DOMAIN over 4 KiB each, ${MANY}`,
    30,
  ),
  time(
    "close the descriptor with 100,000 areas",
    `close of the fd with 4 KiB each, ${MANY}`,
    12,
  ),
  quotient(
    "close the descriptor: 1,000,000 areas against 100,000",
    [`${CLOSE} 1,000,000 areas`, `${CLOSE} ${MANY}`],
    12,
  ),
  bytes("an area without domain", `${FILL} no domain, ${MANY}`, 390),
  bytes("an area with 1 domain", `${FILL} 1 domain, ${MANY}`, 390),
];

/** The aims, what was measured, and whether it is enough, as a Markdown table. */
export function formatAims(report: Report): string {
  const rows = AIMS.map(({ what, limit, format, value }) => {
    const got = value(report);
    const met = got <= limit ? "yes" : "no";
    return Number.isNaN(got)
      ? [what, format(limit), "not measured", ""]
      : [what, format(limit), format(got), met];
  });
  return formatRows(["aim", "at most", "measured", "met"], rows);
}

function floors(what: string, name: string, limit: number): Aim {
  return {
    what: `${what}, against its floor`,
    limit,
    format: formatFactor,
    value: ({ figures }) => figures.get(name)?.ratio ?? NaN,
  };
}

function time(what: string, name: string, limit: number): Aim {
  return {
    what,
    limit,
    format: formatTime,
    value: (report) => best(report, name),
  };
}

function quotient(
  what: string,
  [larger, smaller]: readonly [string, string],
  limit: number,
): Aim {
  return {
    what,
    limit,
    format: formatFactor,
    value: (report) => best(report, larger) / best(report, smaller),
  };
}

function bytes(what: string, name: string, limit: number): Aim {
  return {
    what: `memory of ${what}`,
    limit,
    format: (value) => `${value.toFixed(0)} bytes`,
    value: ({ areaBytes }) => areaBytes.get(name) ?? NaN,
  };
}

function best({ figures }: Report, name: string): number {
  return figures.get(name)?.best ?? NaN;
}

function formatFactor(value: number): string {
  return `× ${value.toFixed(1)}`;
}
