// SPDX-License-Identifier: GPL-2.0-only

/**
 * The states of a device that moves, and which way leads from one to another.
 *
 * Linux: vfio_mig_get_next_state of drivers/vfio/vfio_main.c.
 *
 * @module
 */

import { EINVAL } from "../../uapi/errno.ts";
import {
  VFIO_DEVICE_STATE_ERROR,
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P,
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_DEVICE_STATE_RUNNING_P2P,
  VFIO_DEVICE_STATE_STOP_COPY,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY,
} from "../../uapi/vfio/migration.ts";

/**
 * The first step from one state (a row, by its number) to another (a digit of
 * it, by its number): the shortest way that does not begin to read the device
 * in between. 0 where there is none.
 */
const STEPS: readonly string[] = [
  "00000000",
  "01534555",
  "05255565",
  "01131100",
  "01114111",
  "01211527",
  "02272267",
  "05535567",
];

/** What a device must be able to do for a state, besides STOP_COPY. */
const NEEDS: readonly number[] = [
  0,
  0,
  0,
  0,
  0,
  VFIO_MIGRATION_P2P,
  VFIO_MIGRATION_PRE_COPY,
  VFIO_MIGRATION_PRE_COPY | VFIO_MIGRATION_P2P,
];

/**
 * The next state on the way, past those that a device with `flags` has not.
 * Throws EINVAL where no way leads there.
 */
export function nextState(flags: number, from: number, to: number): number {
  const has = (state: number) => (NEEDS[state]! & ~flags) === 0;
  const exists = to > VFIO_DEVICE_STATE_ERROR && to < STEPS.length && has(to);
  let next = from;
  do next = exists ? Number(STEPS[next]![to]) : VFIO_DEVICE_STATE_ERROR; while (
    !has(next)
  );
  if (next === VFIO_DEVICE_STATE_ERROR) {
    throw EINVAL.because("no way leads to the state");
  }
  return next;
}

const RUNNING = new Set([
  VFIO_DEVICE_STATE_RUNNING,
  VFIO_DEVICE_STATE_RUNNING_P2P,
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P,
]);
const PRE_COPY = new Set([
  VFIO_DEVICE_STATE_PRE_COPY,
  VFIO_DEVICE_STATE_PRE_COPY_P2P,
]);

/** Whether a device runs in a state. */
export function isRunning(state: number): boolean {
  return RUNNING.has(state);
}

/** Whether it is read while it runs. */
export function isPreCopy(state: number): boolean {
  return PRE_COPY.has(state);
}

/** Whether it is read. */
export function isSaving(state: number): boolean {
  return isPreCopy(state) || state === VFIO_DEVICE_STATE_STOP_COPY;
}
