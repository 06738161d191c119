/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few calls of iommufd that the examples make, for C libraries that have no
 * <linux/iommufd.h> yet.
 */
#ifndef EXAMPLES_IOMMUFD_H
#define EXAMPLES_IOMMUFD_H

#include <stdint.h>
#include <sys/ioctl.h>

#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
struct iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

#define IOMMU_IOAS_MAP _IO(';', 0x85)
#define IOMMU_IOAS_MAP_WRITEABLE 2
#define IOMMU_IOAS_MAP_READABLE 4
struct iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

#define IOMMU_IOAS_UNMAP _IO(';', 0x86)
struct iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

/* The device of the kernel's tests, in place of one that VFIO would give. */
#define IOMMU_TEST_CMD _IO(';', 0xa0)
#define IOMMU_TEST_OP_MOCK_DOMAIN 2
#define IOMMU_TEST_OP_MD_CHECK_MAP 3
struct iommu_test_cmd {
	uint32_t size;
	uint32_t op;
	uint32_t id;
	uint32_t reserved;
	union {
		struct {
			uint32_t out_stdev_id;
			uint32_t out_hwpt_id;
			uint32_t out_idev_id;
		} mock_domain;
		struct {
			uint64_t iova;
			uint64_t length;
			uint64_t uptr;
		} check_map;
		uint64_t all[6];
	};
	uint32_t last;
};

#endif
