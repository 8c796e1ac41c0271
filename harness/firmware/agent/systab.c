/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "systab.h"

#include "agent.h"
#include "frame.h"

void *configuration_table(const EFI_GUID *guid)
{
	for (UINTN i = 0; i < system_table->NumberOfTableEntries; i++)
		if (same_guid(&system_table->ConfigurationTable[i].VendorGuid, guid))
			return system_table->ConfigurationTable[i].VendorTable;
	return 0;
}

void report_firmware_fields(void)
{
	struct text vendor;

	text_clear(&vendor);
	for (const CHAR16 *c = system_table->FirmwareVendor; c && *c; c++)
		text_char(&vendor, *c < 0x7f ? (char)*c : '?');
	frame_field("vendor", vendor.chars);
	frame_field_hex("revision", system_table->FirmwareRevision);
}

void report_system_table(void)
{
	struct text line;

	frame_begin("systab");
	frame_field_hex("address", address_of(system_table));
	frame_field_hex("config_address", address_of(system_table->ConfigurationTable));
	frame_field_decimal("count", system_table->NumberOfTableEntries);
	report_firmware_fields();
	for (UINTN i = 0; i < system_table->NumberOfTableEntries; i++) {
		text_clear(&line);
		text_guid(&line, &system_table->ConfigurationTable[i].VendorGuid);
		text_char(&line, ' ');
		text_hex(&line, address_of(system_table->ConfigurationTable[i].VendorTable));
		frame_body(line.chars, line.length);
		frame_body("\n", 1);
	}
	frame_end();
}
