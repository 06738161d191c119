// SPDX-License-Identifier: GPL-2.0-only
/*
 * An adapter to begin with, in C: each process of the tests is a child that
 * makes the system calls itself, of the kernel that this runs on.
 *
 *	gcc -o adapter adapter.c
 *	deno task conformance check-adapter "stdio:./adapter"
 *	deno task conformance --target "stdio:./adapter"
 *
 * The protocol is conformance/protocol.md. It names no capability; each that is
 * added is a request or two more, and unlocks the tests that need it.
 */
#include "calls.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHANNEL 1000 /* out of the way: a test's first descriptor is 3 */
#define MAX_CALLS 4096
#define MAX_PROCESSES 65536
#define BAD_REQUEST "error 6261642072657175657374" /* bad request */

/* ---- words ------------------------------------------------------------ */

static int number(const char *word, uint64_t *value)
{
	const char *digits = word + (*word == '-');
	char *end;

	*value = strtoull(digits, &end, strncmp(digits, "0x", 2) ? 10 : 16);
	if (*digits < '0' || *digits > '9' || *end)
		return -1;
	if (*word == '-')
		*value = -*value;
	return 0;
}

static int nibble(char digit)
{
	const char *digits = "0123456789abcdef", *at = digit ? strchr(digits, digit) : NULL;

	return at ? at - digits : -1;
}

static int hex(const char *word, struct arg *a)
{
	size_t length = strcmp(word, "-") ? strlen(word) : 0;

	a->bytes = room_for(length / 2);
	a->length = length / 2;
	for (size_t i = 0; i < length; i += 2) {
		if (nibble(word[i]) < 0 || nibble(word[i + 1]) < 0)
			return -1;
		a->bytes[i / 2] = nibble(word[i]) << 4 | nibble(word[i + 1]);
	}
	return 0;
}

/* Reads a call up to the end or to a word ";"; true if a word is wrong. */
static int parse(char **words, struct call *c, int in_batch)
{
	char *name = strsep(words, " ");

	*c = (struct call){ 0 };
	for (size_t i = 0; name && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(verbs[i].name, name) && (!in_batch || verbs[i].batched))
			c->verb = &verbs[i];
	if (!c->verb)
		return 1;
	for (int i = 0; c->verb->args[i]; i++) {
		char *word = strsep(words, " ");

		if (!word || (c->verb->args[i] == 'n' ? number(word, &c->args[i].number) : hex(word, &c->args[i])))
			return 1;
	}
	return *words && (!in_batch || strcmp(strsep(words, " "), ";"));
}

static void put_values(FILE *out, const struct call *c)
{
	if (c->fault) {
		fputs(" fault", out);
		return;
	}
	if (strchr(c->verb->gives, 'r'))
		fprintf(out, " %ld", c->result);
	if (strchr(c->verb->gives, '2'))
		fprintf(out, " %ld %ld", c->more[0], c->more[1]);
	if (strchr(c->verb->gives, 'b'))
		fputs(c->length ? " " : " -", out);
	for (size_t i = 0; i < c->length; i++)
		fprintf(out, "%02x", c->back[i]);
}

/* ---- a process, and the adapter --------------------------------------- */

/* Answers a request; true if it was the last. All of it is read before any of it is done. */
static int answer(char *words, FILE *out)
{
	static struct call calls[MAX_CALLS];
	int in_batch = !strncmp(words, "batch ", 6), count = 0, wrong, last;

	if (in_batch)
		words += 6;
	do
		wrong = count == MAX_CALLS || parse(&words, &calls[count++], in_batch);
	while (!wrong && words);
	last = !wrong && !calls[0].verb->run;
	for (int i = 0; !wrong && !last && i < count; i++)
		calls[i].verb->run(&calls[i], calls[i].args);
	if (wrong)
		fputs(BAD_REQUEST, out);
	else if (!in_batch && calls[0].fault)
		fputs("fault", out);
	for (int i = 0; !wrong && (in_batch || !calls[0].fault) && i < count; i++) {
		fputs(i ? " ;" : "ok", out);
		put_values(out, &calls[i]);
	}
	for (int i = 0; i < count; i++) {
		free(calls[i].back);
		for (int j = 0; j < MAX_ARGS; j++)
			free(calls[i].args[j].bytes);
	}
	fputc('\n', out);
	fflush(out);
	return last;
}

/* A process of the tests. */
static struct process {
	pid_t pid;
	FILE *in, *out;
} processes[MAX_PROCESSES];

/* Starts the next one; its number. */
static int spawn(void)
{
	static int last;
	int pair[2];

	if (last + 1 == MAX_PROCESSES || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		exit(1);
	struct process *p = &processes[++last];

	p->pid = fork();
	if (p->pid) {
		close(pair[1]);
		p->in = fdopen(pair[0], "r");
		p->out = fdopen(dup(pair[0]), "w");
		return last;
	}
	dup2(pair[1], CHANNEL);
	for (int fd = 0; fd < 3; fd++)
		dup2(open("/dev/null", O_RDWR), fd);
	close_range(3, CHANNEL - 1, 0);
	FILE *in = fdopen(CHANNEL, "r");
	FILE *out = fdopen(fcntl(CHANNEL, F_DUPFD, CHANNEL), "w");
	char *line = NULL;
	size_t size = 0;

	do {
		if (getline(&line, &size, in) < 0)
			break;
		line[strcspn(line, "\n")] = '\0';
	} while (!answer(line, out));
	_exit(0);
}

/* Ends a process; it is gone when this returns. */
static void end(struct process *p)
{
	if (!p->pid)
		return;
	fclose(p->in);
	fclose(p->out);
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

/* Passes a request on, and puts out the reply. */
static void ask(struct process *p, const char *request)
{
	char *reply = NULL;
	size_t size = 0;

	fprintf(p->out, "%s\n", request);
	fflush(p->out);
	if (getline(&reply, &size, p->in) < 0)
		puts("died -");
	else
		fputs(reply, stdout);
	if (!strcmp(request, "exit"))
		end(p);
	free(reply);
}

static int adapter_request(const char *request)
{
	if (!strcmp(request, "hello 1"))
		printf("ok protocol=1 name=c version=1 uapi=7.3 page=%lu hugepage=%d capabilities=\n", PAGE, 2 << 20);
	else if (!strcmp(request, "spawn"))
		printf("ok %d\n", spawn());
	else if (!strcmp(request, "reset") || !strcmp(request, "bye"))
		puts("ok");
	else
		puts(BAD_REQUEST);
	for (int i = 0; !strcmp(request, "reset") && i < MAX_PROCESSES; i++)
		end(&processes[i]);
	return !strcmp(request, "bye");
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	for (int last = 0; !last && getline(&line, &size, stdin) > 0; fflush(stdout)) {
		char *words = line, *sequence, *process;
		uint64_t number_of_it = 0, p = MAX_PROCESSES;

		line[strcspn(line, "\r\n")] = '\0';
		sequence = strsep(&words, " ");
		process = strsep(&words, " ");
		if (number(sequence, &number_of_it) || !process || number(process, &p) || !words ||
		    p >= MAX_PROCESSES || (p && !processes[p].pid)) {
			printf("%lu %s\n", number_of_it, BAD_REQUEST);
			continue;
		}
		printf("%lu ", number_of_it);
		fflush(stdout);
		if (p)
			ask(&processes[p], words);
		else
			last = adapter_request(words);
	}
	return 0;
}
