/* SPDX-License-Identifier: MIT
 *
 * test-s3-signature: signed requests, against a store that recomputes each signature from what it
 * understands of the request.
 *
 * Passes when objects of all sorts of names are read to the byte, with a session token, without
 * one, and unsigned where there are no keys; when reads go on with keys that were renewed in
 * between; when a wrong secret, a wrong token and a missing signature are -EACCES, the last one
 * with where keys were looked for; and when no message, name or request line has a secret in it.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3-credentials.h"
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 700001, SEED = 5 };

static const char *dir;
static unsigned port;

/* The store takes these from now on. */
static void accept_keys(const char *id, const char *secret, const char *token)
{
    kit_aws_write(test_path(dir, "keys.json"),
                  "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\",\"Token\":\"%s\","
                  "\"Region\":\"eu-west-1\"}", id, secret, token);
}

/* And these we have. */
static void use_keys(const char *id, const char *secret, const char *token)
{
    setenv("AWS_ACCESS_KEY_ID", id, 1);
    setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
    setenv("AWS_SESSION_TOKEN", token, 1);
}

static void put_object(const char *key, uint64_t bytes)
{
    const char *path = test_path(dir, "objects/bucket");
    char file[4096];

    snprintf(file, sizeof file, "%s/%s", path, key);
    kit_aws_write(file, "%s", "");
    unlink(file);
    test_file(file, bytes, SEED);
}

static void read_at(struct hl_source *source, uint64_t src_offset, uint32_t length)
{
    unsigned char *bytes = malloc(length);

    EXPECT(bytes);
    EXPECT_RC(source->ops->read(source, src_offset, length, bytes), 0);
    EXPECT_PATTERN(bytes, length, SEED, src_offset);
    free(bytes);
}

static void reads(const char *key)
{
    struct hl_source *source;
    char name[1100];

    snprintf(name, sizeof name, "s3://bucket/%s", key);
    EXPECT_RC(hl_source_open(name, &source), 0);
    EXPECT_STR(source->name, name);
    EXPECT_EQ(source->src_bytes, BYTES);
    EXPECT(source->remote);
    read_at(source, 0, 1000);
    read_at(source, 200000, 123457); /* not of the beginning and end that the open brings */
    read_at(source, BYTES - 10, 10);
    hl_source_close(source);
}

static void refused(const char *name, int rc, const char *why)
{
    struct hl_source *source = NULL;

    EXPECT_RC(hl_source_open(name, &source), rc);
    EXPECT(source == NULL);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(!strstr(hugelite_error(), "hush") && !strstr(hugelite_error(), "tok/en"));
}

static void check_names(void)
{
    static const char *const keys[] = {
        "plain", "dir/x.db", "a b", "a+b", "a:b", "100%", "a%20b", "x'()*!,;@&=$[]#",
        "\xc3\xa4/\xe2\x82\xac", "~tilde",
    };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        put_object(keys[i], BYTES);
        reads(keys[i]);
    }
}

static void check_keys(void)
{
    accept_keys("AKID", "hush/+=", "");
    use_keys("AKID", "hush/+=", "");
    check_names();
    use_keys("AKID", "hush", "");
    refused("s3://bucket/plain", -EACCES, "s3://bucket/plain");
    use_keys("ANOTHER", "hush/+=", "");
    refused("s3://bucket/plain", -EACCES, "403");

    accept_keys("AKID", "hush", "tok/en+==");
    use_keys("AKID", "hush", "tok/en+==");
    check_names();
    use_keys("AKID", "hush", "tok/en+=");
    refused("s3://bucket/plain", -EACCES, "403");
    use_keys("AKID", "hush", "");
    refused("s3://bucket/plain", -EACCES, "403");
}

static void check_anonymous(void)
{
    use_keys("", "", "");
    refused("s3://bucket/plain", -EACCES, "asked without a signature: no keys in the environment");
    EXPECT_CONTAINS(hugelite_error(), "/home/.aws/credentials");
    kit_aws_write(test_path(dir, "keys.json"), "\"\"");
    check_names();
    refused("s3://bucket/missing", -ENOENT, "s3://bucket/missing");
    refused("s3://nowhere/plain", -ENOENT, "s3://nowhere/plain");
}

static void issue(const char *id, int seconds)
{
    time_t then = time(NULL) + seconds;
    char when[64];
    struct tm tm;

    gmtime_r(&then, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    kit_aws_write(test_path(dir, "container.json"),
                  "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"hush\",\"Token\":\"tok/en\","
                  "\"Expiration\":\"%s\"}", id, when);
}

/* The store takes the old keys no more after the reader has got new ones. */
static void check_renewal(void)
{
    struct hl_source *source;
    char url[200];
    unsigned before;

    put_object("large", 8 << 20);
    hl_s3_pause_ns = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/container", port);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    issue("FIRST", 100);
    accept_keys("FIRST", "hush", "tok/en");
    EXPECT_RC(hl_source_open("s3://bucket/large", &source), 0);
    read_at(source, 1 << 20, 1000);
    issue("SECOND", 3600);
    accept_keys("SECOND", "hush", "tok/en");
    before = kit_aws_count(dir, "/bucket/large 206");
    read_at(source, 6 << 20, 1000);
    EXPECT(kit_aws_count(dir, "/bucket/large 206") > before);
    EXPECT_EQ(kit_aws_count(dir, "/bucket/large 403"), 0);
    hl_source_close(source);
}

int main(void)
{
    char url[200];

    kit_aws_nothing();
    setenv("HUGELITE_STATE", "none", 1);
    dir = kit_aws_serve(&port);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    setenv("AWS_ENDPOINT_URL", url, 1);
    setenv("AWS_REGION", "eu-west-1", 1);
    check_keys();
    check_anonymous();
    check_renewal();
    EXPECT_EQ(kit_aws_count(dir, "hush"), 0);
    return 0;
}
