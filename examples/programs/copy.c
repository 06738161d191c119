/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client of VFIO that sets up DMA and gets an interrupt: it has the copy
 * engine (impl/pci/devices/copy_engine.md) copy a page of its memory.
 *
 *	gcc -o /tmp/copy examples/programs/copy.c
 *	deno task run --device dma -- /tmp/copy
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd.h"

/* What older C libraries lack of <linux/vfio.h>, and what this program needs of the rest. */
#define VFIO_DEVICE_SET_IRQS _IO(';', 110)
#define VFIO_DEVICE_BIND_IOMMUFD _IO(';', 118)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(';', 119)
#define VFIO_IRQ_SET_EVENTFD_TRIGGER (1 << 2 | 1 << 5)
#define VFIO_PCI_CONFIG_REGION 7
#define VFIO_PCI_MSIX_IRQ 2
#define REGION(index) ((off_t)(index) << 40)
#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY_MASTER 6

#define IOVA 0x100000
#define PAGE 4096

/* The registers of the copy engine. */
struct engine {
	uint32_t id, status, command, vector;
	uint64_t source, target;
	uint32_t length, pasid;
};

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/vfio/devices/vfio0";
	int iommufd = open("/dev/iommu", O_RDWR);
	check(iommufd < 0, "/dev/iommu");
	int device = open(path, O_RDWR);
	check(device < 0, path);

	struct { uint32_t argsz, flags; int32_t iommufd; uint32_t id; } bind = {
		sizeof(bind), 0, iommufd, 0
	};
	check(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind), "bind");

	/* Memory that the device reaches: two pages. */
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory == MAP_FAILED, "mmap");
	strcpy(memory, "hello");
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "IOAS");
	struct { uint32_t argsz, flags, id; } attach = {
		sizeof(attach), 0, alloc.out_ioas_id
	};
	check(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), "attach");
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = 1 | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = alloc.out_ioas_id,
		.user_va = (uintptr_t)memory,
		.length = 2 * PAGE,
		.iova = IOVA,
	};
	check(ioctl(iommufd, IOMMU_IOAS_MAP, &map), "map");

	/* An interrupt, and the right to do DMA. */
	int event = eventfd(0, 0);
	struct { uint32_t argsz, flags, index, start, count; int32_t fd; } irq = {
		sizeof(irq), VFIO_IRQ_SET_EVENTFD_TRIGGER, VFIO_PCI_MSIX_IRQ,
		0, 1, event
	};
	check(ioctl(device, VFIO_DEVICE_SET_IRQS, &irq), "interrupt");
	uint16_t command = PCI_COMMAND_MEMORY_MASTER;
	check(pwrite(device, &command, sizeof(command),
		     REGION(VFIO_PCI_CONFIG_REGION) + PCI_COMMAND) < 0, "command");

	/* Its registers. */
	volatile struct engine *engine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					      MAP_SHARED, device, REGION(0));
	check(engine == MAP_FAILED, "registers");
	engine->source = IOVA;
	engine->target = IOVA + PAGE;
	engine->length = PAGE;
	engine->command = 0x101; /* copy, then message 0 */

	uint64_t interrupts;
	check(read(event, &interrupts, 8) != 8, "wait");
	printf("%s, status %u, interrupts: %u\n", memory + PAGE,
	       engine->status, (unsigned)interrupts);
	return 0;
}
