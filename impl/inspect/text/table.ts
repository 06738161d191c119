// SPDX-License-Identifier: GPL-2.0-only

/**
 * Aligned columns, and lists too long to show.
 *
 * @module
 */

/** A line of a table: cells under the columns, then text that may run on. */
export interface Row {
  /** One cell for each column, from the left; missing ones stay empty. */
  readonly cells: readonly string[];
  /** Text after the cells, which widens no column. */
  readonly rest?: string;
}

/** What a table needs to know about its columns. */
export interface TableOptions {
  /** What stands before each line. */
  readonly indent: string;
  /** Indexes of the columns that are aligned to the right. */
  readonly right?: readonly number[];
}

const GAP = "  ";

/** The lines of a table: every column as wide as its widest cell. */
export function table(rows: readonly Row[], options: TableOptions): string[] {
  const { indent, right = [] } = options;
  const widths: number[] = [];
  for (const { cells } of rows) {
    cells.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map(({ cells, rest = "" }) => {
    const padded = cells.map((cell, i) =>
      right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
    );
    return `${indent}${[...padded, rest].join(GAP)}`.trimEnd();
  });
}

/**
 * What `show` makes of all of up to `2 * ends + 1` items, else of as many as
 * `ends` at each end, with what `sum` makes of the others between them. These
 * are never a single one, which would take as much room itself.
 */
export function abridge<T, R>(
  items: readonly T[],
  ends: number,
  show: (item: T) => R | R[],
  sum: (hidden: readonly T[]) => R,
): R[] {
  if (items.length <= 2 * ends + 1) return items.flatMap(show);
  return [
    ...items.slice(0, ends).flatMap(show),
    sum(items.slice(ends, -ends)),
    ...items.slice(-ends).flatMap(show),
  ];
}
