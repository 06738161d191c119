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
static long make_raw(struct made *m)
{
	const long *a = m->args;

	if (m->verb->run)
		return m->verb->run(m);
	return raw(m->verb->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long make(struct made *m)
{
	long ret;

	if (!m->verb->counts || !fail_nth)
		return make_raw(m);
	if (!arm_fail_nth(fail_nth))
		die("cannot set fail-nth: %m");
	ret = make_raw(m);
	fail_nth = fail_nth_left();
	if (!arm_fail_nth(0))
		die("cannot clear fail-nth: %m");
	return ret;
}

/* A page follows that is not there. */
void *struct_place(const struct made *m)
{
	return guard - m->len;
}

/* The word of bytes, and what they become: an offset from the base. */
static void parse_bytes(struct call *c, uintptr_t base, struct made *m)
{
	char *word = bytes_references(c);

	m->at = (uintptr_t)decode_bytes(c, word, &m->len) - base;
}

bool parse_made(struct call *c, const struct verb *verb, uintptr_t base,
		struct made *m)
{
	long *arg = m->args;

	*m = (struct made){ .verb = verb, .passed = -1, .pass = -1 };
	for (const char *kind = verb->args; *kind; kind++, arg++) {
		switch (*kind) {
		case 'n':
			if (!argument_reference(c, arg - m->args))
				*arg = number(c);
			break;
		case 'p':
			*arg = number(c);
			break;
		case 't':
			m->at = (uintptr_t)string(c) - base;
			break;
		case 'i':
			m->len = number(c);
			*++arg = m->len;
			break;
		case 'b':
			parse_bytes(c, base, m);
			*++arg = m->len;
			break;
		case 's':
			parse_bytes(c, base, m);
			if (m->len > ARENA_SIZE)
				c->error = "the struct is too long for this agent";
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

void place_bytes(struct made *m, uintptr_t base)
{
	long *arg = m->args;

	for (const char *kind = m->verb->args; *kind; kind++, arg++) {
		switch (*kind) {
		case 's':
			*arg = (long)struct_place(m);
			break;
		case 't':
			*arg = (long)(base + m->at);
			break;
		case 'i':
		case 'b':
			*arg++ = (long)(base + m->at);
			break;
		}
	}
}

/* A struct that is called with; what it is afterwards. */
static long call_with_struct(struct made *m, void *bytes)
{
	void *place = struct_place(m);
	long ret;

	memcpy(place, bytes, m->len);
	ret = make(m);
	memcpy(bytes, place, m->len);
	return ret;
}

/* Not there yet, the memory of a call would be one more step that can fail. */
static void touch(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 4096)
		*(const volatile char *)(bytes + i);
}

long carry_out(struct made *m, uintptr_t base)
{
	const char *args = m->verb->args;
	char *bytes = (char *)(base + m->at);

	place_bytes(m, base);
	if (strchr(args, 's'))
		return call_with_struct(m, bytes);
	if (strchr(args, 'i'))
		memset(bytes, 0, m->len);
	else if (strchr(args, 't') || strchr(args, 'b'))
		touch(bytes, m->len + 1);
	return make(m);
}

void put_values(struct text *out, const struct made *m, uintptr_t base, long ret)
{
	const struct verb *verb = m->verb;
	const char *args = verb->args;
	size_t read = ret > 0 ? ret : 0;

	if (verb->faults && ret < 0) {
		put(out, " fault");
		return;
	}
	if (!verb->faults && !verb->silent)
		put_num(out, ret);
	for (int i = 0; verb->numbers && i < 2; i++)
		put_num(out, m->numbers[i]);
	if (strchr(args, 's') || (strchr(args, 'i') && verb->faults))
		put_bytes(out, (void *)(base + m->at), m->len);
	else if (strchr(args, 'i'))
		put_bytes(out, (void *)(base + m->at), read);
}

/* Memory for what comes back of a call that is no step of a program. */
static bool own_bytes(struct call *c, struct made *m)
{
	char *own = malloc(m->len + !m->len);

	m->at = (uintptr_t)own;
	if (!own)
		c->error = "there is no memory for so many bytes";
	return own;
}

/* Carries a call out whose words follow. */
static void do_plain(struct call *c, const struct verb *verb)
{
	bool reads = strchr(verb->args, 'i');
	struct made m;
	long ret;

	if (!parse_made(c, verb, 0, &m) || (reads && !own_bytes(c, &m)))
		return;
	m.passed = c->passed;
	ret = carry_out(&m, 0);
	put_values(c->out, &m, 0, ret);
	if (reads)
		free((void *)m.at);
	c->faulted = verb->faults && ret < 0;
	c->error = m.error;
	c->pass = m.pass;
	c->close_pass = m.close_pass;
	/* In the child nothing is said: the parent answers this request. */
	if (verb->forks && !ret)
		c->out->len = 0;
}

static long do_poll(struct made *m)
{
	struct pollfd pfd = { .fd = m->args[0], .events = m->args[1] };
	struct timespec now = { 0 };
	long ret = raw(SYS_ppoll, &pfd, 1, &now, NULL, 0);

	return ret < 0 ? ret : pfd.revents;
}

static long do_peek(struct made *m)
{
	const long *a = m->args;

	return copy_memory((void *)a[1], (void *)a[0], a[2]) ? 0 : -EFAULT;
}

static long do_poke(struct made *m)
{
	const long *a = m->args;

	return copy_memory((void *)a[0], (void *)a[1], a[2]) ? 0 : -EFAULT;
}

static long do_pipe(struct made *m)
{
	int fds[2] = { -1, -1 };
	long ret = raw(SYS_pipe2, fds, 0);

	m->numbers[0] = fds[0];
	m->numbers[1] = fds[1];
	return ret;
}

static long do_setrlimit(struct made *m)
{
	int resource = m->args[0];
	rlim_t soft = m->args[1];
	struct rlimit64 limit;
	long ret = raw(SYS_prlimit64, 0, resource, NULL, &limit);

	if (ret)
		return ret;
	limit.rlim_cur = soft;
	if (limit.rlim_max < soft)
		limit.rlim_max = soft;
	return raw(SYS_prlimit64, 0, resource, &limit, NULL);
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

static long do_dropcap(struct made *m)
{
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	unsigned int cap = m->args[0];
	long ret = raw(SYS_capget, &capability_header, data);

	if (!ret && cap / 32 >= ARRAY_SIZE(data))
		ret = -EINVAL;
	if (ret)
		return ret;
	data[cap / 32].effective &= ~(1U << cap % 32);
	data[cap / 32].permitted &= ~(1U << cap % 32);
	return raw(SYS_capset, &capability_header, data);
}

static long do_vmstatus(struct made *m)
{
	static const char status[] = "/proc/self/status";

	if (!file_value(status, "VmLck:", &m->numbers[0]) ||
	    !file_value(status, "VmPin:", &m->numbers[1]))
		m->error = "/proc/self/status does not tell";
	return 0;
}

static void forget_fail_nth(void)
{
	close(FAIL_NTH_FD);
	fail_nth = 0;
}

static long do_failnth(struct made *m)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	/* Not opened before: the file is that of one thread, and fork makes another. */
	if (fd < 0)
		return -errno;
	dup3(fd, FAIL_NTH_FD, O_CLOEXEC);
	close(fd);
	if (!arm_fail_nth(0))
		return -errno;
	fail_nth = m->args[0];
	return 0;
}

static long do_failnthleft(struct made *m)
{
	(void)m;
	return fail_nth;
}

/*
 * The supervisor is the parent of all: it waits for them, and kills them. So a
 * model that goes by parents takes a child for the supervisor's: it sets itself
 * what it has from its maker.
 */
static long do_fork(struct made *m)
{
	struct rights rights;
	int pair[2];
	long pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		m->error = "there is no channel for the child";
		return -1;
	}
	get_rights(&rights);
	pid = raw(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		set_rights(&rights);
		dup3(pair[1], CHANNEL_FD, O_CLOEXEC);
		close(pair[0]);
		close(pair[1]);
		forget_fail_nth();
		return 0;
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		m->error = strerror(-pid);
		return pid;
	}
	m->pass = pair[0];
	m->close_pass = true;
	return pid;
}

/* The answer comes from resume_worker(). */
static long do_exec(struct made *m)
{
	int error;

	(void)m;
	fcntl(CHANNEL_FD, F_SETFD, 0);
	fcntl(BOARD_FD, F_SETFD, 0);
	execl("/proc/self/exe", "linux_agent", RESUME, NULL);
	error = errno;
	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(BOARD_FD, F_SETFD, FD_CLOEXEC);
	return -error;
}

/* A descriptor for the supervisor, to hand on. */
static long do_lendfd(struct made *m)
{
	int fd = m->args[0];

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	m->pass = fd;
	return 0;
}

/* The one that came with this request: where it arrived, it stays. */
static long do_takefd(struct made *m)
{
	/* The kernel leaves out what there is no room for. */
	if (m->passed < 0)
		return -EMFILE;
	fcntl(m->passed, F_SETFD, 0);
	return m->passed;
}

static void do_batch(struct call *c);

static const struct verb verbs[] = {
	{ .name = "ioctl", .nr = SYS_ioctl, .args = "nns", .counts = true,
	  .batched = true, .timed = true },
	{ .name = "peek", .run = do_peek, .args = "ni", .faults = true,
	  .batched = true },
	{ .name = "poke", .run = do_poke, .args = "nb", .faults = true,
	  .batched = true },
	{ .name = "batch", .run_list = do_batch },
	{ .name = "time", .run_list = do_time },
	{ .name = "open", .nr = SYS_openat, .args = ".tnm", .counts = true,
	  .timed = true },
	{ .name = "close", .nr = SYS_close, .args = "n", .timed = true },
	{ .name = "dup", .nr = SYS_dup, .args = "n" },
	{ .name = "dup2", .nr = SYS_dup2, .args = "nn" },
	{ .name = "dup3", .nr = SYS_dup3, .args = "nnn" },
	{ .name = "unlink", .nr = SYS_unlink, .args = "t" },
	{ .name = "passfd", .args = "np", .supervised = true },
	{ .name = "!lendfd", .run = do_lendfd, .args = "n", .internal = true },
	{ .name = "!takefd", .run = do_takefd, .args = "", .internal = true },
	{ .name = "!steps", .run_list = run_steps, .internal = true },
	{ .name = "ioctlarg", .nr = SYS_ioctl, .args = "nnn", .counts = true,
	  .timed = true },
	{ .name = "mmap", .nr = SYS_mmap, .args = "nnnnnn" },
	{ .name = "munmap", .nr = SYS_munmap, .args = "nn" },
	{ .name = "mremap", .nr = SYS_mremap, .args = "nnnnn" },
	{ .name = "mprotect", .nr = SYS_mprotect, .args = "nnn" },
	{ .name = "madvise", .nr = SYS_madvise, .args = "nnn" },
	{ .name = "read", .nr = SYS_read, .args = "ni", .counts = true },
	{ .name = "write", .nr = SYS_write, .args = "nb", .counts = true },
	{ .name = "pread", .nr = SYS_pread64, .args = "nin" },
	{ .name = "pwrite", .nr = SYS_pwrite64, .args = "nbn" },
	{ .name = "lseek", .nr = SYS_lseek, .args = "nnn" },
	{ .name = "poll", .run = do_poll, .args = "nn" },
	{ .name = "memfd", .nr = SYS_memfd_create, .args = "tn" },
	{ .name = "ftruncate", .nr = SYS_ftruncate, .args = "nn" },
	{ .name = "fallocate", .nr = SYS_fallocate, .args = "nnnn" },
	{ .name = "fcntl", .nr = SYS_fcntl, .args = "nnn" },
	{ .name = "eventfd", .nr = SYS_eventfd2, .args = "nn" },
	{ .name = "pipe", .run = do_pipe, .args = "", .numbers = true },
	{ .name = "setrlimit", .run = do_setrlimit, .args = "nn" },
	{ .name = "setuid", .nr = SYS_setuid, .args = "n" },
	{ .name = "dropcap", .run = do_dropcap, .args = "n" },
	{ .name = "vmstatus", .run = do_vmstatus, .args = "", .numbers = true,
	  .silent = true },
	{ .name = "failnth", .run = do_failnth, .args = "n" },
	{ .name = "failnthleft", .run = do_failnthleft, .args = "" },
	{ .name = "fork", .run = do_fork, .args = "", .forks = true },
	{ .name = "exec", .run = do_exec, .args = "", .anew = true },
	{ .name = "exit", .args = "", .silent = true, .supervised = true },
};

const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

size_t verb_number(const struct verb *verb)
{
	return verb - verbs;
}

const struct verb *verb_of(size_t number)
{
	return &verbs[number];
}

/* Carries out a call, on its own or as part of a batch. */
static void run_verb(struct call *c, bool in_batch)
{
	const struct verb *verb = find_verb(word(c));

	if (!verb || verb->supervised)
		c->error = "the request is unknown";
	else if (in_batch && !verb->batched)
		c->error = "the request cannot be part of a batch";
	else if (verb->run_list)
		verb->run_list(c);
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
