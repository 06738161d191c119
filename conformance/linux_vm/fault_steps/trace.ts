// SPDX-License-Identifier: GPL-2.0-only

/**
 * The kernel's trace of its fault injection: which functions the steps are in
 * that a call can be made to fail at.
 *
 * @module
 */

/** The events: a step, and what the agent does before and after a call whose steps count. */
export const KPROBES: readonly string[] = [
  "p:steps/step should_fail_ex",
  "p:steps/arm proc_fail_nth_write nth=+0(%si):ustring",
  "p:steps/left proc_fail_nth_read",
];

/** What lies between a step and the function that it is told by: fault injection, allocators, copies. */
const BELOW =
  /^(iommufd_)?_*should_fail|^_*(do_)?kv?[mz]*alloc|^_*kmem_cache_|^slab_|^_*(kv?)?memdup|^vmemdup|^kstrdup|^kv?asprintf|^_*(prepare_)?alloc_(frozen_)?pages|^_*get_free_pages|^_inline_copy_/;

/** Steps that depend on what the kernel did before: pages for a slab, numbers of inodes. */
const BY_CHANCE = /^(allocate_slab|new_slab|radix_tree_node_alloc)/;

/** One event: which process, which event with its argument, and the callers' addresses from the inside out. */
interface Event {
  readonly pid: string;
  readonly what: string;
  readonly nth: string | undefined;
  readonly inTask: boolean;
  readonly callers: string[];
}

/** Reads a trace with stack traces. */
function* events(trace: string): Generator<Event> {
  let event: Event | undefined;
  for (const line of trace.split("\n")) {
    const header =
      /-(\d+) +\[\d+\] (\S+) +[\d.]+: (step|arm|left): \(.*?\)(?: nth="(\d+))?/
        .exec(line);
    if (header !== null) {
      if (event !== undefined) yield event;
      const [, pid = "", flags = "", what = "", nth] = header;
      const inTask = !/[hsHzZ]/.test(flags[2] ?? "");
      event = { pid, what, nth, inTask, callers: [] };
    }
    const caller = /^ => .*<([0-9a-f]+)>$/.exec(line);
    if (caller !== null) event?.callers.push(caller[1]!);
  }
  if (event !== undefined) yield event;
}

/** The addresses that a trace has. */
export function addressesOf(trace: string): Set<string> {
  return new Set([...events(trace)].flatMap(({ callers }) => callers));
}

/**
 * The steps of the calls whose steps count, in order: by the innermost
 * function that is neither of fault injection nor an allocator. `functionsAt`
 * has the functions at an address, from the inside out.
 */
export function stepsOf(
  trace: string,
  functionsAt: (address: string) => readonly string[],
): string[] {
  const steps: string[] = [];
  let armed: string | undefined;
  for (const { pid, what, nth, inTask, callers } of events(trace)) {
    if (what === "arm") armed = nth === "0" ? undefined : pid;
    else if (pid !== armed || !inTask) continue;
    else if (what === "left") armed = undefined;
    else {
      const functions = callers.flatMap(functionsAt);
      if (functions.includes("proc_fail_nth_write")) continue;
      if (functions.some((name) => BY_CHANCE.test(name))) continue;
      steps.push(functions.find((name) => !BELOW.test(name)) ?? "?");
    }
  }
  return steps;
}
