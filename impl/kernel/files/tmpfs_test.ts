// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL, errnoName } from "../../uapi/errno.ts";
import {
  F_GET_SEALS,
  F_SEAL_GROW,
  MAP_SHARED,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  PROT_READ,
  SEEK_SET,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { MemoryInode } from "./memory_inode.ts";

const PATH = "/dev/shm/name";
const NEW = O_RDWR | O_CREAT | O_EXCL;

describe("Tmpfs", () => {
  it("keeps a file by its name, and tells of those that are left", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const process = kernel.spawn();
    const fd = process.open(PATH, NEW);
    process.write(fd, Uint8Array.of(1));
    process.exit();
    assertEquals(kernel.audit(), [
      "The file /dev/shm/name was left.",
      "1 page frames are still in use.",
    ]);
    const other = kernel.spawn();
    assertEquals(other.unlink(PATH), 0);
    other.exit();
    assertEquals(kernel.audit(), []);
  });

  it("is the only place that changes", () => {
    const process = new KernelCore({ memory: 2 ** 24 }).spawn();
    assertEquals(errnoName(process.unlink("/dev/null")), "EPERM");
    assertEquals(errnoName(process.open("/tmp/x", NEW)), "ENOENT");
    assertEquals(errnoName(process.open("/tmp", O_TMPFILE | O_RDWR)), "ENOENT");
  });

  it("has files without names in its directory alone", () => {
    const process = new KernelCore({ memory: 2 ** 24 }).spawn();
    const unnamed = (path: string, access = O_RDWR) =>
      errnoName(process.open(path, O_TMPFILE | access));
    process.open(PATH, NEW);
    assertEquals(unnamed(PATH), "ENOTDIR", "a file");
    assertEquals(unnamed("/dev/shm/other"), "ENOENT");
    assertEquals(unnamed("/dev/shm", O_RDONLY), "EINVAL");
    assertEquals(unnamed("/dev/shm"), "4", "control");
  });
});

describe("MemoryInode", () => {
  it("has no seals where it is in no tmpfs", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const process = kernel.spawn();
    const exe = process.open("/proc/self/exe", O_RDONLY);
    assertEquals(errnoName(process.fcntl(exe, F_GET_SEALS, 0)), "EINVAL");
    assertEquals(process.files.lookup(exe).pinnable, undefined);
    assertEquals(process.files.lookup(0).pinnable, undefined);
    const flags = MAP_SHARED;
    const addr = process.mmap(0, 1, PROT_READ, flags, exe);
    assertEquals(addr > 0, true, "nor is it sealed");
    const object = kernel.machine.createObject();
    const inode = new MemoryInode(object, { executable: true });
    const refused = assertThrows(() => inode.addSeals(F_SEAL_GROW));
    assertEquals(EINVAL.is(refused), true);
  });

  it("does not tell of holes", () => {
    const process = new KernelCore({ memory: 2 ** 24 }).spawn();
    const fd = process.memfdCreate("m", 0);
    assertEquals(errnoName(process.lseek(fd, 0, 3)), "EINVAL");
    assertEquals(errnoName(process.lseek(fd, 0.5, SEEK_SET)), "EINVAL");
  });

  it("is not given to who has exited", () => {
    const kernel = new KernelCore({ memory: 2 ** 24 });
    const [process, other] = [kernel.spawn(), kernel.spawn()];
    other.exit();
    assertEquals(errnoName(process.passFd(0, other)), "ESRCH");
  });
});
