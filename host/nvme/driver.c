/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver of an NVMe drive: what QEMU's does not do to one. The argument says
 * what.
 */
#include <time.h>
#include "../testing/devices/device.h"

#define DEVICE_RESET 0x3b6f
#define IOMMU_IOAS_UNMAP 0x3b86

#define ENTRIES 64
#define BLOCK 512
#define LENGTH (4 << 20)
/* Where data are, and lists of pages. */
#define DATA 0x10000
#define LISTS 0x8000
/* The longest transfer. */
#define MOST (512 << 10)
#define NOWHERE 0x7fff00000000ull

enum { DELETE_SQ, CREATE_SQ, CREATE_CQ = 5, IDENTIFY };
enum { FLUSH, WRITE, READ };
enum { DATA_TRANSFER_ERROR = 4 };

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace;
	uint64_t reserved[2], prp1, prp2;
	uint32_t words[6];
};

struct completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status;
};

struct queue {
	volatile struct command *commands;
	volatile struct completion *completions;
	uint32_t tail, head, phase, number;
};

static volatile uint8_t *bar;
static uint8_t *memory;
static struct queue admin, io;

static uint32_t get(int at)
{
	return *(volatile uint32_t *)(bar + at);
}

static void set(int at, uint32_t value)
{
	*(volatile uint32_t *)(bar + at) = value;
}

/* Puts a command into a queue; it is not told. */
static void put(struct queue *queue, struct command command)
{
	command.id = queue->tail;
	queue->commands[queue->tail] = command;
	queue->tail = (queue->tail + 1) % ENTRIES;
}

static void ring(struct queue *queue)
{
	__sync_synchronize();
	set(0x1000 + 8 * queue->number, queue->tail);
}

/* The status of the next answer. */
static int next(struct queue *queue)
{
	volatile struct completion *answer = &queue->completions[queue->head];
	while ((answer->status & 1) != queue->phase)
		;
	int status = answer->status >> 1 & 0x7ff;
	queue->head = (queue->head + 1) % ENTRIES;
	if (queue->head == 0)
		queue->phase ^= 1;
	set(0x1004 + 8 * queue->number, queue->head);
	return status;
}

static int call(struct queue *queue, struct command command)
{
	put(queue, command);
	ring(queue);
	return next(queue);
}

/* A read or write of memory that is `offset` behind the first data. */
static struct command transfer(int opcode, uint32_t block, uint32_t offset,
			       uint32_t length)
{
	struct command command = { opcode, 0, 0, 1 };
	command.prp1 = IOVA + DATA + offset;
	command.prp2 = command.prp1 + 4096;
	if (length > 8192) {
		uint64_t *list = (uint64_t *)(memory + LISTS);
		for (int i = 0; i < MOST / 4096; i++)
			list[i] = IOVA + DATA + 4096 * (i + 1);
		CHECK(offset == 0);
		command.prp2 = IOVA + LISTS;
	}
	command.words[0] = block;
	command.words[2] = length / BLOCK - 1;
	return command;
}

static struct queue queue_at(int number)
{
	uint8_t *at = memory + 0x2000 * number;
	memset(at, 0, 0x2000);
	return (struct queue){ (void *)at, (void *)(at + 0x1000), 0, 0, 1,
			       number };
}

/* Turns the drive on, with a queue for data. */
static void start(void)
{
	uint64_t iova = IOVA;
	admin = queue_at(0);
	io = queue_at(1);
	set(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	memcpy((void *)(bar + 0x28), &iova, 8);
	iova += 0x1000;
	memcpy((void *)(bar + 0x30), &iova, 8);
	set(0x14, 1 | 6 << 16 | 4 << 20);
	while (get(0x1c) == 0)
		usleep(100);
	CHECK(get(0x1c) == 1);
	struct command cq = { CREATE_CQ, .prp1 = IOVA + 0x3000,
			      .words = { (ENTRIES - 1) << 16 | 1, 1 } };
	struct command sq = { CREATE_SQ, .prp1 = IOVA + 0x2000,
			      .words = { (ENTRIES - 1) << 16 | 1, 1 << 16 | 1 } };
	CHECK(call(&admin, cq) == 0);
	CHECK(call(&admin, sq) == 0);
}

static void stop(void)
{
	set(0x14, 0);
	while (get(0x1c) != 0)
		usleep(100);
}

static void reset(void)
{
	uint16_t config = 6;
	CHECK(ioctl(device, DEVICE_RESET, 0) == 0);
	CHECK(pwrite(device, &config, 2, CONFIG | 4) == 2);
}

/* The drive does what it should. */
static void works(void)
{
	static uint8_t pattern;
	pattern++;
	memset(memory + DATA, pattern, 8192);
	CHECK(call(&io, transfer(WRITE, 7, 0, 8192)) == 0);
	memset(memory + DATA, 0, 8192);
	CHECK(call(&io, transfer(READ, 7, 0, 8192)) == 0);
	for (int i = 0; i < 8192; i++)
		CHECK(memory[DATA + i] == pattern);
}

/* As many long reads as go into the queue. */
static void fill(void)
{
	for (int i = 0; i < ENTRIES - 1; i++)
		put(&io, transfer(READ, 0, 0, MOST));
	ring(&io);
}

/* Memory that the drive does not reach is an error of the command alone. */
static void bad_iova(void)
{
	struct command command = transfer(READ, 0, 0, 4096);
	command.prp1 = NOWHERE;
	CHECK(call(&io, command) == DATA_TRANSFER_ERROR);
	works();
	command = transfer(WRITE, 0, 0, 8192);
	command.prp2 = NOWHERE;
	CHECK(call(&io, command) == DATA_TRANSFER_ERROR);
	works();
	command = transfer(READ, 0, 0, MOST);
	command.prp2 = NOWHERE;
	CHECK(call(&io, command) == DATA_TRANSFER_ERROR);
	works();
}

/* What is unmapped while the drive works is reached, or is an error. */
static void unmap_in_flight(void)
{
	struct { uint32_t size, ioas; uint64_t iova, length; } unmap = {
		24, ioas, IOVA + 2 * LENGTH, LENGTH
	};
	map_memory(memory, LENGTH, unmap.iova);
	for (int i = 0; i < ENTRIES - 1; i++) {
		struct command command = transfer(READ, 0, 0, 4096);
		command.prp1 = unmap.iova + DATA + 4096 * i;
		put(&io, command);
	}
	ring(&io);
	CHECK(ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) == 0);
	for (int i = 0; i < ENTRIES - 1; i++) {
		int status = next(&io);
		CHECK(status == 0 || status == DATA_TRANSFER_ERROR);
	}
	works();
}

/* A queue that the drive does not reach makes it fail until it is turned off. */
static void bad_queue(void)
{
	stop();
	uint64_t iova = NOWHERE;
	memcpy((void *)(bar + 0x28), &iova, 8);
	set(0x14, 1);
	while (get(0x1c) == 0)
		usleep(100);
	set(0x1000, 1);
	while (!(get(0x1c) & 2))
		usleep(100);
	stop();
	start();
	works();
}

static void reset_in_flight(void)
{
	for (int i = 0; i < 20; i++) {
		fill();
		if (i % 2)
			usleep(100 * i);
		reset();
		CHECK(get(0x1c) == 0);
		start();
		works();
	}
}

/* Turned off and on, with queues that were there before. */
static void turned_off(void)
{
	for (int i = 0; i < 20; i++) {
		fill();
		stop();
		start();
		works();
	}
}

/* Anything in any register. */
static void wild(void)
{
	srandom(1);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 200; i++) {
			int at = random() % 4 ? 0x1000 + random() % 0x210
					      : random() % 0x40;
			set(at & ~3, random() % 2 ? random() % ENTRIES
						  : random() << 1);
			if (random() % 50 == 0)
				usleep(100);
		}
		reset();
		start();
		works();
	}
}

/* It ends as it is. */
static void leave(void)
{
	fill();
	exit(0);
}

/* It goes on until it is killed. */
static void killed(void)
{
	puts("in flight");
	fflush(stdout);
	for (;;) {
		fill();
		for (int i = 0; i < ENTRIES - 1; i++)
			CHECK(next(&io) == 0);
	}
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int compare(const void *one, const void *other)
{
	double difference = *(double *)one - *(double *)other;
	return (difference > 0) - (difference < 0);
}

/* Microseconds from a doorbell to its completion: the median. */
static void latency(void)
{
	enum { COUNT = 20000 };
	static double times[COUNT];
	for (int i = 0; i < COUNT; i++) {
		put(&io, transfer(READ, i % 1000, 0, 4096));
		double start = now();
		ring(&io);
		CHECK(next(&io) == 0);
		times[i] = now() - start;
	}
	qsort(times, COUNT, sizeof(*times), compare);
	printf("%.1f\n", times[COUNT / 2]);
}

static const struct way WAYS[] = {
	{ "bad_iova", bad_iova }, { "unmap_in_flight", unmap_in_flight },
	{ "bad_queue", bad_queue }, { "reset_in_flight", reset_in_flight },
	{ "turned_off", turned_off }, { "wild", wild }, { "leave", leave },
	{ "killed", killed }, { "latency", latency }, { "works", works },
	{ 0 },
};

int main(int count, char **args)
{
	open_device("/dev/vfio/devices/vfio0");
	memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	map_memory(memory, LENGTH, IOVA);
	bar = map_bar(0, 0x4000);
	start();
	return go_way(WAYS, count, args);
}
