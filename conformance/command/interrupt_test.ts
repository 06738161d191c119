// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JsonReport } from "../reports/formats/json.ts";
import type { EndingSignal } from "../lib/ending.ts";
import { fakeTest, passingTest } from "../testing/fake_target.ts";
import { processesWith, until } from "../testing/processes.ts";
import {
  type CommandFakes,
  type CommandOutcome,
  runOnFakes,
} from "../testing/run_command.ts";

/** Runs three tests, the second of which waits for ever, and sends a signal then. */
function interrupted(
  args: string[],
  fakes: CommandFakes = {},
  signal: EndingSignal = "SIGINT",
): Promise<CommandOutcome> {
  let send: (signal: EndingSignal) => void;
  const hanging = fakeTest("a.hangs", () => {
    send(signal);
    return new Promise(() => {});
  });
  return runOnFakes(
    ["--target", "a:", ...args],
    [passingTest("a.first"), hanging, passingTest("a.last")],
    { uapi: "v3", ...fakes, onRun: (stop) => send = stop },
  );
}

describe("A run that is interrupted", () => {
  it("ends at once, and reports what there is as what it is", async () => {
    const args = ["--report", "json:r.json", "--report", "jsonl:r.jsonl"];
    const { code, out, files } = await interrupted(args);
    assertEquals(code, 130);
    assertStringIncludes(out, "v3: 1 of 3 kernel tests passed; 2 not run");
    assertStringIncludes(out, "Interrupted by SIGINT");
    const { good, targets } = JSON.parse(files["r.json"]!) as JsonReport;
    assertEquals([good, targets[0]!.stopped], [false, "Interrupted by SIGINT"]);
    assertEquals(
      targets[0]!.tests.map(({ id, status, reason }) =>
        [id, status, reason].join(" ").trim()
      ),
      [
        "a.first pass",
        "a.hangs notrun the run was interrupted",
        "a.last notrun the run was interrupted",
      ],
    );
    assertStringIncludes(files["r.jsonl"]!, `"type":"footer"`);
  });

  it("starts no other target, and says so of it", async () => {
    const args = ["--target", "b:", "--report", "json"];
    const startError = new Error("must not be started");
    const { code, out, err } = await interrupted(args, {
      targets: { "b:": { startError } },
    }, "SIGTERM");
    assertEquals([code, err], [143, ""]);
    const { targets } = JSON.parse(out) as JsonReport;
    assertEquals(targets[1]!.stopped, "Interrupted by SIGTERM");
    assertEquals(targets[1]!.summary.notrun, 3);
  });

  it("takes the progress line away, and leaves the expectations alone", async () => {
    const args = ["--update-expectations", "--expectations", "known.json"];
    const { err, files } = await interrupted(args, { terminal: true });
    assert(err.endsWith("\r\x1b[K"));
    assertEquals(Object.keys(files), []);
  });

  it("does not wait for a target that is about to start", async () => {
    let send: (signal: EndingSignal) => void;
    const { code, out } = await runOnFakes(
      ["--report", "ktap"],
      [passingTest("a.x")],
      {
        uapi: "v3",
        onRun: (stop) => send = stop,
        onOpen: () => {
          send("SIGINT");
          return new Promise(() => {});
        },
      },
    );
    assertEquals(code, 130);
    assertStringIncludes(out, "not ok 1 a.x # NOTRUN the run was interrupted");
  });
});

/** Runs the command in a process of its own; `adapter` is a script for `sh`. */
class RealRun implements AsyncDisposable {
  readonly tag = crypto.randomUUID();
  readonly #child: Deno.ChildProcess;
  readonly folder = Deno.makeTempDirSync();

  constructor(adapter: string) {
    const path = `${this.folder}/adapter.sh`;
    Deno.writeTextFileSync(path, adapter);
    Deno.writeTextFileSync(this.report, "the last run's");
    const cli = new URL("../cli.ts", import.meta.url).href;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--allow-read", "--allow-write"],
        ...["--allow-run", cli, "--filter", "iommufd.simple_close"],
        ...["--target", `stdio:sh "${path}" ${this.tag} "${this.folder}"`],
        ...["--report", `json:${this.report}`, "--no-transcripts"],
      ],
      stdout: "piped",
      stderr: "null",
    }).spawn();
  }

  get report(): string {
    return `${this.folder}/report.json`;
  }

  /** Waits until the adapter made this file. */
  async reached(file: string): Promise<void> {
    assert(await until(() => exists(`${this.folder}/${file}`)), file);
  }

  kill(): void {
    this.#child.kill("SIGINT");
  }

  async output(): Promise<{ code: number; out: string }> {
    const { code, stdout } = await this.#child.output();
    return { code, out: new TextDecoder().decode(stdout) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = await until(() => processesWith(this.tag).length === 0);
    await Deno.remove(this.folder, { recursive: true });
    assert(gone);
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Answers `hello` and `spawn`; tells with a file that it was asked for more, and waits. */
const HANGING = `
  while read -r n _ verb _; do
    case $verb in
      hello) echo "$n ok protocol=1 name=x version=1 uapi=6.12 page=4096 hugepage=2097152 capabilities=" ;;
      bye) echo "$n ok"; exit ;;
      spawn) echo "$n ok 1" ;;
      *) touch "$2/hangs"; sleep 300 ;;
    esac
  done`;

describe("Ctrl-C", () => {
  it("ends the adapter, replaces the report as a whole, and exits with 130", async () => {
    await using run = new RealRun(HANGING);
    await run.reached("hangs");
    assertEquals(Deno.readTextFileSync(run.report), "the last run's");
    run.kill();
    const { code, out } = await run.output();
    assertEquals(code, 130);
    assertStringIncludes(out, "Interrupted by SIGINT");
    const report = JSON.parse(Deno.readTextFileSync(run.report)) as JsonReport;
    assertEquals(report.summary.notrun, 1);
    assertEquals(
      [...Deno.readDirSync(run.folder)].map(({ name }) => name).sort(),
      ["adapter.sh", "hangs", "report.json"],
    );
  });

  it("ends everything at once when it comes again", async () => {
    const ending = new URL("../lib/ending.ts", import.meta.url).href;
    const program = `
      import { beforeEnd, onSignal } from "${ending}";
      beforeEnd(() => console.log("killed"));
      onSignal((signal) => console.log("stops", signal));
      console.log("runs");
      setInterval(() => {}, 1000);`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      stdout: "piped",
    }).spawn();
    const told: string[] = [];
    for await (
      const text of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      told.push(text.trim());
      if (text !== "killed\n") child.kill("SIGINT");
    }
    assertEquals(told, ["runs", "stops SIGINT", "killed"]);
    assertEquals((await child.status).signal, "SIGINT");
  });
});
