// SPDX-License-Identifier: GPL-2.0-only

/**
 * The source of every module that the tests are made of, by its path: what
 * tells one state of the suite from another. They are imported as texts, so
 * that no permission is needed wherever the package comes from. A test keeps
 * the list whole.
 *
 * @module
 */

export { default as "impl/uapi/errno.ts" } from "../impl/uapi/errno.ts" with { type: "text" };
export { default as "impl/uapi/fault.ts" } from "../impl/uapi/fault.ts" with { type: "text" };
export { default as "impl/uapi/hwpt.ts" } from "../impl/uapi/hwpt.ts" with { type: "text" };
export { default as "impl/uapi/ioas.ts" } from "../impl/uapi/ioas.ts" with { type: "text" };
export { default as "impl/uapi/ioctl.ts" } from "../impl/uapi/ioctl.ts" with { type: "text" };
export { default as "impl/uapi/iommufd.ts" } from "../impl/uapi/iommufd.ts" with { type: "text" };
export { default as "impl/uapi/layout/roles.ts" } from "../impl/uapi/layout/roles.ts" with { type: "text" };
export { default as "impl/uapi/layout/struct.ts" } from "../impl/uapi/layout/struct.ts" with { type: "text" };
export { default as "impl/uapi/mman.ts" } from "../impl/uapi/mman.ts" with { type: "text" };
export { default as "impl/uapi/revision.ts" } from "../impl/uapi/revision.ts" with { type: "text" };
export { default as "impl/uapi/revision/access.ts" } from "../impl/uapi/revision/access.ts" with { type: "text" };
export { default as "impl/uapi/revision/attach.ts" } from "../impl/uapi/revision/attach.ts" with { type: "text" };
export { default as "impl/uapi/revision/differences.ts" } from "../impl/uapi/revision/differences.ts" with { type: "text" };
export { default as "impl/uapi/revision/ioas.ts" } from "../impl/uapi/revision/ioas.ts" with { type: "text" };
export { default as "impl/uapi/revision/objects.ts" } from "../impl/uapi/revision/objects.ts" with { type: "text" };
export { default as "impl/uapi/revision/pages.ts" } from "../impl/uapi/revision/pages.ts" with { type: "text" };
export { default as "impl/uapi/revision/selftest.ts" } from "../impl/uapi/revision/selftest.ts" with { type: "text" };
export { default as "impl/uapi/revision/versions.ts" } from "../impl/uapi/revision/versions.ts" with { type: "text" };
export { default as "impl/uapi/revision/vfio.ts" } from "../impl/uapi/revision/vfio.ts" with { type: "text" };
export { default as "impl/uapi/selftest.ts" } from "../impl/uapi/selftest.ts" with { type: "text" };
export { default as "impl/uapi/selftest_values.ts" } from "../impl/uapi/selftest_values.ts" with { type: "text" };
export { default as "impl/uapi/selftest_viommu.ts" } from "../impl/uapi/selftest_viommu.ts" with { type: "text" };
export { default as "impl/uapi/vfio.ts" } from "../impl/uapi/vfio.ts" with { type: "text" };
export { default as "impl/uapi/viommu.ts" } from "../impl/uapi/viommu.ts" with { type: "text" };
export { default as "selftests/all.ts" } from "./all.ts" with { type: "text" };
export { default as "selftests/harness/fail_nth_sweep.ts" } from "./harness/fail_nth_sweep.ts" with { type: "text" };
export { default as "selftests/harness/harness.ts" } from "./harness/harness.ts" with { type: "text" };
export { default as "selftests/harness/known_bugs.ts" } from "./harness/known_bugs.ts" with { type: "text" };
export { default as "selftests/harness/random.ts" } from "./harness/random.ts" with { type: "text" };
export { default as "selftests/harness/table.ts" } from "./harness/table.ts" with { type: "text" };
export { default as "selftests/ioctls/c_struct.ts" } from "./ioctls/c_struct.ts" with { type: "text" };
export { default as "selftests/ioctls/command_table.ts" } from "./ioctls/command_table.ts" with { type: "text" };
export { default as "selftests/ioctls/fault_ioctls.ts" } from "./ioctls/fault_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/file_ioctls.ts" } from "./ioctls/file_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/hwpt_ioctls.ts" } from "./ioctls/hwpt_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/ioctls.ts" } from "./ioctls/ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/mock_ioctls.ts" } from "./ioctls/mock_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/pasid_ioctls.ts" } from "./ioctls/pasid_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/struct_row.ts" } from "./ioctls/struct_row.ts" with { type: "text" };
export { default as "selftests/ioctls/struct_table.ts" } from "./ioctls/struct_table.ts" with { type: "text" };
export { default as "selftests/ioctls/vevent_ioctls.ts" } from "./ioctls/vevent_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/vfio_info.ts" } from "./ioctls/vfio_info.ts" with { type: "text" };
export { default as "selftests/ioctls/vfio_ioctls.ts" } from "./ioctls/vfio_ioctls.ts" with { type: "text" };
export { default as "selftests/ioctls/viommu_ioctls.ts" } from "./ioctls/viommu_ioctls.ts" with { type: "text" };
export { default as "selftests/iommufd/change_process.ts" } from "./iommufd/change_process.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd.ts" } from "./iommufd/iommufd.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd_device_pasid.ts" } from "./iommufd/iommufd_device_pasid.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd_dirty_tracking.ts" } from "./iommufd/iommufd_dirty_tracking.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd_fail_nth.ts" } from "./iommufd/iommufd_fail_nth.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd_mock_domain.ts" } from "./iommufd/iommufd_mock_domain.ts" with { type: "text" };
export { default as "selftests/iommufd/iommufd_viommu.ts" } from "./iommufd/iommufd_viommu.ts" with { type: "text" };
export { default as "selftests/iommufd/test_differences.ts" } from "./iommufd/test_differences.ts" with { type: "text" };
export { default as "selftests/iommufd/vfio_compat_mock_domain.ts" } from "./iommufd/vfio_compat_mock_domain.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/access_rw_check.ts" } from "./iommufd_ioas/access_rw_check.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas.ts" } from "./iommufd_ioas/iommufd_ioas.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_access.ts" } from "./iommufd_ioas/iommufd_ioas_access.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_area.ts" } from "./iommufd_ioas/iommufd_ioas_area.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_auto_iova.ts" } from "./iommufd_ioas/iommufd_ioas_auto_iova.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_copy.ts" } from "./iommufd_ioas/iommufd_ioas_copy.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_dmabuf.ts" } from "./iommufd_ioas/iommufd_ioas_dmabuf.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_fork.ts" } from "./iommufd_ioas/iommufd_ioas_fork.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_hwpt.ts" } from "./iommufd_ioas/iommufd_ioas_hwpt.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_iova_ranges.ts" } from "./iommufd_ioas/iommufd_ioas_iova_ranges.ts" with { type: "text" };
export { default as "selftests/iommufd_ioas/iommufd_ioas_option.ts" } from "./iommufd_ioas/iommufd_ioas_option.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_dirty.ts" } from "./kit_hwpt/kit_dirty.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_dirty_bitmap.ts" } from "./kit_hwpt/kit_dirty_bitmap.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_dirty_errno.ts" } from "./kit_hwpt/kit_dirty_errno.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_fault.ts" } from "./kit_hwpt/kit_fault.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_fault_end.ts" } from "./kit_hwpt/kit_fault_end.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_hw_info.ts" } from "./kit_hwpt/kit_hw_info.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_hwpt.ts" } from "./kit_hwpt/kit_hwpt.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_hwpt_errno.ts" } from "./kit_hwpt/kit_hwpt_errno.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_hwpt_replace.ts" } from "./kit_hwpt/kit_hwpt_replace.ts" with { type: "text" };
export { default as "selftests/kit_hwpt/kit_invalidate.ts" } from "./kit_hwpt/kit_invalidate.ts" with { type: "text" };
export { default as "selftests/kit_ioas/kit_chosen_iova.ts" } from "./kit_ioas/kit_chosen_iova.ts" with { type: "text" };
export { default as "selftests/kit_ioas/kit_copy.ts" } from "./kit_ioas/kit_copy.ts" with { type: "text" };
export { default as "selftests/kit_ioas/kit_map.ts" } from "./kit_ioas/kit_map.ts" with { type: "text" };
export { default as "selftests/kit_ioas/kit_mock_domain.ts" } from "./kit_ioas/kit_mock_domain.ts" with { type: "text" };
export { default as "selftests/kit_ioas/kit_ranges.ts" } from "./kit_ioas/kit_ranges.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_access.ts" } from "./kit_pages/kit_access.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_access_errno.ts" } from "./kit_pages/kit_access_errno.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_access_rw.ts" } from "./kit_pages/kit_access_rw.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_memory_limit.ts" } from "./kit_pages/kit_memory_limit.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_rlimit.ts" } from "./kit_pages/kit_rlimit.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_user_memory.ts" } from "./kit_pages/kit_user_memory.ts" with { type: "text" };
export { default as "selftests/kit_pages/kit_user_memory_shared.ts" } from "./kit_pages/kit_user_memory_shared.ts" with { type: "text" };
export { default as "selftests/kit_pasid/kit_pasid.ts" } from "./kit_pasid/kit_pasid.ts" with { type: "text" };
export { default as "selftests/kit_pasid/kit_pasid_fault.ts" } from "./kit_pasid/kit_pasid_fault.ts" with { type: "text" };
export { default as "selftests/kit_pasid/kit_pasid_life.ts" } from "./kit_pasid/kit_pasid_life.ts" with { type: "text" };
export { default as "selftests/kit_pasid/kit_pasid_replace.ts" } from "./kit_pasid/kit_pasid_replace.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_commands.ts" } from "./kit_uapi/kit_commands.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_fail_nth.ts" } from "./kit_uapi/kit_fail_nth.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_files.ts" } from "./kit_uapi/kit_files.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_struct.ts" } from "./kit_uapi/kit_struct.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_test_ops.ts" } from "./kit_uapi/kit_test_ops.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_vfio_compat.ts" } from "./kit_uapi/kit_vfio_compat.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_vfio_struct.ts" } from "./kit_uapi/kit_vfio_struct.ts" with { type: "text" };
export { default as "selftests/kit_uapi/kit_vfio_unmap.ts" } from "./kit_uapi/kit_vfio_unmap.ts" with { type: "text" };
export { default as "selftests/target/capabilities.ts" } from "./target/capabilities.ts" with { type: "text" };
export { default as "selftests/target/target.ts" } from "./target/target.ts" with { type: "text" };
export { default as "selftests/target/target_failure.ts" } from "./target/target_failure.ts" with { type: "text" };
export { default as "selftests/target/target_process.ts" } from "./target/target_process.ts" with { type: "text" };
export { default as "selftests/target/verbs.ts" } from "./target/verbs.ts" with { type: "text" };
