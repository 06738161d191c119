// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import {
  O_NONBLOCK,
  POLLERR,
  POLLIN,
  POLLOUT,
  SEEK_SET,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { EFD_SEMAPHORE } from "./eventfd.ts";
import type { Process } from "../simulated/process.ts";

function spawn(): Process {
  return new KernelCore({ memory: 2 ** 24 }).spawn();
}

/** Writes a u64; returns the result. */
function add(process: Process, fd: number, value: bigint): string {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return errnoName(process.write(fd, bytes));
}

/** Reads a u64, or the name of the errno. */
function take(process: Process, fd: number): bigint | string {
  const bytes = new Uint8Array(8);
  const ret = process.read(fd, bytes);
  return ret === 8
    ? new DataView(bytes.buffer).getBigUint64(0, true)
    : errnoName(ret);
}

describe("eventfd", () => {
  it("adds what is written and gives it back at once", () => {
    const process = spawn();
    const fd = process.eventfd(5, 0);
    assertEquals(add(process, fd, 3n), "8");
    assertEquals(take(process, fd), 8n);
    assertEquals(take(process, fd), "EAGAIN");
  });

  it("gives back one at a time as a semaphore", () => {
    const process = spawn();
    const fd = process.eventfd(2, EFD_SEMAPHORE | O_NONBLOCK);
    assertEquals([1, 2, 3].map(() => take(process, fd)), [1n, 1n, "EAGAIN"]);
  });

  it("holds up to 2^64-2", () => {
    const process = spawn();
    const fd = process.eventfd(1, 0);
    assertEquals(add(process, fd, 2n ** 64n - 1n), "EINVAL");
    assertEquals(add(process, fd, 2n ** 64n - 2n), "EAGAIN");
    assertEquals(add(process, fd, 2n ** 64n - 3n), "8");
    assertEquals(process.poll(fd, POLLIN | POLLOUT), POLLIN);
    assertEquals(take(process, fd), 2n ** 64n - 2n);
  });

  it("tells poll what it can do", () => {
    const process = spawn();
    const fd = process.eventfd(0, 0);
    assertEquals(process.poll(fd, POLLIN | POLLOUT), POLLOUT);
    add(process, fd, 1n);
    assertEquals(process.poll(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
    assertEquals(process.poll(fd, POLLERR), 0);
  });

  it("can be told to go elsewhere, and stays where it is", () => {
    const process = spawn();
    const fd = process.eventfd(1, 0);
    assertEquals(process.lseek(fd, 8, SEEK_SET), 0);
    assertEquals(errnoName(process.lseek(fd, 0, 5)), "EINVAL");
    const into = new Uint8Array(8);
    assertEquals(errnoName(process.read(fd, into, 0)), "ESPIPE");
  });

  it("refuses wrong sizes, values, flags and addresses", () => {
    const process = spawn();
    const fd = process.eventfd(1, 0);
    for (const size of [0, 7, 9]) {
      assertEquals(
        errnoName(process.write(fd, new Uint8Array(size))),
        "EINVAL",
      );
    }
    assertEquals(errnoName(process.read(fd, new Uint8Array(7))), "EINVAL");
    assertEquals(process.read(fd, new Uint8Array(9)), 8);
    assertEquals(errnoName(process.writeFrom(fd, 0, 8)), "EFAULT");
    for (const value of [-1, 2 ** 32, 0.5, NaN]) {
      assertEquals(errnoName(process.eventfd(value, 0)), "EINVAL");
    }
    assertEquals(errnoName(process.eventfd(0, 2)), "EINVAL");
  });

  it("is common to parent and child", () => {
    const process = spawn();
    const fd = process.eventfd(0, 0);
    const child = process.fork();
    add(child, fd, 7n);
    assertEquals(take(process, fd), 7n);
  });
});
