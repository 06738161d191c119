// SPDX-License-Identifier: GPL-2.0-only

/**
 * What happens when simulated memory is used up: a call says so with an errno,
 * at whatever page it runs out, and nothing is left behind.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Kernel } from "../kernel.ts";
import type { Process } from "../kernel/simulated/process.ts";
import { SCRATCH_MAX } from "../kernel/simulated/scratch.ts";
import { ENOMEM } from "../uapi/errno.ts";
import { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } from "../uapi/iommufd.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  O_RDONLY,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  TASK_SIZE,
} from "../uapi/mman.ts";
import { IommufdClient } from "./client.ts";
import { IommufdError } from "./error.ts";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

/** A machine of 2 MiB where all but `left` frames are taken, by a process that exits at the end. */
function shortOf(left: number): { kernel: Kernel; process: Process } {
  const kernel = new Kernel({ memory: 2 ** 21 });
  const process = kernel.spawn();
  const hog = kernel.spawn();
  const length = (511 - left) * PAGE_SIZE;
  if (length > 0) {
    const at = hog.mmap(0, length, RW, MAP_SHARED | MAP_ANONYMOUS);
    hog.poke(at, new Uint8Array(length).fill(1));
  }
  return { kernel, process };
}

function end(kernel: Kernel): void {
  for (const process of [...kernel.processes]) process.exit();
  assertEquals(kernel.audit(), []);
}

/** What a client does with buffers of some pages; the name of what failed, "" if nothing did. */
function useClient(process: Process): string {
  try {
    using iommufd = IommufdClient.open(process);
    const { ioasId } = iommufd.ioasAlloc();
    const { idevId } = iommufd.mock.mockDomain({ ptId: ioasId });
    const { hwptId } = iommufd.hwpt.alloc({
      devId: idevId!,
      ptId: ioasId,
      flags: IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
    });
    const ranges = Array.from(
      { length: 600 },
      (_, i) => ({ start: 2 ** 24 + 8192 * i, last: 2 ** 24 + 8192 * i + 99 }),
    );
    iommufd.ioasAllowIovas({ ioasId, ranges });
    iommufd.ioasIovaRanges(ioasId);
    iommufd.hwpt.getHwInfo(idevId!);
    iommufd.hwpt.getDirtyBitmap({
      hwptId,
      iova: 2 ** 24,
      length: 2 ** 24,
      pageSize: 2048,
    });
    return "";
  } catch (error) {
    assert(error instanceof IommufdError, String(error));
    return error.call;
  }
}

describe("memory that is used up", () => {
  it("is an errno of whatever call a process makes", () => {
    const seen = new Set<number>();
    for (let left = 0; left < 24; left++) {
      const { kernel, process } = shortOf(left);
      const buffer = process.mmap(0, 8 * PAGE_SIZE, RW, ANON);
      const memfd = process.memfdCreate("m", 0);
      const pipe = process.pipe();
      const exe = process.open("/proc/self/exe", O_RDONLY);
      const bytes = new Uint8Array(4 * PAGE_SIZE);
      for (
        const ret of [
          exe,
          process.ioctlStruct(process.open("/dev/iommu"), 0x3b81, bytes),
          process.write(memfd, bytes),
          process.read(memfd, bytes),
          process.read(exe, bytes),
          process.write(pipe.writeFd, bytes),
          process.read(pipe.readFd, bytes),
          process.writeFrom(pipe.writeFd, buffer, 100),
          process.readTo(pipe.readFd, buffer, 100),
          process.madvise(buffer, 8 * PAGE_SIZE, 23),
          process.mmap(0, 4 * PAGE_SIZE, RW, ANON | 0x8000),
          process.write(process.eventfd(0, 0), new Uint8Array(8)),
        ]
      ) seen.add(ret);
      process.exit();
      end(kernel);
    }
    assert(seen.has(-ENOMEM.code));
  });

  it("is an IommufdError of whatever a client does", () => {
    const failed = new Set<string>();
    for (let left = 0; left < 24; left++) {
      const { kernel, process } = shortOf(left);
      failed.add(useClient(process));
      end(kernel);
    }
    assertEquals([...failed], ["IOMMU_IOAS_ALLOC", "madvise", ""]);
  });

  it("leaves no half of a file's cache behind", () => {
    const { kernel, process } = shortOf(8);
    const open = () => process.open("/proc/self/exe", O_RDONLY);
    assertEquals([open(), open()], [-ENOMEM.code, -ENOMEM.code]);
    assertEquals(kernel.frames.used, 511 - 8);
    end(kernel);
  });

  it("ends a write to a file where it ran out", () => {
    const { kernel, process } = shortOf(10);
    const memfd = process.memfdCreate("m", 0);
    const at = process.mmap(0, 5 * PAGE_SIZE, RW, ANON);
    process.poke(at, new Uint8Array(5 * PAGE_SIZE).fill(7));
    const length = 5 * PAGE_SIZE;
    assertEquals(process.writeFrom(memfd, at, length), length);
    assertEquals(process.writeFrom(memfd, at, length), -ENOMEM.code);
    process.madvise(at + 3 * PAGE_SIZE, 2 * PAGE_SIZE, 4);
    assertEquals(process.writeFrom(memfd, at, length), 2 * PAGE_SIZE);
    const file = process.mmap(0, 8 * PAGE_SIZE, RW, MAP_SHARED, memfd);
    assertEquals(process.peek(file + 7 * PAGE_SIZE - 1, 1)[0], 7);
    end(kernel);
  });
});

describe("memory of the process where a struct by value is placed", () => {
  /** Maps `length` bytes that end where the guard page begins. */
  function mapThere(
    process: Process,
    length: number,
    prot: number,
    flags: number,
    fd = -1,
  ): void {
    const at = TASK_SIZE - PAGE_SIZE - length;
    assertEquals(process.mmap(at, length, prot, flags | MAP_FIXED, fd), at);
  }

  it("is left alone: the call cannot be made", () => {
    const kernel = new Kernel({ memory: 2 ** 22 });
    const process = kernel.spawn();
    const fd = process.open("/dev/iommu");
    const memfd = process.memfdCreate("short", 0);
    mapThere(process, PAGE_SIZE, RW, MAP_SHARED, memfd);
    const call = () => process.ioctlStruct(fd, 0x3b81, Uint8Array.of(12, 0));
    assertEquals(call(), -ENOMEM.code, "a file that is too short");
    mapThere(process, PAGE_SIZE, PROT_READ, ANON);
    assertEquals(call(), -ENOMEM.code, "read-only memory");
    assertEquals(process.read(0, new Uint8Array(9)), -ENOMEM.code);
    assertEquals(process.write(0, new Uint8Array(9)), -ENOMEM.code);
    mapThere(process, SCRATCH_MAX, RW, ANON);
    process.munmap(TASK_SIZE - PAGE_SIZE - SCRATCH_MAX, SCRATCH_MAX);
    assertEquals(process.read(0, new Uint8Array(9)), 0, "control: none");
    process.exit();
    assertEquals(kernel.audit(), []);
  });
});
