// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a program ended.
 *
 * @module
 */

/** The signals by their numbers, on x86-64 and aarch64 alike. */
const SIGNALS: readonly Deno.Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

/** How a program ended: by itself, or by a signal. */
export interface ProgramStatus {
  /** True if it ended by itself with 0. */
  readonly success: boolean;
  /** Its exit status; 128 and the number of the signal that ended it. */
  readonly code: number;
  /** The name of the signal that ended it, if one did. */
  readonly signal: string | null;
}

/** What `wait` told, as a status. */
export function statusOf(wait: number): ProgramStatus {
  const signal = wait & 0x7f;
  const code = signal === 0 ? (wait >> 8) & 0xff : 128 + signal;
  return { success: code === 0, code, signal: signalName(signal) };
}

/** The name of a signal; null for 0. Those for real time have numbers only. */
function signalName(signal: number): string | null {
  return signal === 0 ? null : SIGNALS[signal - 1] ?? `signal ${signal}`;
}

/** The number of a signal. Throws a TypeError for what is none. */
export function signalNumber(signal: Deno.Signal): number {
  const index = SIGNALS.indexOf(signal);
  if (index < 0) throw new TypeError(`${signal} is no signal of Linux`);
  return index + 1;
}

/** What `wait` told, in words; -1 where it told nothing. */
export function describeStatus(wait: number): string {
  return wait < 0 ? "ended" : describeEnd(statusOf(wait));
}

/** How a program ended, in words. */
export function describeEnd({ code, signal }: ProgramStatus): string {
  return signal === null ? `exited with ${code}` : `killed by ${signal}`;
}
