// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with a virtual IOMMU, for the unit tests of it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as uapi from "../../uapi/iommufd.ts";
import {
  IOMMU_HW_QUEUE_TYPE_SELFTEST,
  IOMMU_TEST_OP_DEV_CHECK_CACHE,
  IOMMU_TEST_OP_TRIGGER_VEVENT,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  TestDevCheckCache,
  TestTriggerVevent,
} from "../../uapi/selftest.ts";
import { HwptBench } from "./hwpt_bench.ts";
import { type Answer, IOVA, Machine, PAGE } from "./machine.ts";

/** The bench of {@link HwptBench} with a virtual IOMMU on a parent. */
export class ViommuBench extends HwptBench {
  /** The HWPT that the virtual IOMMU is on. */
  readonly on: number;
  readonly viommu: number;

  constructor(machine: Machine = new Machine()) {
    super(0, machine);
    this.on = this.parent();
    const answer = this.viommuAlloc();
    assertEquals(answer.ret, 0);
    this.viommu = answer.outViommuId;
  }

  /** VIOMMU_ALLOC without data. */
  viommuAlloc(
    values: Partial<uapi.IommuViommuAlloc> = {},
  ): Answer<uapi.IommuViommuAlloc> {
    return this.machine.call(uapi.IOMMU_VIOMMU_ALLOC, uapi.IommuViommuAlloc, {
      type: IOMMU_VIOMMU_TYPE_SELFTEST,
      devId: this.dev,
      hwptId: this.on,
      ...values,
    });
  }

  /** VDEVICE_ALLOC of the device under number 0x99. */
  vdeviceAlloc(
    values: Partial<uapi.IommuVdeviceAlloc> = {},
  ): Answer<uapi.IommuVdeviceAlloc> {
    return this.machine.call(uapi.IOMMU_VDEVICE_ALLOC, uapi.IommuVdeviceAlloc, {
      viommuId: this.viommu,
      devId: this.dev,
      virtId: 0x99n,
      ...values,
    });
  }

  /** VEVENTQ_ALLOC of two of the mock's events. */
  veventqAlloc(
    values: Partial<uapi.IommuVeventqAlloc> = {},
  ): Answer<uapi.IommuVeventqAlloc> {
    return this.machine.call(uapi.IOMMU_VEVENTQ_ALLOC, uapi.IommuVeventqAlloc, {
      viommuId: this.viommu,
      type: IOMMU_VEVENTQ_TYPE_SELFTEST,
      veventqDepth: 2,
      ...values,
    });
  }

  /** HW_QUEUE_ALLOC of queue 0 in a page at IOVA 16 MiB. */
  hwQueueAlloc(
    values: Partial<uapi.IommuHwQueueAlloc> = {},
  ): Answer<uapi.IommuHwQueueAlloc> {
    return this.machine.call(
      uapi.IOMMU_HW_QUEUE_ALLOC,
      uapi.IommuHwQueueAlloc,
      {
        viommuId: this.viommu,
        type: IOMMU_HW_QUEUE_TYPE_SELFTEST,
        nestingParentIova: IOVA,
        length: PAGE,
        ...values,
      },
    );
  }

  /** Attaches the device to a new nested HWPT of the virtual IOMMU; the HWPT's id. */
  attachNested(): number {
    const id = this.nested(this.viommu);
    assertEquals(this.replace(id), 0);
    return id;
  }

  /** TRIGGER_VEVENT. */
  trigger(devId = this.dev): string | number {
    const op = IOMMU_TEST_OP_TRIGGER_VEVENT;
    return this.machine.test(op, TestTriggerVevent, { devId }).ret;
  }

  /** DEV_CHECK_CACHE. */
  checkCache(cacheId: number, cache: number, id = this.dev): string | number {
    const op = IOMMU_TEST_OP_DEV_CHECK_CACHE;
    return this.machine.test(op, TestDevCheckCache, { id, cacheId, cache }).ret;
  }
}
