/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "serial.h"

#include "port.h"

#define COM2 0x2f8

/* 16550 registers and bits (TL16C550 data sheet, table 4) */
enum { DATA = 0, DIVISOR_LOW = 0, INTERRUPT_ENABLE = 1, DIVISOR_HIGH = 1, FIFO = 2, LINE = 3, MODEM = 4, STATUS = 5 };
#define LINE_8N1 0x03
#define LINE_DIVISOR_LATCH 0x80
#define FIFO_ENABLE_AND_CLEAR 0x07
#define MODEM_DTR_RTS 0x03
#define STATUS_RECEIVED 0x01
#define STATUS_CAN_SEND 0x20

void serial_init(void)
{
	out8(COM2 + INTERRUPT_ENABLE, 0);
	out8(COM2 + LINE, LINE_DIVISOR_LATCH);
	out8(COM2 + DIVISOR_LOW, 1); /* 115200 baud */
	out8(COM2 + DIVISOR_HIGH, 0);
	out8(COM2 + LINE, LINE_8N1);
	out8(COM2 + FIFO, FIFO_ENABLE_AND_CLEAR);
	out8(COM2 + MODEM, MODEM_DTR_RTS);
}

void serial_write(char c)
{
	while (!(in8(COM2 + STATUS) & STATUS_CAN_SEND))
		__builtin_ia32_pause();
	out8(COM2 + DATA, (UINT8)c);
}

int serial_read(void)
{
	return in8(COM2 + STATUS) & STATUS_RECEIVED ? in8(COM2 + DATA) : -1;
}
