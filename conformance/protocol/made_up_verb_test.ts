// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Process } from "../../impl/kernel/simulated/process.ts";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { AssertionFailure } from "../../selftests/harness/harness.ts";
import { IMPL_CALLS } from "../../selftests/target/impl_calls.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { type Target, TargetProcess } from "../../selftests/target/target.ts";
import { TargetFailure } from "../../selftests/target/target_failure.ts";
import { type Call, type Verb, VERBS } from "../../selftests/target/verbs.ts";
import { ModelServer } from "../agents/model_agent.ts";
import { runTest } from "../running/run_one.ts";
import { answering } from "../testing/fake_connection.ts";
import { fakeTest } from "../testing/fake_target.ts";
import { parseReplay } from "../traces/replay_target.ts";
import { connectTarget } from "./client.ts";

// How a verb is added: one row, as verbs.ts would have it, with an argument of
// each kind that there is room for…

const ROW: Verb = {
  name: "mix",
  args: [
    ["FD", "number"],
    ["NAME", "text"],
    ["KEY", "u64"],
    ["STRUCT", "struct"],
    ["COUNT", "into"],
    ["LOW HIGH", "numbers"],
  ],
  returns: "RET",
  batched: true,
  timed: true,
  title: "mix_up",
};

// …and one for the model, as impl_calls.ts would.

const CALLS = {
  ...IMPL_CALLS,
  mix: (
    p: Process,
    fd: number,
    name: string,
    key: number | bigint,
    struct: Uint8Array,
    into: Uint8Array,
    lowHigh: number[],
  ): number => {
    struct.reverse();
    lowHigh.splice(0, 2, Number(BigInt(key) & 0xffn), p.poll(fd, 0));
    return new TextEncoder().encodeInto(name, into).written;
  },
};

/** The model with the new verb, in this process. */
function within(): Promise<Target> {
  return implTarget(NEWEST, { calls: CALLS });
}

/** The same behind the protocol, which has the row at both ends. */
function served(verbs: readonly Verb[] = [...VERBS, ROW]): Promise<Target> {
  const server = new ModelServer({ calls: CALLS, verbs });
  return connectTarget(answering((line) => server.answer(line).reply));
}

/** A call, and what it writes to. */
function mix() {
  const struct = Uint8Array.of(1, 2, 3);
  const into = new Uint8Array(4);
  const numbers = [0, 0];
  const args = [77, "äb", 2n ** 63n + 5n, struct, into, numbers];
  const call: Call = { verb: ROW, args };
  return { call, back: { struct, into, numbers } };
}

/** What comes of it: the descriptor is none (POLLNVAL). */
const BACK = {
  struct: Uint8Array.of(3, 2, 1),
  into: Uint8Array.of(0xc3, 0xa4, 0x62, 0),
  numbers: [5, 0x20],
};

for (
  const [where, start] of [["in this process", within], [
    "over the wire",
    served,
  ]] as const
) {
  describe(`a made-up verb ${where}`, () => {
    it("is made, alone, in a batch and timed", async () => {
      const target = await start();
      const process = await TargetProcess.spawn(target);
      const [alone, first, second, timed] = [mix(), mix(), mix(), mix()];
      assertEquals(await process.make([alone.call]), [3]);
      assertEquals(await process.batch([first.call, second.call]), [3, 3]);
      const { results } = await process.time(3, [timed.call]);
      assertEquals(results, [3]);
      for (const { back } of [alone, first, second, timed]) {
        assertEquals(back, BACK);
      }
      await target.close();
    });

    it("is recorded, told in a report and played back", async () => {
      const test = fakeTest("a.mix", async (process) => {
        const { call, back } = mix();
        const [result] = await process.make([call]);
        assertEquals(back, BACK);
        throw new AssertionFailure("mix", "another", String(result));
      });
      const target = await start();
      const { message, failure, transcript } = await runTest(test, target);
      assertEquals(message, "mix: expected another, got 3");
      assertEquals(failure?.lastCall, {
        request: 3,
        call: `mix_up(77, "äb", 0x8000000000000005, 4) = 3`,
      });
      assertStringIncludes(
        transcript!.text,
        "> 3 1 mix 77 c3a462 0x8000000000000005 010203 4\n" +
          "< 3 ok 3 030201 c3a462 5 32\n",
      );
      await target.close();

      const path = await Deno.makeTempFile();
      await Deno.writeTextFile(path, transcript!.text);
      const played = await parseReplay(path, `replay:${path}`).open(NEWEST);
      assertEquals((await runTest(test, played)).message, message);
      await played.close();
      await Deno.remove(path);
    });
  });
}

describe("a verb that a target lacks", () => {
  for (
    const [where, start, why] of [
      ["in this process", () => implTarget(NEWEST), "The model has no mix"],
      ["over the wire", () => served(VERBS), "mix is no request to a process"],
    ] as const
  ) {
    it(`is told ${where}, and the process goes on`, async () => {
      const target = await start();
      const process = await TargetProcess.spawn(target);
      await assertRejects(
        () => process.make([mix().call]),
        TargetFailure,
        why,
      );
      assertEquals(await process.close(99), -9);
      await target.close();
    });
  }
});
