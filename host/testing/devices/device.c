// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that uses the copy engine, the first device, through its mapped
 * BAR, in the way that is named. It ends with 0 if that is as it should be.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include "device.h"

#define LENGTH 0x10000
#define COPY 1
#define INTERRUPT 0x100
#define DONE 1

/* The registers of the copy engine. */
struct registers {
	uint32_t id, status, command, vector;
	uint64_t source, target;
	uint32_t length, pasid;
	uint64_t fault;
	uint32_t count;
};

static volatile struct registers *registers;
static uint8_t *memory;

static void start_with(int kind)
{
	open_device("/dev/vfio/devices/vfio0");
	memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
		      kind | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	map_memory(memory, LENGTH, IOVA);
	registers = map_bar(0, 4096);
	CHECK(registers->id == 0x31414d44);
}

static void start(void)
{
	start_with(MAP_PRIVATE);
}

static void ask_for_copy(uint32_t command)
{
	memset(memory, 0x5a, 4096);
	registers->source = IOVA;
	registers->target = IOVA + 0x4000;
	registers->length = 4096;
	registers->command = command;
}

static void check_copy(void)
{
	CHECK(registers->status == DONE);
	CHECK(memcmp(memory, memory + 0x4000, 4096) == 0);
}

static void wait_until_done(void)
{
	while (registers->command != 0)
		usleep(100);
}

static void polls(void)
{
	start();
	ask_for_copy(COPY);
	wait_until_done();
	check_copy();
}

static void interrupt(void)
{
	start();
	int fd = eventfd(0, 0);
	CHECK(set_irq(MSIX, IRQ_EVENTFD | IRQ_TRIGGER, fd) == 0);
	/* The reference is the device's. */
	int own = dup(fd);
	close(fd);
	for (int i = 0; i < 3; i++) {
		ask_for_copy(COPY | INTERRUPT);
		CHECK(wait_for(own) == 1);
		check_copy();
	}
}

static void full_eventfd(void)
{
	start();
	int fd = eventfd(0, 0);
	uint64_t most = UINT64_MAX - 1;
	CHECK(write(fd, &most, 8) == 8);
	CHECK(set_irq(MSIX, IRQ_EVENTFD | IRQ_TRIGGER, fd) == 0);
	ask_for_copy(COPY | INTERRUPT);
	wait_until_done();
	CHECK(wait_for(fd) == most);
}

static void no_eventfd(void)
{
	start();
	CHECK(set_irq(MSIX, IRQ_EVENTFD | IRQ_TRIGGER, 0) == -1);
	CHECK(errno == EINVAL);
	CHECK(set_irq(MSIX, IRQ_EVENTFD | IRQ_TRIGGER, 99) == -1);
	CHECK(errno == EBADF);
}

static void before_a_call(void)
{
	start();
	for (uint32_t i = 1; i <= 20; i++) {
		uint32_t count;
		ask_for_copy(COPY);
		CHECK(pread(device, &count, 4, 0x30) == 4);
		CHECK(count == i);
		check_copy();
	}
	/* Whatever call it is: the memory is gone behind this one. */
	struct { uint32_t size, ioas; uint64_t iova, length; } unmap = {
		24, ioas, IOVA, LENGTH
	};
	memset(memory + 0x4000, 0, 4096);
	/* Long enough for the device to look seldom. */
	usleep(50000);
	ask_for_copy(COPY);
	CHECK(ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) == 0);
	check_copy();
}

static void doorbell(void)
{
	start();
	int fd = eventfd(0, 0);
	struct {
		uint32_t argsz, flags;
		uint64_t offset, data;
		int32_t fd;
		uint32_t reserved;
	} set = { 32, 4, 8, COPY, fd, 0 };
	CHECK(ioctl(device, DEVICE_IOEVENTFD, &set) == 0);
	for (uint32_t i = 1; i <= 3; i++) {
		uint64_t one = 1;
		ask_for_copy(0);
		CHECK(write(fd, &one, 8) == 8);
		while (registers->count < i)
			usleep(100);
		check_copy();
	}
	set.fd = -1;
	CHECK(ioctl(device, DEVICE_IOEVENTFD, &set) == 0);
}

static sigjmp_buf fault;

static void on_bus_error(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

static int faults(void)
{
	if (sigsetjmp(fault, 1))
		return 1;
	(void)registers->id;
	return 0;
}

static void set_command(uint16_t command)
{
	CHECK(pwrite(device, &command, 2, CONFIG | 4) == 2);
}

static void memory_off(void)
{
	start();
	signal(SIGBUS, on_bus_error);
	registers->vector = 7;
	CHECK(!faults());
	set_command(0);
	CHECK(faults());
	set_command(6);
	CHECK(!faults());
	CHECK(registers->id == 0x31414d44);
	CHECK(registers->vector == 7);
	ask_for_copy(COPY);
	wait_until_done();
	check_copy();
}

static void low_power(void)
{
	start();
	int fd = eventfd(0, 0);
	struct {
		uint32_t argsz, flags;
		int32_t fd;
		uint32_t reserved;
	} enter = { 16, 1 << 17 | 4, fd, 0 };
	CHECK(ioctl(device, DEVICE_FEATURE, &enter) == 0);
	uint32_t id;
	CHECK(pread(device, &id, 4, 0) == 4);
	CHECK(wait_for(fd) == 1);
}

/* The mapping is what keeps the device. */
static void child(void)
{
	start_with(MAP_SHARED);
	close(device);
	close(iommufd);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		ask_for_copy(COPY);
		wait_until_done();
		check_copy();
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

/* By the container of type1, whose device has the number of its group. */
static void bar_as_target(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR);
	char path[32];
	int group = -1;
	for (int i = 0; group < 0 && i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/%d", i);
		group = open(path, O_RDWR);
	}
	CHECK(container >= 0 && group >= 0);
	CHECK(ioctl(group, GROUP_SET_CONTAINER, &container) == 0);
	CHECK(ioctl(container, CONTAINER_SET_IOMMU, 1) == 0);
	device = ioctl(group, GROUP_GET_DEVICE_FD, "0000:00:04.0");
	CHECK(device >= 0);
	set_command(6);
	registers = map_bar(0, 4096);
	struct {
		uint32_t argsz, flags;
		uint64_t address, iova, length;
	} map = { 32, 3, (uintptr_t)registers, IOVA, 4096 };
	CHECK(ioctl(container, CONTAINER_MAP_DMA, &map) == 0);
	/* The device reads its own register, and writes it to another. */
	registers->source = IOVA;
	registers->target = IOVA + 0xc;
	registers->length = 4;
	registers->command = COPY;
	wait_until_done();
	CHECK(registers->status == DONE);
	CHECK(registers->vector == registers->id);
	CHECK(mprotect((void *)registers, 4096, PROT_READ) == 0);
	map.iova += 4096;
	CHECK(ioctl(container, CONTAINER_MAP_DMA, &map) == -1);
	CHECK(errno == EFAULT);
	map.flags = 1;
	CHECK(ioctl(container, CONTAINER_MAP_DMA, &map) == 0);
}

static const struct way WAYS[] = {
	{ "polls", polls },
	{ "interrupt", interrupt },
	{ "full_eventfd", full_eventfd },
	{ "no_eventfd", no_eventfd },
	{ "before_a_call", before_a_call },
	{ "doorbell", doorbell },
	{ "memory_off", memory_off },
	{ "low_power", low_power },
	{ "child", child },
	{ "bar_as_target", bar_as_target },
	{ 0 },
};

int main(int argc, char **argv)
{
	return go_way(WAYS, argc, argv);
}
