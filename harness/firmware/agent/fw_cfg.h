/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that the host hands over, through QEMU's fw_cfg device and its DMA interface. */
#ifndef HARNESS_AGENT_FW_CFG_H
#define HARNESS_AGENT_FW_CFG_H

#include "text.h"

#define FW_CFG_NAME_BYTES 56 /* with the closing NUL */

struct fw_cfg_file {
	UINT16 selector;
	UINT32 size;
};

/*
 * Finds a file by its name. The directory is read anew each time: a machine that was saved and started again may have
 * other files. Fails with an `error` frame when there is no such device or file, or when the file is empty.
 */
struct fw_cfg_file fw_cfg_find(struct span name);

/* Reads the whole file to `buffer`, at least `file.size` bytes. 0 when the device reports an error. */
BOOLEAN fw_cfg_read(struct fw_cfg_file file, void *buffer);

#endif
