/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text and bytes without a C library: a builder that cannot overflow, and strict parsers. */
#ifndef HARNESS_AGENT_TEXT_H
#define HARNESS_AGENT_TEXT_H

#include "efi.h"

void *memcpy(void *to, const void *from, UINTN size);
void *memset(void *to, int byte, UINTN size);

/* A line being put together; what does not fit is cut off. Always ends in NUL. */
struct text {
	UINTN length;
	char chars[256];
};

void text_clear(struct text *text);
void text_char(struct text *text, char c);
void text_add(struct text *text, const char *more);
void text_hex(struct text *text, UINT64 number); /* 0x1a2b */
void text_decimal(struct text *text, UINT64 number);
void text_guid(struct text *text, const EFI_GUID *guid);

/* A piece of somebody else's text, not ended by NUL. */
struct span {
	const char *start;
	UINTN length;
};

BOOLEAN span_is(struct span span, const char *word);
void text_span(struct text *text, struct span span);

/* Each takes the whole span or returns 0 and leaves the result alone. */
BOOLEAN parse_number(struct span span, UINT64 *number); /* decimal, or hexadecimal after 0x; at most 64 bits */
BOOLEAN parse_guid(struct span span, EFI_GUID *guid);   /* b122a263-3661-4f68-9929-78f8b0d62180 */
BOOLEAN parse_hex(struct span span, UINT64 *number);    /* without 0x */
BOOLEAN is_lower_hex(struct span span);

#endif
