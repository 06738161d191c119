// SPDX-License-Identifier: GPL-2.0-only

/**
 * The steps of Linux that fault injection can make fail, by the names that the
 * model has for them: what the caller gets, and the functions of Linux that
 * the steps are in. A name stands for as many steps as it has functions.
 *
 * The functions are those that a real kernel was seen in, as `deno task
 * linux:steps` records them, or for what the sweeps do not call, those of its
 * source; a test compares the model with the records. A version that has a
 * step elsewhere, more of them, or none (`""`), says so:
 * `in: { v3: "first", "7.3": "first second×2" }`.
 *
 * @module
 */

import { EFAULT, EINVAL, ENOENT, ENOMEM, type Errno } from "../uapi/errno.ts";
import {
  type ByVersion,
  valueIn,
  type Version,
} from "../uapi/revision/versions.ts";

/** All steps. Without an errno, Linux goes on in another way, or does not look at the result. */
export const FAULT_STEPS = {
  // Copies between the kernel and a user.
  "user.copyFrom": { errno: "EFAULT", in: "_copy_from_user" },
  "user.copyTo": { errno: "EFAULT", in: "_copy_to_user" },

  // Files.
  "open.name": {
    errno: "ENOMEM",
    in: { v3: "getname_flags", "7.3": "alloc_filename" },
  },
  "open.copy": { errno: "EFAULT", in: "strncpy_from_user" },
  "file.alloc": { errno: "ENOMEM", in: "alloc_empty_file" },
  "file.anonymous": { errno: "ENOMEM", in: "__d_alloc alloc_empty_file" },
  "eventfd.alloc": { errno: "ENOMEM", in: "do_eventfd" },
  "memfd.name": { errno: "ENOMEM", in: "__do_sys_memfd_create" },
  "memfd.copy": { errno: "EFAULT", in: "_copy_from_user" },
  "memfd.inode": { errno: "ENOMEM", in: "alloc_inode" },
  "dmabuf.alloc": {
    errno: "ENOMEM",
    in: "alloc_inode __d_alloc alloc_empty_file dma_buf_export",
  },
  "pipe.alloc": { errno: "ENOMEM", in: "alloc_inode alloc_pipe_info×2" },

  // Devices, and what is shown of them under /sys.
  "softwareNode.add": {
    errno: "ENOMEM",
    in: {
      v3: "",
      "7.3":
        "kobject_set_name_vargs property_entries_dup property_entry_copy_data software_node_alloc swnode_register kobject_set_name_vargs __kernfs_new_node×2",
    },
  },
  "softwareNode.uevent": {
    in: { v3: "", "7.3": "kobject_uevent_env kobject_get_path" },
  },
  "fwspec.init": {
    errno: "ENOMEM",
    in: { v3: "", "7.3": "dev_iommu_get iommu_fwspec_init" },
  },
  "device.add": {
    errno: "ENOMEM",
    in: {
      v3: "kobject_set_name_vargs device_private_init __kernfs_new_node×6",
      "7.3": "device_private_init __kernfs_new_node×10",
    },
  },
  "uevent": { in: "kobject_uevent_env kobject_get_path" },
  "driver.alloc": { errno: "ENOMEM", in: "a_driver_of_yours" },

  // The IOMMU core.
  // From 7.3 on the mock's devices have it before.
  "probe.alloc": { errno: "ENOMEM", in: { v3: "dev_iommu_get", "7.3": "" } },
  "probe.link": { errno: "ENOMEM", in: "__kernfs_new_node×3" },
  "iommuGroup.alloc": { errno: "ENOMEM", in: "iommu_group_alloc" },
  "iommuGroup.add": {
    errno: "ENOMEM",
    in:
      "kobject_set_name_vargs __kernfs_new_node×2 kobject_create __kernfs_new_node×3",
  },
  "iommuGroup.join": {
    errno: "ENOMEM",
    in:
      "iommu_group_alloc_device __kernfs_new_node iommu_group_alloc_device __kernfs_new_node×2",
  },
  "resvRegion.alloc": { errno: "ENOMEM", in: "iommu_alloc_resv_region" },
  "domain.cookie": { errno: "ENOMEM", in: "cookie_alloc" },
  "msi.page": { errno: "ENOMEM", in: "iommu_dma_get_msi_page" },
  "iopf.addDevice": { errno: "ENOMEM", in: "iopf_queue_add_device" },
  "iopf.partial": { errno: "ENOMEM", in: "report_partial_fault" },
  "iopf.group": { errno: "ENOMEM", in: "iopf_group_alloc" },

  // iommufd: contexts and objects.
  "iommufd.open": { errno: "ENOMEM", in: "iommufd_fops_open" },
  "object.alloc": { errno: "ENOMEM", in: "_iommufd_object_alloc" },
  "object.get": { errno: "ENOENT", in: "iommufd_get_object" },
  "xarray.node": { in: "xas_alloc" },

  // IOAS and memory.
  "iova.allow": { errno: "ENOMEM", in: "iommufd_ioas_load_iovas" },
  "iova.reserve": { errno: "ENOMEM", in: "iopt_reserve_iova" },
  "area.alloc": { errno: "ENOMEM", in: "iopt_area_alloc" },
  "area.split": { errno: "ENOMEM", in: "iopt_area_alloc×2" },
  "pages.alloc": { errno: "ENOMEM", in: "iopt_alloc_pages" },
  "dmabuf.attach": { errno: "ENOMEM", in: "dma_buf_dynamic_attach" },
  "dmabuf.track": { errno: "ENOMEM", in: "iopt_dmabuf_track_domain" },
  "pages.list": { errno: "ENOMEM", in: "iopt_get_pages" },
  "pages.pin": { errno: "EFAULT", in: "pfn_reader_user_pin" },
  "pages.charge": { errno: "ENOMEM", in: "pfn_reader_user_update_pinned" },
  "pages.store": { errno: "EINVAL", in: "pages_to_xarray" },
  "batch.alloc": { errno: "ENOMEM", in: "temp_kmalloc" },
  "batch.large": { in: "temp_kmalloc" },

  // Attachments.
  "resvRegions.enforce": {
    errno: "EINVAL",
    in: "iopt_table_enforce_dev_resv_regions",
  },
  "group.alloc": {
    errno: "ENOMEM",
    in: { v3: "iommufd_get_group", "7.3": "iommufd_alloc_group" },
  },
  "attach.alloc": {
    errno: "ENOMEM",
    in: { v3: "", "6.15": "iommufd_hw_pagetable_attach" },
  },
  "attach.handle": { errno: "ENOMEM", in: "iommufd_hwpt_attach_device" },
  "replace.handle": { errno: "ENOMEM", in: "iommufd_hwpt_replace_device" },
  "swMsi.map": {
    errno: "ENOMEM",
    in: { v3: "", "6.15": "iommufd_sw_msi_get_map" },
  },
  "bitmap.alloc": { errno: "ENOMEM", in: "iova_bitmap_alloc" },

  // Accesses.
  "access.area": { errno: "ENOMEM", in: "iopt_area_add_access" },
  "access.rwPage": { errno: "EINVAL", in: "iopt_pages_rw_page" },

  // Virtual IOMMUs.
  "vevent.alloc": { errno: "ENOMEM", in: "iommufd_viommu_report_event" },
  "mmap.region": { errno: "ENOMEM", in: "_iommufd_alloc_mmap mt_alloc_one" },
  "hwQueue.pages": { errno: "ENOMEM", in: "iommufd_hw_queue_alloc_phys" },

  // The selftest module and its mock IOMMU.
  "selftest.access": { errno: "ENOMEM", in: "iommufd_test_alloc_access" },
  "selftest.pages": { errno: "ENOMEM", in: "iommufd_test_access_pages" },
  "selftest.item": { errno: "ENOMEM", in: "iommufd_test_access_pages" },
  "selftest.data": { errno: "ENOMEM", in: "iommufd_test_access_rw" },
  "selftest.dmabuf": { errno: "ENOMEM", in: "iommufd_test_dmabuf_get×2" },
  "selftest.bitmap": { errno: "ENOMEM", in: "iommufd_test_dirty" },
  "noIommu.domain": {
    errno: "ENOMEM",
    in: { v3: "", "7.3": "noiommu_alloc_paging_flags" },
  },
  "mock.device": { errno: "ENOMEM", in: "mock_dev_create" },
  "mock.domain": {
    errno: "ENOMEM",
    in: { v3: "mock_domain_alloc_paging", "7.3": "mock_domain_alloc_pgtable" },
  },
  "mock.nested": { errno: "ENOMEM", in: "__mock_domain_alloc_nested" },
  "mock.viommuPages": { errno: "ENOMEM", in: "mock_viommu_init" },
  "mock.requests": { errno: "ENOMEM", in: "mock_viommu_cache_invalidate" },
  "mock.map": { errno: "ENOENT", in: "mock_domain_map_pages" },
  "mock.hwInfo": { errno: "ENOMEM", in: "mock_domain_hw_info" },
} as const;

/** The name of a step. */
export type StepName = keyof typeof FAULT_STEPS;

/** Called before each copy between the kernel and a user: throws EFAULT if it is made to fail. */
export type CopyStep = (name: "user.copyFrom" | "user.copyTo") => void;

interface FaultStep {
  readonly errno?: keyof typeof ERRNOS;
  readonly in: string | ByVersion<string>;
}

const ERRNOS = { EFAULT, EINVAL, ENOENT, ENOMEM };

/** What a caller gets whose step fails. */
export function errnoOfStep(name: StepName): Errno {
  const { errno = "ENOMEM" }: FaultStep = FAULT_STEPS[name];
  return ERRNOS[errno];
}

/** The functions of Linux that a step of the model stands for, one for each step there, in order. */
export function functionsOfStep(name: StepName, version: Version): string[] {
  const { in: where }: FaultStep = FAULT_STEPS[name];
  const text = typeof where === "string"
    ? where
    : valueIn<string>(version, where);
  return text?.match(/\S+/g)?.flatMap((word) => {
    const [name = "", times = 1] = word.split("×");
    return new Array<string>(Number(times)).fill(name);
  }) ?? [];
}
