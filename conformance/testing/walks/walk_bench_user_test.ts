// SPDX-License-Identifier: GPL-2.0-only

/**
 * The walk of who wants to know how fast the model is: what can be measured,
 * one operation, a name that is wrong, figures in a table, and the same on a
 * target.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { CLONE, deno, OwnFolder, run } from "./walk.ts";

/** The name of an operation that takes no time to prepare. */
const OPERATION = "close of a bad descriptor (EBADF)";

/** A time for a person. */
const TIME = String.raw`\d[\d,.]* (ns|µs|ms|s)`;

/** Runs a task of the clone, and expects it to succeed. */
async function task(...args: readonly string[]): Promise<string> {
  return await deno(CLONE, "task", ...args);
}

Deno.test("a bench user's walk", async (t) => {
  await t.step("the tasks say which commands there are", async () => {
    const tasks = await task();
    for (const name of ["bench", "bench:report", "bench:guard"]) {
      assertMatch(tasks, new RegExp(`^- ${name}\\n +// \\w`, "m"));
    }
  });

  await t.step(
    "the help is the command's own, and names the others",
    async () => {
      const help = await task("bench", "--help");
      assertStringIncludes(help, "Usage: deno task bench [--filter TEXT]");
      assertStringIncludes(help, "bench:report");
    },
  );

  await t.step("the operations can be listed", async () => {
    const names = await task("bench", "--list", "--filter", "EBADF");
    assertMatch(names, new RegExp(`^${RegExp.escape(OPERATION)}`, "m"));
  });

  await t.step(
    "a name that is wrong measures nothing, and tells one that is right",
    async () => {
      const { code, out } = await run(
        CLONE,
        Deno.execPath(),
        ...["task", "bench", "--filter", "close of a bad description"],
      );
      assertEquals(code, 2);
      assertStringIncludes(out, `Did you mean "${OPERATION}"?`);
      assert(!out.includes("time/iter"));
    },
  );

  await t.step(
    "one operation is measured, in units, and compared with no other",
    async () => {
      const out = await task("bench", "--filter", OPERATION);
      assertMatch(
        out,
        new RegExp(`${RegExp.escape(OPERATION)} .*\\| +${TIME} \\|`),
      );
      assertEquals(/\d+(\.\d+)?x|faster|slower/.exec(out), null);
    },
  );

  await t.step(
    "the report prints a table of what is named, and writes nothing",
    async () => {
      const results = `${CLONE}bench/results.md`;
      const before = await Deno.readTextFile(results);
      const out = await task("bench:report", "EBADF");
      assertMatch(out, /^\| operation +\| per call \|/m);
      assertMatch(
        out,
        new RegExp(`^\\| ${RegExp.escape(OPERATION)} +\\| +${TIME} \\|`, "m"),
      );
      assertEquals(await Deno.readTextFile(results), before);
    },
  );

  await t.step(
    "a target of one's own is measured beside the model",
    async () => {
      await using folder = await OwnFolder.make();
      await folder.write(
        "adapter.sh",
        `exec "${Deno.execPath()}" run --quiet ${CLONE}conformance/agents/model_agent.ts\n`,
      );
      const target = `stdio:sh ${folder.path}/adapter.sh`;
      const out = await task("bench", "--target", target, "--filter", "EBADF");
      assertMatch(out, /^\| operation +\| +model \| .* \| × model \|$/m);
      assertMatch(
        out,
        new RegExp(`\\| +${TIME} \\| +${TIME} \\| +\\d+\\.\\d\\d \\|`),
      );
    },
  );
});
