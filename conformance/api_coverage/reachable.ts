// SPDX-License-Identifier: GPL-2.0-only

/**
 * What each ioctl can come to, by Linux's source: the pairs that a run can be
 * measured by.
 *
 * @module
 */

import type { RevisionName } from "../../impl/uapi/revision.ts";
import { existsIn, type Lifetime } from "../../impl/uapi/revision/versions.ts";
import { TEST_OPS as OPERATIONS } from "../../impl/uapi/ioctls.ts";
import { FILES, type FileWithIoctls, ioctlsOf, OTHERS } from "./coverage.ts";
import { type Pair, pairsOf, type Rows } from "./pairs.ts";
import { HWPT, VIOMMU } from "./reachable/hwpt.ts";
import { IOAS } from "./reachable/ioas.ts";
import { TEST_OPS } from "./reachable/test_ops.ts";
import { VFIO_COMPAT, VFIO_CONTAINER } from "./reachable/vfio.ts";
import { VFIO_DEVICE, VFIO_GROUP } from "./reachable/vfio_device.ts";

/** The table, file by file. */
const TABLE: Readonly<Record<FileWithIoctls, Rows>> = {
  iommufd: { ...IOAS, ...HWPT, ...VIOMMU, ...TEST_OPS, ...VFIO_COMPAT },
  container: VFIO_CONTAINER,
  group: VFIO_GROUP,
  device: VFIO_DEVICE,
};

/** When there are the operations of the test ioctl, by the names that rows have. */
const LIFETIMES: ReadonlyMap<string, Lifetime> = new Map(
  OPERATIONS.map(({ op }) => [
    op.name.replace("IOMMU_TEST_OP_", "IOMMU_TEST_CMD "),
    op,
  ]),
);

/** The pairs that there are in a revision. */
export function pairsIn(uapi: RevisionName): Pair[] {
  return FILES.flatMap((file) => {
    const names = new Set(ioctlsOf(file, uapi).map(({ ioctl }) => ioctl.name));
    return pairsOf(file, TABLE[file], uapi).filter(({ name }) =>
      name === OTHERS || names.has(name.split(" ", 1)[0]!) &&
        existsIn(uapi, LIFETIMES.get(name) ?? {})
    );
  });
}

/** All rows of the table. */
export function rowsOf(file: FileWithIoctls): readonly string[] {
  return Object.keys(TABLE[file]);
}
