#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-tools-heap-linked: jemalloc is in the program, and in nothing that is loaded into other
# people's programs: neither the extension nor the library needs it or has its functions.

. ./functions.sh
requires readelf nm

library=$abs_top_builddir/engine/.libs/libhugelite.so
program=$abs_top_builddir/tools/hugelite
[ ! -e "$abs_top_builddir/tools/.libs/hugelite" ] || program=$abs_top_builddir/tools/.libs/hugelite

readelf -d "$program" >"$tmpdir/needed"
grep -q 'NEEDED.*libjemalloc' "$tmpdir/needed" || die "the program lacks jemalloc: $(cat "$tmpdir/needed")"
for object in "$HUGELITE_SO" "$library"; do
    [ -f "$object" ] || die "there is no $object"
    readelf -d "$object" >"$tmpdir/needed"
    grep -q 'NEEDED.*libc' "$tmpdir/needed" || die "$object: readelf says nothing"
    ! grep jemalloc "$tmpdir/needed" || die "$object needs jemalloc"
    nm -D "$object" >"$tmpdir/names"
    ! grep -E 'mallocx|dallocx|mallctl' "$tmpdir/names" || die "$object uses jemalloc"
done
