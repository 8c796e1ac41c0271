/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory.h"

#include "agent.h"
#include "frame.h"
#include "hook.h"

#define LARGE_PAGE_SIZE 0x200000ULL

struct memory_map {
	UINT8 *bytes; /* from AllocatePool, and so in the map itself */
	UINTN size;
	UINTN descriptor_size; /* the stride; larger than EFI_MEMORY_DESCRIPTOR */
	UINT32 version;
};

static struct memory_map read_with(EFI_GET_MEMORY_MAP get_memory_map)
{
	struct memory_map map = { 0 };
	UINTN key;
	void *buffer = 0;
	EFI_STATUS status = get_memory_map(&map.size, 0, &key, &map.descriptor_size, &map.version);

	if (status != EFI_BUFFER_TOO_SMALL)
		fail("GetMemoryMap does not say how large the map is", status);
	map.size += 16 * map.descriptor_size; /* the buffer's own allocation can split descriptors */
	status = boot_services->AllocatePool(EfiLoaderData, map.size, &buffer);
	if (EFI_FAILED(status))
		fail("AllocatePool for the memory map", status);
	map.bytes = buffer;
	status = get_memory_map(&map.size, buffer, &key, &map.descriptor_size, &map.version);
	if (EFI_FAILED(status))
		fail("GetMemoryMap", status);
	if (map.descriptor_size < sizeof(EFI_MEMORY_DESCRIPTOR))
		fail("GetMemoryMap gives descriptors that are too small", EFI_INCOMPATIBLE_VERSION);
	return map;
}

/* As the kernel will get it. */
static struct memory_map memory_map_read(void)
{
	return read_with(boot_services->GetMemoryMap);
}

/* Without what is hooked. */
static struct memory_map memory_map_of_firmware(void)
{
	return read_with(firmware_get_memory_map ? firmware_get_memory_map : boot_services->GetMemoryMap);
}

static void release(struct memory_map map)
{
	EFI_STATUS status = boot_services->FreePool(map.bytes);

	if (EFI_FAILED(status))
		fail("FreePool of a memory map", status);
}

BOOLEAN memory_at(EFI_PHYSICAL_ADDRESS address, EFI_MEMORY_DESCRIPTOR *region, UINT64 *end)
{
	struct memory_map map = memory_map_of_firmware();
	BOOLEAN found = 0;

	for (UINTN at = 0; at + map.descriptor_size <= map.size; at += map.descriptor_size) {
		const EFI_MEMORY_DESCRIPTOR *here = (const void *)(map.bytes + at);
		UINT64 here_end = here->PhysicalStart + here->NumberOfPages * EFI_PAGE_SIZE;

		if (here->PhysicalStart <= address && address < here_end) {
			found = 1;
			*region = *here;
			if (*end > here_end)
				*end = here_end;
		} else if (here->PhysicalStart > address && *end > here->PhysicalStart) {
			*end = here->PhysicalStart;
		}
	}
	release(map);
	return found;
}

EFI_PHYSICAL_ADDRESS memory_highest_free(UINT64 pages, EFI_PHYSICAL_ADDRESS end)
{
	struct memory_map map = memory_map_read();
	EFI_PHYSICAL_ADDRESS highest = 0;

	end -= end % EFI_PAGE_SIZE;
	for (UINTN at = 0; at + map.descriptor_size <= map.size; at += map.descriptor_size) {
		const EFI_MEMORY_DESCRIPTOR *region = (const void *)(map.bytes + at);
		UINT64 region_end = region->PhysicalStart + region->NumberOfPages * EFI_PAGE_SIZE;

		if (region->Type != EfiConventionalMemory || region->PhysicalStart >= end)
			continue;
		if (region_end > end)
			region_end = end;
		if ((region_end - region->PhysicalStart) / EFI_PAGE_SIZE < pages)
			continue;
		if (region_end - pages * EFI_PAGE_SIZE > highest)
			highest = region_end - pages * EFI_PAGE_SIZE;
	}
	release(map);
	return highest;
}

EFI_PHYSICAL_ADDRESS memory_inside_largest(void)
{
	struct memory_map map = memory_map_read();
	EFI_PHYSICAL_ADDRESS place = 0;
	UINT64 largest = 0;

	for (UINTN at = 0; at + map.descriptor_size <= map.size; at += map.descriptor_size) {
		const EFI_MEMORY_DESCRIPTOR *region = (const void *)(map.bytes + at);

		if (region->Type != EfiConventionalMemory || region->NumberOfPages <= largest ||
		    region->PhysicalStart + region->NumberOfPages * EFI_PAGE_SIZE > 1ULL << 32)
			continue;
		largest = region->NumberOfPages;
		place = (region->PhysicalStart + largest * EFI_PAGE_SIZE / 8 * 3) & ~(LARGE_PAGE_SIZE - 1);
	}
	release(map);
	if (largest < 16 * LARGE_PAGE_SIZE / EFI_PAGE_SIZE)
		fail("no 32 MiB of free memory in one piece below 4 GiB", EFI_OUT_OF_RESOURCES);
	return place;
}

EFI_PHYSICAL_ADDRESS memory_free_page(EFI_PHYSICAL_ADDRESS address)
{
	struct memory_map map = memory_map_read();
	EFI_PHYSICAL_ADDRESS place = 0;

	address += 0x10000;
	for (UINTN at = 0; at + map.descriptor_size <= map.size; at += map.descriptor_size) {
		const EFI_MEMORY_DESCRIPTOR *region = (const void *)(map.bytes + at);
		UINT64 end = region->PhysicalStart + region->NumberOfPages * EFI_PAGE_SIZE;

		if (region->Type == EfiConventionalMemory && end > address && region->PhysicalStart <= address)
			place = address;
	}
	release(map);
	if (!place)
		fail("the target conventional is not free memory", EFI_NOT_FOUND);
	return place;
}

/* The map's buffer is kept: freeing it would make what was just reported untrue. */
static void report_map(const char *kind, struct memory_map map)
{
	frame_begin(kind);
	frame_field_decimal("descriptor_size", map.descriptor_size);
	frame_field_decimal("descriptor_version", map.version);
	frame_field_decimal("count", map.size / map.descriptor_size);
	frame_body(map.bytes, map.size);
	frame_end();
}

void report_firmware_map(void)
{
	if (firmware_get_memory_map)
		report_map("firmware-memmap", memory_map_of_firmware());
}

void report_memory_map(void)
{
	report_map("memmap", memory_map_read());
}
