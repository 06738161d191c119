// SPDX-License-Identifier: GPL-2.0-only

import { assertEquals } from "@std/assert";
import { addressesOf, stepsOf } from "./trace.ts";

/** One event of a trace, with the addresses of its callers. */
function event(
  what: string,
  callers: readonly string[] = [],
  options: { pid?: number; flags?: string; nth?: number } = {},
): string {
  const { pid = 31, flags = ".....", nth } = options;
  const header = `            init-${pid}      [000] ${flags}     3.57: `;
  const argument = nth === undefined ? "" : ` nth="${nth}"`;
  return [
    `${header}${what}: (should_fail_ex+0x0/0x160)${argument}`,
    `${header}<stack trace>`,
    ...callers.map((address) => ` => name.constprop.0 <${address}>`),
    "",
  ].join("\n");
}

const FUNCTIONS: Readonly<Record<string, string[]>> = {
  a0: ["should_fail_ex"],
  a1: ["__kmalloc_noprof", "iommufd_inlined", "iommufd_outer"],
  a2: ["_copy_from_user"],
  a3: ["vfs_write", "proc_fail_nth_write"],
  a4: ["alloc_pages_noprof", "allocate_slab"],
};

Deno.test("the steps of a trace are those of calls whose steps count", () => {
  const trace = "# tracer: nop\n#\n" + [
    event("step", ["a0", "a1"]),
    event("arm", [], { nth: 0 }),
    event("arm", [], { nth: 1000 }),
    // The copy of the number itself, and what a call of ours comes to.
    event("step", ["a0", "a2", "a3"]),
    event("step", ["a0", "a1"]),
    event("step", ["a0", "a2"]),
    // Another process, an interrupt, and a page for a slab.
    event("step", ["a0", "a1"], { pid: 1 }),
    event("step", ["a0", "a1"], { flags: "d.h1." }),
    event("step", ["a0", "a4", "a1"]),
    event("left"),
    event("step", ["a0", "a2"]),
    event("arm", [], { nth: 0 }),
    event("step", ["a0", "a1"]),
  ].join("");
  const steps = stepsOf(trace, (address) => FUNCTIONS[address]!);
  assertEquals(steps, ["iommufd_inlined", "_copy_from_user"]);
  assertEquals([...addressesOf(trace)].sort(), Object.keys(FUNCTIONS));
});
