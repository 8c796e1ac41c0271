/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration tables, and what ACPI tables point to, with canaries round them. */
#ifndef HARNESS_AGENT_TABLES_H
#define HARNESS_AGENT_TABLES_H

#include "plan.h"

/* Allocates, fills and installs one table and reports it with a `table` frame. */
void table_install(const struct table_plan *table);

/* As `fail`, about one table. */
__attribute__((noreturn)) void fail_table(const struct table_plan *table, const char *what, EFI_STATUS status);

/* The configuration table of this GUID, or NULL. */
void *configuration_table(const EFI_GUID *guid);

/* Reports the system table and every configuration table with a `systab` frame. */
void report_system_table(void);

/* Adds the firmware's identity, `vendor` and `revision`, to the frame that is being written. */
void report_firmware_fields(void);

#endif
