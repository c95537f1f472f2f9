/* SPDX-License-Identifier: MIT
 *
 * audit-kit.c - runs audits and compares what they find with a list.
 *
 * Entry points: audit-kit.h.
 */
#include "config.h"

#include "audit-kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct heard {
    char text[4096];
    unsigned nr;
};

static void hear(void *arg, enum hl_finding kind, bool repaired, const char *text)
{
    struct heard *heard = arg;
    size_t at = strlen(heard->text);

    heard->nr++;
    snprintf(heard->text + at, sizeof heard->text - at, "\n    %s%s: %s",
             hl_finding_kinds[kind].name, repaired ? " (repaired)" : "", text);
}

static struct hl_audit run(struct hugelite_pool *pool, bool repair, struct heard *heard)
{
    struct hl_audit audit;
    unsigned nr = 0;

    *heard = (struct heard){ .nr = 0 };
    EXPECT_RC(hl_audit(pool, repair, hear, heard, &audit), 0);
    for (unsigned i = 0; i < HL_FINDINGS; i++)
        nr += (unsigned)audit.found[i];
    EXPECT_EQ(heard->nr, nr);
    return audit;
}

static void compare(const struct hl_audit *audit, const struct heard *heard, va_list list)
{
    bool expected[HL_FINDINGS] = { false };
    const char *name;

    while ((name = va_arg(list, const char *))) {
        uint64_t nr = va_arg(list, unsigned);
        unsigned kind = 0;

        while (kind < HL_FINDINGS && strcmp(hl_finding_kinds[kind].name, name))
            kind++;
        EXPECT(kind < HL_FINDINGS);
        expected[kind] = true;
        if (nr ? audit->found[kind] != nr : audit->found[kind] == 0)
            test_fail(__FILE__, __LINE__, "%s: %llu found, expected %llu, of:%s", name,
                      (unsigned long long)audit->found[kind], (unsigned long long)nr,
                      heard->text);
    }
    for (unsigned kind = 0; kind < HL_FINDINGS; kind++)
        if (audit->found[kind] && !expected[kind])
            test_fail(__FILE__, __LINE__, "%s: %llu found, expected none, of:%s",
                      hl_finding_kinds[kind].name, (unsigned long long)audit->found[kind],
                      heard->text);
}

struct hl_audit ak_clean(struct hugelite_pool *pool)
{
    struct heard heard;
    struct hl_audit audit = run(pool, false, &heard);

    if (heard.nr)
        test_fail(__FILE__, __LINE__, "%u findings, expected none:%s", heard.nr, heard.text);
    EXPECT_EQ(audit.free + audit.resident + audit.moving + audit.orphaned,
              audit.tickets + audit.over);
    return audit;
}

void ak_mend(struct hugelite_pool *pool, ...)
{
    struct hl_audit audit;
    struct heard heard;
    va_list list, again;

    va_start(list, pool);
    va_copy(again, list);
    audit = run(pool, false, &heard);
    compare(&audit, &heard, list);
    audit = run(pool, true, &heard);
    compare(&audit, &heard, again);
    if (hl_audit_open(&audit, false))
        test_fail(__FILE__, __LINE__, "not all is repaired:%s", heard.text);
    va_end(again);
    va_end(list);
    ak_clean(pool);
}

void ak_stays(struct hugelite_pool *pool, ...)
{
    struct hl_audit audit;
    struct heard heard;
    va_list list, again;

    va_start(list, pool);
    va_copy(again, list);
    audit = run(pool, true, &heard);
    compare(&audit, &heard, list);
    for (unsigned kind = 0; kind < HL_FINDINGS; kind++)
        EXPECT_EQ(audit.repaired[kind], 0);
    EXPECT(hl_audit_open(&audit, false) > 0);
    audit = run(pool, false, &heard);
    compare(&audit, &heard, again);
    va_end(again);
    va_end(list);
}
