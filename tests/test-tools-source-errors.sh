#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-source-errors: a source that is absent, unreadable, a directory, a FIFO, a device,
# empty, no database, or remote and not there is refused with exit 1 and a sentence that says which and why,
# and leaves nothing in the pool.

. ./functions.sh
cd "$tmpdir"
make_db good.db 10

bad() {   # WORDS SOURCE: warm and sql both name the source and say the words
    local words=$1 source=$2
    expect_status 1 timeout 60 "$HUGELITE" warm "$source"
    grep -q "^hugelite warm: .*$source.*$words" err || die "warm $source: $(cat err)"
    expect 1 "$(wc -l <err)" "lines of warm $source"
    [ ! -s out ] || die "warm $source: stdout: $(cat out)"
    expect_status 1 timeout 60 "$HUGELITE" sql "$source" "SELECT * FROM sqlite_schema"
    grep -q "^hugelite sql: .*$source.*$words" err || die "sql $source: $(cat err)"
    [ ! -s out ] || die "sql $source: stdout: $(cat out)"
}

bad "No such file or directory" absent.db
bad "No such file or directory" none/x.db
bad "Not a directory" good.db/x
mkdir folder
bad "is a directory" folder
mkfifo pipe
bad "not a regular file" pipe
bad "not a regular file" /dev/zero
# Nobody listens on port 1.
export HUGELITE_STATE=none HUGELITE_HTTP_TIMEOUT=5 AWS_ENDPOINT_URL=http://127.0.0.1:1
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_EC2_METADATA_DISABLED=true
unset http_proxy https_proxy all_proxy ALL_PROXY
bad "refuses connections" http://127.0.0.1:1/x.db
bad "refuses connections" https://127.0.0.1:1/x.db
bad "refuses connections" s3://bucket/key.db
ln -s loop loop
bad "symbolic links" loop

: >empty.db
expect_status 1 "$HUGELITE" warm empty.db
grep -q "empty.db.*empty" err || die "$(cat err)"
# To SQLite an empty file is a database without tables.
expect_status 0 "$HUGELITE" sql empty.db "SELECT count(*) FROM sqlite_schema"
expect 0 "$(cat out)"

printf '%0200d' 7 >text.db
expect_status 1 "$HUGELITE" sql text.db "SELECT * FROM sqlite_schema"
grep -q "^hugelite sql: 'text.db': file is not a database" err || die "$(cat err)"

if [ "$(id -u)" -ne 0 ]; then
    cp good.db secret.db
    chmod 000 secret.db
    bad "Permission denied" secret.db
fi

# All that went wrong left nothing behind but what was readable.
expect_status 0 "$HUGELITE" sql good.db "SELECT count(*) FROM t"
expect_status 0 "$HUGELITE" stat --json
for name in absent folder pipe empty; do
    ! grep -q "$name" out || die "stat lists $name: $(cat out)"
done
