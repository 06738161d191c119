// SPDX-License-Identifier: GPL-2.0-only

/**
 * Waiting, but not for ever.
 *
 * @module
 */

/** What a promise resolves to, or undefined when it takes too long. */
export async function within<T>(
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
