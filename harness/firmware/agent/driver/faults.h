/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The faults themselves, one function each, so that a program counter in one has a name. */
#ifndef HARNESS_DRIVER_FAULTS_H
#define HARNESS_DRIVER_FAULTS_H

#include "runtime_abi.h"

UINT64 fault_read(volatile UINT64 *address);
void fault_write(volatile UINT64 *address);
void fault_write_code(volatile UINT64 *address);
void fault_execute(void *address);
UINT64 fault_non_canonical(void); /* x86-64 only */
__attribute__((noreturn)) void fault_loop(volatile UINT64 *spins);
void fault_undefined_opcode(void);
void fault_divide_error(void);
void fault_interrupts_off(void);

/* What the faults write to and execute; the agent reports where they lie. */
void fault_code_target(void);
extern UINT8 fault_data_target[16];

/* The fault's address as the processor will see it: for the faults that have no target. */
#define NON_CANONICAL_ADDRESS 0x8000000000000000ULL /* with 4-level and with 5-level paging */

#endif
