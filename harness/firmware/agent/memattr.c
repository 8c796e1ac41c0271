/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memattr.h"

#include "agent.h"
#include "frame.h"
#include "systab.h"

static const EFI_GUID memattr_guid = EFI_MEMORY_ATTRIBUTES_TABLE_GUID;

/* With room for `more` entries; NULL when there is no table. Of the type that EDK2 uses; not freed, the kernel reads it. */
static EFI_MEMORY_ATTRIBUTES_TABLE *copy_of_table(UINTN more)
{
	const EFI_MEMORY_ATTRIBUTES_TABLE *table = configuration_table(&memattr_guid);
	UINTN size;
	void *copy = 0;
	EFI_STATUS status;

	if (!table)
		return 0;
	size = sizeof(*table) + table->NumberOfEntries * table->DescriptorSize;
	status = boot_services->AllocatePool(EfiBootServicesData, size + more * table->DescriptorSize, &copy);
	if (EFI_FAILED(status))
		fail("AllocatePool for a copy of the Memory Attributes Table", status);
	memcpy(copy, table, size);
	return copy;
}

static void install(const EFI_MEMORY_ATTRIBUTES_TABLE *table, const char *what)
{
	EFI_STATUS status = boot_services->InstallConfigurationTable(&memattr_guid, (void *)(UINTN)table);

	if (EFI_FAILED(status))
		fail(what, status);
}

static EFI_MEMORY_DESCRIPTOR *entry_of(EFI_MEMORY_ATTRIBUTES_TABLE *table, UINT32 number)
{
	return (void *)((UINT8 *)(table + 1) + number * table->DescriptorSize);
}

/* Cuts the entry that has `address` inside it in two, if there is one; the table has room for one more. */
static void split_at(EFI_MEMORY_ATTRIBUTES_TABLE *table, UINT64 address)
{
	for (UINT32 i = 0; i < table->NumberOfEntries; i++) {
		EFI_MEMORY_DESCRIPTOR *entry = entry_of(table, i);
		UINT64 pages = (address - entry->PhysicalStart) / EFI_PAGE_SIZE;

		if (address <= entry->PhysicalStart || pages >= entry->NumberOfPages)
			continue;
		for (UINT32 j = table->NumberOfEntries++; j > i; j--)
			memcpy(entry_of(table, j), entry_of(table, j - 1), table->DescriptorSize);
		entry->NumberOfPages = pages;
		entry = entry_of(table, i + 1);
		entry->PhysicalStart = address;
		entry->NumberOfPages -= pages;
		return;
	}
}

static BOOLEAN inside(const EFI_MEMORY_DESCRIPTOR *entry, struct memory_range range)
{
	return entry->PhysicalStart >= range.start && entry->PhysicalStart < range.start + range.size;
}

/*
 * EDK2 makes the table anew at each allocation of runtime memory after ReadyToBoot, but does not take up drivers that are
 * loaded after EndOfDxe (InsertImageRecord in MdeModulePkg/Core/Dxe/Misc/MemoryAttributesTable.c; seen with 2022.11):
 * all of such a driver is data. So the driver is put into a copy of the newest table.
 */
static void correct(struct memory_range image, struct memory_range code)
{
	EFI_MEMORY_ATTRIBUTES_TABLE *table = copy_of_table(4);
	UINT64 pages = 0;

	if (!table)
		fail("memattr=correct, but the firmware has no Memory Attributes Table", EFI_NOT_FOUND);
	split_at(table, image.start);
	split_at(table, code.start);
	split_at(table, code.start + code.size);
	split_at(table, image.start + image.size);
	for (UINT32 i = 0; i < table->NumberOfEntries; i++) {
		EFI_MEMORY_DESCRIPTOR *entry = entry_of(table, i);

		if (!inside(entry, image))
			continue;
		pages += entry->NumberOfPages;
		entry->Attribute &= ~(EFI_MEMORY_RO | EFI_MEMORY_XP);
		entry->Attribute |= inside(entry, code) ? EFI_MEMORY_RO : EFI_MEMORY_XP;
	}
	if (pages * EFI_PAGE_SIZE != image.size)
		fail("the Memory Attributes Table does not have all of the runtime driver", EFI_UNSUPPORTED);
	install(table, "the corrected Memory Attributes Table cannot be installed");
}

void memattr_settle(enum memattr_choice choice, struct memory_range image, struct memory_range code)
{
	switch (choice) {
	case MEMATTR_KEEP:
		if (!configuration_table(&memattr_guid))
			fail("memattr=keep, but the firmware has no Memory Attributes Table", EFI_NOT_FOUND);
		return;
	case MEMATTR_DROP:
		if (configuration_table(&memattr_guid))
			install(0, "the Memory Attributes Table cannot be taken away");
		return;
	case MEMATTR_CORRECT:
		correct(image, code);
	}
}

UINTN memattr_size(void)
{
	const EFI_MEMORY_ATTRIBUTES_TABLE *table = configuration_table(&memattr_guid);

	return table ? sizeof(*table) + table->NumberOfEntries * table->DescriptorSize : 0;
}

void memattr_copy(void *to)
{
	memcpy(to, configuration_table(&memattr_guid), memattr_size());
}

UINT64 memattr_address(void)
{
	return address_of(configuration_table(&memattr_guid));
}
