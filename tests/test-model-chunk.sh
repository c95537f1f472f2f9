#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The chunk word protocol as a model (model/chunk.pml, model/README.md), every state of it: no two owners, no byte of an
# unpublished chunk, no lost wake-up, nothing that the next one cannot put right. Passes when the model
# holds, and when each rule broken on purpose is found. HUGELITE_TEST_SECONDS=600 and more: three
# processes with a death at every step, too, which takes 0.8 GB.
. ./functions.sh
. "$srcdir/model/check.sh"

build chunk
holds MEMBERS=2 DEATHS=1 LIVES=2
holds MEMBERS=2 DEATHS=1 LIVES=2 LIGHT=0
holds MEMBERS=3 DEATHS=0 LIVES=1 AHEAD=0 REFUSALS=0

# Each needs two processes and two deaths at most.
breaks "NO_FENCE LOOK_BEFORE_CLAIM PIN_AFTER_LOOK WAKE_BEFORE_PUBLISH SETTLE_BY_STORE NO_DOOM DOOM_AFTER_PUNCH
    NO_GENERATION TAKE_OVER_BY_STORE TAKE_OVER_FORGETS_WAITERS SLEEP_WITHOUT_LOOK SLEEP_WITHOUT_WAITERS
    TRUST_LEFTOVER REFERENCE_BY_STORE PUBLISH_BEFORE_COPY EMPTY_BEFORE_PUNCH DEAD_PINS_COUNT
    EVERYBODY_IS_DEAD ORPHAN_NOT_DOOMED NOBODY_IS_DEAD NO_WAKE_AT_ABANDON READ_UNPUBLISHED
    UNPIN_TOO_EARLY PUT_BACK_THE_DOOMED IGNORE_PINS NO_PUT_BACK" MEMBERS=2 DEATHS=2 LIVES=2
# Where pins are seq_cst, what is broken is that they are not.
breaks NO_FENCE MEMBERS=2 DEATHS=0 LIGHT=0

if [ "${HUGELITE_TEST_SECONDS:-0}" -ge 600 ]; then
    gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -o pan pan.c
    holds MEMBERS=2 DEATHS=2 LIVES=3
    holds MEMBERS=3 DEATHS=1 LIVES=1 AHEAD=0 REFUSALS=0
fi
