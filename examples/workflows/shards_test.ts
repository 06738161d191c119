// SPDX-License-Identifier: GPL-2.0-only

/** The workflow of shards: its form, and its commands as they would run there. */

import { parse } from "yaml";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";

const ROOT = new URL("../../", import.meta.url);
const TEXT = Deno.readTextFileSync(new URL("shards.yml", import.meta.url));

/** A step: an action, or a command. */
interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly run?: string;
  readonly if?: string;
}

/** A job. */
interface Job {
  readonly "runs-on": string;
  readonly needs?: string;
  readonly if?: string;
  readonly strategy?: {
    readonly "fail-fast": boolean;
    readonly matrix: { readonly shard: readonly number[] };
  };
  readonly steps: readonly Step[];
}

/** A workflow, as far as this one uses what there is. */
interface Workflow {
  readonly name: string;
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly defaults: { readonly run: Readonly<Record<string, string>> };
  readonly jobs: { readonly shard: Job; readonly report: Job };
}

const WORKFLOW: Workflow = parse(TEXT, { strict: true, uniqueKeys: true });
const { jobs: { shard, report } } = WORKFLOW;

/** An adapter, and few tests, to be done soon. */
const TARGET = "stdio:deno run conformance/agents/model_agent.ts --uapi 6.12";
const FILTER = "--filter iommufd";

let folder: string;

/** Runs the commands of a job where `shard` is what the matrix says; files go to a folder of their own. */
async function commands(job: Job, shard?: number): Promise<string> {
  let out = "";
  for (const { run } of job.steps) {
    if (run === undefined) continue;
    const command = run
      .replaceAll("${{ matrix.shard }}", String(shard))
      .replace("--shard", `${FILTER} --shard`)
      .replaceAll(
        /(?<=[ :])(?=shard-|report\.html|badge\.json)/g,
        `${folder}/`,
      );
    assert(!command.includes("${{"), command);
    const npx = `npx() { shift 2; "$DENO" "$@"; }`;
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-e", "-c", `${npx}\n${command}`],
      cwd: ROOT,
      env: {
        ...WORKFLOW.env,
        TARGET,
        DENO: Deno.execPath(),
        NO_COLOR: "1",
        GITHUB_STEP_SUMMARY: `${folder}/summary.md`,
      },
    }).output();
    const decoder = new TextDecoder();
    out += decoder.decode(stdout);
    assertEquals(code, 0, out + decoder.decode(stderr));
  }
  return out;
}

describe("shards.yml", () => {
  before(() => {
    folder = Deno.makeTempDirSync();
  });
  after(() => Deno.removeSync(folder, { recursive: true }));

  it("has the form of a workflow", () => {
    assertEquals(
      Object.keys(WORKFLOW).sort(),
      ["defaults", "env", "jobs", "name", "on", "permissions"],
    );
    assertEquals(Object.keys(WORKFLOW.on), ["push", "pull_request"]);
    for (const job of [shard, report]) {
      assertEquals(job["runs-on"], "ubuntu-latest");
      for (const step of job.steps) {
        assertEquals(
          (step.uses === undefined) !== (step.run === undefined),
          true,
        );
        if (step.uses) assertMatch(step.uses, /^actions\/[\w-]+@v\d+$/);
      }
    }
    const expressions = [...TEXT.matchAll(/\$\{\{ (.*?) \}\}/g)]
      .map(([, expression]) => expression!);
    assertEquals(
      new Set(expressions),
      new Set(["matrix.shard", "!cancelled()"]),
    );
  });

  it("has a machine for each shard that it runs, and merges when all have ended", () => {
    const { matrix } = shard.strategy!;
    const parts = matrix.shard.length;
    assertEquals(matrix.shard, Array.from({ length: parts }, (_, i) => i + 1));
    assertMatch(
      TEXT,
      RegExp(`--shard \\$\\{\\{ matrix\\.shard \\}\\}/${parts}`),
    );
    assertEquals([report.needs, report.if], ["shard", "${{ !cancelled() }}"]);
    assertEquals(shard.strategy!["fail-fast"], false);
  });

  it("has commands that run, and files that they write", async () => {
    for (const part of shard.strategy!.matrix.shard) {
      await commands(shard, part);
      const upload = shard.steps.at(-1)!.with!.path as string;
      const name = upload.replace("${{ matrix.shard }}", String(part));
      Deno.statSync(`${folder}/${name.replace("iommufd-kit/", "")}`);
    }
    const out = await commands(report);
    assertMatch(out, /6\.12: 11 of 11 kernel tests passed/);
    assertMatch(out, /^::notice /m);
    const uploads = report.steps.at(-1)!.with!.path as string;
    for (const path of uploads.trim().split("\n")) {
      Deno.statSync(`${folder}/${path.replace("iommufd-kit/", "")}`);
    }
    assertMatch(Deno.readTextFileSync(`${folder}/summary.md`), /11 of 11/);
    const badge = JSON.parse(Deno.readTextFileSync(`${folder}/badge.json`));
    assertEquals(badge.message, "11 of 11 tests");
  });
});
