/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of linux_agent share. */
#ifndef LINUX_AGENT_H
#define LINUX_AGENT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * A worker's own descriptors, out of the way of those that its tests get: the
 * lowest free ones.
 */
#define CHANNEL_FD 1000
#define FAIL_NTH_FD 1001

/* The argument of a worker that runs this program anew. */
#define RESUME "--resume"

/* Ends this process with a sentence on standard error. */
void die(const char *format, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

/* ---- lines.c: lines and words ----------------------------------------- */

/* Text that grows. */
struct text {
	char *data;
	size_t len;
	size_t cap;
};

/* Room for `more` bytes at the end. */
char *text_reserve(struct text *t, size_t more);
void put(struct text *t, const char *s);
/* Values of a reply; each brings the space before it. */
void put_num(struct text *t, long long value);
void put_bytes(struct text *t, const void *bytes, size_t len);
void put_text(struct text *t, const char *s);

/* Lines from a descriptor. */
struct stream {
	int fd;
	/* A descriptor that came with the line, if `fd` is a socket; else -1. */
	int passed;
	/* What was read; the line that read_line() returned stands first. */
	struct text in;
	size_t next;
};

void stream_open(struct stream *s, int fd);
/* The next line without its end, or NULL when there is none. */
char *read_line(struct stream *s);
bool write_all(int fd, const char *from, size_t len);
/* Sends text, and a descriptor with it unless `pass` is -1. */
bool send_text(int socket, const struct text *t, int pass);

/* A request: what is left of its words, and the reply so far. */
struct call {
	char *at;
	struct text *out;
	/* The memory that it named is not there. */
	bool faulted;
	/* Why it could not be carried out. */
	const char *error;
	/* The descriptor that came with the request; -1 for none. */
	int passed;
	/* A descriptor to send with the reply; -1 for none. */
	int pass;
	/* It is of no use here afterwards. */
	bool close_passed;
};

/* The next word. They set `error` where it is not what it should be. */
char *word(struct call *c);
uint64_t number(struct call *c);
void *bytes(struct call *c, size_t *len);
char *string(struct call *c);
/* True if the words were understood and none is left. */
bool parsed(struct call *c);
/* Ends the first of the calls of a request; returns the next, NULL without one. */
char *cut_call(char *calls);

/* ---- calls.c: the system calls of a worker ---------------------------- */

/* Carries a request out in this process. */
void make_call(struct call *c);
/* Prepares this process for that. */
void setup_calls(void);
/* What a request to a process of the tests is. */
struct verb {
	const char *name;
	/*
	 * Where a request is one system call: its number, and its arguments. 'n'
	 * is a number, 't' a text, 'b' bytes and their length, 's' the struct of
	 * an ioctl; '.' and 'm' are not in the request: the current folder, the
	 * mode of a new file.
	 */
	long nr;
	const char *args;
	/* Carries out another. */
	void (*run)(struct call *c);
	/* It counts for fail-nth; what the agent does besides does not. */
	bool counts;
	bool batched;
	bool timed;
};

/* The verb of this name; NULL for none. */
const struct verb *find_verb(const char *name);

/* A system call, understood and ready to be made. */
struct made {
	long nr;
	long args[6];
	bool counts;
	/* The struct as it was sent; NULL for none. */
	void *sent;
	size_t len;
	/* Where it must lie. */
	void *place;
};

/* Reads the words of a verb that is one system call; false if they are wrong. */
bool parse_made(struct call *c, const struct verb *verb, struct made *m);
/* Makes it; the struct must lie in its place. */
long make(const struct made *m);

/* ---- timing.c --------------------------------------------------------- */

/* Makes calls again and again, and puts out how long they took. */
void do_time(struct call *c);

/* ---- worker.c --------------------------------------------------------- */

/* Serves the requests that come in by `channel`, as a process of the tests. */
void start_worker(int channel) __attribute__((noreturn));
/* Goes on as the worker that this process was before its exec. */
void resume_worker(void) __attribute__((noreturn));

/* ---- machine.c: the machine around the processes ---------------------- */

/* True if this is the first process of a machine of its own. */
bool is_init(void);
/* With the address of a device, vfio-pci gets that. */
void bring_up(const char *device);
void turn_off(void);
/* A character device as soon as there is somebody at its other end. */
int open_port(const char *path);

/* The words of the reply to hello. */
void put_facts(struct text *out);
/* From here on problems are new. */
void start_watch(void);
/* One text for each new problem: a message of the kernel, pinned pages. */
void put_problems(struct text *out);
/* The number after `key` in a file of lines "key number"; -1 without it. */
long long file_value(const char *path, const char *key);

#endif
