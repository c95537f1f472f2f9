#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-doctor: ready with huge pages, exit 0; without a mount, on small pages, with a limit or
# another user's pool it says so with the command that mends it, exit 1; it names the very pool
# that readers would use, and makes none.

. ./functions.sh
requires python3
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$tmpdir/out" "$1"; }
doctor() {   # STATUS [ENV...]: both forms; the text stays in $tmpdir/text, the JSON in out
    local status=$1
    shift
    expect_status "$status" env "$@" "$HUGELITE" doctor
    mv "$tmpdir/out" "$tmpdir/text"
    ! grep -q "$(printf '\033')" "$tmpdir/text" || die "colour without a terminal"
    expect_status "$status" env "$@" "$HUGELITE" doctor --json
    expect 1 "$(wc -l <"$tmpdir/out")" "lines of JSON"
    expect "$([ "$status" -eq 0 ] && echo True || echo False)" "$(json 'd["ready"]')" ready
}
says() { grep -qE -- "$1" "$tmpdir/text" || die "expected '$1' in: $(cat "$tmpdir/text")"; }

if test_on_hugepages; then
    doctor 0
    says "^ready: databases are read from huge pages"
    expect "('$pooldir', 'hugetlb', False)" \
        "$(json '(d["pool"]["dir"], d["pool"]["pages"], d["pool"]["exists"])')"
    expect True "$(json "any(m['path'] == '$HUGELITE_TEST_MOUNT' and m['writable'] and m['page_bytes'] == 2097152 for m in d['mounts'])")"
    expect True "$(json 'd["userfaultfd"]["missing_hugetlbfs"] and d["userfaultfd"]["continue"]')"
    [ ! -e "$pooldir" ] || die "doctor made a pool"

    # A pool that is there
    make_db "$tmpdir/x.db" 10
    "$HUGELITE" warm "$tmpdir/x.db" >/dev/null
    doctor 0
    says "$pooldir: 2\.0 MiB of 32\.0 MiB in use"
    expect True "$(json 'd["pool"]["exists"]')"
fi

# Small pages on purpose: works, and is not ready.
small=/dev/shm/hugelite-test-doctor.$$
doctor 1 HUGELITE_POOL=$small
says "small pages"
says "unset HUGELITE_POOL"
says "^not ready: databases would be read from small pages"
expect shmem "$(json 'd["pool"]["pages"]')"
[ ! -e $small ] || die "doctor made $small"

# A place where no pool can be
doctor 1 HUGELITE_POOL="$tmpdir/pool"
says "problem +$tmpdir/pool.*not on hugetlbfs or tmpfs"
expect None "$(json 'd["pool"]["pages"]')"
doctor 1 HUGELITE_POOL=/nonexistent/deep/pool
says "problem +/nonexistent/deep/pool"

# A limit on the address space, and few files
expect_status 1 bash -c 'ulimit -v 8000000; "$HUGELITE" doctor'
grep -q "problem .*RLIMIT_AS" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
grep -q -- "-> ulimit -v unlimited" "$tmpdir/out" || die "$(cat "$tmpdir/out")"
bash -c 'ulimit -n 100; "$HUGELITE" doctor' >"$tmpdir/out" || true
grep -q "note .*only 100 open files" "$tmpdir/out" || die "$(cat "$tmpdir/out")"

# Without HUGELITE_POOL: the same directory as the engine takes, which stat's message names.
default() { env -u HUGELITE_POOL "$@"; }
for as in "" "setpriv --reuid=65534 --clear-groups"; do
    [ -z "$as" ] || [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || continue
    $as test -x "$HUGELITE" || continue
    default $as "$HUGELITE" doctor --json >"$tmpdir/out" || true
    mine=$(json 'd["pool"]["dir"]')
    if default $as "$HUGELITE" stat --json >"$tmpdir/out" 2>"$tmpdir/err"; then
        expect "$(json 'd["pool"]["dir"]')" "$mine" "default pool ($as)"
    else
        grep -qF "'$mine'" "$tmpdir/err" || die "doctor: $mine, engine: $(cat "$tmpdir/err")"
    fi
done

[ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null || exit 0

# No hugetlbfs at all
cat >"$tmpdir/bare.sh" <<'S'
while read -r _ path type _; do
    [ "$type" != hugetlbfs ] || umount -l "$(printf %b "$path")"
done < <(tac /proc/self/mounts)
exec env -u HUGELITE_POOL "$@"
S
expect_status 1 unshare --mount bash "$tmpdir/bare.sh" "$HUGELITE" doctor
mv "$tmpdir/out" "$tmpdir/text"
says "problem +hugetlbfs is not mounted here"
says "-> sudo hugelite setup --size 1G"
says "^not ready: databases would be read from small pages"

# A cgroup that lets us have little: the smallest limit on the way up counts.
where=$(sed -n 's/^0:://p' /proc/self/cgroup)
if [ -n "$where" ] && [ -d /sys/fs/cgroup ]; then
    cat >"$tmpdir/cgroup.sh" <<'S'
where=$1 above=$2 here=$3
shift 3
mount -t tmpfs none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup$where/inner"
echo "$above" >/sys/fs/cgroup/hugetlb.2MB.max
[ "$where" = / ] || echo "$here" >"/sys/fs/cgroup$where/hugetlb.2MB.max"
exec "$@"
S
    expect_status 1 unshare --mount bash "$tmpdir/cgroup.sh" "$where" 4194304 max "$HUGELITE" doctor
    mv "$tmpdir/out" "$tmpdir/text"
    says "problem +huge pages of this cgroup: at most 4194304 bytes"
    says "-> raise /sys/fs/cgroup/hugetlb.2MB.max"
    unshare --mount bash "$tmpdir/cgroup.sh" "$where" max max "$HUGELITE" doctor >"$tmpdir/text" || true
    ! grep -q "huge pages of this cgroup" "$tmpdir/text" || die "a limit although there is none"
fi

# A mount that is ours alone: others are told whose pool is in the way.
command -v setpriv >/dev/null && setpriv --reuid=65534 --clear-groups test -x "$HUGELITE" || exit 0
if test_on_hugepages; then
    cat >"$tmpdir/theirs.sh" <<'S'
set -e
mount=$1
shift
chmod 1777 "$mount"
mkdir -m 0700 "$mount/hugelite"
trap 'rmdir "$mount/hugelite"' EXIT
setpriv --reuid=65534 --clear-groups "$@"
S
    cat >"$tmpdir/only.sh" <<'S'
while read -r _ path type _; do
    path=$(printf %b "$path")
    [ "$type" != hugetlbfs ] || [ "$path" = "$HUGELITE_TEST_MOUNT" ] || umount -l "$path"
done < <(tac /proc/self/mounts)
exec env -u HUGELITE_POOL "$@"
S
    expect_status 1 unshare --mount bash "$tmpdir/only.sh" bash "$tmpdir/theirs.sh" \
        "$HUGELITE_TEST_MOUNT" "$HUGELITE" doctor
    mv "$tmpdir/out" "$tmpdir/text"
    says "problem .*small pages.*since $HUGELITE_TEST_MOUNT/hugelite belongs to root"
    says "-> export HUGELITE_POOL=$HUGELITE_TEST_MOUNT/"
fi
