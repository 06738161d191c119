// SPDX-License-Identifier: GPL-2.0-only
/* References of a program's words to what earlier steps gave. */
#include "agent.h"

#include <string.h>

/* True if `*at` begins with this character, which it moves behind. */
static bool skip(const char **at, char what)
{
	if (**at != what)
		return false;
	++*at;
	return true;
}

/* "AT.LENGTH" */
static bool scan_field(const char **at, uint64_t *offset, unsigned int *len)
{
	if (!scan_number(at, offset) || !skip(at, '.') || !**at ||
	    !strchr("1248", **at))
		return false;
	*len = *(*at)++ - '0';
	return true;
}

/* "STEP", "STEP.AT.LENGTH", either with "+NUMBER"; nothing may follow. */
static bool scan_reference(const char *at, struct reference *r)
{
	if (!scan_number(&at, &r->step))
		return false;
	if (skip(&at, '.') && !scan_field(&at, &r->from, &r->from_len))
		return false;
	if (skip(&at, '+')) {
		bool negative = skip(&at, '-');

		if (!scan_number(&at, &r->plus) ||
		    (negative && r->plus > (uint64_t)INT64_MAX + 1))
			return false;
		if (negative)
			r->plus = -r->plus;
	}
	return !*at;
}

/* Notes one, if it was understood. */
static void note(struct call *c, const struct reference *r, bool understood)
{
	struct references *all = c->references;

	if (understood && all->count < all->cap)
		all->list[all->count++] = *r;
	else if (!c->error)
		c->error = "a word is no value of an earlier step";
}

bool argument_reference(struct call *c, int arg)
{
	struct reference r = { .arg = arg };

	if (!c->references || !c->at || *c->at != '=')
		return false;
	note(c, &r, scan_reference(word(c) + 1, &r));
	return true;
}

char *bytes_references(struct call *c)
{
	char *bytes = word(c);
	char *next = c->references ? strchr(bytes, '@') : NULL;

	/* No bytes are a dash, also around values. */
	if (next == bytes && !c->error)
		c->error = "a word is missing";
	while (next) {
		struct reference r = { .arg = -1 };
		const char *at = next + 1;

		*next = '\0';
		next = strchr(at, '@');
		if (next)
			*next = '\0';
		note(c, &r, scan_field(&at, &r.to, &r.to_len) &&
			    skip(&at, '=') && scan_reference(at, &r));
	}
	return bytes;
}
