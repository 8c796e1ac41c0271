/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent, the runtime driver and the host agree on: names, numbers and the logbook. Described in
 * docs/link-protocol.md; harness/model/words/runtime.py and harness/evidence/logbook.py say the same, in the same order.
 */
#ifndef HARNESS_AGENT_RUNTIME_ABI_H
#define HARNESS_AGENT_RUNTIME_ABI_H

#include "efi.h"

#define SERVICES(X)                                                                                                    \
	X(SET_VARIABLE, "set-variable")                                                                                \
	X(GET_TIME, "get-time")                                                                                        \
	X(QUERY_VARIABLE_INFO, "query-variable-info")                                                                  \
	X(RESET_SYSTEM, "reset-system")

#define TARGETS(X)                                                                                                     \
	X(BOOT_SERVICES_DATA, "boot-services-data")                                                                    \
	X(CONVENTIONAL, "conventional")                                                                                \
	X(LOADER_DATA, "loader-data")                                                                                  \
	X(CODE, "code")                                                                                                \
	X(RUNTIME_DATA, "runtime-data")                                                                                \
	X(IMAGE_DATA, "image-data")

#define FAULTS(X)                                                                                                      \
	X(NONE, "none")                                                                                                \
	X(READ_BOOT_SERVICES_DATA, "read-boot-services-data")                                                          \
	X(WRITE_BOOT_SERVICES_DATA, "write-boot-services-data")                                                        \
	X(READ_CONVENTIONAL, "read-conventional")                                                                      \
	X(WRITE_CONVENTIONAL, "write-conventional")                                                                    \
	X(READ_LOADER_DATA, "read-loader-data")                                                                        \
	X(WRITE_LOADER_DATA, "write-loader-data")                                                                      \
	X(WRITE_CODE, "write-code")                                                                                    \
	X(EXECUTE_DATA, "execute-data")                                                                                \
	X(EXECUTE_IMAGE_DATA, "execute-image-data")                                                                    \
	X(NON_CANONICAL, "non-canonical")                                                                              \
	X(LOOP, "loop")                                                                                                \
	X(UNDEFINED_OPCODE, "undefined-opcode")                                                                        \
	X(DIVIDE_ERROR, "divide-error")                                                                                \
	X(INTERRUPTS_OFF, "interrupts-off")

#define AS_SERVICE(id, name) SERVICE_##id,
#define AS_TARGET(id, name) TARGET_##id,
#define AS_FAULT(id, name) FAULT_##id,
enum service { SERVICES(AS_SERVICE) SERVICE_COUNT };
enum target { TARGETS(AS_TARGET) TARGET_COUNT };
enum fault { FAULTS(AS_FAULT) FAULT_COUNT };

/* Whether firmware of this width can commit the fault: 32-bit code has no non-canonical addresses. */
#define FAULT_POSSIBLE(fault) (sizeof(UINTN) == 8 || (fault) != FAULT_NON_CANONICAL)

/* Vendor GUID of the variables that are commands. */
#define COMMAND_GUID                                                                                                   \
	{ 0xd2d24daf, 0x8250, 0x46e3, { 0x9d, 0x83, 0xe4, 0x0c, 0x1e, 0xd3, 0x7d, 0x88 } }

#define WRITTEN_PATTERN 0x215353454e524148ULL /* "HARNESS!", what the write- faults store */
#define RET_INSTRUCTION 0xc3                  /* what the execute- faults find, where they are let through */

#define LOGBOOK_MAGIC 0x42474f4c534e5248ULL /* "HRNSLOGB" */
#define LOGBOOK_VERSION 1

enum phase { PHASE_BOOT, PHASE_RUNTIME, PHASE_VIRTUAL };

struct logbook_service {
	UINT64 hooked;
	UINT64 armed;
	UINT64 calls;
	UINT64 runtime_calls;
	UINT64 returns;
	UINT64 faults;
	UINT64 survived;
	UINT64 last_fault;
	UINT64 fault_address;
	UINT64 fault_value;
	UINT64 status;
	UINT64 cr0;
	UINT64 cr3;
	UINT64 cr4;
	UINT64 flags;
	UINT64 cs;
	UINT64 stack;
	UINT64 address;
	UINT64 caller;
	UINT64 unused[13];
};

/* One page of EfiRuntimeServicesData. The agent fills in what it has chosen and gives it to the driver as its LoadOptions. */
struct logbook {
	UINT64 magic;
	UINT64 version;
	UINT64 sequence;
	UINT64 nonce;
	UINT64 phase;
	UINT64 looping;
	UINT64 spins;
	UINT64 commands;
	UINT64 refused;
	UINT64 pointer_bytes;
	UINT64 logbook_physical;
	UINT64 logbook_used;
	UINT64 image_physical;
	UINT64 image_used;
	UINT64 image_bytes;
	UINT64 code_offset;
	UINT64 code_bytes;
	UINT64 data_offset;
	UINT64 data_bytes;
	UINT64 unused[13];
	UINT64 target_physical[16];
	UINT64 target_used[16];
	struct logbook_service services[SERVICE_COUNT];
};

_Static_assert(__builtin_offsetof(struct logbook, target_physical) == 0x100, "logbook");
_Static_assert(__builtin_offsetof(struct logbook, target_used) == 0x180, "logbook");
_Static_assert(__builtin_offsetof(struct logbook, services) == 0x200, "logbook");
_Static_assert(sizeof(struct logbook_service) == 0x100, "a service in the logbook");
_Static_assert(sizeof(struct logbook) <= EFI_PAGE_SIZE, "the logbook is one page");

#endif
