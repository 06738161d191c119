// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs. The supervisor reads one whole, and tells the workers which steps
 * to carry out: as many as follow each other in one process. The steps, and
 * what they came to, are in memory that all of them share, the board.
 */
#include "agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes of the longest program, with all that comes back of it. */
#define BOARD_SIZE (64UL << 20)

/* What a step came to. */
enum state {
	RETURNED,
	DIED,
	GONE,
	/* The agent could not carry it out. */
	FAILED,
};

struct step {
	struct made made;
	size_t verb;
	/* The program's number of the process. */
	uint64_t process;
	/* What is put into it. */
	size_t first_reference;
	size_t reference_count;
	enum state state;
	long ret;
	/* Why its process ended. */
	char reason[32];
};

/* The beginning of the board; behind it lies what it leads to by offsets. */
struct board {
	size_t used;
	size_t count;
	size_t steps;
	size_t references;
	/* The step that is being carried out. */
	size_t now;
};

static struct board *board;

static void *at(size_t offset)
{
	return (char *)board + offset;
}

static struct step *step_of(size_t i)
{
	return (struct step *)at(board->steps) + i;
}

void map_board(void)
{
	board = mmap(NULL, BOARD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		     BOARD_FD, 0);
	if (board == MAP_FAILED)
		die("cannot map the board: %m");
}

void setup_board(void)
{
	int fd = syscall(SYS_memfd_create, "board", MFD_CLOEXEC);

	if (fd < 0 || dup3(fd, BOARD_FD, O_CLOEXEC) < 0 ||
	    ftruncate(BOARD_FD, BOARD_SIZE))
		die("cannot make a board: %m");
	close(fd);
	map_board();
}

/* The offset of room on the board; 0 without enough. */
static size_t take(size_t len)
{
	size_t offset = board->used;

	if (len > BOARD_SIZE - offset)
		return 0;
	board->used = (offset + len + 7) & ~7UL;
	return offset;
}

/* ---- reading it ------------------------------------------------------- */

static size_t count_of(const char *text, char what)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == what;
	return count;
}

/* "PROCESS VERB ARGUMENT…" */
static void read_step(struct call *c, struct step *step)
{
	const struct verb *verb;

	step->process = number(c);
	if (!c->error && (int64_t)step->process < 0)
		c->error = "the number of a process is negative";
	verb = find_verb(word(c));
	if (!verb || verb->internal || verb->run_list) {
		c->error = "a step is unknown";
		return;
	}
	step->verb = verb_number(verb);
	if (!parse_made(c, verb, (uintptr_t)board, &step->made))
		return;
	if (!strchr(verb->args, 'i'))
		return;
	step->made.at = take(step->made.len);
	if (!step->made.at)
		c->error = "what comes back is too long for this agent";
}

/* Reads all steps; the words are on the board. */
static void read_steps(struct call *c, char *rest)
{
	struct references all = { .list = at(board->references),
				  .cap = count_of(rest, '=') };

	for (size_t i = 0; rest && !c->error; i++) {
		struct call one = { .at = rest, .references = &all };
		struct step *step = step_of(i);

		rest = cut_call(rest);
		*step = (struct step){ .first_reference = all.count };
		read_step(&one, step);
		step->reference_count = all.count - step->first_reference;
		board->count = i + 1;
		c->error = one.error;
	}
}

/* Makes room for a program, and copies its words there; NULL without enough. */
static char *lay_out(const char *words)
{
	size_t len = strlen(words) + 1;
	size_t text;

	board->used = sizeof(*board);
	board->steps = take((count_of(words, ';') + 1) * sizeof(struct step));
	board->references =
		take(count_of(words, '=') * sizeof(struct reference));
	text = take(len);
	if (!board->steps || !board->references || !text)
		return NULL;
	return memcpy(at(text), words, len);
}

/* ---- values of earlier steps ------------------------------------------ */

/* What came back of a step. */
static const void *back_of(const struct step *step, size_t *len)
{
	const struct made *m = &step->made;
	const struct verb *verb = verb_of(step->verb);

	*len = 0;
	if (step->state != RETURNED || (verb->faults && step->ret < 0))
		return NULL;
	if (verb->numbers) {
		*len = sizeof(m->numbers);
		return m->numbers;
	}
	if (strchr(verb->args, 's') || (strchr(verb->args, 'i') && verb->faults))
		*len = m->len;
	else if (strchr(verb->args, 'i') && step->ret > 0)
		*len = step->ret;
	return at(m->at);
}

/* The value of a reference from step `i`. */
static uint64_t value_of(const struct reference *r, size_t i)
{
	const struct step *from;
	const char *back;
	uint64_t value = 0;
	size_t len;

	/* A later one has given nothing yet. */
	if (r->step >= i)
		return r->plus;
	from = step_of(r->step);
	back = back_of(from, &len);
	if (!r->from_len && back)
		value = from->ret;
	else if (r->from < len)
		memcpy(&value, back + r->from,
		       len - r->from < r->from_len ? len - r->from : r->from_len);
	return value + r->plus;
}

/* Puts the values of earlier steps into a step; the call that is made then. */
static struct made resolved(size_t i)
{
	const struct step *step = step_of(i);
	const struct reference *all = at(board->references);
	struct made m = step->made;

	for (size_t k = 0; k < step->reference_count; k++) {
		const struct reference *r = &all[step->first_reference + k];
		uint64_t value = value_of(r, i);

		if (r->arg >= 0)
			m.args[r->arg] = value;
		else if (r->to < m.len)
			memcpy((char *)at(m.at) + r->to, &value,
			       m.len - r->to < r->to_len ? m.len - r->to :
							   r->to_len);
	}
	m.verb = verb_of(step->verb);
	return m;
}

/* ---- in a worker ------------------------------------------------------ */

/* Carries out a step; false in the child that it made. */
static bool run_step(struct call *c, size_t i)
{
	struct step *step = step_of(i);
	struct made m;
	long ret;

	board->now = i;
	m = resolved(i);
	ret = carry_out(&m, (uintptr_t)board);
	if (m.verb->forks && !ret)
		return false;
	step->ret = ret;
	step->state = m.error ? FAILED : RETURNED;
	memcpy(step->made.numbers, m.numbers, sizeof(m.numbers));
	c->pass = m.pass;
	c->close_pass = m.close_pass;
	return true;
}

/* "!steps FROM TO" */
void run_steps(struct call *c)
{
	size_t from = number(c), to = number(c);

	if (!parsed(c))
		return;
	for (size_t i = from; i < to; i++) {
		if (run_step(c, i))
			continue;
		/* The parent answers. */
		c->out->len = 0;
		return;
	}
}

/* ---- in the supervisor ------------------------------------------------ */

/* The processes of a program, by its numbers; 0 is none. */
struct slots {
	size_t *numbers;
	size_t count;
	size_t cap;
};

static void add_slot(struct slots *slots, size_t number)
{
	if (slots->count == slots->cap) {
		slots->cap = 2 * slots->cap + 8;
		slots->numbers = realloc(slots->numbers,
					 slots->cap * sizeof(*slots->numbers));
		if (!slots->numbers)
			die("out of memory");
	}
	slots->numbers[slots->count++] = number;
}

/* The process of a slot that has not exited; NULL for none. */
static struct process *in_slot(const struct slots *slots, uint64_t slot)
{
	struct process *p = NULL;

	if (slot < slots->count)
		p = process_of(slots->numbers[slot]);
	return p && !p->exited ? p : NULL;
}

/* A step that nobody carries out. */
static void leave_out(struct step *step, struct slots *slots,
		      const struct process *p)
{
	step->state = p ? DIED : GONE;
	if (p)
		memcpy(step->reason, p->reason, sizeof(step->reason));
	if (verb_of(step->verb)->forks)
		add_slot(slots, 0);
}

/* How many steps from `from` on a worker carries out without us. */
static size_t run_length(size_t from)
{
	uint64_t process = step_of(from)->process;
	size_t i = from;

	while (i < board->count && step_of(i)->process == process) {
		const struct verb *verb = verb_of(step_of(i)->verb);

		if (verb->supervised)
			break;
		i++;
		/* It leads to another process, or to this one anew. */
		if (verb->forks || verb->anew)
			break;
	}
	return i - from;
}

/* Lets a worker carry out steps; how many it did. */
static size_t let_run(struct slots *slots, struct process *p, size_t from)
{
	size_t count = run_length(from);
	struct step *last = step_of(from + count - 1);
	struct answer answer;
	char request[64];

	snprintf(request, sizeof(request), "!steps %zu %zu", from,
		 from + count);
	board->now = from;
	/* One that is run anew writes nothing any more. */
	last->ret = 0;
	answer = ask(p, request, -1);
	if (!answer.text) {
		reap(p);
		return board->now - from;
	}
	if (!verb_of(last->verb)->forks)
		return count;
	if (answer.passed >= 0)
		add_slot(slots, add_process(last->ret, answer.passed));
	else
		add_slot(slots, 0);
	last->ret = slots->count - 1;
	return count;
}

/* Carries out what is ours to do: "exit", "passfd FD TO". */
static void supervise(struct slots *slots, struct process *p, size_t i)
{
	struct step *step = step_of(i);
	struct made m = resolved(i);
	struct process *to;

	if (!*m.verb->args) {
		end_process(p);
		p->exited = true;
		return;
	}
	to = in_slot(slots, m.args[1]);
	if (!to || to->channel < 0) {
		leave_out(step, slots, NULL);
	} else if (!pass_descriptor(p, m.args[0], to, &step->ret)) {
		reap(p);
		leave_out(step, slots, p);
	}
}

/* Carries out the step, and perhaps some that follow; how many. */
static size_t run_some(struct slots *slots, size_t i)
{
	struct step *step = step_of(i);
	struct process *p = in_slot(slots, step->process);

	if (!p || p->channel < 0) {
		leave_out(step, slots, p);
		return 1;
	}
	if (!verb_of(step->verb)->supervised)
		return let_run(slots, p, i);
	supervise(slots, p, i);
	return 1;
}

static void put_step(struct call *c, size_t i)
{
	struct step *step = step_of(i);
	struct made m = step->made;

	switch (step->state) {
	case RETURNED:
		m.verb = verb_of(step->verb);
		put_values(c->out, &m, (uintptr_t)board, step->ret);
		break;
	case DIED:
		put(c->out, " died");
		put_text(c->out, step->reason);
		break;
	case GONE:
		put(c->out, " gone");
		break;
	case FAILED:
		c->error = "a step could not be carried out";
		break;
	}
}

void do_program(struct call *c)
{
	static struct slots slots;
	char *words = c->at ? lay_out(c->at) : NULL;

	if (!words)
		c->error = c->at ? "the program is too long for this agent" :
				   "a word is missing";
	else
		read_steps(c, words);
	if (c->error)
		return;
	slots.count = 0;
	add_slot(&slots, spawn_process());
	for (size_t i = 0; i < board->count;)
		i += run_some(&slots, i);
	for (size_t i = 0; i < board->count && !c->error; i++) {
		if (i)
			put(c->out, " ;");
		put_step(c, i);
	}
}
