/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame.h"

#include "agent.h"
#include "port.h"
#include "serial.h"

#define DEBUGCON 0x402 /* OVMF's debug port: errors go there too, for a person who reads the firmware's log */

static struct {
	char nonce[9];
	UINT32 sequence;
	UINT32 crc;
	UINT32 group;       /* bytes that wait for base64, the first one highest */
	UINT32 group_bytes; /* 0, 1 or 2 of them */
	BOOLEAN any_payload;
	BOOLEAN in_body;
	EFI_TPL tpl;
} frame = { .nonce = "00000000" };

/* CRC-32 of IEEE 802.3, bit by bit: some 10 KB a run do not need a table. */
static UINT32 crc32_byte(UINT32 crc, UINT8 byte)
{
	crc ^= byte;
	for (int bit = 0; bit < 8; bit++)
		crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
	return crc;
}

static void put_plain(const char *chars)
{
	while (*chars)
		serial_write(*chars++);
}

static void put_covered(char c)
{
	frame.crc = crc32_byte(frame.crc, (UINT8)c);
	serial_write(c);
}

static void put_covered_text(const char *chars)
{
	while (*chars)
		put_covered(*chars++);
}

static void flush_group(void)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	UINT32 bits = frame.group << (8 * (3 - frame.group_bytes));

	if (!frame.group_bytes)
		return;
	for (UINT32 i = 0; i < 4; i++)
		put_covered(i <= frame.group_bytes ? alphabet[bits >> (18 - 6 * i) & 63] : '=');
	frame.group = frame.group_bytes = 0;
}

static void put_payload(const void *data, UINTN size)
{
	const UINT8 *bytes = data;

	if (size)
		frame.any_payload = 1;
	for (UINTN i = 0; i < size; i++) {
		frame.group = frame.group << 8 | bytes[i];
		if (++frame.group_bytes == 3)
			flush_group();
	}
}

static void put_payload_text(const char *chars)
{
	for (; *chars; chars++)
		put_payload(chars, 1);
}

void frame_nonce(struct span nonce)
{
	memcpy(frame.nonce, nonce.start, 8);
}

void frame_begin(const char *kind)
{
	struct text number;

	/* OVMF's terminal driver may touch the port's registers from a timer event: keep it out till the end. */
	frame.tpl = boot_services->RaiseTPL(TPL_HIGH_LEVEL);
	frame.crc = ~0U;
	frame.any_payload = frame.in_body = 0;
	put_plain("\n@HL1 ");
	put_covered_text(frame.nonce);
	put_covered(' ');
	text_clear(&number);
	text_decimal(&number, ++frame.sequence);
	put_covered_text(number.chars);
	put_covered(' ');
	put_covered_text(kind);
	put_covered(' ');
}

void frame_field(const char *key, const char *value)
{
	put_payload_text(key);
	put_payload_text("=");
	put_payload_text(value);
	put_payload_text("\n");
}

void frame_field_hex(const char *key, UINT64 number)
{
	struct text text;

	text_clear(&text);
	text_hex(&text, number);
	frame_field(key, text.chars);
}

void frame_field_decimal(const char *key, UINT64 number)
{
	struct text text;

	text_clear(&text);
	text_decimal(&text, number);
	frame_field(key, text.chars);
}

void frame_body(const void *data, UINTN size)
{
	if (!frame.in_body)
		put_payload_text("\n");
	frame.in_body = 1;
	put_payload(data, size);
}

void frame_end(void)
{
	flush_group();
	if (!frame.any_payload)
		put_covered('-');
	serial_write(' ');
	for (int shift = 28; shift >= 0; shift -= 4)
		serial_write("0123456789abcdef"[~frame.crc >> shift & 15]);
	put_plain("\n");
	boot_services->RestoreTPL(frame.tpl);
}

__attribute__((noreturn)) void fail(const char *what, EFI_STATUS status)
{
	/* The port first: the host may end the machine as soon as it has the frame. */
	for (const char *c = "harness agent: "; *c; c++)
		out8(DEBUGCON, (UINT8)*c);
	for (const char *c = what; *c; c++)
		out8(DEBUGCON, (UINT8)*c);
	out8(DEBUGCON, '\n');
	frame_begin("error");
	frame_field("what", what);
	frame_field_hex("status", status);
	frame_end();
	for (;;) /* with interrupts off nothing ends this but the host, and no processor time is spent */
		__asm__ volatile("cli; hlt");
}
