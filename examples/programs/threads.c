// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that share a descriptor of /dev/iommu, children that are forked while
 * the memory is pinned, and a program that inherits the descriptor.
 *
 *	gcc -pthread -o threads threads.c
 */
#include "iommufd.h"

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define CHILDREN 4
#define ROUNDS 25
#define LENGTH (64UL << 10)

/* An IO address space with a device. */
struct space {
	int iommu;
	uint32_t ioas;
	uint32_t hwpt;
};

static struct space open_space(void)
{
	struct space space = { .iommu = open("/dev/iommu", O_RDWR) };
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_test_cmd device = {
		.size = sizeof(device),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN,
	};

	if (space.iommu < 0)
		err(1, "/dev/iommu");
	if (ioctl(space.iommu, IOMMU_IOAS_ALLOC, &ioas))
		err(1, "IOMMU_IOAS_ALLOC");
	device.id = ioas.out_ioas_id;
	if (ioctl(space.iommu, IOMMU_TEST_CMD, &device))
		err(1, "no mock device");
	space.ioas = ioas.out_ioas_id;
	space.hwpt = device.mock_domain.out_hwpt_id;
	return space;
}

static void *new_memory(int fill)
{
	void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memset(memory, fill, LENGTH);
}

/* Returns where the device has it. */
static uint64_t map(const struct space *space, void *memory)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)memory,
		.length = LENGTH,
	};

	if (ioctl(space->iommu, IOMMU_IOAS_MAP, &map))
		err(1, "IOMMU_IOAS_MAP");
	return map.iova;
}

/* The device must have the very pages that this process sees. */
static void check(const struct space *space, uint64_t iova, void *memory)
{
	struct iommu_test_cmd check = {
		.size = sizeof(check),
		.op = IOMMU_TEST_OP_MD_CHECK_MAP,
		.id = space->hwpt,
		.check_map = {
			.iova = iova,
			.length = LENGTH,
			.uptr = (uintptr_t)memory,
		},
	};

	if (ioctl(space->iommu, IOMMU_TEST_CMD, &check))
		err(1, "the device has other memory");
}

static void unmap(const struct space *space, uint64_t iova)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = LENGTH,
	};

	if (ioctl(space->iommu, IOMMU_IOAS_UNMAP, &unmap))
		err(1, "IOMMU_IOAS_UNMAP");
}

static void *thread(void *shared)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct space own = open_space();
		void *memory = new_memory(round);
		uint64_t iova = map(shared, memory);
		uint64_t own_iova = map(&own, memory);

		check(shared, iova, memory);
		check(&own, own_iova, memory);
		unmap(shared, iova);
		munmap(memory, LENGTH);
		/* The other mapping goes with its descriptor. */
		close(own.iommu);
	}
	return NULL;
}

/* A child has a copy of the memory: the pinned pages are its parent's. */
static void child(const struct space *shared, char *memory)
{
	struct space own = open_space();

	memset(memory, 'c', LENGTH);
	check(&own, map(&own, memory), memory);
	/* The descriptor is the parent's; the memory is not. */
	unmap(shared, map(shared, memory));
	_exit(0);
}

/* What the program does that a child runs: the descriptor is still open. */
static int run_child(int iommu)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };

	if (ioctl(iommu, IOMMU_IOAS_ALLOC, &ioas))
		err(1, "IOMMU_IOAS_ALLOC with what was inherited");
	return 0;
}

static void wait_for_child(void)
{
	int status;

	if (wait(&status) < 0 || status)
		errx(1, "a child failed");
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct space shared;
	uint64_t iova;
	char *memory;
	char number[12];

	if (argc == 2)
		return run_child(atoi(argv[1]));
	shared = open_space();
	memory = new_memory('p');
	iova = map(&shared, memory);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread, &shared))
			errx(1, "no thread");
	for (int i = 0; i < CHILDREN; i++)
		if (!fork())
			child(&shared, memory);
	for (int i = 0; i < CHILDREN; i++)
		wait_for_child();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* After the forks a write copies no pinned page. */
	memset(memory, 'q', LENGTH);
	check(&shared, iova, memory);
	snprintf(number, sizeof(number), "%d", shared.iommu);
	if (!fork()) {
		execl("/proc/self/exe", argv[0], number, NULL);
		err(1, "exec");
	}
	wait_for_child();
	printf("%d threads and %d children saw their own memory\n", THREADS,
	       CHILDREN + 1);
	return 0;
}
