// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { parseTarget } from "../targets.ts";

/** What a shell script that is started as an adapter is given: its arguments, told as the name of the target. */
async function wordsOf(command: string): Promise<string> {
  const script =
    new URL("../testing/echo_adapter.sh", import.meta.url).pathname;
  const spec = parseTarget(`stdio:sh ${script} ${command}`);
  const target = await spec.open(NEWEST);
  await target.close();
  return target.info.name;
}

describe("stdio:", () => {
  for (
    const [command, words] of [
      ["a b", "a_b"],
      ["  a   b  ", "a_b"],
      ["'a b' c", "a.b_c"],
      [`"a b" c`, "a.b_c"],
      [`"a'b" 'c"d'`, "a-b_c-d"],
      [`a\\ b`, "a.b"],
      [`"a\\"b"`, "a-b"],
      [`a'b 'c`, "ab.c"],
      [`'' a`, "_a"],
    ] as const
  ) {
    it(`passes the words of ${command}`, async () => {
      assertEquals(await wordsOf(command), words);
    });
  }

  it("tells its revision once it runs, and is asked only once", async () => {
    const file = await Deno.makeTempFile();
    const hello = "1 ok protocol=1 name=n version=1 uapi=v3 page=4096 " +
      "hugepage=4096 capabilities=";
    const script = `echo start >>${file}; read x; echo ${hello}; read x`;
    const spec = parseTarget(`stdio:sh -c '${script}'`);
    assertEquals(await spec.revisions(), ["v3"]);
    assertEquals(await spec.revisions(), ["v3"]);
    assertEquals(await Deno.readTextFile(file), "start\n");
    await Deno.remove(file);
  });

  it("rejects when the program is not there", async () => {
    const spec = parseTarget("stdio:./no-such-adapter");
    await assertRejects(
      () => spec.revisions(),
      Error,
      `There is no program "./no-such-adapter"`,
    );
  });

  it("starts Deno where no other is installed", async () => {
    const agent = new URL("../agents/model_agent.ts", import.meta.url).pathname;
    const spec = parseTarget(`stdio:deno run --quiet "${agent}" --uapi v3`);
    assertEquals(await spec.revisions(), ["v3"]);
  });
});

describe("unix:", () => {
  it("rejects when nobody listens", async () => {
    const spec = parseTarget("unix:/no/such/socket");
    await assertRejects(() => spec.revisions(), Error);
  });
});
