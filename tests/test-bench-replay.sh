#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The replay of traces: misses of each policy on small traces, counted by hand; that no policy
# beats Belady's on random ones; what admission does; and wrong traces are told.
. ./functions.sh

replay=$abs_top_builddir/bench/replay
trace=$tmpdir/trace

# header READERS: of 100 chunks, so that percent are chunks
header() { printf 'hugelite-trace 1\nworkload w\nreaders %s\nvolume 0 100\nvisits\n' "$1"; }

# One reader's lookups, a leaf of each of these chunks.
lookups() {
    local chunk
    header 1
    for chunk; do echo "0 $chunk 1 0"; done
}

# counts CACHE: of all policies, to $tmpdir/counts
counts() { "$replay" --counts --cache "$1" "$trace" >"$tmpdir/counts"; }

# field ADMISSION POLICY N: 5 visits, 6 misses, 7 fills, 8 early reads
field() { awk -v a="$1" -v p="$2" -v n="$3" '$2 == a && $3 == p { print $n }' "$tmpdir/counts"; }

# misses NUMBER POLICY...: of those that fill at every miss
misses() {
    local number=$1 policy
    shift
    for policy; do
        expect "$number" "$(field all "$policy" 6)" "misses of $policy: $(sed 1,5d "$trace" | tr '\n' ,)"
    done
}

# Belady's anomaly: more room, and FIFO misses more.
lookups 1 2 3 4 1 2 5 1 2 3 4 5 >"$trace"
counts 3
expect 12 "$(field all lru 5)" visits
misses 9 fifo
misses 10 lru clock
misses 7 opt
counts 4
misses 10 fifo
misses 8 lru
misses 6 opt

# A loop of one chunk more than there is room for: all miss each time, but who knows the future keeps
# two of three, and all three of those that he has when he need not fill.
lookups $(for i in 1 2 3 4 5 6 7 8 9 10; do echo 0 1 2 3; done) >"$trace"
counts 3
misses 40 fifo lru clock clock-every clock-2bit sieve
misses 16 opt
misses 13 opt-pass fixed

# One that is used twice, and then four that are not: only SIEVE, whose hand goes on, keeps it.
lookups 0 1 2 0 3 4 5 6 0 >"$trace"
counts 3
misses 8 fifo lru clock
misses 7 sieve

# The best set of one is the one that is asked for most.
lookups 1 9 2 9 3 9 4 9 >"$trace"
counts 1
misses 5 fixed

# Two bits of CLOCK outlast a round that one bit does not.
lookups 0 1 2 0 1 0 3 4 5 0 >"$trace"
counts 3
misses 7 lru clock
misses 6 clock-2bit

# ARC: 1 and 2 leave as seen once, and each comes back as one that is remembered.
lookups 0 1 0 2 3 0 2 0 2 >"$trace"
counts 2
misses 6 arc

# S3-FIFO, a small queue of one and nine ghosts: 0 and 1 are promoted, 2 comes back as a ghost,
# and a scan passes all three by.  In 2Q none is promoted by its uses, and so 0 and 1 miss once more.
lookups 0 1 2 3 4 5 6 7 8 9 0 1 0 1 $(seq 10 18) 0 1 2 $(seq 19 40) 0 1 2 >"$trace"
counts 10
misses 42 s3fifo-1bit s3fifo-2bit
misses 44 2q-2bit
misses 47 lru

# The engine's: who was used during the probation stays, and a scan passes him by.
lookups 0 1 0 1 $(seq 2 20) 0 1 >"$trace"
counts 8
misses 21 engine engine-every
misses 23 lru

# A chunk that is visited by one reader without a break has been used once.
{
    header 2
    printf '0 %d 1 0\n' 0 0 0 1 2 3 0
} >"$trace"
counts 3
misses 5 clock clock-2bit
expect 5 "$(field all clock 5)" "visits"
{
    header 2
    printf '0 0 1 0\n1 0 1 0\n0 1 1 0\n0 2 1 0\n0 3 1 0\n0 0 1 0\n'
} >"$trace"
counts 3
misses 4 clock clock-2bit
misses 5 lru

# An interior page is a life more.
{
    header 1
    printf '0 %s\n' '0 1 1' '1 1 0' '0 1 1' '2 1 0' '0 0 1' '3 1 0' '4 1 0' '5 1 0' '6 1 0' \
        '7 1 0' '8 1 0' '0 1 0'
} >"$trace"
counts 3
misses 10 clock-2bit
misses 9 clock-2bit-interior

# Sixty reads earn a place that is free; twelve another's, of one process or of all.
{
    header 3
    for i in $(seq 65); do printf '0 0 1 0\n0 1 1 0\n'; done
    for i in $(seq 6); do printf '1 2 1 0\n1 3 1 0\n2 2 1 0\n2 4 1 0\n'; done
} >"$trace"
counts 2
expect "144 3 144" "$(field 12 lru 6) $(field 12 lru 7) $(field 12 lru 8)" "shared counts"
expect "144 2 144" "$(field 12-own lru 6) $(field 12-own lru 7) $(field 12-own lru 8)" "own counts"

# Counts are halved when as many reads as there are chunks have found no room.
{
    header 1
    for i in $(seq 65); do printf '0 0 1 0\n0 1 1 0\n'; done
    for i in $(seq 6); do printf '0 2 1 0\n0 1 1 0\n'; done
    printf '0 %d 1 0\n' $(seq 3 97)
    for i in $(seq 6); do printf '0 2 1 0\n0 1 1 0\n'; done
} >"$trace"
counts 2
expect 2 "$(field 12 lru 7)" "fills after the counts were halved"

# What is gone through is filled: at the fourth leaf in a row, and from the third chunk on at once.
{
    header 1
    printf '0 %d 512 0\n' $(seq 0 9)
} >"$trace"
counts 2
expect "10 8" "$(field 12 lru 7) $(field 12 lru 8)" "fills and early reads of a scan"

# Nobody beats Belady, nor him who may pass, whatever earns its place.
for seed in 1 2 3 4 5; do
    {
        header 1
        awk -v seed="$seed" 'BEGIN {
            srand(seed)
            for (i = 0; i < 3000; i++) {
                do chunk = int((rand() ^ (1 + seed % 3)) * 60); while (chunk == last)
                last = chunk
                print 0, chunk, 1 + int(rand() * 20), int(rand() * 2)
            }
        }'
    } >"$trace"
    counts 3,8,20
    awk '$2 == "all" && $3 == "opt" { opt[$4] = $6 }
         $2 == "all" && $3 == "opt-pass" { pass[$4] = $6 }
         { misses[$2 " " $3 " " $4] = $6; cache[$2 " " $3 " " $4] = $4; n++ }
         END {
             for (k in misses) {
                 if (k ~ /^all/ && k !~ /opt-pass|fixed/ && misses[k] < opt[cache[k]]) bad = k
                 if (misses[k] < pass[cache[k]]) bad = k
             }
             if (bad || n < 100) { print "better than the best:", bad, n; exit 1 }
         }' "$tmpdir/counts" || die "seed $seed"
done

# Warming leaves out what came before.
lookups 0 1 2 3 0 1 2 3 >"$trace"
"$replay" --counts --cache 4 --warm 50 "$trace" >"$tmpdir/counts"
expect "4 0" "$(field all lru 5) $(field all lru 6)" "visits and misses, warm"

# The table has a line for each policy.
"$replay" --cache 5,10 "$trace" >"$tmpdir/table"
grep -q '^w: 100 chunks, 1 readers, 8 visits, 8 pages$' "$tmpdir/table" || die "$(cat "$tmpdir/table")"
expect "$(wc -l <"$tmpdir/counts")" "$(grep -c '^| .*[0-9] |$' "$tmpdir/table")" "lines of the table"

# wrong WORD LINES...: a trace that is refused, and why
wrong() {
    local word=$1
    shift
    printf '%s\n' "$@" >"$trace"
    expect_status 1 "$replay" "$trace"
    grep -q "$word" "$tmpdir/err" || die "'$word' is not in: $(cat "$tmpdir/err")"
}
wrong "version" "hugelite-trace 2"
wrong "ends before" "hugelite-trace 1" "readers 1"
wrong "without readers" "hugelite-trace 1" "volume 0 5" visits
wrong "wrong volume" "hugelite-trace 1" "readers 1" "volume 1 5"
wrong "trace:5: not a visit" "hugelite-trace 1" "readers 1" "volume 0 5" visits "0 1 one 0"
wrong "by nobody" "hugelite-trace 1" "readers 1" "volume 0 5" visits "1 0 1 0"
wrong "by nobody" "hugelite-trace 1" "readers 1" "volume 0 5" visits "0 5 1 0"
wrong "has no visits" "hugelite-trace 1" "readers 1" "volume 0 5" visits
expect_status 1 "$replay" "$tmpdir/none"
expect_status 2 "$replay"
expect_status 2 "$replay" --cache 0 "$trace"
expect_status 2 "$replay" --cache 5, "$trace"
expect_status 2 "$replay" --warm 95 "$trace"
expect_status 0 "$replay" --help

for options in "--workload zipf" "--trace x --workload y" "--trace x --cases scan" "--trace x --json"; do
    expect_status 2 "$HUGELITE" bench $options
done

# What `hugelite bench` records can be replayed, is the same each time, and a lookup reads one page
# of each level.
size=8M
for workload in zipf shuffled uniform scan range volumes; do
    expect_status 0 "$HUGELITE" bench --size $size --dir "$tmpdir/keep" --trace "$tmpdir/$workload" \
        --workload "$workload"
    expect "workload $workload" "$(sed -n 2p "$tmpdir/$workload")"
    counts=$("$replay" --counts --cache 50 "$tmpdir/$workload") || die "$workload"
    echo "$counts" | grep -q "^$workload all lru [1-9]" || die "$counts"
done
expect_status 0 "$HUGELITE" bench --size $size --dir "$tmpdir/keep" --trace "$tmpdir/again"
cmp "$tmpdir/zipf" "$tmpdir/again" || die "another trace of the same"
levels=$(sed 1,5d "$tmpdir/uniform" | awk '{ l += $3; i += $4 } END { printf "%.3f", i / l }')
expect 2.000 "$levels" "interior pages for each leaf"
expect 2 "$(grep -c ^volume "$tmpdir/volumes")" "volumes"
expect "" "$(ls "$tmpdir" | grep tmp || true)" "left behind"
