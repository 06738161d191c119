// SPDX-License-Identifier: GPL-2.0-only

/**
 * The subcommand `ladder`: where a target is, and what to write next.
 *
 * @module
 */

import type { Host } from "../lib/host.ts";
import type { Commands } from "../reports/failure_facts.ts";
import type { Options } from "../running/options.ts";
import { type PlannedColumn, starting } from "../running/plan.ts";
import { ProgressLine } from "../running/progress.ts";
import { runTests } from "../running/run_on_target.ts";
import { climb, rungsOf } from "./climb.ts";
import { formatLadder } from "./format_ladder.ts";

/** Tells of each of these columns how far its target is. */
export async function runLadder(
  columns: readonly PlannedColumn[],
  options: Options,
  commands: Commands,
  host: Host,
): Promise<void> {
  const progress = new ProgressLine(
    host.errIsTerminal ? (text) => host.err(text) : undefined,
  );
  const texts: string[] = [];
  for (const { target, uapi, tests, startError } of columns) {
    if (startError) throw startError;
    const { spec } = target;
    const open = () => starting(target, () => target.open(uapi, options));
    const started = await open();
    await started.close();
    progress.show(`${spec} ${uapi}: which ioctls its tests use`);
    const { info } = started;
    const rungs = await climb(
      await rungsOf(info, tests),
      async ({ step, tests }) => {
        const { results } = await runTests(uapi, tests, {
          ...options,
          jobs: target.inProcess ? 1 : options.jobs,
          open,
          onTest: ({ id }) => progress.show(`${spec} ${step.name}: ${id}`),
        });
        return results.filter(({ fixture }) => fixture !== "probe");
      },
    );
    progress.clear();
    const about = {
      spec,
      uapi,
      target: info.name,
      targetVersion: info.version,
    };
    texts.push(formatLadder(about, rungs, commands, host.color));
  }
  host.out(texts.join("\n"));
}
