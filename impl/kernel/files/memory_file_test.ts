// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import {
  HPAGE_SIZE,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_CLOEXEC,
  MFD_HUGETLB,
  O_RDONLY,
  O_RDWR,
  PAGE_SIZE,
  POLLIN,
  POLLOUT,
  PROT_READ,
  PROT_WRITE,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import type { Process } from "../simulated/process.ts";

const RW = PROT_READ | PROT_WRITE;

function spawn(): Process {
  return new KernelCore({ memory: 2 ** 26 }).spawn();
}

describe("memfd", () => {
  it("is one memory for mappings and for read and write", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", MFD_CLOEXEC);
    assertEquals(process.write(fd, Uint8Array.of(1, 2, 3)), 3);
    assertEquals(process.write(fd, Uint8Array.of(4)), 1);
    const addr = process.mmap(0, PAGE_SIZE, RW, MAP_SHARED, fd);
    assertEquals([...process.peek(addr, 5)], [1, 2, 3, 4, 0]);
    process.poke(addr + 1, Uint8Array.of(9));
    const again = process.open("/dev/null");
    assertEquals(again > fd, true);
    const bytes = new Uint8Array(10);
    assertEquals(process.read(fd, bytes), 0, "the position is at the end");
  });

  it("lets every descriptor of one open file share its position", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", 0);
    process.ftruncate(fd, 10);
    const bytes = new Uint8Array(6);
    assertEquals(process.read(fd, bytes), 6);
    assertEquals(process.read(process.dup(fd), bytes), 4);
    assertEquals(process.poll(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
  });

  it("lives as long as a descriptor or a mapping", () => {
    const process = spawn();
    const { frames } = process.kernel;
    const fd = process.memfdCreate("m", 0);
    process.write(fd, new Uint8Array(PAGE_SIZE));
    const addr = process.mmap(0, PAGE_SIZE, RW, MAP_SHARED, fd);
    process.close(fd);
    assertEquals(frames.used > 0, true);
    const used = frames.used;
    process.munmap(addr, PAGE_SIZE);
    assertEquals(frames.used, used - 1);
  });

  it("moves long data in pieces and stops at a bad address", () => {
    const process = spawn();
    const fd = process.memfdCreate("m", 0);
    const length = 50 * PAGE_SIZE;
    const addr = process.mmap(0, length, RW, MAP_PRIVATE | MAP_ANONYMOUS);
    const bytes = Uint8Array.from({ length }, (_, i) => i >> 9);
    process.poke(addr, bytes);
    assertEquals(process.writeFrom(fd, addr, length), length);
    const file = process.mmap(0, length, PROT_READ, MAP_SHARED, fd);
    assertEquals(process.peek(file, length), bytes);
    const cut = addr + 40 * PAGE_SIZE;
    process.munmap(cut, 10 * PAGE_SIZE);
    assertEquals(process.writeFrom(fd, addr, length), 32 * PAGE_SIZE);
    assertEquals(errnoName(process.writeFrom(fd, cut, 1)), "EFAULT");
  });

  it("of huge pages can be read but not written", () => {
    const process = spawn();
    const fd = process.memfdCreate("h", MFD_HUGETLB | (21 << 26));
    assertEquals(process.ftruncate(fd, HPAGE_SIZE), 0);
    assertEquals(errnoName(process.ftruncate(fd, PAGE_SIZE)), "EINVAL");
    assertEquals(errnoName(process.write(fd, new Uint8Array(1))), "EINVAL");
    assertEquals(process.read(fd, new Uint8Array(3)), 3);
  });

  it("refuses bad flags, names and lengths", () => {
    const process = spawn();
    const rows: [string, string, number][] = [
      ["EINVAL", "m", 0x100],
      ["EINVAL", "m", NaN],
      ["EINVAL", "m", 21 << 26],
      ["ENODEV", "m", MFD_HUGETLB | (29 << 26)],
      ["EINVAL", "m".repeat(250), 0],
      ["EINVAL", "m", 8 | 16],
      ["3", "m".repeat(249), 2 | 8],
    ];
    for (const [expected, name, flags] of rows) {
      assertEquals(errnoName(process.memfdCreate(name, flags)), expected);
    }
    for (const length of [-1, 0.5, NaN, 2 ** 60]) {
      assertEquals(errnoName(process.ftruncate(3, length)), "EINVAL");
    }
    assertEquals(process.ftruncate(3, 2 ** 40), 0, "a hole costs nothing");
    assertEquals(errnoName(process.ftruncate(99, 1)), "EBADF");
    assertEquals(errnoName(process.ftruncate(0, 1)), "EINVAL");
  });
});

describe("/proc/self/exe", () => {
  it("is one page cache for all who open it, gone with the last", () => {
    const process = spawn();
    const { frames } = process.kernel;
    const fds = [1, 2].map(() => process.open("/proc/self/exe", O_RDONLY));
    const [first, second] = fds.map((fd) =>
      process.mmap(0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd)
    );
    assertEquals(process.mm.userPage(first!), process.mm.userPage(second!));
    for (const fd of fds) process.close(fd);
    assertEquals([...process.peek(first!, 4)], [0x7f, 0x45, 0x4c, 0x46]);
    assertEquals(frames.used > 0, true);
    process.munmap(first!, PAGE_SIZE);
    process.munmap(second!, PAGE_SIZE);
    assertEquals(frames.used, 0);
    assertEquals(process.open("/proc/self/exe", O_RDONLY) >= 0, true);
  });

  it("cannot be written", () => {
    const process = spawn();
    const open = () => errnoName(process.open("/proc/self/exe", O_RDWR));
    assertEquals(open(), "ETXTBSY");
    const fd = process.open("/proc/self/exe", O_RDONLY);
    assertEquals(errnoName(process.write(fd, new Uint8Array(1))), "EBADF");
    assertEquals(errnoName(process.ftruncate(fd, 0)), "EINVAL");
    const byte = new Uint8Array(1);
    assertEquals([process.read(fd, byte), byte[0]], [1, 0x7f]);
    assertEquals(process.setuid(1), 0);
    assertEquals(open(), "EACCES");
  });
});
