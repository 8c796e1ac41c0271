/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of the link, see harness/machine/frame.py and docs/link-protocol.md. A frame is written out while it is put
 * together, so it needs no memory: one begin, then fields, then at most one body (in pieces), then end.
 */
#ifndef HARNESS_AGENT_FRAME_H
#define HARNESS_AGENT_FRAME_H

#include "text.h"

void frame_nonce(struct span nonce); /* eight lower case hex digits, for this frame and all that follow */

void frame_begin(const char *kind);
void frame_field(const char *key, const char *value);
void frame_field_hex(const char *key, UINT64 number);
void frame_field_decimal(const char *key, UINT64 number);
void frame_body(const void *data, UINTN size);
void frame_end(void);

/* Reports an `error` frame and stops the processor for good: half a plan is worse than none. */
__attribute__((noreturn)) void fail(const char *what, EFI_STATUS status);

#endif
