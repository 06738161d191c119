// SPDX-License-Identifier: GPL-2.0-only

import { NEWEST } from "../../impl/uapi/revision.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL } from "../../impl/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_MAP,
  IommuDestroy,
  IommuIoasMap,
} from "../../impl/uapi/iommufd.ts";
import { KernelBug } from "../../impl/kernel/warn.ts";
import {
  assertErrno,
  type TargetProcess,
} from "../../selftests/harness/harness.ts";
import { allTests } from "../../selftests/all.ts";
import { TestIsOver } from "../traces/recorder.ts";
import { runTest } from "./run_one.ts";
import { FakeTarget, fakeTest, passingTest } from "../testing/fake_target.ts";
import { call } from "../../selftests/target/verbs.ts";

/** A test that maps something and expects EINVAL. */
const expectsEinval = fakeTest("ioas.map", async (process) => {
  const fd = await process.open("/dev/iommu");
  const arg = IommuIoasMap.encode({ ioasId: 7, iova: 0x1000n });
  const ret = await process.ioctl(fd, IOMMU_IOAS_MAP, arg);
  assertErrno(ret, EINVAL, "IOMMU_IOAS_MAP");
});

describe("runTest()", () => {
  it("passes a body that returns on a target that stays clean", async () => {
    const target = new FakeTarget();
    const result = await runTest(passingTest("a.b.c"), target);
    assertEquals(result.status, "pass");
    assertEquals(
      [result.id, result.fixture, result.variant, result.uapi],
      ["a.b.c", "a", "b", NEWEST],
    );
    assertEquals(result.message, undefined);
    assertEquals(target.counts, { spawn: 1, reset: 1, close: 0 });
  });

  it("tells an assertion with errnos by name, the last call and its struct", async () => {
    const result = await runTest(expectsEinval, new FakeTarget());
    assertEquals(result.status, "fail");
    assertEquals(
      result.message,
      "IOMMU_IOAS_MAP: expected EINVAL, got success (0)",
    );
    const failure = result.failure!;
    assertEquals(failure.assertion, "IOMMU_IOAS_MAP");
    assertEquals(failure.expected, "EINVAL");
    assertEquals(failure.actual, "success (0)");
    assertEquals(failure.calls, 2);
    assertEquals(failure.lastCall, {
      call: "ioctl(3, IOMMU_IOAS_MAP) = 0",
      request: 4,
      struct: {
        name: "iommu_ioas_map",
        fields: {
          size: "40",
          flags: "0x0",
          ioas_id: "7",
          __reserved: "0",
          user_va: "0x0",
          length: "0x0",
          iova: "0x1000",
        },
      },
    });
    assertEquals(failure.lastIoctl, undefined);
  });

  it("keeps what a test says about its run, if it says something", async () => {
    const talks = fakeTest("a.b", (_process, _info, hooks) => {
      hooks?.note("so far");
      hooks?.note("done");
      return Promise.resolve();
    });
    const { notes } = await runTest(talks, new FakeTarget());
    assertEquals(notes, ["so far", "done"]);
    const silent = await runTest(passingTest("a.b"), new FakeTarget());
    assertEquals("notes" in silent, false);
  });

  it("passes the same assertion when the target returns what it asks for", async () => {
    const target = new FakeTarget({ ioctlResult: -EINVAL.code });
    assertEquals((await runTest(expectsEinval, target)).status, "pass");
  });

  it("tells the struct as it was sent, not as it came back", async () => {
    const test = fakeTest("a.b", async (process) => {
      const arg = IommuDestroy.encode({ id: 5 });
      await process.ioctl(3, IOMMU_DESTROY, arg);
      IommuDestroy.at(arg).id = 99;
      throw new Error("stop");
    });
    const { failure } = await runTest(test, new FakeTarget());
    assertEquals(failure?.lastCall?.struct?.fields.id, "5");
  });

  it("tells the last ioctl too when another call came after it", async () => {
    const test = fakeTest("a.b", async (process) => {
      await process.ioctl(3, IOMMU_DESTROY, IommuDestroy.encode({ id: 5 }));
      await process.munmap(0x10000, 4096);
      throw new Error("stop");
    });
    const { failure } = await runTest(test, new FakeTarget());
    assertEquals(failure?.lastCall?.call, "munmap(0x10000, 0x1000) = 0");
    assertEquals(failure?.lastIoctl?.call, "ioctl(3, IOMMU_DESTROY) = 0");
  });

  it("tells the first call of a batch that failed", async () => {
    const test = fakeTest("a.b", async (process) => {
      await process.batch([
        call("peek", 0x10000, new Uint8Array(8)),
        call("ioctl", 3, IOMMU_DESTROY, IommuDestroy.encode({ id: 1 })),
        call("ioctl", 3, IOMMU_DESTROY, IommuDestroy.encode({ id: 2 })),
      ]);
      throw new Error("stop");
    });
    const { failure } = await runTest(
      test,
      new FakeTarget({ ioctlResult: -EINVAL.code }),
    );
    assertEquals(failure?.calls, 3);
    assertEquals(failure?.lastCall?.call, "ioctl(3, IOMMU_DESTROY) = EINVAL");
    assertEquals(failure?.lastCall?.struct?.fields.id, "1");
  });

  it("tells which child made a call", async () => {
    const test = fakeTest("a.b", async (process) => {
      const child = await process.fork();
      await child.close(3);
      throw new Error("stop");
    });
    const { failure } = await runTest(test, new FakeTarget());
    assertEquals(failure?.lastCall?.call, "close(3) = 0 in child 1");
  });

  it("fails a body that passed when something was left behind", async () => {
    const problems = ["2 frames are still pinned.", "User 0 is still charged."];
    const target = new FakeTarget({ problems });
    const result = await runTest(passingTest("a.b"), target);
    assertEquals(result.status, "fail");
    assertEquals(
      result.message,
      "2 frames are still pinned. User 0 is still charged.",
    );
    assertEquals(result.failure?.problems, problems);
  });

  it("keeps the assertion as the message when something was left behind as well", async () => {
    const problems = ["2 frames are still pinned."];
    const result = await runTest(expectsEinval, new FakeTarget({ problems }));
    assertStringIncludes(result.message!, "expected EINVAL");
    assertEquals(result.failure?.problems, problems);
  });

  it("tells the line of the test that failed, not that of what it called", async () => {
    const test = allTests(NEWEST).find(({ id }) => id === "iommufd.cmd_fail")!;
    const { failure } = await runTest(test, new FakeTarget());
    const [, file, line] = /^(.*):(\d+)$/.exec(failure!.where!)!;
    const source = Deno.readTextFileSync(
      new URL(`../../${file}`, import.meta.url),
    );
    assertStringIncludes(source.split("\n")[Number(line) - 1]!, "await ");
    const outside = await runTest(expectsEinval, new FakeTarget());
    assertEquals(outside.failure!.where, undefined);
  });

  it("calls an exception that is no assertion an error, with its stack", async () => {
    const test = fakeTest("a.b", () => {
      throw new KernelBug("Cannot put frame 3: its count falls to -1");
    });
    const result = await runTest(test, new FakeTarget());
    assertEquals(result.status, "error");
    assertEquals(
      result.message,
      "KernelBug: Cannot put frame 3: its count falls to -1",
    );
    assertStringIncludes(result.failure!.stack!, "run_one_test.ts");
  });

  it("calls a thrown value that is no Error an error too", async () => {
    const test = fakeTest("a.b", () => {
      throw EINVAL;
    });
    const result = await runTest(test, new FakeTarget());
    assertEquals([result.status, result.message], ["error", "Thrown: EINVAL"]);
  });

  it("calls a target that cannot spawn an error", async () => {
    const target = new FakeTarget({ spawnError: new Error("no memory") });
    const result = await runTest(passingTest("a.b"), target);
    assertEquals(result.status, "error");
    assertEquals(result.message, "Error: no memory");
    assertEquals(target.counts.reset, 1);
  });

  it("calls a target that cannot reset an error", async () => {
    const target = new FakeTarget({ resetError: new Error("it died") });
    const result = await runTest(passingTest("a.b"), target);
    assertEquals(result.status, "error");
    assertEquals(result.message, "Error: it died");
  });

  it("ends a body that hangs, and resets the target", async () => {
    const target = new FakeTarget();
    const never = fakeTest("a.b", () => new Promise(() => {}));
    const result = await runTest(never, target, { timeoutMs: 20 });
    assertEquals(result.status, "timeout");
    assertEquals(result.message, "No end after 0.02 seconds");
    assertEquals(target.counts.reset, 1);
  });

  it("refuses the calls of a test that is over", async () => {
    const { promise, resolve } = Promise.withResolvers<TargetProcess>();
    const test = fakeTest("a.b", (process) => {
      resolve(process);
      return Promise.resolve();
    });
    await runTest(test, new FakeTarget());
    const process = await promise;
    await assertRejects(() => process.close(3), TestIsOver);
  });

  it("skips a test whose needs the target lacks, with the reason, and leaves the target alone", async () => {
    const target = new FakeTarget({ capabilities: ["fork"] });
    const test = fakeTest("a.b", () => {
      throw new Error("must not run");
    }, { needs: ["fork", "hugetlb", "hugetlb", "vfio"] });
    const result = await runTest(test, target);
    assertEquals(result.status, "skip");
    assertEquals(result.reason, "needs hugetlb, vfio");
    assertEquals(
      result.message,
      "The target fake does not offer hugetlb, vfio",
    );
    assertEquals(target.counts, { spawn: 0, reset: 0, close: 0 });
  });

  it("runs a test whose needs the target has", async () => {
    const target = new FakeTarget({ capabilities: ["fork", "hugetlb"] });
    const test = passingTest("a.b", { needs: ["fork"] });
    assertEquals((await runTest(test, target)).status, "pass");
  });

  it("skips a test where Linux has a known bug on Linux, and nowhere else", async () => {
    const test = passingTest("a.b", { knownBug: "unlocks_dead_owner" });
    const linux = new FakeTarget({ capabilities: ["linux"], uapi: "6.12" });
    const { status, reason, message } = await runTest(test, linux);
    assertEquals(status, "skip");
    assertEquals(reason, "not applicable: bug unlocks_dead_owner of Linux");
    assertStringIncludes(message!, "do_update_pinned");
    assertEquals(linux.counts.spawn, 0);
    const model = new FakeTarget({ uapi: "6.12" });
    assertEquals((await runTest(test, model)).status, "pass");
  });

  it("runs it on a Linux that does not have the bug", async () => {
    const test = passingTest("a.b", { knownBug: "drops_dmabuf_descriptor" });
    const linux = new FakeTarget({ capabilities: ["linux"], uapi: "6.12" });
    assertEquals((await runTest(test, linux)).status, "pass");
  });

  it("skips a test that skips itself, in its own words", async () => {
    const target = new FakeTarget();
    const test = passingTest("a.b", { skipsItself: "There is no vIOMMU" });
    const { status, reason, message } = await runTest(test, target);
    assertEquals(status, "skip");
    assertEquals(reason, "the test skips itself");
    assertEquals(message, "There is no vIOMMU");
    assertEquals(target.counts.spawn, 0);
  });

  it("skips a test that the target's revision does not have", async () => {
    const test = passingTest("a.b", { uapi: ["6.12"] });
    const result = await runTest(test, new FakeTarget({ uapi: "v3" }));
    assertEquals(result.status, "skip");
    assertEquals(result.reason, "only in uAPI 6.12");
  });
});
