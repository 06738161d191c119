// SPDX-License-Identifier: GPL-2.0-only
/*
 * linux_agent: speaks the adapter protocol (../protocol.md) for the kernel
 * that it runs on.
 *
 *	linux_agent		over standard input and output
 *	linux_agent PORT	over a character device, such as a virtio port
 *	linux_agent PORT DEVICE	and VFIO has the PCI device at that address
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

/* A process's answer to a request, and a descriptor that came with it. */
struct answer {
	/* Valid until the next; NULL if the process ended over the request. */
	char *text;
	/* -1 for none. */
	int passed;
};

/* Sends a process a request, with a descriptor unless `pass` is -1. */
static struct answer ask(struct process *p, const char *request, int pass)
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

/* Puts out why a process does not answer. */
static void put_end(struct text *out, struct process *p)
{
	if (p->channel >= 0)
		reap(p);
	put(out, "died");
	put_text(out, p->reason);
}

/* Asks a process, and puts its answer out. */
static void ask_and_put(struct process *p, const char *request, int pass,
			struct text *out)
{
	struct answer answer = { .passed = -1 };

	if (p->channel >= 0)
		answer = ask(p, request, pass);
	if (!answer.text) {
		put_end(out, p);
	} else if (answer.passed >= 0) {
		/* "ok PID" of a fork, with the child's channel. */
		put(out, "ok");
		put_num(out, add_process(atoi(answer.text + 3), answer.passed));
	} else {
		put(out, answer.text);
	}
}

/* The process of a number, which must not have been asked to end; NULL for none. */
static struct process *find_process(struct call *c, uint64_t number)
{
	uint64_t index = number - first_process;

	if (index >= process_count)
		c->error = "there is no such process";
	else if (processes[index].exited)
		c->error = "the process has ended";
	return c->error ? NULL : &processes[index];
}

/* "passfd FD TO": one lends the descriptor, the other takes it. */
static void pass_fd(struct call *c, struct process *from)
{
	char lend[40];
	struct process *to;
	struct answer lent;
	int fd;

	word(c);
	fd = number(c);
	to = find_process(c, number(c));
	if (!parsed(c))
		return;
	snprintf(lend, sizeof(lend), "!lendfd %d", fd);
	lent = from->channel < 0 ? (struct answer){ 0 } : ask(from, lend, -1);
	if (!lent.text) {
		put_end(c->out, from);
	} else if (lent.passed < 0) {
		put(c->out, lent.text);
	} else {
		ask_and_put(to, "!takefd", lent.passed, c->out);
		close(lent.passed);
	}
}

/* A request to a process of the tests; puts the whole reply out. */
static void process_request(struct call *c, uint64_t process)
{
	struct process *p = find_process(c, process);

	if (!p)
		return;
	if (*c->at == '!') {
		c->error = "the request is unknown";
	} else if (p->channel >= 0 && !strcmp(c->at, "exit")) {
		kill(p->pid, SIGKILL);
		reap(p);
		p->exited = true;
		put(c->out, "ok");
	} else if (!strncmp(c->at, "passfd ", strlen("passfd "))) {
		pass_fd(c, p);
	} else {
		ask_and_put(p, c->at, -1, c->out);
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

	if (argc == 2 && !strcmp(argv[1], RESUME))
		resume_worker();
	if (argc > 3)
		die("usage: linux_agent [PORT [DEVICE]]");
	if (is_init())
		bring_up(argc == 3 ? argv[2] : NULL);
	if (argc >= 2)
		in = out = open_port(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	start_watch();
	serve(in, out);
	if (is_init())
		turn_off();
	return 0;
}
