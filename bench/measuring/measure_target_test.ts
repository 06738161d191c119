// SPDX-License-Identifier: GPL-2.0-only

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ModelServer } from "../../conformance/agents/model_agent.ts";
import { connectTarget } from "../../conformance/protocol/client.ts";
import type { Target } from "../../selftests/target/target.ts";
import { answering } from "../../conformance/testing/fake_connection.ts";
import { ENOENT } from "../../impl/uapi/errno.ts";
import { IommuDestroy, IommuIoasAlloc } from "../../impl/uapi/iommufd.ts";
import { compare, scenariosToCompare } from "../reporting/compare.ts";
import type { Effort } from "./measure.ts";
import {
  canTime,
  measureOnTarget,
  type TargetEffort,
} from "./measure_target.ts";
import { allScenarios } from "../operations.ts";
import { operationName, type Scenario } from "./scenario.ts";
import { ioctl, type Step } from "./steps.ts";

/** One round to learn how long it takes, and two requests of a round each. */
const TWO_REQUESTS: TargetEffort = { request: 0, maxRounds: 1, requests: 2 };

const TWO_ROUNDS: Effort = {
  warmup: 0,
  measure: 0,
  minRounds: 2,
  maxRounds: 2,
};

/** The model behind the protocol, without a process between. */
function connectModel(change = (reply: string) => reply): Promise<Target> {
  const server = new ModelServer();
  return connectTarget(answering((line) => change(server.answer(line).reply)));
}

function nameOf({ operations }: Scenario): string {
  return operationName(Object.values(operations)[0]!);
}

/** A scenario that makes these steps. */
function scenarioOf(steps: (fd: number) => Step[]): Scenario {
  return {
    group: "system calls",
    operations: { call: { series: "some call", calls: 1, pages: 0 } },
    prepare: ({ io }) =>
      Promise.resolve([{ measures: "call", steps: steps(io.fd) }]),
  };
}

describe("the scenarios that a target can time", () => {
  it("cover every kind of operation that needs no more than calls", () => {
    const names = allScenarios().filter(canTime)
      .flatMap(({ operations }) => Object.values(operations))
      .map(({ series }) => series);
    for (
      const series of [
        "close of a bad descriptor (EBADF)",
        "ioctl that fails at once (EOPNOTSUPP)",
        "IOAS_ALLOC",
        "DESTROY after IOAS_ALLOC",
        "IOAS_MAP, 4 KiB pages, no domain",
        "IOAS_UNMAP, huge pages, 2 domains",
        "IOAS_COPY, 1 domain",
        "access pin, 1 domain",
        "access rw, write, slow path",
        "VFIO_IOMMU_UNMAP_DMA (TYPE1v2)",
        "IOAS_UNMAP of everything, 1 domain",
        "MOCK_DOMAIN over 4 KiB each",
      ]
    ) {
      assert(names.includes(series), series);
    }
    assert(!names.includes("IOAS_MAP, scattered 4 KiB pages, 1 domain"));
  });

  // Of those with very many calls, one does: it is made in several requests.
  const few = (it: Scenario) => !it.slow || "close" in it.operations;
  for (const scenario of allScenarios().filter(canTime).filter(few)) {
    it(`can be repeated and leave nothing behind: ${nameOf(scenario)}`, async () => {
      const target = await connectModel();
      const results = await measureOnTarget(target, scenario, TWO_REQUESTS);
      assertEquals(results.length, Object.keys(scenario.operations).length);
      for (const { times } of results) {
        assertEquals(times.length, 2);
        assert(times[0]! > 0);
      }
      await target.close();
    });
  }
});

describe("measureOnTarget()", () => {
  it("divides by rounds and calls, and sorts", async () => {
    let total = 3000;
    const target = await connectModel((reply) =>
      reply.replace(/ok \w+ (?=;)/, () => `ok ${total -= 600} `)
    );
    const scenario = scenarioOf((fd) => [
      ioctl(fd, IommuIoasAlloc, {}),
    ]);
    const effort = { request: 1, maxRounds: 4, requests: 3 };
    const [result] = await measureOnTarget(target, scenario, effort);
    // The first request, of 2400 ns, is the one that tells how many rounds fit.
    assertEquals([...result!.times], [600 / 4e6, 1200 / 4e6, 1800 / 4e6]);
    await target.close();
  });

  it("rejects when a call fails that should not", async () => {
    const target = await connectModel();
    const scenario = scenarioOf((fd) => [
      ioctl(fd, IommuDestroy, { id: 77 }),
    ]);
    await assertRejects(
      () => measureOnTarget(target, scenario, TWO_REQUESTS),
      Error,
      ENOENT.name,
    );
    await target.close();
  });

  it("rejects what is more than calls, and a target that takes no time", async () => {
    const target = await connectModel();
    const fork = scenarioOf(() => [{ fork: [] }]);
    await assertRejects(
      () => measureOnTarget(target, fork, TWO_REQUESTS),
      Error,
      "cannot time a call",
    );
    await target.close();
    const untimed = await connectModel((reply) => reply.replace(",time", ""));
    await assertRejects(
      () => measureOnTarget(untimed, scenarioOf(() => []), TWO_REQUESTS),
      Error,
      `no capability "time"`,
    );
    await untimed.close();
  });
});

describe("compare()", () => {
  const filter = "IOAS_MAP, huge pages, 1 domain, 2 MiB";

  it("shows target and model side by side", async () => {
    const target = await connectModel();
    const lines: string[] = [];
    const table = await compare(target, {
      filter,
      model: TWO_ROUNDS,
      target: TWO_REQUESTS,
      lessCall: false,
      progress: (line) => lines.push(line),
    });
    const [headings, , map, unmap] = table.split("\n");
    assertStringIncludes(headings!, "| iommufd-kit-model");
    assertStringIncludes(map!, filter);
    assertStringIncludes(unmap!, "IOAS_UNMAP, huge pages, 1 domain, 2 MiB");
    assert(/\d\.\d\d \|$/.test(map!), map);
    assertEquals(lines, [`1/1 ${filter}`]);
    await target.close();
  });

  it("takes off what a call costs where that is not Linux's own time", async () => {
    const target = await connectModel();
    const table = await compare(target, {
      filter,
      model: TWO_ROUNDS,
      target: TWO_REQUESTS,
      lessCall: true,
      progress: () => {},
    });
    assert(/, less \d.* a call/.test(table.split("\n")[0]!), table);
    await target.close();
  });

  it("leaves out what the target has no memory for", async () => {
    const noMemory = (reply: string) =>
      reply.replace(/ok 0x[0-9a-f]{8,}$/, "ok -12");
    const target = await connectModel(noMemory);
    const lines: string[] = [];
    const table = await compare(target, {
      filter,
      model: TWO_ROUNDS,
      target: TWO_REQUESTS,
      lessCall: false,
      progress: (line) => lines.push(line),
    });
    const [, , map] = table.split("\n");
    assert(/\| +\| +\|$/.test(map!), map);
    assertStringIncludes(lines[1]!, "mmap");
    await target.close();
  });

  it("finds operations by their names and groups", () => {
    assertEquals(scenariosToCompare(filter).length, 1);
    assertEquals(scenariosToCompare("no such operation"), []);
    assert(scenariosToCompare("vfio").length > 1);
  });
});
