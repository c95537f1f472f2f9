/* SPDX-License-Identifier: MIT
 *
 * test-vfs-open-close: 1,000 connections opened, used and closed leave nothing behind.
 *
 * Passes when descriptors, mappings and threads are as many after as they were after the
 * first few rounds, and the memory of SQLite is what it was.
 */
#include "test-vfs-common.h"

#include <dirent.h>

static int count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;

    EXPECT(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int count_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    int n = 0, c;

    EXPECT(f);
    while ((c = getc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

static void rounds(const char *path, int from, int to)
{
    for (int i = from; i < to; i++) {
        sqlite3 *db = NULL;

        if (i % 5 == 4) { /* and some that fail */
            EXPECT_EQ(vfs_try("/nowhere/x.db", "hugelite", "", &db), SQLITE_CANTOPEN);
        } else {
            db = vfs_open(path, i % 2 ? "" : "&immutable=1");
            EXPECT_EQ(sql_int(db, "SELECT k FROM t WHERE id = 7"), test_db_k(7));
        }
        sqlite3_close(db);
    }
}

int main(void)
{
    const char *path = test_path(test_dir(), "x.db");
    int fds, mappings, threads, now;
    int64_t memory;

    vfs_begin();
    test_db(path, 1000);
    rounds(path, 0, 50);
    fds = count_entries("/proc/self/fd");
    threads = count_entries("/proc/self/task");
    mappings = count_mappings();
    memory = sqlite3_memory_used();

    rounds(path, 0, 1000);
    EXPECT_EQ(count_entries("/proc/self/fd"), fds);
    EXPECT_EQ(count_entries("/proc/self/task"), threads);
    EXPECT_EQ(sqlite3_memory_used(), memory);
    now = count_mappings();
    if (now > mappings + 8) /* the allocator's own may come and go */
        test_fail(__FILE__, __LINE__, "%d mappings, %d before", now, mappings);
    return 0;
}
