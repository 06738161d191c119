// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps a page into an IO address space, and takes it away again.
 *
 *	gcc -o page page.c
 */
#include "iommufd.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.length = page_size,
	};
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap) };
	void *page = aligned_alloc(page_size, page_size);
	int iommu = open("/dev/iommu", O_RDWR);

	if (!page || iommu < 0)
		err(1, "/dev/iommu");
	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &ioas))
		err(1, "IOMMU_IOAS_ALLOC");
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (uintptr_t)page;
	if (ioctl(iommu, IOMMU_IOAS_MAP, &map))
		err(1, "IOMMU_IOAS_MAP");
	printf("IOAS %u has the page at 0x%llx\n", map.ioas_id,
	       (unsigned long long)map.iova);
	unmap.ioas_id = map.ioas_id;
	unmap.iova = map.iova;
	unmap.length = map.length;
	if (ioctl(iommu, IOMMU_IOAS_UNMAP, &unmap))
		err(1, "IOMMU_IOAS_UNMAP");
	printf("%llu bytes are unmapped\n", (unsigned long long)unmap.length);
	return 0;
}
