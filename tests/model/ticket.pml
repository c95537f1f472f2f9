/* SPDX-License-Identifier: MIT
 *
 * ticket.pml - the budget: two chunks, two tickets, three processes of which any dies at any step and comes
 * back in its seat; and a sweep at the end that must find every ticket again.
 *
 * A ticket's word is the chunk, the member and a tag.  Which ticket is looked at is nobody's business here: any,
 * so that every policy of replacement.c is covered.  What is left out: README.md.
 */

#define N 3
#define CHUNKS 2
#define TICKETS 2
#define NONE 7

#define EMPTY 0
#define FILLING 1
#define RESIDENT 2
#define EVICTING 3

#define IDLE 0
#define FILL 1
#define SWEEP 2

#define IS(m) (mutant == m)
#define STALE_TICKET_WORD IS(1)
#define NO_TAG IS(2)
#define TAKE_BEFORE_CLAIM IS(3)
#define ORPHANS_STAY IS(4)
#define FORGOTTEN_STAY IS(5)
#define ADOPT_KEEPS_WORD IS(6)
#define MOVING_IS_NOBODYS IS(7)
#define FREE_BY_STORE IS(8)
#define GIVE_AFTER_WORD IS(9)
#define NO_GIVE IS(10)
#define EVICTING_IS_NOBODYS IS(11)
#define ORPHANS_NEW_WORD IS(12)
/* Not wrong, as the checker says: the tag makes it good. */
#define FREE_AFTER_WORD IS(101)

byte mutant, members, most_deaths, most_lives; /* from the environment (check) */

c_decl {
    static int parameter(const char *name, int otherwise)
    {
        return getenv(name) ? atoi(getenv(name)) : otherwise;
    }
};

/* Chunk words: state, owner (seat and generation), ticket; for the rest see chunk.pml. */
#define WORD(s, p, t) ((s) | (p) << 2 | gen[p] << 4 | (t) << 8)
#define STATE(w) ((w) & 3)
#define SEAT(w) ((w) >> 2 & 3)
#define GENERATION(w) ((w) >> 4 & 15)
#define TICKET(w) ((w) >> 8 & 7)
#define DOOMED 4096
#define PUBLISHED(t) (RESIDENT | (t) << 8)

/* Ticket words: chunk + 1, member, tag; 0 = free.  The tag never comes again here, as 2^20 uses by one
 * process between two instructions of another do not there. */
#define TICKET_WORD(c, p) ((c) + 1 | (p) << 2 | (NO_TAG -> 0 : tag) << 4)
#define CHUNK_OF(t) (((t) & 3) - 1)
#define MEMBER_OF(t) ((t) >> 2 & 3)

short word[CHUNKS];
short ticket[TICKETS];
byte tag = 1;
bool page[CHUNKS];

bool lock[N];
byte gen[N];
byte at[N];
bool killed[N];
bool dying;
byte deaths, begun, ended;

#define ALIVE(w) (lock[SEAT(w)] && gen[SEAT(w)] == GENERATION(w))
#define CLAIMED(w) ((w) & 1)

/* At any time: who is resident has his ticket, and nobody else's. */
inline check()
{
    assert(STATE(word[0]) != RESIDENT || (ticket[TICKET(word[0])] != 0 && CHUNK_OF(ticket[TICKET(word[0])]) == 0 && page[0]));
    assert(STATE(word[1]) != RESIDENT || (ticket[TICKET(word[1])] != 0 && CHUNK_OF(ticket[TICKET(word[1])]) == 1 && page[1]))
}

/* tickets.c:hl_ticket_free: compare and swap of the very word. */
inline free_ticket(i, seen)
{
    d_step {
        if
        :: ticket[i] == seen || FREE_BY_STORE -> ticket[i] = 0
        :: else
        fi;
        check()
    }
}

/* tickets.c:take_one: any ticket that is free.  Sets mine. */
inline take()
{
    mine = NONE;
    if
    :: d_step { ticket[0] == 0 -> ticket[0] = TICKET_WORD(c, me); tag++; mine = 0 }
    :: d_step { ticket[1] == 0 -> ticket[1] = TICKET_WORD(c, me); tag++; mine = 1 }
    :: d_step { ticket[0] && ticket[1] -> mine = NONE }
    fi
}

/* chunk.c:put_back; tickets.c:hl_ticket_adopt.  The word is EVICTING, and ours. */
inline put_back()
{
    if
    :: d_step { ticket[0] && CHUNK_OF(ticket[0]) == c ->
        if :: ADOPT_KEEPS_WORD :: else -> ticket[0] = TICKET_WORD(c, me); tag++ fi;
        mine = 0 }
    :: d_step { !(ticket[0] && CHUNK_OF(ticket[0]) == c) && ticket[1] && CHUNK_OF(ticket[1]) == c ->
        if :: ADOPT_KEEPS_WORD :: else -> ticket[1] = TICKET_WORD(c, me); tag++ fi;
        mine = 1 }
    fi; /* a resident chunk without a ticket: stuck here, an invalid end state */
    d_step { word[c] = PUBLISHED(mine); mine = NONE; check() }
}

/* chunk.c:claim_and_fill, fill_and_publish, abandon. */
inline fill()
{
    if
    :: c = 0
    :: c = 1
    fi;
    if
    :: TAKE_BEFORE_CLAIM -> take()
    :: else
    fi;
    seen = word[c];
    if
    :: STATE(seen) == EVICTING && !(seen & DOOMED) && !ALIVE(seen) ->
        d_step { ok = word[c] == seen; if :: ok -> word[c] = WORD(EVICTING, me, 0) :: else fi };
        if
        :: ok -> put_back()
        :: else
        fi
    :: STATE(seen) == EMPTY || (CLAIMED(seen) && !ALIVE(seen) && (STATE(seen) == FILLING || (seen & DOOMED))) ->
        d_step { ok = word[c] == seen; if :: ok -> word[c] = WORD(FILLING, me, 0) :: else fi };
        if
        :: ok ->
            page[c] = false;
            if
            :: TAKE_BEFORE_CLAIM
            :: else -> take()
            fi;
            if
            :: mine == NONE -> word[c] = EMPTY
            :: mine != NONE -> /* the fill fails */
                if
                :: NO_GIVE || GIVE_AFTER_WORD
                :: else -> d_step { ticket[mine] = 0; check() }
                fi;
                word[c] = EMPTY;
                if
                :: GIVE_AFTER_WORD -> d_step { ticket[mine] = 0; check() }
                :: else
                fi
            :: mine != NONE ->
                page[c] = true;
                d_step { word[c] = PUBLISHED(mine); check() }
            fi
        :: else
        fi
    :: else
    fi
}

/* chunk.c:hl_chunk_evict of the one that we have claimed; some reader may hold it.  was: its word. */
inline evict()
{
    if
    :: d_step { STATE(was) == RESIDENT -> word[c] = was; check() }
    :: d_step { STATE(was) != RESIDENT -> word[c] = was } /* the orphan's waiter takes it over himself */
    :: word[c] = word[c] | DOOMED;
        page[c] = false;
        if
        :: FREE_AFTER_WORD -> word[c] = EMPTY; free_ticket(mine, seen)
        :: else -> free_ticket(mine, seen); word[c] = EMPTY
        fi
    fi
}

/* replacement.c:look_at, one ticket, any; the chunk that we want is none. */
inline sweep()
{
    if
    :: mine = 0
    :: mine = 1
    fi;
    seen = ticket[mine];
    if
    :: seen == 0
    :: else ->
        c = CHUNK_OF(seen);
        was = word[c];
        if
        :: STATE(was) == RESIDENT && TICKET(was) == mine ->
            d_step { ok = word[c] == was; if :: ok -> word[c] = WORD(EVICTING, me, 0) :: else fi };
            if
            :: ok ->
                /* It may have been used anew since we looked; now nobody changes it. */
                seen = (STALE_TICKET_WORD -> seen : ticket[mine]);
                evict()
            :: else
            fi
        :: STATE(was) == RESIDENT && TICKET(was) != mine && !FORGOTTEN_STAY ->
            free_ticket(mine, seen)
        :: STATE(was) == EMPTY && !FORGOTTEN_STAY -> free_ticket(mine, seen)
        :: CLAIMED(was) && !ALIVE(was) && !ORPHANS_STAY ->
            /* What a filler left, or an evictor who had begun to punch, is not whole. */
            d_step {
                ok = word[c] == was;
                if
                :: ok -> word[c] = WORD(EVICTING, me, 0) | (STATE(was) == FILLING || (was & DOOMED) -> DOOMED : 0)
                :: else
                fi
            };
            if
            :: ok ->
                seen = (ORPHANS_NEW_WORD -> ticket[mine] : seen);
                evict()
            :: else
            fi
        :: STATE(was) == FILLING && ALIVE(was) && (SEAT(was) != MEMBER_OF(seen) || MOVING_IS_NOBODYS) ->
            free_ticket(mine, seen)
        :: STATE(was) == EVICTING && ALIVE(was) && EVICTING_IS_NOBODYS -> free_ticket(mine, seen)
        :: else
        fi
    fi
}

inline forget_everything()
{
    seen = 0; was = 0; c = 0; mine = NONE; ok = false
}

inline begin(what)
{
    d_step { !done && begun >= me -> done = true; at[me] = what; if :: begun == me -> begun++ :: else fi }
}

proctype member(byte me) provided (!dying || killed[me])
{
    short seen, was;
    byte c, mine = NONE;
    bool ok, done;

again:
    {
        if
        :: lock[me]
        :: !lock[me] -> d_step { lock[me] = true; gen[me] = gen[me] + 1 }
        fi;
        do
        :: begin(FILL); fill(); atomic { at[me] = IDLE; d_step { forget_everything() } }
        :: begin(SWEEP); sweep(); atomic { at[me] = IDLE; d_step { forget_everything() } }
        :: d_step { done -> lock[me] = false; done = false; ended++ };
            goto over
        od
    } unless { killed[me] };
    if
    :: d_step { gen[me] + 1 < most_lives -> killed[me] = false; dying = false; done = false; forget_everything() };
        goto again
    :: d_step { killed[me] = false; dying = false; done = false; forget_everything(); ended++ }
    fi;
over:
    skip
}

inline kill(p)
{
    deaths < most_deaths && lock[p] && at[p] != IDLE ->
    deaths++; killed[p] = true; dying = true; lock[p] = false; at[p] = IDLE
}

proctype killer() provided (!dying)
{
end:
    do
    :: d_step { kill(0) }
    :: d_step { kill(1) }
    :: d_step { kill(2) }
    od
}

/* The last one sweeps each ticket, alone: it comes free, or its chunk is resident with it. */
#define BELONGS(i) (STATE(word[CHUNK_OF(ticket[i])]) == RESIDENT && TICKET(word[CHUNK_OF(ticket[i])]) == i)
#define ORPHAN(i) (CLAIMED(word[CHUNK_OF(ticket[i])]) && !ALIVE(word[CHUNK_OF(ticket[i])]))
#define FOUND(i) (ticket[i] == 0 || BELONGS(i) || (ORPHAN(i) && !ORPHANS_STAY) || (!ORPHAN(i) && !FORGOTTEN_STAY))

init {
    atomic {
        c_code {
            now.mutant = parameter("MUTANT", 0);
            now.members = parameter("MEMBERS", 3);
            now.most_deaths = parameter("DEATHS", 1);
            now.most_lives = parameter("LIVES", 2);
        };
        lock[0] = true; lock[1] = true; lock[2] = true;
        if
        :: skip
        :: ticket[0] = TICKET_WORD(0, 0); tag++; word[0] = PUBLISHED(0); page[0] = true
        fi;
        run killer(); run member(0); run member(1);
        if
        :: members == 3 -> run member(2)
        :: else -> ended++
        fi
    };
    atomic {
        ended == N;
        check();
        assert(!CLAIMED(word[0]) || !ALIVE(word[0]));
        assert(!CLAIMED(word[1]) || !ALIVE(word[1]));
        assert(FOUND(0) && FOUND(1));
        /* Without a death nobody leaves a ticket behind. */
        assert(deaths || (ticket[0] == 0 || BELONGS(0)) && (ticket[1] == 0 || BELONGS(1)))
    }
}
