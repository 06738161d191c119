// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { errnoName } from "../../uapi/errno.ts";
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  RLIMIT_NOFILE,
} from "../../uapi/mman.ts";
import { KernelCore } from "../core.ts";
import { PIPE_SIZE } from "./pipe.ts";

function setup() {
  const process = new KernelCore({ memory: 2 ** 24 }).spawn();
  const { ret, readFd, writeFd } = process.pipe();
  assertEquals([ret, readFd, writeFd], [0, 3, 4]);
  return { process, readFd, writeFd };
}

/** `length` bytes that count up from `first`. */
function counting(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

describe("pipe", () => {
  it("carries bytes in order, around its end too", () => {
    const { process, readFd, writeFd } = setup();
    const piece = 40000;
    for (let round = 0; round < 4; round++) {
      const sent = counting(piece, round);
      assertEquals(process.write(writeFd, sent), piece);
      const got = new Uint8Array(piece + 1);
      assertEquals(process.read(readFd, got), piece);
      assertEquals(got.subarray(0, piece), sent);
    }
  });

  it("would wait when empty or full", () => {
    const { process, readFd, writeFd } = setup();
    const byte = new Uint8Array(1);
    assertEquals(errnoName(process.read(readFd, byte)), "EAGAIN");
    assertEquals(
      process.write(writeFd, counting(PIPE_SIZE - 10)),
      PIPE_SIZE - 10,
    );
    assertEquals(errnoName(process.write(writeFd, counting(11))), "EAGAIN");
    assertEquals(
      process.write(writeFd, counting(5000)),
      10,
      "a long one is split",
    );
    assertEquals(errnoName(process.write(writeFd, byte)), "EAGAIN");
    assertEquals(process.poll(writeFd, POLLOUT), 0);
    assertEquals(process.read(readFd, byte), 1);
    assertEquals(process.poll(writeFd, POLLOUT), POLLOUT);
    assertEquals(process.write(writeFd, byte), 1);
  });

  it("ends when the other end is gone", () => {
    const { process, readFd, writeFd } = setup();
    process.write(writeFd, counting(2));
    const child = process.fork();
    process.close(writeFd);
    assertEquals(
      process.poll(readFd, POLLIN),
      POLLIN,
      "the child still writes",
    );
    child.exit();
    assertEquals(process.poll(readFd, POLLIN), POLLIN | POLLHUP);
    assertEquals(process.read(readFd, new Uint8Array(5)), 2);
    assertEquals(process.read(readFd, new Uint8Array(5)), 0);
  });

  it("cannot be written without a reader", () => {
    const { process, readFd, writeFd } = setup();
    assertEquals(process.write(writeFd, counting(1)), 1);
    process.close(readFd);
    assertEquals(errnoName(process.write(writeFd, counting(1))), "EPIPE");
    assertEquals(process.poll(writeFd, POLLOUT), POLLOUT | POLLERR);
  });

  it("moves no bytes where none are asked for, whatever its state", () => {
    const { process, readFd, writeFd } = setup();
    const none = new Uint8Array(0);
    assertEquals(process.read(readFd, none), 0, "empty");
    assertEquals(process.write(writeFd, counting(PIPE_SIZE)), PIPE_SIZE);
    assertEquals(process.write(writeFd, none), 0, "full");
    assertEquals(process.read(readFd, none), 0);
    process.close(readFd);
    assertEquals(process.write(writeFd, none), 0, "without a reader");
  });

  it("can be read as long as there is something in it", () => {
    const { process, readFd, writeFd } = setup();
    assertEquals(process.poll(readFd, POLLIN), 0);
    process.write(writeFd, counting(1));
    assertEquals(process.poll(readFd, POLLIN), POLLIN);
  });

  it("has one direction, and needs addresses that exist", () => {
    const { process, readFd, writeFd } = setup();
    const byte = new Uint8Array(1);
    assertEquals(errnoName(process.write(readFd, byte)), "EBADF");
    assertEquals(errnoName(process.read(writeFd, byte)), "EBADF");
    assertEquals(errnoName(process.writeFrom(writeFd, 0, 1)), "EFAULT");
    process.write(writeFd, byte);
    assertEquals(errnoName(process.readTo(readFd, 0, 1)), "EFAULT");
    assertEquals(process.read(readFd, byte), 1, "nothing was lost");
  });

  it("gives no descriptor unless there are two", () => {
    const { process } = setup();
    process.setrlimit(RLIMIT_NOFILE, 6n);
    const { ret, readFd, writeFd } = process.pipe();
    assertEquals([errnoName(ret), readFd, writeFd], ["EMFILE", -1, -1]);
    assertEquals(process.dup(0), 5, "the first of the two is free again");
    assertEquals(errnoName(process.pipe().ret), "EMFILE", "not even one");
    process.close(5);
    process.setrlimit(RLIMIT_NOFILE, 7n);
    assertEquals(process.pipe(), { ret: 0, readFd: 5, writeFd: 6 });
  });
});
