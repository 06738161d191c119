// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a finding needs of a machine, for each who runs it again.
 *
 * @module
 */

import type { Need } from "../../../selftests/target/capabilities.ts";
import type { ImplOptions } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import type { Likeness } from "../machine/likeness.ts";
import { bytesText } from "../program/bytes.ts";
import { MACHINE } from "../run/on_model.ts";
import type { Finding } from "./finding.ts";

/** The machine of a finding. */
type Found = Pick<Finding, "program" | "machine">;

/** The machine's devices, by the capability that a target names which has them; most have the card. */
const DEVICES: Readonly<
  Record<NonNullable<ImplOptions["device"]>, readonly Need[]>
> = {
  card: ["vfio_device"],
  engines: ["copy_engines"],
  none: [],
};

/** Those devices for a program that runs on the model. */
const HOST_DEVICES: Readonly<Partial<Record<Need, string>>> = {
  vfio_device: "--device igb",
  copy_engines: "--device dma --device dma",
};

/** Whether a program opens a path that begins so. */
function opens(program: Program, path: RegExp): boolean {
  return program.some(({ call: { verb, args } }) =>
    verb.name === "open" && path.test(String(args[0]))
  );
}

/** The devices that a program uses, as capabilities. */
function devicesOf({ program, machine = {} }: Found): readonly Need[] {
  const uses = opens(program, /^\/dev\/vfio\/(?!vfio$)/);
  return uses ? DEVICES[machine.device ?? "card"] : [];
}

/** What a target must have to answer as it was found: by its program, and by the machine where that matters to it. */
export function needsOf(found: Found): readonly string[] {
  const { program, machine } = found;
  const verbs = program.flatMap(({ call: { verb } }) => verb.needs ?? []);
  const { container } = { ...MACHINE, ...machine };
  const containers = opens(program, /^\/dev\/vfio\/vfio$/)
    ? [container === "type1" ? "type1_container" : "vfio"]
    : [];
  return [...new Set([...verbs, ...containers, ...devicesOf(found)])];
}

/** Throws an Error that names what a target lacks. */
export function checkNeeds(
  needs: readonly string[],
  { name, capabilities }: {
    readonly name: string;
    readonly capabilities: readonly string[];
  },
): void {
  const lacking = needs.filter((need) => !capabilities.includes(need));
  if (lacking.length === 0) return;
  throw new Error(
    `${name} lacks what this was found with: ${lacking.join(", ")}`,
  );
}

/** The options of `deno task run` that give a program the machine. */
export function runOptions(found: Found): string {
  const { container } = { ...MACHINE, ...found.machine };
  const devices = devicesOf(found).flatMap((need) => HOST_DEVICES[need] ?? []);
  return [`--container ${container}`, ...devices].join(" ");
}

/** The machine in the words of TypeScript, where `bytes` reads bytes. */
export function machineText(machine: Likeness = {}): string {
  const fields = Object.entries(machine).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${valueText(value)}`]
  );
  return `{ ${fields.join(", ")} }`;
}

function valueText(value: NonNullable<Likeness[keyof Likeness]>): string {
  if (value instanceof Uint8Array) return `bytes('${bytesText(value)}')`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{ capReg: ${value.capReg}n, ecapReg: ${value.ecapReg}n }`;
}
