// SPDX-License-Identifier: GPL-2.0-only

/*
 * What the system's own <linux/vfio.h> may not have yet, and what there is of
 * iommufd: the layouts of their structs (Linux: include/uapi/linux).
 */
#pragma once
#include <linux/vfio.h>
#include <stdint.h>

#undef VFIO_DEVICE_BIND_IOMMUFD
#undef VFIO_DEVICE_ATTACH_IOMMUFD_PT
#undef VFIO_DEVICE_DETACH_IOMMUFD_PT
#define VFIO_DEVICE_BIND_IOMMUFD _IO(';', 118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(';', 119)
#define VFIO_DEVICE_DETACH_IOMMUFD_PT _IO(';', 120)
#define IOMMU_DESTROY _IO(';', 0x80)
#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define IOMMU_IOAS_COPY _IO(';', 0x83)
#define IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)
#define IOMMU_IOAS_MAP _IO(';', 0x85)
#define IOMMU_IOAS_UNMAP _IO(';', 0x86)
#define IOMMU_HWPT_ALLOC _IO(';', 0x89)
#define IOMMU_GET_HW_INFO _IO(';', 0x8a)
#define IOMMU_IOAS_MAP_FILE _IO(';', 0x8f)

struct bind_iommufd {
  uint32_t argsz, flags;
  int32_t iommufd;
  uint32_t out_devid;
  uint64_t token_uuid_ptr;
};
struct attach_pt {
  uint32_t argsz, flags, pt_id, pasid;
};
struct detach_pt {
  uint32_t argsz, flags, pasid;
};
struct dma_range {
  uint64_t offset, length;
};
struct feature_dma_buf {
  uint32_t region_index, open_flags, flags, nr_ranges;
};
struct destroy_object {
  uint32_t size, id;
};
struct ioas_alloc {
  uint32_t size, flags, out_ioas_id;
};
struct ioas_copy {
  uint32_t size, flags, dst_ioas_id, src_ioas_id;
  uint64_t length, dst_iova, src_iova;
};
struct iova_range {
  uint64_t start, last;
};
struct ioas_iova_ranges {
  uint32_t size, ioas_id, num_iovas, reserved;
  uint64_t allowed_iovas, out_iova_alignment;
};
struct ioas_map {
  uint32_t size, flags, ioas_id, reserved;
  uint64_t user_va, length, iova;
};
struct ioas_map_file {
  uint32_t size, flags, ioas_id;
  int32_t fd;
  uint64_t start, length, iova;
};
struct ioas_unmap {
  uint32_t size, ioas_id;
  uint64_t iova, length;
};
struct hwpt_alloc {
  uint32_t size, flags, dev_id, pt_id, out_hwpt_id, reserved, data_type,
      data_len;
  uint64_t data_uptr;
  uint32_t fault_id, reserved2;
};
struct hw_info {
  uint32_t size, flags, dev_id, data_len;
  uint64_t data_uptr;
  uint32_t out_data_type;
  uint8_t out_max_pasid_log2, reserved[3];
  uint64_t out_capabilities;
};
