// SPDX-License-Identifier: GPL-2.0-only

/**
 * One form for all programs that mean the same.
 *
 * @module
 */

import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import type { Argument, Kind } from "../../../selftests/target/verbs.ts";

/**
 * The program with zeros wherever what stands there does not matter: where an
 * earlier step's value is put, and where a call writes only. Values are put in
 * by their places in the call.
 */
export function canonical(program: Program): Program {
  return program.map(canonicalStep);
}

function canonicalStep({ process, call, patches = [] }: Step): Step {
  const sorted: Patch[] = [];
  const args = call.verb.args.map(([name, kind], i) => {
    const own = patches.filter(({ arg }) => arg === i).map(canonicalPatch);
    if (!doOverlap(own)) own.sort(byOffset);
    sorted.push(...own);
    if (kind === "numbers") return name.split(" ").map(() => -1);
    return canonicalArgument(kind, call.args[i]!, own);
  });
  const made = { verb: call.verb, args };
  return sorted.length > 0
    ? { process, call: made, patches: sorted }
    : { process, call: made };
}

function canonicalPatch({ arg, field, from }: Patch): Patch {
  const { step, field: of, plus } = from;
  const reference: Reference = {
    step,
    ...of ? { field: { offset: of.offset, bytes: of.bytes } } : {},
    ...plus ? { plus } : {},
  };
  const where = field
    ? { field: { offset: field.offset, bytes: field.bytes } }
    : {};
  return { arg, ...where, from: reference };
}

function byOffset(a: Patch, b: Patch): number {
  return (a.field?.offset ?? 0) - (b.field?.offset ?? 0);
}

/** True if two patches of an argument touch the same bytes: their order matters then. */
export function doOverlap(patches: readonly Patch[]): boolean {
  return patches.some((a, i) =>
    patches.slice(i + 1).some((b) => {
      if (!a.field || !b.field) return true;
      return a.field.offset < b.field.offset + b.field.bytes &&
        b.field.offset < a.field.offset + a.field.bytes;
    })
  );
}

function canonicalArgument(
  kind: Kind,
  arg: Argument,
  patches: readonly Patch[],
): Argument {
  switch (kind) {
    case "text":
      return arg;
    case "into":
      return new Uint8Array((arg as Uint8Array).length);
    case "bytes":
    case "struct": {
      const bytes = Uint8Array.from(arg as Uint8Array);
      for (const { field } of patches) {
        if (field) bytes.fill(0, field.offset, field.offset + field.bytes);
      }
      return bytes;
    }
    case "u64":
      return patches.length > 0 ? 0n : BigInt(arg as number | bigint);
    default:
      return patches.length > 0 ? 0 : arg;
  }
}
