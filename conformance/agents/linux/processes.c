// SPDX-License-Identifier: GPL-2.0-only
/* The processes of the protocol: each is a worker, at the other end of a socket. */
#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* By number, the first of them `first_process`. */
static struct process *processes;
static size_t process_count;
static size_t first_process = 1;

size_t add_process(int pid, int channel)
{
	processes = realloc(processes,
			    (process_count + 1) * sizeof(*processes));
	if (!processes)
		die("out of memory");
	processes[process_count] =
		(struct process){ .pid = pid, .channel = channel };
	return first_process + process_count++;
}

struct process *process_of(uint64_t number)
{
	uint64_t index = number - first_process;

	return index < process_count ? &processes[index] : NULL;
}

static void end_reason(char *reason, size_t size, int status)
{
	static const char *const names[] = {
		[SIGABRT] = "SIGABRT", [SIGALRM] = "SIGALRM",
		[SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",
		[SIGILL] = "SIGILL",   [SIGKILL] = "SIGKILL",
		[SIGSEGV] = "SIGSEGV", [SIGSYS] = "SIGSYS",
		[SIGTERM] = "SIGTERM", [SIGTRAP] = "SIGTRAP",
		[SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ",
	};
	size_t signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (!signal)
		snprintf(reason, size, "exit %d", WEXITSTATUS(status));
	else if (signal < ARRAY_SIZE(names) && names[signal])
		snprintf(reason, size, "%s", names[signal]);
	else
		snprintf(reason, size, "signal %zu", signal);
}

void reap(struct process *p)
{
	int status = 0;

	close(p->channel);
	p->channel = -1;
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	end_reason(p->reason, sizeof(p->reason), status);
}

void kill_processes(void)
{
	for (size_t i = 0; i < process_count; i++)
		if (processes[i].channel >= 0)
			kill(processes[i].pid, SIGKILL);
	for (size_t i = 0; i < process_count; i++)
		if (processes[i].channel >= 0)
			reap(&processes[i]);
	/* A number is not used twice, so that a late request finds nothing. */
	first_process += process_count;
	process_count = 0;
}

struct answer ask(struct process *p, const char *request, int pass)
{
	static struct stream answers;
	static struct text line;
	struct answer answer = { .passed = -1 };

	if (!answers.in.data)
		stream_open(&answers, -1);
	answers.fd = p->channel;
	answers.in.len = answers.next = 0;
	line.len = 0;
	put(&line, request);
	put(&line, "\n");
	if (send_text(p->channel, &line, pass))
		answer.text = read_line(&answers);
	if (answer.text)
		answer.passed = answers.passed;
	return answer;
}

size_t spawn_process(void)
{
	int pair[2];
	int pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("no channel for a process: %m");
	/* What the C library does besides would cost as much again. */
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		die("no process: %m");
	if (!pid)
		start_worker(pair[1]);
	close(pair[1]);
	return add_process(pid, pair[0]);
}

void end_process(struct process *p)
{
	kill(p->pid, SIGKILL);
	reap(p);
}

/* One lends the descriptor, the other takes it. */
bool pass_descriptor(struct process *from, int fd, struct process *to,
		     long *ret)
{
	char lend[40];
	struct answer lent, taken;

	snprintf(lend, sizeof(lend), "!lendfd %d", fd);
	lent = ask(from, lend, -1);
	if (!lent.text)
		return false;
	*ret = strtol(lent.text + strlen("ok "), NULL, 10);
	if (lent.passed < 0)
		return true;
	taken = ask(to, "!takefd", lent.passed);
	close(lent.passed);
	*ret = taken.text ? strtol(taken.text + strlen("ok "), NULL, 10) : -ESRCH;
	return true;
}
