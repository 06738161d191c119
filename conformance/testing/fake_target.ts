// SPDX-License-Identifier: GPL-2.0-only

/**
 * Targets and tests that behave as they are told, to test the runner with.
 *
 * @module
 */

import {
  NEWEST,
  REVISION_NAMES,
  type RevisionName,
} from "../../impl/uapi/revision.ts";
import type { Test } from "../../selftests/harness/harness.ts";
import { tableTest } from "../../selftests/harness/table.ts";
import type {
  Target,
  TargetInfo,
  TargetProcess,
} from "../../selftests/target/target.ts";
import type { Call } from "../../selftests/target/verbs.ts";

/** How a fake target misbehaves. */
export interface FakeTargetOptions {
  /** Its revision; default the newest. */
  readonly uapi?: RevisionName;
  /** What it offers; default nothing. */
  readonly capabilities?: readonly string[];
  /** What ioctls return; default 0. */
  readonly ioctlResult?: number;
  /** What each reset finds. */
  readonly problems?: readonly string[];
  /** What it calls itself; default `fake`. */
  readonly name?: string;
  /** What it wrote to standard error, whenever that is asked for. */
  readonly stderr?: string;
  /** Rejects every spawn with this. */
  readonly spawnError?: Error;
  /** Rejects every reset with this. */
  readonly resetError?: Error;
}

/** What calls return that return anything but 0. */
const RESULTS: Readonly<Record<string, number>> = {
  open: 3,
  mmap: 0x7f0000000000,
  memfd: 4,
  eventfd: 5,
};

/** A target without a kernel: calls do nothing. It counts what is done to it. */
export class FakeTarget implements Target {
  readonly info: TargetInfo;
  /** How often each method was called. */
  readonly counts = { spawn: 0, reset: 0, close: 0 };
  readonly #options: FakeTargetOptions;
  #processes = 0;

  constructor(options: FakeTargetOptions = {}) {
    this.#options = options;
    this.info = {
      name: options.name ?? "fake",
      version: "1.2.3",
      uapi: options.uapi ?? NEWEST,
      pageSize: 4096,
      hugePageSize: 2 * 1024 * 1024,
      capabilities: options.capabilities ?? [],
    };
  }

  spawn(): Promise<number> {
    this.counts.spawn++;
    const { spawnError } = this.#options;
    if (spawnError) return Promise.reject(spawnError);
    return Promise.resolve(++this.#processes);
  }

  make(_process: number, calls: readonly Call[]): Promise<number[]> {
    return Promise.resolve(calls.map((call) => this.#result(call)));
  }

  #result({ verb, args }: Call): number {
    if (verb.returns === "process") return ++this.#processes;
    if (verb.args.some(([, kind]) => kind === "command")) {
      return this.#options.ioctlResult ?? 0;
    }
    if (verb.name === "pipe") (args[0] as number[]).splice(0, 2, 6, 7);
    return RESULTS[verb.name] ?? 0;
  }

  reset(): Promise<string[]> {
    this.counts.reset++;
    const { resetError, problems } = this.#options;
    if (resetError) return Promise.reject(resetError);
    return Promise.resolve([...problems ?? []]);
  }

  takeStderr(): string {
    return this.#options.stderr ?? "";
  }

  close(): Promise<void> {
    this.counts.close++;
    return Promise.resolve();
  }
}

/** What is known of a test that is named `fixture.variant.test` or `fixture.test`. */
function fakeAbout(id: string, more: Partial<Test>): Omit<Test, "run"> {
  const parts = id.split(".");
  return {
    id,
    fixture: parts[0]!,
    variant: parts.length > 2 ? parts[1] : undefined,
    name: parts.at(-1)!,
    uapi: REVISION_NAMES,
    needs: [],
    knownBug: undefined,
    skipsItself: undefined,
    upstream: true,
    program: more.upstream === false ? undefined : "iommufd",
    description: `Checks ${id}`,
    reference: "none",
    rules: [],
    ...more,
  };
}

/** A test with a body, named `fixture.variant.test` or `fixture.test`. */
export function fakeTest(
  id: string,
  run: Test["run"],
  more: Partial<Test> = {},
): Test {
  return { ...fakeAbout(id, more), run };
}

/** A test that passes at once. */
export function passingTest(id: string, more: Partial<Test> = {}): Test {
  return fakeTest(id, () => Promise.resolve(), more);
}

/** A test of this kit with cases by name. */
export function fakeTable(
  id: string,
  cases: Readonly<Record<string, (process: TargetProcess) => Promise<unknown>>>,
): Test {
  return tableTest<TargetProcess>(
    fakeAbout(id, { upstream: false }),
    (t) => {
      for (const [name, body] of Object.entries(cases)) {
        t.case(name, async (process) => {
          await body(process);
        });
      }
    },
    (process) =>
      Promise.resolve({ state: process, end: () => Promise.resolve() }),
  );
}
