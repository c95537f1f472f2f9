/* SPDX-License-Identifier: MIT
 *
 * chunk.pml - the chunk word, the image behind it and the pins before it: one chunk, and three processes of
 * which any dies at any step and comes back in its seat, or does not.
 *
 * Where a step comes from is said as file:function.  What is left out, and why that is safe, how to
 * run it and what each mutant is: README.md.
 */

#define N 3      /* processes */

c_decl {
    static int parameter(const char *name, int otherwise)
    {
        return getenv(name) ? atoi(getenv(name)) : otherwise;
    }
};

/* The word: chunk.h.  The low eight bits are the futex; the generation is above them. */
#define EMPTY 0
#define FILLING 1
#define RESIDENT 2
#define EVICTING 3
#define WAITERS 4
#define REFERENCED 8
#define FAILED 16
#define DOOMED 32
#define OWNER(p) ((p) << 6 | gen[p] << 8)
#define OWNER_OF(w) ((w) & 4032)
#define SEAT(w) ((w) >> 6 & 3)
#define GENERATION(w) ((w) >> 8 & 15)
#define STATE(w) ((w) & 3)
#define FUTEX(w) ((w) & 255)
#define CLAIMED(w) ((w) & 1)

/* What a call comes to, and what a process is at. */
#define DONE 0
#define AGAIN 1
#define ERROR 2
#define IDLE 0
#define FETCH 1
#define EVICT 2
#define AHEAD 3
#define ATTACH 4

/* Mutants: a rule broken, to see that the checker finds it. */
#define IS(m) (mutant == m)
#define NO_FENCE IS(1)
#define LOOK_BEFORE_CLAIM IS(2)
#define PIN_AFTER_LOOK IS(3)
#define WAKE_BEFORE_PUBLISH IS(4)
#define SETTLE_BY_STORE IS(5)
#define NO_DOOM IS(6)
#define DOOM_AFTER_PUNCH IS(7)
#define NO_GENERATION IS(8)
#define TAKE_OVER_BY_STORE IS(9)
#define TAKE_OVER_FORGETS_WAITERS IS(10)
#define SLEEP_WITHOUT_LOOK IS(11)
#define SLEEP_WITHOUT_WAITERS IS(12)
#define TRUST_LEFTOVER IS(13)
#define REFERENCE_BY_STORE IS(14)
#define PUBLISH_BEFORE_COPY IS(15)
#define EMPTY_BEFORE_PUNCH IS(16)
#define DEAD_PINS_COUNT IS(17)
#define EVERYBODY_IS_DEAD IS(18)
#define ORPHAN_NOT_DOOMED IS(19)
#define NOBODY_IS_DEAD IS(20)
#define NO_WAKE_AT_ABANDON IS(21)
#define READ_UNPUBLISHED IS(22)
#define UNPIN_TOO_EARLY IS(23)
#define PUT_BACK_THE_DOOMED IS(24)
#define IGNORE_PINS IS(25)
#define NO_PUT_BACK IS(26)
/* Not wrong, as the checker says: the code does more than it must. */
#define NO_SECOND_LOOK_AT_WORD IS(101)
#define NO_SECOND_LOOK_AT_ENTRY IS(102)
#define NO_PUNCH_AT_TAKE_OVER IS(103)

/* How much of it: from the environment (check), so that one compilation does for all. */
byte mutant;
byte members = 3; /* processes that there are */
byte most_deaths; /* kills, at any step */
byte most_lives;  /* of a process; in each it does one thing: a fetch, an eviction, a fill ahead */
bool light;       /* 0: pins are seq_cst, and nobody fences */
bool refusals;    /* punching may fail */
bool ahead;       /* fills ahead, too */

short word;

/* The image.  What is FULL has been copied and not been published. */
#define HOLE 0
#define PART 1
#define FULL 2
#define GOOD 3
byte image;

/* Seats: the kernel's lock byte, the generation, the reader entry (its owner's generation + 1, or 0
 * for free) and its pin.  What a reader stores to its pin waits in its store buffer. */
bool lock[N];
byte gen[N];
byte entry[N];
bool pin[N];
byte buffer[N];   /* 0 nothing, 1 a cleared pin, 2 a set one */

byte at[N];       /* what each is at */
bool asleep[N];   /* in futex_wait */
bool waking[N];   /* has changed the word and not yet called futex_wake */
bool killed[N];
bool dying;       /* somebody is: nobody else moves until he is gone */
byte deaths, begun, ended;

/* member.c:hl_member_alive. */
#define ALIVE_SEAT(p, g) (lock[p] && (gen[p] == (g) || NO_GENERATION))
#define ALIVE(w) (NOBODY_IS_DEAD || (!EVERYBODY_IS_DEAD && ALIVE_SEAT(SEAT(w), GENERATION(w))))
#define MINE (CLAIMED(word) && OWNER_OF(word) == OWNER(me))

inline flush(p)
{
    if
    :: buffer[p] -> pin[p] = buffer[p] == 2; buffer[p] = 0
    :: else
    fi
}

inline wake_all()
{
    asleep[0] = false; asleep[1] = false; asleep[2] = false
}

/* What has been copied is published with the word. */
inline set_word(next)
{
    flush(me); /* a locked instruction drains the store buffer of its CPU */
    word = next;
    if
    :: STATE(word) == RESIDENT && image == FULL -> image = GOOD
    :: else
    fi
}

/* chunk.c:claim: compare and swap.  Sets ok. */
inline cas(next)
{
    d_step {
        flush(me);
        ok = word == seen;
        if
        :: ok -> word = next
        :: else
        fi
    }
}

/* chunk.c:settle_word: exchange, then wake. */
inline settle(next)
{
    if
    :: d_step { WAKE_BEFORE_PUBLISH -> if :: word & WAITERS -> wake_all() :: else fi };
        d_step { set_word(next) }
    :: d_step { SETTLE_BY_STORE -> waking[me] = (word & WAITERS) != 0 };
        d_step { set_word(next) };
        d_step { if :: waking[me] -> wake_all(); waking[me] = false :: else fi }
    :: d_step { !WAKE_BEFORE_PUBLISH && !SETTLE_BY_STORE && !(word & WAITERS) -> set_word(next) }
    :: d_step { !WAKE_BEFORE_PUBLISH && !SETTLE_BY_STORE && (word & WAITERS) -> waking[me] = true; set_word(next) };
        d_step { wake_all(); waking[me] = false }
    fi
}

/* volume.c: a store to the own pin.  One may wait in the buffer; who stores again waits for the
 * first.  Where pins are seq_cst none does. */
inline store_pin(what)
{
    d_step {
        flush(me);
        buffer[me] = what;
        if
        :: !light && !NO_FENCE -> flush(me)
        :: else
        fi
    }
}

/* image.c:hl_image_punch; small pages go one by one. */
inline punch()
{
    d_step { assert(MINE); if :: image != HOLE -> image = PART :: else fi };
    d_step { assert(MINE); image = HOLE }
}

/* image.c:hl_image_populate.  EEXIST: what is there is punched. */
inline populate()
{
    if
    :: image != HOLE && TRUST_LEFTOVER
    :: else ->
        if
        :: image != HOLE -> punch()
        :: else
        fi;
        d_step { assert(MINE); image = PART };
        d_step { assert(MINE); image = FULL }
    fi
}

/* chunk.c:fill_claimed, fill_and_publish, abandon.  The word is FILLING, and ours.  What may fail, does or
 * does not.  Sets rc. */
inline fill(took_over, asked)
{
    if
    :: d_step { took_over && !TRUST_LEFTOVER && !NO_PUNCH_AT_TAKE_OVER -> seen = 0; rc = DONE };
        punch()
    :: d_step { took_over && refusals -> seen = 0; rc = ERROR } /* it cannot be punched */
    :: d_step { !took_over || TRUST_LEFTOVER || NO_PUNCH_AT_TAKE_OVER -> seen = 0; rc = DONE }
    fi;
    if
    :: rc == DONE && !PUBLISH_BEFORE_COPY ->
        populate();
        settle(RESIDENT | REFERENCED)
    :: rc == DONE && PUBLISH_BEFORE_COPY ->
        settle(RESIDENT | REFERENCED);
        populate()
    :: d_step { NO_WAKE_AT_ABANDON -> set_word(EMPTY); rc = ERROR }
    :: !NO_WAKE_AT_ABANDON -> /* the source fails, or there is no room */
        settle(EMPTY | (asked -> FAILED : 0));
        rc = ERROR
    fi
}

/* chunk.c:claimed_by. */
#define CLAIM(state) (OWNER(me) | state | (TAKE_OVER_FORGETS_WAITERS -> 0 : seen & WAITERS))

inline take_over(next)
{
    d_step {
        flush(me);
        ok = word == seen || (TAKE_OVER_BY_STORE && CLAIMED(seen));
        if
        :: ok -> word = next
        :: else -> seen = 0
        fi
    }
}

/* chunk.c:claim_and_fill, put_back.  `seen` is EMPTY, or claimed by somebody dead.  Sets rc. */
inline claim_and_fill(asked)
{
    rc = AGAIN;
    if
    :: STATE(seen) == EVICTING && (!(seen & DOOMED) || PUT_BACK_THE_DOOMED) ->
        take_over(CLAIM(EVICTING));
        if
        :: ok -> settle(RESIDENT | REFERENCED)
        :: else
        fi
    :: else ->
        take_over(CLAIM(FILLING));
        if
        :: ok -> fill(STATE(seen) != EMPTY, asked)
        :: else
        fi
    fi
}

/* chunk.c:nap.  A nap has no end of its own here, but for the death of the owner: so a waiter
 * whom nobody wakes is found as an invalid end state. */
inline nap()
{
    if
    :: d_step { (seen & WAITERS) || SLEEP_WITHOUT_WAITERS -> ok = true }
    :: !(seen & WAITERS) && !SLEEP_WITHOUT_WAITERS -> cas(seen | WAITERS)
    fi;
    if
    :: !ok
    :: ok ->
        /* futex_wait: the kernel compares and sleeps in one step. */
        d_step {
            seen = seen | (SLEEP_WITHOUT_WAITERS -> 0 : WAITERS);
            asleep[me] = FUTEX(word) == FUTEX(seen) || SLEEP_WITHOUT_LOOK;
            seen = 0
        };
        if
        :: !asleep[me]
        :: CLAIMED(word) && !ALIVE(word) -> asleep[me] = false
        fi
    fi
}

/* chunk.c:hl_chunk_make_resident; and run_ahead, hl_chunk_claim_haul, which try once and do not wait.
 * Sets rc. */
inline make_resident(asked)
{
    d_step { waited = false; rc = AGAIN };
    do
    :: rc != AGAIN -> break
    :: d_step { rc == AGAIN -> seen = word };
        if
        :: STATE(seen) == RESIDENT -> rc = DONE
        :: STATE(seen) == EMPTY && waited && (seen & FAILED) -> rc = ERROR
        :: CLAIMED(seen) && ALIVE(seen) && asked -> waited = true; nap()
        :: CLAIMED(seen) && ALIVE(seen) && !asked -> rc = ERROR
        :: else ->
            claim_and_fill(asked);
            if
            :: rc == AGAIN && !asked -> rc = ERROR
            :: else
            fi
        fi
    od
}

/* volume.c:fetch, pin, pin_cold, touch_first, release. */
inline fetch()
{
    store_pin((PIN_AFTER_LOOK -> 0 : 2));
    d_step { seen = word; rc = DONE };
    do
    :: STATE(seen) == RESIDENT || rc == ERROR || (READ_UNPUBLISHED && image == FULL) -> break
    :: else ->
        make_resident(true);
        atomic { seen = (NO_SECOND_LOOK_AT_WORD -> RESIDENT : word); waited = false }
    od;
    if
    :: d_step { rc == DONE && PIN_AFTER_LOOK -> flush(me); buffer[me] = 2; seen = REFERENCED }
    :: d_step { rc == DONE && REFERENCE_BY_STORE -> word = seen | REFERENCED; seen = REFERENCED }
    :: d_step { rc == DONE && !(seen & REFERENCED) && !REFERENCE_BY_STORE && !PIN_AFTER_LOOK ->
        flush(me); word = word | REFERENCED; seen = REFERENCED }
    :: d_step { rc == DONE && (seen & REFERENCED) -> seen = REFERENCED }
    :: rc == ERROR
    fi;
    /* The reader reads, early and late. */
    d_step {
        assert(rc == ERROR || image == GOOD);
        if
        :: UNPIN_TOO_EARLY -> flush(me); buffer[me] = 1
        :: else
        fi
    };
    atomic { assert(rc == ERROR || image == GOOD); store_pin(1) }
}

/* member.c:hl_reader_holds, one entry.  Sets held. */
inline look_at(i)
{
    if
    :: entry[i] == 0
    :: d_step { entry[i] != 0 -> owner = entry[i] };
        if
        :: d_step { !pin[i] -> owner = 0 }
        :: pin[i] ->
            if
            :: d_step { ALIVE_SEAT(i, owner - 1) || DEAD_PINS_COUNT -> held = true; owner = 0 }
            :: !ALIVE_SEAT(i, owner - 1) && !DEAD_PINS_COUNT ->
                d_step { held = held || (entry[i] != owner && !NO_SECOND_LOOK_AT_ENTRY); owner = 0 }
            fi
        fi
    fi
}

/* The fence, and then each entry. */
inline look_at_pins()
{
    if
    :: d_step { !NO_FENCE && light -> flush(0); flush(1); flush(2) }
    :: NO_FENCE || !light
    fi;
    look_at(0);
    look_at(1);
    look_at(2);
    if
    :: IGNORE_PINS -> held = false
    :: !IGNORE_PINS
    fi
}

inline doom()
{
    d_step { flush(me); word = word | DOOMED }
}

/* replacement.c:look_at, slots.c:hl_slot_evict; chunk.c:hl_chunk_claim_victim, hl_chunk_claim_orphan,
 * hl_chunk_evict. */
inline evict()
{
    if
    :: d_step { LOOK_BEFORE_CLAIM -> seen = word };
        look_at_pins()
    :: d_step { !LOOK_BEFORE_CLAIM -> seen = word }
    fi;
    if
    :: d_step { STATE(seen) == RESIDENT && (seen & REFERENCED) -> flush(me); word = word & ~REFERENCED }
    :: atomic { STATE(seen) == RESIDENT -> cas(CLAIM(EVICTING)) }
    :: CLAIMED(seen) && !ALIVE(seen) ->
        cas(CLAIM(EVICTING) | ((STATE(seen) == FILLING || (seen & DOOMED)) && !ORPHAN_NOT_DOOMED -> DOOMED : 0))
    :: STATE(seen) == EMPTY || CLAIMED(seen) && ALIVE(seen)
    fi;
    if
    :: !ok
    :: ok ->
        if
        :: LOOK_BEFORE_CLAIM
        :: !LOOK_BEFORE_CLAIM -> look_at_pins()
        fi;
        if
        :: held && !NO_PUT_BACK -> settle(seen & ~WAITERS | REFERENCED)
        :: held && NO_PUT_BACK
        :: !held ->
            if
            :: atomic { !NO_DOOM && !DOOM_AFTER_PUNCH -> doom() }
            :: NO_DOOM || DOOM_AFTER_PUNCH
            fi;
            if
            :: EMPTY_BEFORE_PUNCH -> settle(EMPTY);
                punch()
            :: d_step { !EMPTY_BEFORE_PUNCH -> seen = 0 };
                punch();
                if
                :: atomic { DOOM_AFTER_PUNCH -> doom() }
                :: !DOOM_AFTER_PUNCH
                fi;
                settle(EMPTY)
            :: !EMPTY_BEFORE_PUNCH && refusals -> /* it cannot be punched */
                seen = (STATE(seen) == RESIDENT -> seen & ~WAITERS : EMPTY);
                settle(seen)
            fi
        fi
    fi
}

/* member.c:hl_member_attach, then hl_reader_claim under the pool lock: the entry of the dead is
 * collected first. */
inline attach()
{
    d_step { lock[me] = true; at[me] = ATTACH };
    gen[me] = gen[me] + 1;
    pin[me] = false;
    entry[me] = 0;
    d_step { entry[me] = gen[me] + 1; at[me] = IDLE }
}

inline forget_everything()
{
    seen = 0; ok = false; waited = false; held = false; rc = DONE; owner = 0
}

inline begin(what)
{
    d_step { !ops && begun >= me -> ops = true; at[me] = what; if :: begun == me -> begun++ :: else fi }
}

inline begin_ahead()
{
    d_step { ahead && !ops && begun >= me -> ops = true; at[me] = AHEAD; if :: begun == me -> begun++ :: else fi }
}

proctype member(byte me) provided (!dying || killed[me])
{
    short seen;
    bool ok, waited, held;
    byte rc, owner;
    bool ops;

again:
    {
        if
        :: lock[me]
        :: !lock[me] -> attach()
        fi;
        do
        :: begin(FETCH); fetch(); atomic { at[me] = IDLE; d_step { forget_everything() } }
        :: begin(EVICT); evict(); atomic { at[me] = IDLE; d_step { forget_everything() } }
        :: begin_ahead(); make_resident(false); atomic { at[me] = IDLE; d_step { forget_everything() } }
        :: d_step {
            ops ->
            /* hugelite_volume_close, hugelite_pool_close. */
            assert(!MINE); flush(me); assert(!pin[me] && !asleep[me] && !waking[me]);
            entry[me] = 0; lock[me] = false; ops = false; ended++ };
            goto over
        od
    } unless { killed[me] };
    if
    :: d_step { gen[me] + 1 < most_lives -> killed[me] = false; dying = false; ops = false; forget_everything() };
        goto again
    :: d_step { killed[me] = false; dying = false; ops = false; forget_everything(); ended++ }
    fi;
over:
    skip
}

/* The machine: store buffers drain when they like, and somebody kills. */
inline kill(p)
{
    deaths < most_deaths && lock[p] && at[p] != IDLE ->
    deaths++; killed[p] = true; dying = true; lock[p] = false; at[p] = IDLE; asleep[p] = false;
    flush(p);
    /* Whom it would have woken: their naps end. */
    if
    :: waking[p] -> wake_all(); waking[p] = false
    :: else
    fi
}

proctype machine() provided (!dying)
{
end:
    do
    :: d_step { buffer[0] -> flush(0) }
    :: d_step { buffer[1] -> flush(1) }
    :: d_step { buffer[2] -> flush(2) }
    :: d_step { kill(0) }
    :: d_step { kill(1) }
    :: d_step { kill(2) }
    od
}

/* What is left when all have gone must be what the next one who comes puts right: no claim of the living, no
 * pin that counts, no page that is taken for one. */
#define HELD(i) (pin[i] && entry[i] && (ALIVE_SEAT(i, entry[i] - 1) || DEAD_PINS_COUNT))

init {
    atomic {
        c_code {
            now.mutant = parameter("MUTANT", 0);
            now.members = parameter("MEMBERS", 3);
            now.most_deaths = parameter("DEATHS", 1);
            now.most_lives = parameter("LIVES", 2);
            now.light = parameter("LIGHT", 1);
            now.refusals = parameter("REFUSALS", 1);
            now.ahead = parameter("AHEAD", 1);
        };
        if
        :: skip
        :: word = RESIDENT; image = GOOD
        fi;
        lock[0] = true; lock[1] = true; lock[2] = true;
        entry[0] = 1; entry[1] = 1; entry[2] = 1;
        run machine(); run member(0); run member(1);
        if
        :: members == 3 -> run member(2)
        :: else -> ended++
        fi
    };
    atomic {
        ended == N;
        assert(!CLAIMED(word) || !ALIVE(word));
        assert(STATE(word) != RESIDENT || image == GOOD);
        assert(STATE(word) != EVICTING || (word & DOOMED) || image == GOOD);
        assert(!HELD(0) && !HELD(1) && !HELD(2))
    }
}
