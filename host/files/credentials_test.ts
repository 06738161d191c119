// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Errno } from "../../impl/uapi/errno.ts";
import { RLIM_INFINITY } from "../../impl/uapi/mman.ts";
import { Sys } from "../sys/sys.ts";
import { HostCredentials } from "./credentials.ts";

const sys = Sys.shared;
const credentials = new HostCredentials(sys);
const { pid } = Deno;

/** A number that no process has: above the largest that Linux gives. */
const NOBODY = 2 ** 22 + 1;

/** Runs `body` with a soft limit of this process's set to `soft`. */
function withLimit(resource: number, soft: bigint, body: () => void): void {
  const limits = sys.alloc(32);
  const { prlimit64 } = sys.nr;
  const { address, view } = limits;
  sys.call(prlimit64, 0, resource, 0, address);
  view.setBigUint64(16, soft, true);
  view.setBigUint64(24, view.getBigUint64(8, true), true);
  assertEquals(sys.call(prlimit64, 0, resource, address + 16, 0), 0);
  try {
    body();
  } finally {
    sys.call(prlimit64, 0, resource, address, 0);
  }
}

describe("What the host says of a process", () => {
  it("is its user", () => {
    assertEquals(credentials.uidOf(pid), sys.call(sys.nr.getuid));
  });

  it("is its capabilities, one by one", () => {
    const status = sys.readFile(-100, "/proc/self/status");
    const effective = /^CapEff:\s+(\w+)/m.exec(String(status))![1];
    const map = String(sys.readFile(-100, "/proc/self/uid_map"));
    const isOnMachine = / 4294967295\s*$/.test(map);
    for (let capability = 0; capability < 64; capability++) {
      const has = BigInt(`0x${effective}`) >> BigInt(capability) & 1n;
      const is = credentials.capable(pid, capability);
      assertEquals(is, isOnMachine && has === 1n, `capability ${capability}`);
    }
  });

  it("is its soft limits, the same by a call and in /proc", () => {
    for (let resource = 0; resource < 16; resource++) {
      const limit = credentials.limitOf(pid, resource);
      assertEquals(credentials.limitInProc(pid, resource), limit);
    }
    const memlock = 8;
    for (const soft of [0n, 12288n]) {
      withLimit(memlock, soft, () => {
        assertEquals(credentials.limitOf(pid, memlock).soft, soft);
        assertEquals(credentials.limitInProc(pid, memlock).soft, soft);
      });
    }
  });

  it("may be that there is no limit", () => {
    const cpu = 0;
    assertEquals(
      credentials.limitOf(pid, cpu).soft,
      RLIM_INFINITY,
      "of this one",
    );
    assertEquals(credentials.limitInProc(pid, cpu).soft, RLIM_INFINITY);
  });

  it("is nothing of what is no resource, and of nobody", () => {
    const errno = (body: () => unknown) =>
      (assertThrows(body) as unknown as Errno).name;
    assertEquals(errno(() => credentials.limitOf(pid, 16)), "EINVAL");
    assertEquals(errno(() => credentials.limitOf(pid, -1)), "EINVAL");
    assertEquals(errno(() => credentials.limitOf(NOBODY, 8)), "ESRCH");
    assertEquals(errno(() => credentials.uidOf(NOBODY)), "ESRCH");
    assertEquals(errno(() => credentials.capable(NOBODY, 1)), "ESRCH");
  });
});
