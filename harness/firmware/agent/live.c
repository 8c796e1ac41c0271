/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "live.h"

#include "agent.h"
#include "frame.h"

/* EFI_FIRMWARE_VOLUME_HEADER, PI 1.7, volume 3, 3.2.1 */
#define VOLUME_LENGTH 32
#define VOLUME_SIGNATURE 40
#define VOLUME_HEADER_LENGTH 48
#define FVH 0x4856465fu /* _FVH */

#define STACK_BYTES 0x20000ULL /* of the 128 KiB that a UEFI application has at least (2.3.4), in each direction */

static BOOLEAN overlap(UINT64 start, UINT64 end, UINT64 other, UINT64 other_end)
{
	return start < other_end && other < end;
}

static BOOLEAN is_volume(UINT64 address, UINT64 end, UINT64 *length)
{
	const UINT8 *header = pointer_to(address);
	UINT16 header_length, sum = 0;
	UINT32 signature;

	memcpy(&signature, header + VOLUME_SIGNATURE, sizeof(signature));
	memcpy(&header_length, header + VOLUME_HEADER_LENGTH, sizeof(header_length));
	memcpy(length, header + VOLUME_LENGTH, sizeof(*length));
	if (signature != FVH || header_length % 2 || header_length < 0x38 || header_length > EFI_PAGE_SIZE)
		return 0;
	if (*length % EFI_PAGE_SIZE || *length <= header_length || *length > end - address)
		return 0;
	for (UINTN i = 0; i < header_length; i += 2)
		sum = (UINT16)(sum + (header[i] | header[i + 1] << 8));
	return !sum;
}

BOOLEAN live_volume(UINT64 start, UINT64 end, UINT64 address, UINT64 *volume, UINT64 *volume_end)
{
	UINT64 length;

	while (start < end) {
		if (!is_volume(start, end, &length)) {
			start += EFI_PAGE_SIZE;
			continue;
		}
		if (address < start + length) {
			*volume = start;
			*volume_end = start + length;
			return 1;
		}
		start += length;
	}
	return 0;
}

static BOOLEAN image_inside(UINT64 start, UINT64 end)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_HANDLE *handles = 0;
	UINTN count = 0;
	BOOLEAN found = 0;
	EFI_STATUS status = boot_services->LocateHandleBuffer(EFI_LOCATE_BY_PROTOCOL, &loaded_image, 0, &count, &handles);

	if (EFI_FAILED(status))
		fail("LocateHandleBuffer of the loaded images", status);
	for (UINTN i = 0; i < count; i++) {
		EFI_LOADED_IMAGE_PROTOCOL *image;
		UINT64 base;

		status = boot_services->HandleProtocol(handles[i], &loaded_image, (void **)&image);
		if (EFI_FAILED(status))
			fail("HandleProtocol of a loaded image", status);
		base = address_of(image->ImageBase);
		found |= overlap(start, end, base, base + image->ImageSize);
	}
	boot_services->FreePool(handles);
	return found;
}

static BOOLEAN agent_inside(UINT64 start, UINT64 end)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_LOADED_IMAGE_PROTOCOL *image;
	EFI_STATUS status = boot_services->HandleProtocol(agent_image, &loaded_image, (void **)&image);
	UINT64 base;

	if (EFI_FAILED(status))
		fail("HandleProtocol of the agent's own image", status);
	base = address_of(image->ImageBase);
	return overlap(start, end, base, base + image->ImageSize);
}

static BOOLEAN table_inside(UINT64 start, UINT64 end)
{
	UINT64 table = address_of(system_table->ConfigurationTable);

	if (overlap(start, end, table,
		    table + system_table->NumberOfTableEntries * sizeof(*system_table->ConfigurationTable)))
		return 1;
	for (UINTN i = 0; i < system_table->NumberOfTableEntries; i++) {
		table = address_of(system_table->ConfigurationTable[i].VendorTable);
		if (overlap(start, end, table, table + 1))
			return 1;
	}
	table = address_of(system_table);
	if (overlap(start, end, table, table + system_table->Hdr.HeaderSize))
		return 1;
	table = address_of(boot_services);
	return overlap(start, end, table, table + boot_services->Hdr.HeaderSize);
}

#ifdef __x86_64__
struct pseudo_descriptor {
	UINT16 limit;
	UINT64 base;
} __attribute__((packed));

static BOOLEAN descriptors_inside(UINT64 start, UINT64 end)
{
	struct pseudo_descriptor gdt, idt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	return overlap(start, end, gdt.base, gdt.base + gdt.limit + 1) ||
	       overlap(start, end, idt.base, idt.base + idt.limit + 1);
}

#define ENTRY_PRESENT 1ULL
#define ENTRY_LARGE (1ULL << 7)
#define ENTRY_ADDRESS 0x000ffffffffff000ULL
#define CR4_LA57 (1ULL << 12)

/* `level` is that of the table's entries: 1 for those of 4 KiB pages. */
static BOOLEAN page_table_inside(UINT64 table, int level, UINT64 start, UINT64 end)
{
	const UINT64 *entries = pointer_to(table);

	if (overlap(start, end, table, table + EFI_PAGE_SIZE))
		return 1;
	for (int i = 0; level > 1 && i < 512; i++)
		if ((entries[i] & ENTRY_PRESENT) && !(level < 4 && (entries[i] & ENTRY_LARGE)) &&
		    page_table_inside(entries[i] & ENTRY_ADDRESS, level - 1, start, end))
			return 1;
	return 0;
}

static BOOLEAN page_tables_inside(UINT64 start, UINT64 end)
{
	UINT64 cr3, cr4;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	return page_table_inside(cr3 & ENTRY_ADDRESS, cr4 & CR4_LA57 ? 5 : 4, start, end);
}
#else
/* Nothing is ever taken over from 32-bit firmware (ranges.c). */
static BOOLEAN descriptors_inside(UINT64 start, UINT64 end)
{
	(void)start;
	(void)end;
	return 0;
}

static BOOLEAN page_tables_inside(UINT64 start, UINT64 end)
{
	(void)start;
	(void)end;
	return 0;
}
#endif

const char *live_inside(UINT64 start, UINT64 end)
{
	UINT64 stack = address_of(__builtin_frame_address(0));

	if (agent_inside(start, end))
		return "the EFI agent itself";
	if (overlap(start, end, stack - STACK_BYTES, stack + STACK_BYTES))
		return "the EFI agent's stack";
	if (image_inside(start, end))
		return "a loaded image";
	if (page_tables_inside(start, end))
		return "the page tables";
	if (descriptors_inside(start, end))
		return "the GDT or IDT";
	if (table_inside(start, end))
		return "a table of the firmware";
	return 0;
}
