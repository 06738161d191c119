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
/* The memory that the processes of a program share. */
#define BOARD_FD 1002
/* The first of the supervisor's own. */
#define OWN_FD 1003

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
	bool close_pass;
	/* Where references of its words go; NULL where there are none. */
	struct references *references;
};

/* The next word. They set `error` where it is not what it should be. */
char *word(struct call *c);
uint64_t number(struct call *c);
char *string(struct call *c);
/* The bytes of a word, decoded over it. */
char *decode_bytes(struct call *c, char *word, size_t *len);
/* The number without a sign that begins at `*at`, which moves behind it; false if there is none of 64 bits. */
bool scan_number(const char **at, uint64_t *value);
/* True if the words were understood and none is left. */
bool parsed(struct call *c);
/* Ends the first of the calls of a request; returns the next, NULL without one. */
char *cut_call(char *calls);

/* ---- calls.c: the system calls of a worker ---------------------------- */

/* Carries a request out in this process. */
void make_call(struct call *c);
/* Prepares this process for that, and those that it forks. */
void setup_calls(void);

struct made;

/* What a request to a process of the tests is. */
struct verb {
	const char *name;
	/*
	 * The words of the request, and the arguments that they become. 'n' is a
	 * number, 't' a text, 'b' bytes and their length, 's' the struct of an
	 * ioctl, 'i' the length of bytes that come back, as those and their length;
	 * 'p' is a process; '.' and 'm' are not in the request: the current folder,
	 * the mode of a new file.
	 */
	const char *args;
	/* The system call that it is. */
	long nr;
	/* Carries out another; returns what it would as one. */
	long (*run)(struct made *m);
	/* Carries out a list of calls. */
	void (*run_list)(struct call *c);
	/* Its result is no value: it is 0, or a fault. */
	bool faults;
	/* Two numbers come back. */
	bool numbers;
	/* It has no result. */
	bool silent;
	/* What it makes goes on behind it too, and gets 0. */
	bool forks;
	/* The process goes on anew behind it. */
	bool anew;
	/* It counts for fail-nth; what the agent does besides does not. */
	bool counts;
	bool batched;
	bool timed;
	/* Only the supervisor asks a worker for it. */
	bool internal;
	/* Only the supervisor carries it out. */
	bool supervised;
};

/* The verb of this name; NULL for none. */
const struct verb *find_verb(const char *name);
/* Verbs have numbers, which are those of every process. */
size_t verb_number(const struct verb *verb);
const struct verb *verb_of(size_t number);

/*
 * A call that is understood. It holds no address, so that a process can carry
 * it out that another one has read: bytes lie behind a base of the process's.
 */
struct made {
	const struct verb *verb;
	long args[6];
	/* The bytes that were sent, or are to come back. */
	size_t at;
	size_t len;
	/* What came back beside them. */
	long long numbers[2];
	/* The descriptor that came with it, and one to send; -1 for none. */
	int passed;
	int pass;
	/* That one is of no use here afterwards. */
	bool close_pass;
	/* Why it could not be carried out. */
	const char *error;
};

/* Reads the words of a verb; false if they are wrong. `base` is that of the bytes. */
bool parse_made(struct call *c, const struct verb *verb, uintptr_t base,
		struct made *m);
/* Puts the addresses of its bytes and texts into the arguments. */
void place_bytes(struct made *m, uintptr_t base);
/* Makes it; its struct must lie in its place. */
long make(struct made *m);
/* Where its struct lies for that. */
void *struct_place(const struct made *m);
/* Does all of that; the bytes are those that came back then. */
long carry_out(struct made *m, uintptr_t base);
/* Puts out what came of it. */
void put_values(struct text *out, const struct made *m, uintptr_t base, long ret);

/* ---- references.c: values of earlier steps ---------------------------- */

/* A value that is put into an argument, or into bytes. */
struct reference {
	/* Which argument; -1 for the bytes. */
	int arg;
	/* Where in the bytes it goes, and how much of it. */
	uint64_t to;
	unsigned int to_len;
	/* The step that it comes from, and where in what came back of that; the result where `from_len` is 0. */
	uint64_t step;
	uint64_t from;
	unsigned int from_len;
	uint64_t plus;
};

/* Room for those of a program. */
struct references {
	struct reference *list;
	size_t count;
	size_t cap;
};

/* True if the next word is a reference; it is noted for that argument. */
bool argument_reference(struct call *c, int arg);
/* The word of bytes that follows, without references behind it; those are noted. */
char *bytes_references(struct call *c);

/* ---- program.c -------------------------------------------------------- */

/* Makes the memory that a program's processes share. */
void setup_board(void);
/* Maps it in a process that was run anew. */
void map_board(void);
/* Carries out a program, and puts out what came of its steps. */
void do_program(struct call *c);
/* In a worker: carries out some steps of it. */
void run_steps(struct call *c);

/* ---- processes.c: the processes of the protocol ----------------------- */

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

/* A process's answer to a request, and a descriptor that came with it. */
struct answer {
	/* Valid until the next; NULL if the process ended over the request. */
	char *text;
	/* -1 for none. */
	int passed;
};

/* Makes a process; its number. */
size_t spawn_process(void);
/* Takes one that another process made; its number. */
size_t add_process(int pid, int channel);
/* The process of a number; NULL if it never was. Valid until the next is made. */
struct process *process_of(uint64_t number);
/* Sends a process a request, with a descriptor unless `pass` is -1. */
struct answer ask(struct process *p, const char *request, int pass);
/* Lets one process give a descriptor to another. The result, and true; false if the first ended over it. */
bool pass_descriptor(struct process *from, int fd, struct process *to,
		     long *ret);
/* Ends a process, and waits until it is gone with its memory and descriptors. */
void end_process(struct process *p);
/* Waits for one that ends by itself, and notes why it does. */
void reap(struct process *p);
void kill_processes(void);

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
/* Stores the number after `key` in a file of lines "key number"; false without it. */
bool file_value(const char *path, const char *key, long long *value);

#endif
