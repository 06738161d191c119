// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program whose plain numbers are references to what gave them, as far as
 * that is known: it means the same then when steps are taken out.
 *
 * @module
 */

import type { Field } from "../../../impl/uapi/layout/struct.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import {
  type Outcome,
  type Patch,
  type Program,
  resolve,
  type Step,
} from "../../../selftests/target/program.ts";
import type { Call } from "../../../selftests/target/verbs.ts";
import { learn } from "../generate/known/learn.ts";
import { readField, Shapes } from "../generate/known/shapes.ts";
import {
  type Context,
  type Known,
  type Proc,
  World,
} from "../generate/known/world.ts";
import { BYTES_OF } from "./values.ts";

/** The program with references, by what its steps came to. */
export function linked(
  program: Program,
  outcomes: readonly Outcome[],
  uapi: RevisionName,
): Program {
  const world = new World();
  const shapes = new Shapes(uapi);
  return program.map((step, index) => {
    const { process } = step;
    const call = resolve(step, outcomes);
    const now = withReferences(step, call, world.processes[process], shapes);
    learn(world, shapes, { index, process }, call, outcomes[index]!);
    return now;
  });
}

function withReferences(
  step: Step,
  call: Call,
  process: Proc | undefined,
  shapes: Shapes,
): Step {
  const { patches = [] } = step;
  const isNew = (patch: Patch) =>
    !patches.some(({ arg, field }) =>
      arg === patch.arg && field?.offset === patch.field?.offset
    );
  const found = process === undefined ? [] : [
    ...descriptors(call, process),
    ...fields(call, process, shapes),
  ].filter(isNew);
  return found.length > 0 ? { ...step, patches: [...patches, ...found] } : step;
}

/** Arguments that are descriptors. */
function descriptors({ verb, args }: Call, { fds }: Proc): Patch[] {
  return verb.args.flatMap(([name], arg) => {
    const from = name === "FD" && fds.get(Number(args[arg]))?.fd.from;
    return from ? [{ arg, from }] : [];
  });
}

/** Fields of an ioctl's struct that name what there is. */
function fields({ verb, args }: Call, process: Proc, shapes: Shapes): Patch[] {
  const [fd, cmd, struct] = args;
  if (verb.name !== "ioctl" || !(struct instanceof Uint8Array)) return [];
  const file = process.fds.get(Number(fd))?.file;
  const shape = file && shapes.of(file.kind, Number(cmd), struct);
  return (shape?.fields ?? []).flatMap((field): Patch[] => {
    const from = field.direction === "out"
      ? undefined
      : given(field, readField(struct, field), process, file?.context)?.from;
    const { offset, type } = field;
    return from
      ? [{ arg: 2, field: { offset, bytes: BYTES_OF[type] }, from }]
      : [];
  });
}

/** What the value of a field is known as. */
function given(
  { role }: Field,
  value: number | bigint,
  { fds }: Proc,
  context: Context | undefined,
): Known | undefined {
  switch (role.kind) {
    case "id":
      return context?.thing(value)?.id;
    case "fd":
      return fds.get(Number(value))?.fd;
    case "iova":
      return context?.things.flatMap(({ areas }) => areas)
        .find(({ iova }) => iova.value === value)?.iova;
    default:
      return undefined;
  }
}
