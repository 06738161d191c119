// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program whose steps name each other, not places: they can be dropped,
 * repeated, moved and mixed with those of another program, and are numbered
 * again at the end.
 *
 * @module
 */

import { IOMMU_TEST_CMD } from "../../../impl/uapi/selftest.ts";
import type {
  Patch,
  Program,
  Reference,
  Step,
} from "../../../selftests/target/program.ts";
import type { Argument, Call } from "../../../selftests/target/verbs.ts";
import { readU32 } from "../generate/known/shapes.ts";

/** Where a patch has its value from: another node. */
export type Source = Omit<Reference, "step"> & { readonly node: Node };

/** A patch, whose value another node gives. */
export type NodePatch = Omit<Patch, "from"> & { readonly from: Source };

/** A step. The same node may be several steps of a program. */
export interface Node {
  readonly call: Call;
  /** The fork that made its process; undefined for the first one. */
  readonly process: Node | undefined;
  /** The fork of the process that an argument names; undefined for the first one. */
  readonly named: Node | undefined;
  readonly patches: readonly NodePatch[];
}

/** The nodes of a program. */
export function nodesOf(program: Program): Node[] {
  const nodes: Node[] = [];
  const forks: (Node | undefined)[] = [undefined];
  for (const { process, call, patches = [] } of program) {
    const node: Node = {
      call,
      process: forks[process],
      named: forks[namedProcess(call) ?? 0],
      patches: patches.map(({ from: { step, ...what }, ...where }) => ({
        ...where,
        from: { ...what, node: nodes[step]! },
      })),
    };
    nodes.push(node);
    if (makesProcess(call)) forks.push(node);
  }
  return nodes;
}

/**
 * The program of nodes in their order. What refers to a node that is not
 * before it refers to the last one that makes the same call, or has the plain
 * value of its argument where there is none.
 */
export function programOf(nodes: readonly Node[]): Program {
  const places = new Map<Node, number>();
  const alike = new Map<string, number>();
  const processes = new Map<Node | undefined, number>([[undefined, 0]]);
  let last = 0;
  const program: Step[] = [];
  for (const node of nodes) {
    const { call } = node;
    const patches = node.patches.flatMap(({ from, ...where }): Patch[] => {
      const { node, ...what } = from;
      const step = places.get(node) ?? alike.get(kindOf(node.call));
      return step === undefined ? [] : [{ ...where, from: { ...what, step } }];
    });
    const place = program.push({
      process: processes.get(node.process) ?? 0,
      call: withNamed(call, processes.get(node.named) ?? 0),
      ...patches.length > 0 && { patches },
    }) - 1;
    places.set(node, place);
    alike.set(kindOf(call), place);
    if (makesProcess(call)) processes.set(node, ++last);
  }
  return program;
}

/** What a call is: those of one kind give values of one kind. */
export function kindOf({ verb, args }: Call): string {
  const [, cmd, struct] = args;
  if (verb.args[1]?.[1] !== "command") return verb.name;
  const isTest = cmd === IOMMU_TEST_CMD && struct instanceof Uint8Array &&
    struct.length >= 8;
  return isTest ? `test ${readU32(struct, 4)}` : `ioctl ${cmd}`;
}

function makesProcess({ verb }: Call): boolean {
  return verb.returns === "process";
}

function isProcess(call: Call, arg: number): boolean {
  return call.verb.args[arg]![1] === "process";
}

/** The number of the process that an argument names. */
function namedProcess(call: Call): number | undefined {
  const named = call.args.find((_, i) => isProcess(call, i));
  return named as number | undefined;
}

/** The call with another process named. */
function withNamed(call: Call, process: number): Call {
  const names = namedProcess(call);
  if (names === undefined || names === process) return call;
  const args: Argument[] = call.args.map((arg, i) =>
    isProcess(call, i) ? process : arg
  );
  return { verb: call.verb, args };
}
