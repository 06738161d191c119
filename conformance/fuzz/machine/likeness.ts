// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the kernel of a side was configured, and what its machine has, as far as
 * programs see it: the model is then made alike.
 *
 * @module
 */

import { EINVAL } from "../../../impl/uapi/errno.ts";
import { IommuIoasAlloc } from "../../../impl/uapi/ioas.ts";
import { O_RDWR } from "../../../impl/uapi/mman.ts";
import {
  encodeTestOp,
  IOMMU_TEST_CMD,
  TestMockDomain,
} from "../../../impl/uapi/selftest.ts";
import { type RevisionName, REVISIONS } from "../../../impl/uapi/revision.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_NOIOMMU_IOMMU,
} from "../../../impl/uapi/vfio.ts";
import type { Need } from "../../../selftests/target/capabilities.ts";
import type { ImplOptions } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { cardOf } from "./card.ts";
import { hasCardAtBoot } from "./names.ts";
import { isFailure, type Side } from "../run/side.ts";

/** Asks a container whether devices without an IOMMU are allowed, by its path. */
const ASK_NOIOMMU: Program = ["/dev/iommu", "/dev/vfio/vfio"].flatMap(
  (path, i) => [
    { process: 0, call: call("open", path, O_RDWR) },
    {
      process: 0,
      call: call("ioctlarg", 0, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU),
      patches: [{ arg: 0, from: { step: 2 * i } }],
    },
  ],
);

/** Makes a mock device, which some kernels cannot beside a card. */
const askMock = (uapi: RevisionName): Program => [
  { process: 0, call: call("open", "/dev/iommu", O_RDWR) },
  {
    process: 0,
    call: call(
      "ioctl",
      0,
      IommuIoasAlloc.ioctl.number,
      IommuIoasAlloc.encode({}),
    ),
    patches: [{ arg: 0, from: { step: 0 } }],
  },
  {
    process: 0,
    call: call(
      "ioctl",
      0,
      IOMMU_TEST_CMD,
      encodeTestOp(TestMockDomain, REVISIONS[uapi], {}),
    ),
    patches: [{ arg: 0, from: { step: 0 } }, {
      arg: 2,
      field: { offset: TestMockDomain.fields.id.offset, bytes: 4 },
      from: {
        step: 1,
        field: {
          offset: IommuIoasAlloc.fields.outIoasId.offset,
          bytes: 4,
        },
      },
    }],
  },
];

/** What a machine can be like. */
export type Likeness = Pick<
  ImplOptions,
  | "container"
  | "device"
  | "firmware"
  | "vtd"
  | "mockDevices"
  | "noIommu"
  | "noIommuMode"
>;

/** Whether mock devices can be used on a side. */
async function hasMockDevices(side: Side): Promise<boolean> {
  const ran = await side.run(askMock(side.uapi));
  if (isFailure(ran)) return true;
  const made = ran.outcomes.at(-1);
  return made?.kind !== "returned" || made.result !== -EINVAL.code;
}

/** What a side's machine has in the place of what most have. */
async function machineOf(side: Side): Promise<Likeness> {
  const has = (name: Need) => side.capabilities.includes(name);
  const device = has("copy_engines") ? "engines" : "none";
  return {
    ...has("type1_container") && !has("vfio") && { container: "type1" },
    ...!has("vfio_device") && { device },
    ...await hasCardAtBoot(side) && { device: "card" },
    ...await cardOf(side),
    ...has("vfio_device") && !await hasMockDevices(side) &&
      { mockDevices: false },
  };
}

/** What the model must be like to behave as a side. */
export async function likenessOf(side: Side): Promise<Likeness> {
  const machine = await machineOf(side);
  const ran = await side.run(ASK_NOIOMMU);
  if (isFailure(ran)) return machine;
  const [noIommu, noIommuMode] = [1, 3].map((step) => {
    const answer = ran.outcomes[step];
    return answer?.kind === "returned" && answer.result === 1;
  });
  return { ...machine, noIommu, noIommuMode };
}
