/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The firmware's memory map: read, searched and reported. */
#ifndef HARNESS_AGENT_MEMORY_H
#define HARNESS_AGENT_MEMORY_H

#include "efi.h"

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

void report_firmware_map(void); /* `firmware-memmap`; nothing when nothing is hooked */

#endif
