// SPDX-License-Identifier: GPL-2.0-only

/**
 * What changed between two texts, line by line.
 *
 * @module
 */

/** Lines around a change that are shown with it. */
const CONTEXT = 2;

/** A line that was removed, was added, or stayed. */
type Edit = readonly [kind: "-" | "+" | " ", line: string];

/**
 * The lines that were removed (`-`) and added (`+`), with a little of what is
 * around them (` `); `…` stands for what is left out. Empty if nothing changed.
 */
export function lineDiff(before: string, after: string): string {
  const edits = editsOf(linesOf(before), linesOf(after));
  const near = new Set<number>();
  for (const [index, [kind]] of edits.entries()) {
    if (kind === " ") continue;
    for (let i = index - CONTEXT; i <= index + CONTEXT; i++) near.add(i);
  }
  const lines: string[] = [];
  let gap = false;
  for (const [index, [kind, line]] of edits.entries()) {
    if (!near.has(index)) {
      gap = true;
      continue;
    }
    if (gap) lines.push("…");
    gap = false;
    lines.push(`${kind} ${line}`);
  }
  if (gap && lines.length > 0) lines.push("…");
  return lines.map((line) => `${line}\n`).join("");
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The shortest way from one list of lines to the other. */
function editsOf(before: readonly string[], after: readonly string[]): Edit[] {
  const common = commonLengths(before, after);
  const edits: Edit[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    if (i < before.length && before[i] === after[j]) {
      edits.push([" ", before[i]!]);
      i++;
      j++;
    } else if (
      j === after.length ||
      (i < before.length && common[i + 1]![j]! >= common[i]![j + 1]!)
    ) {
      edits.push(["-", before[i++]!]);
    } else {
      edits.push(["+", after[j++]!]);
    }
  }
  return edits;
}

/** For each pair of places, how many lines the rests behind them have in common. */
function commonLengths(
  before: readonly string[],
  after: readonly string[],
): Uint32Array[] {
  const table = Array.from(
    { length: before.length + 1 },
    () => new Uint32Array(after.length + 1),
  );
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      table[i]![j] = before[i] === after[j]
        ? table[i + 1]![j + 1]! + 1
        : Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
    }
  }
  return table;
}
