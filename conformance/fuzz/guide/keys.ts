// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a call reached, as numbers: cheap to tell, and new ones are a reason to
 * keep a program.
 *
 * @module
 */

import type { Field } from "../../../impl/uapi/layout/struct.ts";
import { IOMMU_TEST_CMD } from "../../../impl/uapi/selftest.ts";
import type { Outcome } from "../../../selftests/target/program.ts";
import type { Call } from "../../../selftests/target/verbs.ts";
import {
  readField,
  readU32,
  type Shape,
  type Shapes,
} from "../generate/known/shapes.ts";
import { shapeOfCall } from "./changes.ts";

/** Mixes a number into a hash of 32 bits (FNV). */
function mix(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193) >>> 0;
}

const SEED = 0x811c9dc5;
/** Stands for a process that may not touch the memory, or died. */
const FAULT = 1000;

/** Tells what calls reached in a revision. */
export class Keys {
  readonly #shapes: Shapes;
  /** The fields of each shape that choose what is done. */
  readonly #choosing = new Map<Shape, readonly Field[]>();
  readonly #verbs = new Map<string, number>();

  /** The keys of calls whose structs are those of a revision. */
  constructor(shapes: Shapes) {
    this.#shapes = shapes;
    for (const shape of shapes.all) {
      const choosing = shape.fields.filter(({ role, direction }) =>
        direction !== "out" && (role.kind === "flags" || role.kind === "choice")
      );
      this.#choosing.set(shape, choosing);
    }
  }

  /** The key of a call, its operation and its errno; that with what its flags and choices are too. */
  of(call: Call, outcome: Outcome): [pair: number, chosen: number] {
    const errno = outcome.kind === "returned"
      ? Math.min(outcome.result, 0)
      : FAULT;
    const pair = mix(this.#callKey(call), errno);
    const shape = shapeOfCall(call, this.#shapes);
    if (shape === undefined) return [pair, pair];
    let chosen = pair;
    const bytes = call.args[2] as Uint8Array;
    for (const field of this.#choosing.get(shape)!) {
      chosen = mix(chosen, Number(readField(bytes, field)) % 2 ** 32);
    }
    return [pair, chosen];
  }

  #callKey({ verb, args }: Call): number {
    let key = this.#verbs.get(verb.name);
    if (key === undefined) {
      key = mix(SEED, this.#verbs.size);
      this.#verbs.set(verb.name, key);
    }
    if (verb.args[1]?.[1] !== "command") return key;
    const [, cmd, struct] = args;
    key = mix(key, cmd as number);
    const isTest = cmd === IOMMU_TEST_CMD && struct instanceof Uint8Array &&
      struct.length >= 8;
    return isTest ? mix(key, readU32(struct, 4)) : key;
  }
}
