/* SPDX-License-Identifier: MIT
 *
 * scout-kit.h - for tests of the scout: databases on an origin, which of their pages are interior,
 * and what the scout is doing.
 *
 * See also: kit-origin.h, kit.h.
 */
#ifndef HUGELITE_TEST_SCOUT_KIT_H
#define HUGELITE_TEST_SCOUT_KIT_H

#include "test.h"

/* From now on this process and its children keep their state in a fresh directory; tier: with a
 * disk tier. */
void sk_use_state(bool tier);

/* Write a database of pages of 4096 bytes: the table of test_db(), an index on k, and a table
 * that is not looked at.  About 125 bytes a row, and as much for the second table. */
void sk_db(const char *path, unsigned rows);

/* Write the same bytes in the Zstandard seekable format, in frames of 32 KiB. */
void sk_pack(const char *path, const char *zst);

/* The numbers of its interior pages; free() them. */
unsigned sk_interior(const char *path, uint32_t **ret_pages);

/* Is this page the root of a tree? */
bool sk_is_root(const char *path, uint32_t page);

/* Is the scout, of whatever process, at work? */
bool sk_is_out(struct hugelite_volume *vol);

/* Wait until it has come back, and what it brought is in the disk tier; fail after TEST_HANG_S. */
void sk_await_back(struct hugelite_volume *vol);

/* Read eight pages here and there, beginning at a page: then the reader is taken for one who looks
 * things up, and the scout goes out. */
void sk_stray(struct hugelite_volume *vol, uint32_t page);

/* The same until it is out; the origin must be slow enough that this can be seen. */
void sk_send_out(struct hugelite_volume *vol, uint32_t page);

/* Threads of a process that are scouts. */
unsigned sk_count_scouts(pid_t pid);

/* Wait until this process has none, nor a thread that has not come to name itself, and what was
 * brought is in the disk tier; fail after 60 s. */
void sk_await_scouts(void);

/* What the catalog has under this name, after all that was posted has been written: numbers of
 * the warm list, or with `interior` of the interior pages; free() them. */
unsigned sk_list(const char *name, bool interior, uint32_t **ret_numbers);

#endif
