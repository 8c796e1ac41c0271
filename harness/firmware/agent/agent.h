/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every part of the agent may use; set once, by efi_main. */
#ifndef HARNESS_AGENT_AGENT_H
#define HARNESS_AGENT_AGENT_H

#include "efi.h"

#define AGENT_PROTOCOL 2 /* docs/link-protocol.md; reported in the `ready` frame */

extern EFI_HANDLE agent_image;
extern EFI_SYSTEM_TABLE *system_table;
extern EFI_BOOT_SERVICES *boot_services;

#endif
