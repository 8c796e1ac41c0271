/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include "agent.h"
#include "frame.h"

#define MAX_PLAN_BYTES 65536
#define MAX_PAGES 0x40000 /* 1 GiB: larger is a slip of the pen, and the sizes below cannot overflow */
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

static __attribute__((noreturn)) void refuse_as(UINTN line, const char *what, struct span about, EFI_STATUS status)
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

static __attribute__((noreturn)) void refuse(UINTN line, const char *what, struct span about)
{
	refuse_as(line, what, about, EFI_INVALID_PARAMETER);
}

static struct span span_of(const char *chars)
{
	UINTN length = 0;

	while (chars[length])
		length++;
	return (struct span){ chars, length };
}

/* Cuts the text up to `separator` off the front of `rest`; the separator itself is dropped. */
static struct span cut(struct span *rest, char separator)
{
	struct span head = { rest->start, 0 };

	while (head.length < rest->length && head.start[head.length] != separator)
		head.length++;
	UINTN taken = head.length < rest->length ? head.length + 1 : head.length;
	rest->start += taken;
	rest->length -= taken;
	return head;
}

static void split_fields(struct span rest, struct statement *statement)
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

/* The value of a key, marked as used; an empty span when the statement does not have it. */
static struct span take(struct statement *statement, const char *key)
{
	for (UINTN i = 0; i < statement->count; i++) {
		if (!span_is(statement->fields[i].key, key))
			continue;
		statement->fields[i].used = 1;
		return statement->fields[i].value;
	}
	return (struct span){ 0 };
}

static struct span need(struct statement *statement, const char *key)
{
	struct span value = take(statement, key);

	if (!value.length)
		refuse(statement->line, "missing key: ", span_of(key));
	return value;
}

static UINT64 to_number(const struct statement *statement, struct span value)
{
	UINT64 number;

	if (!parse_number(value, &number))
		refuse(statement->line, "not a number of at most 64 bits: ", value);
	return number;
}

static UINT64 need_number(struct statement *statement, const char *key)
{
	return to_number(statement, need(statement, key));
}

static void all_used(const struct statement *statement)
{
	for (UINTN i = 0; i < statement->count; i++)
		if (!statement->fields[i].used)
			refuse(statement->line, "unknown key: ", statement->fields[i].key);
}

static void place_of(struct statement *statement, struct table_plan *table)
{
	struct span at = take(statement, "at");
	struct span below = take(statement, "below");

	if (!at.length == !below.length)
		refuse(statement->line, "a table needs either at= or below=", (struct span){ 0 });
	table->exact = at.length != 0;
	table->address = to_number(statement, table->exact ? at : below);
	if (table->exact && table->address % EFI_PAGE_SIZE)
		refuse(statement->line, "at= is not a multiple of the page size: ", at);
	if (!table->exact && table->address < table->pages * EFI_PAGE_SIZE)
		refuse(statement->line, "below= leaves no room for the pages: ", below);
}

static void table_statement(struct statement *statement, struct plan *plan)
{
	struct table_plan *table = &plan->tables[plan->table_count];
	struct span guid, content;

	if (plan->table_count == MAX_TABLES)
		refuse(statement->line, "too many tables", (struct span){ 0 });
	table->name = need(statement, "name");
	guid = need(statement, "guid");
	if (!parse_guid(guid, &table->guid))
		refuse(statement->line, "not a GUID: ", guid);
	table->memory_type = need_number(statement, "type");
	if (table->memory_type > 0xffffffff)
		refuse(statement->line, "type= is not a memory type of 32 bits", (struct span){ 0 });
	table->pages = need_number(statement, "pages");
	if (!table->pages || table->pages > MAX_PAGES)
		refuse(statement->line, "pages= must be from 1 to 0x40000", (struct span){ 0 });
	table->offset = need_number(statement, "offset");
	table->canary = need_number(statement, "canary");
	place_of(statement, table);
	content = need(statement, "content");
	all_used(statement);
	table->content = fw_cfg_find(content);
	if (table->offset > table->pages * EFI_PAGE_SIZE ||
	    table->content.size > table->pages * EFI_PAGE_SIZE - table->offset)
		refuse_as(statement->line, "content is larger than the pages behind offset=: ", content,
			  EFI_BAD_BUFFER_SIZE);
	plan->table_count++;
}

static struct fw_cfg_file optional_file(struct span name)
{
	return name.length ? fw_cfg_find(name) : (struct fw_cfg_file){ 0 };
}

static void boot_statement(struct statement *statement, struct plan *plan)
{
	struct span kernel, initrd, cmdline;

	if (plan->has_boot)
		refuse(statement->line, "a second boot statement", (struct span){ 0 });
	plan->has_boot = 1;
	kernel = need(statement, "kernel");
	initrd = take(statement, "initrd");
	cmdline = take(statement, "cmdline");
	all_used(statement);
	plan->kernel = fw_cfg_find(kernel);
	plan->initrd = optional_file(initrd);
	plan->cmdline = optional_file(cmdline);
}

static void nonce_statement(UINTN line, struct span nonce, struct plan *plan)
{
	if (plan->has_nonce)
		refuse(line, "a second nonce statement", (struct span){ 0 });
	if (nonce.length != 8 || !is_lower_hex(nonce))
		refuse(line, "a nonce is eight lower case hexadecimal digits: ", nonce);
	plan->has_nonce = 1;
	frame_nonce(nonce); /* so that a mistake further down is reported under this run's nonce */
}

/* Statements with key=value fields; new kinds are added here. */
static const struct {
	const char *word;
	void (*take)(struct statement *statement, struct plan *plan);
} kinds[] = {
	{ "table", table_statement },
	{ "boot", boot_statement },
};

static void parse_line(UINTN line, struct span text, struct plan *plan)
{
	struct statement statement = { .line = line };
	struct span word = cut(&text, ' ');

	if (span_is(word, "nonce")) {
		nonce_statement(line, text, plan);
		return;
	}
	for (UINTN i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!span_is(word, kinds[i].word))
			continue;
		split_fields(text, &statement);
		kinds[i].take(&statement, plan);
		return;
	}
	refuse(line, "unknown statement: ", word);
}

static void check_version(struct span first)
{
	struct span whole = first, word = cut(&first, ' ');

	if (!span_is(word, "HARNESS-PLAN"))
		refuse(1, "does not begin with HARNESS-PLAN: ", whole);
	if (!span_is(first, "1"))
		refuse_as(1, "unknown version of the plan, this agent knows 1: ", first, EFI_INCOMPATIBLE_VERSION);
}

static struct span plan_text(void)
{
	struct fw_cfg_file file = fw_cfg_find(span_of("opt/harness/plan"));
	void *buffer = 0;
	EFI_STATUS status;

	if (file.size > MAX_PLAN_BYTES)
		fail("the plan is larger than 64 KiB", EFI_BAD_BUFFER_SIZE);
	status = boot_services->AllocatePool(EfiLoaderData, file.size, &buffer);
	if (EFI_FAILED(status))
		fail("AllocatePool for the plan", status);
	if (!fw_cfg_read(file, buffer))
		fail("fw_cfg: the plan cannot be read", EFI_DEVICE_ERROR);
	return (struct span){ buffer, file.size };
}

const struct plan *plan_read(void)
{
	static struct plan plan;
	struct span rest = plan_text();
	struct span line = cut(&rest, '\n');

	check_version(line);
	for (UINTN number = 2; rest.length; number++) {
		line = cut(&rest, '\n');
		if (line.length)
			parse_line(number, line, &plan);
	}
	if (!plan.has_nonce)
		fail("the plan has no nonce statement", EFI_INVALID_PARAMETER);
	if (!plan.has_boot)
		fail("the plan has no boot statement", EFI_INVALID_PARAMETER);
	return &plan;
}
