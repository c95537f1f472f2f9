/* SPDX-License-Identifier: MIT
 *
 * test-vfs-remote-beside: nothing on this machine belongs to a remote database.
 *
 * The URL is also a relative path, and there a hot journal and a write-ahead log lie. Passes when
 * they are neither read nor removed, when no query, transaction or PRAGMA leaves another file there, and
 * when a database that was in WAL mode when it was stored is read.
 */
#include "test-vfs-common.h"

#include "test-remote-common.h"

#include <dirent.h>

#define ROWS 5000

static unsigned count_files(const char *path)
{
    DIR *dir = opendir(path);
    unsigned nr = 0;

    EXPECT(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        nr += entry->d_name[0] != '.';
    closedir(dir);
    return nr;
}

static void use_it(const char *url)
{
    sqlite3 *db;

    EXPECT_EQ(sqlite3_open_v2(url, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "hugelite"),
              SQLITE_OK);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    sql_exec(db, "BEGIN; SELECT * FROM t; COMMIT");
    /* To go from one to another SQLite deletes the journal. */
    sqlite3_exec(db, "PRAGMA journal_mode=PERSIST; PRAGMA journal_mode=DELETE;"
                 "PRAGMA journal_mode=TRUNCATE; PRAGMA journal_mode=WAL;"
                 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA wal_checkpoint(TRUNCATE);"
                 "PRAGMA incremental_vacuum; PRAGMA optimize", NULL, NULL, NULL);
    sqlite3_exec(db, "BEGIN IMMEDIATE; DELETE FROM t; ROLLBACK", NULL, NULL, NULL);
    EXPECT_EQ(sql_int(db, "SELECT count(*) FROM t"), ROWS);
    sqlite3_close(db);
}

int main(void)
{
    const char *www = test_dir(), *here = test_dir();
    const char *url, *wal_url, *beside;
    struct kit_origin *origin;
    struct stat st;
    char text[4200];
    sqlite3 *stock;

    remote_begin(TEST_HANG_S, false);
    test_db(test_path(www, "x.db"), ROWS);
    test_db(test_path(www, "wal.db"), ROWS);
    stock = stock_open(test_path(www, "wal.db"));
    sql_exec(stock, "PRAGMA journal_mode=WAL; UPDATE t SET k = 1 WHERE id = 1");
    sqlite3_close(stock); /* takes the log in, and leaves the mode */
    vfs_begin();
    origin = kit_origin(www);
    url = kit_origin_url(origin, "/x.db");
    wal_url = kit_origin_url(origin, "/wal.db");

    EXPECT_EQ(chdir(here), 0);
    EXPECT_EQ(mkdir("http:", 0777), 0);
    snprintf(text, sizeof text, "http:/127.0.0.1:%u", kit_origin_port(origin));
    EXPECT_EQ(mkdir(text, 0777), 0);
    beside = test_path(here, text);
    snprintf(text, sizeof text, "%s-journal", url);
    file_store(text, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 hot, it seems", 22);
    snprintf(text, sizeof text, "%s-wal", url);
    file_store(text, "\x37\x7f\x06\x82 a log, it seems", 20);
    EXPECT_EQ(count_files(beside), 2);

    use_it(url);
    use_it(wal_url);
    EXPECT_EQ(count_files(beside), 2);
    EXPECT_EQ(count_files(here), 1);
    EXPECT_EQ(stat(text, &st), 0);
    EXPECT_EQ(st.st_size, 20);
    kit_origin_stop(origin);
    return 0;
}
