/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "acpi.h"

#include "agent.h"
#include "frame.h"
#include "systab.h"

static EFI_ACPI_TABLE_PROTOCOL *protocol_of(const struct table_plan *table)
{
	static const EFI_GUID guid = EFI_ACPI_TABLE_PROTOCOL_GUID;
	EFI_ACPI_TABLE_PROTOCOL *protocol = 0;
	EFI_STATUS status = boot_services->LocateProtocol(&guid, 0, (void **)&protocol);

	if (EFI_FAILED(status))
		fail_table(table, "this firmware has no EFI_ACPI_TABLE_PROTOCOL", status);
	return protocol;
}

static BOOLEAN same_signature(const ACPI_TABLE_HEADER *one, const ACPI_TABLE_HEADER *other)
{
	for (UINTN i = 0; i < sizeof(one->Signature); i++)
		if (one->Signature[i] != other->Signature[i])
			return 0;
	return 1;
}

/* The first table of this signature that the XSDT names, which is the one that a kernel takes; or NULL. */
static const ACPI_TABLE_HEADER *find(const struct table_plan *table, const ACPI_TABLE_HEADER *like)
{
	static const EFI_GUID guid = EFI_ACPI_20_TABLE_GUID;
	const ACPI_RSDP *rsdp = configuration_table(&guid);
	const ACPI_TABLE_HEADER *xsdt = rsdp ? pointer_to(rsdp->XsdtAddress) : 0;

	if (!xsdt || xsdt->Length < sizeof(*xsdt))
		fail_table(table, "this firmware has no ACPI 2.0 tables", EFI_NOT_FOUND);
	for (UINTN at = sizeof(*xsdt); at + sizeof(UINT64) <= xsdt->Length; at += sizeof(UINT64)) {
		const ACPI_TABLE_HEADER *other;
		UINT64 address;

		memcpy(&address, (const UINT8 *)xsdt + at, sizeof(address));
		other = pointer_to(address);
		if (other && same_signature(other, like))
			return other;
	}
	return 0;
}

static ACPI_TABLE_HEADER *load(const struct table_plan *table)
{
	void *buffer = 0;
	EFI_STATUS status = boot_services->AllocatePool(EfiBootServicesData, table->acpi.size, &buffer);

	if (EFI_FAILED(status))
		fail_table(table, "AllocatePool for the ACPI table", status);
	if (!fw_cfg_read(table->acpi, buffer))
		fail_table(table, "fw_cfg: the ACPI table cannot be read", EFI_DEVICE_ERROR);
	return buffer;
}

static void release(void *buffer)
{
	EFI_STATUS status = boot_services->FreePool(buffer);

	if (EFI_FAILED(status))
		fail("FreePool of an ACPI table", status);
}

static __attribute__((noreturn)) void fail_signature(const struct table_plan *table, const ACPI_TABLE_HEADER *header,
						     const char *before, const char *after)
{
	struct text text;

	text_clear(&text);
	text_add(&text, before);
	text_span(&text, (struct span){ header->Signature, sizeof(header->Signature) });
	text_add(&text, after);
	fail_table(table, text.chars, EFI_ABORTED);
}

/* The ACPI table of one statement, as its file has it. */
static ACPI_TABLE_HEADER *checked(const struct table_plan *table)
{
	ACPI_TABLE_HEADER *header;

	protocol_of(table);
	header = load(table);
	if (header->Length != table->acpi.size)
		fail_table(table, "acpi= is no ACPI table: its length is not the file's", EFI_BAD_BUFFER_SIZE);
	if (find(table, header))
		fail_signature(table, header, "firmware has an ACPI table ", " of its own, which kernels find first");
	return header;
}

void acpi_check(const struct plan *plan)
{
	ACPI_TABLE_HEADER *seen[MAX_TABLES];
	UINTN count = 0;

	for (UINTN i = 0; i < plan->table_count; i++) {
		const struct table_plan *table = &plan->tables[i];

		if (!table->acpi.size)
			continue;
		seen[count] = checked(table);
		for (UINTN j = 0; j < count; j++)
			if (same_signature(seen[count], seen[j]))
				fail_signature(table, seen[j], "an ACPI table ", " stands in the plan twice");
		count++;
	}
	while (count)
		release(seen[--count]);
}

static void set_checksum(ACPI_TABLE_HEADER *header)
{
	UINT8 sum = 0;

	header->Checksum = 0;
	for (UINTN i = 0; i < header->Length; i++)
		sum = (UINT8)(sum + ((const UINT8 *)header)[i]);
	header->Checksum = (UINT8)-sum;
}

const ACPI_TABLE_HEADER *acpi_install(const struct table_plan *table, EFI_PHYSICAL_ADDRESS content)
{
	EFI_ACPI_TABLE_PROTOCOL *protocol = protocol_of(table);
	ACPI_TABLE_HEADER *header = load(table);
	const ACPI_TABLE_HEADER *installed;
	UINT64 pointer = 0;
	UINTN key;
	EFI_STATUS status;

	memcpy((UINT8 *)header + table->pointer, &content, sizeof(content));
	set_checksum(header);
	status = protocol->InstallAcpiTable(protocol, header, header->Length, &key);
	if (EFI_FAILED(status))
		fail_table(table, "InstallAcpiTable refused", status);
	installed = find(table, header);
	if (installed)
		memcpy(&pointer, (const UINT8 *)installed + table->pointer, sizeof(pointer));
	if (pointer != content)
		fail_table(table, "InstallAcpiTable did not put the table into the XSDT", EFI_NOT_FOUND);
	release(header);
	return installed;
}
