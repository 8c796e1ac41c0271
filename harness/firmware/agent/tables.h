/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration tables, and what ACPI tables point to, with canaries round them. */
#ifndef HARNESS_AGENT_TABLES_H
#define HARNESS_AGENT_TABLES_H

#include "plan.h"

/* Allocates, fills and installs one table and reports it with a `table` frame. */
void table_install(const struct table_plan *table);

#endif
