// SPDX-License-Identifier: GPL-2.0-only

/**
 * A program of ours in a process of its own, with an import map in which a
 * mutant is. It tells what it does, an event as JSON on each line of its
 * standard output, and is ended when it computes for too long.
 *
 * @module
 */

/** Milliseconds of processor time for loading the modules; mutants of functions do not matter there. */
const LOAD_MS = 60_000;

/** Seconds of processor time after which it ends in any case. */
const MOST_SECONDS = 900;

/** A program that runs; `Event` is what it tells. */
export class Child<Event> {
  readonly #process: Deno.ChildProcess;
  readonly #stderr: Promise<string>;
  readonly #watch: Watch;

  /** Starts a program of this folder with an order, its only argument. It may do what `permissions` say. */
  constructor(
    path: string,
    importMap: string,
    order: unknown,
    permissions: readonly string[] = [],
  ) {
    this.#process = new Deno.Command("sh", {
      args: [
        "-c",
        // Nobody else ends one that hangs when its parent is no more; and what a
        // mutant covers says nothing of the model.
        `ulimit -t ${MOST_SECONDS}; unset DENO_COVERAGE_DIR; exec "$0" "$@"`,
        Deno.execPath(),
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        "--no-lock",
        `--import-map=${importMap}`,
        ...permissions,
        new URL(path, import.meta.url).href,
        JSON.stringify(order),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stderr = new Response(this.#process.stderr).text();
    this.#watch = new Watch(this.#process, LOAD_MS);
  }

  /** Whether it was ended because it computed for too long. */
  get expired(): boolean {
    return this.#watch.expired;
  }

  /** What it tells, as it comes. */
  async *events(): AsyncGenerator<Event> {
    let rest = "";
    const { stdout } = this.#process;
    for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield JSON.parse(line) as Event;
    }
  }

  /** Allows it some milliseconds of processor time beyond what it has had. */
  allow(ms: number, processorMs: number): void {
    this.#watch.start(ms, processorMs + ms);
  }

  /** Waits for its end; the first line of what it wrote to its standard error. */
  async end(): Promise<string> {
    this.#watch.end();
    await this.#process.status;
    return (await this.#stderr).trim().split("\n", 1)[0]!;
  }
}

/**
 * Ends a child that computes for too long. Other work on the machine does not
 * count, except where a system does not tell what a process has had.
 */
class Watch {
  /** Whether it did. */
  expired = false;
  readonly #child: Deno.ChildProcess;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(child: Deno.ChildProcess, ms: number) {
    this.#child = child;
    this.start(ms, ms);
  }

  /** It is gone. */
  end(): void {
    clearTimeout(this.#timer);
  }

  /** Looks after some time whether the child has had its `limit`. */
  start(ms: number, limit: number): void {
    this.end();
    this.#timer = setTimeout(() => {
      const left = limit - (processorMs(this.#child) ?? limit);
      if (left > 0) return this.start(left, limit);
      this.expired = true;
      this.#child.kill("SIGKILL");
    }, ms);
  }
}

/** Milliseconds of processor time that a process has had; undefined where Linux does not tell. */
function processorMs({ pid }: Deno.ChildProcess): number | undefined {
  const { stdout, success } = new Deno.Command("cat", {
    args: [`/proc/${pid}/stat`],
    stderr: "null",
  }).outputSync();
  if (!success) return undefined;
  // Behind the program's name in brackets; the time in ticks of 10 ms.
  const fields = new TextDecoder().decode(stdout).split(") ").at(-1)!
    .split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
