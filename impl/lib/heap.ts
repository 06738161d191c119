// SPDX-License-Identifier: GPL-2.0-only

/**
 * Min-heaps of numbers, as plain arrays: the lowest is the first.
 *
 * @module
 */

/** Adds a number to a min-heap. */
export function pushHeap(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

/** Takes the lowest number out of a min-heap that is not empty. */
export function popLowest(heap: number[]): void {
  const value = heap.pop()!;
  const length = heap.length;
  if (length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= length) break;
    if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = value;
}
