// SPDX-License-Identifier: GPL-2.0-only

/**
 * Each report of two runs, compared with a file. `deno test --allow-read
 * --allow-write conformance/reports/golden_test.ts -- --update` writes the
 * files anew.
 */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Run } from "./results.ts";
import { openReport, REPORT_FORMATS, type ReportFormat } from "./reports.ts";
import { COMMANDS, MIXED, PASSED } from "./testing/sample_run.ts";

/** The text of a report. */
function textOf(format: ReportFormat, run: Run): string {
  let text = "";
  const report = openReport(format, {
    write: (part) => text += part,
    color: false,
    commands: COMMANDS,
    readText: (path) => `all of ${path}\n`,
  });
  report.begin?.(run);
  for (const column of run.columns) {
    for (const result of column.results) report.result?.(column.spec, result);
    report.column?.(column);
  }
  report.end(run);
  return text;
}

for (const format of REPORT_FORMATS) {
  describe(`the ${format} report`, () => {
    for (const [name, run] of [["passed", PASSED], ["mixed", MIXED]] as const) {
      it(`of a run that is ${name} is the one on file`, () => {
        const file = `testing/golden/${format}_${name}.golden`;
        const url = new URL(file, import.meta.url);
        const text = textOf(format, run);
        if (Deno.args.includes("--update")) Deno.writeTextFileSync(url, text);
        assertEquals(text, Deno.readTextFileSync(url));
      });
    }

    it("differs when a result differs", () => {
      const [column] = PASSED.columns;
      const results = column!.results.slice(1);
      const run = { ...PASSED, columns: [{ ...column!, results }] };
      assertEquals(textOf(format, run) === textOf(format, PASSED), false);
    });

    // Shields takes no properties that it does not know.
    if (format === "badge") return;

    it("names version and hash of the suite", () => {
      const text = textOf(format, PASSED);
      assertEquals(/9\.8\.7/.test(text), true);
      assertEquals(text.includes("0123456789ab"), true);
    });
  });
}
