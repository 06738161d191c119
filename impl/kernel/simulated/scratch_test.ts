// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../../uapi/mman.ts";
import { MMAP_BASE } from "./mappings/address_space.ts";
import { KernelCore } from "../core.ts";
import { File } from "../files/file.ts";
import type { Process } from "./process.ts";
import { SCRATCH_MAX } from "./scratch.ts";
import { SegmentationFault } from "../interfaces/process_memory.ts";

/** A device whose ioctl is given by the test. */
class TestDevice extends File {
  handler: (process: Process, arg: number) => number = () => 0;
  override ioctl(process: Process, _cmd: number, arg: number | bigint): number {
    return this.handler(process, Number(arg));
  }
}

function setup() {
  const kernel = new KernelCore({ memory: 2 ** 26 });
  const device = new TestDevice();
  kernel.registerDevice("/dev/test", () => device.get());
  const process = kernel.spawn();
  return { kernel, device, process, fd: process.open("/dev/test") };
}

describe("a struct passed by value", () => {
  for (const length of [0, 1, 40, 4096, 5000, 100_000]) {
    it(`of ${length} bytes ends right before an unmapped page`, () => {
      const { device, process, fd } = setup();
      const bytes = Uint8Array.from({ length }, (_, i) => i);
      device.handler = (process, arg) => {
        assertEquals(process.peek(arg, length), bytes);
        assertThrows(() => process.peek(arg + length, 1), SegmentationFault);
        assertThrows(() => process.peek(arg, length + 1), SegmentationFault);
        process.poke(arg, new Uint8Array(length).fill(7));
        return 5;
      };
      assertEquals(process.ioctlStruct(fd, 1, bytes), 5);
      assertEquals(bytes, new Uint8Array(length).fill(7));
    });
  }

  it("grows and shrinks from call to call, in a child too", () => {
    const { device, process, fd } = setup();
    const child = process.fork();
    for (const who of [process, child, process.fork()]) {
      for (const length of [40, 9000, 8, 9000]) {
        const bytes = new Uint8Array(length).fill(3);
        device.handler = (process, arg) => process.peek(arg, length).length;
        assertEquals(who.ioctlStruct(fd, 1, bytes), length);
        assertEquals(bytes, new Uint8Array(length).fill(3));
      }
    }
  });

  it("is not touched by a call within the call", () => {
    const { device, process, fd } = setup();
    let level = 0;
    device.handler = (process, arg) => {
      level++;
      if (level < 3) {
        const inner = new Uint8Array(8).fill(level + 10);
        assertEquals(process.ioctlStruct(fd, 1, inner), 0);
      }
      assertThrows(() => process.peek(arg + 8, 1), SegmentationFault);
      return 0;
    };
    const bytes = new Uint8Array(8).fill(1);
    assertEquals(process.ioctlStruct(fd, 1, bytes), 0);
    assertEquals(bytes, new Uint8Array(8).fill(1));
  });

  it("does not move the caller's mappings", () => {
    const { process, fd } = setup();
    process.ioctlStruct(fd, 1, new Uint8Array(8));
    const addr = process.mmap(0, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
    assertEquals(addr, MMAP_BASE - 4096);
  });

  it("has a largest size", () => {
    const { process, fd } = setup();
    const most = new Uint8Array(SCRATCH_MAX);
    assertEquals(process.ioctlStruct(fd, 1, most), 0);
    const more = new Uint8Array(SCRATCH_MAX + 1);
    assertEquals(errnoName(process.ioctlStruct(fd, 1, more)), "ENOMEM");
  });

  it("cannot be where the process has memory of its own, or no more fits", () => {
    const { kernel, process, fd } = setup();
    const args = [PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED] as const;
    const top = TASK_SIZE - 2 * PAGE_SIZE;
    assertEquals(process.mmap(top, PAGE_SIZE, ...args), top);
    const call = () => errnoName(process.ioctlStruct(fd, 1, new Uint8Array(8)));
    assertEquals(call(), "ENOMEM");
    process.munmap(top, PAGE_SIZE);
    assertEquals(call(), "0");
    process.munmap(top, PAGE_SIZE);
    const pages = kernel.frames.count;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const rest = (pages - 1 - kernel.frames.used) * PAGE_SIZE;
    const all = process.mmap(0, rest, PROT_READ | PROT_WRITE, flags);
    process.poke(all, new Uint8Array(rest));
    assertEquals(call(), "ENOMEM", "no frame is left");
  });

  it("is not needed for a bad address", () => {
    const { device, process, fd } = setup();
    device.handler = (process, arg) => {
      process.mm.copyFromUser(new Uint8Array(4), arg);
      return 0;
    };
    for (const arg of [0, -1, 2n ** 64n - 1n, -1n, TASK_SIZE]) {
      assertEquals(errnoName(process.ioctl(fd, 1, arg)), "EFAULT");
    }
  });
});
