// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { KernelCore } from "../../../impl/kernel/core.ts";
import {
  MAP_ANONYMOUS,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
} from "../../../impl/uapi/mman.ts";
import { problemsFile } from "./problems.ts";

/** Opens the file again and again. */
function opener(kernel: KernelCore): () => string | undefined {
  const file = problemsFile(kernel);
  return () => file.read({ tgid: 1, tid: 1 });
}

describe("the file of problems", () => {
  it("has each warning once", () => {
    const kernel = new KernelCore();
    const read = opener(kernel);
    assertEquals(read(), "");
    kernel.warnings.on(true, "something");
    assertEquals(read(), "The kernel warned: something.\n");
    assertEquals(read(), "");
  });

  it("has what is left, until that changes, and no process that runs", () => {
    const kernel = new KernelCore();
    const read = opener(kernel);
    const process = kernel.spawn();
    const flags = MAP_SHARED | MAP_ANONYMOUS;
    const address = process.mmap(0, PAGE_SIZE, PROT_READ, flags);
    assertEquals(read(), "");
    process.peek(address, 1);
    assertEquals(read(), "1 page frames are still in use.\n");
    assertEquals(read(), "");
    process.exit();
    assertEquals(read(), "");
  });
});
