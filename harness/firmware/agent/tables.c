/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tables.h"

#include "acpi.h"
#include "agent.h"
#include "frame.h"
#include "hook.h"
#include "memattr.h"
#include "memory.h"

/*
 * AllocateMaxAddress would do for below=, but EDK2 prefers the range that it keeps for each memory type (CoreFindFreePages
 * in MdeModulePkg/Core/Dxe/Mem/Page.c), so the place would depend on the firmware's build: it is looked for here.
 */
static EFI_PHYSICAL_ADDRESS allocate(const struct table_plan *table)
{
	EFI_PHYSICAL_ADDRESS pages = table->pages_at;
	EFI_STATUS status;

	if (table->pages_below)
		pages = memory_highest_free(table->page_count, table->pages_below);
	if (table->pages_below && !pages)
		fail_table(table, "no free memory below the address", EFI_OUT_OF_RESOURCES);
	status = boot_services->AllocatePages(AllocateAddress, (UINT32)table->memory_type, (UINTN)table->page_count, &pages);
	if (EFI_FAILED(status))
		fail_table(table, "AllocatePages refused", status);
	return pages;
}

/* By what a kernel finds it: the GUID of the configuration table, or the ACPI table that points to it. */
static void report_where(const struct table_plan *table, const ACPI_TABLE_HEADER *acpi)
{
	struct text name;

	text_clear(&name);
	if (!acpi) {
		text_guid(&name, &table->guid);
		frame_field("guid", name.chars);
		return;
	}
	text_span(&name, (struct span){ acpi->Signature, sizeof(acpi->Signature) });
	frame_field("acpi", name.chars);
	frame_field_hex("acpi_address", address_of(acpi));
}

/* Puts the table's own bytes in their place; how many they are. */
static UINT64 fill(const struct table_plan *table, void *content)
{
	UINT64 size = table->content.size;

	if (size) {
		if (!fw_cfg_read(table->content, content))
			fail_table(table, "fw_cfg: the content cannot be read", EFI_DEVICE_ERROR);
		return size;
	}
	/* EDK2 makes it anew whenever runtime memory is allocated, so the plan's check may be out of date. */
	size = memattr_size();
	if (!size || size > table->page_count * EFI_PAGE_SIZE - table->offset)
		fail_table(table, "firmware's Memory Attributes Table is gone or has grown", EFI_BAD_BUFFER_SIZE);
	memattr_copy(content);
	return size;
}

void table_install(const struct table_plan *table)
{
	EFI_PHYSICAL_ADDRESS pages = allocate(table);
	UINT64 *word = pointer_to(pages);
	void *content = pointer_to(pages + table->offset);
	const ACPI_TABLE_HEADER *acpi = 0;
	struct text name;
	EFI_STATUS status = EFI_SUCCESS;
	UINT64 size;

	/* Each word is its own address's canary, so that pages moved or copied elsewhere show as well. */
	for (UINT64 left = table->page_count * EFI_PAGE_SIZE / sizeof(*word); left; left--, word++)
		*word = table->canary ^ address_of(word);
	size = fill(table, content);
	if (table->acpi.size)
		acpi = acpi_install(table, address_of(content));
	else
		status = boot_services->InstallConfigurationTable(&table->guid, content);
	if (EFI_FAILED(status))
		fail_table(table, "InstallConfigurationTable refused", status);
	if (table->unlisted)
		hook_claim(pages, pages + table->page_count * EFI_PAGE_SIZE, TYPE_HOLE);

	text_clear(&name);
	text_span(&name, table->name);
	frame_begin("table");
	frame_field("name", name.chars);
	report_where(table, acpi);
	frame_field_hex("table_address", address_of(content));
	frame_field_decimal("table_size", size);
	frame_field_hex("pages_address", pages);
	frame_field_decimal("pages_size", table->page_count * EFI_PAGE_SIZE);
	frame_field_decimal("type", table->memory_type);
	frame_end();
}
