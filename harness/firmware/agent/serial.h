/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The link's wire: COM2, a 16550, driven by port IO and not through the firmware. */
#ifndef HARNESS_AGENT_SERIAL_H
#define HARNESS_AGENT_SERIAL_H

#include "efi.h"

void serial_init(void);
void serial_write(char c); /* waits for as long as the host does not read */
int serial_read(void);     /* the next byte, or -1 when none has come */

#endif
