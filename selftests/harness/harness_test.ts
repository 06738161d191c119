// SPDX-License-Identifier: GPL-2.0-only

import { NEWEST, REVISION_NAMES } from "../../impl/uapi/revision.ts";
import type { Lifetime } from "../../impl/uapi/revision/versions.ts";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { TargetInfo, TargetProcess } from "../target/target.ts";
import { EINVAL, ENOENT } from "../../impl/uapi/errno.ts";
import {
  assertBytes,
  assertEq,
  assertErrno,
  AssertionFailure,
  assertOk,
  assertTrue,
  fixture,
  type Test,
} from "./harness.ts";
import { assertResult } from "../ioctls/ioctls.ts";

const INFO: TargetInfo = {
  name: "none",
  version: "0",
  uapi: NEWEST,
  pageSize: 4096,
  hugePageSize: 2 ** 21,
  capabilities: [],
};

/** Runs a test that makes no system call. */
async function run(test: Test | undefined): Promise<void> {
  await test!.run({} as TargetProcess, INFO);
}

describe("fixture", () => {
  it("orders tests by variant, then as they were added", () => {
    const registry: Test[] = [];
    const f = fixture(registry, "f", {
      variants: { a: 1, b: 2 },
      upstream: false,
      setup: () => Promise.resolve({}),
    });
    for (const name of ["x", "y", "z"]) {
      f.test(name, { description: name, rules: [] }, async () => {});
    }
    const g = fixture(registry, "g", {
      upstream: false,
      setup: () => Promise.resolve({}),
    });
    g.test("x", { description: "x", rules: [] }, async () => {});
    const ids = ["f.a.x", "f.a.y", "f.a.z", "f.b.x", "f.b.y", "f.b.z", "g.x"];
    assertEquals(registry.map(({ id }) => id), ids);
  });

  it("sets up, runs and tears down, with the variant's parameters", async () => {
    const registry: Test[] = [];
    const seen: string[] = [];
    const f = fixture(registry, "f", {
      variants: { a: 1, b: 2 },
      upstream: false,
      setup: (context, variant: number) => {
        seen.push(`setup ${variant} ${context.revision.name}`);
        return Promise.resolve(variant * 10);
      },
      teardown: (self) => {
        seen.push(`teardown ${self}`);
        return Promise.resolve();
      },
    });
    f.test("x", { description: "x", rules: [] }, (self, variant) => {
      seen.push(`body ${self} ${variant}`);
      return Promise.resolve();
    });
    await run(registry[1]);
    assertEquals(seen, [`setup 2 ${NEWEST}`, "body 20 2", "teardown 20"]);
  });

  it("does not tear down after a body that failed", async () => {
    const registry: Test[] = [];
    let tornDown = false;
    const f = fixture(registry, "f", {
      upstream: false,
      setup: () => Promise.resolve({}),
      teardown: () => {
        tornDown = true;
        return Promise.resolve();
      },
    });
    f.test("x", { description: "x", rules: [] }, () => {
      throw new AssertionFailure("a", "b", "c");
    });
    await assertRejects(() => run(registry[0]), AssertionFailure);
    assertEquals(tornDown, false);
  });

  it("adds up what fixture, variant and test need, and narrows revisions", () => {
    const registry: Test[] = [];
    const f = fixture(registry, "f", {
      variants: { a: true, b: false },
      upstream: true,
      needs: (huge) => huge ? ["hugetlb"] : [],
      setup: () => Promise.resolve({}),
    });
    const options = {
      description: "x",
      rules: [],
      needs: () => ["fork"] as const,
    };
    f.test("x", { ...options, until: "6.2" }, async () => {});
    const needs = registry.map((test) => test.needs.join());
    assertEquals(needs, ["hugetlb,fork", "fork"]);
    assertEquals(registry[0]!.uapi, ["v3"]);
    assertEquals(registry[0]!.upstream, true);
  });

  it("has a variant in the revisions that its scope says", () => {
    const registry: Test[] = [];
    const f = fixture(registry, "f", {
      variants: { a: {}, b: { until: "6.2" } as const },
      upstream: false,
      scopeOf: (variant: Lifetime) => variant,
      setup: () => Promise.resolve({}),
    });
    f.test("x", { description: "x", rules: [] }, async () => {});
    assertEquals(
      registry.map(({ uapi }) => uapi),
      [REVISION_NAMES, ["v3"]],
    );
  });

  it("lets a test skip itself in a variant", () => {
    const registry: Test[] = [];
    const f = fixture(registry, "f", {
      variants: { a: true, b: false },
      upstream: false,
      setup: () => Promise.resolve({}),
    });
    const about = { description: "x", rules: [] };
    const skipsItself = (has: boolean) => has ? undefined : "has nothing";
    f.test("x", { ...about, skipsItself }, async () => {});
    f.test("y", about, async () => {});
    const skips = registry.map(({ skipsItself }) => skipsItself);
    assertEquals(skips, [undefined, undefined, "has nothing", undefined]);
  });
});

describe("assertions", () => {
  it("hold for what is so", () => {
    assertEq(1n, 1n, "x");
    assertTrue(true, "x");
    assertEquals(assertOk(5, "x"), 5);
    assertErrno(-22, EINVAL, "x");
    assertBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2), "x");
    assertResult(0, undefined, "x");
    assertResult(-2, ENOENT, "x");
  });

  it("fail for what is not, and name errnos", () => {
    const failures: [() => void, string][] = [
      [() => assertEq(1n, 2n, "x"), "x: expected 2, got 1"],
      [() => assertTrue(false, "x"), "x: expected true, got false"],
      [() => assertOk(-14, "x"), "x: expected success, got EFAULT"],
      [() => assertErrno(-14, EINVAL, "x"), "x: expected EINVAL, got EFAULT"],
      [
        () => assertErrno(0, EINVAL, "x"),
        "x: expected EINVAL, got success (0)",
      ],
      [
        () => assertBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3), "x"),
        "x, byte 1: expected 0x3, got 0x2",
      ],
      [
        () => assertBytes(Uint8Array.of(1), Uint8Array.of(1, 3), "x"),
        "length of x: expected 2, got 1",
      ],
      [
        () => assertResult(-2, undefined, "x"),
        "x: expected success, got ENOENT",
      ],
      [() => assertResult(1, undefined, "x"), "x: expected success, got 1"],
      [
        () => assertResult(0, ENOENT, "x"),
        "x: expected ENOENT, got success (0)",
      ],
    ];
    for (const [assertion, message] of failures) {
      const failure = assertThrows(assertion, AssertionFailure);
      assertEquals(failure.message, message);
    }
  });
});
