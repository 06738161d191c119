// SPDX-License-Identifier: GPL-2.0-only

/**
 * Mock devices and the operations of their IOMMU driver.
 *
 * @module
 */

import {
  Device,
  type HwInfo,
  type IommuCap,
  type IommuOps,
} from "../iommu/device.ts";
import type { Domain } from "../iommu/domain.ts";
import type { Group } from "../iommu/group.ts";
import type { Iommu } from "../iommu/iommu.ts";
import { IopfQueue } from "../iommu/page_fault_queue.ts";
import { probeDevice, releaseDevice } from "../iommu/probe.ts";
import { copyStructFromUser, type UserData } from "../iommu/user_data.ts";
import type { Viommu, ViommuOps } from "../iommu/viommu/viommu.ts";
import { KernelBug } from "../kernel/warn.ts";
import { IdTable } from "../lib/id_table.ts";
import {
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  EOPNOTSUPP,
  errnoOf,
} from "../uapi/errno.ts";
import {
  IOMMU_HW_INFO_TYPE_DEFAULT,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
  IOMMU_HWPT_ALLOC_NEST_PARENT,
  IOMMU_HWPT_ALLOC_PASID,
} from "../uapi/iommufd.ts";
import {
  HwptSelftest,
  IOMMU_HW_INFO_SELFTEST_REGVAL,
  IOMMU_HW_INFO_TYPE_SELFTEST,
  IOMMU_HWPT_DATA_SELFTEST,
  IOMMU_TEST_DEV_CACHE_DEFAULT,
  IOMMU_TEST_PASID_RESERVED,
  IOMMU_VEVENTQ_TYPE_SELFTEST,
  IOMMU_VIOMMU_TYPE_SELFTEST,
  MOCK_DEV_CACHE_NUM,
  MOCK_FLAGS_DEVICE_HUGE_IOVA,
  MOCK_FLAGS_DEVICE_NO_DIRTY,
  MOCK_FLAGS_DEVICE_PASID,
  MOCK_IOMMUPT_HUGE,
  MOCK_PASID_WIDTH,
  TestHwInfo,
  ViommuEventSelftest,
} from "../uapi/selftest.ts";
import { PAGE_SIZE } from "../uapi/mman.ts";
import { MOCK_MEMORY_MAX } from "./iopte.ts";
import { AmdMockDomain } from "./amd_domain.ts";
import { FlatMockDomain } from "./flat_domain.ts";
import { MockBlockedDomain, MockDomain } from "./mock_domain.ts";
import { MockNestedDomain } from "./mock_nested_domain.ts";
import { MockViommu } from "./mock_viommu.ts";

/** The flags that a domain can be allocated with. */
const PAGING_FLAGS = IOMMU_HWPT_ALLOC_NEST_PARENT |
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING | IOMMU_HWPT_ALLOC_PASID;

/** A device of the selftest's bus (Linux: struct mock_dev). */
export class MockDevice extends Device {
  /** `MOCK_FLAGS_DEVICE_*`. */
  readonly flags: number;
  /** The number in its name. */
  readonly id: number;
  /** Its driver. */
  override readonly ops: MockIommuOps;
  /** What virtual machines cache of it, and invalidate. */
  readonly cache: Uint32Array = new Uint32Array(MOCK_DEV_CACHE_NUM)
    .fill(IOMMU_TEST_DEV_CACHE_DEFAULT);
  /** Where it reports events, and as what, while it is attached to a nested domain of a virtual IOMMU. */
  #events: { readonly viommu: Viommu; readonly virtId: bigint } | undefined;
  /** It refuses another domain for the reserved PASID. */
  #refusesReserved = false;

  /** Called by {@link MockIommuOps.createDevice} only. */
  constructor(ops: MockIommuOps, id: number, flags: number) {
    super(ops.iommu, `iommufd_mock${id}`, ops);
    this.ops = ops;
    this.id = id;
    this.flags = flags;
    this.maxPasids = flags & MOCK_FLAGS_DEVICE_PASID
      ? 1 << MOCK_PASID_WIDTH
      : ops.iommu.kernel.revision.mock.plainMaxPasids;
  }

  /**
   * Uses a domain in place of `old`: page faults are switched on and off, and
   * events go to the virtual IOMMU of the domain, if it is of one. Throws ENOENT
   * if that does not know the device, ENOMEM, and EBUSY if somebody else has
   * switched page faults on. (Linux: mock_domain_nop_attach.)
   */
  changeDomain(domain: Domain, old: Domain | null): void {
    const viommu = domain instanceof MockNestedDomain
      ? domain.viommu
      : undefined;
    const virtId = viommu?.virtIdOf(this);
    this.ops.iopfQueue.changeDomain(this, domain, old);
    // It keeps its number as long as it stays with the virtual IOMMU.
    if (viommu === this.#events?.viommu) return;
    this.#events = viommu && { viommu, virtId: virtId! };
  }

  /**
   * Reports an event, which is the low half of its number. Throws ENOENT if it
   * is not attached to a virtual IOMMU, and under number 0, which cannot be
   * told from none; and as `Viommu.reportEvent`.
   * (Linux: iommufd_test_trigger_vevent.)
   */
  reportEvent(): void {
    const { viommu, virtId = 0n } = this.#events ?? {};
    if (viommu === undefined || virtId === 0n) {
      throw ENOENT.because("no vIOMMU has the device under a number but 0");
    }
    const event = ViommuEventSelftest.encode({
      virtId: Number(BigInt.asUintN(32, virtId)),
    });
    viommu.reportEvent(IOMMU_VEVENTQ_TYPE_SELFTEST, event);
  }

  /**
   * Uses a domain for its DMA with a PASID: no virtual IOMMU need know it.
   * Throws as {@link changeDomain}, and ENOMEM for a second domain of
   * IOMMU_TEST_PASID_RESERVED, once, so that tests see what becomes of that.
   * (Linux: mock_domain_set_dev_pasid_nop.)
   */
  changePasid(domain: Domain, pasid: number, old: Domain | null): void {
    if (pasid === IOMMU_TEST_PASID_RESERVED) {
      const attaches = domain.type !== "blocked";
      const refuses = attaches && this.#refusesReserved;
      this.#refusesReserved = attaches && !refuses;
      if (refuses) throw ENOMEM.because("the mock refuses a domain for a test");
    }
    this.ops.iopfQueue.changeDomain(this, domain, old);
  }

  /** Takes the device off the bus; nothing uses it any more (Linux: mock_dev_destroy). */
  destroy(): void {
    this.iommu.kernel.fails("softwareNode.uevent");
    this.iommu.kernel.fails("uevent");
    releaseDevice(this);
    if (this.ops.devices.erase(this.id) !== this) {
      throw new KernelBug(`${this.name} was destroyed twice`);
    }
  }
}

/** The mock IOMMU driver of one kernel (Linux: mock_ops). */
export class MockIommuOps implements IommuOps {
  /** The IOMMU core that it registers with. */
  readonly iommu: Iommu;
  /** The domain that every device has when nobody attached another. */
  readonly blockedDomain: MockBlockedDomain;
  /** The same: the mock never maps for the DMA API. */
  readonly defaultDomain: MockBlockedDomain;
  /** Its devices by the number in their name. */
  readonly devices: IdTable<MockDevice> = new IdTable<MockDevice>({
    first: 0,
    max: 2 ** 31 - 1,
  });
  /** Page faults of any PASID go to the nested domain. */
  readonly userPasidTable = true;
  /** Its devices that may fault. */
  readonly iopfQueue: IopfQueue = new IopfQueue();
  readonly #takesDevices: boolean;

  /** A driver without devices, which may get none at all. Throws a RangeError for a machine with more memory than it can map. */
  constructor(iommu: Iommu, takesDevices = true) {
    this.#takesDevices = takesDevices;
    const bytes = iommu.kernel.frames.count * PAGE_SIZE;
    if (bytes > MOCK_MEMORY_MAX) {
      throw new RangeError(
        `The mock IOMMU cannot map ${bytes} bytes of memory: ` +
          `it reaches ${MOCK_MEMORY_MAX}`,
      );
    }
    this.iommu = iommu;
    this.blockedDomain = new MockBlockedDomain({ owner: this });
    this.defaultDomain = this.blockedDomain;
  }

  /**
   * Puts a new device on the bus, named with the lowest free number. `flags`
   * are `MOCK_FLAGS_DEVICE_*`. Throws EINVAL for others, ENOMEM.
   * (Linux: mock_dev_create.)
   */
  createDevice(flags = 0): MockDevice {
    const { kernel } = this.iommu;
    if ((flags & ~kernel.revision.mock.deviceFlags) !== 0) {
      throw EINVAL.because("a device flag is unknown");
    }
    kernel.step("mock.device");
    const id = this.devices.alloc();
    try {
      kernel.step("softwareNode.add");
      kernel.fails("softwareNode.uevent");
      kernel.step("fwspec.init");
      kernel.step("device.add");
    } catch (error) {
      this.devices.erase(id);
      throw error;
    }
    const dev = new MockDevice(this, id, flags);
    this.devices.publish(id, dev);
    // As on any bus, a device that its IOMMU driver failed to take is there
    // all the same, without a group.
    errnoOf(() => probeDevice(dev));
    kernel.fails("uevent");
    return dev;
  }

  /** Cache coherency always, dirty tracking unless the device was made without. */
  capable(dev: Device, cap: IommuCap): boolean {
    if (cap === "cache-coherency") return true;
    return cap === "dirty-tracking" &&
      (flagsOf(dev) & MOCK_FLAGS_DEVICE_NO_DIRTY) === 0;
  }

  /** Throws ENODEV for a device of another bus, and where another driver is asked in its place. */
  probeDevice(dev: Device): void {
    if (!isMockDevice(dev) || !this.#takesDevices) throw ENODEV;
  }

  /** Every device can be isolated from all others. */
  deviceGroup(_dev: Device): Group {
    return this.iommu.allocGroup();
  }

  /** An empty domain with the page sizes of the device. Throws ENOMEM. */
  domainAllocPaging(dev: Device): MockDomain {
    return this.#newDomain(false, this.#wantsHuge(dev, undefined));
  }

  /**
   * An empty domain, with the page table that its data choose
   * (`iommu_hwpt_selftest`), where the revision takes any. Throws EOPNOTSUPP
   * for other data, flags and page tables, ENOMEM.
   * (Linux: mock_domain_alloc_paging_flags.)
   */
  domainAllocPagingFlags(
    dev: Device,
    flags: number,
    userData: UserData | undefined,
  ): MockDomain {
    if (flags & ~PAGING_FLAGS) throw EOPNOTSUPP.because("a flag is unknown");
    const wantsDirty = (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING) !== 0;
    if (wantsDirty && !this.capable(dev, "dirty-tracking")) throw EOPNOTSUPP;
    return this.#newDomain(wantsDirty, this.#wantsHuge(dev, userData));
  }

  /**
   * A nested domain; its data are `iommu_hwpt_selftest`. Throws EOPNOTSUPP for
   * other data and for flags other than PASID, EINVAL for a parent that is not
   * the mock's, ENOMEM. (Linux: mock_domain_alloc_nested.)
   */
  domainAllocNested(
    _dev: Device,
    parent: Domain,
    flags: number,
    userData: UserData,
  ): MockNestedDomain {
    if (flags & ~IOMMU_HWPT_ALLOC_PASID) throw EOPNOTSUPP;
    if (!(parent instanceof MockDomain)) throw EINVAL;
    return this.allocNested(userData, undefined);
  }

  /**
   * A nested domain, of a virtual IOMMU or of none. Throws EOPNOTSUPP for other
   * data, EINVAL, EFAULT, ENOMEM. (Linux: __mock_domain_alloc_nested.)
   */
  allocNested(
    userData: UserData,
    viommu: Viommu | undefined,
  ): MockNestedDomain {
    const { iotlb } = this.#readData(userData);
    this.iommu.kernel.step("mock.nested");
    return new MockNestedDomain(this, iotlb, viommu);
  }

  /** One type (Linux: mock_get_viommu_size). */
  hasViommu(_dev: Device, type: number): boolean {
    return type === IOMMU_VIOMMU_TYPE_SELFTEST;
  }

  /** Its data are `iommu_viommu_selftest`. Throws EINVAL, EFAULT, ENOMEM. (Linux: mock_viommu_init.) */
  viommuInit(viommu: Viommu, userData: UserData | undefined): ViommuOps {
    return new MockViommu(this, viommu, userData);
  }

  /** The mock's one register. Throws EOPNOTSUPP for another type, ENOMEM. (Linux: mock_domain_hw_info.) */
  hwInfo(_dev: Device, type: number): HwInfo {
    if (
      type !== IOMMU_HW_INFO_TYPE_DEFAULT &&
      type !== IOMMU_HW_INFO_TYPE_SELFTEST
    ) {
      throw EOPNOTSUPP.because(
        "the IOMMU driver does not know the wanted type",
      );
    }
    this.iommu.kernel.step("mock.hwInfo");
    return {
      type: IOMMU_HW_INFO_TYPE_SELFTEST,
      bytes: TestHwInfo.encode({ testReg: IOMMU_HW_INFO_SELFTEST_REGVAL }),
    };
  }

  /** No hardware waits for the answer (Linux: mock_domain_page_response). */
  pageResponse(): void {}

  /** Driver data of a HWPT. Throws EOPNOTSUPP for another type, and as copyStructFromUser() does. */
  #readData(userData: UserData): HwptSelftest {
    const type = IOMMU_HWPT_DATA_SELFTEST;
    if (userData.type !== type) throw UNKNOWN_DATA;
    const size = HwptSelftest.sizeIn(this.iommu.kernel.revision.name);
    return copyStructFromUser(HwptSelftest, userData, type, "iotlb", size);
  }

  /** Whether a page table has 1 MiB pages, which was once said by the device and is by the data now. Throws as {@link domainAllocPagingFlags}. */
  #wantsHuge(dev: Device, userData: UserData | undefined): boolean {
    if (userData === undefined) {
      return (flagsOf(dev) & MOCK_FLAGS_DEVICE_HUGE_IOVA) !== 0;
    }
    if (!this.iommu.kernel.revision.mock.pagingTakesData) throw UNKNOWN_DATA;
    const { pagetableType } = this.#readData(userData);
    if (pagetableType > MOCK_IOMMUPT_HUGE) throw UNKNOWN_TABLE;
    return pagetableType === MOCK_IOMMUPT_HUGE;
  }

  #newDomain(dirtyTracking: boolean, huge: boolean): MockDomain {
    const { kernel } = this.iommu;
    kernel.step("mock.domain");
    const PagingDomain = PAGE_TABLES[kernel.revision.mock.pageTable];
    return new PagingDomain({ owner: this, huge, dirtyTracking });
  }
}

/** The domains with each of the page tables. */
const PAGE_TABLES = { flat: FlatMockDomain, amdv1: AmdMockDomain };

const UNKNOWN_DATA = EOPNOTSUPP.because(
  "the IOMMU driver does not know the type of the data",
);

const UNKNOWN_TABLE = EOPNOTSUPP.because(
  "the mock IOMMU has no such page table",
);

/** Whether the device is a mock device (Linux: iommufd_selftest_is_mock_dev). */
export function isMockDevice(dev: Device): dev is MockDevice {
  return dev instanceof MockDevice;
}

function flagsOf(dev: Device): number {
  return isMockDevice(dev) ? dev.flags : 0;
}
