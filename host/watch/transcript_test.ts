// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ModelServer } from "../../conformance/agents/model_agent.ts";
import { CopyEngine, Kernel } from "../../mod.ts";
import * as uapi from "../../impl/uapi/mod.ts";
import * as mman from "../../impl/uapi/mman.ts";
import { Transcript } from "./transcript.ts";
import { WatchedProgram } from "./testing/watched_program.ts";

/** The transcript of a program. */
function transcriptOf(
  body: (program: WatchedProgram, transcript: Transcript) => void,
  kernel = new Kernel(),
): string {
  const transcript = new Transcript(kernel.revision.name);
  const process = kernel.spawn({ uid: 1000 });
  const program = new WatchedProgram(transcript, process);
  body(program, transcript);
  program.exit();
  return transcript.text(["program test"]);
}

/** The requests to which the model does not give the recorded replies. */
function differences(text: string): string[] {
  const server = new ModelServer();
  const lines = text.split("\n").filter((line) => /^[<>]/.test(line));
  const found: string[] = [];
  for (let i = 0; i < lines.length; i += 2) {
    const { reply } = server.answer(lines[i]!.slice(2));
    const isHello = lines[i]!.includes("hello");
    if (!isHello && `< ${reply}` !== lines[i + 1]) {
      found.push(`${lines[i]}: ${reply} instead of ${lines[i + 1]}`);
    }
  }
  return found;
}

/** Maps a page for a mock device, and asks for IOVA ranges. */
function client(program: WatchedProgram): void {
  const fd = program.open("/dev/iommu", mman.O_RDWR | mman.O_CLOEXEC);
  program.ioctl(fd, uapi.IommuIoasAlloc);
  const op = uapi.TestMockDomain.op.number;
  program.ioctl(fd, uapi.TestCmd, { op, id: 1 });
  program.ioctl(fd, uapi.IommuIoasMap, {
    ioasId: 1,
    flags: uapi.IOMMU_IOAS_MAP_READABLE,
    userVa: BigInt(program.memory + 4096),
    length: 8192n,
  });
  program.ioctl(fd, uapi.IommuIoasIovaRanges, {
    ioasId: 1,
    numIovas: 4,
    allowedIovas: BigInt(program.memory + 512),
  });
  program.ioctl(fd, uapi.IommuDestroy, { id: 77 });
  program.ioctlAt(fd, uapi.IOMMU_DESTROY, 0x10);
  program.ioctl(fd, uapi.IommuIoasMap, {
    ioasId: 1,
    flags: uapi.IOMMU_IOAS_MAP_READABLE,
    userVa: 0x10000n,
    length: 4096n,
  });
}

describe("the transcript of a program", () => {
  it("gets the same replies from the model again", () => {
    const text = transcriptOf(client);
    assertEquals(differences(text), []);
    assertStringIncludes(text, "# program test\n");
    assertStringIncludes(text, "> 6 1 ioctl 3 ");
    for (const part of ["spawn", "1 setuid 1000", "1 open ", "1 peek 0x"]) {
      assertStringIncludes(text, part);
    }
    assert(text.split("\n").filter((line) => line.startsWith(">")).length > 12);
  });

  it("is noticed to differ where a reply does", () => {
    const text = transcriptOf(client);
    const other = text.replace(/^(< \d+ ok) -2 /m, "$1 -22 ");
    assert(other !== text);
    assertEquals(differences(other).length, 1);
  });

  it("has the descriptors that an ioctl gave, by the numbers they have then", () => {
    const text = transcriptOf((program) => {
      for (let i = 0; i < 5; i++) program.process.open("/dev/null");
      const fd = program.open("/dev/iommu");
      const { struct } = program.ioctl(fd, uapi.IommuFaultAlloc);
      const { outFaultFd } = struct;
      const count = program.memory + 512;
      program.call(
        "read",
        [outFaultFd, count, 64],
        "fault",
        () => program.process.readTo(outFaultFd, count, 64),
      );
    });
    assertStringIncludes(text, "> 7 1 read 4 64\n");
    assertEquals(differences(text), []);
  });

  it("has children, and what exec closes", () => {
    const text = transcriptOf((program, transcript) => {
      const fd = program.open("/dev/iommu", mman.O_RDWR | mman.O_CLOEXEC);
      program.ioctl(fd, uapi.IommuIoasAlloc);
      const child = program.process.fork() as typeof program.process;
      transcript.began(child, program.process);
      child.exec();
      transcript.exec(child);
      child.exit();
      transcript.ended(child);
    });
    assertStringIncludes(text, " 1 fork\n");
    assertStringIncludes(text, " 2 exec\n");
    assertEquals(/2 close/.test(text), false);
    assertEquals(differences(text), []);
  });

  it("says how many calls it left out", () => {
    const text = transcriptOf((program) => {
      program.call("poll", [1, 2, 3], undefined, () => 0);
      program.open("/sys/kernel");
    });
    assertStringIncludes(text, "no words for it: 1 poll, 1 openat\n");
    assertEquals(differences(text), []);
  });

  it("leaves out what is told by descriptors that are no struct's", () => {
    const kernel = new Kernel();
    kernel.addPciDevice(new CopyEngine());
    const transcript = new Transcript(kernel.revision.name);
    const program = new WatchedProgram(transcript, kernel.spawn());
    const iommufd = program.open("/dev/iommu");
    const device = program.open("/dev/vfio/devices/vfio0");
    program.ioctl(device, uapi.VfioDeviceBindIommufd, { iommufd });
    const flags = uapi.VFIO_IRQ_SET_DATA_EVENTFD;
    const irqs = { argsz: 24, flags, index: 2, count: 1 };
    program.ioctl(device, uapi.VfioIrqSet, irqs);
    const group = program.open("/dev/vfio/0");
    program.ioctlAt(group, uapi.VFIO_GROUP_SET_CONTAINER, program.memory);
    program.exit();
    const text = transcript.text([]);
    assertStringIncludes(text, "1 VFIO_DEVICE_SET_IRQS");
    assertEquals(/ioctl \d+ 0x3b6e/.test(text), false);
    assertStringIncludes(text, " 0x3b76 ");
  });

  it("makes the same step fail", () => {
    const kernel = new Kernel();
    const transcript = new Transcript(kernel.revision.name, 9);
    const process = kernel.spawn();
    process.setFailNth(9);
    const program = new WatchedProgram(transcript, process);
    client(program);
    program.exit();
    const text = transcript.text([]);
    assertStringIncludes(text, " failnth 9\n");
    assertEquals(differences(text), []);
  });

  it("is of a program that is about to go too, as far as that can be", () => {
    const kernel = new Kernel();
    const transcript = new Transcript(kernel.revision.name);
    const process = kernel.spawn();
    for (const name of ["user", "mm"]) {
      Object.defineProperty(process, name, {
        get() {
          throw uapi.ESRCH;
        },
      });
    }
    transcript.began(process, undefined);
    const args = [3, uapi.IOMMU_DESTROY, 4096];
    const seen = { process, tid: 1, name: "ioctl", args, path: undefined };
    transcript.enter(seen);
    transcript.leave(seen, 0);
    transcript.ended(process);
    assertStringIncludes(
      transcript.text([]),
      "no words for it: 1 IOMMU_DESTROY\n",
    );
  });
});
