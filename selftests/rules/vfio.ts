// SPDX-License-Identifier: GPL-2.0-only

/**
 * Files of VFIO devices, groups and containers: devices that programs drive
 * through VFIO: their files, regions, interrupts and features, their groups,
 * and VFIO's own container (drivers/vfio).
 *
 * @module
 */

import type { Rule } from "./rule.ts";

/** The rules by code. */
export const VFIO_RULES = {
  "X1.1": {
    level: "uapi",
    since: "6.6",
    says:
      "A device's file refuses everything but BIND until it is bound, which it is through one descriptor at a time; BIND checks its arguments in order, and one that cannot answer binds nothing.",
    where:
      "vfio_main.c vfio_device_fops_unl_ioctl, vfio_df_open; device_cdev.c vfio_df_ioctl_bind_iommufd",
  },
  "X1.2": {
    level: "uapi",
    since: "6.6",
    says:
      "A bound device is an object of the iommufd; its id is free again when it is unbound, and it keeps the iommufd after its close. A mapping of its memory holds the device.",
    where:
      "device.c iommufd_device_unbind; device_cdev.c vfio_df_unbind_iommufd; mm/vma.c remove_vma",
  },
  "X1.3": {
    level: "uapi",
    since: "6.6",
    says:
      "A device is attached to an IOAS or a HWPT and holds it: its memory is pinned, and an IOAS that maps what the device cannot reach is EADDRINUSE. A PASID, or a HWPT with a queue of faults, is for devices that have such.",
    where:
      "device_cdev.c vfio_df_ioctl_attach_pt; iommufd.c vfio_iommufd_physical_attach_ioas, vfio_iommufd_physical_pasid_attach_ioas; io_pagetable.c iopt_table_enforce_dev_resv_regions; intel/iommu.c intel_iommu_enable_iopf",
  },
  "X1.4": {
    level: "uapi",
    since: "6.2",
    says:
      "GET_INFO, GET_REGION_INFO and GET_IRQ_INFO answer as much as the caller has room for; an unknown ioctl is ENOTTY.",
    where:
      "vfio_pci_core.c vfio_pci_ioctl_get_info, vfio_pci_ioctl_get_region_info, vfio_pci_ioctl_get_irq_info, vfio_pci_core_ioctl; vfio_main.c vfio_get_region_info",
  },
  "X2.1": {
    level: "uapi",
    since: "6.2",
    says:
      "A region is read and written by pread and pwrite up to its end; read goes on from where the last one ended.",
    where: "vfio_pci_rdwr.c vfio_pci_bar_rw; vfio_pci_core.c vfio_pci_rw",
  },
  "X2.2": {
    level: "uapi",
    since: "6.2",
    says:
      "A BAR with memory can be mapped, whole or in part; the mapping shows what pread does.",
    where: "vfio_pci_core.c vfio_pci_core_mmap, vfio_pci_mmap_huge_fault",
  },
  "X2.3": {
    level: "uapi",
    since: "6.2",
    says:
      "While memory is off, by the command register or in D3hot, an access is EIO and one by a mapping a bus error; afterwards it is the same as before.",
    where:
      "vfio_pci_config.c vfio_basic_config_write, vfio_pm_config_write; vfio_pci_rdwr.c vfio_pci_core_do_io_rw; vfio_pci_core.c vfio_pci_vmf_insert_pfn",
  },
  "X2.4": {
    level: "uapi",
    since: "6.2",
    says:
      "A ROM with an image is a region that is read while memory answers, ones behind the image, and never mapped; one without an image is none. Its address tells its length.",
    where:
      "vfio_pci_core.c vfio_pci_ioctl_get_region_info, vfio_pci_core_mmap; vfio_pci_rdwr.c vfio_pci_bar_rw, vfio_pci_core_do_io_rw; vfio_pci_config.c vfio_bar_fixup",
  },
  "X2.5": {
    level: "uapi",
    since: "6.2",
    says:
      "Configuration space is a view: BARs are the user's own, some of the header and the capabilities can be written, MSI is not switched on by it, and the bit that resets a function reads 0.",
    where:
      "vfio_pci_config.c init_pci_cap_basic_perm, vfio_bar_fixup, vfio_cap_init, vfio_ecap_init, vfio_msi_config_write, vfio_exp_config_write",
  },
  "X2.6": {
    level: "kernel",
    since: "6.2",
    says:
      "A read or write of configuration space that goes beyond its end is EFAULT, whatever lies before the end.",
    where: "vfio_pci_config.c vfio_pci_config_rw, vfio_pci_config_rw_single",
  },
  "X2.7": {
    level: "uapi",
    since: "6.2",
    says:
      "A reset leaves what the user wrote to configuration space; each user begins without bus mastering.",
    where: "vfio_pci_core.c vfio_pci_ioctl_reset, vfio_pci_core_enable",
  },
  "X3.1": {
    level: "uapi",
    since: "6.2",
    says:
      "SET_IRQS checks its arguments in order, connects vectors of MSI-X, MSI or the legacy interrupt with eventfds, fires and disconnects them. An eventfd that is closed still gets interrupts, and a reset turns none off.",
    where:
      "vfio_main.c vfio_set_irqs_validate_and_prepare; vfio_pci_intrs.c vfio_pci_set_irqs_ioctl, vfio_pci_set_msi_trigger, vfio_pci_set_intx_trigger; fs/eventfd.c eventfd_ctx_fdget; vfio_pci_core.c vfio_pci_ioctl_reset",
  },
  "X3.2": {
    level: "uapi",
    since: "6.2",
    says:
      "ERR and REQ are interrupts of one vector each, which the kernel fires, or SET_IRQS.",
    where:
      "vfio_pci_intrs.c vfio_pci_set_ctx_trigger_single; vfio_pci_core.c vfio_pci_core_aer_err_detected, vfio_pci_core_request",
  },
  "X3.3": {
    level: "uapi",
    since: "6.2",
    says:
      "A device reads and writes memory through what it is attached to, with the rights of the map; elsewhere, when it is detached or was reset, it reaches nothing.",
    where:
      "iommu.c iommu_unmap, IOMMU_READ, IOMMU_WRITE; iommufd/device.c iommufd_device_detach; vfio_pci_core.c vfio_pci_ioctl_reset; vfio_pci_driver_test.c",
  },
  "X3.4": {
    level: "uapi",
    since: "6.2",
    says: "A message that the device sends counts once, and copies nothing.",
    where: "vfio_pci_driver_test.c send_msi",
  },
  "X3.5": {
    level: "uapi",
    since: "6.2",
    says:
      "FEATURE checks its arguments in order; PROBE says what can be done, without doing it.",
    where: "vfio_main.c vfio_ioctl_device_feature; vfio.h vfio_check_feature",
  },
  "X3.6": {
    level: "uapi",
    since: "6.2",
    says:
      "In low power a BAR cannot be accessed by its mapping; whoever wants something wakes the device, and it says so.",
    where:
      "vfio_pci_core.c vfio_pci_core_pm_entry, vfio_pci_vmf_insert_pfn, vfio_pci_core_runtime_resume",
  },
  "X3.7": {
    level: "uapi",
    since: "6.19",
    says:
      "A DMA buffer is of whole pages of one BAR with memory; iommufd maps one of a single range. It outlives its device, of no use then.",
    where:
      "vfio_pci_dmabuf.c vfio_pci_core_feature_dma_buf, vfio_pci_dma_buf_iommufd_map, vfio_pci_dma_buf_cleanup",
  },
  "X3.8": {
    level: "uapi",
    since: "6.2",
    says:
      "An eventfd can write 1, 2, 4 or 8 bytes to a BAR, but not to the table of MSI-X (IOEVENTFD).",
    where: "vfio_pci_rdwr.c vfio_pci_ioeventfd",
  },
  "X3.9": {
    level: "uapi",
    since: "6.2",
    says:
      "A bus is reset if there is a bridge above it and all of its devices are of groups that the caller names, or since 6.6 the caller's own.",
    where:
      "vfio_pci_core.c vfio_pci_ioctl_pci_hot_reset, vfio_pci_ioctl_pci_hot_reset_groups, vfio_pci_dev_set_hot_reset",
  },
  "X4.1": {
    level: "uapi",
    since: "6.2",
    says:
      "The number of virtual functions changes from none and to none only, up to what the device can have; each has a file while it is there.",
    where:
      "iov.c sriov_numvfs_store; vfio_pci_core.c vfio_pci_core_sriov_configure; vfio_main.c vfio_register_group_dev",
  },
  "X4.2": {
    level: "uapi",
    since: "6.2",
    says:
      "A virtual function has ids, memory that always answers and no legacy interrupt, and is reset alone. Its device shows the capability, does not let it be used, and does not sleep.",
    where:
      "vfio_pci_config.c vfio_config_init, vfio_ecap_init; vfio_pci_core.c vfio_pci_set_power_state, vfio_pci_ioctl_reset",
  },
  "X4.3": {
    level: "uapi",
    since: "6.2",
    says:
      "A virtual function is opened with its device's token, the device with it while a virtual function is open: behind the name in a group, and since 6.17 in BIND, before the iommufd. Who has the device changes the token.",
    where:
      "vfio_pci_core.c vfio_pci_core_match_token_uuid, vfio_pci_core_match, vfio_pci_core_feature_token; device_cdev.c vfio_df_ioctl_bind_iommufd",
  },
  "X5.1": {
    level: "uapi",
    since: "6.2",
    says:
      "A device that can be moved says how. Its states lead from one to another by ways that exist; one that has stopped does nothing, and what was moved is what the other was.",
    where:
      "vfio_main.c vfio_ioctl_device_feature_migration, vfio_mig_get_next_state, vfio_ioctl_device_feature_mig_device_state; vfio.h VFIO_DEVICE_STATE_STOP",
  },
  "X5.2": {
    level: "uapi",
    since: "6.2",
    says:
      "Data that are no state are refused, and a reset helps. A device may be read while it runs, and what changes again then.",
    where:
      "vfio.h VFIO_DEVICE_STATE_RESUMING, VFIO_MIG_GET_PRECOPY_INFO, vfio_check_precopy_ioctl",
  },
  "X5.3": {
    level: "uapi",
    since: "6.2",
    says:
      "A device notes which pages it writes, in ranges that START checks, and REPORT tells each once.",
    where:
      "vfio_main.c vfio_ioctl_device_feature_logging_start, vfio_ioctl_device_feature_logging_report",
  },
  "X6.1": {
    level: "uapi",
    since: "6.2",
    says:
      "A group is opened once, and since 6.6 not while one of its devices is bound by its own file. It says whether it has a container, without which it opens no device.",
    where:
      "group.c vfio_group_fops_open, vfio_device_block_group, vfio_df_group_open, vfio_group_ioctl_get_status",
  },
  "X6.2": {
    level: "uapi",
    since: "6.2",
    says:
      "A device of a group is named as PCI names it, and is bound and attached when it is opened to the iommufd that is the container, which can be given a type again and again.",
    where:
      "vfio_pci_core.c vfio_pci_core_match; group.c vfio_df_group_open, vfio_group_ioctl_get_device_fd, vfio_group_ioctl_unset_container; iommufd.c vfio_iommufd_compat_attach_ioas; vfio_compat.c iommufd_vfio_set_iommu",
  },
  "X6.3": {
    level: "uapi",
    since: "6.2",
    says:
      "The devices of one group have one owner and are attached to the same page table.",
    where:
      "iommu.c iommu_device_claim_dma_owner; iommufd/device.c iommufd_hw_pagetable_attach; group.c vfio_group_ioctl_get_device_fd; container.c vfio_group_detach_container",
  },
  "X6.4": {
    level: "uapi",
    since: "7.3",
    says:
      "A device without an IOMMU is opened by who may do raw I/O; an IOAS tells where its memory is, which its DMA then names.",
    where:
      "group.c vfio_group_fops_open; device_cdev.c; iommufd/device.c iommufd_bind_noiommu",
  },
  "X6.5": {
    level: "uapi",
    since: "6.3",
    says:
      "The group of a device without an IOMMU makes an iommufd a container without one, unless it is a container with one; VFIO's own container has a type for it, and no ioctls.",
    where:
      "group.c vfio_df_group_open; vfio_compat.c iommufd_vfio_compat_set_no_iommu; container.c vfio_noiommu_ops",
  },
  "X7.1": {
    level: "uapi",
    since: "6.2",
    says:
      "A container without a group has a version and extensions; with a group it gets a type, or another one. A device is opened before there is a type by an iommufd alone.",
    where:
      "container.c vfio_fops_unl_ioctl, vfio_ioctl_set_iommu, vfio_group_use_container; vfio_compat.c",
  },
  "X7.2": {
    level: "uapi",
    since: "6.2",
    says:
      "GET_INFO answers as much as there is room for. MAP_DMA and UNMAP_DMA refuse for the same reasons in either container; ranges of whole mappings are unmapped, and their bytes told.",
    where:
      "vfio_iommu_type1.c vfio_iommu_type1_get_info, vfio_dma_do_map, vfio_dma_do_unmap; vfio_compat.c",
  },
  "X7.3": {
    level: "uapi",
    since: "6.2",
    says:
      "What was mapped goes, with its charge, when the last group leaves VFIO's own container, and stays in an iommufd. VFIO's own keeps the group of an open device, and open devices keep their group.",
    where:
      "container.c vfio_group_detach_container, vfio_group_use_container; vfio_iommu_type1.c vfio_iommu_type1_detach_group; group.c vfio_group_ioctl_unset_container",
  },
  "X7.4": {
    level: "uapi",
    since: "6.2",
    says:
      "VFIO's type1 charges when memory is mapped, takes no map without rights, and tells how many more maps there may be. Version 1 unmaps all of a mapping whose beginning is in the range; version 2 cuts none.",
    where:
      "vfio_iommu_type1.c vfio_dma_do_unmap, dma_entry_limit, vfio_dma_do_map, vfio_pin_pages_remote",
  },
  "X7.5": {
    level: "uapi",
    since: "6.2",
    says:
      "What VFIO's type1 alone has: memory that loses its address and gets another, of another process too, who is charged then; BARs in a map, uncharged; and a bitmap in which each mapped page counts as written.",
    where:
      "vfio_iommu_type1.c vfio_dma_do_unmap, vfio_change_dma_owner, follow_fault_pfn, vfio_iommu_type1_dirty_pages, update_user_bitmap",
  },
} as const satisfies Readonly<Record<string, Rule>>;
