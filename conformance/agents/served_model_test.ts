// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { IOMMU_OPTION, IommuOption } from "../../impl/uapi/iommufd.ts";
import { allTests } from "../../selftests/all.ts";
import { checkAdapter } from "../check_adapter/check_adapter.ts";
import { runTests } from "../running/run_on_target.ts";
import { parseTarget, type TargetSpec } from "../targets/targets.ts";
import { TargetProcess } from "../../selftests/target/target.ts";

/** The most that the kernel's and our own tests may take, milliseconds. */
const SUITE_MS = 30_000;
/** How much longer than in this process they may take if that is longer. */
const TIMES = 5;
/** The most that a request may take on average, microseconds. */
const ROUND_TRIP_US = 150;
/** How often the average is taken: other work on the machine must not count. */
const BATCHES = 20;

const agent = new URL("./model_agent.ts", import.meta.url).pathname;
const served = parseTarget(`stdio:deno run --quiet "${agent}"`);

/** How each test ends, `id status message`, and milliseconds for all. */
async function run(
  target: TargetSpec,
): Promise<{ lines: string[]; millis: number }> {
  const start = performance.now();
  const { results } = await runTests(NEWEST, allTests(NEWEST), {
    open: () => target.open(NEWEST),
  });
  const lines = results.map(({ id, status, reason, message }) =>
    [id, status, reason ?? message].join(" ")
  );
  return { lines, millis: performance.now() - start };
}

describe("The served model", () => {
  it("has nothing that check-adapter finds wrong", async () => {
    const wrong: string[] = [];
    for await (const result of checkAdapter(served.connect!)) {
      if (result.status !== "ok") wrong.push(JSON.stringify(result));
    }
    assertEquals(wrong, []);
  });

  it("has the results of the model in this process, in less than 30 seconds", async () => {
    const over = await run(served);
    const within = await run(parseTarget("impl:6.12"));
    assertEquals(over.lines, within.lines);
    const [a, b] = [over.millis, within.millis].map(Math.round);
    console.log(`${over.lines.length} tests: ${a} ms, in process ${b} ms`);
    // A machine that has other things to do slows both.
    assert(over.millis < Math.max(SUITE_MS, TIMES * within.millis));
  });

  it("answers a request in less than 150 µs", async () => {
    const target = await served.open(NEWEST);
    const process = await TargetProcess.spawn(target);
    const fd = await process.open("/dev/iommu");
    const arg = IommuOption.encode({ optionId: 99 });
    const averages: number[] = [];
    for (let batch = 0; batch < BATCHES; batch++) {
      const start = performance.now();
      for (let i = 0; i < 500; i++) {
        await process.ioctl(fd, IOMMU_OPTION, arg);
      }
      averages.push((performance.now() - start) * 1000 / 500);
    }
    await target.close();
    const best = Math.min(...averages);
    console.log(`A request over stdio: ${best.toFixed(1)} µs`);
    assert(best < ROUND_TRIP_US);
  });
});
