/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "text.h"

/* The compiler may call these two by itself, also in a freestanding program. */
void *memcpy(void *to, const void *from, UINTN size)
{
	void *start = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

void *memset(void *to, int byte, UINTN size)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
	return start;
}

void text_clear(struct text *text)
{
	text->length = 0;
	text->chars[0] = 0;
}

void text_char(struct text *text, char c)
{
	if (text->length + 1 >= sizeof(text->chars))
		return;
	/* A value must stay on one line of a frame, and a frame's fields are ASCII. */
	text->chars[text->length++] = c >= 0x20 && c < 0x7f ? c : '?';
	text->chars[text->length] = 0;
}

void text_add(struct text *text, const char *more)
{
	while (*more)
		text_char(text, *more++);
}

void text_span(struct text *text, struct span span)
{
	for (UINTN i = 0; i < span.length; i++)
		text_char(text, span.start[i]);
}

/* Bit by bit, because for 32-bit code the compiler would call a library to divide 64 bits. Returns the remainder. */
static UINT32 divide(UINT64 *number, UINT32 by)
{
	UINT64 quotient = 0;
	UINT32 rest = 0;

	for (int bit = 63; bit >= 0; bit--) {
		rest = rest << 1 | (UINT32)(*number >> bit & 1);
		quotient <<= 1;
		if (rest >= by) {
			rest -= by;
			quotient |= 1;
		}
	}
	*number = quotient;
	return rest;
}

static void text_digits(struct text *text, UINT64 number, UINT32 base, UINTN width)
{
	char digits[20];
	UINTN count = 0;

	do
		digits[count++] = "0123456789abcdef"[divide(&number, base)];
	while (number || count < width);
	while (count)
		text_char(text, digits[--count]);
}

void text_hex(struct text *text, UINT64 number)
{
	text_add(text, "0x");
	text_digits(text, number, 16, 1);
}

void text_decimal(struct text *text, UINT64 number)
{
	text_digits(text, number, 10, 1);
}

void text_guid(struct text *text, const EFI_GUID *guid)
{
	text_digits(text, guid->Data1, 16, 8);
	text_char(text, '-');
	text_digits(text, guid->Data2, 16, 4);
	text_char(text, '-');
	text_digits(text, guid->Data3, 16, 4);
	text_char(text, '-');
	for (UINTN i = 0; i < 8; i++) {
		if (i == 2)
			text_char(text, '-');
		text_digits(text, guid->Data4[i], 16, 2);
	}
}

BOOLEAN span_is(struct span span, const char *word)
{
	UINTN i;

	for (i = 0; i < span.length; i++)
		if (!word[i] || word[i] != span.start[i])
			return 0;
	return !word[i];
}

/* The value of one digit, or 255: larger than any base. */
static UINT64 digit(char c)
{
	if (c >= '0' && c <= '9')
		return (UINT64)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (UINT64)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (UINT64)(c - 'A' + 10);
	return 255;
}

static BOOLEAN parse_digits(struct span span, UINT32 base, UINT64 *number)
{
	UINT64 sum = 0, most = ~0ULL;
	UINT32 last = divide(&most, base); /* 2^64 - 1 is most * base + last */

	if (!span.length)
		return 0;
	for (UINTN i = 0; i < span.length; i++) {
		UINT64 value = digit(span.start[i]);

		if (value >= base || sum > most || (sum == most && value > last))
			return 0;
		sum = sum * base + value;
	}
	*number = sum;
	return 1;
}

BOOLEAN parse_hex(struct span span, UINT64 *number)
{
	return parse_digits(span, 16, number);
}

BOOLEAN parse_number(struct span span, UINT64 *number)
{
	if (span.length > 2 && span.start[0] == '0' && span.start[1] == 'x')
		return parse_digits((struct span){ span.start + 2, span.length - 2 }, 16, number);
	return parse_digits(span, 10, number);
}

BOOLEAN parse_guid(struct span span, EFI_GUID *guid)
{
	static const UINT8 start[] = { 0, 9, 14, 19, 24 }, length[] = { 8, 4, 4, 4, 12 };
	UINT64 part[5];

	if (span.length != 36)
		return 0;
	for (UINTN i = 0; i < 5; i++) {
		if (i && span.start[start[i] - 1] != '-')
			return 0;
		if (!parse_digits((struct span){ span.start + start[i], length[i] }, 16, &part[i]))
			return 0;
	}
	guid->Data1 = (UINT32)part[0];
	guid->Data2 = (UINT16)part[1];
	guid->Data3 = (UINT16)part[2];
	guid->Data4[0] = (UINT8)(part[3] >> 8);
	guid->Data4[1] = (UINT8)part[3];
	for (UINTN i = 0; i < 6; i++)
		guid->Data4[2 + i] = (UINT8)(part[4] >> (40 - 8 * i));
	return 1;
}

BOOLEAN is_lower_hex(struct span span)
{
	for (UINTN i = 0; i < span.length; i++)
		if (digit(span.start[i]) > 15 || (span.start[i] >= 'A' && span.start[i] <= 'F'))
			return 0;
	return 1;
}
