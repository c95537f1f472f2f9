/* SPDX-License-Identifier: MIT
 *
 * hugelite doctor --audit: account for every chunk, ticket, reader, volume and image of a pool, while
 * others use it, and put right what is wrong.
 *
 * Entry point: hl_doctor_audit().
 * See also: doctor.c, ../engine/audit.c (which does it).
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "doctor.h"
#include "pool.h"
#include "tools.h"

/* Sentences that are shown; the sums count all. */
enum { SHOWN_MAX = 100 };

struct sentence {
    enum hl_finding kind;
    bool repaired;
    char *text;
};

struct books {
    struct sentence shown[SHOWN_MAX];
    size_t nr;
    bool no_memory;
};

static void note(void *arg, enum hl_finding kind, bool repaired, const char *text)
{
    struct books *books = arg;

    if (books->nr == SHOWN_MAX)
        return;
    books->shown[books->nr] = (struct sentence){ kind, repaired, strdup(text) };
    if (books->shown[books->nr].text)
        books->nr++;
    else
        books->no_memory = true;
}

static void print_sentence(const struct sentence *sentence)
{
    printf("%20s- ", "");
    for (const char *p = sentence->text; *p; p++) /* a name must not play with the terminal */
        putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    puts(sentence->repaired ? " (repaired)" : "");
}

static void print_text(const struct hugelite_pool_stat *stat, const struct hl_audit *audit,
                       const struct books *books, bool repair)
{
    char text[HL_UNITS_ROOM];

    printf("%-12s %s, %s\n", "pool", stat->dir,
           strcmp(stat->pages, "hugetlb") == 0 ? "huge pages" : "small pages");
    printf("%-12s %u, this program included\n", "processes", audit->members);
    printf("%-12s %u, opened %u times, %u chunks are held\n", "volumes", audit->volumes,
           audit->readers, audit->pins);
    printf("%-12s %u chunks: %u resident, %u free, %u being filled or evicted\n", "budget",
           audit->tickets, audit->resident, audit->free, audit->moving);
    printf("%-12s %s\n", "images", hl_units_bytes(text, audit->image_bytes));

    for (unsigned kind = 0; kind < HL_FINDINGS; kind++) {
        if (!audit->found[kind])
            continue;
        printf("%-12s %" PRIu64 " %s", hl_finding_kinds[kind].is_left ? "note" : "problem",
               audit->found[kind], hl_finding_kinds[kind].text);
        if (audit->repaired[kind])
            printf("; %" PRIu64 " repaired", audit->repaired[kind]);
        putchar('\n');
        for (size_t i = 0; i < books->nr; i++)
            if (books->shown[i].kind == kind)
                print_sentence(&books->shown[i]);
    }
    putchar('\n');
    if (hl_audit_open(audit, true))
        printf("%" PRIu64 " problems%s\n", hl_audit_open(audit, true),
               repair ? " could not be repaired: close the programs that use the pool and repair "
                        "again, or remove its directory"
                      : "; 'hugelite doctor --audit --repair' mends what can be mended");
    else if (hl_audit_open(audit, false))
        printf("all accounted for: what the dead left is collected by whoever comes by, or by "
               "--repair\n");
    else
        printf("all accounted for\n");
}

static void print_json(const struct hugelite_pool_stat *stat, const struct hl_audit *audit,
                       const struct books *books)
{
    struct hl_json json;

    hl_json_begin(&json, stdout);
    hl_json_open(&json, NULL, '{');
    hl_json_number(&json, "version", 1);
    hl_json_bool(&json, "ok", hl_audit_open(audit, true) == 0);
    hl_json_open(&json, "pool", '{');
    hl_json_string(&json, "dir", stat->dir);
    hl_json_string(&json, "pages", stat->pages);
    hl_json_close(&json, '}');
    hl_json_number(&json, "processes", audit->members);
    hl_json_number(&json, "volumes", audit->volumes);
    hl_json_number(&json, "readers", audit->readers);
    hl_json_number(&json, "held", audit->pins);
    hl_json_open(&json, "budget", '{');
    hl_json_number(&json, "chunks", audit->tickets);
    hl_json_number(&json, "resident", audit->resident);
    hl_json_number(&json, "free", audit->free);
    hl_json_number(&json, "moving", audit->moving);
    hl_json_number(&json, "orphaned", audit->orphaned);
    hl_json_close(&json, '}');
    hl_json_number(&json, "image_bytes", audit->image_bytes);

    hl_json_open(&json, "findings", '[');
    for (unsigned kind = 0; kind < HL_FINDINGS; kind++) {
        if (!audit->found[kind])
            continue;
        hl_json_open(&json, NULL, '{');
        hl_json_string(&json, "finding", hl_finding_kinds[kind].name);
        hl_json_bool(&json, "problem", !hl_finding_kinds[kind].is_left);
        hl_json_string(&json, "text", hl_finding_kinds[kind].text);
        hl_json_number(&json, "found", audit->found[kind]);
        hl_json_number(&json, "repaired", audit->repaired[kind]);
        hl_json_open(&json, "which", '[');
        for (size_t i = 0; i < books->nr; i++)
            if (books->shown[i].kind == kind)
                hl_json_string(&json, NULL, books->shown[i].text);
        hl_json_close(&json, ']');
        hl_json_close(&json, '}');
    }
    hl_json_close(&json, ']');
    hl_json_close(&json, '}');
}

int hl_doctor_audit(const char *dir, bool repair, bool json)
{
    struct books *books = calloc(1, sizeof *books);
    struct hugelite_pool_stat stat;
    struct hugelite_pool *pool;
    struct hl_audit audit;
    int rc, code = 1;

    if (!books)
        return hl_tool_error("doctor", "%s", strerror(ENOMEM));
    if (hl_tool_existing_pool("doctor", dir, &pool) == 0) {
        rc = hugelite_pool_stat(pool, &stat);
        if (rc == 0)
            rc = hl_audit(pool, repair, note, books, &audit);
        if (rc < 0 || books->no_memory) {
            hl_tool_error("doctor", "%s", rc < 0 ? hugelite_error() : strerror(ENOMEM));
        } else {
            if (json)
                print_json(&stat, &audit, books);
            else
                print_text(&stat, &audit, books, repair);
            code = hl_audit_open(&audit, true) != 0;
        }
        hugelite_pool_close(pool);
    }
    for (size_t i = 0; i < books->nr; i++)
        free(books->shown[i].text);
    free(books);
    return code;
}
