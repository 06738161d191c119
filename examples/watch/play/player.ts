// SPDX-License-Identifier: GPL-2.0-only

/**
 * Programs that are stepped through, forward and back.
 *
 * The model gives the same answers to the same calls every time, so the state
 * before a step is reached by making all calls up to it anew.
 *
 * @module
 */

import { StepParser } from "../../../conformance/fuzz/program/parse.ts";
import { Scanner } from "../../../conformance/fuzz/program/scanner.ts";
import { MACHINE } from "../../../conformance/fuzz/run/on_model.ts";
import { canonical } from "../../../conformance/fuzz/program/canonical.ts";
import { type Snapshot, snapshot } from "../../../impl/inspect/snapshot.ts";
import type { Errno } from "../../../impl/uapi/errno.ts";
import type { RevisionName } from "../../../impl/uapi/revision.ts";
import { Model } from "../../../selftests/target/impl_target.ts";
import { type Program, StepByStep } from "../../../selftests/target/program.ts";
import { type MadeCall, tellCall } from "./call.ts";

/** A line of a program that makes a call. */
export interface Line {
  /** As it was written, without what is around it. */
  readonly text: string;
  /** The comment in front of it. */
  readonly note: string;
}

/** The kernel after a step, and how it got there. */
export interface Frame {
  /** How many steps were made. */
  readonly position: number;
  /** The last of them; undefined before the first. */
  readonly made: MadeCall | undefined;
  /** What the kernel holds. */
  readonly shot: Snapshot;
}

/** States that are kept. */
const KEPT = 64;
/** States on the way to one that are kept: the one before it, to tell what changed. */
const KEPT_BEFORE = 1;
/** The same on the way back, for who goes on stepping back. */
const KEPT_BEFORE_BACK = 8;

/** A program that can be looked at after each of its steps. */
export class Player {
  /** Its lines that make calls. */
  readonly lines: readonly Line[];
  readonly #program: Program;
  readonly #uapi: RevisionName;
  readonly #frames = new Map<number, Frame>();
  #running: Running;
  #made = 0;

  /** Reads a program. Throws a UsageError that names the line and what is allowed there. */
  constructor(text: string, uapi: RevisionName) {
    const { lines, program } = read(text, uapi);
    this.lines = lines;
    this.#program = program;
    this.#uapi = uapi;
    this.#running = new Running(program, uapi);
  }

  /** Calls that were made altogether, for tests: each way back makes them again. */
  get made(): number {
    return this.#made;
  }

  /** The kernel after so many steps. */
  at(position: number): Frame {
    const kept = this.#frames.get(position);
    if (kept !== undefined) return kept;
    const goesBack = this.#running.position > position;
    if (goesBack) this.#running = new Running(this.#program, this.#uapi);
    const running = this.#running;
    const keepFrom = position - (goesBack ? KEPT_BEFORE_BACK : KEPT_BEFORE);
    while (running.position < position) {
      if (running.position >= keepFrom) this.#keep(running);
      running.step();
      this.#made++;
    }
    return this.#keep(running);
  }

  #keep(running: Running): Frame {
    const { position } = running;
    const frame = this.#frames.get(position) ?? running.frame();
    this.#frames.delete(position);
    this.#frames.set(position, frame);
    const [oldest] = this.#frames.keys();
    if (this.#frames.size > KEPT) this.#frames.delete(oldest!);
    return frame;
  }
}

/** Reads a program, and which comment stands in front of each call. */
function read(
  text: string,
  uapi: RevisionName,
): { lines: Line[]; program: Program } {
  const parser = new StepParser(uapi);
  const lines: Line[] = [];
  let notes: string[] = [];
  for (const [index, content] of text.split("\n").entries()) {
    const line = new Scanner(content, index + 1);
    const trimmed = content.trim();
    if (!line.isAtEnd) {
      parser.step(line);
      lines.push({ text: trimmed, note: notes.join(" ") });
      notes = [];
    } else if (trimmed === "") {
      notes = [];
    } else {
      notes.push(trimmed.replace(/^#\s*/, ""));
    }
  }
  return { lines, program: canonical(parser.program) };
}

/** A program that is being carried out on a machine of its own. */
class Running {
  position = 0;
  readonly #program: Program;
  readonly #uapi: RevisionName;
  readonly #model: Model;
  readonly #steps: StepByStep;
  #last: Parameters<typeof tellCall>[0] | undefined;

  constructor(program: Program, uapi: RevisionName) {
    this.#program = program;
    this.#uapi = uapi;
    this.#model = new Model(uapi, MACHINE);
    this.#steps = new StepByStep(this.#model);
  }

  step(): void {
    const step = this.#program[this.position++]!;
    const { kernel } = this.#model;
    // The step writes into what it is given.
    const { verb, args } = this.#steps.resolved(step)?.call ?? step.call;
    const before = { verb, args: structuredClone(args) };
    kernel.lastErrno = undefined;
    const outcome = this.#steps.make(step);
    const errno: Errno | undefined = kernel.lastErrno;
    this.#last = { program: this.#program, step, before, outcome, errno };
  }

  frame(): Frame {
    return {
      position: this.position,
      made: this.#last && tellCall(this.#last, this.#uapi),
      shot: snapshot(this.#model.kernel, { pageTables: true }),
    };
  }
}
