// SPDX-License-Identifier: GPL-2.0-only
/* A worker: a process of the tests, which carries requests out in itself. */
#include "agent.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Nothing of the supervisor's stays open, the requests of others above all. */
static void keep_channel_only(int channel)
{
	dup3(channel, CHANNEL_FD, O_CLOEXEC);
	if (syscall(SYS_close_range, 3, CHANNEL_FD - 1, 0) ||
	    syscall(SYS_close_range, FAIL_NTH_FD, FAIL_NTH_FD, 0) ||
	    syscall(SYS_close_range, OWN_FD, ~0U, 0))
		die("cannot close descriptors: %m");
}

/* The whole reply to a request; nothing in the child of a fork. */
static void answer(struct call *c)
{
	put(c->out, "ok");
	make_call(c);
	if (c->error) {
		c->out->len = 0;
		put(c->out, "error");
		put_text(c->out, c->error);
	} else if (c->faulted) {
		c->out->len = 0;
		put(c->out, "fault");
	}
}

static void serve_channel(void) __attribute__((noreturn));

static void serve_channel(void)
{
	struct text out = { 0 };
	struct stream in;
	char *line;

	stream_open(&in, CHANNEL_FD);
	while ((line = read_line(&in))) {
		struct call c = { .at = line, .out = &out,
				  .passed = in.passed, .pass = -1 };

		out.len = 0;
		answer(&c);
		if (!out.len)
			continue;
		put(&out, "\n");
		if (!send_text(CHANNEL_FD, &out, c.pass))
			break;
		if (c.close_pass)
			close(c.pass);
	}
	_exit(0);
}

void start_worker(int channel)
{
	keep_channel_only(channel);
	serve_channel();
}

void resume_worker(void)
{
	static const char done[] = "ok 0\n";

	fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(BOARD_FD, F_SETFD, FD_CLOEXEC);
	map_board();
	setup_calls();
	if (!write_all(CHANNEL_FD, done, strlen(done)))
		_exit(0);
	serve_channel();
}
