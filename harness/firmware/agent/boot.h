/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel, or a boot loader on a file system: its image, its command line and its initrd. */
#ifndef HARNESS_AGENT_BOOT_H
#define HARNESS_AGENT_BOOT_H

#include "plan.h"

/* Loads the image, sets its command line and offers the initrd; nothing is started. */
void boot_prepare(const struct plan *plan);

void report_image(void); /* `image` */

/* StartImage. A kernel never returns from it; if this one does, that is an `error`. */
__attribute__((noreturn)) void boot_start(void);

#endif
