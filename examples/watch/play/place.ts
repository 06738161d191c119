// SPDX-License-Identifier: GPL-2.0-only

/**
 * Where things go in a picture that is as wide as its screen: pieces that can
 * be seen, and what is too small for that summed up.
 *
 * @module
 */

/** The room that a piece takes at least, in CSS pixels. */
const MIN_WIDTH = 26;
/** The same where neighbours share one, which is told by their number. */
const MIN_SHARED = 48;

/** A piece of a strip, from left to right. */
export interface Piece<T> {
  /** Its left edge. */
  readonly x: number;
  /** Its width. */
  readonly width: number;
  /** What is there: one thing, or several that are too many to be seen. */
  readonly items: readonly T[];
}

/**
 * Puts items side by side on `width` pixels, each as wide as its weight wants
 * but never narrower than can be seen; neighbours share a piece if there are
 * too many.
 */
export function place<T>(
  items: readonly T[],
  width: number,
  weightOf: (item: T) => number,
): Piece<T>[] {
  const isFull = items.length * MIN_WIDTH > width;
  const most = Math.max(1, Math.floor(width / MIN_SHARED));
  const perPiece = isFull ? Math.ceil(items.length / most) : 1;
  const groups: (readonly T[])[] = [];
  for (let i = 0; i < items.length; i += perPiece) {
    groups.push(items.slice(i, i + perPiece));
  }
  const weights = groups.map((group) =>
    group.length === 1 ? weightOf(group[0]!) : 1
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  const least = Math.min(MIN_WIDTH, width / groups.length);
  const room = width - groups.length * least;
  let x = 0;
  return groups.map((items, i) => {
    const own = least + room * weights[i]! / sum;
    const piece = { x, width: own, items };
    x += own;
    return piece;
  });
}

/** How much room a number of bytes wants beside others: it grows slowly. */
export function weightOfBytes(bytes: bigint): number {
  return 1 + Math.log2(1 + Number(bytes) / 4096);
}

/** A node of a graph, and where it goes. */
export interface PlacedNode<T> {
  readonly item: T;
  /** Its column: 0 for what uses nothing else. */
  readonly column: number;
  /** Its row in that column. */
  readonly row: number;
}

/** Puts what uses others into a column behind all of them. Cycles are cut where they are found. */
export function placeGraph<
  T extends { readonly id: number; readonly uses: readonly number[] },
>(items: readonly T[]): PlacedNode<T>[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  const columns = new Map<number, number>();
  const columnOf = (id: number): number => {
    const known = columns.get(id);
    if (known !== undefined) return known;
    columns.set(id, 0);
    const uses = byId.get(id)!.uses.filter((used) => byId.has(used));
    const column = uses.length === 0 ? 0 : 1 + Math.max(...uses.map(columnOf));
    columns.set(id, column);
    return column;
  };
  const rows = new Map<number, number>();
  return items.map((item) => {
    const column = columnOf(item.id);
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    return { item, column, row };
  });
}
