/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for a kernel in tests of a hooked memory map: asks for the map and for pages as an EFI stub does, prints the
 * answers on COM1, and leaves boot services with the map's key.
 */
#include "efi.h"
#include "port.h"
#include "text.h"

#define OCCUPIED 0x1000000ULL /* RuntimeServicesData, hooked */
#define BORDER 0x1500000ULL   /* below it firmware's volume, taken over as free memory; above it free memory */
#define INSIDE 0xb00000ULL    /* in the volume */

static EFI_BOOT_SERVICES *services;
static UINT8 map[65536];
static UINTN map_size, map_key, stride;

static void print_number(const char *name, UINT64 number)
{
	struct text text;

	text_clear(&text);
	text_add(&text, name);
	text_hex(&text, number);
	for (UINTN i = 0; i < text.length; i++)
		out8(0x3f8, (UINT8)text.chars[i]);
	out8(0x3f8, '\n');
}

static EFI_STATUS read_map(void)
{
	UINT32 version;

	map_size = sizeof(map);
	return services->GetMemoryMap(&map_size, map, &map_key, &stride, &version);
}

static const EFI_MEMORY_DESCRIPTOR *entry(UINTN number)
{
	return (const void *)(map + number * stride);
}

static UINT64 end_of(const EFI_MEMORY_DESCRIPTOR *region)
{
	return region->PhysicalStart + region->NumberOfPages * EFI_PAGE_SIZE;
}

/* Type and size of the region with `address` in it; all ones for a hole. */
static void print_region(const char *name, UINT64 address)
{
	read_map();
	for (UINTN i = 0; i < map_size / stride; i++)
		if (entry(i)->PhysicalStart <= address && address < end_of(entry(i))) {
			print_number(name, (UINT64)entry(i)->Type << 56 | (end_of(entry(i)) - entry(i)->PhysicalStart));
			return;
		}
	print_number(name, ~0ULL);
}

static void print_whole(void)
{
	UINTN wrong = 0, joined = 0;

	for (UINTN i = 1; i < map_size / stride; i++) {
		wrong += entry(i)->PhysicalStart < end_of(entry(i - 1));
		joined += entry(i)->PhysicalStart == end_of(entry(i - 1)) && entry(i)->Type == entry(i - 1)->Type &&
			  entry(i)->Attribute == entry(i - 1)->Attribute;
	}
	print_number("overlaps=", wrong);
	print_number("unjoined=", joined);
}

static EFI_STATUS allocate(UINT64 at, UINTN pages)
{
	EFI_PHYSICAL_ADDRESS place = at;

	return services->AllocatePages(AllocateAddress, EfiLoaderData, pages, &place);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	UINTN small = 0;
	UINT32 version, sum = 0, kept;
	EFI_PHYSICAL_ADDRESS any = 0;

	services = table->BootServices;
	out8(0x3f8, '\n');
	print_number("small=", services->GetMemoryMap(&small, 0, &map_key, &stride, &version));
	print_number("map=", read_map());
	print_number("same=", small == map_size);
	print_whole();
	print_region("before=", BORDER);
	print_number("border=", allocate(BORDER - EFI_PAGE_SIZE, 2));
	print_region("claimed=", BORDER - EFI_PAGE_SIZE);
	print_region("real=", BORDER);
	print_number("again=", allocate(BORDER, 1));
	print_number("again2=", allocate(BORDER - EFI_PAGE_SIZE, 1));
	print_number("free=", services->FreePages(BORDER - EFI_PAGE_SIZE, 2));
	print_number("free2=", services->FreePages(BORDER - EFI_PAGE_SIZE, 1));
	print_region("after=", BORDER);
	print_number("occupied=", allocate(OCCUPIED, 1));
	print_number("half=", allocate(OCCUPIED - EFI_PAGE_SIZE, 2));
	print_region("unharmed=", OCCUPIED - EFI_PAGE_SIZE);
	print_number("inside=", allocate(INSIDE, 3));
	print_number("middle=", services->FreePages(INSIDE + EFI_PAGE_SIZE, 1));
	print_region("first=", INSIDE);
	print_region("second=", INSIDE + EFI_PAGE_SIZE);
	print_number("any=", services->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &any));
	print_number("elsewhere=", any > BORDER);
	kept = services->Hdr.CRC32;
	services->Hdr.CRC32 = 0;
	services->CalculateCrc32(services, services->Hdr.HeaderSize, &sum);
	services->Hdr.CRC32 = kept;
	print_number("crc=", sum == kept);
	read_map();
	print_whole();
	print_number("exit=", services->ExitBootServices(image, map_key));
	print_number("end=", 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}
