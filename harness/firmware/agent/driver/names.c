/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "names.h"

/* The word alone, or with a dot and anything behind it: efivarfs leaves a file behind that cannot be written again. */
static BOOLEAN is_name(const CHAR16 *name, const char *word)
{
	for (; *word; name++, word++)
		if (*name != (CHAR16)*word)
			return 0;
	return !*name || *name == '.';
}

static BOOLEAN is_data(const char *data, UINTN size, const char *word)
{
	UINTN i;

	for (i = 0; i < size; i++)
		if (!word[i] || word[i] != data[i])
			return 0;
	return !word[i];
}

/* No table of pointers: they would have to be right before and after SetVirtualAddressMap. */
enum service service_named(const CHAR16 *name)
{
#define X(id, word)                                                                                                    \
	if (is_name(name, word))                                                                                       \
		return SERVICE_##id;
	SERVICES(X)
#undef X
	return SERVICE_COUNT;
}

enum fault fault_named(const char *data, UINTN size)
{
#define X(id, word)                                                                                                    \
	if (is_data(data, size, word))                                                                                 \
		return FAULT_##id;
	FAULTS(X)
#undef X
	return FAULT_COUNT;
}
