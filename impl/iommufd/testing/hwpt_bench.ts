// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with one mock device attached to an IOAS, and the ioctls of HWPTs,
 * for the unit tests of this folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_INVALIDATE,
  IommuHwInfo,
  IommuHwptAlloc,
  IommuHwptInvalidate,
} from "../../uapi/iommufd.ts";
import {
  HwptInvalidateSelftest,
  HwptSelftest,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  TestCheckIotlb,
  TestMockDomainFlags,
  TestMockDomainReplace,
} from "../../uapi/selftest.ts";
import { type Answer, Machine } from "./machine.ts";

/** What every entry of a nested domain's cache is filled with. */
export const IOTLB = 0x5eed;

/** A machine with a mock device in an IOAS. */
export class HwptBench {
  readonly machine: Machine;
  readonly ioas: number;
  readonly stdev: number;
  readonly dev: number;
  /** The HWPT that attaching made. */
  readonly auto: number;
  /** A page of the process's memory for driver data. */
  readonly place: number;

  constructor(devFlags = 0, machine: Machine = new Machine()) {
    this.machine = machine;
    this.ioas = machine.ioas();
    this.place = machine.memory(1);
    const answer = this.device(this.ioas, devFlags);
    assertEquals(answer.ret, 0);
    this.stdev = answer.outStdevId;
    this.dev = answer.outIdevId;
    this.auto = answer.outHwptId;
  }

  /** Attaches a new mock device. */
  device(ptId: number, devFlags = 0): Answer<TestMockDomainFlags> {
    const op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS;
    return this.machine.test(op, TestMockDomainFlags, { id: ptId, devFlags });
  }

  /** Moves the device. */
  replace(ptId: number): string | number {
    const values = { id: this.stdev, ptId };
    const op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE;
    return this.machine.test(op, TestMockDomainReplace, values).ret;
  }

  /** HWPT_ALLOC for the device, of the IOAS unless told otherwise. */
  alloc(values: Partial<IommuHwptAlloc> = {}): Answer<IommuHwptAlloc> {
    return this.machine.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
      devId: this.dev,
      ptId: this.ioas,
      ...values,
    });
  }

  /** A HWPT that others can be nested in; its id. */
  parent(): number {
    const answer = this.alloc({ flags: IOMMU_HWPT_ALLOC_NEST_PARENT });
    assertEquals(answer.ret, 0);
    return answer.outHwptId;
  }

  /** Driver data for a nested HWPT, which are placed in memory. */
  data(): Partial<IommuHwptAlloc> {
    this.machine.process.poke(
      this.place,
      HwptSelftest.encode({ iotlb: IOTLB }),
    );
    return {
      dataType: IOMMU_HWPT_DATA_SELFTEST,
      dataLen: HwptSelftest.sizeIn(this.machine.kernel.revision.name),
      dataUptr: BigInt(this.place),
    };
  }

  /** A nested HWPT; its id. */
  nested(parent: number): number {
    const answer = this.alloc({ ptId: parent, ...this.data() });
    assertEquals(answer.ret, 0);
    return answer.outHwptId;
  }

  /** HWPT_INVALIDATE with requests that are placed in memory. */
  invalidate(
    hwptId: number,
    requests: readonly Partial<HwptInvalidateSelftest>[],
    values: Partial<IommuHwptInvalidate> = {},
  ): Answer<IommuHwptInvalidate> {
    const { size } = HwptInvalidateSelftest;
    for (const [i, request] of requests.entries()) {
      const bytes = HwptInvalidateSelftest.encode(request);
      this.machine.process.poke(this.place + i * size, bytes);
    }
    return this.machine.call(IOMMU_HWPT_INVALIDATE, IommuHwptInvalidate, {
      hwptId,
      dataUptr: BigInt(this.place),
      dataType: IOMMU_HWPT_INVALIDATE_DATA_SELFTEST,
      entryLen: size,
      entryNum: requests.length,
      ...values,
    });
  }

  /** MD_CHECK_IOTLB. */
  checkIotlb(id: number, iotlbId: number, iotlb: number): string | number {
    const values = { id, iotlbId, iotlb };
    const op = IOMMU_TEST_OP_MD_CHECK_IOTLB;
    return this.machine.test(op, TestCheckIotlb, values).ret;
  }

  /** GET_HW_INFO of the device. */
  hwInfo(values: Partial<IommuHwInfo>): Answer<IommuHwInfo> {
    return this.machine.call(IOMMU_GET_HW_INFO, IommuHwInfo, {
      devId: this.dev,
      ...values,
    });
  }

  /** Ends the process; nothing may be left but the warnings that are expected. */
  end(warnings: readonly string[] = []): void {
    this.machine.end(warnings);
  }
}
