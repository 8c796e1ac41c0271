/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The EFI agent: arranges what the firmware hands to a kernel, reports every address, and starts the kernel.
 * The conversation is in docs/link-protocol.md.
 */
#include "acpi.h"
#include "agent.h"
#include "boot.h"
#include "frame.h"
#include "memory.h"
#include "hook.h"
#include "plan.h"
#include "ranges.h"
#include "runtime.h"
#include "serial.h"
#include "systab.h"
#include "tables.h"

EFI_HANDLE agent_image;
EFI_SYSTEM_TABLE *system_table;
EFI_BOOT_SERVICES *boot_services;

static void report(const char *kind)
{
	frame_begin(kind);
	frame_end();
}

static void report_ready(void)
{
	frame_begin("ready");
	frame_field_decimal("agent", AGENT_PROTOCOL);
	report_firmware_fields();
	frame_end();
}

/*
 * Waits for one byte and passes over all others. OVMF's terminal driver polls COM2 from a timer event and would take the
 * byte away, so no event may run: at TPL_HIGH_LEVEL interrupts are off. Stall works at any level and keeps the time.
 * `again` (or NULL) is called about every second, so that a host that came late, or started a saved machine, hears it.
 */
static void wait_for(char wanted, void (*again)(void))
{
	EFI_TPL old = boot_services->RaiseTPL(TPL_HIGH_LEVEL);

	for (UINTN milliseconds = 1;; milliseconds++) {
		int c;

		while ((c = serial_read()) >= 0)
			if (c == wanted) {
				boot_services->RestoreTPL(old);
				return;
			}
		boot_services->Stall(1000);
		if (again && milliseconds % 1000 == 0)
			again();
	}
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	const struct plan *plan;

	agent_image = image;
	system_table = table;
	boot_services = table->BootServices;
	/* The boot manager's watchdog resets after five minutes (UEFI 2.10, 3.1.2); the host keeps the time here. */
	boot_services->SetWatchdogTimer(0, 0, 0, 0);
	serial_init();

	report_ready();
	wait_for('G', report_ready);
	report("go");

	/* Everything the host decides is read from here on, so a machine saved above can be given another plan. */
	plan = plan_read();
	if (plan->runtime.driver.size)
		runtime_check(&plan->runtime);
	ranges_check(plan);
	ranges_make(plan, 0);
	acpi_check(plan);
	for (UINTN i = 0; i < plan->table_count; i++)
		table_install(&plan->tables[i]);
	if (plan->runtime.driver.size)
		runtime_install(&plan->runtime, plan->nonce);
	boot_prepare(plan);
	/* What is wanted of a whole map comes last: it takes what all the others have left. */
	ranges_make(plan, 1);

	/* Nothing is allocated after the memory map. */
	if (plan->runtime.driver.size)
		report_runtime(&plan->runtime);
	report_ranges();
	report_system_table();
	report_firmware_map();
	report_hooks();
	report_memory_map();
	report_image();
	report("handoff");
	wait_for('S', 0);
	report("start");
	boot_start();
}
