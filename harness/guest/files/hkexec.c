/*
 * hkexec: the two system calls that the guest's packaged tools cannot make.
 *
 *   hkexec file KERNEL INITRD CMDLINE   kexec_file_load(2) with KEXEC_FILE_DEBUG
 *   hkexec crash-file KERNEL INITRD CMDLINE   the same with KEXEC_FILE_ON_CRASH, for the capture kernel
 *                                       INITRD may be `none`
 *   hkexec drain                        tcdrain(3) on standard input
 *
 * Since "kexec_file: print out debugging message if required" (in 6.12, not in 6.1) the kernel says where it places
 * the segments only when the caller passes KEXEC_FILE_DEBUG, which kexec-tools 2.0.25 of Debian 12 never does.
 * Kernels without it refuse the unknown flag with EINVAL and are asked again without: there dynamic debug shows the
 * segments. See docs/decisions/0001-own-kexec-file-load.md.
 *
 * Freestanding, x86-64 only. Exit status: 0, the errno of the failed call, or 255 for wrong usage.
 */
#include "freestanding.h"

enum { SYS_open = 2, SYS_ioctl = 16, SYS_kexec_file_load = 320 };
enum { TCSBRK = 0x5409, O_RDONLY_CLOEXEC = 02000000, EINVAL = 22 };
enum { KEXEC_FILE_ON_CRASH = 0x2, KEXEC_FILE_NO_INITRAMFS = 0x4, KEXEC_FILE_DEBUG = 0x8 };

/* Says "WHAT: ok" or "WHAT: errno N"; gives the exit status. */
static int outcome(const char *what, long result)
{
	put(what);
	if (result >= 0) {
		put(": ok\n");
		return 0;
	}
	put(": errno ");
	put_number(-result);
	put("\n");
	return -result;
}

static const char *name(long flags)
{
	static char text[] = "kexec_file_load flags=0x0";

	text[sizeof(text) - 2] = "0123456789abcdef"[flags & 0xf];
	return text;
}

static int load(const char *kernel, const char *initrd, const char *cmdline, long flags)
{
	long kernel_fd = call(SYS_open, (long)kernel, O_RDONLY_CLOEXEC, 0, 0, 0, 0);
	long initrd_fd = same(initrd, "none") ? -1 : call(SYS_open, (long)initrd, O_RDONLY_CLOEXEC, 0, 0, 0, 0);
	long size = length(cmdline) + 1;
	long result;

	if (kernel_fd < 0)
		return outcome("open kernel", kernel_fd);
	if (same(initrd, "none"))
		flags |= KEXEC_FILE_NO_INITRAMFS;
	else if (initrd_fd < 0)
		return outcome("open initrd", initrd_fd);
	result = call(SYS_kexec_file_load, kernel_fd, initrd_fd, size, (long)cmdline,
		      flags | KEXEC_FILE_DEBUG, 0);
	if (result != -EINVAL)
		return outcome(name(flags | KEXEC_FILE_DEBUG), result);
	result = call(SYS_kexec_file_load, kernel_fd, initrd_fd, size, (long)cmdline, flags, 0);
	return outcome(name(flags), result);
}

static int run(int argc, char **argv)
{
	if (argc == 5 && same(argv[1], "file"))
		return load(argv[2], argv[3], argv[4], 0);
	if (argc == 5 && same(argv[1], "crash-file"))
		return load(argv[2], argv[3], argv[4], KEXEC_FILE_ON_CRASH);
	if (argc == 2 && same(argv[1], "drain")) {
		long result = call(SYS_ioctl, 0, TCSBRK, 1, 0, 0, 0);

		return result ? outcome("tcdrain", result) : 0;
	}
	put("usage: hkexec file|crash-file KERNEL INITRD CMDLINE | hkexec drain\n");
	return 255;
}
