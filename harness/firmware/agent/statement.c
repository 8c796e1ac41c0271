/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "statement.h"

#include "frame.h"

__attribute__((noreturn)) void refuse_as(UINTN line, const char *what, struct span about, EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, "plan line ");
	text_decimal(&text, line);
	text_add(&text, ": ");
	text_add(&text, what);
	text_span(&text, about);
	fail(text.chars, status);
}

__attribute__((noreturn)) void refuse(UINTN line, const char *what, struct span about)
{
	refuse_as(line, what, about, EFI_INVALID_PARAMETER);
}

struct span span_of(const char *chars)
{
	UINTN length = 0;

	while (chars[length])
		length++;
	return (struct span){ chars, length };
}

struct span cut(struct span *rest, char separator)
{
	struct span head = { rest->start, 0 };

	while (head.length < rest->length && head.start[head.length] != separator)
		head.length++;
	UINTN taken = head.length < rest->length ? head.length + 1 : head.length;
	rest->start += taken;
	rest->length -= taken;
	return head;
}

void split_fields(struct span rest, struct statement *statement)
{
	while (rest.length) {
		struct span value = cut(&rest, ' ');
		struct span key;

		if (!value.length)
			continue;
		if (statement->count == MAX_FIELDS)
			refuse(statement->line, "too many fields at ", value);
		key = cut(&value, '=');
		if (!key.length || !value.length)
			refuse(statement->line, "not a key=value field: ", key);
		for (UINTN i = 0; i < statement->count; i++) {
			struct span other = statement->fields[i].key;
			UINTN same = 0;

			while (same < key.length && same < other.length && key.start[same] == other.start[same])
				same++;
			if (same == key.length && same == other.length)
				refuse(statement->line, "key given twice: ", key);
		}
		statement->fields[statement->count++] = (struct field){ key, value, 0 };
	}
}

struct span take(struct statement *statement, const char *key)
{
	for (UINTN i = 0; i < statement->count; i++) {
		if (!span_is(statement->fields[i].key, key))
			continue;
		statement->fields[i].used = 1;
		return statement->fields[i].value;
	}
	return (struct span){ 0 };
}

struct span need(struct statement *statement, const char *key)
{
	struct span value = take(statement, key);

	if (!value.length)
		refuse(statement->line, "missing key: ", span_of(key));
	return value;
}

UINT64 to_number(const struct statement *statement, struct span value)
{
	UINT64 number;

	if (!parse_number(value, &number))
		refuse(statement->line, "not a number of at most 64 bits: ", value);
	return number;
}

UINT64 need_number(struct statement *statement, const char *key)
{
	return to_number(statement, need(statement, key));
}

void all_used(const struct statement *statement)
{
	for (UINTN i = 0; i < statement->count; i++)
		if (!statement->fields[i].used)
			refuse(statement->line, "unknown key: ", statement->fields[i].key);
}
