/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The firmware's memory map: read, searched and reported. */
#ifndef HARNESS_AGENT_MEMORY_H
#define HARNESS_AGENT_MEMORY_H

#include "efi.h"

struct memory_map {
	UINT8 *bytes; /* from AllocatePool, and so in the map itself */
	UINTN size;
	UINTN descriptor_size; /* the stride; larger than EFI_MEMORY_DESCRIPTOR */
	UINT32 version;
};

struct memory_map memory_map_read(void); /* as the kernel will get it; fails with an `error` frame */

struct memory_map memory_map_of_firmware(void); /* without what is hooked */

/* What firmware's own map has at `address`; 0 for a hole. `end` is brought down to where that ends. */
BOOLEAN memory_at(EFI_PHYSICAL_ADDRESS address, EFI_MEMORY_DESCRIPTOR *region, UINT64 *end);

/* Where the highest free `pages` that end at or below `end` begin, or 0. Only for reading: nothing is allocated. */
EFI_PHYSICAL_ADDRESS memory_highest_free(UINT64 pages, EFI_PHYSICAL_ADDRESS end);

/*
 * A page 3/8 into the largest free range below 4 GiB, at 2 MiB: above the place a kernel is unpacked to also where there are
 * only 256 MiB, and with room above it for an initrd and a crash kernel. Only for reading, as all here.
 */
EFI_PHYSICAL_ADDRESS memory_inside_largest(void);

/* The page 64 KiB behind `address`, which must be free. */
EFI_PHYSICAL_ADDRESS memory_free_page(EFI_PHYSICAL_ADDRESS address);

/* Reports the map with a `memmap` frame. It stays true until the next allocation. */
void report_memory_map(void);

/* Reports a map that was read; its buffer is kept, freeing it would make what was just reported untrue. */
void report_map(const char *kind, struct memory_map map);

#endif
