/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GetMemoryMap, AllocatePages and FreePages, hooked: what is claimed here has another type in the map that the kernel
 * gets, and is allocated and freed here. Nothing is hooked before the first claim.
 */
#ifndef HARNESS_AGENT_HOOK_H
#define HARNESS_AGENT_HOOK_H

#include "efi.h"

#define TYPE_HOLE 0xffffffffu /* not in the map at all; no EFI_MEMORY_TYPE (those of an OEM end at 0x7fffffff) */

/* The firmware's own service, whether hooked or not. */
extern EFI_GET_MEMORY_MAP firmware_get_memory_map;

/* Gives [start, end) a type. The caller knows that firmware neither uses the memory nor gives it to anybody. */
void hook_claim(UINT64 start, UINT64 end, UINT32 type);

/* The claim with `address` in it, if there is one; else the start of the next claim (or the end of memory) in `end`. */
BOOLEAN hook_claimed(UINT64 address, UINT64 *end);

void report_hooks(void); /* `hooks`; nothing when nothing is hooked */

#endif
