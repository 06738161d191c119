// SPDX-License-Identifier: GPL-2.0-only
/* How long system calls take, by a loop around them that does little else. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A call that is made again and again; its struct is replaced by the last answer. */
struct timed {
	struct made made;
	long ret;
	uint64_t ticks;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* How long to look at both clocks to know how fast the one of the processor is. */
#define CALIBRATION_NS 20000000

/* The processor's own clock: to read it is no system call, as it is in User-Mode Linux for the other one. */
static uint64_t ticks(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return now();
#endif
}

/* Nanoseconds of a tick. */
static double tick(void)
{
	static double nanoseconds;
	uint64_t start, first, passed;

	if (nanoseconds)
		return nanoseconds;
	start = now();
	first = ticks();
	do
		passed = now() - start;
	while (passed < CALIBRATION_NS);
	nanoseconds = (double)passed / (ticks() - first);
	return nanoseconds;
}

/* Understands one call; nothing is made of it yet. */
static void parse_timed(struct call *c, struct timed *t)
{
	const struct verb *verb = find_verb(word(c));

	*t = (struct timed){ 0 };
	if (verb && verb->timed && parse_made(c, verb, 0, &t->made))
		place_bytes(&t->made, 0);
	else if (!c->error)
		c->error = "the request cannot be timed";
}

static bool has_struct(const struct made *m)
{
	return strchr(m->verb->args, 's');
}

/* All calls once. Where the struct lies belongs to the call before, too. */
static void run_once(struct timed *calls, size_t count, bool last)
{
	for (struct timed *t = calls; t < calls + count; t++) {
		struct made *m = &t->made;
		uint64_t start;

		if (has_struct(m))
			memcpy(struct_place(m), (void *)m->at, m->len);
		start = ticks();
		t->ret = make(m);
		t->ticks += ticks() - start;
		if (has_struct(m) && last)
			memcpy((void *)m->at, struct_place(m), m->len);
	}
}

static void put_timed(struct text *out, const struct timed *calls, size_t count)
{
	double nanoseconds = tick();

	for (size_t i = 0; i < count; i++)
		put_num(out, calls[i].ticks * nanoseconds);
	for (size_t i = 0; i < count; i++) {
		put(out, " ;");
		put_values(out, &calls[i].made, 0, calls[i].ret);
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
