// SPDX-License-Identifier: GPL-2.0-only

/**
 * Sequences of `kit_fail_nth` about what HWPTs of an IOAS learnt after Linux
 * 6.12: driver data, fault queues, typed hardware information.
 *
 * @module
 */

import {
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
} from "../../impl/uapi/iommufd.ts";
import {
  IOMMU_HW_INFO_TYPE_SELFTEST,
  MOCK_IOMMUPT_DEFAULT,
  TestHwInfo,
} from "../../impl/uapi/selftest.ts";
import type { Round, Sequence } from "../harness/fail_nth_sweep.ts";
import {
  faultQueueAlloc,
  getHwInfo,
  hwptAlloc,
  hwptData,
} from "../ioctls/hwpt_ioctls.ts";

/** See the module. */
export const HWPT_SEQUENCES: readonly Sequence[] = [
  {
    name: "paging_faults",
    what: "a HWPT of an IOAS with data and a fault queue",
    points: { "7.3": 32 },
    reference: "hw_pagetable.c iommufd_hwpt_paging_alloc",
    rules: ["U4.2"],
    needs: ["hwpt", "faults"],
    run: callPagingFaults,
  },
];

async function callPagingFaults(round: Round): Promise<void> {
  const io = await round.open();
  const ioasId = await io.ioasAlloc();
  const { idevId: devId, stdevId } = await io.mock.domain(ioasId);
  const { faultId } = await faultQueueAlloc(io);
  const data = await hwptData(io, { pagetableType: MOCK_IOMMUPT_DEFAULT });
  const flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID;
  await round.enable();
  const hwpt = await round.step(() =>
    hwptAlloc(io, { devId, ptId: ioasId, flags, faultId, ...data })
  );
  // The driver switches the device's faults on when it attaches it.
  await round.step(() => io.mock.replaceDomain(stdevId, hwpt));
  await round.step(() =>
    getHwInfo(
      io,
      devId,
      TestHwInfo.size,
      undefined,
      IOMMU_HW_INFO_TYPE_SELFTEST,
    )
  );
  await round.step(() => io.mock.replaceDomain(stdevId, ioasId));
  await round.step(() => io.destroy(hwpt));
}
