/* SPDX-License-Identifier: MIT
 *
 * Figures for people: bytes with a rounded unit beside the exact number, and spans
 * of time.  Data for programs never comes through here.
 *
 * Entry points: hl_units_bytes(), hl_units_cell(), hl_units_short(), hl_units_seconds(),
 * hl_units_now().
 * See also: json.c (figures for programs), progress.c.
 */
#include <config.h>

#include <inttypes.h>

#include "tools.h"

const char *hl_units_short(char buf[HL_UNITS_ROOM], uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes / 1024;
    unsigned unit = 0;

    if (bytes < 1024) {
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 " bytes", bytes);
        return buf;
    }
    /* 1023.95 would be printed as 1024.0 of the smaller unit. */
    for (; value >= 1023.95 && unit < 5; unit++)
        value /= 1024;
    snprintf(buf, HL_UNITS_ROOM, "%.1f %s", value, units[unit]);
    return buf;
}

static const char *exact(char buf[HL_UNITS_ROOM], uint64_t bytes, const char *word)
{
    char rounded[HL_UNITS_ROOM];

    if (bytes < 1024)
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 "%s", bytes, word);
    else
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 "%s (%.12s)", bytes, word,
                 hl_units_short(rounded, bytes));
    return buf;
}

const char *hl_units_bytes(char buf[HL_UNITS_ROOM], uint64_t bytes)
{
    return exact(buf, bytes, " bytes");
}

const char *hl_units_cell(char buf[HL_UNITS_ROOM], uint64_t bytes)
{
    return exact(buf, bytes, "");
}

const char *hl_units_seconds(char buf[HL_UNITS_ROOM], double seconds)
{
    uint64_t s = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;

    if (s < 60)
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(buf, HL_UNITS_ROOM, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
    return buf;
}

double hl_units_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}
