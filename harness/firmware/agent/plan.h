/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan: what the host wants done, as text in the fw_cfg file opt/harness/plan (docs/link-protocol.md). */
#ifndef HARNESS_AGENT_PLAN_H
#define HARNESS_AGENT_PLAN_H

#include "fw_cfg.h"
#include "memattr.h"
#include "runtime_abi.h"
#include "text.h"

#define MAX_TABLES 16
#define MAX_RANGES 256

/* The table itself, and the whole pages that it lies in, the rest of which is canaries. */
struct table_plan {
	struct span name;
	EFI_GUID guid; /* of a configuration table */
	struct fw_cfg_file acpi; /* size 0: none; else the ACPI table that is installed instead, */
	UINT64 pointer; /* ... and where in it the address of the content goes */
	UINT64 memory_type; /* EFI_MEMORY_TYPE */
	UINT64 page_count;
	UINT64 offset; /* of the table in the pages, bytes */
	UINT64 canary;
	BOOLEAN unlisted; /* its pages are in no descriptor of the map that the kernel gets */
	UINT64 pages_at;    /* where the pages are to begin; 0 with `pages_below` */
	UINT64 pages_below; /* not 0: at the highest free place that ends at or below this address */
	struct fw_cfg_file content; /* size 0: a copy of firmware's own Memory Attributes Table */
};

struct range_plan {
	UINTN line;
	UINT64 start, end; /* whole pages */
	UINT32 type;	   /* EFI_MEMORY_TYPE, or TYPE_HOLE */
	BOOLEAN has_canary;
	UINT64 canary;
	BOOLEAN hook; /* may take over memory that firmware has and does not use */
	BOOLEAN fit;  /* what can be had of it; else exactly so */
};

struct runtime_plan {
	struct fw_cfg_file driver; /* size 0: no runtime statement */
	BOOLEAN hooked[SERVICE_COUNT];
	enum fault armed[SERVICE_COUNT];
	enum memattr_choice memattr;
};

struct plan {
	struct span nonce;
	struct runtime_plan runtime;
	struct table_plan tables[MAX_TABLES];
	UINTN table_count;
	struct range_plan ranges[MAX_RANGES];
	UINTN range_count;
	UINT64 kernel_at; /* where the kernel's image is to be loaded; 0: anywhere */
	BOOLEAN has_nonce;
	BOOLEAN has_boot;
	struct fw_cfg_file kernel; /* size 0: `file` instead */
	struct span file; /* the path of a boot loader on a file system */
	struct fw_cfg_file initrd; /* size 0: none */
	struct fw_cfg_file cmdline; /* size 0: empty */
};

/* As `fail`, about one table. */
__attribute__((noreturn)) void fail_table(const struct table_plan *table, const char *what, EFI_STATUS status);

/* Reads and checks the whole plan before any of it is done; every file it names is there. Fails with an `error` frame. */
const struct plan *plan_read(void);

#endif
