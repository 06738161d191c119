// SPDX-License-Identifier: GPL-2.0-only

/**
 * `deno task bench:report`: measures all operations, prints the table, and
 * writes it to `results.md`, the chart to `results.svg`, and what became of the
 * aims to `README.md`.
 *
 * With words as arguments, only operations whose name or group has one of them
 * are measured and printed, and nothing is written.
 *
 * @module
 */

import { formatAims } from "./reporting/aims.ts";
import { renderChart } from "./reporting/chart.ts";
import { type Figures, figuresOf } from "./reporting/figures.ts";
import { measureAfresh } from "./measuring/afresh.ts";
import { THOROUGH } from "./measuring/measure.ts";
import { bytesPerArea } from "./measuring/memory.ts";
import { allScenarios } from "./operations.ts";
import { nothingNamed } from "./options.ts";
import { chartPanels } from "./reporting/panels.ts";
import { isNamed, namesOf, type Scenario } from "./measuring/scenario.ts";
import { formatTable } from "./reporting/table.ts";

const RESULTS = new URL("./results.md", import.meta.url);
const CHART = new URL("./results.svg", import.meta.url);
const README = new URL("./README.md", import.meta.url);

/** What of README.md the report writes. */
const AIMS_PART = /(?<=<!-- aims -->\n)[^]*(?=<!-- \/aims -->)/;

/** Each scenario by itself, but for the slow ones: the compiler is to have seen a smaller one before. */
function families(scenarios: readonly Scenario[]): Scenario[][] {
  const all: Scenario[][] = [];
  for (const scenario of scenarios) {
    const last = all.at(-1);
    const hasSmaller = last && seriesOf(last[0]!) === seriesOf(scenario);
    if (scenario.slow && hasSmaller) last.push(scenario);
    else all.push([scenario]);
  }
  return all;
}

/** What a scenario measures first, whatever its size. */
function seriesOf({ operations }: Scenario): string {
  return Object.values(operations)[0]!.series;
}

/** Measures scenarios, a family after the other, saying on standard error where it is. */
async function measureAll(scenarios: readonly Scenario[]): Promise<Figures[]> {
  const all: Figures[] = [];
  const kinds = families(scenarios);
  for (const [i, family] of kinds.entries()) {
    const names = family.map((scenario) => namesOf(scenario)[0]!);
    console.error(`${i + 1}/${kinds.length} ${names.join("; ")}`);
    const order = { names: new Set(names), effort: THOROUGH };
    all.push(...(await measureAfresh(order)).map(figuresOf));
  }
  return all;
}

/** True for a scenario that has one of the words in a name; without words for all. */
function matches(scenario: Scenario, words: readonly string[]): boolean {
  return words.length === 0 || words.some((word) => isNamed(scenario, word));
}

/** The page that the table stands on. */
function formatPage(table: string): string {
  const { version, build } = Deno;
  const machine = `Deno ${version.deno} (V8 ${version.v8}), ${build.arch}, ` +
    `${navigator.hardwareConcurrency} cores`;
  return `# Results

Written by \`deno task bench:report\` on ${machine}.
[README.md](README.md) says how to read it.

![Time against size](results.svg)

${table}`;
}

/** Runs the command with its arguments. Returns the exit code. */
async function main(words: readonly string[]): Promise<number> {
  const scenarios = allScenarios().filter((each) => matches(each, words));
  if (scenarios.length === 0) {
    const names = allScenarios().flatMap(namesOf);
    for (const word of words) console.error(nothingNamed(word, names).message);
    return 2;
  }
  const all = await measureAll(scenarios);
  const areaBytes = words.length === 0 ? await bytesPerArea() : undefined;
  const table = formatTable(all, areaBytes);
  console.log(table);
  if (words.length > 0) return 0;
  const figures = new Map(all.map((each) => [each.name, each]));
  const aims = formatAims({ figures, areaBytes: areaBytes ?? new Map() });
  const readme = Deno.readTextFileSync(README);
  Deno.writeTextFileSync(README, readme.replace(AIMS_PART, `\n${aims}\n`));
  Deno.writeTextFileSync(RESULTS, formatPage(table));
  Deno.writeTextFileSync(CHART, renderChart(chartPanels(all)));
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
