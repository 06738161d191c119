// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine, Kernel } from "../../mod.ts";
import * as uapi from "../../impl/uapi/mod.ts";
import { O_CLOEXEC, O_RDWR } from "../../impl/uapi/mman.ts";
import { Log } from "./log.ts";
import { WatchedProgram } from "./testing/watched_program.ts";

/** A program, and the lines that are logged of it, without its pid. */
function logged(kernel = new Kernel()) {
  const lines: string[] = [];
  const log = new Log((line) => lines.push(line.trimEnd()));
  const program = new WatchedProgram(log, kernel.spawn());
  const text = () => lines.map((line) => line.replace(/^\[pid \d+\] /, ""));
  return { program, lines, text, log };
}

describe("the log", () => {
  it("has a line for each call, with its pid", () => {
    const { program, lines } = logged();
    const fd = program.open("/dev/iommu", O_RDWR | O_CLOEXEC);
    program.ioctl(fd, uapi.IommuIoasAlloc);
    program.exit(3);
    const ioctl = "IOMMU_IOAS_ALLOC, {flags=0x0} => {out_ioas_id=1}";
    assertEquals(lines, [
      `[pid 1] openat(AT_FDCWD, "/dev/iommu", O_RDWR|O_CLOEXEC) = 3</dev/iommu>`,
      `[pid 1] ioctl(3</dev/iommu>, ${ioctl}) = 0`,
      "+++ /dev/iommu is closed +++",
      "[pid 1] +++ exited with 3 +++",
    ]);
  });

  it("names flags, and shows what comes back", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuIoasAlloc);
    const map = { ioasId: 1, userVa: 0x10000n, length: 4096n };
    const flags = uapi.IOMMU_IOAS_MAP_READABLE;
    program.ioctl(fd, uapi.IommuIoasMap, { ...map, flags });
    assertStringIncludes(
      text().at(-1)!,
      "IOMMU_IOAS_MAP, {flags=0x4 (READABLE), ioas_id=1, user_va=0x10000, length=0x1000, iova=0x0} => {iova=0x",
    );
  });

  it("says why a call failed, in the words of the model", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuDestroy, { id: 7 });
    const { lastErrno } = program.process.kernel;
    const why = `{id=7}) = -1 ENOENT (${lastErrno!.why()})`;
    assertEquals(text().at(-1), `ioctl(3</dev/iommu>, IOMMU_DESTROY, ${why}`);
    assertEquals(lastErrno!.why() === uapi.ENOENT.message, false);
  });

  it("does not explain a failure with the reason of another", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuDestroy, { id: 7 });
    program.call("close", [9], undefined, () => -uapi.ENOENT.code);
    assertEquals(text().at(-1), "close(9) = -1 ENOENT (nothing there)");
  });

  it("shows the structs that a pointer leads to, on their way in and out", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuIoasAlloc);
    const at = program.memory + 4096;
    const range = uapi.IommuIovaRange.encode({ start: 0n, last: 0xfffn });
    program.process.poke(at, range);
    const ranges = { ioasId: 1, numIovas: 1, allowedIovas: BigInt(at) };
    program.ioctl(fd, uapi.IommuIoasAllowIovas, ranges);
    assertStringIncludes(text().at(-1)!, "[{start=0x0, last=0xfff}]}) = 0");
    program.ioctl(fd, uapi.IommuIoasIovaRanges, ranges);
    const all = "[{start=0x0, last=0xffffffffffffffff}]";
    const [passed, answered] = text().at(-1)!.split(" => ");
    assertStringIncludes(answered!, all);
    assertEquals(passed!.includes("start="), false);
  });

  it("names the operation of the test ioctl", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuIoasAlloc);
    const op = uapi.TestMockDomain.op.number;
    program.ioctl(fd, uapi.TestCmd, { op, id: 1 });
    assertStringIncludes(
      text().at(-1)!,
      "IOMMU_TEST_CMD MOCK_DOMAIN, {op=2, id=1}",
    );
    assertStringIncludes(text().at(-1)!, "} => {out_stdev_id=2, ");
  });

  it("shows an argument that is no struct, and an ioctl that nobody knows", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/vfio/vfio");
    program.ioctlAt(fd, uapi.VFIO_CHECK_EXTENSION, uapi.VFIO_TYPE1v2_IOMMU);
    assertStringIncludes(
      text().at(-1)!,
      "VFIO_CHECK_EXTENSION, 3 (TYPE1v2)) = ",
    );
    program.ioctlAt(fd, 0x3bff, 0x5000);
    assertStringIncludes(text().at(-1)!, ", 0x3bff, 0x5000) = -1 ENOTTY (");
  });

  it("names what the files of VFIO devices and groups are asked, with what follows", () => {
    const kernel = new Kernel({ vfioContainer: "type1" });
    kernel.addPciDevice(new CopyEngine());
    const { program, text } = logged(kernel);
    const { memory, process } = program;
    const last = () => text().at(-1)!;
    const container = program.open("/dev/vfio/vfio");
    const group = program.open("/dev/vfio/0");
    process.poke(memory, Uint8Array.of(container, 0, 0, 0));
    program.ioctlAt(group, uapi.VFIO_GROUP_SET_CONTAINER, memory);
    assertStringIncludes(last(), "VFIO_GROUP_SET_CONTAINER, [3]) = 0");
    program.ioctlAt(container, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1_IOMMU);
    process.poke(memory, new TextEncoder().encode("0000:00:04.0\0"));
    const { VFIO_GROUP_GET_DEVICE_FD } = uapi;
    const device = program.ioctlAt(group, VFIO_GROUP_GET_DEVICE_FD, memory);
    assertStringIncludes(last(), `GET_DEVICE_FD, "0000:00:04.0") = ${device}`);
    process.poke(memory + 20, Uint8Array.of(5, 0, 0, 0, 255, 255, 255, 255));
    program.ioctl(device, uapi.VfioIrqSet, {
      argsz: 28,
      flags: uapi.VFIO_IRQ_SET_DATA_EVENTFD,
      index: uapi.VFIO_PCI_MSIX_IRQ_INDEX,
      count: 2,
    });
    assertStringIncludes(last(), "count=2} [5, -1]) = -1");
    process.poke(memory + 8, Uint8Array.of(0xab, 0xcd));
    program.ioctl(device, uapi.VfioDeviceFeature, { argsz: 10, flags: 0 });
    assertStringIncludes(last(), `VFIO_DEVICE_FEATURE, {argsz=10,`);
    assertStringIncludes(last(), `} "abcd") = -1`);
    program.ioctlAt(container, uapi.VFIO_DEVICE_FEATURE, 0);
    assertStringIncludes(last(), "VFIO_IOMMU_DIRTY_PAGES");
  });

  it("shows the address of a struct that cannot be read", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctlAt(fd, uapi.IOMMU_DESTROY, 0x10);
    assertStringIncludes(text().at(-1)!, "IOMMU_DESTROY, 0x10) = -1 EFAULT (");
  });

  it("says that a size or a reserved field is not as it should be", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.ioctl(fd, uapi.IommuIoasMap, { size: 4 });
    assertStringIncludes(
      text().at(-1)!,
      "IOMMU_IOAS_MAP, {size=4}) = -1 EINVAL",
    );
    program.ioctl(fd, uapi.IommuIoasMap, { reserved: 1 });
    assertStringIncludes(text().at(-1)!, "__reserved=1");
  });

  it("tells processes and threads apart", () => {
    const { program, lines, log } = logged();
    const child = program.process.fork() as typeof program.process;
    log.began(child, program.process);
    program.call("close", [3], "/dev/iommu", () => 0, 99);
    const name = "ioctl";
    const call = { process: child, tid: 2, name, args: [3], path: undefined };
    log.enter(call);
    log.leave(call, 0);
    log.exec(child, "/bin/true");
    log.ended(child, 11);
    assertEquals(lines, [
      "[pid 1 thread 99] close(3</dev/iommu>) = 0",
      "[pid 2] +++ forked by 1 +++",
      "[pid 2] ioctl(3, 0x0, 0) = 0",
      '[pid 2] +++ runs "/bin/true" +++',
      "[pid 2] +++ killed by SIGSEGV +++",
    ]);
  });

  it("does not tell of processes that make no call", () => {
    const { program, lines, log } = logged();
    const { kernel } = program.process;
    const [shell, client] = [kernel.spawn(), kernel.spawn()];
    log.began(shell, program.process);
    log.exec(shell, "/bin/sh");
    log.ended(shell, 0);
    log.began(client, program.process);
    log.exec(client, "/bin/sh");
    log.exec(client, "/bin/client");
    const name = "close";
    const call = { process: client, tid: 3, name, args: [3], path: undefined };
    log.enter(call);
    log.leave(call, 0);
    assertEquals(lines, [
      '[pid 3] +++ runs "/bin/client" +++',
      "[pid 3] close(3) = 0",
    ]);
  });

  it("shows what is read and written, and how memory is mapped", () => {
    const { program, text } = logged();
    const { memory, process } = program;
    process.poke(memory, Uint8Array.of(0xab, 0xcd));
    const path = "event queue";
    program.call("write", [4, memory, 2], path, () => 2);
    program.call("read", [4, memory, 64], path, () => -uapi.EAGAIN.code);
    program.call(
      "mmap",
      [0, 4096, 3, 0x100001, 3, 0],
      "/dev/iommu",
      () => 4096,
    );
    program.call("uname", [4096], undefined, () => 0);
    assertEquals(text(), [
      `write(4<event queue>, "abcd", 2) = 2`,
      `read(4<event queue>, 0x${
        memory.toString(16)
      }, 64) = -1 EAGAIN (try again)`,
      "mmap(0, 0x1000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED_NOREPLACE, 3</dev/iommu>, 0) = 0x1000",
      "uname(0x1000) = 0",
    ]);
  });

  it("tells what the kernel warned about meanwhile", () => {
    const { program, lines } = logged();
    const { kernel } = program.process;
    program.call("close", [3], undefined, () => {
      kernel.warnings.on(true, "a page is lost");
      return 0;
    });
    assertEquals(
      lines.at(-1),
      "[pid 1] +++ the kernel warns: a page is lost +++",
    );
  });

  it("changes nothing: a step that is to fail fails where it would", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    program.process.setFailNth(2);
    program.ioctl(fd, uapi.IommuIoasAlloc);
    assertStringIncludes(
      text().at(-1)!,
      "fail_nth made the step object.alloc fail",
    );
  });
});

describe("a program that is about to go", () => {
  it("is told of as far as that can be: it has no memory any more", () => {
    const { program, text } = logged();
    const fd = program.open("/dev/iommu");
    Object.defineProperty(program.process, "mm", {
      get() {
        throw uapi.ESRCH;
      },
    });
    const { IOMMU_DESTROY } = uapi;
    program.call("ioctl", [fd, IOMMU_DESTROY, 4096], "/dev/iommu", () => 0);
    program.call("write", [fd, 4096, 8], "/dev/iommu", () => 8);
    assertEquals(text().slice(1), [
      "ioctl(3</dev/iommu>, IOMMU_DESTROY, 0x1000) = 0",
      "write(3</dev/iommu>, 0x1000, 8) = 8",
    ]);
  });
});
