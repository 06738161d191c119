/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program that does anything with a device of VFIO's, by a seed: one thread
 * makes calls with wild arguments, maps, unmaps and detaches, while another
 * stores to registers, by a mapping and by pwrite. In the end it is killed, or
 * just ends. `hostile PATH SEED`
 */
#include "device.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#define STEPS 150
#define PAGES 16

static uint32_t seed;
static char *memory;
static _Thread_local sigjmp_buf back;

static uint32_t below(uint32_t *state, uint32_t limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state % limit;
}

static uint32_t value(uint32_t *state)
{
	switch (below(state, 4)) {
	case 0:
		return IOVA + below(state, PAGES * 4096);
	case 1:
		return 1u << below(state, 32);
	case 2:
		return below(state, 256);
	default:
		return *state;
	}
}

static void on_signal(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* Stores to registers; memory that is off is a signal. */
static void *store(void *bar)
{
	uint32_t state = seed * 7919 + 1;
	for (int i = 0; i < STEPS; i++) {
		uint32_t at = below(&state, 2) ? below(&state, 0x40) & ~3u
					       : below(&state, 4096) & ~3u;
		uint32_t word = value(&state);
		if (below(&state, 4) == 0)
			(void)!pwrite(device, &word, 4, REGION(0) + at);
		else if (sigsetjmp(back, 1) == 0)
			*(volatile uint32_t *)((char *)bar + at) = word;
		if (below(&state, 8) == 0) {
			uint16_t command = below(&state, 4) ? 6 : word;
			(void)!pwrite(device, &command, 2, CONFIG | 4);
		}
	}
	return NULL;
}

static void step(uint32_t *state, const int *fds, int count)
{
	uint32_t words[16];
	for (int i = 0; i < 16; i++)
		words[i] = below(state, 3) ? below(state, 40) : value(state);
	words[0] = 8 + 4 * below(state, 15);
	int fd = fds[below(state, count)];
	switch (below(state, 6)) {
	case 0: {
		struct {
			uint32_t size, flags, ioas, reserved;
			uint64_t address, length, iova;
		} map = { 40, 7, ioas, 0, (uintptr_t)memory, PAGES * 4096, IOVA };
		ioctl(iommufd, IOMMU_IOAS_MAP, &map);
		break;
	}
	case 1: {
		struct {
			uint32_t size, ioas;
			uint64_t iova, length;
		} unmap = { 24, ioas, 0, UINT64_MAX };
		ioctl(iommufd, 0x3b86, &unmap);
		break;
	}
	case 2: {
		struct { uint32_t argsz, flags, id; } attach = { 12, 0, ioas };
		ioctl(device, DEVICE_ATTACH_IOMMUFD_PT + below(state, 2), &attach);
		break;
	}
	case 3: {
		/* The struct ends where nothing is mapped. */
		char *end = memory + PAGES * 4096 - below(state, 64);
		ioctl(fd, 0x3b64 + below(state, 0x32), end);
		break;
	}
	default:
		ioctl(fd, 0x3b64 + below(state, 0x32), words);
	}
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	seed = atoi(argv[2]);
	uint32_t state = seed;
	signal(SIGBUS, on_signal);
	signal(SIGSEGV, on_signal);
	open_device(argv[1]);
	memory = mmap(NULL, (PAGES + 1) * 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK(munmap(memory + PAGES * 4096, 4096) == 0);
	map_memory(memory, PAGES * 4096, IOVA);
	int event = eventfd(0, EFD_NONBLOCK);
	set_irq(MSIX, IRQ_EVENTFD | IRQ_TRIGGER, event);
	void *bar = map_bar(0, 4096);
	int fds[] = { device, device, iommufd, open("/dev/vfio/vfio", O_RDWR), event };
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, store, bar) == 0);
	int last = seed % 3 == 0 ? below(&state, STEPS) : STEPS;
	for (int i = 0; i < last; i++)
		step(&state, fds, 5);
	if (last < STEPS)
		kill(getpid(), SIGKILL);
	if (seed % 3 == 1) {
		/* Others first: the device is in use. */
		close(iommufd);
		munmap(memory, PAGES * 4096);
		close(device);
	}
	pthread_join(thread, NULL);
	return 0;
}
