/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for a kernel in tests of the EFI agent: an EFI application that fetches its initrd as the kernel's EFI stub
 * does, and prints on COM1 its command line, the initrd's address, size and sum, and how wrong calls are answered.
 */
#include "efi.h"
#include "port.h"
#include "text.h"

static void print(const struct text *text)
{
	for (UINTN i = 0; i < text->length; i++)
		out8(0x3f8, (UINT8)text->chars[i]);
	out8(0x3f8, '\n');
}

static void print_number(const char *name, UINT64 number)
{
	struct text text;

	text_clear(&text);
	text_add(&text, name);
	text_hex(&text, number);
	print(&text);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID, load_file2 = EFI_LOAD_FILE2_PROTOCOL_GUID;
	static VENDOR_MEDIA_PATH path = {
		.Vendor = { MEDIA_DEVICE_PATH, MEDIA_VENDOR_DP, { 20, 0 } },
		.Guid = LINUX_EFI_INITRD_MEDIA_GUID,
		.End = { END_DEVICE_PATH, END_ENTIRE_DEVICE_PATH, { 4, 0 } },
	};
	EFI_BOOT_SERVICES *services = table->BootServices;
	EFI_DEVICE_PATH_PROTOCOL *rest = &path.Vendor;
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	EFI_LOAD_FILE2_PROTOCOL *loader;
	EFI_PHYSICAL_ADDRESS buffer = 0;
	EFI_HANDLE handle;
	struct text text;
	UINTN size = 0;
	UINT64 sum = 0;

	services->HandleProtocol(image, &loaded_image, (void **)&loaded);
	text_clear(&text);
	out8(0x3f8, '\n'); /* after the firmware's escape sequences */
	text_add(&text, "cmdline=");
	for (UINT32 i = 0; i < loaded->LoadOptionsSize / 2; i++)
		if (((CHAR16 *)loaded->LoadOptions)[i])
			text_char(&text, (char)((CHAR16 *)loaded->LoadOptions)[i]);
	print(&text);
	print_number("image=", address_of(loaded->ImageBase));
	print_number("device=", loaded->DeviceHandle != 0);

	if (EFI_FAILED(services->LocateDevicePath(&load_file2, &rest, &handle))) {
		print_number("no-initrd=", 0);
		return EFI_NOT_FOUND;
	}
	services->HandleProtocol(handle, &load_file2, (void **)&loader);
	print_number("policy=", loader->LoadFile(loader, rest, 1, &size, 0));
	print_number("nopath=", loader->LoadFile(loader, 0, 0, &size, 0));
	print_number("nobuffer=", loader->LoadFile(loader, rest, 0, &size, 0));
	print_number("size=", size);
	services->AllocatePages(AllocateAnyPages, EfiLoaderData, (UINTN)(size / EFI_PAGE_SIZE + 1), &buffer);
	print_number("load=", loader->LoadFile(loader, rest, 0, &size, pointer_to(buffer)));
	print_number("initrd=", buffer);
	for (UINT64 i = 0; i < size; i++)
		sum += (i + 1) * ((UINT8 *)pointer_to(buffer))[i];
	print_number("sum=", sum);
	print_number("end=", 0);
	return EFI_LOAD_ERROR;
}
