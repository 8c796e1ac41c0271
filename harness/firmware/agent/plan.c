/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include "agent.h"
#include "frame.h"
#include "hook.h"
#include "statement.h"

#define MAX_PLAN_BYTES 65536
#define MAX_ADDRESS (1ULL << 52) /* as wide as a physical address of x86 can be */
#define MAX_PAGES 0x40000 /* 1 GiB: larger is a slip of the pen, and the sizes below cannot overflow */

__attribute__((noreturn)) void fail_table(const struct table_plan *table, const char *what, EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, "table ");
	text_span(&text, table->name);
	text_add(&text, ": ");
	text_add(&text, what);
	fail(text.chars, status);
}

static void place_of(struct statement *statement, struct table_plan *table)
{
	struct span at = take(statement, "at");
	struct span below = take(statement, "below");

	if (!at.length == !below.length)
		refuse(statement->line, "a table needs either at= or below=", (struct span){ 0 });
	if (at.length) {
		table->pages_at = to_number(statement, at);
		if (table->pages_at % EFI_PAGE_SIZE)
			refuse(statement->line, "at= is not a multiple of the page size: ", at);
		return;
	}
	table->pages_below = to_number(statement, below);
	if (table->pages_below < table->page_count * EFI_PAGE_SIZE)
		refuse(statement->line, "below= leaves no room for the pages: ", below);
}

/* By what a kernel finds the table: a GUID, or an ACPI table that points to it. */
static void key_of(struct statement *statement, struct table_plan *table)
{
	struct span guid = take(statement, "guid");
	struct span acpi = take(statement, "acpi");

	if (!guid.length == !acpi.length)
		refuse(statement->line, "a table needs either guid= or acpi=", (struct span){ 0 });
	if (guid.length) {
		if (!parse_guid(guid, &table->guid))
			refuse(statement->line, "not a GUID: ", guid);
		return;
	}
	table->pointer = need_number(statement, "pointer");
	table->acpi = fw_cfg_find(acpi);
	if (table->acpi.size < sizeof(ACPI_TABLE_HEADER) + sizeof(UINT64))
		refuse_as(statement->line, "too small for an ACPI table: ", acpi, EFI_BAD_BUFFER_SIZE);
	if (table->pointer < sizeof(ACPI_TABLE_HEADER) || table->pointer > table->acpi.size - sizeof(UINT64))
		refuse(statement->line, "pointer= is not between the header and the end of ", acpi);
}

/* A file, or a copy of what firmware has. */
static void content_of(struct statement *statement, struct table_plan *table)
{
	struct span content = take(statement, "content");
	struct span copy = take(statement, "copy");
	struct span from = content.length ? content : copy;
	UINT64 size;

	all_used(statement);
	if (!content.length == !copy.length)
		refuse(statement->line, "a table needs either content= or copy=", (struct span){ 0 });
	if (content.length) {
		table->content = fw_cfg_find(content);
		size = table->content.size;
	} else {
		if (!span_is(copy, "memattr"))
			refuse(statement->line, "copy= is not memattr: ", copy);
		size = memattr_size();
		if (!size)
			refuse_as(statement->line, "the firmware has no Memory Attributes Table for copy=", (struct span){ 0 },
				  EFI_NOT_FOUND);
	}
	if (table->offset > table->page_count * EFI_PAGE_SIZE || size > table->page_count * EFI_PAGE_SIZE - table->offset)
		refuse_as(statement->line, "content is larger than the pages behind offset=: ", from, EFI_BAD_BUFFER_SIZE);
}

static void listed_of(struct statement *statement, struct table_plan *table)
{
	struct span listed = take(statement, "listed");

	if (!listed.length)
		return;
	if (!span_is(listed, "no"))
		refuse(statement->line, "listed= can only be no: ", listed);
#ifndef __x86_64__
	refuse_as(statement->line, "only 64-bit firmware is hooked", (struct span){ 0 }, EFI_UNSUPPORTED);
#endif
	table->unlisted = 1;
}

static void table_statement(struct statement *statement, struct plan *plan)
{
	struct table_plan *table = &plan->tables[plan->table_count];
	if (plan->table_count == MAX_TABLES)
		refuse(statement->line, "too many tables", (struct span){ 0 });
	table->name = need(statement, "name");
	key_of(statement, table);
	table->memory_type = need_number(statement, "type");
	if (table->memory_type > 0xffffffff)
		refuse(statement->line, "type= is not a memory type of 32 bits", (struct span){ 0 });
	table->page_count = need_number(statement, "pages");
	if (!table->page_count || table->page_count > MAX_PAGES)
		refuse(statement->line, "pages= must be from 1 to 0x40000", (struct span){ 0 });
	table->offset = need_number(statement, "offset");
	table->canary = need_number(statement, "canary");
	place_of(statement, table);
	listed_of(statement, table);
	content_of(statement, table);
	plan->table_count++;
}

static BOOLEAN yes(struct statement *statement, const char *key)
{
	struct span value = take(statement, key);

	if (value.length && !span_is(value, "yes"))
		refuse(statement->line, "can only be yes, or left out: ", value);
	return value.length != 0;
}

static UINT32 range_type(struct statement *statement)
{
	struct span type = need(statement, "type");
	UINT64 number;

	if (span_is(type, "hole"))
		return TYPE_HOLE;
	number = to_number(statement, type);
	if (number > EfiPersistentMemory)
		refuse(statement->line, "not a memory type that can be made: ", type);
	return (UINT32)number;
}

static void check_overlap(const struct statement *statement, const struct range_plan *range, const struct plan *plan)
{
	struct text text;

	for (UINTN i = 0; i < plan->range_count; i++) {
		const struct range_plan *other = &plan->ranges[i];

		if (other->fit != range->fit || range->start >= other->end || other->start >= range->end)
			continue;
		text_clear(&text);
		text_decimal(&text, other->line);
		refuse(statement->line, "overlaps the range of line ", (struct span){ text.chars, text.length });
	}
}

static void range_statement(struct statement *statement, struct plan *plan)
{
	struct range_plan *range = &plan->ranges[plan->range_count];
	struct span canary;
	UINT64 pages;

	if (plan->range_count == MAX_RANGES)
		refuse(statement->line, "too many ranges", (struct span){ 0 });
	range->line = statement->line;
	range->type = range_type(statement);
	range->start = need_number(statement, "at");
	pages = need_number(statement, "pages");
	canary = take(statement, "canary");
	range->hook = yes(statement, "hook");
	range->fit = yes(statement, "fit");
	all_used(statement);
	if (range->start % EFI_PAGE_SIZE || range->start >= MAX_ADDRESS)
		refuse(statement->line, "at= is not a multiple of the page size below 2^52", (struct span){ 0 });
	if (!pages || pages > (MAX_ADDRESS - range->start) / EFI_PAGE_SIZE)
		refuse(statement->line, "pages= must be 1 or more, and end below 2^52", (struct span){ 0 });
	range->end = range->start + pages * EFI_PAGE_SIZE;
	range->has_canary = canary.length != 0;
	if (range->has_canary)
		range->canary = to_number(statement, canary);
	if (range->has_canary && range->type == EfiConventionalMemory)
		refuse(statement->line, "free memory keeps no canaries", (struct span){ 0 });
	check_overlap(statement, range, plan);
	plan->range_count++;
}

static struct fw_cfg_file optional_file(struct span name)
{
	return name.length ? fw_cfg_find(name) : (struct fw_cfg_file){ 0 };
}

static void boot_statement(struct statement *statement, struct plan *plan)
{
	struct span kernel, file, initrd, cmdline, at;

	if (plan->has_boot)
		refuse(statement->line, "a second boot statement", (struct span){ 0 });
	plan->has_boot = 1;
	kernel = take(statement, "kernel");
	file = take(statement, "file");
	if (!kernel.length == !file.length)
		refuse(statement->line, "boot needs either kernel= or file=", (struct span){ 0 });
	initrd = take(statement, "initrd");
	cmdline = take(statement, "cmdline");
	at = take(statement, "at");
	all_used(statement);
	if (at.length && !kernel.length)
		refuse(statement->line, "only an image of kernel= can be loaded at=", at);
	plan->kernel_at = at.length ? to_number(statement, at) : 0;
	/* EDK2 looks at no base in an image's header below 1 MiB (CoreLoadPeImage). */
	if (at.length && (plan->kernel_at % EFI_PAGE_SIZE || plan->kernel_at < 0x100000 || plan->kernel_at >= MAX_ADDRESS))
		refuse(statement->line, "at= is not a multiple of the page size from 1 MiB to 2^52: ", at);
	plan->kernel = optional_file(kernel);
	plan->file = file;
	plan->initrd = optional_file(initrd);
	plan->cmdline = optional_file(cmdline);
}

static enum service service_of(const struct statement *statement, struct span name)
{
	static const char *const names[] = {
#define X(id, name) name,
		SERVICES(X)
#undef X
	};

	for (UINTN i = 0; i < SERVICE_COUNT; i++)
		if (span_is(name, names[i]))
			return (enum service)i;
	refuse(statement->line, "not a runtime service that can be hooked: ", name);
}

static enum fault fault_of(const struct statement *statement, struct span name)
{
	static const char *const names[] = {
#define X(id, name) name,
		FAULTS(X)
#undef X
	};

	for (UINTN i = 0; i < FAULT_COUNT; i++) {
		if (!span_is(name, names[i]))
			continue;
		if (i == FAULT_NONE || !FAULT_POSSIBLE(i))
			refuse_as(statement->line, "not a fault that this firmware can commit: ", name,
				  EFI_UNSUPPORTED);
		return (enum fault)i;
	}
	refuse(statement->line, "not a fault: ", name);
}

static enum memattr_choice memattr_of(const struct statement *statement, struct span name)
{
	if (span_is(name, "correct"))
		return MEMATTR_CORRECT;
	if (span_is(name, "keep"))
		return MEMATTR_KEEP;
	if (span_is(name, "drop"))
		return MEMATTR_DROP;
	refuse(statement->line, "memattr= is none of correct, keep, drop: ", name);
}

static void arm(const struct statement *statement, struct span pair, struct runtime_plan *runtime)
{
	struct span name = cut(&pair, ':');
	enum service service = service_of(statement, name);

	if (service == SERVICE_SET_VARIABLE)
		refuse(statement->line, "set-variable cannot be armed, its variables choose the fault",
		       (struct span){ 0 });
	if (!runtime->hooked[service])
		refuse(statement->line, "armed but not hooked: ", name);
	if (runtime->armed[service])
		refuse(statement->line, "armed twice: ", name);
	runtime->armed[service] = fault_of(statement, pair);
}

static void runtime_statement(struct statement *statement, struct plan *plan)
{
	struct runtime_plan *runtime = &plan->runtime;
	struct span driver, hooks, armed;

	if (runtime->driver.size)
		refuse(statement->line, "a second runtime statement", (struct span){ 0 });
	driver = need(statement, "driver");
	hooks = need(statement, "hooks");
	armed = take(statement, "arm");
	runtime->memattr = memattr_of(statement, need(statement, "memattr"));
	all_used(statement);
	while (hooks.length) {
		struct span name = cut(&hooks, ',');
		enum service service = service_of(statement, name);

		if (runtime->hooked[service])
			refuse(statement->line, "hooked twice: ", name);
		runtime->hooked[service] = 1;
	}
	while (armed.length)
		arm(statement, cut(&armed, ','), runtime);
	runtime->driver = fw_cfg_find(driver);
}

static void nonce_statement(UINTN line, struct span nonce, struct plan *plan)
{
	if (plan->has_nonce)
		refuse(line, "a second nonce statement", (struct span){ 0 });
	if (nonce.length != 8 || !is_lower_hex(nonce))
		refuse(line, "a nonce is eight lower case hexadecimal digits: ", nonce);
	plan->has_nonce = 1;
	plan->nonce = nonce;
	frame_nonce(nonce); /* so that a mistake further down is reported under this run's nonce */
}

/* Statements with key=value fields; new kinds are added here. */
static const struct {
	const char *word;
	void (*take)(struct statement *statement, struct plan *plan);
} kinds[] = {
	{ "table", table_statement },
	{ "range", range_statement },
	{ "runtime", runtime_statement },
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
