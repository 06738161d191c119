/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs of the tests and benches share that use a device of VFIO's
 * with iommufd. The numbers are Linux's.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOMMU_IOAS_ALLOC 0x3b81
#define IOMMU_IOAS_MAP 0x3b85
#define IOMMU_IOAS_UNMAP 0x3b86
#define DEVICE_SET_IRQS 0x3b6e
#define DEVICE_IOEVENTFD 0x3b74
#define DEVICE_FEATURE 0x3b75
#define DEVICE_BIND_IOMMUFD 0x3b76
#define DEVICE_ATTACH_IOMMUFD_PT 0x3b77

#define CONTAINER_SET_IOMMU 0x3b66
#define GROUP_SET_CONTAINER 0x3b68
#define GROUP_GET_DEVICE_FD 0x3b6a
#define CONTAINER_MAP_DMA 0x3b71

#define REGION(index) ((off_t)(index) << 40)
#define CONFIG REGION(7)
#define INTX 0
#define MSIX 2
#define IRQ_EVENTFD 0x4
#define IRQ_NONE 0x1
#define IRQ_MASK 0x8
#define IRQ_UNMASK 0x10
#define IRQ_TRIGGER 0x20

/* Where the program's memory is for the device. */
#define IOVA 0x100000

static int iommufd, device;
static uint32_t ioas;

#define CHECK(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, \
			strerror(errno)); \
		exit(1); \
	} \
} while (0)

/* Opens the device, binds and attaches it, and lets it do DMA. */
static inline void open_device(const char *path)
{
	iommufd = open("/dev/iommu", O_RDWR);
	CHECK(iommufd >= 0);
	device = open(path, O_RDWR);
	CHECK(device >= 0);
	struct { uint32_t argsz, flags; int32_t iommufd; uint32_t id; } bind = {
		16, 0, iommufd, 0
	};
	struct { uint32_t size, flags, id; } alloc = { 12, 0, 0 };
	struct { uint32_t argsz, flags, id; } attach = { 12, 0, 0 };
	uint16_t command = 6;
	CHECK(ioctl(device, DEVICE_BIND_IOMMUFD, &bind) == 0);
	CHECK(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0);
	attach.id = ioas = alloc.id;
	CHECK(ioctl(device, DEVICE_ATTACH_IOMMUFD_PT, &attach) == 0);
	CHECK(pwrite(device, &command, 2, CONFIG | 4) == 2);
}

/* Maps memory for the device. */
static inline void map_memory(void *memory, size_t length, uint64_t iova)
{
	struct {
		uint32_t size, flags, ioas, reserved;
		uint64_t address, length, iova;
	} map = { 40, 7, ioas, 0, (uintptr_t)memory, length, iova };
	CHECK(ioctl(iommufd, IOMMU_IOAS_MAP, &map) == 0);
}

/* Maps a BAR. */
static inline void *map_bar(int index, size_t length)
{
	void *bar = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED,
			 device, REGION(index));
	CHECK(bar != MAP_FAILED);
	return bar;
}

/* SET_IRQS for the first interrupt of a kind; the ioctl's result. */
static inline int set_irq(uint32_t index, uint32_t flags, int fd)
{
	struct {
		uint32_t argsz, flags, index, start, count;
		int32_t fd;
	} set = { flags & IRQ_EVENTFD ? 24 : 20, flags, index, 0, 1, fd };
	return ioctl(device, DEVICE_SET_IRQS, &set);
}

/* Waits for an eventfd; what it counted. */
static inline uint64_t wait_for(int fd)
{
	uint64_t count;
	CHECK(read(fd, &count, 8) == 8);
	return count;
}

/* What a program can be told to do. */
struct way {
	const char *name;
	void (*body)(void);
};

/* Goes the way of a name, which is the only argument; what main returns. */
static inline int go_way(const struct way *ways, int argc, char **argv)
{
	for (; argc == 2 && ways->name != NULL; ways++) {
		if (strcmp(argv[1], ways->name) != 0)
			continue;
		ways->body();
		return 0;
	}
	fprintf(stderr, "usage: %s WAY\n", argv[0]);
	return 2;
}

#endif
