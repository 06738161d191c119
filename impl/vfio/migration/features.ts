// SPDX-License-Identifier: GPL-2.0-only

/**
 * FEATURE of devices that can move.
 *
 * Linux: vfio_ioctl_device_feature_mig_device_state and those beside it in
 * drivers/vfio/vfio_main.c.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { asErrno } from "../../uapi/errno.ts";
import { RLIMIT_NOFILE } from "../../uapi/mman.ts";
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2,
  VFIO_DEVICE_FEATURE_SET,
} from "../../uapi/vfio/feature.ts";
import {
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VfioDeviceFeatureMigDataSize,
  VfioDeviceFeatureMigration,
  VfioDeviceFeatureMigState,
} from "../../uapi/vfio/migration.ts";
import type { Feature } from "../pci/features.ts";
import type { VfioPciDevice } from "../pci/pci_device.ts";
import { loadStruct } from "../pci/structs.ts";

const canMove = ({ pci }: VfioPciDevice): boolean =>
  pci.device.migration !== undefined;

/** Those features, by their numbers. */
export const MIGRATION_FEATURES: readonly (readonly [number, Feature])[] = [
  [VFIO_DEVICE_FEATURE_MIGRATION, {
    ops: VFIO_DEVICE_FEATURE_GET,
    size: VfioDeviceFeatureMigration.size,
    exists: canMove,
    run({ migration }, task, uaddr): number {
      const flags = BigInt(migration!.flags);
      task.mm.copyToUser(uaddr, VfioDeviceFeatureMigration.encode({ flags }));
      return 0;
    },
  }],
  [VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, {
    ops: VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
    size: VfioDeviceFeatureMigState.size,
    exists: canMove,
    run: deviceState,
  }],
  [VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, {
    ops: VFIO_DEVICE_FEATURE_GET,
    size: VfioDeviceFeatureMigDataSize.size,
    exists: canMove,
    run({ migration }, task, uaddr): number {
      const stopCopyLength = BigInt(migration!.dataSize);
      const bytes = VfioDeviceFeatureMigDataSize.encode({ stopCopyLength });
      task.mm.copyToUser(uaddr, bytes);
      return 0;
    },
  }],
  [VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2, {
    ops: VFIO_DEVICE_FEATURE_SET,
    size: 0,
    exists: canMove,
    run({ migration }): number {
      migration!.knowsFlags = true;
      return 0;
    },
  }],
];

/** Tells the state, or goes to another: an error comes with the struct written all the same. Throws EFAULT, EMFILE, and as `setState`. */
function deviceState(
  { migration }: VfioPciDevice,
  task: Task,
  uaddr: number,
  flags: number,
): number {
  const layout = VfioDeviceFeatureMigState;
  const { bytes, cmd: data } = loadStruct(task, uaddr, layout);
  data.dataFd = -1;
  if (flags & VFIO_DEVICE_FEATURE_GET) {
    data.deviceState = migration!.state;
    task.mm.copyToUser(uaddr, bytes);
    return 0;
  }
  let file;
  try {
    file = migration!.setState(data.deviceState);
  } catch (error) {
    asErrno(error);
    task.mm.copyToUser(uaddr, bytes);
    throw error;
  }
  if (file === undefined) {
    task.mm.copyToUser(uaddr, bytes);
    return 0;
  }
  const limit = task.rlimit(RLIMIT_NOFILE);
  try {
    task.files.answerAndInstall(file, limit, (fd) => {
      data.dataFd = fd;
      task.mm.copyToUser(uaddr, bytes);
    });
    return 0;
  } catch (error) {
    file.put();
    throw error;
  }
}
