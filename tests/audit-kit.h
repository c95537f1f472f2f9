/* SPDX-License-Identifier: MIT
 *
 * audit-kit.h - for tests of the audit: what it must find, to the letter.
 *
 * See also: engine/audit.h, engine/audit.def.
 */
#ifndef HUGELITE_TEST_AUDIT_KIT_H
#define HUGELITE_TEST_AUDIT_KIT_H

#include "audit.h"
#include "kit.h"

/* What an audit finds: names of audit.def and how many (0 = some), in pairs, NULL at the end; nothing
 * else may be found.  Then a repair finds the same and leaves nothing; then a third finds nothing. */
void ak_mend(struct hugelite_pool *pool, ...);

/* The same, but the repair must leave alone what it finds. */
void ak_stays(struct hugelite_pool *pool, ...);

/* It finds nothing, and the budget adds up. */
struct hl_audit ak_clean(struct hugelite_pool *pool);

#endif
