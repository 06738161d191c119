// SPDX-License-Identifier: GPL-2.0-only

/**
 * All tests, in the order in which the kernel runs its own; ours come after.
 *
 * @module
 */

import type { RevisionName } from "../impl/uapi/revision.ts";
import type { Test } from "./harness/harness.ts";
import { narrow } from "./harness/table.ts";
import { registerChangeProcess } from "./iommufd/change_process.ts";
import { registerIommufd } from "./iommufd/iommufd.ts";
import { registerIommufdDevicePasid } from "./iommufd/iommufd_device_pasid.ts";
import { registerIommufdDirtyTracking } from "./iommufd/iommufd_dirty_tracking.ts";
import { registerIommufdFailNth } from "./iommufd/iommufd_fail_nth.ts";
import { registerIommufdIoas } from "./iommufd_ioas/iommufd_ioas.ts";
import { registerIommufdMockDomain } from "./iommufd/iommufd_mock_domain.ts";
import { registerIommufdViommu } from "./iommufd/iommufd_viommu.ts";
import { registerKitAccess } from "./kit_pages/kit_access.ts";
import { registerKitPageTable } from "./kit_pages/kit_page_table.ts";
import { registerKitChosenIova } from "./kit_ioas/kit_chosen_iova.ts";
import { registerKitCommands } from "./kit_uapi/kit_commands.ts";
import { registerKitCopy } from "./kit_ioas/kit_copy.ts";
import { registerKitDirty } from "./kit_hwpt/kit_dirty.ts";
import { registerKitFailNth } from "./kit_uapi/kit_fail_nth.ts";
import { registerKitFault } from "./kit_hwpt/kit_fault.ts";
import { registerKitExec } from "./kit_kernel/kit_exec.ts";
import { registerKitHoles } from "./kit_kernel/kit_holes.ts";
import { registerKitNames } from "./kit_kernel/kit_names.ts";
import { registerKitDup2 } from "./kit_kernel/kit_dup2.ts";
import { registerKitPassing } from "./kit_kernel/kit_passing.ts";
import { registerKitRemap } from "./kit_kernel/kit_remap.ts";
import { registerKitSeals } from "./kit_kernel/kit_seals.ts";
import { registerKitFiles } from "./kit_uapi/kit_files.ts";
import { registerKitHwInfo } from "./kit_hwpt/kit_hw_info.ts";
import { registerKitHwpt } from "./kit_hwpt/kit_hwpt.ts";
import { registerKitInvalidate } from "./kit_hwpt/kit_invalidate.ts";
import { registerKitChangeProcess } from "./kit_file/kit_change_process.ts";
import { registerKitDmabuf } from "./kit_file/kit_dmabuf.ts";
import { registerKitFileFailNth } from "./kit_file/kit_file_fail_nth.ts";
import { registerKitMapFile } from "./kit_file/kit_map_file.ts";
import { registerKitMap } from "./kit_ioas/kit_map.ts";
import { registerKitMemoryLimit } from "./kit_pages/kit_memory_limit.ts";
import { registerKitMockDomain } from "./kit_ioas/kit_mock_domain.ts";
import { registerKitPasid } from "./kit_pasid/kit_pasid.ts";
import { registerKitRanges } from "./kit_ioas/kit_ranges.ts";
import { registerKitNoiommu } from "./kit_ioas/kit_noiommu.ts";
import { registerKitRlimit } from "./kit_pages/kit_rlimit.ts";
import { registerKitStruct } from "./kit_uapi/kit_struct.ts";
import { registerKitTestOps } from "./kit_uapi/kit_test_ops.ts";
import { registerKitVfioCompat } from "./kit_uapi/kit_vfio_compat.ts";
import { registerKitVfioConfig } from "./kit_vfio/kit_vfio_config.ts";
import { registerKitVfioIrq } from "./kit_vfio/kit_vfio_irq.ts";
import { registerKitVfioRegion } from "./kit_vfio/kit_vfio_region.ts";
import { registerKitVfioDma } from "./kit_vfio/kit_vfio_dma.ts";
import { registerKitVfioContainer } from "./kit_vfio_container/kit_vfio_container.ts";
import { registerKitVfioType1 } from "./kit_vfio_container/kit_vfio_type1.ts";
import { registerKitVfioGroup } from "./kit_vfio/kit_vfio_group.ts";
import { registerKitVfioFeature } from "./kit_vfio/kit_vfio_feature.ts";
import { registerKitVfioDevice } from "./kit_vfio/kit_vfio_device.ts";
import { registerKitVfioGroups } from "./kit_vfio_functions/kit_vfio_groups.ts";
import { registerKitVfioMigration } from "./kit_vfio_functions/kit_vfio_migration.ts";
import { registerKitVfioNoiommu } from "./kit_vfio_functions/kit_vfio_noiommu.ts";
import { registerKitVfioRom } from "./kit_vfio_functions/kit_vfio_rom.ts";
import { registerKitVfioSriov } from "./kit_vfio_functions/kit_vfio_sriov.ts";
import { registerKitVfioToken } from "./kit_vfio_functions/kit_vfio_token.ts";
import { registerKitVfioStruct } from "./kit_uapi/kit_vfio_struct.ts";
import { registerKitUserMemory } from "./kit_pages/kit_user_memory.ts";
import { registerKitViommu } from "./kit_viommu/kit_viommu.ts";
import { registerVfioDmaMapping } from "./vfio/dma_mapping.ts";
import { registerVfioDmaMappingMmio } from "./vfio/dma_mapping_mmio.ts";
import {
  registerVfioInitPerf,
  registerVfioPciDevice,
} from "./vfio/device_and_irq.ts";
import { registerVfioIommufdSetup } from "./vfio/iommufd_setup.ts";
import { registerVfioSriovUapi } from "./vfio/sriov_uapi.ts";
import { registerVfioPciDriver } from "./vfio/pci_driver.ts";
import { registerVfioCompatMockDomain } from "./iommufd/vfio_compat_mock_domain.ts";

/** The tests that exist in a revision of the uAPI. */
export function allTests(uapi: RevisionName): Test[] {
  const registry: Test[] = [];
  registerIommufd(registry);
  registerChangeProcess(registry);
  registerIommufdIoas(registry);
  registerIommufdMockDomain(registry);
  registerIommufdDirtyTracking(registry);
  registerVfioCompatMockDomain(registry);
  registerIommufdViommu(registry);
  registerIommufdDevicePasid(registry);
  registerIommufdFailNth(registry);
  registerVfioDmaMapping(registry);
  registerVfioDmaMappingMmio(registry);
  registerVfioIommufdSetup(registry);
  registerVfioPciDevice(registry);
  registerVfioInitPerf(registry);
  registerVfioPciDriver(registry);
  registerVfioSriovUapi(registry);
  registerKitCommands(registry);
  registerKitStruct(registry);
  registerKitTestOps(registry);
  registerKitMap(registry);
  registerKitMapFile(registry);
  registerKitDmabuf(registry);
  registerKitChangeProcess(registry);
  registerKitFileFailNth(registry);
  registerKitChosenIova(registry);
  registerKitRanges(registry);
  registerKitCopy(registry);
  registerKitAccess(registry);
  registerKitRlimit(registry);
  registerKitMockDomain(registry);
  registerKitMemoryLimit(registry);
  registerKitFiles(registry);
  registerKitNames(registry);
  registerKitSeals(registry);
  registerKitHoles(registry);
  registerKitPassing(registry);
  registerKitDup2(registry);
  registerKitExec(registry);
  registerKitRemap(registry);
  registerKitUserMemory(registry);
  registerKitHwpt(registry);
  registerKitHwInfo(registry);
  registerKitInvalidate(registry);
  registerKitDirty(registry);
  registerKitPageTable(registry);
  registerKitNoiommu(registry);
  registerKitFault(registry);
  registerKitPasid(registry);
  registerKitViommu(registry);
  registerKitFailNth(registry);
  registerKitVfioCompat(registry);
  registerKitVfioStruct(registry);
  registerKitVfioDevice(registry);
  registerKitVfioRegion(registry);
  registerKitVfioConfig(registry);
  registerKitVfioIrq(registry);
  registerKitVfioDma(registry);
  registerKitVfioFeature(registry);
  registerKitVfioSriov(registry);
  registerKitVfioToken(registry);
  registerKitVfioMigration(registry);
  registerKitVfioGroups(registry);
  registerKitVfioNoiommu(registry);
  registerKitVfioRom(registry);
  registerKitVfioGroup(registry);
  registerKitVfioContainer(registry);
  registerKitVfioType1(registry);
  return registry.flatMap((test) =>
    narrow(test, (each) => each.uapi.includes(uapi)) ?? []
  );
}
