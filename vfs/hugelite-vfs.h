/* SPDX-License-Identifier: MIT
 *
 * hugelite-vfs.h - the SQLite side of Hugelite, for programs that link it in.
 *
 *      hugelite_vfs_register(0);
 *      sqlite3_open_v2("file:/data/x.db?vfs=hugelite", &db,
 *                      SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
 *
 * Link with -lhugelite-vfs -lhugelite -lsqlite3.  A program that cannot be
 * linked anew loads the extension hugelite.so instead.  Manual: hugelite-vfs(7).
 */
#ifndef HUGELITE_VFS_H
#define HUGELITE_VFS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Register the VFS "hugelite" on top of the present default VFS, and have every
 * connection opened from now on offer the table hugelite_stat.
 *
 * make_default  not 0: connections that name no VFS use it too.  It makes no
 *               databases and writes none, so this suits readers only.
 *
 * Returns SQLITE_OK or an SQLite error code.  To call it again is harmless.
 * Threads: any, at any time.  fork(): the registration is inherited, connections
 * are not.
 */
int hugelite_vfs_register(int make_default);

#ifdef __cplusplus
}
#endif
#endif
