// SPDX-License-Identifier: GPL-2.0-only
/*
 * linux_agent: speaks the adapter protocol (../protocol.md) for the kernel
 * that it runs on.
 *
 *	linux_agent		over standard input and output
 *	linux_agent PORT	over a character device, such as a virtio port
 *
 * This is the supervisor. It reads requests and forks a worker for each process
 * of the protocol; a worker gets its requests by a socket and makes the system
 * calls, so that whatever a call does to it, the supervisor lives on and can
 * tell. A worker that forks hands the socket of its child up to the supervisor.
 *
 * As process 1 it also brings the machine up, and turns it off at the end.
 *
 *	gcc -static -O2 -o linux_agent linux_agent.c linux/[a-z]*.c
 */
#include "linux/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("linux_agent: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\n", stderr);
	va_end(args);
	exit(1);
}

/* A process of the protocol. */
struct process {
	int pid;
	/* Leads to it; -1 when it has ended. */
	int channel;
	/* Why it ended. */
	char reason[32];
	/* It was asked to. */
	bool exited;
};

/* By number, the first of them `first_process`. */
static struct process *processes;
static size_t process_count;
static size_t first_process = 1;

/* Returns the number of a new process. */
static size_t add_process(int pid, int channel)
{
	processes = realloc(processes,
			    (process_count + 1) * sizeof(*processes));
	if (!processes)
		die("out of memory");
	processes[process_count] =
		(struct process){ .pid = pid, .channel = channel };
	return first_process + process_count++;
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

/* Waits until a process is gone, with its memory and descriptors. */
static void reap(struct process *p)
{
	int status = 0;

	close(p->channel);
	p->channel = -1;
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	end_reason(p->reason, sizeof(p->reason), status);
}

static void kill_processes(void)
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

/*
 * Sends a request to a process and puts its answer out; false if the process
 * ended over it.
 */
static bool ask(struct process *p, char *request, struct text *out)
{
	static struct stream answers;
	size_t len = strlen(request);
	char *answer;

	if (!answers.in.data)
		stream_open(&answers, -1);
	answers.fd = p->channel;
	answers.in.len = answers.next = 0;
	request[len] = '\n';
	if (!write_all(p->channel, request, len + 1))
		return false;
	answer = read_line(&answers);
	if (!answer)
		return false;
	if (answers.passed >= 0) {
		/* "ok PID" of a fork, with the child's channel. */
		put(out, "ok");
		put_num(out, add_process(atoi(answer + 3), answers.passed));
	} else {
		put(out, answer);
	}
	return true;
}

/* A request to a process of the tests; puts the whole reply out. */
static void process_request(struct call *c, uint64_t process)
{
	uint64_t index = process - first_process;
	bool exit = !strcmp(c->at, "exit");
	struct process *p;

	if (index >= process_count) {
		c->error = "there is no such process";
		return;
	}
	p = &processes[index];
	if (p->channel >= 0 && exit) {
		kill(p->pid, SIGKILL);
		reap(p);
		p->exited = true;
		put(c->out, "ok");
	} else if (p->exited) {
		c->error = "the process has ended";
	} else if (p->channel < 0 || !ask(p, c->at, c->out)) {
		if (p->channel >= 0)
			reap(p);
		put(c->out, "died");
		put_text(c->out, p->reason);
	}
}

static void do_hello(struct call *c)
{
	if (number(c) != 1 && !c->error)
		c->error = "this agent speaks version 1 of the protocol";
	if (parsed(c))
		put_facts(c->out);
}

static void do_spawn(struct call *c)
{
	int pair[2];
	int pid;

	if (!parsed(c))
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("no channel for a process: %m");
	pid = fork();
	if (pid < 0)
		die("no process: %m");
	if (!pid)
		start_worker(pair[1]);
	close(pair[1]);
	put_num(c->out, add_process(pid, pair[0]));
}

static void do_reset(struct call *c)
{
	if (!parsed(c))
		return;
	kill_processes();
	put_problems(c->out);
}

static void do_bye(struct call *c)
{
	parsed(c);
}

/* A request to the adapter itself. */
static void adapter_request(struct call *c)
{
	static const struct {
		const char *name;
		void (*run)(struct call *c);
	} requests[] = {
		{ "hello", do_hello },
		{ "spawn", do_spawn },
		{ "reset", do_reset },
		{ "bye", do_bye },
	};
	char *name = word(c);

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (strcmp(requests[i].name, name))
			continue;
		put(c->out, "ok");
		requests[i].run(c);
		return;
	}
	c->error = "the request is unknown";
}

/* Puts the reply to a line out, without its number; returns that. */
static uint64_t answer(char *line, struct text *out)
{
	struct call c = { .at = line, .out = out };
	uint64_t seq = number(&c);
	uint64_t process = number(&c);

	if (!c.error && !c.at)
		c.error = "a word is missing";
	if (!c.error && process)
		process_request(&c, process);
	else if (!c.error)
		adapter_request(&c);
	if (c.error) {
		out->len = 0;
		put(out, "error");
		put_text(out, c.error);
	}
	return seq;
}

static void serve(int in_fd, int out_fd)
{
	struct text reply = { 0 }, line = { 0 };
	struct stream in;
	bool bye = false;
	char *request;

	stream_open(&in, in_fd);
	while (!bye && (request = read_line(&in))) {
		char *last = strrchr(request, ' ');

		bye = last && !strcmp(last, " bye");
		reply.len = line.len = 0;
		put_num(&line, answer(request, &reply));
		put(&line, " ");
		memcpy(text_reserve(&line, reply.len), reply.data, reply.len);
		line.len += reply.len;
		put(&line, "\n");
		/* Without the space before the number. */
		if (!write_all(out_fd, line.data + 1, line.len - 1))
			break;
	}
	kill_processes();
}

int main(int argc, char **argv)
{
	int in = STDIN_FILENO, out = STDOUT_FILENO;

	if (argc > 2)
		die("usage: linux_agent [PORT]");
	if (is_init())
		bring_up();
	if (argc == 2)
		in = out = open_port(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	start_watch();
	serve(in, out);
	if (is_init())
		turn_off();
	return 0;
}
