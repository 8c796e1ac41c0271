/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started in the agent's place: takes a runtime service away, then starts the agent from fw_cfg. `opt/harness/lack` has one
 * byte: N for a NULL pointer in the runtime services table, P for an EFI_RT_PROPERTIES_TABLE without QueryVariableInfo,
 * T for no Memory Attributes Table, which EDK2 makes again at allocations: they are watched. A for no
 * EFI_ACPI_TABLE_PROTOCOL, X for no ACPI 2.0 tables.
 */
#include "agent.h"
#include "image.h"

EFI_HANDLE agent_image;
EFI_SYSTEM_TABLE *system_table;
EFI_BOOT_SERVICES *boot_services;

static const EFI_GUID memattr = EFI_MEMORY_ATTRIBUTES_TABLE_GUID;
static EFI_STATUS(EFIAPI *allocate_pages)(EFI_ALLOCATE_TYPE, UINT32, UINTN, EFI_PHYSICAL_ADDRESS *);

static EFI_STATUS EFIAPI allocate_without_table(EFI_ALLOCATE_TYPE how, UINT32 type, UINTN pages, EFI_PHYSICAL_ADDRESS *at)
{
	EFI_STATUS status = allocate_pages(how, type, pages, at);

	boot_services->InstallConfigurationTable(&memattr, 0);
	return status;
}

static EFI_STATUS(EFIAPI *locate_protocol)(const EFI_GUID *, void *, void **);

static EFI_STATUS EFIAPI locate_without_acpi(const EFI_GUID *protocol, void *registration, void **interface)
{
	static const EFI_GUID acpi = EFI_ACPI_TABLE_PROTOCOL_GUID;

	return same_guid(protocol, &acpi) ? EFI_NOT_FOUND : locate_protocol(protocol, registration, interface);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static const EFI_GUID guid = EFI_RT_PROPERTIES_TABLE_GUID, acpi_tables = EFI_ACPI_20_TABLE_GUID;
	static EFI_RT_PROPERTIES_TABLE properties = { 1, sizeof(properties), 0x3fff & ~0x2000 };
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	char how = 0;

	agent_image = image;
	system_table = table;
	boot_services = table->BootServices;
	fw_cfg_read(fw_cfg_find((struct span){ "opt/harness/lack", 16 }), &how);
	if (how == 'N')
		table->RuntimeServices->QueryVariableInfo = 0;
	if (how == 'P')
		boot_services->InstallConfigurationTable(&guid, &properties);
	if (how == 'T') {
		allocate_pages = boot_services->AllocatePages;
		boot_services->AllocatePages = allocate_without_table;
	}
	if (how == 'A') {
		locate_protocol = boot_services->LocateProtocol;
		boot_services->LocateProtocol = locate_without_acpi;
	}
	if (how == 'X')
		boot_services->InstallConfigurationTable(&acpi_tables, 0);
	image = image_load(fw_cfg_find((struct span){ "opt/harness/agent", 17 }), "the agent", 0, &loaded);
	return boot_services->StartImage(image, 0, 0);
}
