/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image on a file system: an EFI system partition, say. */
#ifndef HARNESS_AGENT_ESP_H
#define HARNESS_AGENT_ESP_H

#include "efi.h"
#include "text.h"

/*
 * Connects all drivers and loads the file `path` (\EFI\BOOT\BOOTX64.EFI) by its device path, so that the image finds through
 * its DeviceHandle what lies beside it (UEFI 2.10, 7.4.1 and 9.1). Fails with an `error` frame.
 */
EFI_HANDLE esp_load(struct span path, EFI_LOADED_IMAGE_PROTOCOL **loaded);

#endif
