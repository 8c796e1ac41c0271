/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device is described in docs/specs/fw_cfg.rst of QEMU; all its numbers are big-endian. */
#include "fw_cfg.h"

#include "frame.h"
#include "port.h"

#define DMA_ADDRESS_HIGH 0x514
#define DMA_ADDRESS_LOW 0x518
#define DIRECTORY 0x19

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SELECT = 8 };

struct dma_access {
	UINT32 control;
	UINT32 length;
	UINT64 address;
};

struct directory_entry {
	UINT32 size;
	UINT16 selector;
	UINT16 reserved;
	char name[FW_CFG_NAME_BYTES];
};

_Static_assert(sizeof(struct dma_access) == 16 && sizeof(struct directory_entry) == 64, "layout of fw_cfg");

static BOOLEAN transfer(UINT32 control, void *buffer, UINT32 size)
{
	/* Physical addresses are plain pointers while boot services run (UEFI 2.10, 2.3.4: identity mapped). */
	volatile struct dma_access access = {
		.control = __builtin_bswap32(control),
		.length = __builtin_bswap32(size),
		.address = __builtin_bswap64(address_of(buffer)),
	};
	UINT64 where = (UINTN)&access;

	out32(DMA_ADDRESS_HIGH, __builtin_bswap32((UINT32)(where >> 32)));
	out32(DMA_ADDRESS_LOW, __builtin_bswap32((UINT32)where)); /* this write starts it */
	while (access.control & ~__builtin_bswap32(DMA_ERROR))
		__builtin_ia32_pause();
	return !access.control;
}

static BOOLEAN device_present(void)
{
	return in32(DMA_ADDRESS_HIGH) == __builtin_bswap32(0x51454d55) &&  /* "QEMU" */
	       in32(DMA_ADDRESS_LOW) == __builtin_bswap32(0x20434647);     /* " CFG" */
}

static BOOLEAN has_name(const struct directory_entry *entry, struct span name)
{
	UINTN length = 0;

	while (length < FW_CFG_NAME_BYTES && entry->name[length])
		length++;
	if (length != name.length)
		return 0;
	for (UINTN i = 0; i < length; i++)
		if (entry->name[i] != name.start[i])
			return 0;
	return 1;
}

static __attribute__((noreturn)) void fail_on(const char *what, struct span name, EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, what);
	text_span(&text, name);
	fail(text.chars, status);
}

struct fw_cfg_file fw_cfg_find(struct span name)
{
	UINT32 count = 0;
	struct directory_entry entry;

	if (!device_present())
		fail("there is no fw_cfg device with a DMA interface", EFI_UNSUPPORTED);
	if (!transfer(DIRECTORY << 16 | DMA_SELECT | DMA_READ, &count, sizeof(count)))
		fail("fw_cfg: the directory cannot be read", EFI_DEVICE_ERROR);
	for (count = __builtin_bswap32(count); count; count--) {
		if (!transfer(DMA_READ, &entry, sizeof(entry)))
			fail("fw_cfg: the directory cannot be read", EFI_DEVICE_ERROR);
		if (!has_name(&entry, name))
			continue;
		if (!entry.size)
			fail_on("fw_cfg file is empty: ", name, EFI_BAD_BUFFER_SIZE);
		return (struct fw_cfg_file){ __builtin_bswap16(entry.selector), __builtin_bswap32(entry.size) };
	}
	fail_on("fw_cfg file is missing: ", name, EFI_NOT_FOUND);
}

BOOLEAN fw_cfg_read(struct fw_cfg_file file, void *buffer)
{
	return transfer((UINT32)file.selector << 16 | DMA_SELECT | DMA_READ, buffer, file.size);
}
