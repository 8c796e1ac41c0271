/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The EFI system table: what it lists, and whose it is. */
#ifndef HARNESS_AGENT_SYSTAB_H
#define HARNESS_AGENT_SYSTAB_H

#include "efi.h"

/* The configuration table of this GUID, or NULL. */
void *configuration_table(const EFI_GUID *guid);

/* Reports the system table and every configuration table with a `systab` frame. */
void report_system_table(void);

/* Adds the firmware's identity, `vendor` and `revision`, to the frame that is being written. */
void report_firmware_fields(void);

#endif
