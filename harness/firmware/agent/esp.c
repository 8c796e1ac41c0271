/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "esp.h"

#include "agent.h"
#include "frame.h"

#define NODE_BYTES sizeof(EFI_DEVICE_PATH_PROTOCOL)

static void *pool(UINTN size, const char *what)
{
	void *buffer = 0;
	EFI_STATUS status = boot_services->AllocatePool(EfiLoaderData, size, &buffer);

	if (EFI_FAILED(status))
		fail(what, status);
	return buffer;
}

/*
 * With -kernel, OVMF's boot manager starts an image before it has connected the disks, so no file system may be there yet.
 * Many handles have nothing to connect; what fails is not told apart from that, and shows as a file that is not found.
 */
static void connect_all(void)
{
	EFI_HANDLE *handles;
	UINTN count;
	EFI_STATUS status = boot_services->LocateHandleBuffer(AllHandles, 0, 0, &count, &handles);

	if (EFI_FAILED(status))
		fail("LocateHandleBuffer of all handles", status);
	for (UINTN i = 0; i < count; i++)
		boot_services->ConnectController(handles[i], 0, 0, 1);
	boot_services->FreePool(handles);
}

static UINTN node_bytes(const EFI_DEVICE_PATH_PROTOCOL *node)
{
	return node->Length[0] | (UINTN)node->Length[1] << 8;
}

/* `device`, a file path node of `path` and an end node (UEFI 2.10, 10.3.5.4). */
static EFI_DEVICE_PATH_PROTOCOL *with_file(const EFI_DEVICE_PATH_PROTOCOL *device, struct span path)
{
	const EFI_DEVICE_PATH_PROTOCOL *end = device;
	UINTN file_bytes = NODE_BYTES + (path.length + 1) * sizeof(CHAR16);
	UINTN device_bytes;
	UINT8 *whole;

	while (end->Type != END_DEVICE_PATH || end->SubType != END_ENTIRE_DEVICE_PATH)
		end = (const void *)((const UINT8 *)end + node_bytes(end));
	device_bytes = (UINTN)((const UINT8 *)end - (const UINT8 *)device);
	whole = pool(device_bytes + file_bytes + NODE_BYTES, "AllocatePool for a device path");
	memcpy(whole, device, device_bytes);

	UINT8 *file = whole + device_bytes;
	CHAR16 *name = (CHAR16 *)(file + NODE_BYTES);

	*(EFI_DEVICE_PATH_PROTOCOL *)file = (EFI_DEVICE_PATH_PROTOCOL){
		MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, { (UINT8)file_bytes, (UINT8)(file_bytes >> 8) }
	};
	for (UINTN i = 0; i < path.length; i++)
		name[i] = (CHAR16)path.start[i];
	name[path.length] = 0;
	*(EFI_DEVICE_PATH_PROTOCOL *)(file + file_bytes) =
		(EFI_DEVICE_PATH_PROTOCOL){ END_DEVICE_PATH, END_ENTIRE_DEVICE_PATH, { 4, 0 } };
	return (EFI_DEVICE_PATH_PROTOCOL *)whole;
}

static __attribute__((noreturn)) void fail_file(const char *what, struct span path, EFI_STATUS status)
{
	struct text text;

	text_clear(&text);
	text_add(&text, what);
	text_span(&text, path);
	fail(text.chars, status);
}

EFI_HANDLE esp_load(struct span path, EFI_LOADED_IMAGE_PROTOCOL **loaded)
{
	static const EFI_GUID file_system = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	static const EFI_GUID device_path = EFI_DEVICE_PATH_PROTOCOL_GUID;
	static const EFI_GUID loaded_image = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_STATUS status = EFI_NOT_FOUND;
	EFI_HANDLE *handles, image = 0;
	UINTN count;

	connect_all();
	if (EFI_FAILED(boot_services->LocateHandleBuffer(ByProtocol, &file_system, 0, &count, &handles)))
		fail_file("there is no file system to load from: ", path, EFI_NOT_FOUND);
	/* The first that has the file; -kernel brings a small file system of its own. */
	for (UINTN i = 0; i < count && status == EFI_NOT_FOUND; i++) {
		EFI_DEVICE_PATH_PROTOCOL *device, *whole;

		if (EFI_FAILED(boot_services->HandleProtocol(handles[i], &device_path, (void **)&device)))
			continue;
		whole = with_file(device, path);
		status = boot_services->LoadImage(0, agent_image, whole, 0, 0, &image);
		boot_services->FreePool(whole);
	}
	boot_services->FreePool(handles);
	if (EFI_FAILED(status))
		fail_file("LoadImage of the file ", path, status);
	status = boot_services->HandleProtocol(image, &loaded_image, (void **)loaded);
	if (EFI_FAILED(status))
		fail_file("EFI_LOADED_IMAGE_PROTOCOL is missing from ", path, status);
	return image;
}
