// SPDX-License-Identifier: GPL-2.0-only

/**
 * A machine with mock devices, nested HWPTs and fault queues, for the unit
 * tests of this folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE,
  type PageRequest,
  reportDeviceFault,
} from "../../iommu/page_fault.ts";
import type { MockDevice } from "../../mock/mock_device.ts";
import { errnoName } from "../../uapi/errno.ts";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_FAULT_ID_VALID,
  IommuFaultAlloc,
  IommuHwptAlloc,
  IommuHwptPageResponse,
  IommuHwptPgfault,
} from "../../uapi/iommufd.ts";
import {
  HwptSelftest,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  TestMockDomain,
  TestMockDomainReplace,
  TestTriggerIopf,
} from "../../uapi/selftest.ts";
import { PAGE_SIZE } from "../../uapi/mman.ts";
import type { RevisionName } from "../../uapi/revision.ts";
import { type Answer, Machine } from "./machine.ts";

/** Bytes of one fault. */
export const FAULT_SIZE: number = IommuHwptPgfault.size;

/** A fault queue: its object and its descriptor. */
export interface Queue {
  readonly id: number;
  readonly fd: number;
}

/** A mock device: its objects, and itself. */
export interface MockIds {
  readonly stdev: number;
  readonly idev: number;
  readonly dev: MockDevice;
}

/** A {@link Machine} for page faults. */
export class FaultBench extends Machine {
  /** What the driver was told to answer: `device:group:code`. */
  readonly answers: string[] = [];
  readonly ioasId: number;
  readonly #data: number;
  #parent = 0;

  constructor(name?: RevisionName) {
    super(name);
    this.ioasId = this.ioas();
    this.#data = this.memory(1);
    this.process.poke(this.#data, HwptSelftest.encode({ iotlb: 1 }));
    this.kernel.mock.pageResponse = (...args: unknown[]) => {
      const [dev, , { grpid, code }] = args as [
        MockDevice,
        PageRequest,
        { grpid: number; code: number },
      ];
      this.answers.push(`${dev.id}:${grpid}:${code}`);
    };
  }

  /** A device attached to the IOAS. */
  device(): MockIds {
    const answer = this.test(IOMMU_TEST_OP_MOCK_DOMAIN, TestMockDomain, {
      id: this.ioasId,
    });
    assertEquals(answer.ret, 0);
    return {
      stdev: answer.outStdevId,
      idev: answer.outIdevId,
      dev: [...this.kernel.mock.devices].at(-1)![1],
    };
  }

  /** FAULT_QUEUE_ALLOC. */
  queueAlloc(values: Partial<IommuFaultAlloc> = {}): Answer<IommuFaultAlloc> {
    return this.call(IOMMU_FAULT_QUEUE_ALLOC, IommuFaultAlloc, values);
  }

  /** A new fault queue. */
  queue(): Queue {
    const { ret, outFaultId, outFaultFd } = this.queueAlloc();
    assertEquals(ret, 0);
    return { id: outFaultId, fd: outFaultFd };
  }

  /** HWPT_ALLOC nested in a parent that is made when first needed. */
  hwptAlloc(
    { idev: devId }: MockIds,
    values: Partial<IommuHwptAlloc> = {},
  ): Answer<IommuHwptAlloc> {
    if (this.#parent === 0) {
      const answer = this.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
        devId,
        ptId: this.ioasId,
        flags: IOMMU_HWPT_ALLOC_NEST_PARENT,
      });
      assertEquals(answer.ret, 0);
      this.#parent = answer.outHwptId;
    }
    return this.call(IOMMU_HWPT_ALLOC, IommuHwptAlloc, {
      devId,
      ptId: this.#parent,
      dataType: IOMMU_HWPT_DATA_SELFTEST,
      dataLen: HwptSelftest.sizeIn(this.kernel.revision.name),
      dataUptr: BigInt(this.#data),
      ...values,
    });
  }

  /** A new nested HWPT, with a fault queue if one is given. */
  hwpt(device: MockIds, queue?: Queue): number {
    const fault = queue === undefined
      ? {}
      : { flags: IOMMU_HWPT_FAULT_ID_VALID, faultId: queue.id };
    const answer = this.hwptAlloc(device, fault);
    assertEquals(answer.ret, 0);
    return answer.outHwptId;
  }

  /** MOCK_DOMAIN_REPLACE; 0 or the errno's name. */
  replace({ stdev: id }: MockIds, ptId: number): string | number {
    return this.test(
      IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
      TestMockDomainReplace,
      { id, ptId },
    ).ret;
  }

  /** A new device attached to a new nested HWPT with the fault queue. */
  faulting(queue: Queue): MockIds & { readonly hwpt: number } {
    const device = this.device();
    const hwpt = this.hwpt(device, queue);
    assertEquals(this.replace(device, hwpt), 0);
    return { ...device, hwpt };
  }

  /** TRIGGER_IOPF; 0 or the errno's name. */
  trigger(devId: number, values: Partial<TestTriggerIopf>): string | number {
    return this.test(IOMMU_TEST_OP_TRIGGER_IOPF, TestTriggerIopf, {
      devId,
      ...values,
    }).ret;
  }

  /** A device reports a whole group, one request for each address. */
  report({ dev }: MockIds, grpid: number, addrs: readonly bigint[]): void {
    for (const [index, addr] of addrs.entries()) {
      const last = index === addrs.length - 1;
      const flags = last ? IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE : 0;
      reportDeviceFault(dev, { flags, pasid: 0, grpid, perm: 1, addr });
    }
  }

  /** Reads as much as fits into `bytes`: the faults, or the errno's name. */
  read({ fd }: Queue, bytes = PAGE_SIZE - PAGE_SIZE % FAULT_SIZE):
    | IommuHwptPgfault[]
    | string {
    const into = new Uint8Array(bytes);
    const got = this.process.read(fd, into);
    return got < 0 ? errnoName(got) : decodeFaults(into.subarray(0, got));
  }

  /** Reads and says of each fault `cookie:group:address`, or the errno's name. */
  summary(queue: Queue, bytes?: number): string[] | string {
    const faults = this.read(queue, bytes);
    if (typeof faults === "string") return faults;
    return faults.map(({ cookie, grpid, addr }) =>
      `${cookie}:${grpid}:${addr}`
    );
  }

  /** Writes answers; the bytes taken, or the errno's name. */
  answer(
    { fd }: Queue,
    ...answers: readonly Partial<IommuHwptPageResponse>[]
  ): number | string {
    const bytes = encodeAnswers(answers);
    const got = this.process.write(fd, bytes);
    return got < 0 ? errnoName(got) : got;
  }
}

/** The answers as write takes them. */
export function encodeAnswers(
  answers: readonly Partial<IommuHwptPageResponse>[],
): Uint8Array {
  const { size } = IommuHwptPageResponse;
  const bytes = new Uint8Array(size * answers.length);
  answers.forEach((answer, i) =>
    bytes.set(IommuHwptPageResponse.encode(answer), i * size)
  );
  return bytes;
}

/** The faults that read gave. */
export function decodeFaults(bytes: Uint8Array): IommuHwptPgfault[] {
  return Array.from(
    { length: bytes.length / FAULT_SIZE },
    (_, i) => IommuHwptPgfault.decode(bytes.subarray(i * FAULT_SIZE)),
  );
}
