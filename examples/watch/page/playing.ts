// SPDX-License-Identifier: GPL-2.0-only

/**
 * Steps that are made one after the other, until somebody stops it.
 *
 * @module
 */

/** What plays, and what is to know of it. */
export interface PlayingOptions {
  /** Makes a step; false where there is no further one. */
  readonly step: () => boolean;
  /** Milliseconds from a step to the next. */
  readonly pause: () => number;
  /** It begins or ends. */
  readonly onChange: (isOn: boolean) => void;
}

/** A player's button: on or off. */
export class Playing {
  readonly #options: PlayingOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Off at first. */
  constructor(options: PlayingOptions) {
    this.#options = options;
  }

  /** Begins with a step at once, or ends. */
  toggle(): void {
    if (this.#timer !== undefined) return this.stop();
    this.#options.onChange(true);
    this.#next();
  }

  /** Ends; nothing where it is off. */
  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#options.onChange(false);
  }

  #next(): void {
    const { step, pause } = this.#options;
    this.#timer = setTimeout(() => this.#next(), pause());
    if (!step()) this.stop();
  }
}
