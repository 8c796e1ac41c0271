/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot.h"

#include "agent.h"
#include "esp.h"
#include "frame.h"
#include "image.h"

#define MAX_CMDLINE_BYTES 4096 /* COMMAND_LINE_SIZE of x86 is 2048 */

static struct {
	EFI_HANDLE image;
	EFI_LOADED_IMAGE_PROTOCOL *loaded;
	struct fw_cfg_file initrd;
	char cmdline[MAX_CMDLINE_BYTES + 1];
} boot;

/* Gives the image its command line as UCS-2. It must outlive this function: the stub reads it from there. */
static void set_cmdline(struct fw_cfg_file file)
{
	void *buffer = 0;
	CHAR16 *wide;
	EFI_STATUS status;

	if (file.size > MAX_CMDLINE_BYTES)
		fail("the command line is longer than 4096 bytes", EFI_BAD_BUFFER_SIZE);
	if (file.size && !fw_cfg_read(file, boot.cmdline))
		fail("fw_cfg: the command line cannot be read", EFI_DEVICE_ERROR);
	status = boot_services->AllocatePool(EfiLoaderData, (file.size + 1) * sizeof(*wide), &buffer);
	if (EFI_FAILED(status))
		fail("AllocatePool for the command line", status);
	wide = buffer;
	for (UINT32 i = 0; i < file.size; i++) {
		if (boot.cmdline[i] < 0x20 || boot.cmdline[i] > 0x7e)
			fail("the command line has a character that is not printable ASCII", EFI_INVALID_PARAMETER);
		wide[i] = (CHAR16)boot.cmdline[i];
	}
	wide[file.size] = 0;
	boot.loaded->LoadOptions = wide;
	boot.loaded->LoadOptionsSize = (file.size + 1) * (UINT32)sizeof(*wide);
}

/*
 * Called by the kernel's EFI stub: first for the size, then with a buffer that it has allocated, which is filled straight
 * from the device. That is why only now, between `start` and the end of boot services, the initrd's address is known.
 */
static EFI_STATUS EFIAPI load_initrd(EFI_LOAD_FILE2_PROTOCOL *this, EFI_DEVICE_PATH_PROTOCOL *path, BOOLEAN boot_policy,
				     UINTN *size, void *buffer)
{
	if (boot_policy)
		return EFI_UNSUPPORTED; /* UEFI 2.10, 13.2.2: LoadFile2 never loads by boot policy */
	if (!this || !path || !size)
		return EFI_INVALID_PARAMETER;
	if (!buffer || *size < boot.initrd.size) {
		*size = boot.initrd.size;
		return EFI_BUFFER_TOO_SMALL;
	}
	*size = boot.initrd.size;
	if (!fw_cfg_read(boot.initrd, buffer))
		fail("fw_cfg: the initrd cannot be read", EFI_DEVICE_ERROR);
	frame_begin("initrd");
	frame_field_hex("address", address_of(buffer));
	frame_field_decimal("size", boot.initrd.size);
	frame_end();
	return EFI_SUCCESS;
}

static void offer_initrd(struct fw_cfg_file file)
{
	static const EFI_GUID device_path = EFI_DEVICE_PATH_PROTOCOL_GUID;
	static const EFI_GUID load_file2 = EFI_LOAD_FILE2_PROTOCOL_GUID;
	static EFI_LOAD_FILE2_PROTOCOL loader = { load_initrd };
	static VENDOR_MEDIA_PATH path = {
		.Vendor = { MEDIA_DEVICE_PATH, MEDIA_VENDOR_DP, { 20, 0 } },
		.Guid = LINUX_EFI_INITRD_MEDIA_GUID,
		.End = { END_DEVICE_PATH, END_ENTIRE_DEVICE_PATH, { 4, 0 } },
	};
	EFI_HANDLE handle = 0;
	EFI_STATUS status;

	boot.initrd = file;
	if (!file.size)
		return;
	status = boot_services->InstallMultipleProtocolInterfaces(&handle, &device_path, &path, &load_file2, &loader,
								  (void *)0);
	if (EFI_FAILED(status))
		fail("the initrd's LoadFile2 protocol cannot be installed (did QEMU get -initrd as well?)", status);
}

void boot_prepare(const struct plan *plan)
{
	boot.image = plan->file.length ? esp_load(plan->file, &boot.loaded) :
					 image_load(plan->kernel, "the kernel", plan->kernel_at, &boot.loaded);
	set_cmdline(plan->cmdline);
	offer_initrd(plan->initrd);
}

void report_image(void)
{
	frame_begin("image");
	frame_field_hex("address", address_of(boot.loaded->ImageBase));
	frame_field_decimal("size", boot.loaded->ImageSize);
	frame_field_hex("initrd_address", 0);
	frame_field_decimal("initrd_size", boot.initrd.size);
	frame_field("cmdline", boot.cmdline);
	frame_end();
}

__attribute__((noreturn)) void boot_start(void)
{
	EFI_STATUS status = boot_services->StartImage(boot.image, 0, 0);

	/* A 64-bit kernel under 32-bit firmware is only loaded. Boot loaders call its other entry point then. */
	if (status == EFI_UNSUPPORTED) {
		image_entry entry = image_compat_entry(boot.loaded->ImageBase);

		if (!entry)
			fail("the kernel has no entry point for this firmware (CONFIG_EFI_MIXED)", status);
		status = entry(boot.image, system_table);
	}
	fail("the kernel image came back from StartImage", status);
}
