// SPDX-License-Identifier: GPL-2.0-only

/**
 * A target that notes which part of the API it is asked for.
 *
 * @module
 */

import type {
  Outcome,
  Program,
  Target,
  TargetInfo,
  Timing,
} from "../../selftests/target/target.ts";
import { type Call, isIoctl, structOf } from "../../selftests/target/verbs.ts";
import type { Coverage } from "./coverage.ts";
import { noteProgram } from "./covered_program.ts";
import { type Kind, OpenFiles } from "./open_files.ts";

const NOTHING = new Uint8Array(0);

/** The same target, of which `coverage` is told what it does. */
export function covered(target: Target, coverage: Coverage): Target {
  return new CoveredTarget(target, coverage);
}

class CoveredTarget implements Target {
  readonly info: TargetInfo;
  readonly #target: Target;
  readonly #coverage: Coverage;
  #files: OpenFiles;
  readonly takeStderr?: () => string;

  constructor(target: Target, coverage: Coverage) {
    this.info = target.info;
    this.#target = target;
    this.#coverage = coverage;
    this.#files = new OpenFiles(this.#container([]));
    if (target.takeStderr) this.takeStderr = () => target.takeStderr!();
    if (target.time) {
      this.time = (process, times, calls) =>
        target.time!(process, times, calls);
    }
    if (target.program) this.program = (program) => this.#program(program);
  }

  /** What `/dev/vfio/vfio` is for who needs this. */
  #container(needs: readonly string[]): Kind {
    const { capabilities } = this.info;
    const isOwn = capabilities.includes("type1_container") &&
      (needs.includes("type1_container") || !capabilities.includes("vfio"));
    return isOwn ? "container" : "iommufd";
  }

  async spawn(needs: readonly string[] = []): Promise<number> {
    if (needs.length > 0) this.#files = new OpenFiles(this.#container(needs));
    return await this.#target.spawn(needs);
  }

  async make(process: number, calls: readonly Call[]): Promise<number[]> {
    const sent = calls.map(sentOf);
    const results = await this.#target.make(process, calls);
    for (const [index, call] of calls.entries()) {
      const result = results[index]!;
      const ioctl = sent[index];
      if (ioctl) {
        const back = structOf(call) ?? NOTHING;
        this.#coverage.note(this.#files, process, ioctl, result, back);
      } else {
        this.#files.follow(process, call, result);
      }
    }
    return results;
  }

  time?: (
    process: number,
    times: number,
    calls: readonly Call[],
  ) => Promise<Timing>;

  program?: (program: Program) => Promise<Outcome[]>;

  async #program(program: Program): Promise<Outcome[]> {
    const outcomes = await this.#target.program!(program);
    noteProgram(this.#coverage, program, outcomes, this.#container([]));
    return outcomes;
  }

  reset(): Promise<string[]> {
    this.#files = new OpenFiles(this.#container([]));
    return this.#target.reset();
  }

  close(): Promise<void> {
    return this.#target.close();
  }
}

/** An ioctl with a struct of its own, which the one that is made writes to; undefined for another call. */
function sentOf(call: Call): Call | undefined {
  if (!isIoctl(call)) return undefined;
  const { verb, args: [fd, cmd, arg] } = call;
  const own = arg instanceof Uint8Array ? arg.slice() : arg!;
  return { verb, args: [fd!, cmd!, own] };
}
