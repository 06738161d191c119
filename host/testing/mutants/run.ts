// SPDX-License-Identifier: GPL-2.0-only

/**
 * Checks the tests of the host: each fault that is put into it must be noticed
 * by the test that is named for it. Arguments choose mutants by name, in which
 * a * stands for anything.
 *
 * @module
 */

import { runToExitCode } from "../../../conformance/lib/exit_code.ts";
import { StaleMutant } from "../../../conformance/mutants/patch.ts";
import { selectMutants } from "../../../conformance/mutants/select.ts";
import type { HostMutant, Killer } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";
import { tryTests } from "./trial.ts";

/** A sentence for each killer that does not pass without any mutant. */
async function checkKillers(mutants: readonly HostMutant[]): Promise<string[]> {
  const problems: string[] = [];
  const about = ({ killer: [file, about] }: HostMutant) => `${file}: ${about}`;
  for (const [name, group] of Map.groupBy(mutants, about)) {
    const { passed } = await tryTests(group[0]!.killer);
    for (const { killer: [, , it] } of group) {
      if (passed.includes(it)) continue;
      problems.push(`Without any mutant this does not pass: ${name}: ${it}`);
    }
  }
  return problems;
}

/** What is wrong with a mutant, in a sentence; undefined if it was noticed as it should. */
async function tryMutant(mutant: HostMutant): Promise<string | undefined> {
  const { killer } = mutant;
  const trial = await tryTests(killer, mutant).catch((error) => {
    if (error instanceof StaleMutant) return error.message;
    throw error;
  });
  if (typeof trial === "string") return trial;
  const { hung, failed, passed, output } = trial;
  if (hung || failed.includes(killer[2])) return undefined;
  if (passed.length + failed.length === 0) {
    return `no test could run: ${output.trim().split("\n").at(-1)}`;
  }
  const others = failed.length === 0 ? "" : `, but these: ${failed.join("; ")}`;
  return `it was not noticed by "${nameOf(killer)}"${others}`;
}

function nameOf([file, about, it]: Killer): string {
  return `${file}: ${about} ${it}`;
}

/** Tries them and prints how each ended; the exit status is returned. */
async function run(mutants: readonly HostMutant[]): Promise<number> {
  const problems = await checkKillers(mutants);
  for (const mutant of mutants) {
    const problem = await tryMutant(mutant);
    console.log(`${mutant.name}: ${problem ?? "noticed"}`);
    if (problem !== undefined) {
      problems.push(`${mutant.name} (${mutant.breaks}): ${problem}`);
    }
  }
  if (problems.length === 0) {
    console.log(`\nAll ${mutants.length} mutants of the host were noticed.`);
    return 0;
  }
  console.error(["", ...problems].join("\n"));
  return 1;
}

/** Tries the mutants with some names, or all; the exit status is returned. */
function main(names: readonly string[]): Promise<number> {
  return run(selectMutants(MUTANTS, names));
}

if (import.meta.main) {
  Deno.exit(await runToExitCode(() => main(Deno.args), console.error));
}
