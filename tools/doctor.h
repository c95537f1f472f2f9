/* SPDX-License-Identifier: MIT
 *
 * doctor.h - the two files of hugelite doctor.
 */
#ifndef HL_DOCTOR_H
#define HL_DOCTOR_H

#include <stdbool.h>

/* doctor-audit.c: the books of a pool, in text or as JSON.  dir: NULL = the default pool.  Returns the
 * exit code: 0 when all is accounted for, or has been repaired. */
int hl_doctor_audit(const char *dir, bool repair, bool json);

#endif
