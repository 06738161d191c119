// SPDX-License-Identifier: GPL-2.0-only

/**
 * The report's table, in Markdown that also reads well as plain text.
 *
 * @module
 */

import { type Figures, growth, smallerOnes } from "./figures.ts";
import { LINUX_MICROSECONDS } from "./linux.ts";

const HEADINGS = [
  "operation",
  "per call",
  "fastest",
  "per page",
  "× floor",
  "growth",
  "bytes per area",
  "Linux",
];

/** All figures as a table; `areaBytes` has the bytes per area by the name of the operation. */
export function formatTable(
  all: readonly Figures[],
  areaBytes: ReadonlyMap<string, number> = new Map(),
): string {
  const smaller = smallerOnes(all);
  const rows = all.map((figures) =>
    rowOf(figures, smaller.get(figures), areaBytes)
  );
  return formatRows(HEADINGS, rows);
}

/** A table: headings, and cells of which those of the first column are names. */
export function formatRows(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]!.length))
  );
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [headings, rule, ...rows].map((row) => line(row, widths)).join("");
}

function rowOf(
  figures: Figures,
  smaller: Figures | undefined,
  areaBytes: ReadonlyMap<string, number>,
): string[] {
  const { name, perPage, ratio } = figures;
  const bytes = areaBytes.get(name);
  const linux = LINUX_MICROSECONDS[name];
  return [
    name,
    formatTime(figures.median),
    formatTime(figures.best),
    perPage === undefined ? "" : formatTime(perPage),
    ratio === undefined ? "" : ratio.toFixed(ratio < 10 ? 1 : 0),
    smaller === undefined ? "" : growth(smaller, figures).toFixed(2),
    bytes === undefined ? "" : bytes.toFixed(0),
    linux === undefined ? "" : formatTime(linux / 1000),
  ];
}

function line(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, column) =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
  );
  return `| ${padded.join(" | ")} |\n`;
}

/** A time with three digits: `1.23 µs`. */
export function formatTime(milliseconds: number): string {
  const nanoseconds = milliseconds * 1e6;
  if (nanoseconds < 999.5) return `${digits(nanoseconds)} ns`;
  if (nanoseconds < 999.5e3) return `${digits(nanoseconds / 1e3)} µs`;
  if (nanoseconds < 999.5e6) return `${digits(nanoseconds / 1e6)} ms`;
  return `${digits(nanoseconds / 1e9)} s`;
}

function digits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}
