// SPDX-License-Identifier: GPL-2.0-only
/* Lines and words of the adapter protocol. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes that are read at once. */
#define CHUNK 65536

char *text_reserve(struct text *t, size_t more)
{
	if (t->cap - t->len < more) {
		t->cap = 2 * t->cap + more;
		t->data = realloc(t->data, t->cap);
		if (!t->data)
			die("out of memory");
	}
	return t->data + t->len;
}

void put(struct text *t, const char *s)
{
	size_t len = strlen(s);

	memcpy(text_reserve(t, len), s, len);
	t->len += len;
}

void put_num(struct text *t, long long value)
{
	char number[24];

	snprintf(number, sizeof(number), " %lld", value);
	put(t, number);
}

/* Two hex digits each; no bytes are a dash. */
void put_bytes(struct text *t, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = bytes;
	char *to;

	if (!len) {
		put(t, " -");
		return;
	}
	to = text_reserve(t, 1 + 2 * len);
	*to++ = ' ';
	for (size_t i = 0; i < len; i++) {
		*to++ = digits[from[i] >> 4];
		*to++ = digits[from[i] & 15];
	}
	t->len += 1 + 2 * len;
}

void put_text(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

void stream_open(struct stream *s, int fd)
{
	*s = (struct stream){ .fd = fd, .passed = -1 };
	text_reserve(&s->in, CHUNK);
}

/* A message, as a socket's reader and writer see it. */
struct message {
	struct msghdr header;
	struct iovec part;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static void message_init(struct message *m, char *data, size_t len)
{
	memset(m, 0, sizeof(*m));
	m->part = (struct iovec){ .iov_base = data, .iov_len = len };
	m->header.msg_iov = &m->part;
	m->header.msg_iovlen = 1;
	m->header.msg_control = &m->control;
	m->header.msg_controllen = sizeof(m->control);
}

static ssize_t stream_read(struct stream *s, char *to, size_t len)
{
	struct message m;
	struct cmsghdr *control;
	ssize_t got;

	message_init(&m, to, len);
	got = recvmsg(s->fd, &m.header, MSG_CMSG_CLOEXEC);
	if (got < 0 && errno == ENOTSOCK)
		return read(s->fd, to, len);
	if (got < 0)
		return got;
	control = CMSG_FIRSTHDR(&m.header);
	if (control && control->cmsg_type == SCM_RIGHTS)
		memcpy(&s->passed, CMSG_DATA(control), sizeof(int));
	return got;
}

char *read_line(struct stream *s)
{
	struct text *in = &s->in;
	size_t seen = 0;

	s->passed = -1;
	in->len -= s->next;
	memmove(in->data, in->data + s->next, in->len);
	s->next = 0;
	for (;;) {
		char *end = memchr(in->data + seen, '\n', in->len - seen);
		ssize_t got;

		if (end) {
			s->next = end + 1 - in->data;
			if (end > in->data && end[-1] == '\r')
				end--;
			*end = '\0';
			return in->data;
		}
		seen = in->len;
		text_reserve(in, CHUNK);
		got = stream_read(s, in->data + in->len, in->cap - in->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		in->len += got;
	}
}

bool write_all(int fd, const char *from, size_t len)
{
	while (len) {
		ssize_t done = write(fd, from, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		from += done;
		len -= done;
	}
	return true;
}

bool send_text(int socket, const struct text *t, int pass)
{
	struct message m;
	struct cmsghdr *control;

	if (pass < 0)
		return write_all(socket, t->data, t->len);
	message_init(&m, t->data, t->len);
	control = CMSG_FIRSTHDR(&m.header);
	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(control), &pass, sizeof(int));
	return sendmsg(socket, &m.header, 0) == (ssize_t)t->len;
}

char *word(struct call *c)
{
	static char nothing[1];
	char *start = c->at;
	char *end;

	if (!start || !*start || *start == ' ') {
		c->error = "a word is missing";
		return nothing;
	}
	end = strchr(start, ' ');
	c->at = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return start;
}

uint64_t number(struct call *c)
{
	char *digits = word(c);
	bool negative = *digits == '-';
	bool hex, ok;
	uint64_t value;
	size_t len;

	digits += negative;
	hex = !strncmp(digits, "0x", 2);
	if (hex)
		digits += 2;
	len = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	errno = 0;
	value = strtoull(digits, NULL, hex ? 16 : 10);
	ok = len && !digits[len] && !errno;
	if (!hex && *digits == '0' && len > 1)
		ok = false;
	if (negative && value > (uint64_t)INT64_MAX + 1)
		ok = false;
	if (!ok && !c->error)
		c->error = "a word is not a number of 64 bits";
	return negative ? -value : value;
}

static int nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

/* Decoded over the word that held them. */
void *bytes(struct call *c, size_t *len)
{
	char *s = word(c);
	unsigned char *to = (unsigned char *)s;
	size_t digits = strlen(s);

	*len = 0;
	if (!strcmp(s, "-"))
		return s;
	for (size_t i = 0; i + 1 < digits; i += 2) {
		int high = nibble(s[i]), low = nibble(s[i + 1]);

		if (high < 0 || low < 0)
			break;
		to[(*len)++] = high << 4 | low;
	}
	if (!c->error && *len * 2 != digits)
		c->error = "a word is not bytes in hex digits";
	return s;
}

char *string(struct call *c)
{
	size_t len;
	char *s = bytes(c, &len);

	if (c->error)
		return s;
	if (memchr(s, '\0', len))
		c->error = "a text has a zero byte";
	/* There is room: decoded, a word is shorter, and without bytes it was a dash. */
	s[len] = '\0';
	return s;
}

bool parsed(struct call *c)
{
	if (!c->error && c->at)
		c->error = "there are too many words";
	return !c->error;
}

char *cut_call(char *calls)
{
	char *end = strstr(calls, " ; ");

	if (!end)
		return NULL;
	*end = '\0';
	return end + 3;
}
