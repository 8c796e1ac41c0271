/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ranges.h"

#include "agent.h"
#include "frame.h"
#include "hook.h"
#include "live.h"
#include "memory.h"
#include "statement.h"

#define MAX_PIECES 512
#define MAX_DEAD 8
#define LOW_END (1ULL << 32) /* PEI puts its volumes below 4 GiB */

struct piece {
	UINT64 start, end;
	UINT32 type;
	UINT32 was; /* in firmware's own map */
	const char *how;
	BOOLEAN canary;
	BOOLEAN fit;
};

static struct {
	UINT64 start, end;
} dead_volumes[MAX_DEAD]; /* found before anything is written, canaries may go over a header */
static UINTN dead_count;

static struct piece pieces[MAX_PIECES];
static UINTN piece_count;

static __attribute__((noreturn)) void refuse_range(const struct range_plan *range, UINT64 at, const char *what,
						   const char *about)
{
	struct text text;

	text_clear(&text);
	text_hex(&text, at);
	text_add(&text, what);
	text_add(&text, about);
	refuse_as(range->line, "the range cannot be made at ", (struct span){ text.chars, text.length },
		  EFI_UNSUPPORTED);
}

static const char *type_name(UINT32 type)
{
	static const char *const names[] = {
		"reserved memory", "loader code", "loader data", "boot services code", "boot services data",
		"runtime services code", "runtime services data", "free memory", "unusable memory",
		"ACPI reclaim memory", "ACPI NVS", "memory-mapped I/O", "memory-mapped I/O ports", "PAL code",
		"persistent memory",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "memory of an unknown type";
}

/* A type that AllocatePages gives (7.2.1); the others can only be claimed. */
static BOOLEAN allocatable(UINT32 type)
{
	return type != EfiConventionalMemory && type <= EfiPalCode;
}

/* Is `at` in memory that may be taken over? `end` is brought down to where that ends. */
static BOOLEAN dead(UINT64 at, UINT64 *end)
{
	for (UINTN i = 0; i < dead_count; i++) {
		if (at < dead_volumes[i].start || at >= dead_volumes[i].end)
			continue;
		if (*end > dead_volumes[i].end)
			*end = dead_volumes[i].end;
		return 1;
	}
	return 0;
}

static void check_strict(const struct range_plan *range)
{
	UINT64 next;

	for (UINT64 at = range->start; at < range->end; at = next) {
		EFI_MEMORY_DESCRIPTOR region;
		const char *live;

		next = range->end;
		if (!memory_at(at, &region, &next))
			refuse_range(range, at, ", where the firmware's map has a hole", "");
		if (region.Type == EfiConventionalMemory || (range->hook && dead(at, &next)))
			continue;
		live = live_inside(at, next);
		if (live)
			refuse_range(range, at, ", it would overlap ", live);
		refuse_range(range, at, ", where the firmware has ", type_name(region.Type));
	}
}

/* A map that takes the agent's memory away would take it away under the agent's feet. */
static void check_hole(const struct range_plan *range)
{
	const char *live = live_inside(range->start, range->end);

	if (live)
		refuse_range(range, range->start, ", the hole would take away ", live);
}

static void check_table(const struct range_plan *range, const struct table_plan *table)
{
	UINT64 start = table->pages_at, end = start + table->page_count * EFI_PAGE_SIZE;

	if (!table->pages_below && !range->fit && start < range->end && range->start < end)
		refuse_as(range->line, "the range overlaps the pages of the table ", table->name, EFI_INVALID_PARAMETER);
}

static void check_kernel(const struct plan *plan)
{
	UINT64 end = plan->kernel_at + plan->kernel.size, next = end;
	EFI_MEMORY_DESCRIPTOR region;

	for (UINTN i = 0; i < plan->range_count; i++)
		if (!plan->ranges[i].fit && plan->kernel_at < plan->ranges[i].end && plan->ranges[i].start < end)
			refuse(plan->ranges[i].line, "the range overlaps the place of the kernel's image",
			       (struct span){ 0 });
	for (UINT64 at = plan->kernel_at; at < end; at = next) {
		next = end;
		if (!memory_at(at, &region, &next) || region.Type != EfiConventionalMemory)
			fail("the place for the kernel's image is not free", EFI_NOT_FOUND);
	}
}

/* Firmware volumes that nothing is known to use: DXE has loaded its drivers out of them. */
static void find_dead(void)
{
	EFI_MEMORY_DESCRIPTOR region;
	UINT64 volume, volume_end;

	for (UINT64 at = 0, next; at < LOW_END; at = next) {
		next = LOW_END;
		if (!memory_at(at, &region, &next) || region.Type != EfiBootServicesData)
			continue;
		for (UINT64 from = at; live_volume(at, next, from, &volume, &volume_end); from = volume_end)
			if (dead_count < MAX_DEAD && !live_inside(volume, volume_end)) {
				dead_volumes[dead_count].start = volume;
				dead_volumes[dead_count++].end = volume_end;
			}
	}
}

void ranges_check(const struct plan *plan)
{
	BOOLEAN hook = 0;

	for (UINTN i = 0; i < plan->range_count; i++)
		hook |= plan->ranges[i].hook;
	if (hook)
		find_dead();
	for (UINTN i = 0; i < plan->range_count; i++) {
		const struct range_plan *range = &plan->ranges[i];

#ifndef __x86_64__
		if (range->hook || range->type == TYPE_HOLE)
			refuse_as(range->line, "only 64-bit firmware is hooked", (struct span){ 0 }, EFI_UNSUPPORTED);
#endif
		for (UINTN j = 0; j < plan->table_count; j++)
			check_table(range, &plan->tables[j]);
		if (range->type == TYPE_HOLE)
			check_hole(range);
		if (!range->fit)
			check_strict(range);
	}
	if (plan->kernel_at)
		check_kernel(plan);
}

static void write_canaries(UINT64 start, UINT64 end, UINT64 seed)
{
	for (UINT64 *word = pointer_to(start); address_of(word) < end; word++)
		*word = seed ^ address_of(word);
}

static void made(const struct range_plan *range, UINT64 start, UINT64 end, UINT32 was, const char *how)
{
	if (piece_count == MAX_PIECES)
		fail("the ranges come out in too many pieces", EFI_OUT_OF_RESOURCES);
	pieces[piece_count++] = (struct piece){ start, end, range->type, was, how, range->has_canary, range->fit };
	if (range->has_canary)
		write_canaries(start, end, range->canary);
}

/* Of free memory. 0 when firmware has taken some of it in the meantime. */
static BOOLEAN make_of_free(const struct range_plan *range, UINT64 start, UINT64 end)
{
	UINT32 type = allocatable(range->type) ? range->type : EfiBootServicesData;
	EFI_PHYSICAL_ADDRESS place = start;
	EFI_STATUS status;

	if (range->type == EfiConventionalMemory) {
		made(range, start, end, EfiConventionalMemory, "free");
		return 1;
	}
	status = boot_services->AllocatePages(AllocateAddress, type, (UINTN)((end - start) / EFI_PAGE_SIZE), &place);
	if (EFI_FAILED(status))
		return 0;
	if (!allocatable(range->type))
		hook_claim(start, end, range->type);
	made(range, start, end, EfiConventionalMemory, type == range->type ? "allocated" : "hooked");
	return 1;
}

/* The next piece from `at` on; returns where it ends. What cannot be had is passed over when the range is `fit`. */
static UINT64 make_piece(const struct range_plan *range, UINT64 at)
{
	EFI_MEMORY_DESCRIPTOR region;
	UINT64 end, next = range->end;

	if (hook_claimed(at, &end))
		return end;
	if (next > end)
		next = end;
	if (!memory_at(at, &region, &next))
		return next;
	if (region.Type == EfiConventionalMemory) {
		if (!make_of_free(range, at, next) && !range->fit)
			refuse_range(range, at, ", AllocatePages refused", "");
	} else if (range->hook && !(range->fit && region.Type == range->type) && dead(at, &next)) {
		hook_claim(at, next, range->type);
		made(range, at, next, region.Type, "hooked");
	} else if (!range->fit) {
		refuse_range(range, at, ", firmware has taken it as ", type_name(region.Type));
	}
	return next;
}

void ranges_make(const struct plan *plan, BOOLEAN fit)
{
	for (UINTN i = 0; i < plan->range_count; i++) {
		const struct range_plan *range = &plan->ranges[i];

		if (range->fit != fit)
			continue;
		for (UINT64 at = range->start; at < range->end;)
			at = make_piece(range, at);
	}
}

void report_ranges(void)
{
	for (UINTN i = 0; i < piece_count; i++) {
		const struct piece *piece = &pieces[i];

		frame_begin("range");
		frame_field_hex("pages_address", piece->start);
		frame_field_decimal("pages_size", piece->end - piece->start);
		if (piece->type == TYPE_HOLE)
			frame_field("type", "hole");
		else
			frame_field_decimal("type", piece->type);
		frame_field_decimal("was", piece->was);
		frame_field("how", piece->how);
		frame_field_decimal("canary", piece->canary);
		frame_field_decimal("fit", piece->fit);
		frame_end();
	}
}
