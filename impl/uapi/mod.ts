// SPDX-License-Identifier: GPL-2.0-only

/**
 * Constants and struct layouts of the iommufd user API, the VFIO container API
 * and the selftest ioctl, with nothing behind them: usable on their own to talk
 * to a real `/dev/iommu`.
 *
 * @module
 */

export * from "./errno.ts";
export * from "./layout/format.ts";
export * from "./ioctl.ts";
export * from "./ioctls.ts";
export * from "./iommufd.ts";
export * from "./selftest.ts";
export * from "./mman.ts";
export * from "./revision.ts";
export * from "./revision/access.ts";
export * from "./revision/attach.ts";
export * from "./revision/differences.ts";
export * from "./revision/hwpt.ts";
export * from "./revision/ioas.ts";
export * from "./revision/objects.ts";
export * from "./revision/pages.ts";
export * from "./revision/selftest.ts";
export * from "./revision/versions.ts";
export * from "./revision/vfio.ts";
export * as role from "./layout/roles.ts";
export { s32, u16, u32, u64, u8 } from "./layout/roles.ts";
export type {
  Direction,
  Extent,
  FileKind,
  Named,
  Role,
  Use,
} from "./layout/roles.ts";
export * from "./layout/struct.ts";
export * from "./vfio.ts";
export * from "./vfio/device.ts";
export * from "./vfio/feature.ts";
export * from "./vfio/migration.ts";
export * from "./vfio/type1.ts";
