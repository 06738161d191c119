// SPDX-License-Identifier: GPL-2.0-only

/**
 * Time for tests of time limits: it stands still until the test lets it pass.
 * So a limit is not missed on a busy machine, and one that is to be missed is
 * missed at once.
 *
 * @module
 */

type TimerId = ReturnType<typeof setTimeout>;

/** A timer that was set. */
interface Timer {
  readonly ms: number;
  readonly due: number;
  readonly fire: () => void;
}

const { setTimeout, clearTimeout } = globalThis;

/** A timer of no more milliseconds is a pause and no limit: it stays as it is. */
const PAUSE_MS = 10;
/** How far the clock goes when it is looked at: what is left of a limit is no pause. */
const TICK_MS = 2 * PAUSE_MS;
/** How many times too late a timer fires by itself: a test that waits for it fails, but ends. */
const LATE = 100;

/** Stands in for the clock and the timers of a test file, until it is disposed. */
export class TestTime implements Disposable {
  /** By the real timer that stands behind each. */
  readonly #timers = new Map<TimerId, Timer>();
  #now = performance.now();
  /** Timers of no more milliseconds fire at once. */
  #passing = 0;

  /** Time stands still from here on. */
  constructor() {
    globalThis.setTimeout =
      ((fire: () => void, ms = 0) => this.#set(fire, ms)) as typeof setTimeout;
    globalThis.clearTimeout = ((id: TimerId) => {
      this.#timers.delete(id);
      clearTimeout(id);
    }) as typeof clearTimeout;
    performance.now = () => this.#tick();
  }

  /**
   * Lets timers of at most so many milliseconds fire at once, those that wait
   * and those that are set from now on: 0 for none, Infinity for all.
   */
  pass(ms: number): void {
    this.#passing = ms;
    setTimeout(() => this.#firePassing(), 0);
  }

  /** Lets so many milliseconds pass for all. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.#fireFirst(({ due }) => due <= end));
    this.#now = end;
  }

  /** Time is real again. */
  [Symbol.dispose](): void {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    Reflect.deleteProperty(performance, "now");
    for (const id of this.#timers.keys()) clearTimeout(id);
  }

  /** The time; of two limits, that which was set later is the later one. */
  #tick(): number {
    return this.#now += TICK_MS;
  }

  #set(fire: () => void, ms: number): TimerId {
    const late = ms <= PAUSE_MS ? ms : ms * LATE;
    const id = setTimeout(() => this.#fire(id), late);
    this.#timers.set(id, { ms, due: this.#tick() + ms, fire });
    if (ms <= this.#passing) setTimeout(() => this.#firePassing(), 0);
    return id;
  }

  /** Fires one; what it leads to comes before the next. */
  #firePassing(): void {
    if (this.#fireFirst(({ ms }) => ms <= this.#passing)) {
      setTimeout(() => this.#firePassing(), 0);
    }
  }

  /** Fires the timer of this kind that is due first; false if there is none. */
  #fireFirst(isMeant: (timer: Timer) => boolean): boolean {
    const [first] = [...this.#timers].filter(([, timer]) => isMeant(timer))
      .sort(([, a], [, b]) => a.due - b.due);
    if (first) this.#fire(first[0]);
    return first !== undefined;
  }

  #fire(id: TimerId): void {
    const { due, fire } = this.#timers.get(id)!;
    this.#timers.delete(id);
    clearTimeout(id);
    this.#now = Math.max(this.#now, due);
    fire();
  }
}
