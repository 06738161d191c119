// SPDX-License-Identifier: GPL-2.0-only

/**
 * VFIO_DEVICE_FEATURE: what a device may have.
 *
 * A plain PCI device has low power and DMA buffers of its BARs; what needs a
 * driver of the device's own (migration, logs of DMA) is there if the device
 * can do it. Linux:
 * vfio_ioctl_device_feature of vfio_main.c, vfio_pci_core_ioctl_feature.
 *
 * @module
 */

import type { Task } from "../../kernel/interfaces/task.ts";
import { EINVAL, ENOTTY } from "../../uapi/errno.ts";
import {
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  VfioDeviceFeature,
  VfioDeviceFeatureDmaBuf,
} from "../../uapi/vfio/feature.ts";
import { LOGGING_FEATURES } from "../migration/dma_logging.ts";
import { MIGRATION_FEATURES } from "../migration/features.ts";
import { exportDmaBuf } from "./dma_buf.ts";
import type { VfioPciDevice } from "./pci_device.ts";
import { eventfdOf } from "./signal.ts";
import { checkFlags, checkSize, load } from "./structs.ts";
import { TOKEN_SIZE } from "./vf_token.ts";

/** One feature. */
export interface Feature {
  /** GET, SET or none: what can be done with it. */
  readonly ops: number;
  /** Bytes of its data. */
  readonly size: number;
  /** Whether the kernel has it. */
  exists(device: VfioPciDevice): boolean;
  /** Does it, with data at an address and what it was asked with; returns the result. */
  run(
    device: VfioPciDevice,
    task: Task,
    uaddr: number,
    flags: number,
  ): number;
}

const hasToken = ({ vfToken }: VfioPciDevice): boolean => vfToken !== undefined;

const always = (): boolean => true;

const hasDmaBufs = ({ kernel }: VfioPciDevice): boolean =>
  kernel.revision.vfio.hasDmaBufs;

const FEATURES: ReadonlyMap<number, Feature> = new Map(
  [
    ...MIGRATION_FEATURES,
    ...LOGGING_FEATURES,
    [VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, {
      ops: VFIO_DEVICE_FEATURE_SET,
      size: TOKEN_SIZE,
      exists: hasToken,
      run: setToken,
    }],
    [VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, {
      ops: VFIO_DEVICE_FEATURE_SET,
      size: 0,
      exists: always,
      run(device): number {
        device.enterLowPower(undefined);
        return 0;
      },
    }],
    [VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, {
      ops: VFIO_DEVICE_FEATURE_SET,
      size: 8,
      exists: always,
      run: enterWithWakeup,
    }],
    [VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, {
      ops: VFIO_DEVICE_FEATURE_SET,
      size: 0,
      exists: always,
      run(device): number {
        device.exitLowPower();
        return 0;
      },
    }],
    [VFIO_DEVICE_FEATURE_DMA_BUF, {
      ops: VFIO_DEVICE_FEATURE_GET,
      size: VfioDeviceFeatureDmaBuf.size,
      exists: hasDmaBufs,
      run: exportDmaBuf,
    }],
  ] satisfies (readonly [number, Feature])[],
);

/** FEATURE. Throws EFAULT, EINVAL, ENOTTY for what the device does not have, and what the feature throws. */
export function feature(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): number {
  const layout = VfioDeviceFeature;
  const { cmd } = load(task, uaddr, layout);
  const { flags, argsz } = cmd;
  const both = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
  checkFlags(
    flags,
    VFIO_DEVICE_FEATURE_MASK | both | VFIO_DEVICE_FEATURE_PROBE,
  );
  const probes = (flags & VFIO_DEVICE_FEATURE_PROBE) !== 0;
  if (!probes && (flags & both) === both) {
    throw EINVAL.because("a feature is got or set");
  }
  const index = flags & VFIO_DEVICE_FEATURE_MASK;
  if (index === VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOV2) checkPrecopy(device);
  const found = FEATURES.get(index);
  if (found === undefined || !found.exists(device)) {
    throw ENOTTY.because("the device does not have the feature");
  }
  if ((flags & both & ~found.ops) !== 0) {
    throw EINVAL.because("that cannot be done with the feature");
  }
  if (probes) return 0;
  if ((flags & both) === 0) {
    throw EINVAL.because("neither GET nor SET");
  }
  checkSize(argsz - layout.size, found.size);
  return found.run(device, task, uaddr + layout.size, flags);
}

/** The second form of what is left came late, and is no feature that a device lacks. */
function checkPrecopy(device: VfioPciDevice): void {
  if (!hasDmaBufs(device)) {
    throw ENOTTY.because("the kernel does not have the feature");
  }
  if (device.pci.device.migration === undefined) {
    throw EINVAL.because("the device has no migration");
  }
}

/** Whoever opens a virtual function from now on needs this token. (Linux: vfio_pci_core_feature_token.) */
function setToken(device: VfioPciDevice, task: Task, uaddr: number): number {
  const uuid = new Uint8Array(TOKEN_SIZE);
  task.mm.copyFromUser(uuid, uaddr);
  device.vfToken!.set(uuid);
  return 0;
}

/** Linux: vfio_pci_core_pm_entry_with_wakeup. */
function enterWithWakeup(
  device: VfioPciDevice,
  task: Task,
  uaddr: number,
): number {
  const bytes = new Uint8Array(8);
  task.mm.copyFromUser(bytes, uaddr);
  const fd = new DataView(bytes.buffer).getInt32(0, true);
  if (fd < 0) throw EINVAL.because("the descriptor cannot be one");
  device.enterLowPower(eventfdOf(task, fd));
  return 0;
}
