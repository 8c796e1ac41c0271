/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime.h"

#include "agent.h"
#include "frame.h"
#include "image.h"
#include "memattr.h"
#include "memory.h"
#include "systab.h"

static struct {
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	struct logbook *book;
	UINT64 old[SERVICE_COUNT];
} driver;

static const char *const service_names[] = {
#define X(id, name) name,
	SERVICES(X)
#undef X
};

static const char *const target_names[] = {
#define X(id, name) name,
	TARGETS(X)
#undef X
};

/* The bits of EFI_RT_PROPERTIES_TABLE (UEFI 2.10, 4.6.2) */
static const UINT32 supported_bits[] = {
	[SERVICE_SET_VARIABLE] = 0x0040,
	[SERVICE_GET_TIME] = 0x0001,
	[SERVICE_QUERY_VARIABLE_INFO] = 0x2000,
	[SERVICE_RESET_SYSTEM] = 0x0400,
};

static UINT64 pointer_of(enum service service)
{
	const EFI_RUNTIME_SERVICES *runtime = system_table->RuntimeServices;

	switch (service) {
	case SERVICE_SET_VARIABLE:
		return (UINTN)runtime->SetVariable;
	case SERVICE_GET_TIME:
		return (UINTN)runtime->GetTime;
	case SERVICE_QUERY_VARIABLE_INFO:
		return (UINTN)runtime->QueryVariableInfo;
	case SERVICE_RESET_SYSTEM:
		return (UINTN)runtime->ResetSystem;
	default:
		return 0;
	}
}

static __attribute__((noreturn)) void fail_service(const char *what, UINTN service, EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, what);
	text_add(&text, service_names[service]);
	fail(text.chars, status);
}

void runtime_check(const struct runtime_plan *plan)
{
	static const EFI_GUID guid = EFI_RT_PROPERTIES_TABLE_GUID;
	const EFI_RT_PROPERTIES_TABLE *properties = configuration_table(&guid);

	for (UINTN i = 0; i < SERVICE_COUNT; i++) {
		if (!plan->hooked[i])
			continue;
		if (!pointer_of((enum service)i))
			fail_service("this firmware has no runtime service ", i, EFI_UNSUPPORTED);
		if (properties && !(properties->RuntimeServicesSupported & supported_bits[i]))
			fail_service("firmware's EFI_RT_PROPERTIES_TABLE does not offer ", i, EFI_UNSUPPORTED);
	}
}

static UINT64 allocate_page(UINT32 type, UINT64 at, const char *what)
{
	EFI_PHYSICAL_ADDRESS page = at;
	EFI_STATUS status = boot_services->AllocatePages(at ? AllocateAddress : AllocateAnyPages, type, 1, &page);

	if (EFI_FAILED(status))
		fail(what, status);
	return page;
}

static void fill_logbook(const struct runtime_plan *plan, struct span nonce)
{
	struct logbook *book = driver.book;
	UINT64 number = 0, inside = memory_inside_largest();
	struct image_section code, data;

	memset(book, 0, EFI_PAGE_SIZE);
	book->magic = LOGBOOK_MAGIC;
	book->version = LOGBOOK_VERSION;
	parse_hex(nonce, &number);
	book->nonce = number;
	book->pointer_bytes = sizeof(UINTN);
	book->logbook_physical = book->logbook_used = address_of(book);
	book->image_physical = book->image_used = address_of(driver.loaded->ImageBase);
	book->image_bytes = driver.loaded->ImageSize;
	image_sections(driver.loaded->ImageBase, &code, &data);
	book->code_offset = code.offset;
	book->code_bytes = code.size;
	book->data_offset = data.offset;
	book->data_bytes = data.size;

	/* Apart from each other and from all else, so that no neighbour is reserved together with them. */
	book->target_physical[TARGET_LOADER_DATA] =
		allocate_page(EfiLoaderData, inside, "AllocatePages for the target loader-data");
	book->target_physical[TARGET_BOOT_SERVICES_DATA] =
		allocate_page(EfiBootServicesData, inside + 0x10000, "AllocatePages for the target boot-services-data");
	book->target_physical[TARGET_RUNTIME_DATA] =
		allocate_page(EfiRuntimeServicesData, 0, "AllocatePages for the target runtime-data");
	memset(pointer_to(book->target_physical[TARGET_RUNTIME_DATA]), RET_INSTRUCTION, EFI_PAGE_SIZE);
	for (UINTN i = 0; i < SERVICE_COUNT; i++) {
		book->services[i].hooked = plan->hooked[i];
		book->services[i].armed = (UINT64)plan->armed[i];
	}
}

void runtime_install(const struct runtime_plan *plan, struct span nonce)
{
	EFI_HANDLE handle;
	EFI_STATUS status;

	handle = image_load(plan->driver, "the runtime driver", 0, &driver.loaded);
	if (driver.loaded->ImageCodeType != EfiRuntimeServicesCode)
		fail("the runtime driver is not a UEFI runtime driver", EFI_UNSUPPORTED);
	for (UINTN i = 0; i < SERVICE_COUNT; i++)
		driver.old[i] = pointer_of((enum service)i);
	driver.book = pointer_to(allocate_page(EfiRuntimeServicesData, 0, "AllocatePages for the logbook"));
	fill_logbook(plan, nonce);
	driver.loaded->LoadOptions = driver.book;
	driver.loaded->LoadOptionsSize = EFI_PAGE_SIZE;
	status = boot_services->StartImage(handle, 0, 0);
	if (EFI_FAILED(status))
		fail("the runtime driver refused to start", status);
	for (UINTN i = 0; i < SERVICE_COUNT; i++)
		if ((pointer_of((enum service)i) != driver.old[i]) != plan->hooked[i])
			fail_service("the runtime driver did not do as told with ", i, EFI_ABORTED);
}

static void body_line(const char *word, const char *name, UINT64 first, UINT64 second)
{
	struct text line;

	text_clear(&line);
	text_add(&line, word);
	text_add(&line, name);
	text_char(&line, ' ');
	text_hex(&line, first);
	if (second) {
		text_char(&line, ' ');
		text_hex(&line, second);
	}
	frame_body(line.chars, line.length);
	frame_body("\n", 1);
}

void report_runtime(const struct runtime_plan *plan)
{
	static const char *const choices[] = { "correct", "keep", "drop" };
	struct logbook *book = driver.book;
	UINT64 code = book->image_physical + book->code_offset, data = book->image_physical + book->data_offset;

	memattr_settle(plan->memattr, (struct memory_range){ book->image_physical, book->image_bytes },
		       (struct memory_range){ code, book->code_bytes });
	/* Last of all: from here on nothing allocates. */
	book->target_physical[TARGET_CONVENTIONAL] = memory_free_page(book->target_physical[TARGET_BOOT_SERVICES_DATA]);
	memcpy(book->target_used, book->target_physical, sizeof(book->target_used));

	frame_begin("runtime");
	frame_field_hex("image_address", book->image_physical);
	frame_field_decimal("image_size", book->image_bytes);
	frame_field_hex("code_address", code);
	frame_field_decimal("code_size", book->code_bytes);
	frame_field_hex("data_address", data);
	frame_field_decimal("data_size", book->data_bytes);
	frame_field_hex("logbook_address", address_of(book));
	frame_field_decimal("logbook_size", EFI_PAGE_SIZE);
	frame_field("memattr", choices[plan->memattr]);
	frame_field_hex("memattr_address", memattr_address());
	for (UINTN i = 0; i < TARGET_COUNT; i++)
		body_line("target ", target_names[i], book->target_physical[i], 0);
	for (UINTN i = 0; i < SERVICE_COUNT; i++)
		if (plan->hooked[i])
			body_line("hook ", service_names[i], driver.old[i], pointer_of((enum service)i));
	frame_end();
}
