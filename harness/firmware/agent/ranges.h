/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ranges of a plan: memory that gets another type in the map that the kernel gets. */
#ifndef HARNESS_AGENT_RANGES_H
#define HARNESS_AGENT_RANGES_H

#include "plan.h"

/* Whether the plan is possible on this firmware. Nothing is changed; a range that is not ends in an `error` frame. */
void ranges_check(const struct plan *plan);

/* Makes the ranges that must be exactly so, or (`fit`) what can be had of the others. */
void ranges_make(const struct plan *plan, BOOLEAN fit);

void report_ranges(void); /* `range`, one a piece that was made */

#endif
