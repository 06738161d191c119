// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uses a device through its mapped BAR, in a loop: devices KIND COUNT prints
 * the microseconds of each round. The first device is a copy engine or an NVMe
 * drive, as the kind wants it.
 */
#include <time.h>

#include "../testing/devices/device.h"

#define PAGE 4096
#define LENGTH (16 << 20)
/* Microseconds after which no more rounds are made. */
#define ENOUGH 200e3
/* Where the program has what for the drive; queues have 64 entries. */
#define ADMIN 0
#define IO 0x2000
#define LISTS 0x10000
#define DATA 0x100000
#define ENTRIES 64

static uint8_t *memory;
static volatile uint32_t *bar;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void start(void)
{
	open_device("/dev/vfio/devices/vfio0");
	memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	memset(memory, 0, LENGTH);
	map_memory(memory, LENGTH, IOVA);
	bar = map_bar(0, PAGE);
}

static void set(int at, uint32_t value)
{
	bar[at / 4] = value;
}

static void set_address(int at, uint64_t value)
{
	set(at, (uint32_t)value);
	set(at + 4, value >> 32);
}

static void engine(uint32_t bytes)
{
	set_address(0x10, IOVA);
	set_address(0x18, IOVA + LENGTH / 2);
	set(0x20, bytes);
}

/* What a command without a copy takes: from the doorbell until it is seen to be over. */
static void command(uint32_t value)
{
	set(0x08, value);
	while (bar[0x08 / 4] != 0)
		__builtin_ia32_pause();
}

static void latency(int depth)
{
	(void)depth;
	command(0x100);
}

static void copy(int depth)
{
	(void)depth;
	command(1);
}

/* A submission queue with its completion queue behind it. */
struct queue {
	int at, number, tail, head, phase;
};

static struct queue admin = { ADMIN, 0, 0, 0, 1 }, io = { IO, 1, 0, 0, 1 };

static void ring(int which, int value)
{
	set(0x1000 + 4 * which, value);
}

static void submit(struct queue *queue, uint32_t first, uint64_t prp1,
		   uint64_t prp2, uint32_t w10, uint32_t w11, uint32_t w12)
{
	uint32_t *entry = (uint32_t *)(memory + queue->at + 64 * queue->tail);

	memset(entry, 0, 64);
	entry[0] = first;
	entry[1] = queue->number;
	memcpy(entry + 6, &prp1, 8);
	memcpy(entry + 8, &prp2, 8);
	entry[10] = w10;
	entry[11] = w11;
	entry[12] = w12;
	queue->tail = (queue->tail + 1) % ENTRIES;
}

static void complete(struct queue *queue)
{
	volatile uint32_t *entry = (volatile uint32_t *)
		(memory + queue->at + PAGE + 16 * queue->head);

	while ((entry[3] >> 16 & 1) != (uint32_t)queue->phase)
		__builtin_ia32_pause();
	CHECK(entry[3] >> 17 == 0);
	queue->head = (queue->head + 1) % ENTRIES;
	if (queue->head == 0)
		queue->phase = !queue->phase;
}

static void start_drive(void)
{
	const uint32_t size = (ENTRIES - 1) << 16 | 1;

	munmap((void *)bar, PAGE);
	bar = map_bar(0, 4 * PAGE);
	set(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set_address(0x28, IOVA + ADMIN);
	set_address(0x30, IOVA + ADMIN + PAGE);
	set(0x14, 1);
	while (!(bar[0x1c / 4] & 1))
		usleep(100);
	submit(&admin, 5, IOVA + IO + PAGE, 0, size, 1, 0);
	submit(&admin, 1, IOVA + IO, 0, size, 0x10001, 0);
	ring(0, admin.tail);
	complete(&admin);
	complete(&admin);
	ring(1, admin.head);
}

/* Reads of 4 KiB, so many at once. */
static void read_4k(int depth)
{
	for (int i = 0; i < depth; i++)
		submit(&io, 2, IOVA + DATA + i * PAGE, 0, i * 8, 0, 7);
	ring(2, io.tail);
	for (int i = 0; i < depth; i++)
		complete(&io);
	ring(3, io.head);
}

/* Commands of 64 KiB: reads are 2, writes 1. */
static void transfer_64k(int opcode, int depth)
{
	for (int i = 0; i < depth; i++) {
		uint64_t data = IOVA + DATA + i * 0x10000;
		uint64_t *list = (uint64_t *)(memory + LISTS + i * PAGE);

		for (int page = 1; page < 16; page++)
			list[page - 1] = data + page * PAGE;
		submit(&io, opcode, data, IOVA + LISTS + i * PAGE, i * 128, 0,
		       127);
	}
	ring(2, io.tail);
	for (int i = 0; i < depth; i++)
		complete(&io);
	ring(3, io.head);
}

static void read_64k(int depth)
{
	transfer_64k(2, depth);
}

static const struct {
	const char *name;
	void (*round)(int depth);
	int depth;
	uint32_t bytes;
} KINDS[] = {
	{ "latency", latency, 1, 4 },
	{ "copy_4k", copy, 1, PAGE },
	{ "copy_1m", copy, 1, 1 << 20 },
	{ "nvme_4k", read_4k, 1, 0 },
	{ "nvme_64k", read_64k, 32, 0 },
};

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 1;

	for (size_t i = 0; i < sizeof(KINDS) / sizeof(*KINDS); i++) {
		if (argc < 2 || strcmp(argv[1], KINDS[i].name) != 0)
			continue;
		start();
		if (KINDS[i].bytes)
			engine(KINDS[i].bytes);
		else {
			start_drive();
			memset(memory + DATA, 0x5a, 32 * 0x10000);
			transfer_64k(1, 32);
		}
		/* What is slow in the beginning is not what is measured. */
		double begin = now();
		for (int n = 0; n < count / 10 + 1; n++) {
			KINDS[i].round(KINDS[i].depth);
			if (now() - begin > ENOUGH)
				break;
		}
		double from = now(), spent = 0;
		int done = 0;
		while (done < count && spent < ENOUGH) {
			KINDS[i].round(KINDS[i].depth);
			done++;
			spent = now() - from;
		}
		printf("%.3f\n", spent / done / KINDS[i].depth);
		return 0;
	}
	return 2;
}
