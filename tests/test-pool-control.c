/* SPDX-License-Identifier: MIT
 *
 * test-pool-control: pools of other builds, damaged ones, and half-made ones.
 *
 * Passes when another version or layout signature is refused with -EPROTO, another
 * magic, wrong lengths and places with -EBADMSG, each with a message that says what
 * to do, and without harm to the file; when an empty or half-made control file is
 * made anew; when opts.existing never makes anything; and when the options' own
 * mistakes are refused.
 */
#include "config.h"

#include "kit.h"

#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *dir, *control, *path;

static int try_open(bool existing)
{
    struct hugelite_pool_opts opts = {
        .size = sizeof opts, .budget_bytes = 4 * CHUNK, .existing = existing
    };
    struct hugelite_pool *pool = NULL;
    int rc = hugelite_pool_open(dir, &opts, &pool);

    if (rc == 0)
        hugelite_pool_close(pool);
    else
        EXPECT(pool == NULL);
    return rc;
}

static void make_pool(void)
{
    unlink(control);
    EXPECT_RC(try_open(false), 0);
}

/* Change the header by hand, expect a refusal, then a second one: the first left it alone. */
static void damaged(void (*change)(struct hl_control *), int rc, const char *why)
{
    struct hl_control *c;
    int fd;

    make_pool();
    fd = open(control, O_RDWR | O_CLOEXEC);
    EXPECT(fd >= 0);
    c = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    EXPECT(c != MAP_FAILED);
    change(c);
    EXPECT_RC(try_open(false), rc);
    EXPECT_CONTAINS(hugelite_error(), dir);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT_RC(try_open(true), rc);
    munmap(c, CHUNK);
    close(fd);
}

static void wrong_magic(struct hl_control *c) { c->magic = 0x1122334455667788; }
static void wrong_version(struct hl_control *c) { c->version++; }
static void wrong_signature(struct hl_control *c) { c->signature ^= 1; }
static void wrong_page(struct hl_control *c) { c->page_bytes = 8192; }
static void wrong_length(struct hl_control *c) { c->control_bytes += CHUNK; }
static void no_tickets(struct hl_control *c) { c->nr_tickets = 0; c->limit = 0; }
static void many_tickets(struct hl_control *c)
{
    c->nr_tickets = UINT32_MAX;
    c->limit = UINT32_MAX;
}
static void many_words(struct hl_control *c) { c->nr_words = UINT32_MAX; }
static void members_outside(struct hl_control *c) { c->members_at = c->control_bytes - 64; }
static void readers_wrap(struct hl_control *c) { c->readers_at = UINT64_MAX - 63; }
static void slots_in_header(struct hl_control *c) { c->slots_at = 0; }
static void words_unaligned(struct hl_control *c) { c->words_at += 1; }

/* No control file, and what a dead maker may leave of one. */
static void half_made(off_t length)
{
    int fd;

    unlink(control);
    fd = open(control, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, length), 0);
    close(fd);
    EXPECT_RC(try_open(true), -ENOENT);
    EXPECT_RC(try_open(false), 0);
    EXPECT_RC(try_open(true), 0);
}

/* A pool of another life: its images go when it is made anew. */
static void images_of_earlier_life(void)
{
    struct hugelite_pool *pool = kit_pool(dir, 4);
    struct hugelite_volume *vol = kit_volume(pool, path);

    kit_verify(vol, 1);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
    EXPECT_EQ(truncate(control, 0), 0);
    pool = kit_pool(dir, 4);
    EXPECT_EQ(kit_resident_chunks(pool), 0);
    kit_audit_empty(pool); /* no image that nobody knows holds pages */
    vol = kit_volume(pool, path);
    kit_verify(vol, 1);
    EXPECT_EQ(kit_stat(vol).fills, 3);
    hugelite_volume_close(vol);
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool_opts opts = { .size = sizeof opts };
    struct hugelite_pool *pool = NULL, *same;
    struct hugelite_pool_stat st;
    char missing[4096];

    path = test_path(test_dir(), "db");
    test_file(path, 3 * CHUNK, 1);
    dir = test_pool_dir();
    control = test_path(dir, "control");
    EXPECT_RC(try_open(true), -ENOENT);
    EXPECT_CONTAINS(hugelite_error(), "no pool is there");
    EXPECT_EQ(access(dir, F_OK), -1);
    snprintf(missing, sizeof missing, "%s/a/b", dir);
    EXPECT_RC(hugelite_pool_open(missing, NULL, &pool), -ENOENT);
    make_pool();
    EXPECT_RC(try_open(true), 0);

    /* The same attachment for a second open in a process. */
    pool = kit_pool(dir, 99);
    same = kit_pool(dir, 4);
    EXPECT(pool == same);
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.budget_bytes, 4 * CHUNK);
    EXPECT_STR(st.dir, dir);
    hugelite_pool_close(pool);
    EXPECT_RC(hugelite_pool_stat(same, &st), 0);
    hugelite_pool_close(same);

    damaged(wrong_version, -EPROTO, "remove the directory");
    damaged(wrong_signature, -EPROTO, "another build");
    damaged(wrong_magic, -EBADMSG, "remove the directory");
    damaged(wrong_page, -EBADMSG, "damaged");
    damaged(wrong_length, -EBADMSG, "damaged");
    damaged(no_tickets, -EBADMSG, "damaged");
    damaged(many_tickets, -EBADMSG, "damaged");
    damaged(many_words, -EBADMSG, "damaged");
    damaged(members_outside, -EBADMSG, "damaged");
    damaged(readers_wrap, -EBADMSG, "damaged");
    damaged(slots_in_header, -EBADMSG, "damaged");
    damaged(words_unaligned, -EBADMSG, "damaged");

    half_made(0);
    half_made((off_t)CHUNK);
    half_made((off_t)(3 * CHUNK));
    images_of_earlier_life();

    /* Cut short: hugetlbfs files are cut by huge pages only. */
    if (!test_on_hugepages()) {
        make_pool();
        EXPECT_EQ(truncate(control, 8192), 0);
        EXPECT_RC(try_open(false), -EBADMSG);
        EXPECT_EQ(truncate(control, 4097), 0);
        EXPECT_RC(try_open(false), -EBADMSG);
    }
    /* Something else in its place. */
    unlink(control);
    EXPECT_EQ(mkdir(control, 0700), 0);
    EXPECT_RC(try_open(false), -EISDIR);
    EXPECT_EQ(rmdir(control), 0);
    if (!test_on_hugepages()) { /* hugetlbfs has no symbolic links */
        EXPECT_EQ(symlink("/dev/null", control), 0);
        EXPECT_RC(try_open(false), -ELOOP);
        unlink(control);
    }

    /* Options. */
    opts.size = 0;
    EXPECT_RC(hugelite_pool_open(dir, &opts, &pool), -EINVAL);
    opts.size = sizeof opts;
    opts.budget_bytes = CHUNK - 1;
    EXPECT_RC(hugelite_pool_open(dir, &opts, &pool), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), "2M");
    opts.budget_bytes = 0;
    setenv("HUGELITE_POOL_SIZE", "lots", 1);
    EXPECT_RC(hugelite_pool_open(dir, &opts, &pool), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), "'lots'");
    setenv("HUGELITE_POOL_SIZE", "9999999T", 1);
    EXPECT(hugelite_pool_open(dir, &opts, &pool) < 0);
    setenv("HUGELITE_POOL_SIZE", "7M", 1);
    setenv("HUGELITE_POOL", dir, 1);
    EXPECT_RC(hugelite_pool_open(NULL, NULL, &pool), 0);
    EXPECT_RC(hugelite_pool_stat(pool, &st), 0);
    EXPECT_EQ(st.budget_bytes, 3 * CHUNK);
    EXPECT_STR(st.dir, dir);
    hugelite_pool_close(pool);
    return 0;
}
