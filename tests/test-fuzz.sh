#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The fuzz targets under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer: one
# second each, two at a time, from the kept seeds and with a fixed -seed. HUGELITE_TEST_SECONDS makes
# it longer. Passes when nothing crashes, hangs, leaks or grows. (The same targets without
# libFuzzer, which runs everywhere: test-fuzz-seekable and so on.)
. ./functions.sh
requires clang

seconds=${HUGELITE_TEST_SECONDS:-1}
engine=$abs_top_srcdir/engine
flags=(-std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined
       -fno-sanitize-recover=undefined -I"$abs_top_builddir" -I"$engine" -I"$srcdir")

echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }' \
    >"$tmpdir/probe.c"
clang "${flags[@]}" "$tmpdir/probe.c" -o "$tmpdir/probe" 2>/dev/null ||
    skip "this clang has no libFuzzer"

# What each target is made of, besides itself.
codec="codec codec-raw codec-zstd decoder error frame lock memory refusal seekable size source
       source-file stream sys"
declare -A parts=(
    [seekable]=$codec [frames]=$codec [btree]=btree [json]="json error"
    [response]="response answer error" [catalog]="catalog-check record error sys"
)
targets="seekable frames btree json response catalog"

# Each part is compiled once, as many at a time as there are CPUs.
compile() {
    { printf '%s\n' "${parts[@]}" | tr -s ' ' '\n' | sort -u | sed "s|.*|$engine/&.c|"
      printf "$srcdir/fuzz-%s.c\n" no-remote $targets; } |
        (cd "$tmpdir" && xargs -P "$(nproc)" -n 1 clang "${flags[@]}" -c) >"$tmpdir/log" 2>&1 ||
        die "cannot compile: $(cat "$tmpdir/log")"
}

build() {
    local name objects=("$tmpdir/fuzz-$1.o")
    for name in ${parts[$1]}; do objects+=("$tmpdir/$name.o"); done
    [ "${parts[$1]}" != "$codec" ] || objects+=("$tmpdir/fuzz-no-remote.o")
    clang "${flags[@]}" "${objects[@]}" -lzstd -lxxhash -llmdb -lpthread -o "$tmpdir/fuzz-$1" \
        >"$tmpdir/log-$1" 2>&1
}

fuzz() {
    mkdir "$tmpdir/corpus-$1"
    cd "$tmpdir"
    "./fuzz-$1" -seed=1 -max_total_time="$seconds" -max_len=8192 -timeout=60 \
        -rss_limit_mb=1000 "corpus-$1" "$srcdir/fuzz-seeds/$1" >"log-$1" 2>&1
}

failed=
tell() {
    failed="$failed $1"
    tail -n 40 "$tmpdir/log-$1" >&2
    for input in "$tmpdir"/crash-* "$tmpdir"/timeout-* "$tmpdir"/oom-* "$tmpdir"/leak-*; do
        [ ! -e "$input" ] || { echo "${input##*/}:"; base64 "$input"; } >&2
    done
}
compile
set -- $targets
while [ $# -gt 0 ]; do
    (build "$1" && fuzz "$1") & first=$!
    (build "$2" && fuzz "$2") & second=$!
    wait "$first" || tell "$1"
    wait "$second" || tell "$2"
    tail -qn 1 "$tmpdir/log-$1" "$tmpdir/log-$2"
    shift 2
done
[ -z "$failed" ] || die "these targets failed:$failed"
