// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { NEWEST } from "../../impl/uapi/revision.ts";
import { IOMMU_OPTION, IommuOption } from "../../impl/uapi/iommufd.ts";
import { allTests } from "../../selftests/all.ts";
import { checkAdapter } from "../check_adapter/check_adapter.ts";
import { connectTarget } from "../protocol/client.ts";
import { runTests } from "../running/run_on_target.ts";
import { parseTarget } from "../targets.ts";
import type { TargetSpec } from "../targets/target_spec.ts";
import { implTarget } from "../../selftests/target/impl_target.ts";
import { MEMORY } from "./model_agent.ts";
import { TargetProcess } from "../../selftests/target/target.ts";

const agent = new URL("./model_agent.ts", import.meta.url).pathname;
const served = parseTarget(`stdio:deno run --quiet "${agent}"`);

/** Milliseconds that a test may take on a machine that has other things to do. */
const PATIENT_MS = 600_000;

/** How each test ends: `id status message`. */
async function run(target: Pick<TargetSpec, "open">): Promise<string[]> {
  const { results } = await runTests(NEWEST, allTests(NEWEST), {
    open: () => target.open(NEWEST, { timeoutMs: PATIENT_MS }),
    timeoutMs: PATIENT_MS,
  });
  return results.map(({ id, status, reason, message }) =>
    [id, status, reason ?? message].join(" ")
  );
}

describe("The served model", () => {
  it("has nothing that check-adapter finds wrong", async () => {
    const wrong: string[] = [];
    for await (const result of checkAdapter(served.connect!)) {
      if (result.status !== "ok") wrong.push(JSON.stringify(result));
    }
    assertEquals(wrong, []);
  });

  it("has the results of the model in this process", async () => {
    const inProcess = () =>
      implTarget(NEWEST, {
        memory: MEMORY,
        container: "iommufd",
        hasOnlyCard: true,
      });
    assertEquals(await run(served), await run({ open: inProcess }));
  });

  it("makes one write and one read of a request", async () => {
    const connection = await served.connect!();
    const counts = { write: 0, read: 0 };
    for (const name of ["write", "read"] as const) {
      const method = connection[name].bind(connection) as () => never;
      connection[name] = (...args: []) => {
        counts[name]++;
        return method(...args);
      };
    }
    const target = await connectTarget(connection);
    const process = await TargetProcess.spawn(target);
    const fd = await process.open("/dev/iommu");
    const arg = IommuOption.encode({ optionId: 99 });
    const before = { ...counts };
    for (let i = 0; i < 500; i++) {
      await process.ioctl(fd, IOMMU_OPTION, arg);
    }
    assertEquals(counts, {
      write: before.write + 500,
      read: before.read + 500,
    });
    await target.close();
  });
});
