// SPDX-License-Identifier: GPL-2.0-only

/** Results of others beside those of a target. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";
import { allTests } from "../selftests/all.ts";
import { runCommand } from "./command/command.ts";
import { denoHost } from "./lib/host.ts";
import type { JsonReport } from "./reports/formats/json.ts";
import { REPORT_FORMATS } from "./reports/reports.ts";
import { parseTarget } from "./targets.ts";

let folder: string;
let file: string;

/** Runs the command; what it printed, and how it ended. */
async function run(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const host = {
    ...denoHost(),
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    color: false,
    errIsTerminal: false,
  };
  const environment = { host, command: "run", allTests, parseTarget };
  const more = ["--no-transcripts"];
  const code = await runCommand([...args, ...more], environment);
  return { code, out, err };
}

/** What the kernel's fixture `iommufd` prints, from the runner's own report. */
async function kernelOutput(): Promise<string> {
  const { out } = await run(
    ...["--uapi", "6.12", "--filter", "iommufd", "--report", "ktap"],
  );
  return out;
}

const BESIDE = ["--target", "impl:6.12", "--filter", "iommufd"];

describe("ktap:", () => {
  before(async () => {
    folder = Deno.makeTempDirSync();
    file = `${folder}/kernel.txt`;
    Deno.writeTextFileSync(file, await kernelOutput());
  });
  after(() => Deno.removeSync(folder, { recursive: true }));

  /** Both targets, with the file changed. */
  async function beside(
    change: (text: string) => string,
    ...args: string[]
  ): Promise<{ code: number; out: string; report: JsonReport }> {
    const changed = `${folder}/changed.txt`;
    Deno.writeTextFileSync(changed, change(Deno.readTextFileSync(file)));
    const json = `${folder}/report.json`;
    const { code, out, err } = await run(
      ...BESIDE,
      ...["--target", `ktap:6.12,${changed}`, "--report", "pretty"],
      ...["--report", `json:${json}`],
      ...args,
    );
    assertEquals(err, "");
    return { code, out, report: JSON.parse(Deno.readTextFileSync(json)) };
  }

  it("is a column that agrees with the run that printed it", async () => {
    const { code, report } = await beside((text) => text);
    const [model, given] = report.targets;
    assertEquals([code, report.differences], [0, []]);
    assertEquals(given!.summary, model!.summary);
    assertEquals(given!.unmatched, { unknown: [], missing: [] });
  });

  it("says where it differs, and what is only on one side", async () => {
    const { code, out, report } = await beside((text) =>
      text.replace(
        /^ok (\d+) iommufd\.simple_close$/m,
        "# iommufd.c:12:simple_close:Expected 0 (0) == -1 (-1)\n" +
          "not ok $1 iommufd.simple_close",
      ).replace("iommufd.cmd_fail", "iommufd.cmd_of_mine")
    );
    assertEquals(code, 1);
    assertEquals(report.differences, ["iommufd.simple_close"]);
    const [, given] = report.targets;
    assertEquals(given!.unmatched, {
      unknown: ["iommufd.cmd_of_mine"],
      missing: ["iommufd.cmd_fail"],
    });
    const failed = given!.tests.find(({ status }) => status === "fail");
    assertEquals(failed?.failure?.where, "iommufd.c:12");
    assertStringIncludes(out, "only there, and not in this suite: iommufd.cmd");
    assertStringIncludes(out, "only in this suite, and not there: iommufd.cmd");
  });

  it("tells it in every report for people or tools", async () => {
    const changed = `${folder}/unknown.txt`;
    const text = Deno.readTextFileSync(file);
    Deno.writeTextFileSync(changed, text.replace(".cmd_fail", ".of_mine"));
    for (const format of REPORT_FORMATS) {
      // They name no tests.
      if (format === "coverage" || format === "badge") continue;
      const { out } = await run(
        ...BESIDE,
        ...["--target", `ktap:6.12,${changed}`, "--report", format],
      );
      assertStringIncludes(out.replace("\\", ""), "iommufd.of_mine", format);
    }
  });

  it("holds skips, and counts them by reason", async () => {
    const { out } = await beside((text) =>
      text.replace(/^(ok \d+ iommufd\.cmd_length)$/m, "$1 # SKIP no time")
    );
    assertStringIncludes(out, "1 skipped: no time");
  });

  it("has tests that did not run where the file was cut off", async () => {
    const { code, report } = await beside((text) =>
      text.slice(0, text.lastIndexOf("ok "))
    );
    const [, given] = report.targets;
    assertEquals([code, given!.summary.notrun], [1, 1]);
    assertEquals(given!.stopped, "The list has 10 of 11 results");
  });

  it("is of the revision whose tests it has, where none is named", async () => {
    for (const uapi of ["6.12", "7.3"] as const) {
      const ids = allTests(uapi)
        .filter(({ program }) => program === "iommufd").map(({ id }) => id);
      const lines = ids.map((id, index) => `ok ${index + 1} ${id}`);
      const path = `${folder}/${uapi}.txt`;
      Deno.writeTextFileSync(path, [`1..${ids.length}`, ...lines].join("\n"));
      const { out } = await run(
        ...["--target", `ktap:${path}`, "--report", "json"],
      );
      const { targets } = JSON.parse(out) as JsonReport;
      assertEquals(targets.map(({ uapi }) => uapi), [uapi]);
      assertEquals(targets[0]!.summary.pass, ids.length);
      assertEquals(targets[0]!.unmatched, { unknown: [], missing: [] });
    }
  });

  it("is refused where there is no file, no result in it, or calls are wanted", async () => {
    Deno.writeTextFileSync(`${folder}/empty.txt`, "nothing\n");
    for (
      const [args, why] of [
        [["--target", "ktap:"], "ktap: needs a file"],
        [["--target", `ktap:${folder}/none`], "Cannot read the results"],
        [["--target", `ktap:${folder}/empty.txt`], "it has no line such as"],
        [["list", "--target", `ktap:${file}`], "holds results and makes no"],
      ] as const
    ) {
      const { code, err } = await run(...args);
      assertEquals(code, 2);
      assertStringIncludes(err, why);
    }
  });
});
