// SPDX-License-Identifier: GPL-2.0-only

/**
 * Tells which programs reach code of the model that none reached before. That
 * makes a model slow, so that it is another one than that which the fuzzer
 * compares with, in a worker.
 *
 * @module
 */

import type { RevisionName } from "../../../impl/uapi/revision.ts";
import type { ImplOptions } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";

/** The model that programs run on. */
export interface ScoutOptions {
  readonly uapi: RevisionName;
  /** Without functions, since a worker is told. */
  readonly machine: Pick<
    ImplOptions,
    | "frameOrder"
    | "memory"
    | "container"
    | "hasOnlyCard"
    | "device"
    | "noIommu"
    | "noIommuMode"
  >;
}

/** What programs reached. */
export interface Scouted {
  /** The places of those that reached something new. */
  readonly found: readonly number[];
  /** How many blocks were reached so far, by any. */
  readonly blocks: number;
}

/** Which programs reach new code. */
export interface Scouting {
  /** Runs programs, after those that it was asked for before. */
  scout(programs: readonly Program[]): Promise<Scouted>;
  /** Ends it. */
  close(): void;
}

/** A worker that looks which code programs reach; it is started when it is needed. */
export class Scout implements Scouting {
  readonly #options: ScoutOptions;
  readonly #asked: PromiseWithResolvers<Scouted>[] = [];
  #worker: Worker | undefined;

  /** What programs will run on. */
  constructor(options: ScoutOptions) {
    this.#options = options;
  }

  scout(programs: readonly Program[]): Promise<Scouted> {
    const asked = Promise.withResolvers<Scouted>();
    this.#asked.push(asked);
    this.#worker ??= this.#start();
    this.#worker.postMessage(programs);
    return asked.promise;
  }

  close(): void {
    this.#worker?.terminate();
  }

  #start(): Worker {
    const url = new URL("./scout_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Scouted>) =>
      this.#asked.shift()?.resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const error = new Error(event.message);
      for (const { reject } of this.#asked.splice(0)) reject(error);
    };
    worker.postMessage(this.#options);
    return worker;
  }
}
