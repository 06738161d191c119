// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the kernel of a side was configured, and what its machine has, as far as
 * programs see it: the model is then made alike.
 *
 * @module
 */

import { O_RDWR } from "../../../impl/uapi/mman.ts";
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

/** What a machine can be like. */
type Likeness = Pick<
  ImplOptions,
  "container" | "device" | "firmware" | "vtd" | "noIommu" | "noIommuMode"
>;

/** What a side's machine has in the place of what most have. */
async function machineOf(side: Side): Promise<Likeness> {
  const has = (name: Need) => side.capabilities.includes(name);
  const device = has("copy_engines") ? "engines" : "none";
  return {
    ...has("type1_container") && !has("vfio") && { container: "type1" },
    ...!has("vfio_device") && { device },
    ...await hasCardAtBoot(side) && { device: "card" },
    ...await cardOf(side),
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
