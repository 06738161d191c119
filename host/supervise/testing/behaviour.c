// SPDX-License-Identifier: GPL-2.0-only

/*
 * A program that behaves in one of several ways, by its first argument. It
 * prints what it finds, and exits with 0 unless that is wrong.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define IOMMU_IOAS_MAP _IO(';', 0x85)

extern char **environ;

struct ioas_alloc {
	uint32_t size, flags, id;
};

struct ioas_map {
	uint32_t size, flags, ioas, reserved;
	uint64_t user_va, length, iova;
};

static void check(int ok, const char *what)
{
	if (ok)
		return;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_iommu(void)
{
	int fd = open("/dev/iommu", O_RDWR);

	check(fd >= 0, "open");
	return fd;
}

/* The id of a new IOAS, or a negative errno. */
static int alloc_ioas(int fd)
{
	struct ioas_alloc cmd = { .size = sizeof(cmd) };

	return ioctl(fd, IOMMU_IOAS_ALLOC, &cmd) ? -errno : (int)cmd.id;
}

static void wait_for(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child");
}

/* Children of many kinds use the descriptor of their parent. */
static int children(const char *self)
{
	int fd = open_iommu();
	char number[16];
	char *args[] = { (char *)self, "use", number, NULL };
	pid_t pid;

	snprintf(number, sizeof(number), "%d", fd);
	check(alloc_ioas(fd) == 1, "parent");
	pid = fork();
	if (pid == 0)
		_exit(alloc_ioas(fd) != 2);
	wait_for(pid);
	pid = vfork();
	if (pid == 0) {
		/* The struct is on the stack that is the parent's too. */
		if (alloc_ioas(fd) != 3)
			_exit(1);
		execv(self, args);
		_exit(1);
	}
	wait_for(pid);
	check(posix_spawn(&pid, self, NULL, NULL, args, environ) == 0, "spawn");
	wait_for(pid);
	check(alloc_ioas(fd) == 6, "parent again");
	execv(self, args);
	return 1;
}

/* Uses a descriptor that was inherited over an exec. */
static int use(int argc, char **argv)
{
	int id;

	if (argc < 3)
		return 2;
	id = alloc_ioas(atoi(argv[2]));
	printf("%d\n", id);
	return id < 0;
}

/* An exec closes what is to be closed. */
static int cloexec(const char *self)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	char number[16];

	check(fd >= 0, "open");
	snprintf(number, sizeof(number), "%d", fd);
	execl(self, self, "use", number, NULL);
	return 1;
}

static int shared_fd;

static void *allocate(void *count)
{
	for (int i = 0; i < *(int *)count; i++)
		if (alloc_ioas(shared_fd) < 0)
			return "failed";
	return NULL;
}

/* Threads that make calls, open and close at the same time. */
static int threads(void)
{
	pthread_t ids[8];
	int count = 50;

	shared_fd = open_iommu();
	for (int i = 0; i < 8; i++)
		check(pthread_create(&ids[i], NULL, allocate, &count) == 0, "create");
	for (int i = 0; i < 50; i++)
		close(open_iommu());
	for (int i = 0; i < 8; i++) {
		void *failed;

		pthread_join(ids[i], &failed);
		check(failed == NULL, "thread");
	}
	printf("%d\n", alloc_ioas(shared_fd));
	return 0;
}

/* The first thread ends, the others go on. */
static void *goes_on(void *unused)
{
	(void)unused;
	usleep(1000);
	check(alloc_ioas(shared_fd) == 1, "after the first thread");
	exit(0);
}

static int first_thread_ends(void)
{
	pthread_t id;

	shared_fd = open_iommu();
	check(pthread_create(&id, NULL, goes_on, NULL) == 0, "create");
	pthread_exit(NULL);
}

static void ignore(int signal)
{
	(void)signal;
}

/* Signals arrive while calls are answered: none is made twice. */
static int signals(void)
{
	struct itimerval timer = { { 0, 200 }, { 0, 200 } };
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	int fd = open_iommu();

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 1; i <= 2000; i++)
		check(alloc_ioas(fd) == i, "twice");
	return 0;
}

/* Opens until there is no descriptor left, and again after all are closed. */
static int descriptors(int argc, char **argv)
{
	struct rlimit limit;
	int fds[4096];
	int count = 0;

	limit.rlim_cur = limit.rlim_max = argc > 2 ? atoi(argv[2]) : 0;
	if (limit.rlim_cur > 0)
		check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	while (count < 4096 && (fds[count] = open("/dev/iommu", O_RDWR)) >= 0)
		count++;
	printf("%s\n", errno == EMFILE ? "EMFILE" : errno == ENFILE ? "ENFILE" : "?");
	check(count > 0 && alloc_ioas(fds[0]) == 1, "with all open");
	for (int i = 0; i < count; i++)
		close(fds[i]);
	check(alloc_ioas(open_iommu()) == 1, "after all were closed");
	return 0;
}

/* Many children, some of which die in the middle. */
static int forks(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[2]) : 100;
	int fd = open_iommu();

	for (int left = count; left > 0;) {
		int batch = left < 20 ? left : 20;

		for (int i = 0; i < batch; i++) {
			if (fork() == 0) {
				if (i % 4 == 0)
					kill(getpid(), SIGKILL);
				_exit(i % 4 == 1 ? 0 : alloc_ioas(fd) < 0);
			}
		}
		for (int i = 0; i < batch; i++)
			wait(NULL);
		left -= batch;
	}
	printf("%d\n", alloc_ioas(fd) == count / 2 + 1);
	return 0;
}

/* A descriptor in flight over a socket is open. */
static int pass(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int pair[2];
	int fd = open_iommu();
	pid_t pid;

	check(alloc_ioas(fd) == 1, "first");
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	check(sendmsg(pair[0], &message, 0) == 1, "sendmsg");
	close(fd);
	check(alloc_ioas(open_iommu()) == 1, "another");
	pid = fork();
	if (pid == 0) {
		check(recvmsg(pair[1], &message, 0) == 1, "recvmsg");
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
		_exit(alloc_ioas(fd) != 2);
	}
	wait_for(pid);
	return 0;
}

/* Descendants that are nobody's children any more, and go on. */
static int daemons(void)
{
	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			if (i > 0)
				setsid();
			if (i > 1 && fork() > 0)
				_exit(0);
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			for (;;)
				i == 0 ? (void)sched_yield() : (void)pause();
		}
	}
	usleep(10000);
	return 7;
}

/* Holds a mapping, tells that it does, and does nothing more. */
static int hold(void)
{
	struct ioas_map map = { .size = sizeof(map), .flags = 6, .length = 65536 };
	int fd = open_iommu();

	map.ioas = alloc_ioas(fd);
	map.user_va = (uintptr_t)mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(ioctl(fd, IOMMU_IOAS_MAP, &map) == 0, "map");
	if (fork() == 0 && fork() == 0)
		setsid();
	printf("%d\n", getpid());
	fflush(stdout);
	while (pause() < 0)
		;
	return 0;
}

/* Does everything all the time, in several processes. */
static int busy(void)
{
	for (int i = 0; i < 2; i++)
		fork();
	for (;;) {
		int fd = open("/dev/iommu", O_RDWR);

		if (fd < 0)
			return 1;
		alloc_ioas(fd);
		if (fork() == 0) {
			alloc_ioas(fd);
			_exit(0);
		}
		if (fd % 2)
			close(fd);
		wait(NULL);
	}
}

/* A call in the way of 32-bit programs. */
static int call32(void)
{
#ifdef __x86_64__
	int result;

	/* getpid */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
	printf("%d\n", result);
#endif
	return 0;
}

/* What would open unseen is not there. */
static int uring(void)
{
	char params[256] = { 0 };
	long result = syscall(SYS_io_uring_setup, 1, params);

	return !(result == -1 && errno == ENOSYS);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";

	if (!strcmp(way, "children"))
		return children(argv[0]);
	if (!strcmp(way, "use"))
		return use(argc, argv);
	if (!strcmp(way, "cloexec"))
		return cloexec(argv[0]);
	if (!strcmp(way, "threads"))
		return threads();
	if (!strcmp(way, "first_thread_ends"))
		return first_thread_ends();
	if (!strcmp(way, "signals"))
		return signals();
	if (!strcmp(way, "descriptors"))
		return descriptors(argc, argv);
	if (!strcmp(way, "forks"))
		return forks(argc, argv);
	if (!strcmp(way, "pass"))
		return pass();
	if (!strcmp(way, "daemons"))
		return daemons();
	if (!strcmp(way, "hold"))
		return hold();
	if (!strcmp(way, "busy"))
		return busy();
	if (!strcmp(way, "call32"))
		return call32();
	if (!strcmp(way, "uring"))
		return uring();
	return 2;
}
