/*
 * hstress: calls firmware on every CPU while other processes map, fill, check and unmap the addresses that firmware's
 * own mappings have in the EFI page tables.
 *
 *   hstress CALLS LOADERS BASE BYTES COMMAND VARIABLE
 *
 * CALLS pairs of a write to COMMAND (SetVariable) and a read of VARIABLE (GetVariable), two files in efivarfs, each pair
 * on the next CPU; VARIABLE is made first. LOADERS processes (at most 16), each with pages of its own at BASE, decimal,
 * until the calls are done, but at least one round each. A page that does not hold what its process wrote was reached
 * through another address space's translation.
 *
 * Prints KEY=VALUE lines. Freestanding, x86-64 only. Exit status: 0, 1 when anything was wrong, 255 for wrong usage.
 */
#include "freestanding.h"

enum { SYS_read, SYS_write, SYS_open, SYS_close, SYS_mmap = 9, SYS_munmap = 11, SYS_sched_yield = 24 };
enum { SYS_fork = 57, SYS_exit = 60, SYS_wait4 = 61, SYS_setaffinity = 203, SYS_getaffinity = 204 };
enum { O_WRONLY_CREAT = 0101, WNOHANG = 1 };
enum { PROT_RW = 3, SHARED_ANONYMOUS = 0x21, PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x100022 };
enum { PAGE = 4096, WORDS = PAGE / 8, MAX_LOADERS = 16, MAX_CPUS = 1024, VALUE = 64 };

struct loader {
	unsigned long rounds, bad, address, expected, found, error;
};

struct shared {
	unsigned long stop;
	struct loader loaders[MAX_LOADERS];
};

/* The CPUs that this process was given; read once, before it moves. */
static unsigned char all[MAX_CPUS / 8];

static unsigned long count_cpus(void)
{
	unsigned long count = 0;

	call(SYS_getaffinity, 0, sizeof(all), (long)all, 0, 0, 0);
	for (unsigned long cpu = 0; cpu < MAX_CPUS; cpu++)
		count += all[cpu / 8] >> cpu % 8 & 1;
	return count;
}

/* Moves to the CPU with this place among them. */
static void pin(unsigned long place)
{
	static unsigned char one[MAX_CPUS / 8];

	for (unsigned long cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (cpu % 8 == 0)
			one[cpu / 8] = 0;
		if ((all[cpu / 8] >> cpu % 8 & 1) && place-- == 0)
			one[cpu / 8] |= 1 << cpu % 8;
	}
	call(SYS_setaffinity, 0, sizeof(one), (long)one, 0, 0, 0);
}

static unsigned long pattern(unsigned long address, unsigned long seed)
{
	return (address + seed * 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
}

static void check(struct loader *log, unsigned long address, unsigned long expected)
{
	unsigned long found = *(volatile unsigned long *)address;

	if (found == expected)
		return;
	if (log->bad++ == 0) {
		log->address = address;
		log->expected = expected;
		log->found = found;
	}
}

/* Eight words of each page: the first, the last, and some between. */
static void each_word(struct loader *log, unsigned long base, unsigned long bytes, unsigned long seed, int fill)
{
	for (unsigned long address = base; address < base + bytes; address += PAGE)
		for (unsigned long word = 0; word < WORDS; word += (WORDS - 1) / 7) {
			unsigned long at = address + word * 8;

			if (fill)
				*(volatile unsigned long *)at = pattern(at, seed);
			else
				check(log, at, pattern(at, seed));
		}
}

static int map(struct loader *log, unsigned long base, unsigned long bytes)
{
	long got = call(SYS_mmap, base, bytes, PROT_RW, PRIVATE_ANONYMOUS_FIXED_NOREPLACE, -1, 0);

	if (got == (long)base)
		return 1;
	log->error = got < 0 ? -got : 1;
	return 0;
}

/* One process: fresh pages must be zero, and keep what is written to them, whoever runs in between. */
static void load(volatile unsigned long *stop, struct loader *log, unsigned long which, unsigned long base,
		 unsigned long bytes)
{
	for (unsigned long seed = which + 1; !*stop; seed += MAX_LOADERS) {
		if (!map(log, base, bytes))
			return;
		for (unsigned long address = base; address < base + bytes; address += PAGE)
			check(log, address, 0);
		each_word(log, base, bytes, seed, 1);
		call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
		each_word(log, base, bytes, seed, 0);
		call(SYS_munmap, base, bytes, 0, 0, 0, 0);
		log->rounds++;
	}
}

/* Makes the variable that is read all the time: non-volatile, as no other can be made once boot services have ended. */
static long make_variable(const char *path, const unsigned char *content)
{
	long fd = call(SYS_open, (long)path, O_WRONLY_CREAT, 0600, 0, 0, 0), result;

	if (fd < 0)
		return -fd;
	result = call(SYS_write, fd, (long)content, VALUE, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	return result < 0 ? -result : 0;
}

/* One SetVariable and one GetVariable; 0, an errno, or 1000 when what is read is not what was written. */
static long round_trip(const char *command, const char *path, const unsigned char *content)
{
	static const char nothing[] = "\6\0\0\0none"; /* the runtime driver has to do nothing */
	unsigned char read[VALUE + 1];
	long result = 0, fd = call(SYS_open, (long)command, O_WRONLY_CREAT, 0600, 0, 0, 0);

	if (fd < 0)
		return -fd;
	result = call(SYS_write, fd, (long)nothing, sizeof(nothing) - 1, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (result < 0)
		return -result;
	fd = call(SYS_open, (long)path, 0, 0, 0, 0, 0);
	if (fd < 0)
		return -fd;
	result = call(SYS_read, fd, (long)read, VALUE + 1, 0, 0, 0);
	call(SYS_close, fd, 0, 0, 0, 0, 0);
	if (result != VALUE)
		return result < 0 ? -result : 1000;
	for (int i = 0; i < VALUE; i++)
		if (read[i] != content[i])
			return 1000;
	return 0;
}

/* Until a process has done one round; its number is taken away when it has ended before that. */
static void await_round(volatile struct loader *log, long *child, int *end)
{
	while (*child > 0 && !log->rounds) {
		if (call(SYS_wait4, *child, (long)end, WNOHANG, 0, 0, 0) == *child)
			*child = 0;
		call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
}

static int report(const struct shared *shared, unsigned long loaders, const int *ends)
{
	int wrong = 0;

	for (unsigned long i = 0; i < loaders; i++) {
		const struct loader *log = &shared->loaders[i];

		say_number("loader=", i);
		say_number("rounds=", log->rounds);
		say_number("bad=", log->bad);
		say_number("address=", log->address);
		say_number("expected=", log->expected);
		say_number("found=", log->found);
		say_number("error=", log->error);
		say_number("end=", ends[i]);
		wrong |= log->bad || log->error || ends[i];
	}
	return wrong;
}

static int run(int argc, char **argv)
{
	unsigned long calls, loaders, base, bytes, cpus, failed = 0, first = 0;
	long children[MAX_LOADERS];
	int ends[MAX_LOADERS], wrong;
	unsigned char content[VALUE];
	struct shared *shared;

	if (argc != 7 || !number(argv[1], &calls) || !number(argv[2], &loaders) || !number(argv[3], &base) ||
	    !number(argv[4], &bytes) || !calls || !loaders || loaders > MAX_LOADERS || base % PAGE || bytes % PAGE) {
		say("usage: hstress CALLS LOADERS BASE BYTES COMMAND VARIABLE", "");
		return 255;
	}
	cpus = count_cpus();
	if (!cpus)
		return 1;
	shared = (struct shared *)call(SYS_mmap, 0, sizeof(*shared), PROT_RW, SHARED_ANONYMOUS, -1, 0);
	if ((long)shared < 0 && (long)shared > -PAGE)
		return 1;
	for (unsigned long i = 0; i < loaders; i++) {
		children[i] = call(SYS_fork, 0, 0, 0, 0, 0, 0);
		if (children[i] == 0) {
			pin(i % cpus);
			load(&shared->stop, &shared->loaders[i], i, base, bytes);
			return 0;
		}
	}
	for (unsigned long i = 0; i < VALUE; i++)
		content[i] = i < 4 ? (i ? 0 : 7) : pattern(i, 1) >> 56; /* the attributes first */
	first = make_variable(argv[6], content);
	for (unsigned long i = 0; i < calls; i++) {
		pin(i % cpus);
		long result = round_trip(argv[5], argv[6], content);

		if (result && failed++ == 0 && !first)
			first = result;
	}
	for (unsigned long i = 0; i < loaders; i++) {
		ends[i] = children[i] < 0 ? 255 : 0;
		await_round(&shared->loaders[i], &children[i], &ends[i]);
	}
	*(volatile unsigned long *)&shared->stop = 1;
	for (unsigned long i = 0; i < loaders; i++)
		if (children[i] > 0)
			call(SYS_wait4, children[i], (long)&ends[i], 0, 0, 0, 0);
	say_number("calls=", calls);
	say_number("failed=", failed);
	say_number("first=", first);
	say_number("cpus=", cpus);
	wrong = report(shared, loaders, ends);
	return wrong || failed;
}
