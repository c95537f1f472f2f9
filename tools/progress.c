/* SPDX-License-Identifier: MIT
 *
 * One line on the terminal for long work: how far, how fast, how long still.  Nothing
 * is written when stderr is not a terminal.
 *
 * Entry points: hl_progress_begin(), hl_progress_show(), hl_progress_end().
 * See also: warm.c (user), units.c.
 */
#include <config.h>

#include <unistd.h>

#include "tools.h"

void hl_progress_begin(struct hl_progress *progress, const char *what)
{
    progress->what = what;
    progress->began = hl_units_now();
    progress->shown = 0;
    progress->terminal = isatty(STDERR_FILENO);
    progress->on_screen = false;
}

void hl_progress_show(struct hl_progress *progress, uint64_t done, uint64_t total)
{
    char done_text[HL_UNITS_ROOM], total_text[HL_UNITS_ROOM], rate_text[HL_UNITS_ROOM];
    char eta_text[HL_UNITS_ROOM];
    double now, seconds, rate;

    if (!progress->terminal)
        return;
    now = hl_units_now();
    if (now - progress->shown < 0.1)         /* ten times a second is plenty */
        return;
    progress->shown = now;
    progress->on_screen = true;
    seconds = now - progress->began;
    rate = seconds > 0 ? (double)done / seconds : 0;

    fprintf(stderr, "\r\033[K%s: %s of %s (%u %%)", progress->what,
            hl_units_short(done_text, done), hl_units_short(total_text, total),
            total ? (unsigned)((double)done * 100 / (double)total) : 100);
    if (rate > 0)
        fprintf(stderr, ", %s/s", hl_units_short(rate_text, (uint64_t)rate));
    if (rate > 0 && done < total && seconds > 0.5)
        fprintf(stderr, ", %s left",
                hl_units_seconds(eta_text, (double)(total - done) / rate));
    fflush(stderr);
}

void hl_progress_end(struct hl_progress *progress)
{
    if (progress->on_screen)
        fputs("\r\033[K", stderr);
    progress->on_screen = false;
}
