/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook.h"

#include "agent.h"
#include "frame.h"

#define MAX_CLAIMS 512
#define MAP_BYTES 131072

struct claim {
	UINT64 start, end;
	UINT32 type;
};

static struct claim claims[MAX_CLAIMS]; /* by address; they do not overlap */
static UINTN claim_count;
static UINT8 scratch[MAP_BYTES] __attribute__((aligned(8))); /* the services may be called where nothing can be allocated */

static struct {
	EFI_ALLOCATE_PAGES allocate;
	EFI_FREE_PAGES free;
} firmware;

EFI_GET_MEMORY_MAP firmware_get_memory_map;

/* The index of the first claim that ends behind `address`. */
static UINTN first_behind(UINT64 address)
{
	UINTN i = 0;

	while (i < claim_count && claims[i].end <= address)
		i++;
	return i;
}

static BOOLEAN overlap_claims(UINT64 start, UINT64 end)
{
	UINTN i = first_behind(start);

	return i < claim_count && claims[i].start < end;
}

static BOOLEAN insert(UINTN at, struct claim claim)
{
	if (claim_count == MAX_CLAIMS)
		return 0;
	for (UINTN i = claim_count++; i > at; i--)
		claims[i] = claims[i - 1];
	claims[at] = claim;
	return 1;
}

static BOOLEAN split_claims(UINT64 address)
{
	UINTN i = first_behind(address);
	struct claim lower;

	if (i == claim_count || claims[i].start >= address)
		return 1;
	lower = claims[i];
	lower.end = address;
	if (!insert(i, lower))
		return 0;
	claims[i + 1].start = address;
	return 1;
}

/* Of all that is claimed in [start, end); 0 when there is no room for the pieces. */
static BOOLEAN set_type(UINT64 start, UINT64 end, UINT32 type)
{
	if (!split_claims(start) || !split_claims(end))
		return 0;
	for (UINTN i = first_behind(start); i < claim_count && claims[i].start < end; i++)
		claims[i].type = type;
	return 1;
}

/* A map being changed: `count` descriptors, `stride` apart, in `scratch`. */
struct changed_map {
	UINTN count;
	UINTN stride;
};

static EFI_MEMORY_DESCRIPTOR *entry_of(const struct changed_map *map, UINTN number)
{
	return (void *)(scratch + number * map->stride);
}

static UINT64 end_of(const EFI_MEMORY_DESCRIPTOR *entry)
{
	return entry->PhysicalStart + entry->NumberOfPages * EFI_PAGE_SIZE;
}

static BOOLEAN split_map(struct changed_map *map, UINT64 address)
{
	for (UINTN i = 0; i < map->count; i++) {
		EFI_MEMORY_DESCRIPTOR *entry = entry_of(map, i);

		if (address <= entry->PhysicalStart || address >= end_of(entry))
			continue;
		if ((map->count + 1) * map->stride > sizeof(scratch))
			return 0;
		for (UINTN j = map->count++; j > i; j--)
			memcpy(entry_of(map, j), entry_of(map, j - 1), map->stride);
		entry->NumberOfPages = (address - entry->PhysicalStart) / EFI_PAGE_SIZE;
		entry = entry_of(map, i + 1);
		entry->NumberOfPages -= (address - entry->PhysicalStart) / EFI_PAGE_SIZE;
		entry->PhysicalStart = address;
		return 1;
	}
	return 1;
}

static void change(EFI_MEMORY_DESCRIPTOR *entry, UINT32 type)
{
	entry->Type = type;
	entry->Attribute &= ~EFI_MEMORY_RUNTIME;
	if (type == EfiRuntimeServicesCode || type == EfiRuntimeServicesData)
		entry->Attribute |= EFI_MEMORY_RUNTIME;
}

/* Leaves out what is a hole, and makes one of neighbours that say the same, as firmware does. */
static void tidy(struct changed_map *map)
{
	UINTN kept = 0;

	for (UINTN i = 0; i < map->count; i++) {
		EFI_MEMORY_DESCRIPTOR *entry = entry_of(map, i), *last = kept ? entry_of(map, kept - 1) : 0;

		if (entry->Type == TYPE_HOLE)
			continue;
		if (last && last->Type == entry->Type && last->Attribute == entry->Attribute &&
		    end_of(last) == entry->PhysicalStart) {
			last->NumberOfPages += entry->NumberOfPages;
			continue;
		}
		if (kept != i)
			memcpy(entry_of(map, kept), entry, map->stride);
		kept++;
	}
	map->count = kept;
}

static BOOLEAN apply_claims(struct changed_map *map)
{
	for (UINTN i = 0; i < claim_count; i++) {
		if (!split_map(map, claims[i].start) || !split_map(map, claims[i].end))
			return 0;
		for (UINTN j = 0; j < map->count; j++) {
			EFI_MEMORY_DESCRIPTOR *entry = entry_of(map, j);

			if (entry->PhysicalStart >= claims[i].start && entry->PhysicalStart < claims[i].end)
				change(entry, claims[i].type);
		}
	}
	tidy(map);
	return 1;
}

static EFI_STATUS EFIAPI get_memory_map(UINTN *size, void *buffer, UINTN *key, UINTN *descriptor_size, UINT32 *version)
{
	struct changed_map map;
	UINTN room = sizeof(scratch), real_key, needed;
	UINT32 real_version;
	EFI_STATUS status;

	if (!size)
		return EFI_INVALID_PARAMETER;
	status = firmware_get_memory_map(&room, scratch, &real_key, &map.stride, &real_version);
	if (EFI_FAILED(status))
		return status == EFI_BUFFER_TOO_SMALL ? EFI_OUT_OF_RESOURCES : status;
	map.count = room / map.stride;
	if (!apply_claims(&map))
		return EFI_OUT_OF_RESOURCES;
	needed = map.count * map.stride;
	if (descriptor_size)
		*descriptor_size = map.stride;
	if (version)
		*version = real_version;
	if (*size < needed) {
		*size = needed;
		return EFI_BUFFER_TOO_SMALL;
	}
	if (!buffer)
		return EFI_INVALID_PARAMETER;
	memcpy(buffer, scratch, needed);
	*size = needed;
	if (key)
		*key = real_key;
	return EFI_SUCCESS;
}

/*
 * [start, end) piece by piece: what is claimed gets the type here, what lies between is done by firmware. The kernel sees
 * one free range where a claim and firmware's own free memory are neighbours, and may ask for pages of both.
 */
static EFI_STATUS allocate_pieces(UINT64 start, UINT64 end, UINT32 type)
{
	UINT64 at = start;

	while (at < end) {
		UINT64 next;
		EFI_PHYSICAL_ADDRESS place = at;
		EFI_STATUS status;

		if (hook_claimed(at, &next)) {
			at = next;
			continue;
		}
		if (next > end)
			next = end;
		status = firmware.allocate(AllocateAddress, type, (UINTN)((next - at) / EFI_PAGE_SIZE), &place);
		if (EFI_FAILED(status)) {
			for (UINT64 back = start; back < at; back = next)
				if (!hook_claimed(back, &next))
					firmware.free(back, (UINTN)((next - back) / EFI_PAGE_SIZE));
			return status;
		}
		at = next;
	}
	return set_type(start, end, type) ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE how, UINT32 type, UINTN pages, EFI_PHYSICAL_ADDRESS *memory)
{
	UINT64 end;

	if (how != AllocateAddress || !memory || !pages || *memory % EFI_PAGE_SIZE)
		return firmware.allocate(how, type, pages, memory);
	end = *memory + (UINT64)pages * EFI_PAGE_SIZE;
	if (end < *memory || !overlap_claims(*memory, end))
		return firmware.allocate(how, type, pages, memory);
	if (type == EfiConventionalMemory || type > EfiPalCode)
		return EFI_INVALID_PARAMETER;
	for (UINTN i = first_behind(*memory); i < claim_count && claims[i].start < end; i++)
		if (claims[i].type != EfiConventionalMemory)
			return EFI_NOT_FOUND;
	return allocate_pieces(*memory, end, type);
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS memory, UINTN pages)
{
	UINT64 end = memory + (UINT64)pages * EFI_PAGE_SIZE;

	if (memory % EFI_PAGE_SIZE || !pages || end < memory || !overlap_claims(memory, end))
		return firmware.free(memory, pages);
	for (UINTN i = first_behind(memory); i < claim_count && claims[i].start < end; i++)
		if (claims[i].type == EfiConventionalMemory)
			return EFI_NOT_FOUND;
	for (UINT64 at = memory, next; at < end; at = next) {
		EFI_STATUS status = EFI_SUCCESS;

		if (!hook_claimed(at, &next))
			status = firmware.free(at, (UINTN)(((next < end ? next : end) - at) / EFI_PAGE_SIZE));
		if (EFI_FAILED(status))
			return status;
	}
	return set_type(memory, end, EfiConventionalMemory) ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

static void install(void)
{
	UINT32 sum = 0;
	EFI_STATUS status;

	firmware_get_memory_map = boot_services->GetMemoryMap;
	firmware.allocate = boot_services->AllocatePages;
	firmware.free = boot_services->FreePages;
	boot_services->GetMemoryMap = get_memory_map;
	boot_services->AllocatePages = allocate_pages;
	boot_services->FreePages = free_pages;
	boot_services->Hdr.CRC32 = 0;
	status = boot_services->CalculateCrc32(boot_services, boot_services->Hdr.HeaderSize, &sum);
	if (EFI_FAILED(status))
		fail("CalculateCrc32 of the boot services table", status);
	boot_services->Hdr.CRC32 = sum;
}

void hook_claim(UINT64 start, UINT64 end, UINT32 type)
{
	if (overlap_claims(start, end))
		fail("a piece of memory would be claimed twice", EFI_ABORTED);
	if (!insert(first_behind(start), (struct claim){ start, end, type }))
		fail("too many pieces of memory to hook", EFI_OUT_OF_RESOURCES);
	if (!firmware_get_memory_map)
		install();
}

BOOLEAN hook_claimed(UINT64 address, UINT64 *end)
{
	UINTN i = first_behind(address);

	if (i < claim_count && claims[i].start <= address) {
		*end = claims[i].end;
		return 1;
	}
	*end = i < claim_count ? claims[i].start : ~(UINT64)(EFI_PAGE_SIZE - 1);
	return 0;
}

static void service_line(const char *name, const void *old, const void *new)
{
	struct text line;

	text_clear(&line);
	text_add(&line, name);
	text_char(&line, ' ');
	text_hex(&line, address_of(old));
	text_char(&line, ' ');
	text_hex(&line, address_of(new));
	frame_body(line.chars, line.length);
	frame_body("\n", 1);
}

void report_hooks(void)
{
	if (!firmware_get_memory_map)
		return;
	frame_begin("hooks");
	frame_field_decimal("claims", claim_count);
	service_line("GetMemoryMap", (const void *)(UINTN)firmware_get_memory_map, (const void *)(UINTN)get_memory_map);
	service_line("AllocatePages", (const void *)(UINTN)firmware.allocate, (const void *)(UINTN)allocate_pages);
	service_line("FreePages", (const void *)(UINTN)firmware.free, (const void *)(UINTN)free_pages);
	frame_end();
}
