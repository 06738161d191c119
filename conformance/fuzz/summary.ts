// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run came to, for a person.
 *
 * @module
 */

import { formatSource } from "./run/seed.ts";
import type { Masks } from "./compare/masks.ts";
import type { Guide } from "./guide/guide.ts";
import type { Cause, Findings } from "./run/findings.ts";
import type { Counts, Totals } from "./run/totals.ts";

/** Where a run is, in a line. */
export function formatProgress(totals: Totals, findings: Findings): string {
  const { programs, calls, speed, pairs } = totals;
  return [
    `${programs} programs`,
    `${calls} calls`,
    `${Math.round(speed)} calls/s`,
    `${pairs} (ioctl, errno) pairs`,
    plural(findings.all.length, "finding"),
  ].join(", ");
}

/** The numbers of a run, and its findings, a line each. */
export function formatSummary(
  totals: Totals,
  masks: Masks,
  findings: Findings,
  guide?: Guide,
): string {
  const { programs, calls, seconds, speed, pairs, restarts } = totals;
  const lines = [
    `programs           ${programs}`,
    `calls              ${calls} in ${seconds.toFixed(1)} s, ${
      Math.round(speed)
    } a second`,
    `(ioctl, errno)     ${pairs} distinct pairs`,
    ...guide ? [`guidance           ${describeGuide(guide)}`] : [],
    ...counted("hidden by a mask", masks.hidden),
    ...counted("explained by", totals.bugs),
    ...counted("cut before a bug", totals.cuts),
    ...restarts > 0 ? [`started again      ${restarts} times`] : [],
    `findings           ${findings.all.length}`,
    ...findings.all.map(({ cause, count, seed }) =>
      `  ${cause}: ${plural(count, "program")}, first ${formatSource(seed)}`
    ),
  ];
  return `${lines.join("\n")}\n`;
}

/** A cause when it is found. */
export function formatCause({ cause, found, seed, side }: Cause): string {
  const { program, difference } = found;
  return [
    `DIFFERENCE ${cause} (${side}, ${plural(program.length, "call")}, ${
      formatSource(seed)
    })`,
    `  ${difference.text}`,
    "",
  ].join("\n");
}

function describeGuide({ kept, blocks }: Guide): string {
  const code = blocks > 0 ? `, ${blocks} blocks of the model's code` : "";
  return `${plural(kept, "program")} kept${code}`;
}

function counted(label: string, counts: Counts): string[] {
  return [...counts].filter(([, count]) => count > 0)
    .map(([name, count]) => `${label.padEnd(18)} ${name}: ${count}`);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
