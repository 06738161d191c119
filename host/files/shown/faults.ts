// SPDX-License-Identifier: GPL-2.0-only

/**
 * The files of fault injection: `fail-nth` of a task, and the switches in
 * debugfs that the kernel's selftests set first.
 *
 * @module
 */

import type { FaultInjection } from "../../../impl/kernel/fault_injection.ts";
import { parseUnsigned } from "../../../impl/kernel/files/value_file.ts";
import { ESRCH } from "../../../impl/uapi/errno.ts";
import type { Node, Served, Tree } from "./node.ts";
import { valueNode } from "./value.ts";

/**
 * `fail-nth` of a task: how many of its steps are left until one fails. Reading
 * and writing it are steps themselves. ESRCH when the task is gone. (Linux:
 * proc_fail_nth_operations.)
 */
export function failNthNode(
  faultsNow: () => FaultInjection | undefined,
): Served {
  const faults = () => {
    const now = faultsNow();
    if (now === undefined) throw ESRCH;
    return now;
  };
  const value = {
    show: () => `${faults().nth}\n`,
    store(text: string) {
      const nth = parseUnsigned(text, 2 ** 32);
      faults().nth = nth;
    },
  };
  return valueNode(value, 0o644);
}

/** What a switch of debugfs is. */
type Switch = number | boolean;

/** The switches of every kind of fault, with what they are at first (Linux: FAULT_ATTR_INITIALIZER). */
const SWITCHES: Readonly<Record<string, Switch>> = {
  "probability": 0,
  "interval": 1,
  "times": 1,
  "space": 0,
  "verbose": 2,
  "verbose_ratelimit_interval_ms": 0,
  "verbose_ratelimit_burst": 10,
  "task-filter": false,
};

/** The kinds of fault, with the switches that each has besides. */
const KINDS: Readonly<Record<string, Readonly<Record<string, Switch>>>> = {
  "failslab": { "cache-filter": false, "ignore-gfp-wait": true },
  "fail_page_alloc": {
    "ignore-gfp-wait": true,
    "ignore-gfp-highmem": true,
    "min-order": 1,
  },
  "fail_usercopy": {},
  "fail_iommufd": {},
};

const DEBUGFS = "/sys/kernel/debug";

/**
 * Shows the switches. They keep what is written to them, and change nothing:
 * the model counts the steps that Linux counts when `ignore-gfp-wait` is off,
 * and lets fail only what `fail-nth` says.
 */
export function showFaultSwitches(tree: Tree): void {
  for (const [kind, more] of Object.entries(KINDS)) {
    for (const [name, first] of Object.entries({ ...SWITCHES, ...more })) {
      tree.add(`${DEBUGFS}/${kind}/${name}`, switchNode(first));
    }
  }
}

function switchNode(first: Switch): Node {
  let now = first;
  return valueNode({
    show: () => `${typeof now === "boolean" ? now ? "Y" : "N" : now}\n`,
    store(text) {
      now = typeof first === "boolean"
        ? parseBoolean(text, now as boolean)
        : parseUnsigned(text, 2 ** 64);
    },
  }, 0o600);
}

/** Linux: debugfs_write_file_bool, which takes what is no answer for none. */
function parseBoolean(text: string, now: boolean): boolean {
  if (/^(y|t|1|on)/i.test(text)) return true;
  if (/^(n|f|0|of)/i.test(text)) return false;
  return now;
}
