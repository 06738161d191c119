// SPDX-License-Identifier: GPL-2.0-only

/**
 * Processes that we started, together with those that they started: what must
 * not outlive us.
 *
 * @module
 */

/** Signals that end us. */
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The groups that have not ended. */
const running = new Set<ProcessGroup>();

/** A child that was started detached: it leads a process group of its own. */
export class ProcessGroup {
  readonly #child: Deno.ChildProcess;

  /** Takes a child in hand: if we are ended, it is. What it started ends with it. */
  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    if (running.size === 0) listen();
    running.add(this);
    child.status.then(() => this.kill());
  }

  /** Ends all its processes, unless they have ended. */
  kill(): void {
    // The number may be another's after that.
    if (!running.delete(this)) return;
    if (running.size === 0) unlisten();
    try {
      Deno.kill(-this.#child.pid, "SIGKILL");
      return;
    } catch {
      // All have ended, or we may only end what we started ourselves.
    }
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** A terminal sends its signals to our group only: the others would stay. */
function listen(): void {
  for (const signal of ENDING) Deno.addSignalListener(signal, HANDLERS[signal]);
  globalThis.addEventListener("unload", killAll);
}

function unlisten(): void {
  for (const signal of ENDING) {
    Deno.removeSignalListener(signal, HANDLERS[signal]);
  }
  globalThis.removeEventListener("unload", killAll);
}

function killAll(): void {
  for (const group of [...running]) group.kill();
}

const HANDLERS = {
  SIGINT: () => endWith("SIGINT"),
  SIGTERM: () => endWith("SIGTERM"),
  SIGHUP: () => endWith("SIGHUP"),
};

/** Ends our children, then us, as the signal would have done. */
function endWith(signal: typeof ENDING[number]): void {
  killAll();
  Deno.kill(Deno.pid, signal);
}
