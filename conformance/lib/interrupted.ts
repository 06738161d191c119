// SPDX-License-Identifier: GPL-2.0-only

/**
 * A run that is ended from outside.
 *
 * @module
 */

/** Why a run ended early: its message is a sentence. An {@link AbortSignal} carries it. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

/** What a promise resolves to, unless the signal comes first: then it rejects with the signal's reason. */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  promise: Promise<T>,
): Promise<T> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
