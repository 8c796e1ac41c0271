/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for a kernel in tests of the runtime driver: ends boot services, moves the runtime services to other virtual
 * addresses (64-bit only), and calls them as its command line says. Words are `SERVICE:DATA` for a write of the
 * variable SERVICE of the magic GUID, or `call:SERVICE`. After `unmapped ` as the first word, nothing is mapped at its
 * physical address meanwhile (64-bit only). Prints each answer on COM1.
 */
#include "port.h"
#include "runtime_abi.h"
#include "text.h"

#define MAP_BYTES 65536
#define VIRTUAL_OFFSET 0x8000000000ULL /* the second slot of the top page table */

static EFI_RUNTIME_SERVICES *runtime;
static char words[512];
static UINTN words_length;
static BOOLEAN unmapped;

static void print_char(char c)
{
	while (!(in8(0x3fd) & 0x20))
		;
	out8(0x3f8, (UINT8)c);
}

static void print(const char *name, struct span about, UINT64 number)
{
	struct text text;

	text_clear(&text);
	text_add(&text, name);
	text_span(&text, about);
	text_char(&text, '=');
	text_hex(&text, number);
	for (UINTN i = 0; i < text.length; i++)
		print_char(text.chars[i]);
	print_char('\n');
}

static struct span word_until(struct span *rest, char separator)
{
	struct span word = { rest->start, 0 };

	while (word.length < rest->length && word.start[word.length] != separator)
		word.length++;
	rest->start += word.length;
	rest->length -= word.length;
	if (rest->length) {
		rest->start++;
		rest->length--;
	}
	return word;
}

static EFI_STATUS write_variable(struct span name, struct span data)
{
	static EFI_GUID magic = COMMAND_GUID;
	CHAR16 wide[64];
	UINTN i;

	for (i = 0; i < name.length && i < 63; i++)
		wide[i] = (CHAR16)name.start[i];
	wide[i] = 0;
	return runtime->SetVariable(wide, &magic, 6, data.length, (void *)(UINTN)data.start);
}

static EFI_STATUS call(struct span service)
{
	static EFI_GUID other = { 0x11111111, 0x2222, 0x3333, { 0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55 } };
	static UINT64 numbers[3], time[4];

	if (span_is(service, "get-time"))
		return runtime->GetTime(time, 0);
	if (span_is(service, "query-variable-info"))
		return runtime->QueryVariableInfo(7, &numbers[0], &numbers[1], &numbers[2]);
	if (span_is(service, "reset-system"))
		runtime->ResetSystem(0, 0, 0, 0);
	if (span_is(service, "set-variable"))
		return runtime->SetVariable((CHAR16[]){ 'x', 0 }, &other, 7, 1, (void *)"y");
	return EFI_UNSUPPORTED;
}

static void do_words(struct span rest)
{
	while (rest.length) {
		struct span word = word_until(&rest, ' '), data = word, name = word_until(&data, ':');
		EFI_STATUS status = span_is(name, "call") ? call(data) : write_variable(name, data);
		UINTN flags;

		__asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
		print("flags ", word, flags & 0x200);
		if (!unmapped)
			__asm__ volatile("sti");
		print("", word, status);
	}
}

#ifdef __x86_64__
/* All memory a second time, VIRTUAL_OFFSET higher; the firmware's tables may be read-only. */
static UINT64 map_again(void)
{
	UINTN cr0, cr3;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~0x10000ULL));
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	((UINT64 *)(cr3 & ~0xfffULL))[1] = ((UINT64 *)(cr3 & ~0xfffULL))[0];
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
	return VIRTUAL_OFFSET;
}

/* Runs at the second mapping, on a stack of the second mapping, with interrupts off: their handlers are in the first. */
__attribute__((noinline)) static void without_first_mapping(void)
{
	UINT64 *table;
	UINT64 first;
	UINTN cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	table = (UINT64 *)((cr3 & ~0xfffULL) + VIRTUAL_OFFSET);
	first = table[0];
	table[0] = 0;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
	unmapped = 1;
	do_words((struct span){ words + 9, words_length - 9 });
	table[0] = first;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

static void do_unmapped(void)
{
	UINTN cr0;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("cli\n\tmov %0, %%cr0" : : "r"(cr0 & ~0x10000ULL));
	__asm__ volatile("add %0, %%rsp\n\tcall *%1\n\tsub %0, %%rsp"
			 :
			 : "b"(VIRTUAL_OFFSET), "r"((UINTN)without_first_mapping + VIRTUAL_OFFSET)
			 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
}
#else
static UINT64 map_again(void)
{
	return 0;
}

static void do_unmapped(void)
{
}
#endif

static EFI_STATUS go_virtual(EFI_HANDLE image, EFI_BOOT_SERVICES *services)
{
	static UINT8 map[MAP_BYTES] __attribute__((aligned(16)));
	UINTN size = sizeof(map), key, descriptor_size;
	UINT32 version;
	UINT64 offset;
	EFI_STATUS status = services->GetMemoryMap(&size, map, &key, &descriptor_size, &version);

	if (!EFI_FAILED(status))
		status = services->ExitBootServices(image, key);
	if (EFI_FAILED(status))
		return status;
	offset = map_again();
	for (UINTN at = 0; at < size; at += descriptor_size) {
		EFI_MEMORY_DESCRIPTOR *region = (void *)(map + at);

		region->VirtualStart = region->PhysicalStart + (region->Attribute >> 63 ? offset : 0);
	}
	do_words((struct span){ "set-variable:none", 17 }); /* before addresses are virtual */
	status = runtime->SetVirtualAddressMap(size, descriptor_size, version, (void *)map);
	runtime = pointer_to(address_of(runtime) + offset);
	return status;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	struct span rest = { words, 0 };

	runtime = table->RuntimeServices;
	table->BootServices->HandleProtocol(image, &loaded_image, (void **)&loaded);
	for (; rest.length < loaded->LoadOptionsSize / 2 && rest.length < sizeof(words); rest.length++)
		words[rest.length] = (char)((CHAR16 *)loaded->LoadOptions)[rest.length];
	while (rest.length && !words[rest.length - 1])
		rest.length--;
	print_char('\n'); /* after the firmware's escape sequences */
	words_length = rest.length;
	print("boot ", (struct span){ 0 }, write_variable((struct span){ "set-variable", 12 }, (struct span){ "loop", 4 }));
	print("boot time", (struct span){ 0 }, call((struct span){ "get-time", 8 }));
	print("virtual", (struct span){ 0 }, go_virtual(image, table->BootServices));
	if (words_length > 9 && words[8] == ' ' && span_is((struct span){ words, 8 }, "unmapped"))
		do_unmapped();
	else
		do_words(rest);
	print("end", (struct span){ 0 }, 0);
	for (;;)
		__asm__ volatile("hlt");
}
