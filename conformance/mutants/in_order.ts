// SPDX-License-Identifier: GPL-2.0-only

/**
 * Work on many things, a few at a time.
 *
 * @module
 */

/** A thing, what became of it, and how long that took. */
export interface Done<Item, Result> {
  readonly item: Item;
  readonly result: Result;
  readonly ms: number;
}

/** Does something with all items, `jobs` at a time; yields them in order. */
export async function* inOrder<Item, Result>(
  items: readonly Item[],
  jobs: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Done<Item, Result>> {
  const all = items.map((item) => ({
    item,
    ...Promise.withResolvers<Done<Item, Result>>(),
  }));
  const queue = all.values();
  async function worker(): Promise<void> {
    for (const { item, resolve, reject } of queue) {
      const start = performance.now();
      await work(item).then((result) => {
        resolve({ item, result, ms: performance.now() - start });
      }, reject);
    }
  }
  const workers = Array.from({ length: jobs }, worker);
  for (const { promise } of all) yield await promise;
  await Promise.all(workers);
}
