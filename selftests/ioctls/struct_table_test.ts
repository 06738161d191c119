// SPDX-License-Identifier: GPL-2.0-only

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { IoctlStruct } from "../../impl/uapi/ioctl.ts";
import { IOCTLS, TEST_OPS } from "../../impl/uapi/ioctls.ts";
import { NEWEST, REVISION_NAMES, REVISIONS } from "../../impl/uapi/revision.ts";
import { existsIn } from "../../impl/uapi/revision/versions.ts";
import { IOMMU_TEST_CMD } from "../../impl/uapi/selftest.ts";
import {
  type Field,
  fieldsOf,
  type Struct,
} from "../../impl/uapi/layout/struct.ts";
import * as MODEL from "../../impl/uapi/selftest_viommu.ts";
import { SIZED_IOCTLS } from "./command_table.ts";
import {
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_TEST_OP_DMABUF_GET,
  IOMMU_TEST_OP_DMABUF_REVOKE,
  IommuIoasChangeProcess,
  IommuIoasMapFile,
  TestDmabufGet,
  TestDmabufRevoke,
} from "./file_ioctls.ts";
import {
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_CHECK_HWPT,
  IOMMU_TEST_OP_PASID_REPLACE,
  TestPasidAttach,
} from "./pasid_ioctls.ts";
import {
  IOMMU_TEST_OP_TRIGGER_VEVENT,
  IOMMU_VEVENTQ_ALLOC,
  IommuVeventqAlloc,
  TestTriggerVevent,
} from "./vevent_ioctls.ts";
import {
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_TEST_OP_DEV_CHECK_CACHE,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  IommuHwQueueAlloc,
  IommuVdeviceAlloc,
  IommuViommuAlloc,
  TestDevCheckCache,
  ViommuInvalidateSelftest,
  ViommuSelftest,
} from "./viommu_ioctls.ts";
import { testCmdForm } from "./mock_ioctls.ts";
import { ALL_BITS } from "./struct_row.ts";
import { STRUCT_ROWS } from "./struct_table.ts";

/** The model's row of an ioctl that has a struct. */
function modelRow(cmd: number): IoctlStruct<object> {
  const row = IOCTLS.find(({ ioctl }) => ioctl.number === cmd);
  assert(row && "fields" in row, `0x${cmd.toString(16)}`);
  return row;
}

/** The bits of a field that a role lets through; undefined if the role is about no bits. */
function knownBits({ role }: Field): number | undefined {
  switch (role.kind) {
    case "reserved":
      return 0;
    case "unused":
      return ALL_BITS;
    case "flags":
      return Object.values(role.bits).reduce<number>(
        (all, bit) => all | Number(bit),
        0,
      );
    default:
      return undefined;
  }
}

/** The tests' own layouts of ioctls. */
const LAYOUTS: readonly (readonly [number, Struct<object>])[] = [
  [IOMMU_IOAS_MAP_FILE, IommuIoasMapFile],
  [IOMMU_IOAS_CHANGE_PROCESS, IommuIoasChangeProcess],
  [IOMMU_VIOMMU_ALLOC, IommuViommuAlloc],
  [IOMMU_VDEVICE_ALLOC, IommuVdeviceAlloc],
  [IOMMU_VEVENTQ_ALLOC, IommuVeventqAlloc],
  [IOMMU_HW_QUEUE_ALLOC, IommuHwQueueAlloc],
];

/** Their own layouts of test operations. */
const TEST_LAYOUTS: readonly (readonly [number, Struct<object>])[] = [
  [IOMMU_TEST_OP_DEV_CHECK_CACHE, TestDevCheckCache],
  [IOMMU_TEST_OP_TRIGGER_VEVENT, TestTriggerVevent],
  [IOMMU_TEST_OP_PASID_ATTACH, TestPasidAttach],
  [IOMMU_TEST_OP_PASID_REPLACE, TestPasidAttach],
  [IOMMU_TEST_OP_PASID_CHECK_HWPT, TestPasidAttach],
  [IOMMU_TEST_OP_DMABUF_GET, TestDmabufGet],
  [IOMMU_TEST_OP_DMABUF_REVOKE, TestDmabufRevoke],
];

/** Where the fields of a struct lie, and how long they are. */
function shape(layout: Struct<object>): string {
  return `${layout.size}: ${
    fieldsOf(layout).map(({ offset, type }) => `${type} ${offset}`)
      .join(", ")
  }`;
}

describe("the tests' own tables and the model's", () => {
  it("agree on where the fields of new structs lie", () => {
    for (const [cmd, layout] of LAYOUTS) {
      assertEquals(shape(modelRow(cmd)), shape(layout), layout.name);
    }
    for (const [number, layout] of TEST_LAYOUTS) {
      const model = TEST_OPS.find(({ op }) => op.number === number)!;
      assertEquals(shape(model), shape(layout), model.op.name);
    }
    assertEquals(shape(MODEL.ViommuSelftest), shape(ViommuSelftest));
    const { ViommuInvalidateSelftest: ofModel } = MODEL;
    assertEquals(shape(ofModel), shape(ViommuInvalidateSelftest));
  });

  it("agree on numbers and sizes", () => {
    for (const { cmd, layout, last } of SIZED_IOCTLS) {
      assertEquals(modelRow(cmd).name, layout.name);
      assertEquals(modelRow(cmd).minSizeIn(NEWEST), last, layout.name);
    }
    for (const { cmd, name, sizes } of STRUCT_ROWS) {
      const row = modelRow(cmd);
      for (const revision of REVISION_NAMES) {
        if (!existsIn(revision, row.ioctl)) continue;
        const own = sizes(REVISIONS[revision]);
        const size = row.sizeIn(revision);
        assertEquals({ size, min: row.minSizeIn(revision) }, own, name);
      }
    }
  });

  it("agree on the test operations of each revision", () => {
    for (const revision of REVISION_NAMES) {
      const { ops } = testCmdForm(REVISIONS[revision]);
      const there = TEST_OPS.filter(({ op }) => existsIn(revision, op));
      assertEquals(there.length, ops);
    }
  });

  it("agree on flags and reserved fields", () => {
    for (const { cmd, name, bits } of STRUCT_ROWS) {
      if (cmd === IOMMU_TEST_CMD) continue;
      const ins = fieldsOf(modelRow(cmd)).filter(({ direction }) =>
        direction !== "out"
      );
      const inModel = ins.map((field) => [field.name, knownBits(field)])
        .filter(([, known]) => known !== undefined);
      const inTests = bits.map(({ name: field, known }) => [
        field,
        known(REVISIONS[NEWEST]),
      ]);
      assertEquals(inModel.sort(), inTests.sort(), name);
    }
  });
});
