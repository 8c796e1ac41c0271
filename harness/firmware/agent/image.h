/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PE images: loaded out of fw_cfg, and looked into. */
#ifndef HARNESS_AGENT_IMAGE_H
#define HARNESS_AGENT_IMAGE_H

#include "fw_cfg.h"

/*
 * Loads the image with LoadImage; `what` is its name in errors. Fails with an `error` frame. With `at` not 0 it is loaded
 * there: EDK2 tries the base in the image's header first, so `at` is written into it.
 */
EFI_HANDLE image_load(struct fw_cfg_file file, const char *what, UINT64 at, EFI_LOADED_IMAGE_PROTOCOL **loaded);

struct image_section {
	UINT64 offset; /* from the image's first byte */
	UINT64 size;   /* whole pages */
};

/* The executable and the writable section of a loaded image; fails unless there is one of each. */
void image_sections(const void *base, struct image_section *code, struct image_section *data);

typedef EFI_STATUS(EFIAPI *image_entry)(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* The entry point that a loaded image has for this processor mode in its .compat section, or NULL. */
image_entry image_compat_entry(const void *base);

#endif
