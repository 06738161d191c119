// SPDX-License-Identifier: GPL-2.0-only

/**
 * How the kernel of a side was configured, as far as programs see it: the model
 * is then configured alike.
 *
 * @module
 */

import { O_RDWR } from "../../../impl/uapi/mman.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_NOIOMMU_IOMMU,
} from "../../../impl/uapi/vfio.ts";
import type { ImplOptions } from "../../../selftests/target/impl_target.ts";
import type { Program } from "../../../selftests/target/program.ts";
import { call } from "../../../selftests/target/verbs.ts";
import { isFailure, type Side } from "./side.ts";

/** Asks whether devices without an IOMMU are allowed (Linux: CONFIG_VFIO_NOIOMMU). */
const ASK_NOIOMMU: Program = [
  { process: 0, call: call("open", "/dev/iommu", O_RDWR) },
  {
    process: 0,
    call: call("ioctlarg", 0, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU),
    patches: [{ arg: 0, from: { step: 0 } }],
  },
];

/** What the model must be like to behave as a side. */
export async function likenessOf(side: Side): Promise<ImplOptions> {
  const ran = await side.run(ASK_NOIOMMU);
  if (isFailure(ran)) return {};
  const answer = ran.outcomes[1];
  const noIommu = answer?.kind === "returned" && answer.result === 1;
  return { noIommu };
}
