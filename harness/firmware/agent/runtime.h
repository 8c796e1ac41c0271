/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The runtime driver: loaded, told what to do, and reported. */
#ifndef HARNESS_AGENT_RUNTIME_H
#define HARNESS_AGENT_RUNTIME_H

#include "plan.h"

/* Fails with an `error` frame when the firmware lacks a service that is to be hooked. Changes nothing. */
void runtime_check(const struct runtime_plan *plan);

/* Loads and starts the driver; after all other allocations of runtime memory. */
void runtime_install(const struct runtime_plan *plan, struct span nonce);

/* Chooses what was left open, settles the Memory Attributes Table and reports a `runtime` frame. */
void report_runtime(const struct runtime_plan *plan);

#endif
