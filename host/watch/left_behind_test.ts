// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyEngine, Kernel } from "../../mod.ts";
import * as uapi from "../../impl/uapi/mod.ts";
import { watchers } from "../calls/watcher.ts";
import { Drawing } from "./drawing.ts";
import { LeftBehind } from "./left_behind.ts";
import { WatchedProgram } from "./testing/watched_program.ts";

/** A program that maps a page for a mock device, and what watches it. */
function mapping(pin: boolean) {
  const kernel = new Kernel();
  const left = new LeftBehind();
  const drawing = new Drawing(kernel);
  const watcher = watchers([left, drawing]);
  const program = new WatchedProgram(watcher, kernel.spawn({ uid: 1000 }));
  const fd = program.open("/dev/iommu");
  program.ioctl(fd, uapi.IommuIoasAlloc);
  if (pin) {
    const op = uapi.TestMockDomain.op.number;
    program.ioctl(fd, uapi.TestCmd, { op, id: 1 });
  }
  const { userVa, length } = {
    userVa: BigInt(program.memory + 4096),
    length: 8192n,
  };
  const flags = uapi.IOMMU_IOAS_MAP_READABLE;
  program.ioctl(fd, uapi.IommuIoasMap, { ioasId: 1, flags, userVa, length });
  return { kernel, left, drawing, program, fd };
}

describe("what a program leaves behind", () => {
  it("is its objects, its areas and its pins, with who was charged", () => {
    const { kernel, left, program } = mapping(true);
    program.exit();
    assertEquals(left.report(kernel), [
      "/dev/iommu was left open with 4 objects: IOAS 1, selftest 2, device 3, HWPT 4.",
      "IOVA was mapped in 1 area: 2 pages pinned, charged to user 1000.",
    ]);
  });

  it("is an area without pins where no device is attached", () => {
    const { kernel, left, program } = mapping(false);
    program.exit();
    assertStringIncludes(left.report(kernel)[1]!, "in 1 area: no page pinned.");
  });

  it("is nothing where all was destroyed", () => {
    const { kernel, left, program, fd } = mapping(false);
    program.ioctl(fd, uapi.IommuIoasUnmap, {
      ioasId: 1,
      length: 2n ** 64n - 1n,
    });
    program.ioctl(fd, uapi.IommuDestroy, { id: 1 });
    program.exit();
    assertEquals(left.report(kernel), []);
  });

  it("is nothing where the file was closed: that destroys all", () => {
    const { kernel, left, program, fd } = mapping(true);
    program.close(fd);
    program.exit();
    assertEquals(left.report(kernel), []);
  });

  it("is what a type1 container has mapped, and not a device that is plugged in", () => {
    const kernel = new Kernel({ vfioContainer: "type1" });
    kernel.addPciDevice(new CopyEngine());
    const report = (clean: boolean) => {
      const left = new LeftBehind();
      const program = new WatchedProgram(left, kernel.spawn());
      const container = program.open("/dev/vfio/vfio");
      const group = program.open("/dev/vfio/0");
      program.process.poke(program.memory, Uint8Array.of(container, 0, 0, 0));
      program.ioctlAt(group, uapi.VFIO_GROUP_SET_CONTAINER, program.memory);
      program.ioctlAt(container, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1_IOMMU);
      const flags = uapi.VFIO_DMA_MAP_FLAG_READ;
      const vaddr = BigInt(program.memory + 4096);
      const dma = { flags, vaddr, iova: 0n, length: 8192n };
      const { ret } = program.ioctl(container, uapi.VfioIommuType1DmaMap, dma);
      assertEquals(ret, 0);
      const unmap = { iova: 0n, length: 8192n };
      if (clean) {
        program.ioctl(container, uapi.VfioIommuType1DmaUnmap, unmap);
      }
      program.exit();
      return left.report(kernel);
    };
    assertEquals(report(false), [
      "/dev/vfio/vfio was left open with 1 mapping, 8 KiB.",
    ]);
    assertEquals(report(true), []);
  });

  it("is what the kernel warned about, and who did not exit", () => {
    const { kernel, left } = mapping(false);
    kernel.warnings.on(true, "a page is lost");
    const report = left.report(kernel);
    assertStringIncludes(report[0]!, "The kernel warned: a page is lost.");
    assertStringIncludes(report[1]!, "Process 1 has not exited.");
  });
});

describe("the drawing", () => {
  it("is of the state that the last call left, when all files are closed", () => {
    const { drawing, program } = mapping(true);
    program.exit();
    assertStringIncludes(
      drawing.text(),
      "context 1 (process 1 fd 3): 4 objects",
    );
  });

  it("is of the state that the last call left, when several files are closed", () => {
    const { drawing, program } = mapping(true);
    program.open("/dev/iommu");
    program.exit();
    assertStringIncludes(drawing.text(), "2 contexts");
  });

  it("is of the state of now before that", () => {
    const { drawing, program, fd } = mapping(true);
    program.close(fd);
    program.open("/dev/iommu");
    assertStringIncludes(
      drawing.text(),
      "context 1 (process 1 fd 3): 0 objects",
    );
  });
});
