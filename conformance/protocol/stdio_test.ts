// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import { lives, until } from "../testing/processes.ts";
import { TestTime } from "../testing/test_time.ts";
import { connectTarget } from "./client.ts";
import { spawnConnection } from "./stdio.ts";

/** The reply to `hello` of a well-behaved adapter. */
const HELLO = "1 ok protocol=1 name=sh version=1 uapi=v3 page=4096 " +
  "hugepage=2097152 capabilities=";

/** Milliseconds that an adapter without output has to end, at most. */
const END_MS = 2000;

/** Starts a shell script as an adapter; resolves to what is wrong with it. */
async function failure(script: string): Promise<string> {
  using time = new TestTime();
  if (script.includes("sleep")) time.pass(END_MS);
  const error = await assertRejects(
    () => connectTarget(spawnConnection("sh", ["-c", script])),
    TargetFailure,
  );
  return error.message.replace(/^The target ended when /, "");
}

describe("spawnConnection()", () => {
  it("says that a program is not there", () => {
    assertThrows(
      () => spawnConnection("./no-such-adapter", []),
      Error,
      `There is no program "./no-such-adapter"`,
    );
  });

  for (
    const [script, message] of [
      ["exit 3", `it was to answer "1 0 hello 1": it exited with code 3`],
      [
        "kill -SEGV $$",
        `it was to answer "1 0 hello 1": it was killed by SIGSEGV`,
      ],
      [
        "printf '1 ok'",
        `it was in the middle of the reply to "1 0 hello 1": it exited with code 0`,
      ],
      [
        "exec >&-; sleep 30",
        `it was to answer "1 0 hello 1": it closed its output and went on running`,
      ],
      [
        "echo bad luck >&2; exit 1",
        `it was to answer "1 0 hello 1": it exited with code 1. ` +
        "It wrote to standard error:\nbad luck",
      ],
    ] as const
  ) {
    it(`says of "${script}": ${message.split("\n")[0]}`, async () => {
      assertEquals(await failure(script), message);
    });
  }

  it("keeps standard error apart, and gives it once", async () => {
    using _time = new TestTime();
    const script =
      `echo one >&2; read x; echo "${HELLO}"; read x; echo two >&2`;
    const target = await connectTarget(spawnConnection("sh", ["-c", script]));
    await assertRejects(
      () => target.reset(),
      TargetFailure,
      "exited with code",
    );
    assertEquals(target.takeStderr!(), "one\ntwo\n");
    assertEquals(target.takeStderr!(), "");
    await target.close();
  });

  it("leaves no process behind, not even one that ignores its end", async () => {
    const script = `trap '' TERM HUP
      sleep 300 & echo $! >&2
      read x; echo "${HELLO}"; read x; while :; do sleep 300; done`;
    const target = await connectTarget(spawnConnection("sh", ["-c", script]));
    const [reset] = await Promise.allSettled([target.reset(), target.close()]);
    assertEquals(reset.status, "rejected");
    const child = Number(target.takeStderr!());
    assertEquals(child > 0, true);
    // It was killed; dying takes it a moment on a busy machine.
    assertEquals(await until(() => !lives(child)), true);
  });

  it("ends what it started when the runner is ended", async () => {
    const runner = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-run",
        new URL("./testing/idle_runner.ts", import.meta.url).pathname,
      ],
      stdout: "piped",
    }).spawn();
    const reader = runner.stdout.getReader();
    const { value } = await reader.read();
    const adapter = Number(new TextDecoder().decode(value));
    assertEquals(lives(adapter), true);
    runner.kill("SIGTERM");
    assertEquals((await runner.status).signal, "SIGTERM");
    await reader.cancel();
    assertEquals(await until(() => !lives(adapter)), true);
  });

  it("lets an adapter end by itself after bye", async () => {
    using _time = new TestTime();
    const file = await Deno.makeTempFile();
    const script =
      `read x; echo "${HELLO}"; read x; echo 2 ok; echo done >${file}`;
    const target = await connectTarget(spawnConnection("sh", ["-c", script]));
    await target.close();
    assertEquals(await Deno.readTextFile(file), "done\n");
    await Deno.remove(file);
  });
});
