// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that are a little different from others.
 *
 * @module
 */

import type { Program } from "../../../selftests/target/program.ts";
import type { Chance } from "../generate/chance.ts";
import type { Shapes } from "../generate/known/shapes.ts";
import { changeArgument } from "./changes.ts";
import {
  type Node,
  type NodePatch,
  nodesOf,
  programOf,
  type Source,
} from "./nodes.ts";

/** What a program is mutated by. */
export interface MutateOptions {
  readonly chance: Chance;
  readonly shapes: Shapes;
  /** Another program, to take steps and values from. */
  readonly other: Program;
  /** Steps that there are at most. */
  readonly length: number;
}

/** What mutations work on: the nodes are changed in place. */
interface Mutated {
  readonly nodes: Node[];
  readonly other: readonly Node[];
  readonly chance: Chance;
  readonly shapes: Shapes;
}

/** Makes a program that is a little different. */
export function mutate(program: Program, options: MutateOptions): Program {
  const { chance, shapes, other, length } = options;
  const nodes = nodesOf(program);
  const mutated = { nodes, other: nodesOf(other), chance, shapes };
  for (let left = chance.between(1, 5); left > 0; left--) {
    chance.weighted(MUTATIONS)(mutated);
  }
  return programOf(nodes.slice(0, length));
}

/** The ways to change a program, and how often each is taken. */
const MUTATIONS = [
  [40, change],
  [15, rewire],
  [10, drop],
  [15, repeat],
  [10, move],
  [15, splice],
  [5, cross],
] as const;

/** The longest part of a program that is moved at a time. */
const LONGEST = 12;

/** A part of a list: where it begins, and how long it is. */
function part(
  chance: Chance,
  nodes: readonly Node[],
): [first: number, count: number] {
  const first = chance.below(nodes.length || 1);
  const count = chance.percent(60) ? 1 : chance.between(1, LONGEST);
  return [first, count];
}

/** Changes an argument of a step. */
function change({ nodes, other, chance, shapes }: Mutated): void {
  if (nodes.length === 0) return;
  const place = chance.below(nodes.length);
  const donors = chance.percent(75) ? nodes : other;
  nodes[place] = changeArgument(nodes[place]!, { chance, shapes, donors });
}

/** Has a reference name another value that is used in the same way, or something beside it. */
function rewire({ nodes, chance }: Mutated): void {
  const place = chance.below(nodes.length || 1);
  const node = nodes[place];
  const patch = node && chance.maybe(node.patches);
  if (node === undefined || patch === undefined) return;
  const sources = nodes.slice(0, place).flatMap(({ patches }) => patches)
    .filter((other) => isSameUse(other, patch)).map(({ from }) => from);
  const from: Source = chance.percent(80)
    ? chance.maybe(sources) ?? patch.from
    : {
      ...patch.from,
      plus: (patch.from.plus ?? 0n) +
        BigInt(chance.one([-4096, -1, 1, 2048, 4096])),
    };
  const patches = node.patches.map((other) =>
    other === patch ? { ...patch, from } : other
  );
  nodes[place] = { ...node, patches };
}

/** Whether two patches put values of as many bytes, that come from the same place of their calls, into their own. */
function isSameUse(a: NodePatch, b: NodePatch): boolean {
  return a.field?.bytes === b.field?.bytes &&
    a.from.field?.bytes === b.from.field?.bytes;
}

/** Leaves steps out. */
function drop({ nodes, chance }: Mutated): void {
  nodes.splice(...part(chance, nodes));
}

/** Has steps once more, right behind or elsewhere. */
function repeat({ nodes, chance }: Mutated): void {
  const [first, count] = part(chance, nodes);
  const steps = nodes.slice(first, first + count);
  const place = chance.percent(50)
    ? first + count
    : chance.below(nodes.length + 1);
  nodes.splice(place, 0, ...steps);
}

/** Has steps earlier or later. */
function move({ nodes, chance }: Mutated): void {
  const steps = nodes.splice(...part(chance, nodes));
  nodes.splice(chance.below(nodes.length + 1), 0, ...steps);
}

/** Puts a part of the other program in. */
function splice({ nodes, other, chance }: Mutated): void {
  const [first, count] = part(chance, other);
  const steps = other.slice(first, first + count);
  nodes.splice(chance.below(nodes.length + 1), 0, ...steps);
}

/** Goes on as the other program does. */
function cross({ nodes, other, chance }: Mutated): void {
  nodes.length = chance.below(nodes.length + 1);
  nodes.push(...other.slice(chance.below(other.length || 1)));
}
