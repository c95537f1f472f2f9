/* SPDX-License-Identifier: MIT
 *
 * test-transfer-redirects: from one origin to another.
 *
 * Passes when redirects are followed where that is allowed, and remembered until the place that
 * they led to is no good any more; when the password goes to the first host alone; when circles and
 * downgrades end with a sentence; and when a region that a store names is asked once.
 */
#include "config.h"

#include "kit-transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH 1000
#define SEED 23

static struct kit_origin *first, *second;
static struct hl_target target;
static struct hl_transfer transfer;
static char buffer[LENGTH];

static int get(void)
{
    transfer = (struct hl_transfer){ .target = &target, .length = LENGTH, .buffer = buffer };
    return kit_transfer(&transfer);
}

static void aim(const char *path)
{
    char url[200];

    snprintf(url, sizeof url, "http://me:secret@127.0.0.1:%u%s", kit_origin_port(first), path);
    kit_target(&target, url);
    target.may_redirect = true;
    kit_origin_order(first, "clear");
    kit_origin_order(second, "clear");
    kit_origin_order(first, "forget");
    kit_origin_order(second, "forget");
}

static void remembered(void)
{
    aim("/db");
    kit_target(&target, kit_origin_url(first, "/db"));
    target.may_redirect = true;
    kit_origin_order(first, "fault redirect=%s", kit_origin_url(second, "/db"));
    EXPECT_RC(get(), 0);
    EXPECT_PATTERN(buffer, LENGTH, SEED, 0);
    EXPECT_EQ(kit_origin_stat(first).requests, 1);
    EXPECT_RC(get(), 0);
    EXPECT_EQ(kit_origin_stat(first).requests, 1);
    EXPECT_EQ(kit_origin_stat(second).requests, 2);

    /* It is not there any more: once more from the start, which leads elsewhere. */
    kit_origin_order(second, "fault path=/db status=404");
    kit_origin_order(first, "clear");
    kit_origin_order(first, "fault redirect=%s", kit_origin_url(second, "/db2"));
    EXPECT_RC(get(), 0);
    EXPECT_EQ(kit_origin_stat(first).requests, 2);
    kit_origin_order(second, "fault path=/db2 status=403");
    EXPECT_RC(get(), -EACCES);
    EXPECT_EQ(kit_origin_stat(first).requests, 3);
}

static void credentials_stay(void)
{
    aim("/db");
    kit_origin_order(first, "fault authorized=no status=401 authorization='Basic bWU6c2VjcmV0'");
    kit_origin_order(second, "fault authorized=no status=401 authorization='Basic bWU6c2VjcmV0'");
    EXPECT_RC(get(), 0);
    kit_origin_order(first, "fault redirect=%s", kit_origin_url(second, "/db"));
    EXPECT_RC(get(), -EACCES); /* the second saw no password */
    EXPECT(!strstr(transfer.sentence, "secret"));
}

static void nowhere(void)
{
    aim("/db");
    kit_origin_order(first, "fault redirect=/db");
    EXPECT_RC(get(), -EIO);
    EXPECT_CONTAINS(transfer.sentence, "more than 5 redirects");
    aim("/db");
    kit_origin_order(first, "fault redirect=ftp://127.0.0.1/secret");
    EXPECT_RC(get(), -EIO);
    EXPECT_CONTAINS(transfer.sentence, "redirects to where we do not go");
    EXPECT(!strstr(transfer.sentence, "secret"));
    aim("/db");
    target.may_redirect = false;
    kit_origin_order(first, "fault redirect=%s", kit_origin_url(second, "/db"));
    EXPECT_RC(get(), -EIO);
    EXPECT_EQ(kit_origin_stat(second).requests, 0);
}

static unsigned relocations;

static char *relocate(struct hl_target *of, const char *region)
{
    EXPECT(of == &target);
    EXPECT_STR(region, "eu-west-7");
    relocations++;
    return strdup(kit_origin_url(second, "/db"));
}

static void another_region(void)
{
    aim("/db");
    target.may_redirect = false;
    target.relocate = relocate;
    kit_origin_order(first, "fault status=301 header='x-amz-bucket-region: eu-west-7'");
    EXPECT_RC(get(), 0);
    EXPECT_RC(get(), 0);
    EXPECT_EQ(relocations, 1);
    EXPECT_EQ(kit_origin_stat(second).requests, 2);
    kit_origin_order(second, "fault status=400 header='x-amz-bucket-region: eu-west-7'");
    EXPECT_RC(get(), -EIO);
    EXPECT_EQ(relocations, 2);
}

int main(void)
{
    test_file(test_path(kit_transfer_dir(), "db"), LENGTH, SEED);
    test_file(test_path(kit_transfer_dir(), "db2"), LENGTH, SEED);
    first = kit_origin(kit_transfer_dir());
    second = kit_origin(kit_transfer_dir());
    remembered();
    credentials_stay();
    nowhere();
    another_region();
    return 0;
}
