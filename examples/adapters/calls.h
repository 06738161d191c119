/* SPDX-License-Identifier: GPL-2.0-only */
/* What an adapter does in a process of the tests: a system call for each verb. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096UL
#define MAX_ARGS 6

/* What a word of a request becomes: a number, or bytes with their length. */
struct arg {
	uint64_t number;
	unsigned char *bytes;
	size_t length;
};

/* A call that is understood, and what it gives. */
struct call {
	const struct verb *verb;
	struct arg args[MAX_ARGS];
	int fault;
	long result;
	long more[2];		/* numbers that come back beside the result */
	unsigned char *back;	/* bytes that come back; NULL for none */
	size_t length;
};

struct verb {
	const char *name;
	const char *args;	/* n: a number, b: bytes, t: a text */
	/* What comes back: r: the result, b: bytes, 2: two numbers. */
	const char *gives;
	void (*run)(struct call *c, struct arg *a);
	int batched;
};

static long check(long result)
{
	return result < 0 ? -errno : result;
}

/* Copies from or to memory of this process that may not be there. */
static int touch(ssize_t (*copy)(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long),
		 uint64_t address, void *bytes, size_t length)
{
	struct iovec here = { bytes, length }, there = { (void *)address, length };

	return copy(getpid(), &here, 1, &there, 1, 0) != (ssize_t)length;
}

static void *room_for(size_t length)
{
	void *room = calloc(1, length + 1);

	if (!room)
		exit(1);
	return room;
}

/* ---- the calls -------------------------------------------------------- */

#define N(i) ((long)a[i].number)
#define CALL(name) static void do_##name(struct call *c, struct arg *a)

CALL(open) { c->result = check(open((char *)a[0].bytes, N(1), 0600)); }
CALL(close) { c->result = check(close(N(0))); }
CALL(dup) { c->result = check(dup(N(0))); }
CALL(ioctlarg) { c->result = check(ioctl(N(0), N(1), N(2))); }
CALL(munmap) { c->result = check(munmap((void *)N(0), N(1))); }
CALL(mprotect) { c->result = check(mprotect((void *)N(0), N(1), N(2))); }
CALL(madvise) { c->result = check(madvise((void *)N(0), N(1), N(2))); }
CALL(write) { c->result = check(write(N(0), a[1].bytes, a[1].length)); }
CALL(memfd) { c->result = check(memfd_create((char *)a[0].bytes, N(1))); }
CALL(ftruncate) { c->result = check(ftruncate(N(0), N(1))); }
CALL(eventfd) { c->result = check(eventfd(N(0), N(1))); }
CALL(poke) { c->fault = touch(process_vm_writev, N(0), a[1].bytes, a[1].length); }
CALL(failnth) { (void)a; c->result = -EOPNOTSUPP; }
CALL(failnthleft) { (void)a; c->result = 0; }

CALL(mmap)
{
	/* Away from memory of this program's own. */
	static uint64_t arena = 1UL << 36;
	void *at = N(0) ? (void *)N(0) : (void *)arena;

	c->result = check((long)mmap(at, N(1), N(2), N(3), N(4), N(5)));
	arena += (N(1) + (1UL << 20)) & -PAGE;
}

/* The struct ends where a page begins that is not there. */
CALL(ioctl)
{
	size_t length = a[2].length, room = (length + PAGE - 1) / PAGE * PAGE;
	unsigned char *base = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(base + room, PAGE);
	memcpy(base + room - length, a[2].bytes, length);
	c->result = check(ioctl(N(0), N(1), base + room - length));
	c->back = room_for(length);
	c->length = length;
	memcpy(c->back, base + room - length, length);
	munmap(base, room);
}

CALL(read)
{
	c->back = room_for(N(1));
	c->result = check(read(N(0), c->back, N(1)));
	c->length = c->result < 0 ? 0 : c->result;
}

CALL(peek)
{
	c->length = N(1);
	c->back = room_for(c->length);
	c->fault = touch(process_vm_readv, N(0), c->back, c->length);
}

CALL(poll)
{
	struct pollfd one = { .fd = N(0), .events = N(1) };

	c->result = check(poll(&one, 1, 0));
	if (c->result > 0)
		c->result = one.revents;
}

CALL(pipe)
{
	int ends[2] = { -1, -1 };

	(void)a;
	c->result = check(pipe(ends));
	c->more[0] = ends[0];
	c->more[1] = ends[1];
}

CALL(vmstatus)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	(void)a;
	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "VmLck: %ld", &c->more[0]);
		sscanf(line, "VmPin: %ld", &c->more[1]);
	}
	if (status)
		fclose(status);
}

static const struct verb verbs[] = {
	{ "open", "tn", "r", do_open, 0 }, { "close", "n", "r", do_close, 0 },
	{ "dup", "n", "r", do_dup, 0 }, { "ioctl", "nnb", "rb", do_ioctl, 1 },
	{ "ioctlarg", "nnn", "r", do_ioctlarg, 0 }, { "mmap", "nnnnnn", "r", do_mmap, 0 },
	{ "munmap", "nn", "r", do_munmap, 0 }, { "mprotect", "nnn", "r", do_mprotect, 0 },
	{ "madvise", "nnn", "r", do_madvise, 0 }, { "read", "nn", "rb", do_read, 0 },
	{ "write", "nb", "r", do_write, 0 }, { "poll", "nn", "r", do_poll, 0 },
	{ "peek", "nn", "b", do_peek, 1 }, { "poke", "nb", "", do_poke, 1 },
	{ "memfd", "tn", "r", do_memfd, 0 }, { "ftruncate", "nn", "r", do_ftruncate, 0 },
	{ "eventfd", "nn", "r", do_eventfd, 0 }, { "pipe", "", "r2", do_pipe, 0 },
	{ "vmstatus", "", "2", do_vmstatus, 0 }, { "failnth", "n", "r", do_failnth, 0 },
	{ "failnthleft", "", "r", do_failnthleft, 0 }, { "exit", "", "", NULL, 0 },
};
