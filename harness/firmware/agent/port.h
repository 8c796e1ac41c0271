/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86 port IO. */
#ifndef HARNESS_AGENT_PORT_H
#define HARNESS_AGENT_PORT_H

#include "efi.h"

static inline void out8(UINT16 port, UINT8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline UINT8 in8(UINT16 port)
{
	UINT8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void out32(UINT16 port, UINT32 value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline UINT32 in32(UINT16 port)
{
	UINT32 value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

#endif
