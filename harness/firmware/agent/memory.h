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

struct memory_map memory_map_read(void); /* fails with an `error` frame */

/* Where the highest free `pages` that end at or below `end` begin, or 0. Only for reading: nothing is allocated. */
EFI_PHYSICAL_ADDRESS memory_highest_free(UINT64 pages, EFI_PHYSICAL_ADDRESS end);

/* Reports the map with a `memmap` frame. It stays true until the next allocation. */
void report_memory_map(void);

#endif
