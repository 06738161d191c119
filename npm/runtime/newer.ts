// SPDX-License-Identifier: GPL-2.0-only

/**
 * What the runner uses of newer JavaScript, and of web pages, where Node does
 * not have it. The model needs none of it.
 *
 * @module
 */

import { webcrypto } from "node:crypto";
import { cpus } from "node:os";
import process from "node:process";

/** Gives an object what it does not have yet. */
function complete(target: object, members: object): void {
  for (const [name, value] of Object.entries(members)) {
    if (name in target) continue;
    Object.defineProperty(target, name, {
      value,
      writable: true,
      configurable: true,
    });
  }
}

function groupsOf<K, T>(
  items: Iterable<T>,
  keyOf: (item: T, index: number) => K,
): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

complete(Map, { groupBy: groupsOf });

complete(Object, {
  groupBy: <K extends PropertyKey, T>(
    items: Iterable<T>,
    keyOf: (item: T, index: number) => K,
  ) => Object.fromEntries(groupsOf(items, keyOf)),
});

complete(Array.prototype, {
  toReversed<T>(this: T[]) {
    return [...this].reverse();
  },
  toSorted<T>(this: T[], compare?: (a: T, b: T) => number) {
    return [...this].sort(compare);
  },
  toSpliced<T>(this: T[], start: number, count: number, ...items: T[]) {
    const all = [...this];
    all.splice(start, count, ...items);
    return all;
  },
  with<T>(this: T[], index: number, value: T) {
    const all = [...this];
    all[index] = value;
    return all;
  },
});

complete(Promise, {
  try: async <T>(act: () => T) => await act(),
  withResolvers<T>() {
    let resolve!: (value: T) => void;
    let reject!: (reason: unknown) => void;
    const promise = new Promise<T>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    return { promise, resolve, reject };
  },
});

complete(Set.prototype, {
  union<T>(this: Set<T>, others: Iterable<T>) {
    return new Set([...this, ...others]);
  },
});

complete(Uint8Array, {
  fromHex: (hex: string) => Uint8Array.from(Buffer.from(hex, "hex")),
});

complete(Uint8Array.prototype, {
  toHex(this: Uint8Array) {
    return Buffer.from(this.buffer, this.byteOffset, this.length)
      .toString("hex");
  },
});

complete(globalThis, {
  crypto: webcrypto,
  navigator: { hardwareConcurrency: cpus().length },
});

// Of a page's events there is the end, which is that of the process.
complete(globalThis, {
  addEventListener: (_name: "unload", act: () => void) =>
    process.on("exit", act),
  removeEventListener: (_name: "unload", act: () => void) =>
    process.off("exit", act),
});
