/* SPDX-License-Identifier: MIT
 *
 * query.c - a query through Hugelite's cache, from C: query DB SQL.  DB may be compressed, as by
 * hugelite pack x.db x.db.zst, and elsewhere: https://host/x.db.zst, s3://bucket/key.
 */
#include <hugelite-vfs.h>
#include <sqlite3.h>
#include <stdio.h>

static int print_row(void *arg, int columns, char **values, char **names)
{
    (void)arg, (void)names;
    for (int i = 0; i < columns; i++)
        printf("%s%s", i ? "|" : "", values[i] ? values[i] : "");
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    sqlite3 *db = NULL;
    int rc;

    if (argc != 3) {
        fprintf(stderr, "usage: query DB SQL\n");
        return 2;
    }
    rc = hugelite_vfs_register(0);
    if (rc == SQLITE_OK)
        rc = sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, "hugelite");
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, argv[2], print_row, NULL, NULL);
    if (rc != SQLITE_OK)
        fprintf(stderr, "query: %s\n", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    sqlite3_close(db);
    return rc == SQLITE_OK ? 0 : 1;
}
