/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the firmware's memory is in use, and what is certainly not. */
#ifndef HARNESS_AGENT_LIVE_H
#define HARNESS_AGENT_LIVE_H

#include "efi.h"

/* The name of something in [start, end) that is in use now, or NULL when nothing is known there. */
const char *live_inside(UINT64 start, UINT64 end);

/*
 * The firmware volume in [start, end) with `address` in it, or the next one there. It is boot services data; DXE drivers
 * were loaded out of it, by copying. 0 when there is none.
 */
BOOLEAN live_volume(UINT64 start, UINT64 end, UINT64 address, UINT64 *volume, UINT64 *volume_end);

#endif
