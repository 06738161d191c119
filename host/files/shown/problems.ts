// SPDX-License-Identifier: GPL-2.0-only

/**
 * `/sys/kernel/iommufd-kit/problems`: what the model complains of, for a test
 * program that wants to know in the middle of its run. There is no such file on
 * Linux: it also tells that this is the model.
 *
 * @module
 */

import type { KernelCore } from "../../../impl/kernel/core.ts";
import type { Text } from "./node.ts";

/** Where it is shown. */
export const PROBLEMS = "/sys/kernel/iommufd-kit/problems";

/** The file: each opening has, a line each, what no opening had before. */
export function problemsFile(kernel: KernelCore): Text {
  let warnings = 0;
  let left: readonly string[] = [];
  function read(): string {
    const { list } = kernel.warnings;
    const leftBefore = left;
    left = kernel.leftBehind();
    const lines = [
      ...list.slice(warnings).map((what) => `The kernel warned: ${what}.`),
      ...left.filter((each) => !leftBefore.includes(each)),
    ];
    warnings = list.length;
    return lines.map((line) => `${line}\n`).join("");
  }
  return { kind: "text", mode: 0o444, size: 4096, read };
}
