/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables, installed through EFI_ACPI_TABLE_PROTOCOL (UEFI 2.10, 20.2). */
#ifndef HARNESS_AGENT_ACPI_H
#define HARNESS_AGENT_ACPI_H

#include "plan.h"

/*
 * Can every ACPI table of the plan be installed? Fails with an `error` frame: firmware lacks the protocol, the file is no
 * ACPI table, or there is one of this signature already, which a kernel would find first.
 */
void acpi_check(const struct plan *plan);

/*
 * Installs the ACPI table that points to `content`, and returns where firmware put its copy of it. Fails with an `error`
 * frame when firmware refuses, or when the XSDT does not have it afterwards.
 */
const ACPI_TABLE_HEADER *acpi_install(const struct table_plan *table, EFI_PHYSICAL_ADDRESS content);

#endif
