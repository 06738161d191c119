// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { EINVAL, EPERM } from "../uapi/errno.ts";
import {
  CAP_IPC_LOCK,
  RLIM_INFINITY,
  RLIMIT_MEMLOCK,
  RLIMIT_NOFILE,
} from "../uapi/mman.ts";
import {
  ALL_CAPABILITIES,
  Credentials,
  ResourceLimits,
} from "./credentials.ts";

describe("Credentials", () => {
  it("takes all capabilities from root that becomes someone else", () => {
    const root = new Credentials(0, ALL_CAPABILITIES);
    root.setuid(0);
    assertEquals(root.has(CAP_IPC_LOCK), true, "control: still root");
    root.setuid(1000);
    assertEquals(root.uid, 1000);
    assertEquals(ALL_CAPABILITIES.some((cap) => root.has(cap)), false);
    assertStrictEquals(assertThrows(() => root.setuid(0)), EPERM);
    root.setuid(1000);
  });

  it("leaves the capabilities to someone who was not root", () => {
    const user = new Credentials(7, ALL_CAPABILITIES);
    user.setuid(8);
    assertEquals(user.has(CAP_IPC_LOCK), true);
  });

  it("drops one capability, in the parent only", () => {
    const parent = new Credentials(0, ALL_CAPABILITIES);
    const child = parent.fork();
    parent.drop(CAP_IPC_LOCK);
    assertEquals(parent.has(CAP_IPC_LOCK), false);
    assertEquals(child.has(CAP_IPC_LOCK), true);
    for (const cap of [-1, 41, 0.5, NaN]) {
      assertStrictEquals(
        assertThrows(() => parent.drop(cap)),
        EINVAL,
        `${cap}`,
      );
    }
  });

  it("refuses what is no user id", () => {
    const root = new Credentials(0, ALL_CAPABILITIES);
    for (const uid of [-1, 0.5, NaN, 2 ** 32 - 1]) {
      assertStrictEquals(
        assertThrows(() => root.setuid(uid)),
        EINVAL,
        `${uid}`,
      );
    }
    root.setuid(2 ** 32 - 2);
  });
});

describe("ResourceLimits", () => {
  it("starts as Linux does and takes any limit up to the hard one", () => {
    const limits = new ResourceLimits();
    assertEquals(limits.get(RLIMIT_MEMLOCK), 8n << 20n);
    assertEquals(limits.get(RLIMIT_NOFILE), 1024n);
    limits.set(RLIMIT_MEMLOCK, RLIM_INFINITY, true);
    limits.set(RLIMIT_NOFILE, 1n << 20n, true);
    const tooMuch = () => limits.set(RLIMIT_NOFILE, (1n << 20n) + 1n, true);
    assertStrictEquals(assertThrows(tooMuch), EPERM);
  });

  it("refuses what is no resource or no limit", () => {
    const limits = new ResourceLimits();
    for (const resource of [-1, 16, 0.5, NaN]) {
      assertStrictEquals(
        assertThrows(() => limits.set(resource, 1n, true)),
        EINVAL,
      );
      assertStrictEquals(assertThrows(() => limits.get(resource)), EINVAL);
    }
    for (const soft of [-1n, 2n ** 64n]) {
      assertStrictEquals(assertThrows(() => limits.set(0, soft, true)), EINVAL);
    }
  });

  it("lets nobody raise a hard limit who may not", () => {
    const limits = new ResourceLimits();
    limits.set(RLIMIT_NOFILE, 4096n, false);
    const raise = () => limits.set(RLIMIT_NOFILE, 4097n, false);
    assertStrictEquals(assertThrows(raise), EPERM);
    assertEquals(limits.get(RLIMIT_NOFILE), 4096n);
    limits.set(RLIMIT_NOFILE, 5000n, true);
    limits.fork().set(RLIMIT_NOFILE, 5000n, false);
  });

  it("gives a child limits of its own", () => {
    const limits = new ResourceLimits();
    limits.set(RLIMIT_MEMLOCK, 1n, true);
    const child = limits.fork();
    limits.set(RLIMIT_MEMLOCK, 2n, true);
    assertEquals(child.get(RLIMIT_MEMLOCK), 1n);
  });
});
