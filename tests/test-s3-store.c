/* SPDX-License-Identifier: MIT
 *
 * test-s3-store: objects of a real S3 store (Ceph's RADOS Gateway).
 *
 * Passes when objects of all sorts of names, and each version of an object by its id, are read to
 * the byte; when a public object is read without keys and a private one is not; when a missing
 * bucket, key and version are -ENOENT and a wrong secret is -EACCES, each naming the object; and
 * when an object that has been replaced is -ESTALE to its readers and new to who opens it, but not
 * under the old one's version id.
 */
#include "config.h"

#include "kit-aws.h"
#include "kit-origin.h"
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 700001 };

static char *put(const char *bucket, const char *key, unsigned seed, const char *access)
{
    const char *file = test_path(test_dir(), "object");

    test_file(file, BYTES, seed);
    return kit_s3("put", bucket, key, file, access, NULL);
}

static struct hl_source *opened(const char *name)
{
    struct hl_source *source;

    EXPECT_RC(hl_source_open(name, &source), 0);
    EXPECT_STR(source->name, name);
    EXPECT_EQ(source->src_bytes, BYTES);
    return source;
}

static void read_at(struct hl_source *source, unsigned seed, uint64_t src_offset)
{
    static unsigned char bytes[100000];

    EXPECT_RC(source->ops->read(source, src_offset, sizeof bytes, bytes), 0);
    EXPECT_PATTERN(bytes, sizeof bytes, seed, src_offset);
}

static void reads(const char *name, unsigned seed)
{
    struct hl_source *source = opened(name);

    read_at(source, seed, 0);
    read_at(source, seed, 200000);
    read_at(source, seed, BYTES - 100000);
    EXPECT_RC(source->ops->check(source), 0);
    hl_source_close(source);
}

static void refused(const char *name, int rc)
{
    struct hl_source *source;

    EXPECT_RC(hl_source_open(name, &source), rc);
    EXPECT_CONTAINS(hugelite_error(), name);
}

static void check_names(void)
{
    static const char *const keys[] = {
        "plain", "a b+c:d%20e", "x'()*!,;@&=$[]#~", "\xc3\xa4/\xe2\x82\xac", "/a//b/./c/../d/",
    };
    char name[200];

    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        free(put("bucket", keys[i], i, NULL));
        snprintf(name, sizeof name, "s3://bucket/%s", keys[i]);
        reads(name, i);
    }
}

static void check_versions(void)
{
    char *versions[2], names[2][300], bytes[1000];
    struct hl_source *source;

    versions[0] = put("versions", "key", 100, NULL);
    source = opened("s3://versions/key");
    versions[1] = put("versions", "key", 101, NULL);
    EXPECT(*versions[0] && *versions[1] && strcmp(versions[0], versions[1]) != 0);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(names[i], sizeof names[i], "s3://versions/key?versionId=%s", versions[i]);
        reads(names[i], 100 + i);
    }
    reads("s3://versions/key", 101);
    EXPECT_RC(source->ops->check(source), -ESTALE);
    EXPECT_RC(source->ops->read(source, 200000, sizeof bytes, bytes), -ESTALE);
    hl_source_close(source);

    free(kit_s3("delete", "versions", "key", NULL));
    refused("s3://versions/key", -ENOENT);
    reads(names[0], 100);
    snprintf(names[1], sizeof names[1], "s3://versions/key?versionId=%.*sx",
             (int)strlen(versions[1]) - 1, versions[1]);
    refused(names[1], -ENOENT);
    free(versions[0]);
    free(versions[1]);
}

static void check_missing(void)
{
    refused("s3://bucket/missing", -ENOENT);
    refused("s3://no-such-bucket/key", -ENOENT);
}

static void check_keys(void)
{
    char *secret = strdup(getenv("AWS_SECRET_ACCESS_KEY"));

    EXPECT(secret);
    free(put("bucket", "public", 102, "public"));
    setenv("AWS_SECRET_ACCESS_KEY", "hushed", 1);
    refused("s3://bucket/plain", -EACCES);
    EXPECT(strstr(hugelite_error(), "hushed") == NULL);
    EXPECT(strstr(hugelite_error(), getenv("AWS_ACCESS_KEY_ID")) == NULL);
    EXPECT(strstr(hugelite_error(), "without a signature") == NULL);

    kit_aws_write("~/.aws/credentials", "[us]\naws_access_key_id=%s\naws_secret_access_key=%s\n",
                  getenv("AWS_ACCESS_KEY_ID"), secret);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    reads("s3://bucket/public", 102);
    refused("s3://bucket/plain", -EACCES);
    EXPECT_CONTAINS(hugelite_error(), "asked without a signature");
    setenv("AWS_PROFILE", "us", 1);
    reads("s3://bucket/plain", 0);
    free(secret);
}

int main(void)
{
    kit_aws_nothing();
    setenv("HUGELITE_STATE", "none", 1);
    kit_rgw(false);
    free(kit_s3("bucket", "bucket", NULL));
    free(kit_s3("bucket", "versions", NULL));
    free(kit_s3("version", "versions", NULL));
    check_names();
    check_versions();
    check_missing();
    check_keys();
    return 0;
}
