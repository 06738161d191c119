// SPDX-License-Identifier: GPL-2.0-only
/*
 * The system calls that a worker makes in the name of a test, by raw numbers:
 * what the C library does around them is not wanted.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The longest struct of an ioctl. */
#define ARENA_SIZE (1UL << 20)

/* A system call's result as the kernel gives it: -errno for a failure. */
#define raw(...)                                          \
	({                                                \
		long ret_ = syscall(__VA_ARGS__);         \
		ret_ == -1 ? -(long)errno : ret_;         \
	})

/* The first byte after the arena: nothing can be read or written there. */
static char *guard;
/* Steps until one fails, over the calls that count; 0 is off. */
static unsigned int fail_nth;
/* Where a fault of peek and poke goes on; NULL while there is none to expect. */
static sigjmp_buf *on_fault;

static void handle_fault(int sig)
{
	if (on_fault)
		siglongjmp(*on_fault, 1);
	/* Not ours: let the instruction fault again, and kill. */
	signal(sig, SIG_DFL);
}

/* Words of any alignment. */
typedef uint16_t __attribute__((aligned(1), may_alias)) word16;
typedef uint32_t __attribute__((aligned(1), may_alias)) word32;
typedef uint64_t __attribute__((aligned(1), may_alias)) word64;

/*
 * A register of a device sees every access, and memcpy() may make two of one:
 * a word is loaded and stored once.
 */
static void copy(void *to, const void *from, size_t len)
{
	switch (len) {
	case 1:
		*(volatile uint8_t *)to = *(const volatile uint8_t *)from;
		break;
	case 2:
		*(volatile word16 *)to = *(const volatile word16 *)from;
		break;
	case 4:
		*(volatile word32 *)to = *(const volatile word32 *)from;
		break;
	case 8:
		*(volatile word64 *)to = *(const volatile word64 *)from;
		break;
	default:
		memcpy(to, from, len);
	}
}

/* False if the memory is not there; some bytes may have been copied. */
static bool copy_memory(void *to, const void *from, size_t len)
{
	sigjmp_buf env;

	if (sigsetjmp(env, 1)) {
		on_fault = NULL;
		return false;
	}
	on_fault = &env;
	copy(to, from, len);
	/* The compiler must not move the copy behind this. */
	__asm__ volatile("" ::: "memory");
	on_fault = NULL;
	return true;
}

static void setup_arena(void)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	char *arena = mmap(NULL, ARENA_SIZE + page_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (arena == MAP_FAILED)
		die("no memory for the structs of ioctls: %m");
	guard = arena + ARENA_SIZE;
	/* A hole would be filled by the next mmap of a test. */
	if (mprotect(guard, page_size, PROT_NONE))
		die("no guard page: %m");
}

/* Sets the kernel's count; the write itself may be what is made to fail. */
static bool arm_fail_nth(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	for (int tries = 0; tries < 2; tries++)
		if (pwrite(FAIL_NTH_FD, text, len, 0) == len)
			return true;
	return false;
}

/* What is left of the kernel's count. */
static unsigned int fail_nth_left(void)
{
	char text[16] = "";

	/* The copy of the number was the step that failed: one was left. */
	if (pread(FAIL_NTH_FD, text, sizeof(text) - 1, 0) <= 0)
		return 1;
	return strtoul(text, NULL, 10);
}

/* Makes the system call; the struct must lie where it belongs. */
static long make_raw(const struct made *m)
{
	const long *a = m->args;

	return raw(m->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long make(const struct made *m)
{
	long ret;

	if (!m->counts || !fail_nth)
		return make_raw(m);
	if (!arm_fail_nth(fail_nth))
		die("cannot set fail-nth: %m");
	ret = make_raw(m);
	fail_nth = fail_nth_left();
	if (!arm_fail_nth(0))
		die("cannot clear fail-nth: %m");
	return ret;
}

/* Where a struct of an ioctl must lie so that a page follows that is not there. */
static void *struct_place(struct call *c, size_t len)
{
	if (len > ARENA_SIZE) {
		c->error = "the struct is too long for this agent";
		return guard;
	}
	return guard - len;
}

bool parse_made(struct call *c, const struct verb *verb, struct made *m)
{
	long *arg = m->args;

	*m = (struct made){ .nr = verb->nr, .counts = verb->counts };
	for (const char *kind = verb->args; *kind; kind++, arg++) {
		switch (*kind) {
		case 'n':
			*arg = number(c);
			break;
		case 't':
			*arg = (long)string(c);
			break;
		case 'b':
			*arg++ = (long)bytes(c, &m->len);
			*arg = m->len;
			break;
		case 's':
			m->sent = bytes(c, &m->len);
			m->place = struct_place(c, m->len);
			*arg = (long)m->place;
			break;
		case '.':
			*arg = AT_FDCWD;
			break;
		case 'm':
			*arg = 0600;
			break;
		}
	}
	return parsed(c);
}

/* The calls that are their arguments, their result and their struct. */
static void do_plain(struct call *c, const struct verb *verb)
{
	struct made m;

	if (!parse_made(c, verb, &m))
		return;
	if (m.sent)
		memcpy(m.place, m.sent, m.len);
	put_num(c->out, make(&m));
	if (m.sent)
		put_bytes(c->out, m.place, m.len);
}

static void read_bytes(struct call *c, struct made *m, size_t count)
{
	char *into;
	long ret;

	if (!parsed(c))
		return;
	into = malloc(count);
	if (!into) {
		c->error = "there is no memory for so many bytes";
		return;
	}
	/* Not there yet, the memory would be one more step that can fail. */
	memset(into, 0, count);
	m->args[1] = (long)into;
	ret = make(m);
	put_num(c->out, ret);
	put_bytes(c->out, into, ret > 0 ? ret : 0);
	free(into);
}

static void do_read(struct call *c)
{
	struct made m = { .nr = SYS_read, .counts = true };

	m.args[0] = number(c);
	m.args[2] = number(c);
	read_bytes(c, &m, m.args[2]);
}

static void do_pread(struct call *c)
{
	struct made m = { .nr = SYS_pread64 };

	m.args[0] = number(c);
	m.args[2] = number(c);
	m.args[3] = number(c);
	read_bytes(c, &m, m.args[2]);
}

static void do_poll(struct call *c)
{
	struct pollfd pfd = { .fd = number(c) };
	struct timespec now = { 0 };
	long ret;

	pfd.events = number(c);
	if (!parsed(c))
		return;
	ret = raw(SYS_ppoll, &pfd, 1, &now, NULL, 0);
	put_num(c->out, ret < 0 ? ret : pfd.revents);
}

static void do_peek(struct call *c)
{
	void *addr = (void *)number(c);
	size_t len = number(c);
	void *into;

	if (!parsed(c))
		return;
	into = malloc(len);
	if (len && !into) {
		c->error = "there is no memory for so many bytes";
		return;
	}
	if (copy_memory(into, addr, len))
		put_bytes(c->out, into, len);
	else
		c->faulted = true;
	free(into);
}

static void do_poke(struct call *c)
{
	void *addr = (void *)number(c);
	size_t len;
	void *from = bytes(c, &len);

	if (parsed(c) && !copy_memory(addr, from, len))
		c->faulted = true;
}

static void do_pipe(struct call *c)
{
	int fds[2] = { -1, -1 };

	if (!parsed(c))
		return;
	put_num(c->out, raw(SYS_pipe2, fds, 0));
	put_num(c->out, fds[0]);
	put_num(c->out, fds[1]);
}

static void do_setrlimit(struct call *c)
{
	int resource = number(c);
	rlim_t soft = number(c);
	struct rlimit64 limit;
	long ret;

	if (!parsed(c))
		return;
	ret = raw(SYS_prlimit64, 0, resource, NULL, &limit);
	if (!ret) {
		limit.rlim_cur = soft;
		if (limit.rlim_max < soft)
			limit.rlim_max = soft;
		ret = raw(SYS_prlimit64, 0, resource, &limit, NULL);
	}
	put_num(c->out, ret);
}

/* What a process may do. */
struct rights {
	struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
	struct rlimit64 memlock;
};

static struct __user_cap_header_struct capability_header = {
	.version = _LINUX_CAPABILITY_VERSION_3,
};

static void get_rights(struct rights *r)
{
	raw(SYS_capget, &capability_header, r->capabilities);
	raw(SYS_prlimit64, 0, RLIMIT_MEMLOCK, NULL, &r->memlock);
}

static void set_rights(const struct rights *r)
{
	raw(SYS_prlimit64, 0, RLIMIT_MEMLOCK, &r->memlock, NULL);
	raw(SYS_capset, &capability_header, r->capabilities);
}

static void do_dropcap(struct call *c)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	unsigned int cap = number(c);
	long ret;

	if (!parsed(c))
		return;
	ret = raw(SYS_capget, &capability_header, data);
	if (!ret && cap / 32 >= ARRAY_SIZE(data))
		ret = -EINVAL;
	if (!ret) {
		data[cap / 32].effective &= ~(1U << cap % 32);
		data[cap / 32].permitted &= ~(1U << cap % 32);
		ret = raw(SYS_capset, &capability_header, data);
	}
	put_num(c->out, ret);
}

static void do_vmstatus(struct call *c)
{
	long long locked = file_value("/proc/self/status", "VmLck:");
	long long pinned = file_value("/proc/self/status", "VmPin:");

	if (locked < 0 || pinned < 0)
		c->error = "/proc/self/status does not tell";
	if (!parsed(c))
		return;
	put_num(c->out, locked);
	put_num(c->out, pinned);
}

static void forget_fail_nth(void)
{
	close(FAIL_NTH_FD);
	fail_nth = 0;
}

static void do_failnth(struct call *c)
{
	unsigned int nth = number(c);
	int fd;

	if (!parsed(c))
		return;
	/* Not opened before: the file is that of one thread, and fork makes another. */
	fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		put_num(c->out, -errno);
		return;
	}
	dup3(fd, FAIL_NTH_FD, O_CLOEXEC);
	close(fd);
	if (!arm_fail_nth(0)) {
		put_num(c->out, -errno);
		return;
	}
	fail_nth = nth;
	put_num(c->out, 0);
}

static void do_failnthleft(struct call *c)
{
	if (parsed(c))
		put_num(c->out, fail_nth);
}

/*
 * The supervisor is the parent of all: it waits for them, and kills them. So a
 * model that goes by parents takes a child for the supervisor's: it sets itself
 * what it has from its maker.
 */
static void do_fork(struct call *c)
{
	struct rights rights;
	int pair[2];
	long pid;

	if (!parsed(c))
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		c->error = "there is no channel for the child";
		return;
	}
	get_rights(&rights);
	pid = raw(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		set_rights(&rights);
		dup3(pair[1], CHANNEL_FD, O_CLOEXEC);
		close(pair[0]);
		close(pair[1]);
		forget_fail_nth();
		/* Says nothing: the parent answers this request. */
		c->out->len = 0;
		return;
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		c->error = strerror(-pid);
		return;
	}
	put_num(c->out, pid);
	c->pass = pair[0];
	c->close_passed = true;
}

/* The answer comes from resume_worker(). */
static void do_exec(struct call *c)
{
	if (!parsed(c))
		return;
	fcntl(CHANNEL_FD, F_SETFD, 0);
	execl("/proc/self/exe", "linux_agent", RESUME, NULL);
	put_num(c->out, -errno);
	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
}

/* A descriptor for the supervisor, to hand on. */
static void do_lendfd(struct call *c)
{
	int fd = number(c);

	if (!parsed(c))
		return;
	if (fcntl(fd, F_GETFD) < 0) {
		put_num(c->out, -errno);
		return;
	}
	put_num(c->out, 0);
	c->pass = fd;
}

/* The one that came with this request: where it arrived, it stays. */
static void do_takefd(struct call *c)
{
	if (!parsed(c))
		return;
	if (c->passed >= 0)
		fcntl(c->passed, F_SETFD, 0);
	/* The kernel leaves out what there is no room for. */
	put_num(c->out, c->passed < 0 ? -EMFILE : c->passed);
}

static void do_batch(struct call *c);

static const struct verb verbs[] = {
	{ .name = "ioctl", .nr = SYS_ioctl, .args = "nns", .counts = true,
	  .batched = true, .timed = true },
	{ .name = "peek", .run = do_peek, .batched = true },
	{ .name = "poke", .run = do_poke, .batched = true },
	{ .name = "batch", .run = do_batch },
	{ .name = "time", .run = do_time },
	{ .name = "open", .nr = SYS_openat, .args = ".tnm", .counts = true,
	  .timed = true },
	{ .name = "close", .nr = SYS_close, .args = "n", .timed = true },
	{ .name = "dup", .nr = SYS_dup, .args = "n" },
	{ .name = "unlink", .nr = SYS_unlink, .args = "t" },
	/* Only the supervisor asks for these. */
	{ .name = "!lendfd", .run = do_lendfd },
	{ .name = "!takefd", .run = do_takefd },
	{ .name = "ioctlarg", .nr = SYS_ioctl, .args = "nnn", .counts = true,
	  .timed = true },
	{ .name = "mmap", .nr = SYS_mmap, .args = "nnnnnn" },
	{ .name = "munmap", .nr = SYS_munmap, .args = "nn" },
	{ .name = "mremap", .nr = SYS_mremap, .args = "nnnnn" },
	{ .name = "mprotect", .nr = SYS_mprotect, .args = "nnn" },
	{ .name = "madvise", .nr = SYS_madvise, .args = "nnn" },
	{ .name = "read", .run = do_read },
	{ .name = "write", .nr = SYS_write, .args = "nb", .counts = true },
	{ .name = "pread", .run = do_pread },
	{ .name = "pwrite", .nr = SYS_pwrite64, .args = "nbn" },
	{ .name = "lseek", .nr = SYS_lseek, .args = "nnn" },
	{ .name = "poll", .run = do_poll },
	{ .name = "memfd", .nr = SYS_memfd_create, .args = "tn" },
	{ .name = "ftruncate", .nr = SYS_ftruncate, .args = "nn" },
	{ .name = "fallocate", .nr = SYS_fallocate, .args = "nnnn" },
	{ .name = "fcntl", .nr = SYS_fcntl, .args = "nnn" },
	{ .name = "eventfd", .nr = SYS_eventfd2, .args = "nn" },
	{ .name = "pipe", .run = do_pipe },
	{ .name = "setrlimit", .run = do_setrlimit },
	{ .name = "setuid", .nr = SYS_setuid, .args = "n" },
	{ .name = "dropcap", .run = do_dropcap },
	{ .name = "vmstatus", .run = do_vmstatus },
	{ .name = "failnth", .run = do_failnth },
	{ .name = "failnthleft", .run = do_failnthleft },
	{ .name = "fork", .run = do_fork },
	{ .name = "exec", .run = do_exec },
};

const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* Carries out a call, on its own or as part of a batch. */
static void run_verb(struct call *c, bool in_batch)
{
	const struct verb *verb = find_verb(word(c));

	if (!verb)
		c->error = "the request is unknown";
	else if (in_batch && !verb->batched)
		c->error = "the request cannot be part of a batch";
	else if (verb->run)
		verb->run(c);
	else
		do_plain(c, verb);
}

void make_call(struct call *c)
{
	run_verb(c, false);
}

static void do_batch(struct call *c)
{
	char *rest = c->at;

	if (!rest)
		c->error = "a word is missing";
	c->at = NULL;
	for (bool first = true; rest && !c->error; first = false) {
		struct call one = { .at = rest, .out = c->out, .pass = -1 };

		rest = cut_call(rest);
		if (!first)
			put(c->out, " ;");
		run_verb(&one, true);
		if (one.faulted)
			put(c->out, " fault");
		c->error = one.error;
	}
}

void setup_calls(void)
{
	struct sigaction fault = {
		.sa_handler = handle_fault,
		.sa_flags = SA_NODEFER,
	};

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	setup_arena();
}
