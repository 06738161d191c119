// SPDX-License-Identifier: GPL-2.0-only

/**
 * What a run is asked for.
 *
 * @module
 */

import type { ReportFormat } from "../reports/reports.ts";
import type { Need } from "../../selftests/target/capabilities.ts";
import type { Isolation } from "./run_on_target.ts";
import type { Shard } from "./schedule.ts";
import type { Suite } from "./select.ts";

/** A report that was asked for. */
export interface ReportRequest {
  /** What kind. */
  readonly format: ReportFormat;
  /** The file it goes to; undefined for standard output. */
  readonly path: string | undefined;
}

/** What the command line asks for. */
export interface Options {
  /** What to do. */
  readonly action: "run" | "list" | "explain" | "ladder" | "help" | "version";
  /** Globs over ids: what to explain. */
  readonly ids: readonly string[];
  /** The targets' names, each once. */
  readonly targets: readonly string[];
  /** Name of a revision, or `all`. */
  readonly uapi: string;
  /** Globs over ids. */
  readonly filters: readonly string[];
  /** The part of the suite. */
  readonly suite: Suite;
  /** The part of the selected tests that runs here; undefined for all. */
  readonly shard: Shard | undefined;
  /** The reports; one of them, and annotations beside it, may go to standard output. */
  readonly reports: readonly ReportRequest[];
  /** Time limit of a test in milliseconds. */
  readonly timeoutMs: number;
  /** When a new target is started although nothing broke. */
  readonly isolate: Isolation;
  /** How many targets run tests at the same time. */
  readonly jobs: number;
  /** Run tests in a random order. */
  readonly shuffle: boolean;
  /** Decides the order; undefined to have one chosen. */
  readonly seed: number | undefined;
  /** How often each test runs; undefined for once. */
  readonly repeat: number | undefined;
  /** Run everything until something fails. */
  readonly untilFail: boolean;
  /** Stop after the first failure. */
  readonly failFast: boolean;
  /** Capabilities for want of which no test may be skipped, "" for any. */
  readonly noSkip: readonly (Need | "")[];
  /** The file of known failures. */
  readonly expectations: string | undefined;
  /** Write that file anew. */
  readonly updateExpectations: boolean;
  /** Where what is written there is tracked, if nothing else says so. */
  readonly link: string | undefined;
  /** The folder for the calls of failed tests; undefined for none. */
  readonly transcripts: string | undefined;
}
