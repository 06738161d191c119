// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that stores to a device which counts the stores to its first
 * register, and shows the count in the second, the value in the third. The
 * fourth is cleared by ones. It ends with 0 if each was seen at once.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "device.h"

#define STORES 200

static volatile uint32_t *bar;

static void start(void)
{
	open_device("/dev/vfio/devices/vfio0");
	bar = map_bar(0, 4096);
}

static void store_all(void)
{
	for (uint32_t i = 1; i <= STORES; i++) {
		bar[0] = i / 4;
		CHECK(bar[1] == i);
		CHECK(bar[2] == i / 4);
	}
}

static void at_once(void)
{
	start();
	store_all();
	CHECK(bar[3] == 0xff);
	bar[3] = 0xff;
	CHECK(bar[3] == 0);
}

static void bytes(void)
{
	volatile uint8_t *all;
	volatile uint64_t *wide;

	start();
	all = (volatile uint8_t *)bar;
	wide = (volatile uint64_t *)bar;
	all[1] = 2;
	CHECK(bar[1] == 1);
	CHECK(bar[2] == 0x200);
	/* Two registers at once: the count stays what it is. */
	wide[0] = 5;
	CHECK(bar[1] == 2);
	CHECK(bar[2] == 5);
	__asm__ volatile("" ::: "memory");
	memset((void *)bar, 1, 4);
	CHECK(bar[2] == 0x01010101);
}

static int ticks;

static void on_alarm(int number)
{
	(void)number;
	ticks++;
}

static void signals(void)
{
	struct itimerval timer = { { 0, 300 }, { 0, 300 } };

	start();
	signal(SIGALRM, on_alarm);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	store_all();
	memset(&timer, 0, sizeof(timer));
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	CHECK(ticks > 0);
}

static void *body(void *argument)
{
	for (int i = 0; i < STORES; i++)
		bar[0] = (uintptr_t)argument;
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	start();
	CHECK(pthread_create(&thread, NULL, body, (void *)1) == 0);
	body((void *)2);
	CHECK(pthread_join(thread, NULL) == 0);
	/* Those that get through while the page is open for the other are seen as one. */
	CHECK(bar[1] >= 1 && bar[1] <= 2 * STORES);
	CHECK(bar[2] == bar[0]);
}

/* Only one can trace a thread: what a debugger has is polled. */
static void debugged(void)
{
	int ends[2], status;
	char byte = 0;

	start();
	CHECK(pipe(ends) == 0);
	pid_t parent = getpid();
	pid_t debugger = fork();
	CHECK(debugger >= 0);
	if (debugger == 0) {
		CHECK(ptrace(PTRACE_SEIZE, parent, 0, 0) == 0);
		CHECK(write(ends[1], &byte, 1) == 1);
		pause();
	}
	CHECK(read(ends[0], &byte, 1) == 1);
	for (uint32_t i = 1; i <= 3; i++) {
		bar[0] = i;
		while (bar[2] != i)
			usleep(100);
	}
	CHECK(kill(debugger, SIGKILL) == 0);
	CHECK(waitpid(debugger, &status, 0) == debugger);
}

static const struct way WAYS[] = {
	{ "at_once", at_once },
	{ "bytes", bytes },
	{ "signals", signals },
	{ "threads", threads },
	{ "debugged", debugged },
	{ 0 },
};

int main(int argc, char **argv)
{
	return go_way(WAYS, argc, argv);
}
