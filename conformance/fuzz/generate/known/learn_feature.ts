// SPDX-License-Identifier: GPL-2.0-only

/**
 * The descriptors that features of VFIO devices give.
 *
 * @module
 */

import {
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  VfioDeviceFeature,
} from "../../../../impl/uapi/vfio/feature.ts";
import {
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VfioDeviceFeatureMigState,
} from "../../../../impl/uapi/vfio/migration.ts";
import { type Done, fileOf, opened } from "./learn.ts";
import { readU32 } from "./shapes.ts";

const HOW = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET |
  VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_MASK;
const SHARED = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
const MOVED = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;

/** Where the descriptor of a device's state comes back. */
const DATA_FD = VfioDeviceFeature.size +
  VfioDeviceFeatureMigState.fields.dataFd.offset;

/** Notes a buffer of a BAR, or the file that a device's state is read from or written to. */
export function learnFeature(done: Done): void {
  const { process, step, back, args } = done;
  const { flags } = VfioDeviceFeature.fields;
  const how = readU32(args[2] as Uint8Array, flags.offset) & HOW;
  if (how === SHARED) opened(done, fileOf("DMA buffer", { length: 4096 }));
  if (how !== MOVED || back.length < DATA_FD + 4) return;
  const value = readU32(back, DATA_FD) | 0;
  if (value < 0) return;
  const from = { step, field: { offset: DATA_FD, bytes: 4 as const } };
  const file = fileOf("VFIO data");
  process.fds.set(value, { fd: { value, from }, file, closes: true });
}
