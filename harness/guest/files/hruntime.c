/*
 * hruntime: one thing that may never come back, in a process of its own, with a time limit.
 *
 *   hruntime SECONDS write FILE ATTRIBUTES TEXT   one write(2) of a new EFI variable: a number, then the text
 *   hruntime SECONDS get-time FILE                EFI_RUNTIME_GET_TIME of /dev/efi_test (CONFIG_EFI_TEST)
 *   hruntime SECONDS round-trips COUNT FILE       writes of one EFI variable, each read back and compared
 *   hruntime SECONDS alive DISK OUTPUT            fork, memory, and the disk's first page into OUTPUT, past the cache
 *
 * Prints KEY=VALUE lines: returned (yes, no, killed), at (what it did last), errno (0, or that of the call that failed;
 * 1000: another value than was written), us (microseconds of that call), and what the comments below say. After the time
 * limit the process is left alone: returned=no, its pid, and its state letter (proc(5)).
 *
 * Freestanding, x86-64 only. Exit status: 0 when the process came back, whatever it found; 1 when not; 255 for wrong
 * usage.
 */
#include "freestanding.h"

enum { SYS_read, SYS_write, SYS_open, SYS_close, SYS_poll = 7, SYS_mmap = 9, SYS_munmap = 11, SYS_ioctl = 16 };
enum { SYS_pipe = 22, SYS_fork = 57, SYS_exit = 60, SYS_wait4 = 61, SYS_clock_gettime = 228 };
enum { O_RDONLY = 0, O_WRONLY_CREAT = 0101, O_WRONLY_CREAT_TRUNC = 01101, O_DIRECT = 040000, EPERM = 1, EINTR = 4 };
enum { PROT_RW = 3, SHARED_ANONYMOUS = 0x21, PRIVATE_ANONYMOUS = 0x22, POLLIN = 1, CLOCK_MONOTONIC = 1 };
enum { PAGE = 4096, MEMORY = 16 << 20, VALUE = 64, DIFFERENT = 1000, FORKED = 42 };
#define FS_IOC_SETFLAGS 0x40086602
#define EFI_RUNTIME_GET_TIME 0x80187003

/* Shared with the process that does it, so that a call that hangs shows where. */
struct log {
	const char *volatile at;
	unsigned long error, us, status, done, slowest_us, fork, memory, disk;
};

static unsigned long now_us(void)
{
	long time[2];

	call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)time, 0, 0, 0, 0);
	return time[0] * 1000000UL + time[1] / 1000;
}

/* The result of a call that began at began_us, into the log; false when it failed. */
static int went(struct log *log, unsigned long began_us, long result)
{
	log->us = now_us() - began_us;
	log->error = result < 0 ? -result : 0;
	return result >= 0;
}

/* efivarfs makes variables that it does not know immutable (FS_IMMUTABLE_FL); that is taken back. */
static long open_variable(const char *path)
{
	long fd = call(SYS_open, (long)path, O_WRONLY_CREAT, 0600, 0, 0, 0);
	unsigned int none = 0;

	if (fd != -EPERM)
		return fd;
	fd = call(SYS_open, (long)path, O_RDONLY, 0, 0, 0, 0);
	if (fd < 0)
		return fd;
	call(SYS_ioctl, fd, FS_IOC_SETFLAGS, (long)&none, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	return call(SYS_open, (long)path, O_WRONLY_CREAT, 0600, 0, 0, 0);
}

static void write_variable(struct log *log, const char *path, const char *data, unsigned long bytes)
{
	unsigned long began_us = now_us();
	long fd, result;

	log->at = "open";
	fd = open_variable(path);
	if (!went(log, began_us, fd))
		return;
	began_us = now_us();
	log->at = "write";
	result = call(SYS_write, fd, (long)data, bytes, 0, 0, 0);
	went(log, began_us, result);
	if (result >= 0 && result != (long)bytes)
		log->error = DIFFERENT;
	call(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Only the write is timed and may fail; EINTR is not tried again. */
static int do_write(struct log *log, char **arguments)
{
	unsigned long attributes, bytes = length(arguments[2]);
	char data[256];

	if (!number(arguments[1], &attributes) || bytes > sizeof(data) - 4)
		return 0;
	for (unsigned long i = 0; i < 4; i++)
		data[i] = attributes >> 8 * i;
	for (unsigned long i = 0; i < bytes; i++)
		data[4 + i] = arguments[2][i];
	write_variable(log, arguments[0], data, 4 + bytes);
	return 1;
}

/* status: the EFI_STATUS, since the ioctl makes EINVAL of all errors. */
static int do_get_time(struct log *log, char **arguments)
{
	unsigned char time[16], capabilities[16];
	struct {
		void *time, *capabilities;
		unsigned long *status;
	} request = { time, capabilities, &log->status };
	unsigned long began_us = now_us();
	long fd;

	log->at = "open";
	fd = call(SYS_open, (long)arguments[0], O_RDONLY, 0, 0, 0, 0);
	if (!went(log, began_us, fd))
		return 1;
	began_us = now_us();
	log->at = "ioctl";
	went(log, began_us, call(SYS_ioctl, fd, EFI_RUNTIME_GET_TIME, (long)&request, 0, 0, 0));
	return 1;
}

static int read_back(struct log *log, const char *path, const char *wrote)
{
	char found[VALUE + 1];
	unsigned long began_us = now_us();
	long fd, result;

	log->at = "read";
	fd = call(SYS_open, (long)path, O_RDONLY, 0, 0, 0, 0);
	if (!went(log, began_us, fd))
		return 0;
	result = call(SYS_read, fd, (long)found, sizeof(found), 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (!went(log, began_us, result))
		return 0;
	for (long i = 0; i < VALUE; i++)
		if (result != VALUE || found[i] != wrote[i])
			log->error = DIFFERENT;
	return !log->error;
}

/*
 * done: round trips without fault, up to the first that failed; slowest_us: of one write. Non-volatile, since no other
 * variable can be made at run time (UEFI 2.10, 8.2); firmware does not tidy up then, so some 1400 fit into OVMF's store.
 */
static int do_round_trips(struct log *log, char **arguments)
{
	unsigned long count;
	char value[VALUE];

	if (!number(arguments[0], &count))
		return 0;
	for (unsigned long n = 0; n < count; n++) {
		for (unsigned long i = 0; i < VALUE; i++)
			value[i] = i < 4 ? (i ? 0 : 7) : (n + i) * 0x9e3779b97f4a7c15 >> 56;
		write_variable(log, arguments[1], value, VALUE);
		if (log->us > log->slowest_us)
			log->slowest_us = log->us;
		if (log->error || !read_back(log, arguments[1], value))
			return 1;
		log->done++;
	}
	return 1;
}

static unsigned long try_fork(void)
{
	int status = 0;
	long child = call(SYS_fork, 0, 0, 0, 0, 0, 0);

	if (child == 0)
		call(SYS_exit, FORKED, 0, 0, 0, 0, 0);
	if (child < 0)
		return -child;
	if (call(SYS_wait4, child, (long)&status, 0, 0, 0, 0) != child || status != FORKED << 8)
		return DIFFERENT;
	return 0;
}

static unsigned long try_memory(void)
{
	long base = call(SYS_mmap, 0, MEMORY, PROT_RW, PRIVATE_ANONYMOUS, -1, 0);

	if (base < 0 && base > -PAGE)
		return -base;
	for (unsigned long at = base; at < base + (unsigned long)MEMORY; at += PAGE)
		*(volatile unsigned long *)at = at * 0x9e3779b97f4a7c15;
	for (unsigned long at = base; at < base + (unsigned long)MEMORY; at += PAGE)
		if (*(volatile unsigned long *)at != at * 0x9e3779b97f4a7c15)
			return DIFFERENT;
	call(SYS_munmap, base, MEMORY, 0, 0, 0, 0);
	return 0;
}

static unsigned long try_disk(const char *disk, const char *output)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	long fd = call(SYS_open, (long)disk, O_RDONLY | O_DIRECT, 0, 0, 0, 0), result;

	if (fd < 0)
		return -fd;
	result = call(SYS_read, fd, (long)page, PAGE, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (result != PAGE)
		return result < 0 ? -result : DIFFERENT;
	fd = call(SYS_open, (long)output, O_WRONLY_CREAT_TRUNC, 0600, 0, 0, 0);
	if (fd < 0)
		return -fd;
	result = call(SYS_write, fd, (long)page, PAGE, 0, 0, 0);
	return result == PAGE ? 0 : DIFFERENT;
}

/* fork, memory, disk: 0, an errno, or 1000. */
static int do_alive(struct log *log, char **arguments)
{
	unsigned long began_us = now_us();

	log->at = "fork";
	log->fork = try_fork();
	log->at = "memory";
	log->memory = try_memory();
	log->at = "disk";
	log->disk = try_disk(arguments[0], arguments[1]);
	log->us = now_us() - began_us;
	log->error = log->fork ? log->fork : log->memory ? log->memory : log->disk;
	return 1;
}

static int perform(struct log *log, int argc, char **argv)
{
	if (argc == 6 && same(argv[2], "write"))
		return do_write(log, argv + 3);
	if (argc == 4 && same(argv[2], "get-time"))
		return do_get_time(log, argv + 3);
	if (argc == 5 && same(argv[2], "round-trips"))
		return do_round_trips(log, argv + 3);
	if (argc == 5 && same(argv[2], "alive"))
		return do_alive(log, argv + 3);
	return 0;
}

/* From /proc/PID/stat: the letter behind the name, or '?', and 36 fields later the CPU it ran on last. */
static void say_state(unsigned long pid)
{
	char path[40], text[1024], state[2] = "?", *cpu = 0;
	char *at = path + sizeof(path);
	long fd, bytes, fields = 0;

	for (int i = sizeof("/stat") - 1; i >= 0; i--)
		*--at = "/stat"[i];
	do
		*--at = '0' + pid % 10;
	while (pid /= 10);
	for (int i = sizeof("/proc/") - 2; i >= 0; i--)
		*--at = "/proc/"[i];
	fd = call(SYS_open, (long)at, O_RDONLY, 0, 0, 0, 0);
	bytes = fd < 0 ? 0 : call(SYS_read, fd, (long)text, sizeof(text), 0, 0, 0);
	for (long i = 0; i + 2 < bytes; i++) {
		if (text[i] == ')') {
			state[0] = text[i + 2];
			fields = 0;
		} else if (text[i] == ' ' && ++fields == 37) {
			cpu = text + i + 1;
		} else if (text[i] == ' ' && fields == 38) {
			text[i] = 0;
		}
	}
	say("state=", state);
	if (cpu)
		say("cpu=", cpu);
}

static void report(const struct log *log)
{
	say("at=", log->at ? log->at : "start");
	say_number("errno=", log->error);
	say_number("us=", log->us);
	say_number("status=", log->status);
	say_number("done=", log->done);
	say_number("slowest_us=", log->slowest_us);
	say_number("fork=", log->fork);
	say_number("memory=", log->memory);
	say_number("disk=", log->disk);
}

/* Waits until the process has closed its end of the pipe. */
static int in_time(int fd, unsigned long seconds)
{
	unsigned long end_us = now_us() + seconds * 1000000, left_us;
	struct {
		int fd;
		short events, revents;
	} wanted = { fd, POLLIN, 0 };
	long result;

	do {
		left_us = end_us > now_us() ? end_us - now_us() : 0;
		result = call(SYS_poll, (long)&wanted, 1, (left_us + 999) / 1000, 0, 0, 0);
	} while (result == -EINTR);
	return result > 0;
}

static int run(int argc, char **argv)
{
	unsigned long seconds;
	int pipe[2], status = 0;
	struct log *log;
	long child;

	log = (struct log *)call(SYS_mmap, 0, sizeof(*log), PROT_RW, SHARED_ANONYMOUS, -1, 0);
	if (argc < 4 || !number(argv[1], &seconds) || (long)log < 0 || call(SYS_pipe, (long)pipe, 0, 0, 0, 0, 0)) {
		say("usage: hruntime SECONDS write|get-time|round-trips|alive ...", "");
		return 255;
	}
	child = call(SYS_fork, 0, 0, 0, 0, 0, 0);
	if (child == 0) {
		/* It may live for ever, and nobody is to wait for it. */
		for (int fd = 0; fd < 3; fd++)
			call(SYS_close, fd, 0, 0, 0, 0, 0);
		return perform(log, argc, argv) ? 0 : 255;
	}
	call(SYS_close, pipe[1], 0, 0, 0, 0, 0);
	if (child < 0 || !in_time(pipe[0], seconds)) {
		say("returned=", "no");
		report(log);
		say_number("pid=", child < 0 ? 0 : child);
		if (child > 0)
			say_state(child);
		return 1;
	}
	call(SYS_wait4, child, (long)&status, 0, 0, 0, 0);
	if (status == 255 << 8) {
		say("usage: hruntime SECONDS write|get-time|round-trips|alive ...", "");
		return 255;
	}
	say("returned=", status ? "killed" : "yes");
	if (status)
		say_number("end=", status);
	report(log);
	return status != 0;
}
