// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a device moves to another machine: a strategy that a device may have.
 *
 * @module
 */

/** What a device can do to be moved. */
export interface Migration {
  /** All that the device is, as bytes that another of its kind understands. */
  save(): Uint8Array;
  /** It is what was saved. Throws EINVAL for bytes that no such device saved. */
  load(state: Uint8Array): void;
  /** It goes on; or does no DMA and sends no interrupt until it goes on. */
  run(running: boolean): void;
}
