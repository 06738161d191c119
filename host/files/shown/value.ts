// SPDX-License-Identifier: GPL-2.0-only

/**
 * Values of the kernel that programs read and write as text, as nodes.
 *
 * @module
 */

import type { Task } from "../../../impl/kernel/interfaces/task.ts";
import {
  type Value,
  ValueFile,
} from "../../../impl/kernel/files/value_file.ts";
import type { Served } from "./node.ts";

/** A file with a value: whoever opens it has an opening of its own. */
export function valueNode(value: Value, mode: number, size = 0): Served {
  const open = (_task: Task, access: number) => new ValueFile(value, access);
  return { kind: "served", mode, size, open };
}
