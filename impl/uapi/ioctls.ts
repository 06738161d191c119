// SPDX-License-Identifier: GPL-2.0-only

/**
 * The table that dispatch, reports and clients are made from: the rows of all
 * subjects.
 *
 * @module
 */

import * as fault from "./fault.ts";
import * as hwpt from "./hwpt.ts";
import * as ioas from "./ioas.ts";
import type { Ioctl, Numbered } from "./ioctl.ts";
import type { Revision } from "./revision.ts";
import { existsIn } from "./revision/versions.ts";
import * as selftest from "./selftest.ts";
import type { TestCmd, TestOp } from "./selftest.ts";
import * as vfio from "./vfio.ts";
import * as vfioDevice from "./vfio/device.ts";
import * as vfioFeature from "./vfio/feature.ts";
import * as vfioMigration from "./vfio/migration.ts";
import * as viommu from "./viommu.ts";

/** What a module of rows exports. */
type Exports = Readonly<Record<string, unknown>>;

/** The exports of modules that have a number and a name under `key`, by their numbers. */
function rows<Key extends string, Row extends Readonly<Record<Key, Numbered>>>(
  key: Key,
  ...modules: readonly Exports[]
): Row[] {
  return modules.flatMap((exports) => Object.values(exports))
    .filter((row): row is Row =>
      typeof row === "object" && row !== null && key in row
    )
    .sort((a, b) => a[key].number - b[key].number);
}

/** The ioctls of iommufd and of the VFIO container. */
export const IOCTLS: readonly Ioctl[] = rows(
  "ioctl",
  vfio,
  ioas,
  hwpt,
  fault,
  viommu,
  selftest,
);

/** The ioctls of VFIO devices and groups. Some have the number of another one of a container. */
export const VFIO_IOCTLS: readonly Ioctl[] = rows(
  "ioctl",
  vfioDevice,
  vfioFeature,
  vfioMigration,
);

/** The operations of IOMMU_TEST_CMD. */
export const TEST_OPS: readonly TestOp<TestCmd>[] = rows("op", selftest);

/** The test operation that has a number in a revision; undefined if none has. */
export function testOpOf(
  number: number,
  { name, selftest: { firstOp } }: Revision,
): TestOp<TestCmd> | undefined {
  const current = number - firstOp + TEST_OPS[0]!.op.number;
  const op = TEST_OPS.find(({ op }) => op.number === current);
  return op && existsIn(name, op.op) ? op : undefined;
}
