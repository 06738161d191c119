// SPDX-License-Identifier: GPL-2.0-only

/**
 * How a VFIO device moves to another machine: its state as bytes, and which
 * memory it wrote meanwhile.
 *
 * @module
 */

import { ioctl, type IoctlStruct } from "../ioctl.ts";
import * as role from "../layout/roles.ts";
import { type Struct, struct } from "../layout/struct.ts";

/** Feature: whether a device can move, and how. */
export const VFIO_DEVICE_FEATURE_MIGRATION: number = 1;
/** Feature: the state of the move. */
export const VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: number = 2;
/** Feature: begins to note what the device writes. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_START: number = 6;
/** Feature: notes it no longer. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: number = 7;
/** Feature: reports what was noted, and forgets it. */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: number = 8;
/** Feature: bytes that are left to move once the device has stopped. */
export const VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: number = 9;

/** MIGRATION: the device is stopped, then copied. */
export const VFIO_MIGRATION_STOP_COPY: number = 1 << 0;
/** MIGRATION: it can be kept from DMA to other devices first. */
export const VFIO_MIGRATION_P2P: number = 1 << 1;
/** MIGRATION: a part can be copied while it runs. */
export const VFIO_MIGRATION_PRE_COPY: number = 1 << 2;

/** State: something failed; a reset helps. */
export const VFIO_DEVICE_STATE_ERROR: number = 0;
/** State: it does nothing. */
export const VFIO_DEVICE_STATE_STOP: number = 1;
/** State: it does what devices do. */
export const VFIO_DEVICE_STATE_RUNNING: number = 2;
/** State: it does nothing, and is read. */
export const VFIO_DEVICE_STATE_STOP_COPY: number = 3;
/** State: it does nothing, and is written. */
export const VFIO_DEVICE_STATE_RESUMING: number = 4;
/** State: it runs, but for DMA to other devices. */
export const VFIO_DEVICE_STATE_RUNNING_P2P: number = 5;
/** State: it runs, and is read. */
export const VFIO_DEVICE_STATE_PRE_COPY: number = 6;
/** State: the same, but for DMA to other devices. */
export const VFIO_DEVICE_STATE_PRE_COPY_P2P: number = 7;

/** ioctl of the file that a device is read from: what is left while it runs. */
export const VFIO_MIG_GET_PRECOPY_INFO: number = 0x3b79;

/** Data of VFIO_DEVICE_FEATURE_MIGRATION. Linux: `struct vfio_device_feature_migration`, 8 bytes. */
export interface VfioDeviceFeatureMigration {
  /** `VFIO_MIGRATION_*`. */
  flags: bigint;
}

/** Layout of {@link VfioDeviceFeatureMigration}. */
export const VfioDeviceFeatureMigration: Struct<VfioDeviceFeatureMigration> =
  struct("vfio_device_feature_migration", { flags: role.u64() });

/** Data of VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. Linux: `struct vfio_device_feature_mig_state`, 8 bytes. */
export interface VfioDeviceFeatureMigState {
  /** `VFIO_DEVICE_STATE_*`. */
  deviceState: number;
  /** Reply: the file that the device is read from or written to, or -1. */
  dataFd: number;
}

/** Layout of {@link VfioDeviceFeatureMigState}. */
export const VfioDeviceFeatureMigState: Struct<VfioDeviceFeatureMigState> =
  struct("vfio_device_feature_mig_state", {
    deviceState: role.u32(),
    dataFd: role.out(role.s32()),
  });

/** Data of VFIO_DEVICE_FEATURE_MIG_DATA_SIZE. Linux: `struct vfio_device_feature_mig_data_size`, 8 bytes. */
export interface VfioDeviceFeatureMigDataSize {
  /** Bytes. */
  stopCopyLength: bigint;
}

/** Layout of {@link VfioDeviceFeatureMigDataSize}. */
export const VfioDeviceFeatureMigDataSize: Struct<
  VfioDeviceFeatureMigDataSize
> = struct("vfio_device_feature_mig_data_size", {
  stopCopyLength: role.out(role.u64()),
});

/** Argument of VFIO_MIG_GET_PRECOPY_INFO. Linux: `struct vfio_precopy_info`, 24 bytes. */
export interface VfioPrecopyInfo {
  /** Bytes of this struct. */
  argsz: number;
  /** Reply: new data came from the beginning, where the caller knows that. */
  flags: number;
  /** Reply: bytes that are left of what there was first. */
  initialBytes: bigint;
  /** Reply: bytes of what changed since. */
  dirtyBytes: bigint;
}

/** Layout of {@link VfioPrecopyInfo}. */
export const VfioPrecopyInfo: IoctlStruct<VfioPrecopyInfo> = ioctl(
  { VFIO_MIG_GET_PRECOPY_INFO, since: "6.6" },
  "vfio_precopy_info",
  {
    argsz: role.size(),
    flags: role.out(role.u32()),
    initialBytes: role.out(role.u64()),
    dirtyBytes: role.out(role.u64()),
  },
);

/** Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_START. Linux: `struct vfio_device_feature_dma_logging_control`, 24 bytes. */
export interface VfioDeviceFeatureDmaLoggingControl {
  /** Bytes that a device notes as one; reply: those that it really notes. */
  pageSize: bigint;
  /** Ranges at {@link VfioDeviceFeatureDmaLoggingControl.ranges}. */
  numRanges: number;
  /** Nothing. */
  reserved: number;
  /** Address of the ranges. */
  ranges: bigint;
}

/** Layout of {@link VfioDeviceFeatureDmaLoggingControl}. */
export const VfioDeviceFeatureDmaLoggingControl: Struct<
  VfioDeviceFeatureDmaLoggingControl
> = struct("vfio_device_feature_dma_logging_control", {
  pageSize: role.u64(),
  numRanges: role.u32(),
  reserved: role.unused(),
  ranges: role.u64(),
});

/** A range of what is noted. Linux: `struct vfio_device_feature_dma_logging_range`, 16 bytes. */
export interface VfioDeviceFeatureDmaLoggingRange {
  /** Where it begins. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
}

/** Layout of {@link VfioDeviceFeatureDmaLoggingRange}. */
export const VfioDeviceFeatureDmaLoggingRange: Struct<
  VfioDeviceFeatureDmaLoggingRange
> = struct("vfio_device_feature_dma_logging_range", {
  iova: role.u64(),
  length: role.u64(),
});

/** Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT. Linux: `struct vfio_device_feature_dma_logging_report`, 32 bytes. */
export interface VfioDeviceFeatureDmaLoggingReport {
  /** Where the range begins. */
  iova: bigint;
  /** Bytes. */
  length: bigint;
  /** Bytes that a bit stands for. */
  pageSize: bigint;
  /** Address of the bitmap. */
  bitmap: bigint;
}

/** Layout of {@link VfioDeviceFeatureDmaLoggingReport}. */
export const VfioDeviceFeatureDmaLoggingReport: Struct<
  VfioDeviceFeatureDmaLoggingReport
> = struct("vfio_device_feature_dma_logging_report", {
  iova: role.u64(),
  length: role.u64(),
  pageSize: role.u64(),
  bitmap: role.u64(),
});
