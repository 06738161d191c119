// SPDX-License-Identifier: GPL-2.0-only

/**
 * Signals that end this program, and what is to be done before.
 *
 * @module
 */

/** The signals, by their numbers. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** A signal that ends a program, such as the one of Ctrl-C. */
export type EndingSignal = keyof typeof SIGNALS;

/** What is done before this program ends, whatever ends it. */
const lastActs = new Set<() => void>();
/** Who ends what it does in good order when it is asked to. */
const runs = new Set<(signal: EndingSignal) => void>();

/** The exit code of a program that ended because of a signal. */
export function exitCodeOf(signal: EndingSignal): number {
  return 128 + SIGNALS[signal];
}

/** Does something before this program ends; what is returned takes that back. */
export function beforeEnd(act: () => void): () => void {
  return register(lastActs, act);
}

/**
 * Calls `stop` for a signal that would end this program, once: the second one
 * ends it. What is returned takes that back.
 */
export function onSignal(stop: (signal: EndingSignal) => void): () => void {
  return register(runs, stop);
}

function register<T>(set: Set<T>, member: T): () => void {
  const wasIdle = isIdle();
  set.add(member);
  if (wasIdle) listen();
  return () => remove(set, member);
}

function remove<T>(set: Set<T>, member: T): void {
  if (set.delete(member) && isIdle()) unlisten();
}

function isIdle(): boolean {
  return lastActs.size + runs.size === 0;
}

const HANDLERS = new Map(
  (Object.keys(SIGNALS) as EndingSignal[]).map((signal) => [
    signal,
    () => handle(signal),
  ]),
);

function listen(): void {
  for (const [signal, handler] of HANDLERS) {
    Deno.addSignalListener(signal, handler);
  }
  globalThis.addEventListener("unload", finish);
}

function unlisten(): void {
  for (const [signal, handler] of HANDLERS) {
    Deno.removeSignalListener(signal, handler);
  }
  globalThis.removeEventListener("unload", finish);
}

function handle(signal: EndingSignal): void {
  const stops = [...runs];
  for (const stop of stops) {
    remove(runs, stop);
    stop(signal);
  }
  if (stops.length > 0) return;
  finish();
  // Nobody listens any more: now it does what it always does.
  Deno.kill(Deno.pid, signal);
}

function finish(): void {
  for (const act of [...lastActs]) {
    remove(lastActs, act);
    act();
  }
}
