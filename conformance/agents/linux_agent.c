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
#include <fcntl.h>
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

/* Puts out why a process does not answer. */
static void put_end(struct text *out, struct process *p)
{
	if (p->channel >= 0)
		reap(p);
	put(out, "died");
	put_text(out, p->reason);
}

/* Asks a process, and puts its answer out. */
static void ask_and_put(struct process *p, const char *request,
			struct text *out)
{
	struct answer answer = { .passed = -1 };

	if (p->channel >= 0)
		answer = ask(p, request, -1);
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
	struct process *p = process_of(number);

	if (!p)
		c->error = "there is no such process";
	else if (p->exited)
		c->error = "the process has ended";
	return c->error ? NULL : p;
}

/* "passfd FD TO" */
static void pass_fd(struct call *c, struct process *from)
{
	struct process *to;
	long ret;
	int fd;

	word(c);
	fd = number(c);
	to = find_process(c, number(c));
	if (!parsed(c))
		return;
	if (to->channel < 0) {
		c->error = "the process that is to get it has died";
	} else if (from->channel >= 0 && pass_descriptor(from, fd, to, &ret)) {
		put(c->out, "ok");
		put_num(c->out, ret);
	} else {
		put_end(c->out, from);
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
		end_process(p);
		p->exited = true;
		put(c->out, "ok");
	} else if (!strncmp(c->at, "passfd ", strlen("passfd "))) {
		pass_fd(c, p);
	} else {
		ask_and_put(p, c->at, c->out);
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
	if (parsed(c))
		put_num(c->out, spawn_process());
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
		{ "program", do_program },
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

/* The same descriptor where workers look for none. */
static int hide(int fd)
{
	int hidden = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD);

	if (hidden < 0)
		die("no descriptor: %m");
	return hidden;
}

/* Workers begin with what is here, which must not be the requests. */
static void leave_nothing_open(void)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (null > STDERR_FILENO)
		close(null);
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
	setup_board();
	setup_calls();
	in = hide(in);
	out = hide(out);
	leave_nothing_open();
	serve(in, out);
	if (is_init())
		turn_off();
	return 0;
}
