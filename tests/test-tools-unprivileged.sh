#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-unprivileged: a user without any privilege reads through a pool of its own on a mount
# of mode 1777, and warms, looks and evicts; a file that it may not read, and a pool that is somebody
# else's, are refused by name.

. ./functions.sh
requires_root
requires setpriv
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all -- "$@"; }
as_nobody test -x "$HUGELITE" || skip "the build directory is closed to other users"

cd "$tmpdir"
make_db x.db 30000
chmod 644 x.db
sqlite3 x.db "SELECT count(*), sum(k) FROM t" >stock
chmod 1777 "${pooldir%/pool}"

# The database lies in a directory that it cannot write, so SQLite needs no file beside it.
as_nobody "$HUGELITE" sql x.db "SELECT count(*), sum(k) FROM t" >out || die "sql failed"
cmp stock out || die "sql: $(cat out), stock: $(cat stock)"
as_nobody "$HUGELITE" sql --immutable x.db "SELECT count(*), sum(k) FROM t" >out || die "immutable"
cmp stock out
expect 65534 "$(stat -c %u "$pooldir")" "owner of the pool"
as_nobody "$HUGELITE" warm x.db >out || die "warm failed"
as_nobody "$HUGELITE" stat --json >out || die "stat failed"
if test_on_hugepages; then
    grep -q '"pages":"hugetlb"' out || die "not on huge pages: $(cat out)"
fi
expect_status 0 as_nobody "$HUGELITE" evict --all
as_nobody "$HUGELITE" stat --json >out
grep -q '"pool":{[^}]*"resident_bytes":0,' out || die "after evict: $(cat out)"

# Another user's pool
as_other() { setpriv --reuid=65533 --regid=65533 --clear-groups --inh-caps=-all -- "$@"; }
expect_status 1 as_other "$HUGELITE" sql x.db "SELECT 1 FROM t"
grep -qF "$pooldir" err || die "it does not name the pool: $(cat err)"
grep -q "Permission denied" err || die "$(cat err)"
expect_status 1 as_other "$HUGELITE" stat
grep -q "Permission denied" err || die "$(cat err)"

# A file that it may not read: refused for it even though the bytes are in the cache of others.
cp x.db secret.db
chmod 600 secret.db
expect_status 1 as_nobody "$HUGELITE" sql secret.db "SELECT 1 FROM t"
grep -q "secret.db: .*Permission denied" err || die "$(cat err)"
expect_status 1 as_nobody "$HUGELITE" warm secret.db
grep -q "secret.db: .*Permission denied" err || die "$(cat err)"
