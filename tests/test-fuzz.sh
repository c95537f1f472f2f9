#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The fuzz targets under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer: ten
# seconds each, from the kept seeds and with a fixed -seed. HUGELITE_TEST_SECONDS makes
# it longer. Passes when nothing crashes, hangs, leaks or grows. (The same targets without
# libFuzzer, which runs everywhere: test-fuzz-seekable, test-fuzz-frames.)
. ./functions.sh
requires clang

seconds=${HUGELITE_TEST_SECONDS:-10}
engine=$abs_top_srcdir/engine
flags=(-std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined
       -fno-sanitize-recover=undefined -I"$abs_top_builddir" -I"$engine" -I"$srcdir")

echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }' \
    >"$tmpdir/probe.c"
clang "${flags[@]}" "$tmpdir/probe.c" -o "$tmpdir/probe" 2>/dev/null ||
    skip "this clang has no libFuzzer"

sources=()
for name in codec codec-raw codec-zstd decoder error frame lock memory refusal seekable size \
            source source-file stream sys; do
    sources+=("$engine/$name.c")
done
for target in seekable frames; do
    clang "${flags[@]}" "$srcdir/fuzz-$target.c" "${sources[@]}" -lzstd -lxxhash -lpthread \
        -o "$tmpdir/fuzz-$target" &
done
for job in $(jobs -p); do wait "$job"; done

fuzz() {
    mkdir "$tmpdir/corpus-$1"
    cd "$tmpdir"
    "./fuzz-$1" -seed=1 -max_total_time="$seconds" -max_len=8192 -timeout=20 \
        -rss_limit_mb=1000 "corpus-$1" "$srcdir/fuzz-seeds/$1" >"log-$1" 2>&1
}
declare -A running
for target in seekable frames; do
    fuzz "$target" &
    running[$target]=$!
done
failed=
for target in "${!running[@]}"; do
    if ! wait "${running[$target]}"; then
        failed="$failed $target"
        tail -n 40 "$tmpdir/log-$target" >&2
        for input in "$tmpdir"/crash-* "$tmpdir"/timeout-* "$tmpdir"/oom-* "$tmpdir"/leak-*; do
            [ ! -e "$input" ] || { echo "${input##*/}:"; base64 "$input"; } >&2
        done
    fi
    tail -n 1 "$tmpdir/log-$target"
done
[ -z "$failed" ] || die "these targets failed:$failed"
