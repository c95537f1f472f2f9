#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tickets as a model (model/ticket.pml, model/README.md), every state of it: no ticket has two chunks, no resident
# chunk is without, and a sweep finds every one that the dead forgot. Passes when the model holds, and when each
# rule broken on purpose is found. HUGELITE_TEST_SECONDS=600 and more: three processes with a death.
. ./functions.sh
. "$srcdir/model/check.sh"

build ticket
holds MEMBERS=2 DEATHS=1 LIVES=2
holds MEMBERS=3 DEATHS=0 LIVES=1
breaks "NO_TAG TAKE_BEFORE_CLAIM ORPHANS_STAY FORGOTTEN_STAY MOVING_IS_NOBODYS FREE_BY_STORE NO_GIVE
    EVICTING_IS_NOBODYS" MEMBERS=2 DEATHS=1 LIVES=2
breaks "STALE_TICKET_WORD GIVE_AFTER_WORD" MEMBERS=3 DEATHS=0 LIVES=1

if [ "${HUGELITE_TEST_SECONDS:-0}" -ge 600 ]; then
    gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -o pan pan.c
    holds MEMBERS=3 DEATHS=1 LIVES=1
    breaks ORPHANS_NEW_WORD MEMBERS=3 DEATHS=1 LIVES=1
fi
