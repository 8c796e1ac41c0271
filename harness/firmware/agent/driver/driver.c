/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runtime driver: stays in memory when boot services end, hooks runtime services, keeps a logbook of their calls, and
 * commits a fault when it is told to. The agent loads it; what it does is in docs/link-protocol.md.
 */
#include "faults.h"
#include "names.h"

static struct {
	volatile struct logbook *book;
	EFI_RUNTIME_SERVICES *runtime;
	EFI_SET_VARIABLE SetVariable;
	EFI_GET_TIME GetTime;
	EFI_QUERY_VARIABLE_INFO QueryVariableInfo;
	EFI_RESET_SYSTEM ResetSystem;
	BOOLEAN interrupts_off; /* when the service returns */
} driver;

static void log_begin(void)
{
	driver.book->sequence++;
}

static void log_end(void)
{
	driver.book->sequence++;
}

#define READ_REGISTER(name)                                                                                            \
	({                                                                                                             \
		UINTN value_;                                                                                          \
		__asm__ volatile("mov %%" name ", %0" : "=r"(value_));                                                 \
		value_;                                                                                                \
	})

static UINTN read_flags(void)
{
	UINTN flags;

	__asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
	return flags;
}

/* A macro, so that the addresses are those of the hook itself. */
#define ENTER(service, hook) enter(service, address_of(hook), __builtin_return_address(0), __builtin_frame_address(0))

static void enter(enum service service, UINT64 address, void *caller, void *frame)
{
	UINTN flags = read_flags();
	volatile struct logbook_service *log = &driver.book->services[service];

	log_begin();
	log->calls++;
	if (driver.book->phase != PHASE_BOOT)
		log->runtime_calls++;
	log->cr0 = READ_REGISTER("cr0");
	log->cr3 = READ_REGISTER("cr3");
	log->cr4 = READ_REGISTER("cr4");
	log->cs = READ_REGISTER("cs") & 0xffff;
	log->flags = flags;
	log->stack = address_of(frame);
	log->address = address;
	log->caller = address_of(caller);
	log_end();
}

static EFI_STATUS leave(enum service service, EFI_STATUS status)
{
	log_begin();
	driver.book->services[service].returns++;
	driver.book->services[service].status = status;
	log_end();
	if (driver.interrupts_off) {
		driver.interrupts_off = 0;
		fault_interrupts_off();
	}
	return status;
}

static int target_of(enum fault fault)
{
	switch (fault) {
	case FAULT_READ_BOOT_SERVICES_DATA:
	case FAULT_WRITE_BOOT_SERVICES_DATA:
		return TARGET_BOOT_SERVICES_DATA;
	case FAULT_READ_CONVENTIONAL:
	case FAULT_WRITE_CONVENTIONAL:
		return TARGET_CONVENTIONAL;
	case FAULT_READ_LOADER_DATA:
	case FAULT_WRITE_LOADER_DATA:
		return TARGET_LOADER_DATA;
	case FAULT_WRITE_CODE:
		return TARGET_CODE;
	case FAULT_EXECUTE_DATA:
		return TARGET_RUNTIME_DATA;
	case FAULT_EXECUTE_IMAGE_DATA:
		return TARGET_IMAGE_DATA;
	default:
		return -1;
	}
}

/* Does it. Returns the value read, if any, when the processor let it through. */
static UINT64 trespass(enum service service, enum fault fault, UINT64 address)
{
	switch (fault) {
	case FAULT_READ_BOOT_SERVICES_DATA:
	case FAULT_READ_CONVENTIONAL:
	case FAULT_READ_LOADER_DATA:
		return fault_read(pointer_to(address));
	case FAULT_WRITE_BOOT_SERVICES_DATA:
	case FAULT_WRITE_CONVENTIONAL:
	case FAULT_WRITE_LOADER_DATA:
		fault_write(pointer_to(address));
		return 0;
	case FAULT_WRITE_CODE:
		fault_write_code(pointer_to(address));
		return 0;
	case FAULT_EXECUTE_DATA:
	case FAULT_EXECUTE_IMAGE_DATA:
		fault_execute(pointer_to(address));
		return 0;
#ifdef __x86_64__
	case FAULT_NON_CANONICAL:
		return fault_non_canonical();
#endif
	case FAULT_LOOP:
		log_begin();
		driver.book->looping = (UINT64)service + 1;
		log_end();
		fault_loop(&driver.book->spins);
	case FAULT_UNDEFINED_OPCODE:
		fault_undefined_opcode();
		return 0;
	case FAULT_DIVIDE_ERROR:
		fault_divide_error();
		return 0;
	case FAULT_INTERRUPTS_OFF:
		driver.interrupts_off = 1;
		return 0;
	default:
		return 0;
	}
}

static void commit(enum service service, enum fault fault)
{
	volatile struct logbook_service *log = &driver.book->services[service];
	int target = target_of(fault);
	UINT64 address = target >= 0 ? driver.book->target_used[target] : 0;
	UINT64 value;

	if (fault == FAULT_NONE || driver.book->phase == PHASE_BOOT)
		return;
	log_begin();
	log->faults++;
	log->last_fault = (UINT64)fault;
	log->fault_address = fault == FAULT_NON_CANONICAL ? NON_CANONICAL_ADDRESS : address;
	log_end();
	value = trespass(service, fault, address);
	log_begin();
	log->fault_value = value;
	log->survived++;
	log_end();
}

/* A write of a variable of the magic GUID. */
static EFI_STATUS command(const CHAR16 *name, UINTN size, const void *data)
{
	volatile struct logbook *book = driver.book;
	enum service service = name ? service_named(name) : SERVICE_COUNT;
	enum fault fault = data ? fault_named(data, size) : FAULT_COUNT;
	BOOLEAN known = service < SERVICE_COUNT && fault < FAULT_COUNT && FAULT_POSSIBLE(fault) &&
			book->services[service].hooked;

	if (book->phase == PHASE_BOOT)
		return EFI_NOT_READY;
	log_begin();
	if (!known)
		book->refused++;
	else
		book->commands++;
	if (known && service != SERVICE_SET_VARIABLE)
		book->services[service].armed = (UINT64)fault;
	log_end();
	if (!known)
		return EFI_INVALID_PARAMETER;
	if (service == SERVICE_SET_VARIABLE)
		commit(service, fault);
	return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI hook_set_variable(CHAR16 *name, EFI_GUID *guid, UINT32 attributes, UINTN size, void *data)
{
	static const EFI_GUID magic = COMMAND_GUID;

	ENTER(SERVICE_SET_VARIABLE, hook_set_variable);
	if (guid && same_guid(guid, &magic))
		return leave(SERVICE_SET_VARIABLE, command(name, size, data));
	return leave(SERVICE_SET_VARIABLE, driver.SetVariable(name, guid, attributes, size, data));
}

static EFI_STATUS EFIAPI hook_get_time(void *time, void *capabilities)
{
	ENTER(SERVICE_GET_TIME, hook_get_time);
	commit(SERVICE_GET_TIME, (enum fault)driver.book->services[SERVICE_GET_TIME].armed);
	return leave(SERVICE_GET_TIME, driver.GetTime(time, capabilities));
}

static EFI_STATUS EFIAPI hook_query_variable_info(UINT32 attributes, UINT64 *maximum, UINT64 *remaining, UINT64 *size)
{
	ENTER(SERVICE_QUERY_VARIABLE_INFO, hook_query_variable_info);
	commit(SERVICE_QUERY_VARIABLE_INFO, (enum fault)driver.book->services[SERVICE_QUERY_VARIABLE_INFO].armed);
	return leave(SERVICE_QUERY_VARIABLE_INFO, driver.QueryVariableInfo(attributes, maximum, remaining, size));
}

static void EFIAPI hook_reset_system(UINT32 type, EFI_STATUS status, UINTN size, void *data)
{
	ENTER(SERVICE_RESET_SYSTEM, hook_reset_system);
	commit(SERVICE_RESET_SYSTEM, (enum fault)driver.book->services[SERVICE_RESET_SYSTEM].armed);
	driver.ResetSystem(type, status, size, data);
	leave(SERVICE_RESET_SYSTEM, EFI_SUCCESS);
}

static void EFIAPI boot_services_end(void *event, void *context)
{
	(void)event;
	(void)context;
	log_begin();
	driver.book->phase = PHASE_RUNTIME;
	log_end();
}

static UINT64 converted(UINT64 address)
{
	void *pointer = pointer_to(address);

	driver.runtime->ConvertPointer(0, &pointer);
	return address_of(pointer);
}

#define CONVERT(service) driver.runtime->ConvertPointer(0, (void **)&driver.service)

/* Inside SetVirtualAddressMap: still at physical addresses, the last chance to convert (UEFI 2.10, 8.4). */
static void EFIAPI virtual_address_change(void *event, void *context)
{
	volatile struct logbook *book = driver.book;

	(void)event;
	(void)context;
	log_begin();
	book->logbook_used = converted(book->logbook_physical);
	book->image_used = converted(book->image_physical);
	/* These three are mapped; the others belong to the kernel by now and have no virtual address. */
	book->target_used[TARGET_CODE] = converted(book->target_physical[TARGET_CODE]);
	book->target_used[TARGET_RUNTIME_DATA] = converted(book->target_physical[TARGET_RUNTIME_DATA]);
	book->target_used[TARGET_IMAGE_DATA] = converted(book->target_physical[TARGET_IMAGE_DATA]);
	book->phase = PHASE_VIRTUAL;
	log_end();
	CONVERT(SetVariable);
	CONVERT(GetTime);
	CONVERT(QueryVariableInfo);
	CONVERT(ResetSystem);
	CONVERT(book);
}

#define HOOK(id, service, hook)                                                                                        \
	do {                                                                                                           \
		driver.service = driver.runtime->service;                                                              \
		if (driver.book->services[SERVICE_##id].hooked)                                                        \
			driver.runtime->service = hook;                                                                \
	} while (0)

EFI_STATUS EFIAPI driver_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI driver_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_BOOT_SERVICES *boot_services = table->BootServices;
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	void *event;
	EFI_STATUS status = boot_services->HandleProtocol(image, &loaded_image, (void **)&loaded);

	if (EFI_FAILED(status))
		return status;
	driver.book = loaded->LoadOptions;
	if (loaded->LoadOptionsSize != EFI_PAGE_SIZE || driver.book->magic != LOGBOOK_MAGIC ||
	    driver.book->version != LOGBOOK_VERSION)
		return EFI_INCOMPATIBLE_VERSION;
	driver.runtime = table->RuntimeServices;
	driver.book->target_physical[TARGET_CODE] = address_of(fault_code_target);
	driver.book->target_physical[TARGET_IMAGE_DATA] = address_of(fault_data_target);

	status = boot_services->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_NOTIFY, boot_services_end, 0, &event);
	if (EFI_FAILED(status))
		return status;
	status = boot_services->CreateEvent(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE, TPL_NOTIFY, virtual_address_change, 0,
					    &event);
	if (EFI_FAILED(status))
		return status;

	HOOK(SET_VARIABLE, SetVariable, hook_set_variable);
	HOOK(GET_TIME, GetTime, hook_get_time);
	HOOK(QUERY_VARIABLE_INFO, QueryVariableInfo, hook_query_variable_info);
	HOOK(RESET_SYSTEM, ResetSystem, hook_reset_system);
	driver.runtime->Hdr.CRC32 = 0;
	return boot_services->CalculateCrc32(&driver.runtime->Hdr, driver.runtime->Hdr.HeaderSize,
					     &driver.runtime->Hdr.CRC32);
}
