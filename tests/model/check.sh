# SPDX-License-Identifier: MIT
#
# check.sh - what the tests of the models share; sourced after functions.sh.
#
#   build MODEL                  the verifier of MODEL.pml, $tmpdir/pan
#   holds NAME=VALUE...          with these parameters every state is visited and none is wrong; prints how many
#   breaks 'MUTANT...' NAME=VALUE...   with each of these mutants one is; two at a time
# Mutants by name: the #define that ends in IS(number).

requires spin gcc

build() {
    model=$srcdir/model/$1.pml
    cp "$model" "$tmpdir"
    cd "$tmpdir"
    spin -a "$1.pml" >spin.log 2>&1 || { cat spin.log >&2; die "spin does not take $1.pml"; }
    gcc -O1 -w -DSAFETY -DMEMLIM=1400 -o pan pan.c
}

holds() {
    env "$@" ./pan -m100000 -w22 >holds.log
    if ! grep -q 'errors: 0$' holds.log || grep -q 'not completed' holds.log; then
        cat holds.log >&2
        env "$@" ./pan -r >&2 || true
        die "${model##*/}: $* does not hold"
    fi
    echo "${model##*/}: $*: $(awk '/states, stored/ { print $1 }' holds.log) states, no error"
}

break_one() {
    local mutant=$1 number
    shift
    number=$(sed -n "s/^#define $mutant IS(\([0-9]*\))\$/\1/p" "$model")
    [ -n "$number" ] || { echo "no mutant $mutant" >"log-$mutant"; return 1; }
    env "$@" MUTANT="$number" ./pan -m100000 -w20 -t"$mutant" >"log-$mutant"
    grep -q '^pan:1: \(assertion violated\|invalid end state\)' "log-$mutant"
}

breaks() {
    local mutants=$1 first second missed=
    shift
    local parameters=("$@")
    set -- $mutants
    while [ $# -gt 0 ]; do
        break_one "$1" "${parameters[@]}" & first=$!
        if [ $# -gt 1 ]; then break_one "$2" "${parameters[@]}" & second=$!; fi
        wait "$first" || missed="$missed $1"
        shift
        [ $# -gt 0 ] || break
        wait "$second" || missed="$missed $1"
        shift
    done
    [ -z "$missed" ] || die "${model##*/}: mutants that are not found:$missed"
    echo "${model##*/}: found: $mutants"
}
