// SPDX-License-Identifier: GPL-2.0-only
/* How long system calls take, by a loop around them that does little else. */
#include "agent.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* A call that is made again and again. */
struct timed {
	long nr;
	long args[4];
	/* The struct as it was sent, and how it was the last time; NULL for none. */
	void *sent;
	size_t len;
	long ret;
	uint64_t nanoseconds;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void parse_ioctl(struct call *c, struct timed *t)
{
	t->nr = SYS_ioctl;
	t->args[0] = (int)number(c);
	t->args[1] = (unsigned int)number(c);
	t->sent = bytes(c, &t->len);
	t->args[2] = (long)struct_place(c, t->len);
}

static void parse_ioctlarg(struct call *c, struct timed *t)
{
	t->nr = SYS_ioctl;
	t->args[0] = (int)number(c);
	t->args[1] = (unsigned int)number(c);
	t->args[2] = number(c);
}

static void parse_open(struct call *c, struct timed *t)
{
	t->nr = SYS_openat;
	t->args[0] = AT_FDCWD;
	t->args[1] = (long)string(c);
	t->args[2] = (int)number(c);
	t->args[3] = 0600;
}

static void parse_close(struct call *c, struct timed *t)
{
	t->nr = SYS_close;
	t->args[0] = (int)number(c);
}

/* Understands one call; nothing is made of it yet. */
static void parse_timed(struct call *c, struct timed *t)
{
	static const struct {
		const char *name;
		void (*parse)(struct call *c, struct timed *t);
	} verbs[] = {
		{ "ioctl", parse_ioctl },
		{ "ioctlarg", parse_ioctlarg },
		{ "open", parse_open },
		{ "close", parse_close },
	};
	char *name = word(c);

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, name))
			continue;
		verbs[i].parse(c, t);
		parsed(c);
		return;
	}
	c->error = "the request cannot be timed";
}

/* All calls once. Where the struct lies belongs to the call before, too. */
static void run_once(struct timed *calls, size_t count, bool last)
{
	for (struct timed *t = calls; t < calls + count; t++) {
		void *place = (void *)t->args[2];
		uint64_t start;

		if (t->sent)
			memcpy(place, t->sent, t->len);
		start = now();
		t->ret = counted(t->nr, t->args[0], t->args[1], t->args[2],
				 t->args[3]);
		t->nanoseconds += now() - start;
		if (t->sent && last)
			memcpy(t->sent, place, t->len);
	}
}

static void put_timed(struct text *out, const struct timed *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_num(out, calls[i].nanoseconds);
	for (size_t i = 0; i < count; i++) {
		put(out, " ;");
		put_num(out, calls[i].ret);
		if (calls[i].sent)
			put_bytes(out, calls[i].sent, calls[i].len);
	}
}

void do_time(struct call *c)
{
	uint64_t times = number(c);
	struct timed *calls = NULL;
	size_t count = 0;
	char *one = c->at;

	if (!c->error && !times)
		c->error = "nothing is timed in no repetition";
	if (!c->error && !one)
		c->error = "a word is missing";
	c->at = NULL;
	while (one && !c->error) {
		struct call part = { .at = one };

		one = cut_call(one);
		calls = realloc(calls, (count + 1) * sizeof(*calls));
		if (!calls)
			die("out of memory");
		calls[count] = (struct timed){ 0 };
		parse_timed(&part, &calls[count++]);
		c->error = part.error;
	}
	if (!c->error) {
		for (; times; times--)
			run_once(calls, count, times == 1);
		put_timed(c->out, calls, count);
	}
	free(calls);
}
