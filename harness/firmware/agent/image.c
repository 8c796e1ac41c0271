/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image.h"

#include "agent.h"
#include "frame.h"

/* Offsets in the headers (Microsoft PE format, sections 3.1 to 4) */
#define PE_OFFSET 0x3c
#define PE_SECTION_COUNT 6
#define PE_OPTIONAL_SIZE 20
#define PE_OPTIONAL 24
#define PE32_PLUS 0x20b
#define PE_BASE 24 /* ImageBase, from the optional header on */
#define SECTION_BYTES 40
#define SECTION_SIZE 8
#define SECTION_ADDRESS 12
#define SECTION_FLAGS 36
#define SECTION_EXECUTE 0x20000000u
#define SECTION_WRITE 0x80000000u
#define COMPAT_BYTES 8
#ifdef __x86_64__
#define MACHINE 0x8664
#else
#define MACHINE 0x14c
#endif

static __attribute__((noreturn)) void fail_image(const char *before, const char *what, const char *after,
						 EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, before);
	text_add(&text, what);
	text_add(&text, after);
	fail(text.chars, status);
}

static UINT32 get32(const UINT8 *at)
{
	return at[0] | (UINT32)at[1] << 8 | (UINT32)at[2] << 16 | (UINT32)at[3] << 24;
}

/* LoadImage itself says what is wrong with an image that is none. */
static void set_base(UINT8 *image, UINT32 size, UINT64 at)
{
	UINT64 optional = size > PE_OFFSET + 4 ? (UINT64)get32(image + PE_OFFSET) + PE_OPTIONAL : size;

	if (optional + PE_BASE + sizeof(at) > size || (get32(image + optional) & 0xffff) != PE32_PLUS)
		fail("the kernel's image has no base of 64 bits to be changed", EFI_UNSUPPORTED);
	memcpy(image + optional + PE_BASE, &at, sizeof(at));
}

EFI_HANDLE image_load(struct fw_cfg_file file, const char *what, UINT64 at, EFI_LOADED_IMAGE_PROTOCOL **loaded)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	UINTN pages = (UINTN)((file.size + EFI_PAGE_SIZE - 1) / EFI_PAGE_SIZE);
	EFI_PHYSICAL_ADDRESS source = 0;
	EFI_HANDLE image;
	EFI_STATUS status = boot_services->AllocatePages(AllocateAnyPages, EfiLoaderData, pages, &source);

	if (EFI_FAILED(status))
		fail_image("AllocatePages for ", what, "", status);
	MEMORY_MAPPED_PATH path = {
		.Memory = { HARDWARE_DEVICE_PATH, HW_MEMMAP_DP, { 24, 0 } },
		.MemoryType = EfiLoaderData,
		.StartingAddress = source,
		.EndingAddress = source + file.size - 1,
		.End = { END_DEVICE_PATH, END_ENTIRE_DEVICE_PATH, { 4, 0 } },
	};
	if (!fw_cfg_read(file, pointer_to(source)))
		fail_image("fw_cfg: ", what, " cannot be read", EFI_DEVICE_ERROR);
	if (at)
		set_base(pointer_to(source), file.size, at);
	status = boot_services->LoadImage(0, agent_image, &path.Memory, pointer_to(source), file.size, &image);
	if (EFI_FAILED(status))
		fail_image("LoadImage refused ", what, "", status);
	status = boot_services->HandleProtocol(image, &loaded_image, (void **)loaded);
	if (EFI_FAILED(status))
		fail_image("EFI_LOADED_IMAGE_PROTOCOL is missing from ", what, "", status);
	if (at && address_of((*loaded)->ImageBase) != at)
		fail_image("LoadImage put ", what, " elsewhere: its place is not free", EFI_NOT_FOUND);
	/* LoadImage has its own copy by now; a second one would only take memory that a kexec may be after. */
	status = boot_services->FreePages(source, pages);
	if (EFI_FAILED(status))
		fail_image("FreePages of the file of ", what, "", status);
	return image;
}

struct sections {
	const UINT8 *next; /* SECTION_BYTES each */
	UINT32 left;
};

static struct sections sections_of(const void *base)
{
	const UINT8 *pe = (const UINT8 *)base + get32((const UINT8 *)base + PE_OFFSET);

	return (struct sections){ pe + PE_OPTIONAL + (get32(pe + PE_OPTIONAL_SIZE) & 0xffff),
				  get32(pe + PE_SECTION_COUNT) & 0xffff };
}

void image_sections(const void *base, struct image_section *code, struct image_section *data)
{
	struct sections sections = sections_of(base);

	code->size = data->size = 0;
	for (; sections.left; sections.left--, sections.next += SECTION_BYTES) {
		UINT32 flags = get32(sections.next + SECTION_FLAGS);
		struct image_section found = {
			.offset = get32(sections.next + SECTION_ADDRESS),
			.size = (get32(sections.next + SECTION_SIZE) + EFI_PAGE_SIZE - 1) & ~(EFI_PAGE_SIZE - 1),
		};

		if (flags & SECTION_EXECUTE)
			*code = found;
		else if (flags & SECTION_WRITE)
			*data = found;
	}
	if (!code->size || !data->size)
		fail("the runtime driver has no section of code or none of data", EFI_LOAD_ERROR);
}

/*
 * Entries of type 1 are { u8 type, u8 size, u16 machine, u32 entry }; a type of 0 ends the list. The section is described
 * with the EFI boot protocol of arch/x86/boot/header.S of Linux >= 5.7 (97aa276579b2 "efi/x86: Add true mixed mode entry
 * point into .compat section").
 */
image_entry image_compat_entry(const void *base)
{
	struct sections sections = sections_of(base);

	for (; sections.left; sections.left--, sections.next += SECTION_BYTES) {
		const UINT8 *at = (const UINT8 *)base + get32(sections.next + SECTION_ADDRESS);
		const UINT8 *end = at + get32(sections.next + SECTION_SIZE);

		if (get32(sections.next) != 0x6d6f632e || get32(sections.next + 4) != 0x746170) /* ".compat" */
			continue;
		for (; at + COMPAT_BYTES <= end && at[0] && at[1]; at += at[1])
			if (at[0] == 1 && at[1] >= COMPAT_BYTES && (get32(at + 2) & 0xffff) == MACHINE)
				return (image_entry)((UINTN)base + get32(at + 4));
	}
	return 0;
}
