// SPDX-License-Identifier: GPL-2.0-only

/**
 * Measuring with a compiler of its own, so that figures do not depend on what
 * was measured before: V8 compiles a function for all that it was called with.
 *
 * @module
 */

import type { Effort, Result } from "./measure.ts";

/** What is to be measured. */
export interface Order {
  /** Names of operations. */
  readonly names: ReadonlySet<string>;
  readonly effort: Effort;
}

/** What a worker of its own measures of all scenarios that have one of the operations. Rejects if there is no such operation. */
export async function measureAfresh(order: Order): Promise<Result[]> {
  const url = new URL("./worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data as Result[]);
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(order);
    });
  } finally {
    worker.terminate();
  }
}
