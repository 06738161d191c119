// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { allTests } from "../../../selftests/all.ts";
import {
  MemoryFault,
  ProcessDied,
  TargetFailure,
  TargetProcess,
} from "../../../selftests/target/target.ts";
import { runTests } from "../../running/run_on_target.ts";
import { fakeTest, passingTest } from "../../testing/fake_target.ts";
import { parseTarget } from "../../targets.ts";

const IMPL = new URL(
  "../../../selftests/target/impl_target.ts",
  import.meta.url,
);
const FAILURES = new URL(
  "../../../selftests/target/target_failure.ts",
  import.meta.url,
);

/** A test's worker is checked for types before it starts, which takes long on a busy machine. */
const PATIENT = { timeoutMs: 600_000 };

/** A worker with a module of this text. */
function workerOf(text: string): string {
  return `worker:data:text/javascript,${encodeURIComponent(text)}`;
}

/** A worker with the model of 6.12, with methods in the place of its own. */
function model(methods = ""): string {
  return workerOf(`
    import { implTarget } from "${IMPL}";
    import * as failures from "${FAILURES}";
    export async function target() {
      const honest = await implTarget("6.12");
      const all = ["spawn", "make", "time", "reset", "program", "close"];
      const target = { info: honest.info };
      for (const name of all) {
        target[name] = (...args) => honest[name](...args);
      }
      return Object.assign(target, { ${methods} });
    }`);
}

/** Opens a worker and hands it over; it is closed afterwards. */
async function withTarget(
  spec: string,
  use: (
    target: Awaited<ReturnType<ReturnType<typeof parseTarget>["open"]>>,
  ) => Promise<void>,
): Promise<void> {
  const target = await parseTarget(spec).open("6.12", PATIENT);
  try {
    await use(target);
  } finally {
    await target.close();
  }
}

describe("worker:", () => {
  it("passes tests as the same module does without a worker", async () => {
    const tests = allTests("6.12").filter(({ fixture }) =>
      ["iommufd", "kit_fork"].includes(fixture)
    );
    const spec = parseTarget(model());
    assertEquals(await spec.revisions(PATIENT), ["6.12"]);
    const { results } = await runTests("6.12", tests, {
      ...PATIENT,
      open: () => spec.open("6.12", PATIENT),
    });
    assertEquals(results.filter(({ status }) => status !== "pass"), []);
    assertEquals(results.length > 10, true);
  });

  it("ends one that loops at the time limit, and goes on with a new one", async () => {
    const spec = parseTarget(
      model(`make(process, calls) {
        if (calls[0].verb.name === "dup") for (;;);
        return honest.make(process, calls);
      }`),
    );
    const loops = fakeTest("a.loops", async (process) => {
      await process.dup(0);
    });
    const { results } = await runTests("6.12", [loops, passingTest("a.x")], {
      open: () => spec.open("6.12", PATIENT),
      timeoutMs: 5000,
    });
    assertEquals(results.map(({ status }) => status), ["timeout", "pass"]);
  });

  it("brings back what calls write, programs and times", async () => {
    await withTarget(model(), async (target) => {
      const process = await TargetProcess.spawn(target);
      const { ret, readFd, writeFd } = await process.pipe();
      assertEquals([ret, readFd, writeFd], [0, 3, 4]);
      assertEquals(await process.write(writeFd, Uint8Array.of(7, 8)), 2);
      const into = new Uint8Array(2);
      assertEquals(await process.read(readFd, into), 2);
      assertEquals([...into], [7, 8]);
      assertEquals(typeof target.program, "function");
      assertEquals(await target.reset(), []);
    });
  });

  for (
    const [thrown, kind, message] of [
      [`new failures.ProcessDied("It died", "SIGBUS")`, ProcessDied, "It died"],
      [`new failures.MemoryFault("No memory")`, MemoryFault, "No memory"],
      [`new failures.TargetFailure("crash", "Oh")`, TargetFailure, "Oh"],
      [`new RangeError("Bug")`, Error, "Bug"],
    ] as const
  ) {
    it(`rejects with ${thrown} where the module does`, async () => {
      await withTarget(
        model(`make: () => Promise.reject(${thrown})`),
        async (target) => {
          const process = await TargetProcess.spawn(target);
          await assertRejects(() => process.dup(0), kind, message);
        },
      );
    });
  }

  it("is a crash where something of the module throws while nobody waits for it", async () => {
    const throws = `make() {
      queueMicrotask(() => { throw new Error("later"); });
      return new Promise(() => {});
    }`;
    await withTarget(model(throws), async (target) => {
      const process = await TargetProcess.spawn(target);
      const error = await assertRejects(() => process.dup(0), TargetFailure);
      assertEquals(error.status, "crash");
      await assertRejects(() => process.dup(0), TargetFailure, "later");
    });
  });

  it("does not start with a module that makes no target", async () => {
    const spec = parseTarget(workerOf("export const target = 7"));
    await assertRejects(
      () => spec.open("6.12", PATIENT),
      Error,
      "but a number",
    );
    assertThrows(() => parseTarget("worker:"), Error, "worker: needs a module");
  });
});
