// SPDX-License-Identifier: GPL-2.0-only

/**
 * In which order an iommufd grows.
 *
 * @module
 */

import type { Need } from "../../selftests/target/capabilities.ts";

/** A step of the ladder: what is written together, and unlocks tests together. */
export interface Step {
  /** What it is about, in a few words. */
  readonly name: string;
  /** The ioctls that it brings, by their C names. */
  readonly ioctls: readonly string[];
  /** The operations of the test ioctl that it brings, without `IOMMU_TEST_OP_`. */
  readonly ops: readonly string[];
  /** Capabilities that a target names from then on, if they are what tests of the step need. */
  readonly capabilities: readonly Need[];
  /** What to write, in a sentence. */
  readonly next: string;
  /** Where that is described: Linux's documentation and source, and this package's. */
  readonly where: string;
}

const UAPI = "include/uapi/linux/iommufd.h";
const TEST_UAPI = "drivers/iommu/iommufd/iommufd_test.h";

/** The steps from the ground up. A test is of the last step of which it needs anything. */
export const STEPS: readonly Step[] = [
  {
    name: "processes",
    ioctls: [],
    ops: [],
    capabilities: [],
    next:
      "Write the adapter: processes with memory, descriptors, memory files, eventfds and pipes.",
    where: "conformance/protocol.md, examples/adapters",
  },
  {
    name: "objects",
    ioctls: ["IOMMU_DESTROY"],
    ops: [],
    capabilities: [],
    next:
      "Let /dev/iommu open as a context of objects with ids from 1 on, read structs by their size (short ones, unknown tails), and destroy objects that nobody uses.",
    where: `${UAPI} (general ioctl format), drivers/iommu/iommufd/main.c, ` +
      "impl/iommufd/objects",
  },
  {
    name: "IO address spaces",
    ioctls: ["IOMMU_IOAS_ALLOC", "IOMMU_IOAS_IOVA_RANGES"],
    ops: [],
    capabilities: [],
    next:
      "Make an IOAS an object, and tell its IOVA: one range of all 64 bits as long as no device restricts it.",
    where: `${UAPI}, drivers/iommu/iommufd/ioas.c, impl/iommufd/ioas`,
  },
  {
    name: "map and unmap",
    ioctls: ["IOMMU_IOAS_MAP", "IOMMU_IOAS_UNMAP"],
    ops: [],
    capabilities: [],
    next:
      "Keep areas by their IOVA, given or chosen, and take them away whole; nothing is pinned yet.",
    where: `${UAPI}, drivers/iommu/iommufd/io_pagetable.c, impl/iommufd/ioas`,
  },
  {
    name: "allowed ranges and options",
    ioctls: ["IOMMU_IOAS_ALLOW_IOVAS", "IOMMU_OPTION"],
    ops: [],
    capabilities: [],
    next:
      "Bound the IOVA that an IOAS may choose by a list of ranges, and keep the options of contexts and IOASes.",
    where: `${UAPI}, drivers/iommu/iommufd/ioas.c, impl/iommufd/ioas`,
  },
  {
    name: "copy",
    ioctls: ["IOMMU_IOAS_COPY"],
    ops: [],
    capabilities: [],
    next:
      "Share the pages of areas between IOASes: they outlive the area that they came from.",
    where: `${UAPI}, drivers/iommu/iommufd/ioas.c, impl/iommufd/ioas`,
  },
  {
    name: "the test ioctl",
    ioctls: ["IOMMU_TEST_CMD"],
    ops: ["ADD_RESERVED", "SET_TEMP_MEMORY_LIMIT", "MD_CHECK_REFS"],
    capabilities: [],
    next:
      "Answer IOMMU_TEST_CMD: reserve IOVA as a device would, bound the memory of a batch, and count the pins of pages.",
    where: `${TEST_UAPI}, drivers/iommu/iommufd/selftest.c, ` +
      "impl/iommufd/selftest",
  },
  {
    name: "accesses",
    ioctls: [],
    ops: [
      "CREATE_ACCESS",
      "ACCESS_PAGES",
      "DESTROY_ACCESS_PAGES",
      "ACCESS_RW",
      "ACCESS_REPLACE_IOAS",
    ],
    capabilities: [],
    next:
      "Let a driver without DMA pin the pages of an IOAS, read and write them, and be asked to unpin when they are unmapped.",
    where: `${TEST_UAPI}, drivers/iommu/iommufd/device.c ` +
      "(iommufd_access_*), impl/iommufd/access",
  },
  {
    name: "mock devices",
    ioctls: [],
    ops: [
      "MOCK_DOMAIN",
      "MD_CHECK_MAP",
      "MOCK_DOMAIN_REPLACE",
      "MOCK_DOMAIN_FLAGS",
      "DEV_CHECK_CACHE",
    ],
    capabilities: [],
    next:
      "Attach a mock device to an IOAS: a page table that is filled with pinned pages, and restricts and reserves IOVA.",
    where: `${TEST_UAPI}, drivers/iommu/iommufd/selftest.c, ` +
      "impl/iommufd/attach, impl/iommufd/pages, impl/mock",
  },
  {
    name: "the VFIO container",
    ioctls: [
      "IOMMU_VFIO_IOAS",
      "VFIO_GET_API_VERSION",
      "VFIO_CHECK_EXTENSION",
      "VFIO_SET_IOMMU",
      "VFIO_IOMMU_GET_INFO",
      "VFIO_IOMMU_MAP_DMA",
      "VFIO_IOMMU_UNMAP_DMA",
      "VFIO_IOMMU_DIRTY_PAGES",
    ],
    ops: [],
    capabilities: ["vfio", "vfio_container", "type1_container"],
    next:
      "Answer the ioctls of VFIO's container on an iommufd, by a compatibility IOAS.",
    where: "include/uapi/linux/vfio.h, drivers/iommu/iommufd/vfio_compat.c, " +
      "impl/iommufd/vfio_compat",
  },
  {
    name: "hardware page tables",
    ioctls: [
      "IOMMU_HWPT_ALLOC",
      "IOMMU_GET_HW_INFO",
      "IOMMU_HWPT_INVALIDATE",
    ],
    ops: ["MD_CHECK_IOTLB"],
    capabilities: ["hwpt"],
    next:
      "Let users allocate page tables (HWPTs), nest them in one another, invalidate their caches, and ask a device for its hardware information.",
    where: `${UAPI}, drivers/iommu/iommufd/hw_pagetable.c, impl/iommufd/hwpt`,
  },
  {
    name: "dirty tracking",
    ioctls: ["IOMMU_HWPT_SET_DIRTY_TRACKING", "IOMMU_HWPT_GET_DIRTY_BITMAP"],
    ops: ["DIRTY"],
    capabilities: ["dirty"],
    next:
      "Note which pages a page table's devices wrote, and tell them as bits.",
    where: `${UAPI}, drivers/iommu/iommufd/io_pagetable.c ` +
      "(iopt_read_and_clear_dirty_data), impl/iommufd/hwpt",
  },
  {
    name: "page faults",
    ioctls: ["IOMMU_FAULT_QUEUE_ALLOC"],
    ops: ["TRIGGER_IOPF"],
    capabilities: ["faults"],
    next:
      "Hand page faults of devices out by a descriptor, and take the answers from it.",
    where: `${UAPI}, drivers/iommu/iommufd/eventq.c, impl/iommufd/events`,
  },
  {
    name: "files",
    ioctls: ["IOMMU_IOAS_MAP_FILE", "IOMMU_IOAS_CHANGE_PROCESS"],
    ops: ["DMABUF_GET", "DMABUF_REVOKE"],
    capabilities: ["map_file"],
    next:
      "Map memory files and DMA buffers by their descriptors, and let them change hands.",
    where: `${UAPI}, drivers/iommu/iommufd/pages.c, impl/iommufd/pages`,
  },
  {
    name: "virtual IOMMUs",
    ioctls: [
      "IOMMU_VIOMMU_ALLOC",
      "IOMMU_VDEVICE_ALLOC",
      "IOMMU_VEVENTQ_ALLOC",
      "IOMMU_HW_QUEUE_ALLOC",
    ],
    ops: ["TRIGGER_VEVENT"],
    capabilities: ["viommu"],
    next:
      "Give a virtual machine an IOMMU of its own: its devices, caches, events and hardware queues.",
    where: `${UAPI}, drivers/iommu/iommufd/viommu.c, impl/iommufd/viommu`,
  },
  {
    name: "PASIDs",
    ioctls: [],
    ops: [
      "PASID_ATTACH",
      "PASID_REPLACE",
      "PASID_DETACH",
      "PASID_CHECK_HWPT",
    ],
    capabilities: ["pasid"],
    next: "Attach a device once for each PASID that its DMA carries.",
    where: `${TEST_UAPI}, drivers/iommu/iommufd/device.c, impl/iommufd/attach`,
  },
  {
    name: "VFIO devices",
    ioctls: [
      "VFIO_DEVICE_BIND_IOMMUFD",
      "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
      "VFIO_DEVICE_DETACH_IOMMUFD_PT",
      "VFIO_DEVICE_GET_INFO",
      "VFIO_DEVICE_GET_REGION_INFO",
      "VFIO_DEVICE_GET_IRQ_INFO",
      "VFIO_DEVICE_SET_IRQS",
      "VFIO_DEVICE_RESET",
      "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
      "VFIO_DEVICE_PCI_HOT_RESET",
      "VFIO_DEVICE_IOEVENTFD",
      "VFIO_DEVICE_FEATURE",
      "VFIO_MIG_GET_PRECOPY_INFO",
      "VFIO_GROUP_GET_STATUS",
      "VFIO_GROUP_SET_CONTAINER",
      "VFIO_GROUP_UNSET_CONTAINER",
      "VFIO_GROUP_GET_DEVICE_FD",
    ],
    ops: [],
    capabilities: [
      "vfio_device",
      "vfio_sriov",
      "vfio_rom",
      "vfio_group_of_two",
      "copy_engines",
    ],
    next:
      "Offer PCI devices by files of VFIO: regions, interrupts, resets, and an IOAS to attach to.",
    where: "include/uapi/linux/vfio.h, drivers/vfio, impl/vfio",
  },
  {
    name: "devices without an IOMMU",
    ioctls: ["IOMMU_IOAS_NOIOMMU_GET_PA"],
    ops: [],
    capabilities: ["noiommu_device", "noiommu_engine"],
    next:
      "Bind devices that no IOMMU is in front of, and tell where memory is.",
    where: `${UAPI}, impl/iommufd/noiommu`,
  },
];

/** Whose ioctls and operations `uses` names, or that need one of `needs`: the place of the last step, 0 for nothing of any. */
export function stepOf(
  uses: Iterable<string>,
  needs: readonly string[] = [],
): number {
  const all = new Set([...uses, ...needs]);
  return Math.max(
    0,
    STEPS.findLastIndex(({ ioctls, ops, capabilities }) =>
      [...ioctls, ...ops, ...capabilities].some((name) => all.has(name))
    ),
  );
}
