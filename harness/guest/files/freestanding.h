/*
 * What the guest's own programs share: system calls, text and the way in. Freestanding, x86-64 only. A program that
 * includes it defines run(), whose result is its exit status.
 */
#define MAY_BE_UNUSED __attribute__((unused))

enum { CALL_WRITE = 1, CALL_EXIT = 60 };

static int run(int argc, char **argv);

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
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

MAY_BE_UNUSED static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* The number that a text is, in decimal; false when it is none. */
MAY_BE_UNUSED static int number(const char *text, unsigned long *value)
{
	*value = 0;
	if (!*text)
		return 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return 0;
		*value = *value * 10 + (*text - '0');
	}
	return 1;
}

/* Text on standard output. */
static void put(const char *text)
{
	call(CALL_WRITE, 1, (long)text, length(text), 0, 0, 0);
}

static void put_number(unsigned long value)
{
	char digits[24];
	char *at = digits + sizeof(digits);

	*--at = 0;
	do
		*--at = '0' + value % 10;
	while (value /= 10);
	put(at);
}

/* A line KEYTEXT; the key brings its "=". */
MAY_BE_UNUSED static void say(const char *key, const char *text)
{
	put(key);
	put(text);
	put("\n");
}

MAY_BE_UNUSED static void say_number(const char *key, unsigned long value)
{
	put(key);
	put_number(value);
	put("\n");
}

__attribute__((used)) static void start(long *stack)
{
	call(CALL_EXIT, run(stack[0], (char **)(stack + 1)), 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

/* The ABI enters with argc at (%rsp) and no return address. */
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
