// SPDX-License-Identifier: GPL-2.0-only

/**
 * What all C programs that are written of findings have: processes that take
 * turns, calls by their numbers, and what is said where an answer differs.
 *
 * @module
 */

/** What stands before the steps. `STEPS`, `PROCESSES` and `MOST` are defined before it. */
export const C_BEFORE = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

enum kind { RETURNED, FAULT, DIED, GONE };
static const char *const kinds[] = { "a result", "a fault", "that the process dies", "no such process" };

/* What a step gave. */
struct given {
	enum kind kind;
	long result;
	size_t len;
	unsigned char back[MOST];
};

/* What all processes see. */
static struct shared {
	/* Whose step it is. */
	volatile int turn;
	volatile int wrong;
	/* 0 for a process that was never made. */
	volatile pid_t pids[PROCESSES];
	/* The process that takes a descriptor, and what it got. */
	volatile int taker;
	volatile int taken;
	struct given given[STEPS];
} *shared;

/* Where descriptors are passed. */
enum { LEND = 900, TAKE };

static int self;
static int made = 1;
static unsigned int fail_nth UNUSED;
static unsigned char *guard;
static sigjmp_buf on_fault;
static volatile sig_atomic_t may_fault;

static void handle_fault(int sig)
{
	if (may_fault)
		siglongjmp(on_fault, 1);
	signal(sig, SIG_DFL);
}

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret = syscall(nr, a, b, c, d, e, f);

	return ret == -1 ? -(long)errno : ret;
}

UNUSED static void set_fail_nth(unsigned int nth)
{
	char text[16];
	int fd = open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC);
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* The write itself may be what fails. */
	if (write(fd, text, len) != len && write(fd, text, len) != len)
		perror("fail-nth");
	close(fd);
}

/* A call whose steps in the kernel are counted. */
UNUSED static long counted(long nr, long a, long b, long c, long d)
{
	char text[16] = "";
	int low, fd;
	long ret;

	if (!fail_nth)
		return raw(nr, a, b, c, d, 0, 0);
	low = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (low < 0) {
		perror("/proc/thread-self/fail-nth");
		return raw(nr, a, b, c, d, 0, 0);
	}
	fd = fcntl(low, F_DUPFD_CLOEXEC, 902);
	close(low);
	snprintf(text, sizeof(text), "%u", fail_nth);
	/* The write itself may be what fails. */
	if (pwrite(fd, text, strlen(text), 0) < 0 && pwrite(fd, text, strlen(text), 0) < 0)
		perror("fail-nth");
	ret = raw(nr, a, b, c, d, 0, 0);
	memset(text, 0, sizeof(text));
	fail_nth = pread(fd, text, sizeof(text) - 1, 0) <= 0 ? 1 : strtoul(text, NULL, 10);
	close(fd);
	set_fail_nth(0);
	return ret;
}

/* What an earlier step gave; 0 where it gave nothing. */
UNUSED static long result(int step)
{
	struct given *g = &shared->given[step];

	return g->kind == RETURNED ? g->result : 0;
}

UNUSED static uint64_t field(int step, size_t offset, size_t bytes)
{
	struct given *g = &shared->given[step];
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		if (g->kind == RETURNED && offset + i < g->len)
			value |= (uint64_t)g->back[offset + i] << 8 * i;
	return value;
}

UNUSED static void put(unsigned char *into, size_t len, size_t offset, size_t bytes, uint64_t value)
{
	for (size_t i = 0; i < bytes && offset + i < len; i++)
		into[offset + i] = value >> 8 * i;
}

/* Moves a struct to where the byte after it is not there. */
UNUSED static unsigned char *at_end(const unsigned char *bytes, size_t len)
{
	return memcpy(guard - len, bytes, len);
}

static void gives(int step, long ret, const void *back, size_t len)
{
	struct given *g = &shared->given[step];

	g->kind = RETURNED;
	g->result = ret;
	g->len = len;
	if (len)
		memcpy(g->back, back, len);
}

/* Copies memory that may not be there. */
UNUSED static int copy(volatile unsigned char *to, const volatile unsigned char *from, size_t len)
{
	if (sigsetjmp(on_fault, 1)) {
		may_fault = 0;
		return -1;
	}
	may_fault = 1;
	for (size_t i = 0; i < len; i++)
		to[i] = from[i];
	may_fault = 0;
	return 0;
}

UNUSED static void faults(int step)
{
	shared->given[step].kind = FAULT;
}

UNUSED static long set_limit(int resource, rlim_t soft)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return -errno;
	limit.rlim_cur = soft;
	if (limit.rlim_max < soft)
		limit.rlim_max = soft;
	return setrlimit(resource, &limit) ? -errno : 0;
}

UNUSED static long drop_capability(unsigned int cap)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	long ret = raw(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0);

	if (ret)
		return ret;
	if (cap / 32 >= _LINUX_CAPABILITY_U32S_3)
		return -EINVAL;
	data[cap / 32].effective &= ~(1U << cap % 32);
	data[cap / 32].permitted &= ~(1U << cap % 32);
	return raw(SYS_capset, (long)&header, (long)data, 0, 0, 0, 0);
}

UNUSED static void vm_status(int64_t kib[2])
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];

	kib[0] = kib[1] = -1;
	while (status && fgets(line, sizeof(line), status)) {
		sscanf(line, "VmLck: %ld", &kib[0]);
		sscanf(line, "VmPin: %ld", &kib[1]);
	}
	if (status)
		fclose(status);
}

/* Sends a descriptor to whoever takes it. */
UNUSED static long pass_fd(int fd, int to)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(LEND, &msg, 0) < 0)
		return -errno;
	shared->taker = to;
	while (shared->taker >= 0)
		usleep(100);
	return shared->taken;
}

static void take_fd(void)
{
	char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd = -EMFILE;

	if (recvmsg(TAKE, &msg, 0) < 0)
		fd = -errno;
	else if (CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	shared->taken = fd;
	shared->taker = -1;
}

static void run_process(int number, int first);

/* Makes a process, which goes on with the next step. */
UNUSED static long fork_process(int step)
{
	int number = made;
	pid_t pid = fork();

	if (!pid) {
		fail_nth = 0;
		made++;
		run_process(number, step + 1);
	}
	shared->pids[number] = pid;
	return number;
}

static void wrong(int step, const char *name)
{
	shared->wrong = 1;
	printf("step %d, %s: ", step, name);
}

/* Compares the result; up to a multiple of this where the kernel may choose the address. */
UNUSED static void expect(int step, const char *name, long expected, const char *text, long modulo)
{
	struct given *g = &shared->given[step];

	if (g->kind != RETURNED) {
		wrong(step, name);
		printf("expected %s, got %s\n", text, kinds[g->kind]);
	} else if (g->result != expected && (g->result < 0 || expected < 0 || g->result % modulo != expected % modulo)) {
		wrong(step, name);
		if (g->result < 0 && g->result >= -4095)
			printf("expected %s, got -%ld (%s)\n", text, -g->result, strerror(-g->result));
		else
			printf("expected %s, got %#lx\n", text, g->result);
	}
}

static void expect_kind(int step, const char *name, enum kind expected)
{
	struct given *g = &shared->given[step];

	if (g->kind == expected)
		return;
	wrong(step, name);
	printf("expected %s, got %s\n", kinds[expected], kinds[g->kind]);
}

/* Compares a number in what came back. */
UNUSED static void expect_field(int step, const char *name, const char *what, size_t offset, size_t bytes, uint64_t expected)
{
	uint64_t value = field(step, offset, bytes);

	if (shared->given[step].kind != RETURNED || value == expected)
		return;
	wrong(step, name);
	printf("expected %s %#lx, got %#lx\n", what, (long)expected, (long)value);
}

UNUSED static void expect_bytes(int step, const char *name, const unsigned char *expected, size_t len)
{
	struct given *g = &shared->given[step];

	if (g->kind != RETURNED)
		return;
	if (g->len != len) {
		wrong(step, name);
		printf("expected %zu bytes, got %zu\n", len, g->len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (g->back[i] == expected[i])
			continue;
		wrong(step, name);
		printf("expected byte %zu to be %#x, got %#x\n", i, expected[i], g->back[i]);
		return;
	}
}
`;

/** What stands behind the steps and their table. */
export const C_AFTER = String.raw`
static void __attribute__((noreturn)) run_process(int number, int first)
{
	self = number;
	for (int i = first; i < STEPS; i++) {
		while (shared->turn < i) {
			if (shared->taker == self)
				take_fd();
			usleep(50);
		}
		if (steps[i].process == self)
			steps[i].make(i);
		if (steps[i].forks)
			made++;
		if (steps[i].process == self)
			shared->turn = i + 1;
	}
	for (;;)
		pause();
}

/* Whether a process has ended; it need not be a child of this one. */
static int has_ended(pid_t pid)
{
	char path[32], line[256] = "";
	char *state;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	if (!stat)
		return 1;
	if (!fgets(line, sizeof(line), stat))
		line[0] = 0;
	fclose(stat);
	state = strrchr(line, ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

/* Sees that it goes on, whatever becomes of the processes. */
static int supervise(void)
{
	enum kind ended[PROCESSES] = { 0 };
	time_t last = time(NULL);
	int seen = -1;

	while (shared->turn < STEPS) {
		int i = shared->turn;
		int p = steps[i].process;

		if (i != seen)
			last = time(NULL);
		seen = i;
		if (shared->pids[p] <= 0)
			shared->given[i].kind = GONE;
		else if (ended[p] != RETURNED)
			shared->given[i].kind = ended[p];
		else if (!has_ended(shared->pids[p]))
			i = -1;
		else if (shared->turn == i) {
			shared->given[i].kind = steps[i].exits ? RETURNED : DIED;
			ended[p] = steps[i].exits ? GONE : DIED;
		} else
			i = -1;
		if (i >= 0) {
			shared->turn = i + 1;
			continue;
		}
		if (time(NULL) - last > 30) {
			printf("step %d, %s: no answer\n", seen, steps[seen].name);
			return 1;
		}
		usleep(200);
	}
	return 0;
}

int main(void)
{
	struct sigaction fault = { .sa_handler = handle_fault };
	int late, fds[2];
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	guard = mmap(NULL, MOST + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || guard == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	guard = (unsigned char *)(((uintptr_t)guard + MOST + 4096) & -4096UL);
	mprotect(guard, 4096, PROT_NONE);
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) || dup2(fds[0], LEND) < 0 || dup2(fds[1], TAKE) < 0) {
		perror("socketpair");
		return 2;
	}
	close(fds[0]);
	close(fds[1]);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	shared->taker = -1;
	fflush(stdout);
	pid = fork();
	if (!pid)
		run_process(0, 0);
	shared->pids[0] = pid;
	late = supervise();
	for (int i = 0; i < PROCESSES; i++)
		if (shared->pids[i] > 0)
			kill(shared->pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < STEPS && !late; i++)
		if (steps[i].kind == RETURNED)
			steps[i].check(i);
		else
			expect_kind(i, steps[i].name, steps[i].kind);
	if (!late && !shared->wrong)
		printf("all %d answers are as expected\n", STEPS);
	return late || shared->wrong;
}
`;
