// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../../mod.ts";
import * as uapi from "../../impl/uapi/mod.ts";
import { watchers } from "../calls/watcher.ts";
import { FailingStep } from "../watch/failing_step.ts";
import { LeftBehind } from "../watch/left_behind.ts";
import { statusOf } from "../watch/status.ts";
import { type RunOnce, sweep, type SweptRun } from "./sweep.ts";
import { WatchedProgram } from "../watch/testing/watched_program.ts";

/** A program that ends with what wait tells; undefined if it hangs. */
type Program = (program: WatchedProgram) => number | undefined;

/** Runs a program of this language. */
function runOnce(body: Program): RunOnce {
  return (nth) => {
    const kernel = new Kernel();
    const step = new FailingStep(nth, kernel.revision.name);
    const left = new LeftBehind();
    const process = kernel.spawn();
    Object.assign(process, { faults: step.faults });
    const program = new WatchedProgram(watchers([step, left]), process);
    const wait = body(program);
    program.exit();
    return Promise.resolve({
      status: wait === undefined ? undefined : statusOf(wait),
      step,
      left: left.report(kernel),
      warnings: kernel.warnings.list,
    });
  };
}

async function swept(body: Program) {
  let report = "";
  const result = await sweep(runOnce(body), (line) => report += line);
  return { result, lines: report.trimEnd().split("\n") };
}

/** Allocates an IOAS and destroys it; 1 for the first call that fails. */
function tidy(program: WatchedProgram): number {
  const fd = program.open("/dev/iommu");
  if (fd < 0) return 1 << 8;
  const { ret, struct } = program.ioctl(fd, uapi.IommuIoasAlloc);
  if (ret < 0) return 1 << 8;
  const { outIoasId: id } = struct;
  return program.ioctl(fd, uapi.IommuDestroy, { id }).ret < 0 ? 1 << 8 : 0;
}

describe("a sweep", () => {
  it("makes each step fail that a run comes to, once", async () => {
    const { result, lines } = await swept(tidy);
    const count = Number(/^\d+/.exec(lines[0]!)![0]);
    assert(count >= 8);
    assertEquals(lines.length >= count + 2, true);
    const text = lines.join("\n");
    for (const name of ["open.name", "iommufd.open", "object.alloc"]) {
      assertEquals(text.split(` ${name} `).length, 2, name);
    }
    assertEquals(result.bad, 0);
  });

  it("tells the step, the call, its errno, and how the program ended", async () => {
    const { lines } = await swept(tidy);
    assertStringIncludes(
      lines[0]!,
      "steps can fail; without a failure the program exited with 0",
    );
    const line = lines.find((line) => line.includes("iommufd.open"))!;
    assertEquals(line.trim().split(/ {2,}/).slice(1), [
      "iommufd.open",
      "openat /dev/iommu",
      "ENOMEM",
      "exited with 1",
    ]);
    const copy = lines.filter((line) => line.includes("user.copyTo"));
    assertStringIncludes(copy[0]!, "IOMMU_IOAS_ALLOC");
    assertStringIncludes(copy[0]!, "EFAULT");
    assert(lines.at(-1)!.startsWith(`${lines[0]!.split(" ")[0]} runs: `));
  });

  it("tells what a run left behind, and counts it", async () => {
    const { result, lines } = await swept((program) => {
      const fd = program.open("/dev/iommu");
      if (fd < 0) return 1 << 8;
      const { ret } = program.ioctl(fd, uapi.IommuIoasAlloc);
      return ret < 0 ? 1 << 8 : 0;
    });
    const left = "    left: /dev/iommu was left open with 1 object: IOAS 1.";
    assertEquals(lines[1], left);
    // Where the kernel goes on in another way, the IOAS is there.
    assertEquals(result.left, lines.filter((line) => line === left).length - 1);
  });

  it("calls it bad if a program is killed, hangs, or makes the kernel warn", async () => {
    const ends: [Program, string][] = [
      [() => 11, "killed by SIGSEGV"],
      [() => undefined, "hung"],
    ];
    for (const [end, words] of ends) {
      const { result, lines } = await swept((program) =>
        program.open("/dev/iommu") < 0 ? end(program) : 0
      );
      assertEquals(result.bad, lines.length - 2);
      assertStringIncludes(lines.at(-1)!, words);
    }
    const { result, lines } = await swept((program) => {
      const failed = program.open("/dev/iommu") < 0;
      program.process.kernel.warnings.on(failed, "a page is lost");
      return 0;
    });
    assert(result.bad > 0);
    assertStringIncludes(lines[2]!, "the kernel warned: a page is lost");
  });

  it("says so when a run does not come to the step", async () => {
    let runs = 0;
    const { lines } = await swept((program) => {
      if (runs++ === 0) program.open("/dev/iommu");
      return 0;
    });
    assertStringIncludes(lines[1]!, "not reached");
  });

  it("says where the kernel went on in another way", async () => {
    const { lines } = await swept(tidy);
    const line = lines.find((line) => line.includes(" xarray.node "));
    assertStringIncludes(line!, "went on");
    assertStringIncludes(line!, "exited with 0");
  });

  it("does not run again where nothing can fail", async () => {
    let runs = 0;
    const { lines } = await swept(() => (runs++, 0));
    assertEquals([runs, lines], [1, [
      "0 steps can fail; without a failure the program exited with 0",
    ]]);
  });
});

describe("a failing step", () => {
  it("has the number that --fail-nth takes", async () => {
    // A file without a name is two steps of Linux, and one of the model.
    const queue = (program: WatchedProgram) => {
      const fd = program.open("/dev/iommu");
      if (fd >= 0) program.ioctl(fd, uapi.IommuFaultAlloc);
      return 0;
    };
    const { step: { steps } }: SweptRun = await runOnce(queue)(Infinity);
    assert(steps.at(-1)!.number > steps.length);
    for (const { number, name } of steps) {
      const { step } = await runOnce(queue)(number);
      assertEquals([step.failed?.number, step.failed?.name], [number, name]);
    }
  });
});
