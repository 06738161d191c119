// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { after, before, describe, it } from "@std/testing/bdd";

const PACKAGE = decodeURIComponent(new URL("../../", import.meta.url).pathname);
const FAKES = new URL("../testing/fake_target.ts", import.meta.url).href;
const CLI = new URL("../cli.ts", import.meta.url).href;

const LEFT = "A page is left.";

/** A module with a target that leaves something behind. */
const TARGET = `
  import { FakeTarget } from "${FAKES}";
  const options = { uapi: "v3", problems: ["${LEFT}"] };
  export const target = () => Promise.resolve(new FakeTarget(options));`;

/** A program of somebody else that runs the command. */
const PROGRAM = `
  import { main } from "${CLI}";
  Deno.exit(await main(Deno.args));`;

let folder: string;

/** Runs a command of a shell in which `deno` and `npx` lead to the Deno that runs this. */
async function shell(command: string, cwd: string): Promise<string> {
  const functions = `deno() { "$0" "$@"; }; npx() { shift 2; deno "$@"; }`;
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${functions}; ${command}`, Deno.execPath()],
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  const decoder = new TextDecoder();
  assertEquals(code, 1, decoder.decode(stderr));
  return decoder.decode(stdout);
}

describe("The command that runs a failed test again", () => {
  before(() => {
    folder = Deno.makeTempDirSync({ prefix: "it's " });
    Deno.writeTextFileSync(`${folder}/target.ts`, TARGET);
    Deno.writeTextFileSync(`${folder}/program.ts`, PROGRAM);
  });
  after(() => Deno.removeSync(folder, { recursive: true }));

  const options = "--filter iommufd.simple_close --target module:";
  const config = `--config "${PACKAGE}deno.json"`;
  const calls = `--transcripts "$FOLDER/calls"`;
  for (
    const [how, command, home] of [
      ["as a program", `deno run -A ${CLI} ${options}./target.ts`],
      [
        "by a program of one's own",
        `deno run -A ${config} program.ts ${options}./target.ts`,
      ],
      [
        "as a task",
        `deno task conformance ${calls} ${options}"$FOLDER/target.ts"`,
        PACKAGE,
      ],
    ]
  ) {
    it(`works where the command was called ${how}`, async () => {
      const cwd = home ?? folder;
      const first = await shell(`FOLDER="${folder}"; ${command}`, cwd);
      assertStringIncludes(first, LEFT);
      for (const name of ["rerun", "replay"]) {
        const [, again] = RegExp(`^ +${name} +(.*)$`, "m").exec(first)!;
        assertMatch(again!, home ? / task conformance / : / run .*cli\.ts /);
        const second = await shell(again!, cwd);
        assertStringIncludes(second, "1) iommufd.simple_close [v3] fail");
        assertStringIncludes(second, LEFT);
      }
    });
  }
});
