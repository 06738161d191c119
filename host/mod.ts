// SPDX-License-Identifier: GPL-2.0-only

/**
 * Real programs on a model: for tests that drive a client of iommufd which is
 * written in C, Rust, Go, Python, or anything else. Linux only; it needs
 * `--allow-ffi`, `--allow-env`, `--allow-sys`, `--allow-read` and
 * `--allow-write`.
 *
 * ```ts
 * import { hostKernel, run } from "@iommufd/kit/host";
 *
 * const kernel = hostKernel({ revision: "6.12" });
 * const { code, stdout, left } = await run("./client", [], { kernel, uid: 1000 });
 * ```
 *
 * @module
 */

export {
  CannotRun,
  type RunningProgram,
  type StartOptions,
  type Stdio,
} from "./run/program.ts";
export { run, type RunOptions, type RunResult } from "./run/run.ts";
export { hostKernel, type HostKernelOptions, start } from "./run/start.ts";
export type { WatchedCall, Watcher } from "./calls/watcher.ts";
export type { Step } from "./watch/failing_step.ts";
export type { ProgramStatus } from "./watch/status.ts";
