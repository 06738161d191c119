// SPDX-License-Identifier: GPL-2.0-only

/**
 * Virtual IOMMUs: vIOMMUs, their devices, events, hardware queues and memory
 * (viommu.c, eventq.c, driver.c).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const VIOMMU_RULES = {
  "V1.1": {
    level: "uapi",
    since: "6.13",
    says:
      "VIOMMU_ALLOC checks flags and that there is a type (EOPNOTSUPP), the device (ENOENT), that its driver has that type (EOPNOTSUPP), then the HWPT: one of an IOAS (ENOENT) that can be a parent (EINVAL). A refusal makes nothing.",
    where: "viommu.c iommufd_viommu_alloc_ioctl",
  },
  "V1.2": {
    level: "uapi",
    since: "6.15",
    says:
      "A driver answers VIOMMU_ALLOC in the caller's data, in as many bytes of them as there are; if it cannot, nothing is made: EFAULT.",
    where:
      "include/linux/iommu.h iommu_copy_struct_to_user; selftest.c mock_viommu_init",
  },
  "V1.3": {
    level: "uapi",
    since: "6.13",
    says:
      "A vIOMMU holds its parent HWPT and is held by what is made on it, which may go in any order; it goes last. The device that it was made for may go before.",
    where:
      "viommu.c iommufd_viommu_destroy, iommufd_viommu_alloc_ioctl; hw_pagetable.c iommufd_viommu_alloc_hwpt_nested",
  },
  "V1.4": {
    level: "uapi",
    since: "6.13",
    says:
      "HWPT_ALLOC on a vIOMMU takes data and no flags but that of a fault queue, for a device of the same physical IOMMU (EINVAL).",
    where:
      "hw_pagetable.c iommufd_viommu_alloc_hwpt_nested, iommufd_hwpt_alloc",
  },
  "V1.5": {
    level: "uapi",
    since: "6.13",
    says: "An object that cannot be told of does not exist: EFAULT.",
    where: "main.c iommufd_fops_ioctl",
  },
  "V1.6": {
    level: "uapi",
    since: "6.13",
    says:
      "VDEVICE_ALLOC wants a vIOMMU and a device of the same physical IOMMU; a device that has a vDEVICE, or a number that is taken in the vIOMMU, is EEXIST. A refusal makes nothing.",
    where: "viommu.c iommufd_vdevice_alloc_ioctl",
  },
  "V1.7": {
    level: "kernel",
    since: "6.13",
    says:
      "The mock's events have the low half of a device's number, and it tells none of number 0.",
    where: "selftest.c iommufd_test_trigger_vevent",
  },
  "V1.8": {
    level: "kernel",
    since: "6.15",
    says:
      "The mock attaches to a nested HWPT of a vIOMMU only devices that this one knows. A vDEVICE may go under an attachment.",
    where:
      "selftest.c mock_domain_nop_attach; driver.c iommufd_viommu_get_vdev_id; viommu.c iommufd_vdevice_destroy",
  },
  "V1.9": {
    level: "uapi",
    since: "6.17",
    says:
      "A vDEVICE goes with its device. Its id then stays taken by nothing, which counts as an object, and is never used again.",
    where:
      "device.c iommufd_device_remove_vdev; main.c iommufd_object_remove, iommufd_option_rlimit_mode",
  },
  "V2.1": {
    level: "uapi",
    since: "6.15",
    says:
      "VEVENTQ_ALLOC checks flags, reserved field and type (EOPNOTSUPP), the depth, 1 to 2^19 (EINVAL), the vIOMMU (ENOENT), then whether there is a queue for the type (EEXIST). Without a free descriptor it is EMFILE.",
    where: "eventq.c iommufd_veventq_alloc, iommufd_eventq_init",
  },
  "V2.2": {
    level: "uapi",
    since: "6.15",
    says:
      "A vIOMMU has a queue for each type of events, and each queue gets events of its type only.",
    where:
      "eventq.c iommufd_veventq_alloc; driver.c iommufd_viommu_report_event",
  },
  "V2.3": {
    level: "uapi",
    since: "6.15",
    says:
      "Events have numbers. One that finds the queue full is lost, and a header at the end of the queue says so; the header takes no room, and goes when an event comes behind it.",
    where:
      "iommufd_private.h iommufd_vevent_handler; driver.c iommufd_viommu_report_event",
  },
  "V2.4": {
    level: "uapi",
    since: "6.15",
    says:
      "A read gives whole events, as many as there is room for, and 0 bytes where there are none. A length below a header's is EINVAL even then, a file position ESPIPE; there is no write.",
    where: "eventq.c iommufd_veventq_fops_read, INIT_EVENTQ_FOPS",
  },
  "V2.5": {
    level: "uapi",
    since: "6.15",
    says:
      "poll() says that a queue of events can be read while there is an event or a header, and never written.",
    where: "eventq.c iommufd_eventq_fops_poll",
  },
  "V2.6": {
    level: "uapi",
    since: "6.15",
    says:
      "The descriptor holds the queue, the queue its vIOMMU, and the descriptor the context: what was reported can be read when the iommufd is closed. What is unread goes with the queue.",
    where:
      "eventq.c iommufd_eventq_init, iommufd_eventq_fops_release, iommufd_veventq_abort",
  },
  "V3.1": {
    level: "uapi",
    since: "6.17",
    says:
      "HW_QUEUE_ALLOC checks flags and type (EOPNOTSUPP), that there are bytes (EINVAL) and that they do not wrap (EOVERFLOW), the vIOMMU (ENOENT), whether it has such queues. A refusal makes nothing.",
    where: "viommu.c iommufd_hw_queue_alloc_ioctl",
  },
  "V3.2": {
    level: "uapi",
    since: "6.17",
    says:
      "A queue lies in memory that the parent maps, anywhere in its pages, which must follow each other in physical memory: EFAULT. They are pinned.",
    where: "viommu.c iommufd_hw_queue_alloc_phys; pages.c iopt_area_add_access",
  },
  "V3.3": {
    level: "uapi",
    since: "6.17",
    says:
      "While a queue lies in an area, it cannot be unmapped: EBUSY. It can be copied, and the copy is not locked.",
    where:
      "io_pagetable.c iopt_unmap_iova_range, iopt_get_pages; pages.c iopt_area_add_access, iopt_area_remove_access",
  },
  "V3.4": {
    level: "kernel",
    since: "6.17",
    says:
      "A queue has an access of its own that takes the next id and makes the IOAS keep to whole pages; nobody can destroy it, and it goes with the queue.",
    where:
      "viommu.c iommufd_hw_queue_alloc_phys, iommufd_hw_queue_destroy; io_pagetable.c iopt_add_access",
  },
  "V3.5": {
    level: "kernel",
    since: "6.17",
    says:
      "A driver may make one queue depend on another, which then goes first. The mock's second queue depends on its first, and an index is used once.",
    where:
      "selftest.c mock_hw_queue_init_phys, mock_hw_queue_destroy; driver.c _iommufd_object_depend",
  },
  "V4.1": {
    level: "uapi",
    since: "6.17",
    says:
      "Memory that a driver offers is mapped by mmap() of the iommufd that it belongs to, whole, shared, and not to be executed; it may be made executable later.",
    where: "main.c iommufd_fops_mmap; mm/mmap.c do_mmap",
  },
  "V4.2": {
    level: "uapi",
    since: "6.17",
    says:
      "All who map a driver's memory share it, children too. What holds it is each mapping: the vIOMMU and the context stay while a part of it is mapped.",
    where:
      "main.c iommufd_fops_vma_open, iommufd_fops_vma_close, iommufd_fops_mmap; selftest.c mock_viommu_init",
  },
  "V4.3": {
    level: "kernel",
    since: "6.17",
    says:
      "Offsets for mmap() begin with the second page, one piece of memory behind the other; what is free is used again.",
    where: "driver.c _iommufd_alloc_mmap",
  },
  "V4.4": {
    level: "uapi",
    since: "6.17",
    says:
      "A driver's memory cannot be pinned for DMA (EFAULT); the struct of an ioctl may lie in it.",
    where: "mm/gup.c check_vma_flags; main.c iommufd_fops_ioctl",
  },
  "V5.1": {
    level: "uapi",
    since: "6.13",
    says:
      "HWPT_INVALIDATE on a vIOMMU has requests that name devices by their numbers there. All are read before the first is carried out; those before a wrong one are, and are counted.",
    where:
      "selftest.c mock_viommu_cache_invalidate, iommufd_test_dev_check_cache; driver.c iommufd_viommu_find_dev",
  },
  "V5.2": {
    level: "uapi",
    since: "6.13",
    says:
      "Requests to a vIOMMU may be shorter than the kernel's, which count as ending in zeros, or longer if they do end in zeros.",
    where: "include/linux/iommu.h iommu_copy_struct_from_full_user_array",
  },
} as const satisfies Readonly<Record<string, Rule>>;
