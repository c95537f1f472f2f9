/* SPDX-License-Identifier: MIT
 *
 * test-audit-damage: what no member does is found, and put right where that can be.
 *
 * Passes when each word that is written by hand, each page that is punched or put into an image from
 * outside, each image that is removed, cut or added, is found as what it is and nothing else; when
 * the repair leaves nothing to find, but for what a living reader holds, which stays as it is until
 * he has let go; and when every byte is right then.
 */
#include "config.h"

#include "audit-kit.h"

#include "chunk.h"
#include "pool.h"
#include "volume.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUDGET 8
#define CHUNKS 3

static struct hugelite_pool *pool;
static const char *dir, *paths[2];

/* The pool as it is: both volumes whole.  Returns the slot of the first; *ret_image: its image. */
static struct hl_slot *whole(const char **ret_image)
{
    struct hl_slot *slot = NULL;
    char name[HL_IMAGE_NAME_BYTES];

    for (unsigned i = 0; i < 2; i++) {
        struct hugelite_volume *vol = kit_volume(pool, paths[i]);

        kit_verify(vol, i + 1);
        if (i == 0)
            slot = vol->volume->slot;
        hugelite_volume_close(vol);
    }
    EXPECT_EQ(ak_clean(pool).resident, 2 * CHUNKS);
    hl_slot_image_name(pool, slot, name);
    *ret_image = test_path(dir, name);
    return slot;
}

static void says(const char *what)
{
    printf("%s\n", what);
}

static _Atomic uint64_t *word_of(const struct hl_slot *slot, uint32_t index)
{
    return &pool->words[slot->first + index];
}

static uint32_t free_ticket(void)
{
    uint32_t ticket = 0;

    while (atomic_load(&pool->tickets[ticket]))
        EXPECT(++ticket < pool->nr_tickets);
    return ticket;
}

static void punch(const char *file, off_t from, off_t length)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, length), 0);
    close(fd);
}

/* What a program does that maps an image as it would any file. */
static void touch(const char *image, uint64_t offset)
{
    int fd = open(image, O_RDWR | O_CLOEXEC);
    volatile char *at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

    EXPECT(fd >= 0 && at != MAP_FAILED);
    at[CHUNK / 2] = 1;
    munmap((void *)at, CHUNK);
    close(fd);
}

static void pages(void)
{
    const char *image;
    struct hl_slot *slot = whole(&image);

    says("a chunk punched from outside");
    punch(image, CHUNK, CHUNK);
    ak_mend(pool, "chunks_hollow", 1, NULL);
    EXPECT_EQ(hl_chunk_state(atomic_load(word_of(slot, 1))), HL_CHUNK_EMPTY);
    whole(&image);
    if (!test_on_hugepages()) {
        says("one page of it");
        punch(image, CHUNK + 8192, 4096);
        ak_mend(pool, "chunks_hollow", 1, NULL);
        whole(&image);
    }
    says("a page in an empty chunk");
    EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    touch(image, CHUNK);
    touch(image, 40 * CHUNK); /* far behind the database */
    ak_mend(pool, "pages_stray", 2, NULL);
    kit_audit_empty(pool);
}

static void words(void)
{
    const char *image;
    struct hl_slot *slot = whole(&image);
    uint64_t word = atomic_load(word_of(slot, 0));
    uint64_t ticket_word = atomic_load(&pool->tickets[hl_chunk_ticket(word)]);
    uint32_t ticket;

    says("tickets that the word does not have");
    atomic_store(word_of(slot, 0), (word & UINT32_MAX) | (uint64_t)(pool->nr_tickets + 9) << 32);
    ak_mend(pool, "chunks_unpaid", 1, "tickets_forgotten", 1, NULL);
    slot = whole(&image);
    word = atomic_load(word_of(slot, 0));
    atomic_store(word_of(slot, 0), (word & UINT32_MAX) |
                                       (atomic_load(word_of(slot, 1)) & ~(uint64_t)UINT32_MAX));
    ak_mend(pool, "chunks_unpaid", 1, "tickets_forgotten", 1, NULL);

    says("forged tickets");
    slot = whole(&image);
    ticket = free_ticket();
    atomic_store(&pool->tickets[ticket], ticket_word);
    ak_mend(pool, "tickets_forgotten", 1, NULL);
    atomic_store(&pool->tickets[ticket], (uint64_t)pool->nr_words + 7);
    ak_mend(pool, "tickets_garbled", 1, NULL);

    says("words that make no sense");
    atomic_fetch_or(word_of(slot, 0), 0x80);
    ak_mend(pool, "chunks_garbled", 1, NULL);
    atomic_store(word_of(slot, 0), 0x70000); /* EMPTY, and yet somebody's */
    ak_mend(pool, "chunks_garbled", 1, NULL);
    slot = whole(&image);
    atomic_fetch_or(word_of(slot, 2), HL_CHUNK_DOOMED);
    ak_mend(pool, "chunks_garbled", 1, NULL);
    atomic_store(word_of(slot, 2), HL_OWNER(HL_MEMBERS + 3, 1) | HL_CHUNK_FILLING);
    ak_mend(pool, "chunks_orphaned", 1, NULL);

    says("chunks where there is no database");
    slot = whole(&image);
    ticket = free_ticket();
    atomic_store(&pool->tickets[ticket], slot->first + 50 + 1);
    atomic_store(word_of(slot, 50), HL_CHUNK_RESIDENT | (uint64_t)ticket << 32);
    ak_mend(pool, "chunks_behind", 1, NULL);
    EXPECT_EQ(atomic_load(&pool->tickets[ticket]), 0);
    atomic_store(&pool->tickets[ticket], pool->nr_words);
    atomic_store(&pool->words[pool->nr_words - 1], HL_CHUNK_RESIDENT | (uint64_t)ticket << 32);
    ak_mend(pool, "chunks_behind", 1, NULL);
    EXPECT_EQ(atomic_load(&pool->tickets[ticket]), 0);
    whole(&image);
    kit_audit_empty(pool);
}

/* What a living reader holds is left to him. */
static void held(void)
{
    struct hugelite_volume *vol;
    const char *image;
    const void *data;
    struct hl_slot *slot = whole(&image);

    says("a held chunk");
    vol = kit_volume(pool, paths[0]);
    EXPECT_RC(hugelite_volume_fetch(vol, 0, 64, &data), 0);
    atomic_fetch_or(word_of(slot, 0), 0x80);
    ak_stays(pool, "chunks_garbled", 1, NULL);
    EXPECT_PATTERN(data, 64, 1, 0);
    hugelite_volume_release(vol, data);
    ak_mend(pool, "chunks_garbled", 1, NULL);

    says("readers");
    vol->reader->pins[HL_PINS - 1] = slot->first + slot->capacity + 1;
    ak_stays(pool, "readers_garbled", 1, NULL);
    vol->reader->pins[HL_PINS - 1] = 0;
    atomic_store(&pool->control->readers_top, 0);
    ak_mend(pool, "readers_hidden", 1, NULL);
    EXPECT_EQ(atomic_load(&pool->control->readers_top), 1);
    pool->readers[77].pins[3] = 5;
    ak_mend(pool, "readers_garbled", 1, NULL);
    EXPECT_EQ(pool->readers[77].pins[3], 0);

    says("a removed image that somebody reads");
    unlink(image);
    ak_stays(pool, "images_missing", 1, NULL);
    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    ak_mend(pool, "images_missing", 1, NULL);
    whole(&image);
    kit_audit_empty(pool);
}

static void tables(void)
{
    struct hl_slot *slot, *second = NULL;
    struct hugelite_volume *vol;
    struct hl_audit audit;
    const char *image, *stray = test_path(dir, "0123-4.image");
    int fd;

    says("images");
    slot = whole(&image);
    EXPECT_EQ(truncate(image, 0), 0);
    ak_mend(pool, "images_missing", 1, NULL);
    slot = whole(&image);
    fd = open(stray, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, CHUNK), 0);
    close(fd);
    ak_mend(pool, "images_left", 1, NULL);
    EXPECT_EQ(access(stray, F_OK), -1);
    fd = open(stray, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, CHUNK), 0);
    close(fd);
    touch(stray, 0);
    ak_mend(pool, "images_stray", 1, NULL);

    says("slots");
    slot->capacity = UINT32_MAX;
    ak_mend(pool, "slots_garbled", 1, "chunks_behind", CHUNKS, NULL);
    slot = whole(&image);
    atomic_store(&slot->state, 77);
    ak_mend(pool, "slots_garbled", 1, NULL);
    slot = whole(&image);
    for (uint32_t i = 0; i < HL_SLOTS; i++)
        if (&pool->slots[i] != slot && atomic_load(&pool->slots[i].state) == HL_SLOT_LIVE)
            second = &pool->slots[i];
    EXPECT(second != NULL);
    vol = kit_volume(pool, paths[0]);
    second->first = slot->first;
    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
    EXPECT_EQ(audit.found[HL_FOUND_slots_overlap], 2);
    EXPECT_EQ(audit.found[HL_FOUND_chunks_behind], CHUNKS); /* that the second one had */
    EXPECT_EQ(hl_audit_open(&audit, true), 2);
    ak_stays(pool, "slots_overlap", 2, NULL);
    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    /* One goes; what the other has in its image is nobody's any more. */
    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
    EXPECT_EQ(audit.found[HL_FOUND_slots_overlap], 2);
    EXPECT_EQ(audit.found[HL_FOUND_pages_stray], CHUNKS);
    EXPECT_EQ(hl_audit_open(&audit, false), 0);
    ak_clean(pool);
    whole(&image);
    kit_audit_empty(pool);
}

static void control(void)
{
    const char *image, *file = test_path(dir, "control");
    struct hl_audit audit;

    says("the control segment");
    whole(&image);
    pool->control->nr_words -= 8;
    ak_stays(pool, "control_header", 1, NULL);
    pool->control->nr_words += 8;
    ak_clean(pool);
    if (pool->control_bytes == pool->page_bytes)
        return; /* one huge page, without which there is nothing */
    /* Its end: words that no chunk has. */
    punch(file, (off_t)(pool->control_bytes - pool->page_bytes), pool->page_bytes);
    EXPECT_RC(hl_audit(pool, true, NULL, NULL, &audit), 0);
    EXPECT_EQ(audit.found[HL_FOUND_control_holes], 1);
    EXPECT_EQ(audit.repaired[HL_FOUND_control_holes], 1);
    ak_clean(pool);
}

int main(void)
{
    dir = test_pool_dir();
    for (unsigned i = 0; i < 2; i++) {
        paths[i] = test_path(test_dir(), i ? "b" : "a");
        test_file(paths[i], CHUNKS * CHUNK - 77, i + 1);
    }
    pool = kit_pool(dir, BUDGET);
    pages();
    words();
    held();
    tables();
    control();
    hugelite_pool_close(pool);
    return 0;
}
