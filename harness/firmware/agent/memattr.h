/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Memory Attributes Table (UEFI 2.10, 4.6.4), which firmware makes before it knows the runtime driver. */
#ifndef HARNESS_AGENT_MEMATTR_H
#define HARNESS_AGENT_MEMATTR_H

#include "efi.h"

enum memattr_choice { MEMATTR_CORRECT, MEMATTR_KEEP, MEMATTR_DROP };

struct memory_range {
	UINT64 start; /* page aligned, as is the size */
	UINT64 size;
};

/* Does what the plan wants; `image` and `code` are the driver's. The last allocation of runtime memory must be over. */
void memattr_settle(enum memattr_choice choice, struct memory_range image, struct memory_range code);

/* Where the table is, or 0. */
UINT64 memattr_address(void);

/* Bytes of firmware's own table; 0: there is none. */
UINTN memattr_size(void);

/* Copies it. */
void memattr_copy(void *to);

#endif
