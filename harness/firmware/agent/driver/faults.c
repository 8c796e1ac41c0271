/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults.h"

UINT8 fault_data_target[16] __attribute__((aligned(16))) = { RET_INSTRUCTION };

UINT64 fault_read(volatile UINT64 *address)
{
	return *address;
}

void fault_write(volatile UINT64 *address)
{
	*address = WRITTEN_PATTERN;
}

/* The same bytes back, so that where this is let through the driver goes on working. */
void fault_write_code(volatile UINT64 *address)
{
	*address = *address;
}

void fault_execute(void *address)
{
	((void (*)(void))address)();
}

#ifdef __x86_64__
UINT64 fault_non_canonical(void)
{
	return *(volatile UINT64 *)NON_CANONICAL_ADDRESS;
}
#endif

__attribute__((noreturn)) void fault_loop(volatile UINT64 *spins)
{
	for (;;) {
		++*spins;
		__builtin_ia32_pause();
	}
}

void fault_undefined_opcode(void)
{
	__asm__ volatile("ud2");
}

void fault_divide_error(void)
{
	UINT32 low = 1, high = 0;

	__asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0));
}

void fault_interrupts_off(void)
{
	__asm__ volatile("cli");
}

__attribute__((aligned(16))) void fault_code_target(void)
{
	__asm__ volatile(".balign 16\n\t.space 16, 0x90");
}
