/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what fuzz targets share.  Each is one function, called by libFuzzer or by fuzz-main.c.
 */
#ifndef HUGELITE_FUZZ_H
#define HUGELITE_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern const char fuzz_name[]; /* the directory of its seeds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_EXPECT(cond) \
    do { \
        if (!(cond)) { \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #cond); \
            abort(); \
        } \
    } while (0)

#endif
