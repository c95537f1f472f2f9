/* SPDX-License-Identifier: MIT
 *
 * audit.c - the books of a pool in use: every chunk word, ticket, reader entry, slot and image is looked
 * at, and what does not fit is told, and put right if that is wished.
 *
 * Nobody is stopped for it.  A look that finds something wrong only makes a suspect; suspects are
 * looked at again a few times, with pauses between and at last under the pool lock, and who has
 * changed, or is all right, is dropped: it was on the move.  What is repaired is looked at once more, so that it is said to be right
 * only when it is.  What belongs to the tables is repaired under the pool lock (rule 7), chunks
 * under a claim (rule 2), tickets by compare-and-swap of the very word.
 *
 * Entry points: audit.h.
 * See also: audit.def (what may be found), engine/README.md (the rules), chunk.c, slots.c, member.c.
 */
#include "config.h"

#include "audit.h"

#include "chunk.h"
#include "error.h"
#include "image.h"
#include "pool.h"
#include "sys.h"
#include "tickets.h"
#include "volume.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a suspect must look the same, and the pause between. */
enum { LOOKS = 6, PAUSE_NS = 1000 * 1000 };

#define LEFT true
#define WRONG false
const struct hl_finding_kind hl_finding_kinds[HL_FINDINGS] = {
#define X(name, harm, text) { #name, text, harm },
#include "audit.def"
#undef X
};

#define NOTHING HL_FINDINGS

/* What one look has seen.  Two looks that differ in anything saw something move. */
struct sight {
    enum hl_finding kind; /* NOTHING = all right, or on the move */
    uint64_t seen[3];
};

struct suspect {
    uint32_t index;
    struct sight sight;
};

struct walk {
    struct hugelite_pool *pool;
    bool repair;
    hl_audit_tell *tell;
    void *arg;
    struct hl_audit *audit;
    bool counts; /* the first look at each thing: it goes into the sums */

    struct suspect *suspects;
    size_t nr, room;

    /* The volume whose chunks are looked at; its image is ours for the time. */
    struct hl_volume volume;
    uint32_t life;

    /* The images of the directory. */
    char (*names)[HL_IMAGE_NAME_BYTES];
    size_t nr_names, room_names;
};

/* Of a kind of thing that is numbered: one look, the repair (under the pool lock if `locked`), and who it is. */
struct aspect {
    struct sight (*look)(struct walk *walk, uint32_t index);
    void (*repair)(struct walk *walk, uint32_t index, const struct sight *sight);
    void (*name)(const struct walk *walk, uint32_t index, const struct sight *sight, char *text,
                 size_t room);
    bool locked;
};

enum { NAME_ROOM = HL_NAME_BYTES + 160 };

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static const struct sight all_right = { .kind = NOTHING };

static struct sight found(enum hl_finding kind, uint64_t a, uint64_t b)
{
    return (struct sight){ kind, { a, b, 0 } };
}

static bool is_same(const struct sight *a, const struct sight *b)
{
    return a->kind == b->kind && memcmp(a->seen, b->seen, sizeof a->seen) == 0;
}

/* ---- suspects -------------------------------------------------------------- */

static int suspect(struct walk *walk, uint32_t index, const struct sight *sight)
{
    if (walk->nr == walk->room) {
        size_t room = walk->room ? walk->room * 2 : 64;
        struct suspect *more = realloc(walk->suspects, room * sizeof *more);

        if (!more)
            return hl_error(ENOMEM, "pool '%s': no memory for its audit", walk->pool->dir);
        walk->suspects = more;
        walk->room = room;
    }
    walk->suspects[walk->nr++] = (struct suspect){ index, *sight };
    return 0;
}

/* Those that look as before are left. */
static void sift(struct walk *walk, const struct aspect *aspect)
{
    size_t left = 0;

    for (size_t i = 0; i < walk->nr; i++) {
        struct sight now = aspect->look(walk, walk->suspects[i].index);

        if (is_same(&now, &walk->suspects[i].sight))
            walk->suspects[left++] = walk->suspects[i];
    }
    walk->nr = left;
}

/* Who holds a claim is seen to live, however long it takes him; what is done under the pool lock is done when
 * we have it.  Nothing else is ever half done, so that a suspect that is left is none who was slow. */
static int look_again(struct walk *walk, const struct aspect *aspect)
{
    int rc;

    for (unsigned look = 1; look < LOOKS && walk->nr; look++) {
        nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
        sift(walk, aspect);
    }
    if (!walk->nr || !aspect->locked)
        return 0;
    rc = hl_pool_lock(walk->pool);
    if (rc < 0)
        return rc;
    sift(walk, aspect);
    hl_pool_unlock(walk->pool);
    return 0;
}

static int put_right(struct walk *walk, const struct aspect *aspect, const struct suspect *s,
                  bool *ret_repaired)
{
    struct sight now;
    int rc = 0;

    if (aspect->locked)
        rc = hl_pool_lock(walk->pool);
    if (rc < 0)
        return rc;
    /* Under the lock, once more: nothing else changes a table. */
    now = aspect->look(walk, s->index);
    if (is_same(&now, &s->sight))
        aspect->repair(walk, s->index, &s->sight);
    if (aspect->locked)
        hl_pool_unlock(walk->pool);
    now = aspect->look(walk, s->index);
    *ret_repaired = now.kind != s->sight.kind;
    return 0;
}

/* Look at the things from..end, then again at what seemed wrong, tell and repair what is. */
static int walk_over(struct walk *walk, const struct aspect *aspect, uint32_t from, uint32_t end)
{
    int rc = 0;

    walk->nr = 0;
    walk->counts = true;
    for (uint32_t i = from; i < end && rc == 0; i++) {
        struct sight sight = aspect->look(walk, i);

        if (sight.kind != NOTHING)
            rc = suspect(walk, i, &sight);
    }
    walk->counts = false;
    if (rc == 0)
        rc = look_again(walk, aspect);
    for (size_t i = 0; i < walk->nr && rc == 0; i++) {
        const struct suspect *s = &walk->suspects[i];
        char text[NAME_ROOM];
        bool repaired = false;

        walk->audit->found[s->sight.kind]++;
        aspect->name(walk, s->index, &s->sight, text, sizeof text);
        if (walk->repair && aspect->repair)
            rc = put_right(walk, aspect, s, &repaired);
        walk->audit->repaired[s->sight.kind] += repaired;
        if (rc == 0 && walk->tell)
            walk->tell(walk->arg, s->sight.kind, repaired, text);
    }
    return rc;
}

/* ---- the header -------------------------------------------------------------- */

/* What was checked at attach, and copied, has to be there still. */
static bool is_header_right(const struct hugelite_pool *pool)
{
    const struct hl_control *c = pool->control;
    const char *base = (const char *)c;

    return c->magic == HL_MAGIC && c->version == HL_LAYOUT_VERSION &&
           c->page_bytes == pool->page_bytes && c->control_bytes == pool->control_bytes &&
           c->nr_tickets == pool->nr_tickets && c->nr_words == pool->nr_words &&
           c->light_pins == pool->light_pins &&
           base + c->members_at == (const char *)pool->members &&
           base + c->readers_at == (const char *)pool->readers &&
           base + c->slots_at == (const char *)pool->slots &&
           base + c->tickets_at == (const char *)pool->tickets &&
           base + c->free_at == (const char *)pool->free_entries &&
           base + c->fresh_at == (const char *)pool->fresh_entries &&
           base + c->words_at == (const char *)pool->words;
}

static struct sight look_control(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    struct stat st;

    /* The file before the memory: reading a hole would fill it. */
    if (index == 0) {
        if (hl_sys.fstat(pool->control_fd, &st) == 0 &&
            ((uint64_t)st.st_size != pool->control_bytes ||
             (uint64_t)st.st_blocks * 512 < pool->control_bytes))
            return found(HL_FOUND_control_holes, (uint64_t)st.st_blocks, (uint64_t)st.st_size);
        return all_right;
    }
    return is_header_right(pool) ? all_right : found(HL_FOUND_control_header, 0, 0);
}

static void repair_control(struct walk *walk, uint32_t index, const struct sight *sight)
{
    /* Zeros where pages were: that is what a hole has been already. */
    if (index == 0 && sight->seen[1] == walk->pool->control_bytes)
        (void)hl_sys.fallocate(walk->pool->control_fd, 0, 0, (off_t)walk->pool->control_bytes);
}

static void name_control(const struct walk *walk, uint32_t index, const struct sight *sight,
                         char *text, size_t room)
{
    if (index == 0)
        snprintf(text, room, "control: %llu of %llu bytes have pages",
                 (unsigned long long)sight->seen[0] * 512,
                 (unsigned long long)walk->pool->control_bytes);
    else
        snprintf(text, room, "control: its header has changed; close the programs that use pool "
                 "'%s' and remove the directory", walk->pool->dir);
}

static const struct aspect control_aspect = { look_control, repair_control, name_control, true };

/* ---- members and readers ------------------------------------------------------- */

static void count_members(struct walk *walk)
{
    for (uint32_t i = 0; i < HL_MEMBERS; i++) {
        uint32_t generation = atomic_load_explicit(&walk->pool->members[i].generation,
                                                   memory_order_acquire);

        walk->audit->members += generation && hl_member_alive(walk->pool, HL_OWNER(i, generation));
    }
}

/* Pins that are set, and how many of them are not of the chunks of this slot (NULL = of any). */
static unsigned count_pins(const struct hugelite_pool *pool, const struct hl_reader *reader,
                           const struct hl_slot *slot, unsigned *ret_astray)
{
    uint32_t first = 0, capacity = 0;
    unsigned nr = 0;

    if (slot && !hl_slot_place(pool, slot, &first, &capacity))
        capacity = 0;

    *ret_astray = 0;
    for (unsigned p = 0; p < HL_PINS; p++) {
        uint32_t pin = atomic_load_explicit(&reader->pins[p], memory_order_relaxed);

        nr += pin != 0;
        *ret_astray += pin && (pin - 1 < first || pin - 1 - first >= capacity);
    }
    return nr;
}

static struct sight look_reader(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    const struct hl_reader *reader = &pool->readers[index];
    uint64_t owner = load(&reader->owner);
    uint32_t volume = atomic_load_explicit(&reader->volume, memory_order_relaxed);
    uint32_t top = atomic_load_explicit(&pool->control->readers_top, memory_order_seq_cst);
    const struct hl_slot *slot = volume - 1 < HL_SLOTS ? &pool->slots[volume - 1] : NULL;
    unsigned pins, astray;

    if (slot && atomic_load_explicit(&slot->state, memory_order_acquire) == HL_SLOT_FREE)
        slot = NULL;
    pins = count_pins(pool, reader, slot, &astray);
    if (!owner)
        return pins ? found(HL_FOUND_readers_garbled, 0, pins) : all_right;
    if (!hl_member_alive(pool, owner))
        return found(HL_FOUND_readers_dead, owner, volume);
    if (index >= top)
        return found(HL_FOUND_readers_hidden, owner, top);
    if (volume && (!slot || astray)) /* 0: it is being released */
        return found(HL_FOUND_readers_garbled, owner, astray);
    if (walk->counts) {
        walk->audit->readers++;
        walk->audit->pins += pins;
    }
    return all_right;
}

static void repair_reader(struct walk *walk, uint32_t index, const struct sight *sight)
{
    if (sight->kind == HL_FOUND_readers_hidden)
        atomic_store_explicit(&walk->pool->control->readers_top, index + 1, memory_order_seq_cst);
    else if (sight->kind == HL_FOUND_readers_dead || sight->seen[0] == 0)
        hl_reader_release(&walk->pool->readers[index]);
    /* A living reader's entry is its own. */
}

static void name_reader(const struct walk *walk, uint32_t index, const struct sight *sight,
                        char *text, size_t room)
{
    (void)walk;
    if (sight->seen[0])
        snprintf(text, room, "reader %u, of member %u", index, HL_OWNER_MEMBER(sight->seen[0]));
    else
        snprintf(text, room, "reader %u, of nobody", index);
}

static const struct aspect reader_aspect = { look_reader, repair_reader, name_reader, true };

/* ---- slots ----------------------------------------------------------------------- */

static uint32_t state_of(const struct hl_slot *slot)
{
    return atomic_load_explicit(&slot->state, memory_order_acquire);
}

/* Another slot with some of the chunks that this one has, or HL_SLOTS. */
static uint32_t overlaps(struct hugelite_pool *pool, uint32_t index, uint32_t first,
                         uint32_t capacity)
{
    uint32_t other_first, other_capacity;

    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        const struct hl_slot *other = &pool->slots[i];

        if (i != index && state_of(other) != HL_SLOT_FREE &&
            hl_slot_place(pool, other, &other_first, &other_capacity) &&
            other_first < first + capacity && first < other_first + other_capacity)
            return i;
    }
    return HL_SLOTS;
}

static struct sight look_slot(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    const struct hl_slot *slot = &pool->slots[index];
    uint32_t state = state_of(slot), other, first, capacity;
    uint32_t life = atomic_load_explicit(&slot->life, memory_order_acquire);

    if (state == HL_SLOT_FREE)
        return all_right;
    if (state > HL_SLOT_DYING || !hl_slot_place(pool, slot, &first, &capacity))
        return found(HL_FOUND_slots_garbled, state, life);
    other = overlaps(pool, index, first, capacity);
    if (other != HL_SLOTS)
        return found(HL_FOUND_slots_overlap, other, life);
    if (state == HL_SLOT_DYING)
        return found(HL_FOUND_slots_dying, 0, life);
    if (atomic_load_explicit(&slot->superseded, memory_order_relaxed) &&
        !hl_reader_of_volume(pool, index))
        return found(HL_FOUND_slots_superseded, 0, life);
    if (walk->counts)
        walk->audit->volumes++;
    return all_right;
}

static void repair_slot(struct walk *walk, uint32_t index, const struct sight *sight)
{
    struct hugelite_pool *pool = walk->pool;

    if (sight->kind == HL_FOUND_slots_dying || sight->kind == HL_FOUND_slots_superseded) {
        hl_slot_collect(pool);
        return;
    }
    /* Whoever reads the other one holds chunks by words that both have. */
    if (sight->kind == HL_FOUND_slots_overlap &&
        hl_reader_of_volume(pool, (uint32_t)sight->seen[0]))
        return;
    hl_slot_discard(pool, index); /* but not if it has a reader */
}

static void name_slot(const struct walk *walk, uint32_t index, const struct sight *sight,
                      char *text, size_t room)
{
    (void)sight;
    snprintf(text, room, "volume %u, of %.*s", index, (int)HL_NAME_BYTES - 1,
             walk->pool->slots[index].source);
}

static const struct aspect slot_aspect = { look_slot, repair_slot, name_slot, true };

/* ---- scouts, and images that are not there ------------------------------------------ */

static struct sight look_scout(struct walk *walk, uint32_t index)
{
    const struct hl_slot *slot = &walk->pool->slots[index];
    uint64_t scout = load(&slot->scout);

    if (state_of(slot) != HL_SLOT_LIVE || !scout || hl_member_alive(walk->pool, scout))
        return all_right;
    return found(HL_FOUND_scouts_dead, scout, 0);
}

static void repair_scout(struct walk *walk, uint32_t index, const struct sight *sight)
{
    uint64_t scout = sight->seen[0];

    /* Somebody may take over at this very moment; then it is his. */
    atomic_compare_exchange_strong_explicit(&walk->pool->slots[index].scout, &scout, 0,
                                            memory_order_acq_rel, memory_order_relaxed);
}

static const struct aspect scout_aspect = { look_scout, repair_scout, name_slot, false };

static struct sight look_image(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    const struct hl_slot *slot = &pool->slots[index];
    uint32_t life = atomic_load_explicit(&slot->life, memory_order_acquire);
    char name[HL_IMAGE_NAME_BYTES];
    struct stat st = { .st_size = -1 };
    uint32_t first, capacity;

    if (state_of(slot) != HL_SLOT_LIVE || !hl_slot_place(pool, slot, &first, &capacity))
        return all_right;
    hl_slot_image_name(pool, slot, name);
    if (fstatat(pool->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == (uint64_t)capacity << HL_CHUNK_SHIFT) {
        if (walk->counts)
            walk->audit->image_bytes += (uint64_t)st.st_blocks * 512;
        return all_right;
    }
    return found(HL_FOUND_images_missing, (uint64_t)st.st_size, life);
}

static const struct aspect image_aspect = { look_image, repair_slot, name_slot, true };

/* ---- chunks ---------------------------------------------------------------------------- */

enum pages { NO_PAGE, SOME_PAGES, ALL_PAGES };

/* Of one chunk of the image that is open. */
static enum pages pages_of(struct walk *walk, uint32_t index)
{
    struct hl_image *image = &walk->volume.image;
    off_t at = (off_t)index << HL_CHUNK_SHIFT, end = at + HL_CHUNK_BYTES, data;

    if (image->hugetlb) /* whose files do not know SEEK_DATA */
        return hl_image_settle(image, index) ? ALL_PAGES : NO_PAGE;
    data = lseek(image->fd, at, SEEK_DATA);
    if (data < 0 || data >= end)
        return NO_PAGE;
    return data == at && lseek(image->fd, at, SEEK_HOLE) >= end ? ALL_PAGES : SOME_PAGES;
}

static bool has_ticket(const struct hugelite_pool *pool, uint32_t chunk, uint64_t word)
{
    uint32_t ticket = hl_chunk_ticket(word);
    uint64_t t = ticket < pool->nr_tickets ? load(&pool->tickets[ticket]) : 0;

    return t && HL_TICKET_CHUNK(t) == chunk;
}

/* Bits that no chunk of this state has; bit 7 is free, and the member's place is a claim's. */
static bool is_garbled(uint64_t word)
{
    uint64_t never = 0xffff0080u | HL_CHUNK_DOOMED;

    if (hl_chunk_state(word) == HL_CHUNK_RESIDENT)
        never |= HL_CHUNK_FAILED;
    return word & never;
}

/* What is wrong with a chunk of a volume, whatever it does at this moment. */
static enum hl_finding judge(struct walk *walk, uint32_t index, uint64_t word)
{
    struct hugelite_pool *pool = walk->pool;
    uint32_t chunk = walk->volume.first + index;

    switch (hl_chunk_state(word)) {
    case HL_CHUNK_FILLING:
    case HL_CHUNK_EVICTING:
        return hl_member_alive(pool, word & HL_OWNER_MASK) ? NOTHING : HL_FOUND_chunks_orphaned;
    case HL_CHUNK_EMPTY:
        if (is_garbled(word))
            return HL_FOUND_chunks_garbled;
        return pages_of(walk, index) != NO_PAGE ? HL_FOUND_pages_stray : NOTHING;
    case HL_CHUNK_RESIDENT:
        break;
    }
    if (!has_ticket(pool, chunk, word))
        return HL_FOUND_chunks_unpaid;
    if (is_garbled(word))
        return HL_FOUND_chunks_garbled;
    if (index >= walk->volume.nr_chunks)
        return HL_FOUND_chunks_behind;
    return pages_of(walk, index) != ALL_PAGES ? HL_FOUND_chunks_hollow : NOTHING;
}

static struct sight look_chunk(struct walk *walk, uint32_t index)
{
    const struct hl_slot *slot = walk->volume.slot;
    const _Atomic uint64_t *at = &walk->pool->words[walk->volume.first + index];
    uint64_t word = load(at);
    enum hl_finding kind = judge(walk, index, word);

    if (kind == NOTHING || load(at) != word || state_of(slot) != HL_SLOT_LIVE ||
        atomic_load_explicit(&slot->life, memory_order_acquire) != walk->life)
        return all_right;
    return found(kind, word, 0);
}

/* The ticket that an orphan has, so that it goes with it; without one, one that does not match. */
static void adopt_ticket(struct hugelite_pool *pool, struct hl_victim *victim)
{
    uint32_t ticket;

    if (hl_ticket_adopt(pool, victim->chunk, &ticket)) {
        victim->ticket = ticket;
        victim->ticket_word = load(&pool->tickets[ticket]);
    }
}

/* As a sweep does that comes by: claim it, and evict what no reader holds. */
static void repair_chunk(struct walk *walk, uint32_t index, const struct sight *sight)
{
    struct hugelite_pool *pool = walk->pool;
    uint64_t word = sight->seen[0];
    struct hl_victim victim = { .chunk = walk->volume.first + index, .was = word };

    if (sight->kind == HL_FOUND_chunks_hollow) {
        hl_chunk_drop(&walk->volume, index);
        return;
    }
    hl_quiet_begin();
    if (sight->kind == HL_FOUND_chunks_orphaned) {
        if (hl_chunk_claim_orphan(pool, victim.chunk, word)) {
            adopt_ticket(pool, &victim);
            hl_chunk_evict(pool, &victim, 1);
        }
    } else if (hl_chunk_claim_victim(pool, victim.chunk, word)) {
        if (hl_chunk_state(word) == HL_CHUNK_RESIDENT && has_ticket(pool, victim.chunk, word))
            adopt_ticket(pool, &victim);
        hl_chunk_evict(pool, &victim, 1);
    }
    hl_quiet_end();
}

static void name_chunk(const struct walk *walk, uint32_t index, const struct sight *sight,
                       char *text, size_t room)
{
    snprintf(text, room, "chunk %u of %.*s, word %016llx", index, (int)HL_NAME_BYTES - 1,
             walk->volume.slot->source, (unsigned long long)sight->seen[0]);
}

static const struct aspect chunk_aspect = { look_chunk, repair_chunk, name_chunk, false };

/* The chunks of one volume, whose image is mapped for the time. */
static int walk_volume(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    struct hl_slot *slot = &pool->slots[index];
    char name[HL_IMAGE_NAME_BYTES];
    uint32_t life = atomic_load_explicit(&slot->life, memory_order_acquire), first, capacity;
    struct stat st;
    int rc;

    /* Whose a word is that two have cannot be said. */
    if (state_of(slot) != HL_SLOT_LIVE || !hl_slot_place(pool, slot, &first, &capacity) ||
        overlaps(pool, index, first, capacity) != HL_SLOTS)
        return 0;
    walk->volume = (struct hl_volume){ .pool = pool, .slot = slot, .slot_index = index,
                                       .first = first, .bytes = slot->bytes };
    walk->volume.nr_chunks = (uint32_t)((walk->volume.bytes + HL_CHUNK_MASK) >> HL_CHUNK_SHIFT);
    walk->life = life;
    hl_slot_image_name(pool, slot, name);
    if (fstatat(pool->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (uint64_t)st.st_size != (uint64_t)capacity << HL_CHUNK_SHIFT)
        return 0; /* on its way, or a finding already */
    rc = hl_image_attach(pool, name, (uint64_t)capacity << HL_CHUNK_SHIFT, &walk->volume.image);
    if (rc == -ENOENT || rc == -EBADMSG)
        return 0;
    if (rc < 0)
        return rc;
    rc = walk_over(walk, &chunk_aspect, 0, capacity);
    hl_image_detach(&walk->volume.image);
    return rc;
}

/* ---- chunks of no volume ------------------------------------------------------------------ */

static struct sight look_outside(struct walk *walk, uint32_t chunk)
{
    uint64_t word = load(&walk->pool->words[chunk]);

    if (hl_chunk_state(word) == HL_CHUNK_EMPTY || hl_slot_of_chunk(walk->pool, chunk))
        return all_right;
    return found(HL_FOUND_chunks_behind, word, 0);
}

static void repair_outside(struct walk *walk, uint32_t chunk, const struct sight *sight)
{
    (void)sight;
    hl_chunk_forget(walk->pool, chunk, 0);
}

static void name_outside(const struct walk *walk, uint32_t chunk, const struct sight *sight,
                         char *text, size_t room)
{
    (void)walk;
    snprintf(text, room, "chunk %u of the pool, of no volume, word %016llx", chunk,
             (unsigned long long)sight->seen[0]);
}

static const struct aspect outside_aspect = { look_outside, repair_outside, name_outside, true };

/* ---- tickets ------------------------------------------------------------------------------- */

/* Whose it is, as replacement.c judges it when it comes by. */
static enum hl_finding judge_ticket(struct walk *walk, uint32_t ticket, uint64_t t, uint64_t word,
                                    uint32_t **ret_sum)
{
    struct hl_audit *audit = walk->audit;
    bool alive;

    switch (hl_chunk_state(word)) {
    case HL_CHUNK_RESIDENT:
        *ret_sum = &audit->resident;
        return hl_chunk_ticket(word) == ticket ? NOTHING : HL_FOUND_tickets_forgotten;
    case HL_CHUNK_FILLING:
        if (HL_OWNER_MEMBER(word) != HL_TICKET_MEMBER(t))
            return HL_FOUND_tickets_forgotten;
        /* fall through */
    case HL_CHUNK_EVICTING:
        alive = hl_member_alive(walk->pool, word & HL_OWNER_MASK);
        *ret_sum = alive ? &audit->moving : &audit->orphaned;
        return NOTHING;
    case HL_CHUNK_EMPTY:
        break;
    }
    return HL_FOUND_tickets_forgotten;
}

static struct sight look_ticket(struct walk *walk, uint32_t ticket)
{
    struct hugelite_pool *pool = walk->pool;
    uint32_t *sum = &walk->audit->moving, unused = 0;
    uint64_t t = load(&pool->tickets[ticket]), word = 0;
    enum hl_finding kind = NOTHING;

    if (t == 0) {
        sum = ticket < walk->audit->tickets ? &walk->audit->free : &unused;
    } else if (HL_TICKET_CHUNK(t) >= pool->nr_words) {
        kind = HL_FOUND_tickets_garbled;
    } else {
        word = load(&pool->words[HL_TICKET_CHUNK(t)]);
        kind = judge_ticket(walk, ticket, t, word, &sum);
        /* A word that changes is somebody's at work. */
        if (kind != NOTHING && (load(&pool->words[HL_TICKET_CHUNK(t)]) != word ||
                                load(&pool->tickets[ticket]) != t))
            kind = NOTHING;
    }
    if (kind != NOTHING)
        return found(kind, t, word);
    *sum += walk->counts;
    walk->audit->over += walk->counts && t && ticket >= walk->audit->tickets;
    return all_right;
}

static void repair_ticket(struct walk *walk, uint32_t ticket, const struct sight *sight)
{
    hl_ticket_free(walk->pool, ticket, sight->seen[0]);
}

static void name_ticket(const struct walk *walk, uint32_t ticket, const struct sight *sight,
                        char *text, size_t room)
{
    (void)walk;
    snprintf(text, room, "ticket %u, word %016llx, of chunk %u of the pool", ticket,
             (unsigned long long)sight->seen[0], HL_TICKET_CHUNK(sight->seen[0]));
}

static const struct aspect ticket_aspect = { look_ticket, repair_ticket, name_ticket, true };

/* ---- the directory --------------------------------------------------------------------------- */

static int note_name(struct walk *walk, const char *name)
{
    if (strlen(name) >= HL_IMAGE_NAME_BYTES)
        return 0; /* none of ours */
    if (walk->nr_names == walk->room_names) {
        size_t room = walk->room_names ? walk->room_names * 2 : 64;
        char(*more)[HL_IMAGE_NAME_BYTES] = realloc(walk->names, room * sizeof *more);

        if (!more)
            return hl_error(ENOMEM, "pool '%s': no memory for its audit", walk->pool->dir);
        walk->names = more;
        walk->room_names = room;
    }
    strcpy(walk->names[walk->nr_names++], name);
    return 0;
}

static int list_images(struct walk *walk)
{
    struct hugelite_pool *pool = walk->pool;
    int fd = hl_sys.openat(pool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir) {
        rc = hl_error(errno, "pool '%s': cannot list it: %s", pool->dir, strerror(errno));
        if (fd >= 0)
            hl_sys.close(fd);
        return rc;
    }
    while (rc == 0 && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);

        if (length > 6 && strcmp(entry->d_name + length - 6, ".image") == 0)
            rc = note_name(walk, entry->d_name);
    }
    closedir(dir);
    return rc;
}

static struct sight look_name(struct walk *walk, uint32_t index)
{
    struct hugelite_pool *pool = walk->pool;
    struct stat st;

    if (fstatat(pool->dir_fd, walk->names[index], &st, AT_SYMLINK_NOFOLLOW) < 0)
        return all_right;
    for (uint32_t i = 0; i < HL_SLOTS; i++) {
        char name[HL_IMAGE_NAME_BYTES];

        hl_slot_image_name(pool, &pool->slots[i], name);
        if (state_of(&pool->slots[i]) != HL_SLOT_FREE && strcmp(name, walk->names[index]) == 0)
            return all_right;
    }
    return found(st.st_blocks ? HL_FOUND_images_stray : HL_FOUND_images_left,
                 (uint64_t)st.st_blocks, st.st_ino);
}

static void repair_name(struct walk *walk, uint32_t index, const struct sight *sight)
{
    (void)sight;
    (void)hl_sys.unlinkat(walk->pool->dir_fd, walk->names[index], 0);
}

static void name_name(const struct walk *walk, uint32_t index, const struct sight *sight,
                      char *text, size_t room)
{
    snprintf(text, room, "%s, %llu bytes", walk->names[index],
             (unsigned long long)sight->seen[0] * 512);
}

static const struct aspect name_aspect = { look_name, repair_name, name_name, true };

/* ---- all of it ----------------------------------------------------------------------------------- */

/* Who is hidden from evictors first, before anything is evicted; the tables before what they describe;
 * the tickets behind the chunks, which take theirs with them. */
static int walk_all(struct walk *walk)
{
    struct hugelite_pool *pool = walk->pool;
    int rc = walk_over(walk, &control_aspect, 0, 2);

    if (rc == 0)
        rc = walk_over(walk, &reader_aspect, 0, HL_READERS);
    if (rc == 0)
        rc = walk_over(walk, &slot_aspect, 0, HL_SLOTS);
    if (rc == 0)
        rc = walk_over(walk, &scout_aspect, 0, HL_SLOTS);
    if (rc == 0)
        rc = walk_over(walk, &image_aspect, 0, HL_SLOTS);
    for (uint32_t i = 0; i < HL_SLOTS && rc == 0; i++)
        rc = walk_volume(walk, i);
    if (rc == 0)
        rc = walk_over(walk, &outside_aspect, 0, pool->nr_words);
    if (rc == 0)
        rc = walk_over(walk, &ticket_aspect, 0, pool->nr_tickets);
    if (rc == 0)
        rc = list_images(walk);
    if (rc == 0)
        rc = walk_over(walk, &name_aspect, 0, (uint32_t)walk->nr_names);
    return rc;
}

int hl_audit(struct hugelite_pool *pool, bool repair, hl_audit_tell *tell, void *arg,
             struct hl_audit *ret_audit)
{
    struct hl_audit audit = { 0 };
    struct walk walk = { .pool = pool, .repair = repair, .tell = tell, .arg = arg,
                         .audit = &audit };
    int rc;

    if (pool->dead)
        return hl_error(ECHILD, "pool '%s': was opened before fork(); open it again here",
                        pool->dir);
    audit.tickets = hl_ticket_limit(pool);
    count_members(&walk);
    rc = walk_all(&walk);
    free(walk.suspects);
    free(walk.names);
    if (rc == 0)
        *ret_audit = audit;
    return rc;
}

uint64_t hl_audit_open(const struct hl_audit *audit, bool only_wrong)
{
    uint64_t nr = 0;

    for (unsigned i = 0; i < HL_FINDINGS; i++)
        if (!only_wrong || !hl_finding_kinds[i].is_left)
            nr += audit->found[i] - audit->repaired[i];
    return nr;
}
