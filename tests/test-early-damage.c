/* SPDX-License-Identifier: MIT
 *
 * test-early-damage: one damaged frame costs its own pages, and no others.
 *
 * Passes when a read of its bytes says -EBADMSG and names it, again and again; when every
 * page of the other frames is served, in its chunk too, though that cannot be made resident; when the
 * chunk is not tried again and again (errors stay at a few, one frame is decoded for a page); and when
 * the other chunks are filled as ever.  The damage is met by an early read, by a read beside it, by
 * a fetch, in order, and by the crew ahead of all.
 */
#include "config.h"

#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNKS 4
#define BYTES (CHUNKS * CHUNK - 8)
#define SEED 61
#define FRAME (64 * 1024)
#define BAD 70 /* frame; of chunk 2 */
#define BAD_AT ((uint64_t)BAD * FRAME)
#define PAGE 4096

static struct kit_frames frames;
static struct hugelite_pool *pool;
static struct hugelite_volume *vol;

static void spoil(const char *path)
{
    off_t at = (off_t)(frames.at[BAD] + (frames.at[BAD + 1] - frames.at[BAD]) / 2);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte;

    EXPECT_EQ(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    EXPECT_EQ(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    kit_age(path);
}

static bool is_bad(uint64_t at)
{
    return at / FRAME == BAD;
}

static void read_page(uint64_t at)
{
    uint32_t length = BYTES - at < PAGE ? (uint32_t)(BYTES - at) : PAGE;
    char page[PAGE];

    if (is_bad(at)) {
        EXPECT_RC(hugelite_volume_read(vol, at, length, page), -EBADMSG);
        EXPECT_CONTAINS(hugelite_error(), "frame 70");
        EXPECT_CONTAINS(hugelite_error(), "db.zst");
    } else {
        EXPECT_RC(hugelite_volume_read(vol, at, length, page), 0);
        EXPECT_PATTERN(page, length, SEED, at);
    }
}

static void fetch_chunk(void)
{
    const void *data = NULL;

    EXPECT_RC(hugelite_volume_fetch(vol, BAD_AT - FRAME, 8, &data), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "frame 70");
    EXPECT(data == NULL);
}

static void in_order(void)
{
    for (uint64_t at = 0; at < BYTES; at += PAGE)
        read_page(at);
}

static void backwards(void)
{
    for (uint64_t at = BYTES / PAGE * PAGE + PAGE; at > 0; at -= PAGE)
        read_page(at - PAGE);
}

/* Its first touch is an early read beside the damage. */
static void beside(void)
{
    read_page(BAD_AT + 4 * FRAME + 5 * PAGE);
    for (unsigned i = 0; i < 200; i++)
        read_page((2 * CHUNK + i * 37 * PAGE % CHUNK) / PAGE * PAGE);
}

/* And here in the midst of it. */
static void on_it(void)
{
    for (unsigned i = 0; i < 5; i++)
        read_page(BAD_AT + i * PAGE);
}

static void warm(void)
{
    EXPECT_RC(hugelite_volume_warm(vol, 0, 0, NULL, NULL), -EBADMSG);
    EXPECT_CONTAINS(hugelite_error(), "frame 70");
}

int main(void)
{
    static const struct {
        const char *name;
        void (*meet)(void);
    } ways[] = {
        { "fetch", fetch_chunk }, { "in order", in_order }, { "backwards", backwards },
        { "beside", beside }, { "on it", on_it }, { "warm", warm },
    };
    const char *path = test_path(test_dir(), "db.zst");

    kit_use_cpus(2);
    frames = kit_zst(path, BYTES, SEED, FRAME, 0);
    spoil(path);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct hugelite_volume_stat st;

        pool = kit_pool(test_pool_dir(), 2 * CHUNKS);
        vol = kit_volume(pool, path);
        ways[i].meet();
        fetch_chunk(); /* known to this process, whatever came before */
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
            if (chunk != 2)
                kit_verify_chunk(vol, SEED, chunk);
        kit_await_idle(pool);
        st = kit_stat(vol);
        fprintf(stderr, "%s: %llu fills, %llu errors\n", ways[i].name,
                (unsigned long long)st.fills, (unsigned long long)st.errors);
        EXPECT(st.errors >= 1 && st.errors <= 4);

        /* From now on the chunk's pages cost a frame each, and no fill. */
        for (unsigned n = 0; n < 100; n++)
            read_page((2 * CHUNK + n * 41 * PAGE % CHUNK) / PAGE * PAGE);
        EXPECT_EQ(kit_stat(vol).errors, st.errors);
        EXPECT_EQ(kit_stat(vol).frames_decoded - st.frames_decoded, 100);
        EXPECT_EQ(kit_stat(vol).early_reads - st.early_reads, 100);
        EXPECT_EQ(kit_stat(vol).fills, st.fills);

        in_order();
        backwards();
        EXPECT(kit_stat(vol).errors <= 4);
        EXPECT_EQ(kit_stat(vol).resident_bytes, (CHUNKS - 1) * CHUNK);
        EXPECT_EQ(kit_stat(vol).fills, CHUNKS - 1);
        hugelite_volume_close(vol);
        kit_audit_empty(pool);
        hugelite_pool_close(pool);
    }
    return 0;
}
