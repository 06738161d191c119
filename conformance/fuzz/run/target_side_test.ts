// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Program, Target } from "../../../selftests/target/target.ts";
import { ProtocolError } from "../../../selftests/target/target_failure.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { ModelServer } from "../../agents/model_agent.ts";
import { connectTarget } from "../../protocol/client.ts";
import { FakeConnection } from "../../testing/fake_connection.ts";
import { type Alter, alteredModel, at } from "../../testing/altered_model.ts";
import type { TargetSpec } from "../../targets/target_spec.ts";
import { type Failure, isFailure } from "./side.ts";
import { Pool } from "./pool.ts";
import { TargetSide } from "./target_side.ts";

const PROGRAM: Program = [{
  process: 0,
  call: call("open", "/dev/iommu", 2),
}, { process: 0, call: call("dup", 3) }];

/** A target that `open` starts. */
function specOf(open: () => Promise<Target>): TargetSpec {
  return {
    spec: "fake:",
    revisions: () => Promise.resolve(["7.3"]),
    open,
  };
}

/** A side over adapters: the first replies as one says, those after it are right. */
async function sideOf(alter: Alter): Promise<TargetSide> {
  let isFirst = true;
  const open = () => {
    const model = alteredModel(isFirst ? alter : (_, honest) => honest());
    isFirst = false;
    return connectTarget(model);
  };
  return await TargetSide.open(specOf(open), "7.3", { timeoutMs: 10_000 });
}

/** A target that is asked for whole programs. */
function whole(program: Target["program"]): Promise<Target> {
  return connectTarget(alteredModel((_, honest) => honest()))
    .then((target) => ({
      info: target.info,
      spawn: () => target.spawn(),
      make: (process, calls) => target.make(process, calls),
      reset: () => target.reset(),
      close: () => target.close(),
      program: program!,
    }));
}

const HOSTILE: Readonly<Record<string, [Alter, RegExp]>> = {
  "answers garbage": [at("program", () => "Segmentation fault"), /none of ok/],
  "answers too much": [
    at("program", (_, honest) => `${honest()} 1 2 3`),
    /nothing was expected/,
  ],
  "answers too little": [at("program", () => "ok"), /is missing/],
  "cannot carry it out": [
    at("program", () => "error 6e6f"),
    /cannot carry out/,
  ],
  "breaks in reset": [at("reset", () => "what?"), /none of ok/],
};

describe("A target as a side", () => {
  it("runs programs in order, whoever waits", async () => {
    const side = await sideOf((_, honest) => honest());
    const all = await Promise.all(
      Array.from({ length: 20 }, () => side.run(PROGRAM)),
    );
    for (const ran of all) {
      assert(!isFailure(ran));
      assertEquals(ran.problems, []);
      const results = ran.outcomes.map((outcome) =>
        outcome.kind === "returned" && outcome.result
      );
      assertEquals(results, [3, 4]);
    }
    assertEquals(side.restarts, 0);
    await side.close();
  });

  for (const [what, [alter, message]] of Object.entries(HOSTILE)) {
    it(`says that a target ${what}, and starts it again`, async () => {
      const side = await sideOf(alter);
      const [first, second] = await Promise.all([
        side.run(PROGRAM),
        side.run(PROGRAM),
      ]);
      assert(isFailure(first!));
      assertEquals(first.failed, "error");
      assertMatch(first.message, message);
      assert(!isFailure(second!));
      assertEquals(side.restarts, 1);
      await side.close();
    });
  }

  /** A connection to the model up to the first program. */
  function until(ending: (connection: FakeConnection) => void) {
    const server = new ModelServer();
    let isOver = false;
    return new FakeConnection((line, connection) => {
      if (isOver) return;
      isOver = line.split(" ")[2] === "program";
      if (isOver) return ending(connection);
      connection.send(`${server.answer(line).reply}\n`);
    });
  }

  const endings: [
    Failure["failed"],
    (connection: FakeConnection) => void,
    RegExp,
  ][] = [
    ["crash", (connection) => connection.end(), /ended .*exited with code 7/],
    ["timeout", () => {}, /No answer to "2 0 program/],
  ];
  for (const [failed, ending, message] of endings) {
    it(`says that a target came to a ${failed}, and starts it again`, async () => {
      let isFirst = true;
      const spec = specOf(() => {
        const connection = isFirst
          ? until(ending)
          : alteredModel((_, honest) => honest());
        const options = isFirst
          ? { replyTimeoutMs: 20, helloTimeoutMs: 10_000 }
          : {};
        isFirst = false;
        return connectTarget(connection, options);
      });
      const side = await TargetSide.open(spec, "7.3", { timeoutMs: 10_000 });
      const [first, second] = await Promise.all([
        side.run(PROGRAM),
        side.run(PROGRAM),
      ]);
      assert(isFailure(first!));
      assertEquals(first.failed, failed);
      assertMatch(first.message, message);
      assert(!isFailure(second!));
      await side.close();
    });
  }

  it("says that a target does not say what all steps came to", async () => {
    const spec = specOf(() => whole(() => Promise.resolve([])));
    const side = await TargetSide.open(spec, "7.3", { timeoutMs: 10_000 });
    const ran = await side.run(PROGRAM);
    assert(isFailure(ran));
    assertMatch(ran.message, /what 0 steps came to, of 2/);
    await side.close();
  });

  it("runs those again that were sent ahead of one that broke it", async () => {
    let asked = 0;
    const gone = { kind: "gone" } as const;
    const spec = specOf(() =>
      whole((program) =>
        ++asked === 1
          ? Promise.reject(new ProtocolError("no"))
          : Promise.resolve(program.map(() => gone))
      )
    );
    const side = await TargetSide.open(spec, "7.3", { timeoutMs: 10_000 });
    const all = await Promise.all([1, 2, 3].map(() => side.run(PROGRAM)));
    assertEquals(all.map(isFailure), [true, false, false]);
    assert(asked >= 5, "the two behind it ran twice");
    await side.close();
  });

  it("says that a target does not start again", async () => {
    let starts = 0;
    const spec = specOf(() =>
      starts++ === 0
        ? connectTarget(alteredModel(at("program", () => "what?")))
        : Promise.reject(new Error("no more"))
    );
    const side = await TargetSide.open(spec, "7.3", { timeoutMs: 10_000 });
    await side.run(PROGRAM);
    const ran = await side.run(PROGRAM);
    assert(isFailure(ran));
    assertEquals(ran.failed, "start");
    assertMatch(ran.message, /no more/);
    await side.close();
  });
});

describe("Several targets as a side", () => {
  const HOW = { timeoutMs: 10_000 };

  it("runs a program on the one that has the fewest", async () => {
    const gate = Promise.withResolvers<void>();
    const gone = { kind: "gone" } as const;
    const ran = [0, 0];
    let opened = 0;
    const spec = specOf(async () => {
      const number = opened++;
      const target = await whole(async (program) => {
        ran[number]!++;
        if (number === 0) await gate.promise;
        return program.map(() => gone);
      });
      // Without a card, for whose names it would be asked.
      return { ...target, info: { ...target.info, capabilities: [] } };
    });
    const pool = await Pool.open(spec, "7.3", { ...HOW, jobs: 2 });
    const [first, second] = [pool.run(PROGRAM), pool.run(PROGRAM)];
    await second;
    await pool.run(PROGRAM);
    assertEquals(ran, [1, 2]);
    gate.resolve();
    await first;
    await pool.close();
  });

  it("leaves none where not all start", async () => {
    let starts = 0;
    let closed = 0;
    const spec = specOf(async () => {
      if (starts++ === 2) throw new Error("no room");
      const target = await whole(() => Promise.resolve([]));
      return { ...target, close: () => (closed++, target.close()) };
    });
    const opening = Pool.open(spec, "7.3", { ...HOW, jobs: 3 });
    await assertRejects(() => opening, Error, "no room");
    assertEquals(closed, 2);
  });
});
