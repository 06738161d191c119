// SPDX-License-Identifier: GPL-2.0-only

import { NEWEST } from "../../impl/uapi/revision.ts";
import { O_RDWR } from "../../impl/uapi/mman.ts";
import { VFIO_DEVICE_FEATURE } from "../../impl/uapi/vfio/feature.ts";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { OpenFiles } from "../api_coverage/open_files.ts";
import { Recorder, TestIsOver } from "./recorder.ts";
import {
  ProcessDied,
  TargetFailure,
} from "../../selftests/target/target_failure.ts";
import { FakeTarget } from "../testing/fake_target.ts";
import { TargetProcess } from "../../selftests/target/target.ts";
import { call } from "../../selftests/target/verbs.ts";

/** The lines of a transcript after the greeting. */
function linesOf(recorder: Recorder): string[] {
  return recorder.transcript([]).trimEnd().split("\n").slice(2);
}

/** A recorder, and a process of a target without a kernel. */
async function start() {
  const target = new FakeTarget({ capabilities: ["fork", "odd name"] });
  const recorder = new Recorder(target);
  return { target, recorder, process: await TargetProcess.spawn(recorder) };
}

describe("Recorder", () => {
  it("begins with what was asked for and what the target says about itself", async () => {
    const { recorder } = await start();
    assertEquals(
      recorder.transcript(["test a.b", "two\nlines"]),
      `# test a.b
# two
#   lines
> 1 0 hello 1
< 1 ok protocol=1 name=fake version=1.2.3 uapi=${NEWEST} page=4096 hugepage=2097152 capabilities=fork,odd-name
> 2 0 spawn
< 2 ok 1
`,
    );
  });

  it("writes calls in the words of the protocol", async () => {
    const { recorder, process } = await start();
    await process.open("/dev/iommu");
    await process.mmap(0, 8192, 3, 34);
    await process.ioctl(3, 0x3b80, new Uint8Array([1, 2]));
    await process.ioctlArg(3, 0x3b64, 2n ** 64n - 1n);
    await process.read(3, new Uint8Array(4));
    await process.poke(4096, new Uint8Array([255]));
    await process.pipe();
    await process.setFailNth(3);
    await recorder.reset();
    assertEquals(linesOf(recorder).slice(2), [
      "> 3 1 open 2f6465762f696f6d6d75 2",
      "< 3 ok 3",
      "> 4 1 mmap 0 0x2000 3 34 -1 0",
      "< 4 ok 0x7f0000000000",
      "> 5 1 ioctl 3 0x3b80 0102",
      "< 5 ok 0 0102",
      "> 6 1 ioctlarg 3 0x3b64 0xffffffffffffffff",
      "< 6 ok 0",
      "> 7 1 read 3 4",
      "< 7 ok 0 -",
      "> 8 1 poke 0x1000 ff",
      "< 8 ok",
      "> 9 1 pipe",
      "< 9 ok 0 6 7",
      "> 10 1 failnth 3",
      "< 10 ok 0",
      "> 11 0 reset",
      "< 11 ok",
    ]);
  });

  it("numbers children, and tells an exit once", async () => {
    const { recorder, process } = await start();
    const child = await process.fork();
    await child.close(3);
    await child.exit();
    await child.exit();
    assertEquals(linesOf(recorder).slice(2), [
      "> 3 1 fork",
      "< 3 ok 2",
      "> 4 2 close 3",
      "< 4 ok 0",
      "> 5 2 exit",
      "< 5 ok",
    ]);
  });

  it("writes a batch as one request", async () => {
    const { recorder, process } = await start();
    assertEquals(await process.batch([]), []);
    await process.batch([
      call("poke", 16, new Uint8Array([1])),
      call("ioctl", 3, 5, new Uint8Array([2])),
      call("peek", 16, new Uint8Array(2)),
    ]);
    assertEquals(linesOf(recorder).slice(2), [
      "> 3 1 batch poke 16 01 ; ioctl 3 5 02 ; peek 16 2",
      "< 3 ok ; 0 02 ; 0000",
    ]);
    assertEquals(recorder.calls, 3);
  });

  for (
    const [error, reply] of [
      [new ProcessDied("boo"), "died 626f6f"],
      [new TargetFailure("crash", "boo"), "died 626f6f"],
      [new TargetFailure("timeout", "boo"), "error 626f6f"],
      [new Error("boo"), "error 626f6f"],
      ["boo", "error 626f6f"],
    ] as const
  ) {
    it(`writes down a call that ended with ${reply}`, async () => {
      const { recorder, process, target } = await start();
      target.make = () => Promise.reject(error);
      await process.peek(16, 2).catch(() => {});
      assertEquals(linesOf(recorder).slice(2), [
        "> 3 1 peek 16 2",
        `< 3 ${reply}`,
      ]);
    });
  }

  it("takes no results that are too few or too many", async () => {
    const { process, target } = await start();
    for (const results of [[], [0, 0]]) {
      target.make = () => Promise.resolve(results);
      await assertRejects(
        () => process.close(3),
        TargetFailure,
        `The target has ${results.length} results for 1 calls`,
      );
    }
  });

  it("says of a call that it was not answered", async () => {
    const { recorder, process, target } = await start();
    target.make = () => new Promise(() => {});
    void process.close(3);
    assertEquals(linesOf(recorder).slice(2), [
      "> 3 1 close 3",
      "# no reply came",
    ]);
    assertEquals(recorder.told.lastCall?.call, "close(3), not answered");
  });

  it("numbers what it tells as the transcript does", async () => {
    const { recorder, process } = await start();
    const { vmLck } = await process.vmStatus();
    assertEquals(vmLck, 0);
    await process.fork();
    await process.batch([
      call("ioctl", 3, 0x3b81, new Uint8Array(12)),
      call("peek", 16, new Uint8Array(2)),
    ]);
    await process.make([
      call("close", 4),
      call("ioctl", 3, 0x3b80, new Uint8Array(8)),
      call("peek", 16, new Uint8Array(2)),
      call("close", 3),
    ]);
    const { before, lastCall, lastIoctl } = recorder.told;
    const told = [...before!, lastCall!].map(({ request, call }) =>
      `${request} ${call}`
    );
    assertEquals(told, [
      "4 fork() = child 1",
      "5 ioctl(3, IOMMU_IOAS_ALLOC) = 0",
      "5 peek(16, 2) = 0",
      "6 close(4) = 0",
      "7 ioctl(3, IOMMU_DESTROY) = 0",
      "7 peek(16, 2) = 0",
      "8 close(3) = 0",
    ]);
    assertEquals(lastIoctl?.request, 7);
    const requests = linesOf(recorder).filter((line) => line.startsWith(">"));
    assertEquals(requests.slice(1), [
      "> 3 1 vmstatus",
      "> 4 1 fork",
      `> 5 1 batch ioctl 3 0x3b81 ${"00".repeat(12)} ; peek 16 2`,
      "> 6 1 close 4",
      `> 7 1 batch ioctl 3 0x3b80 ${"00".repeat(8)} ; peek 16 2`,
      "> 8 1 close 3",
    ]);
  });

  it("names an ioctl after what the descriptor was open to then", async () => {
    const { recorder, process } = await start();
    const feature = call("ioctl", 3, VFIO_DEVICE_FEATURE, new Uint8Array(8));
    await process.make([feature]);
    await process.open("/dev/vfio/devices/vfio0");
    await process.make([feature]);
    await process.make([
      call("close", 3),
      call("open", "/dev/vfio/vfio", O_RDWR),
      feature,
    ]);
    const { before, lastCall } = recorder.told;
    const told = [...before!, lastCall!].map(({ call, struct }) =>
      struct ? `${call} ${struct.name}` : call
    );
    assertEquals(told, [
      "ioctl(3, VFIO_IOMMU_DIRTY_PAGES) = 0",
      'open("/dev/vfio/devices/vfio0", 2) = 3',
      "ioctl(3, VFIO_DEVICE_FEATURE) = 0 vfio_device_feature",
      "close(3) = 0",
      'open("/dev/vfio/vfio", 2) = 3',
      "ioctl(3, VFIO_IOMMU_DIRTY_PAGES) = 0",
    ]);
  });

  it("follows each call once, however many it tells", async () => {
    const { recorder, process } = await start();
    for (let i = 0; i < 20; i++) await process.close(3);
    const { prototype } = OpenFiles;
    const { follow } = prototype;
    let followed = 0;
    prototype.follow = function (...call) {
      followed++;
      return follow.apply(this, call);
    };
    try {
      assertEquals(recorder.told.before?.length, 6);
    } finally {
      prototype.follow = follow;
    }
    assertEquals(followed, 20);
  });

  it("tells what the kernel made of a struct", async () => {
    const { recorder, process, target } = await start();
    target.make = (_process, [made]) => {
      (made!.args[2] as Uint8Array)[8] = 5;
      return Promise.resolve([0]);
    };
    await process.ioctl(3, 0x3b81, new Uint8Array(12));
    assertEquals(recorder.told.lastCall?.struct?.fields.out_ioas_id, "0");
    assertEquals(recorder.told.lastCall?.gave, { out_ioas_id: "5" });
  });

  it("keeps what was sent, not what the test made of it later", async () => {
    const { recorder, process } = await start();
    const bytes = new Uint8Array([1]);
    await process.write(3, bytes);
    bytes[0] = 2;
    assertEquals(linesOf(recorder)[2], "> 3 1 write 3 01");
  });

  it("stops keeping when it becomes too much, says so, and goes on counting", async () => {
    const { recorder, process } = await start();
    for (let i = 0; i < 9; i++) {
      await process.write(3, new Uint8Array(1024 * 1024));
    }
    await process.close(3);
    const lines = linesOf(recorder);
    assertEquals(lines.length, 2 + 2 * 8 + 1);
    assertStringIncludes(lines.at(-1)!, "# The recording ends here");
    assertEquals(recorder.calls, 10);
    assertEquals(recorder.told.lastCall?.call, "close(3) = 0");
  });

  it("refuses calls after its end", async () => {
    const { recorder, process } = await start();
    await recorder.reset();
    await assertRejects(() => process.close(3), TestIsOver);
  });
});
