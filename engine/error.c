/* SPDX-License-Identifier: MIT
 *
 * error.c - the last error of each thread.  The place that knows the cause
 * records it, everybody above hands the code on.
 *
 * Entry points: hl_error(), hugelite_error(), hugelite_version().
 */
#include "config.h"

#include "error.h"
#include "hugelite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local char message[1536];

int hl_error(int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return -err;
}

const char *hugelite_error(void)
{
    return message;
}

const char *hugelite_version(void)
{
    return PACKAGE_VERSION;
}

void hl_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "hugelite: %s:%d: assertion failed: %s\n", file, line, what);
    abort();
}
