/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in commands. */
#ifndef HARNESS_DRIVER_NAMES_H
#define HARNESS_DRIVER_NAMES_H

#include "runtime_abi.h"

/* The service of a variable's name, or SERVICE_COUNT. */
enum service service_named(const CHAR16 *name);

/* The fault of a variable's data, or FAULT_COUNT. */
enum fault fault_named(const char *data, UINTN size);

#endif
