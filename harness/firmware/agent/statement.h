/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line of the plan: a word and key=value fields. Every mistake ends in an `error` frame that names the line. */
#ifndef HARNESS_AGENT_STATEMENT_H
#define HARNESS_AGENT_STATEMENT_H

#include "text.h"

#define MAX_FIELDS 12

struct field {
	struct span key;
	struct span value;
	BOOLEAN used;
};

struct statement {
	UINTN line;
	struct field fields[MAX_FIELDS];
	UINTN count;
};

__attribute__((noreturn)) void refuse_as(UINTN line, const char *what, struct span about, EFI_STATUS status);
__attribute__((noreturn)) void refuse(UINTN line, const char *what, struct span about); /* EFI_INVALID_PARAMETER */

struct span span_of(const char *chars);

/* Cuts the text up to `separator` off the front of `rest`; the separator itself is dropped. */
struct span cut(struct span *rest, char separator);

void split_fields(struct span rest, struct statement *statement);

/* The value of a key, marked as used; an empty span when the statement does not have it. */
struct span take(struct statement *statement, const char *key);
struct span need(struct statement *statement, const char *key);

UINT64 to_number(const struct statement *statement, struct span value);
UINT64 need_number(struct statement *statement, const char *key);

/* Refuses keys that nothing has taken. */
void all_used(const struct statement *statement);

#endif
