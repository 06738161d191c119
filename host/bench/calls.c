// SPDX-License-Identifier: GPL-2.0-only

/*
 * Makes one kind of call many times, and prints how many microseconds each
 * took: calls KIND COUNT
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define IOMMU(nr) _IO(';', 0x80 + (nr))
#define DESTROY IOMMU(0)
#define IOAS_ALLOC IOMMU(1)
#define IOAS_MAP IOMMU(5)
#define IOAS_UNMAP IOMMU(6)
#define OPTION IOMMU(7)
#define NO_SUCH IOMMU(0x7e)

#define PAGE 4096UL

struct destroy {
	uint32_t size, id;
};

struct ioas_alloc {
	uint32_t size, flags, id;
};

struct option {
	uint32_t size, option;
	uint16_t op, reserved;
	uint32_t object;
	uint64_t value;
};

struct ioas_map {
	uint32_t size, flags, ioas, reserved;
	uint64_t user_va, length, iova;
};

struct ioas_unmap {
	uint32_t size, ioas;
	uint64_t iova, length;
};

static int iommufd;
static uint32_t ioas;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void unknown(void)
{
	ioctl(iommufd, NO_SUCH, 0);
}

static void option(void)
{
	struct option cmd = { .size = sizeof(cmd), .op = 1 };

	ioctl(iommufd, OPTION, &cmd);
}

static uint32_t alloc(void)
{
	struct ioas_alloc cmd = { .size = sizeof(cmd) };

	if (ioctl(iommufd, IOAS_ALLOC, &cmd))
		exit(1);
	return cmd.id;
}

static void alloc_destroy(void)
{
	struct destroy cmd = { .size = sizeof(cmd), .id = alloc() };

	ioctl(iommufd, DESTROY, &cmd);
}

static void open_close(void)
{
	close(open("/dev/iommu", O_RDWR));
}

static void open_other(void)
{
	close(open("/dev/null", O_RDWR));
}

/* Memory that was touched, to be pinned. */
static void *memory(unsigned long length, int flags)
{
	void *at = mmap(NULL, length, PROT_READ | PROT_WRITE,
			flags | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, length);
	return at;
}

/* Microseconds of the part that is measured, where that is not all. */
static double spent;

static void map_unmap(void *at, unsigned long length)
{
	double start = now();

	struct ioas_map map = { .size = sizeof(map), .flags = 6, .ioas = ioas,
				.user_va = (uintptr_t)at, .length = length };
	struct ioas_unmap unmap = { .size = sizeof(unmap), .ioas = ioas,
				    .length = length };

	if (ioctl(iommufd, IOAS_MAP, &map))
		exit(1);
	spent += now() - start;
	unmap.iova = map.iova;
	ioctl(iommufd, IOAS_UNMAP, &unmap);
}

static void *pages;
static unsigned long length;

static void map_again(void)
{
	map_unmap(pages, length);
}

static int flags;

/* Maps memory that was never pinned; what counts is the mapping. */
static void map_fresh(void)
{
	void *at = memory(length, flags);

	map_unmap(at, length);
	munmap(at, length);
}

static const struct {
	const char *name;
	void (*call)(void);
	int flags;
	unsigned long pages;
} kinds[] = {
	{ "unknown", unknown, 0, 0 },
	{ "option", option, 0, 0 },
	{ "alloc_destroy", alloc_destroy, 0, 0 },
	{ "open_close", open_close, 0, 0 },
	{ "open_other", open_other, 0, 0 },
	{ "map_unmap", map_again, MAP_SHARED, 16 },
	{ "shared_1", map_fresh, MAP_SHARED, 1 },
	{ "shared_512", map_fresh, MAP_SHARED, 512 },
	{ "private_1", map_fresh, MAP_PRIVATE, 1 },
	{ "private_512", map_fresh, MAP_PRIVATE, 512 },
};

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 1;

	iommufd = open("/dev/iommu", O_RDWR);
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		double start;

		if (strcmp(kinds[i].name, argv[1]))
			continue;
		if (kinds[i].pages) {
			ioas = alloc();
			length = kinds[i].pages * PAGE;
			flags = kinds[i].flags;
			pages = memory(length, flags);
		}
		kinds[i].call();
		spent = 0;
		start = now();
		for (int n = 0; n < count; n++)
			kinds[i].call();
		if (kinds[i].call != map_fresh)
			spent = now() - start;
		printf("%.3f\n", spent / count);
		return 0;
	}
	return 2;
}
