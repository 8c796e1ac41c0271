/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Started in the agent's place: takes a runtime service away, then starts the agent from fw_cfg. `opt/harness/lack` has one
 * byte: N for a NULL pointer in the runtime services table, P for an EFI_RT_PROPERTIES_TABLE without QueryVariableInfo,
 * T for no Memory Attributes Table, which EDK2 makes again at allocations: they are watched.
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

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static const EFI_GUID guid = EFI_RT_PROPERTIES_TABLE_GUID;
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
	image = image_load(fw_cfg_find((struct span){ "opt/harness/agent", 17 }), "the agent", &loaded);
	return boot_services->StartImage(image, 0, 0);
}
