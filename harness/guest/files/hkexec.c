/*
 * hkexec: the two system calls that the guest's packaged tools cannot make.
 *
 *   hkexec file KERNEL INITRD CMDLINE   kexec_file_load(2) with KEXEC_FILE_DEBUG
 *   hkexec crash-file KERNEL INITRD CMDLINE   the same with KEXEC_FILE_ON_CRASH, for the capture kernel
 *   hkexec drain                        tcdrain(3) on standard input
 *
 * Since "kexec_file: print out debugging message if required" (in 6.12, not in 6.1) the kernel says where it places
 * the segments only when the caller passes KEXEC_FILE_DEBUG, which kexec-tools 2.0.25 of Debian 12 never does.
 * Kernels without it refuse the unknown flag with EINVAL and are asked again without: there dynamic debug shows the
 * segments. See docs/decisions/0001-own-kexec-file-load.md.
 *
 * Freestanding, x86-64 only. Exit status: 0, the errno of the failed call, or 255 for wrong usage.
 */
enum { SYS_write = 1, SYS_open = 2, SYS_ioctl = 16, SYS_exit = 60, SYS_kexec_file_load = 320 };
enum { TCSBRK = 0x5409, O_RDONLY_CLOEXEC = 02000000, EINVAL = 22 };
enum { KEXEC_FILE_ON_CRASH = 0x2, KEXEC_FILE_DEBUG = 0x8 };

static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

static unsigned long length(const char *text)
{
	unsigned long n = 0;

	while (text[n])
		n++;
	return n;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void say(const char *text)
{
	call(SYS_write, 1, (long)text, length(text), 0, 0);
}

static void say_number(unsigned long value)
{
	char digits[24];
	char *at = digits + sizeof(digits);

	*--at = 0;
	do
		*--at = '0' + value % 10;
	while (value /= 10);
	say(at);
}

/* Says "WHAT: ok" or "WHAT: errno N"; gives the exit status. */
static int outcome(const char *what, long result)
{
	say(what);
	if (result >= 0) {
		say(": ok\n");
		return 0;
	}
	say(": errno ");
	say_number(-result);
	say("\n");
	return -result;
}

static int load(const char *kernel, const char *initrd, const char *cmdline, long flags)
{
	long kernel_fd = call(SYS_open, (long)kernel, O_RDONLY_CLOEXEC, 0, 0, 0);
	long initrd_fd = call(SYS_open, (long)initrd, O_RDONLY_CLOEXEC, 0, 0, 0);
	long size = length(cmdline) + 1;
	long result;

	if (kernel_fd < 0)
		return outcome("open kernel", kernel_fd);
	if (initrd_fd < 0)
		return outcome("open initrd", initrd_fd);
	result = call(SYS_kexec_file_load, kernel_fd, initrd_fd, size, (long)cmdline,
		      flags | KEXEC_FILE_DEBUG);
	if (result != -EINVAL)
		return outcome(flags ? "kexec_file_load flags=0xa" : "kexec_file_load flags=0x8", result);
	result = call(SYS_kexec_file_load, kernel_fd, initrd_fd, size, (long)cmdline, flags);
	return outcome(flags ? "kexec_file_load flags=0x2" : "kexec_file_load flags=0x0", result);
}

static int run(int argc, char **argv)
{
	if (argc == 5 && same(argv[1], "file"))
		return load(argv[2], argv[3], argv[4], 0);
	if (argc == 5 && same(argv[1], "crash-file"))
		return load(argv[2], argv[3], argv[4], KEXEC_FILE_ON_CRASH);
	if (argc == 2 && same(argv[1], "drain")) {
		long result = call(SYS_ioctl, 0, TCSBRK, 1, 0, 0);

		return result ? outcome("tcdrain", result) : 0;
	}
	say("usage: hkexec file|crash-file KERNEL INITRD CMDLINE | hkexec drain\n");
	return 255;
}

__attribute__((used)) static void start(long *stack)
{
	call(SYS_exit, run(stack[0], (char **)(stack + 1)), 0, 0, 0, 0);
	__builtin_unreachable();
}

/* The ABI enters with argc at (%rsp) and no return address. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
