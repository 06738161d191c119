// SPDX-License-Identifier: GPL-2.0-only

/**
 * `module:./x.ts`: a target that a module of the user's makes. The module
 * exports `target(): Promise<Target>`.
 *
 * @module
 */

import {
  isRevisionName,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import { startedSpec } from "./adapter_targets.ts";
import type { Target, TargetInfo } from "../../selftests/target/target.ts";
import { refuseTarget, type TargetSpec } from "./target_spec.ts";

/** Reads the name of a module: a path, or any other specifier that can be imported. Throws {@link UsageError}. */
export function parseModule(name: string, spec: string): TargetSpec {
  if (name === "") {
    refuseTarget(spec, "module: needs a module, as in module:./target.ts.");
  }
  return startedSpec(spec, () => openModule(name));
}

/** The target that a module makes; a path is one from the current directory. */
export async function openModule(name: string): Promise<Target> {
  const { target } = await importModule(name);
  if (typeof target !== "function") {
    throw new Error(
      `The module does not export a function target(), but ${
        target === undefined ? "nothing of that name" : `a ${typeof target}`
      }`,
    );
  }
  return checkTarget(await target());
}

/** Imports a module; a path is one from the current directory. */
async function importModule(name: string): Promise<{ target?: unknown }> {
  const isPath = /^\.{0,2}\//.test(name);
  const base = new URL(`file://${Deno.cwd()}/`);
  return await import(isPath ? new URL(name, base).href : name);
}

/** Throws an error that says what is missing unless `value` is a target. */
export function checkTarget(value: unknown): Target {
  const target = asObject(value, "What target() resolves to");
  for (const name of ["spawn", "make", "reset", "close"]) {
    if (typeof target[name] !== "function") {
      throw new Error(`The module's target has no method ${name}()`);
    }
  }
  checkInfo(asObject(target.info, "The property info of the module's target"));
  const { info: { capabilities }, time } = value as Target;
  if (capabilities.includes("time") && typeof time !== "function") {
    throw new Error("The module's target names time and has no method time()");
  }
  return value as Target;
}

function checkInfo(info: Partial<Record<keyof TargetInfo, unknown>>): void {
  for (const name of ["name", "version", "uapi"] as const) {
    if (typeof info[name] !== "string" || info[name] === "") {
      throw new Error(`info.${name} of the module's target is no text`);
    }
  }
  for (const name of ["pageSize", "hugePageSize"] as const) {
    const size = info[name];
    if (typeof size !== "number" || !Number.isInteger(Math.log2(size))) {
      throw new Error(`info.${name} of the module's target is no power of two`);
    }
  }
  const uapi = info.uapi as RevisionName;
  if (!isRevisionName(uapi)) {
    const known = REVISION_NAMES.join(" nor ");
    throw new Error(
      `info.uapi of the module's target is "${uapi}", which is neither ${known}`,
    );
  }
  const { capabilities } = info;
  const named = Array.isArray(capabilities) &&
    capabilities.every((each) => typeof each === "string");
  if (!named) {
    throw new Error(
      "info.capabilities of the module's target is no array of texts",
    );
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) {
    return value as Record<string, unknown>;
  }
  throw new Error(`${what} is no object`);
}
