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
	unsigned long long left = value;
	char number[24];
	char *at = number + sizeof(number);
	size_t len;

	if (value < 0)
		left = -left;
	do
		*--at = '0' + left % 10;
	while (left /= 10);
	if (value < 0)
		*--at = '-';
	*--at = ' ';
	len = number + sizeof(number) - at;
	memcpy(text_reserve(t, len), at, len);
	t->len += len;
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

/* The value of a hex digit; -1 for another character. */
static int nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

static bool scan_hex(const char **at, uint64_t *value)
{
	const char *digit = *at;

	for (*value = 0;; digit++) {
		int n = nibble(*digit >= 'A' && *digit <= 'F' ? *digit | 0x20 : *digit);

		if (n < 0)
			break;
		if (*value >> 60)
			return false;
		*value = *value << 4 | n;
	}
	if (digit == *at)
		return false;
	*at = digit;
	return true;
}

static bool scan_decimal(const char **at, uint64_t *value)
{
	const char *digit = *at;

	for (*value = 0; *digit >= '0' && *digit <= '9'; digit++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, *digit - '0', value))
			return false;
	if (digit == *at || (**at == '0' && digit > *at + 1))
		return false;
	*at = digit;
	return true;
}

bool scan_number(const char **at, uint64_t *value)
{
	if ((*at)[0] != '0' || (*at)[1] != 'x')
		return scan_decimal(at, value);
	*at += 2;
	return scan_hex(at, value);
}

uint64_t number(struct call *c)
{
	const char *at = word(c);
	bool negative = *at == '-';
	uint64_t value;
	bool ok;

	at += negative;
	ok = scan_number(&at, &value) && !*at &&
	     !(negative && value > (uint64_t)INT64_MAX + 1);
	if (!ok && !c->error)
		c->error = "a word is not a number of 64 bits";
	return negative ? -value : value;
}

char *decode_bytes(struct call *c, char *word, size_t *len)
{
	unsigned char *to = (unsigned char *)word;
	const char *at = word;

	*len = 0;
	if (!strcmp(word, "-"))
		return word;
	while (*at) {
		int high = nibble(at[0]), low = high < 0 ? -1 : nibble(at[1]);

		if (low < 0)
			break;
		to[(*len)++] = high << 4 | low;
		at += 2;
	}
	if (!c->error && *at)
		c->error = "a word is not bytes in hex digits";
	return word;
}

char *string(struct call *c)
{
	size_t len;
	char *s = decode_bytes(c, word(c), &len);

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
