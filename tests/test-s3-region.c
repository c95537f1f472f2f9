/* SPDX-License-Identifier: MIT
 *
 * test-s3-region: a bucket of AWS in another region than ours.
 *
 * AWS is played by aws.py behind a proxy, with a certificate of its own for amazonaws.com.  Passes
 * when the object is read from the region that the first answers name, with requests signed for
 * that region, and later reads go there at once; the bucket is part of the host's name; and when
 * the region is right from the beginning nothing is asked twice.
 */
#include "config.h"

#include "kit-aws.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BYTES = 700001, SEED = 6 };

static void make_certificate(const char *dir)
{
    char command[8192];

    snprintf(command, sizeof command,
             "cd '%s' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
             "-days 2 -subj /CN=aws -addext 'subjectAltName=DNS:*.s3.us-east-1.amazonaws.com,"
             "DNS:*.s3.eu-west-1.amazonaws.com' -keyout key.pem -out ca.pem 2>openssl.log && "
             "cat key.pem ca.pem >certificate.pem", dir);
    if (system("command -v openssl >/dev/null") != 0)
        test_skip("needs the command openssl");
    EXPECT_EQ(system(command), 0);
    setenv("AWS_CA_BUNDLE", test_path(dir, "ca.pem"), 1);
}

static struct hl_source *opened(void)
{
    struct hl_source *source;

    EXPECT_RC(hl_source_open("s3://bucket/dir/x y", &source), 0);
    EXPECT_EQ(source->src_bytes, BYTES);
    return source;
}

static void read_at(struct hl_source *source, uint64_t src_offset)
{
    static unsigned char bytes[5000];

    EXPECT_RC(source->ops->read(source, src_offset, sizeof bytes, bytes), 0);
    EXPECT_PATTERN(bytes, sizeof bytes, SEED, src_offset);
}

int main(void)
{
    struct hl_source *source;
    unsigned port, requests;
    uint64_t key[2];
    const char *dir;
    char url[200];

    kit_aws_nothing();
    setenv("HUGELITE_STATE", "none", 1);
    dir = kit_aws_serve(&port);
    make_certificate(dir);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    setenv("https_proxy", url, 1);
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    kit_aws_write(test_path(dir, "keys.json"),
                  "{\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"hush\",\"Token\":\"token\","
                  "\"Region\":\"eu-west-1\"}");
    kit_aws_write(test_path(dir, "objects/bucket/dir/x"), "%s", "");
    test_file(test_path(dir, "objects/bucket/dir/x y"), BYTES, SEED);

    source = opened();
    EXPECT(kit_aws_count(dir, "bucket.s3.us-east-1.amazonaws.com /dir/x%20y 400") >= 1);
    EXPECT(kit_aws_count(dir, "bucket.s3.eu-west-1.amazonaws.com /dir/x%20y 206") >= 1);
    requests = kit_aws_count(dir, "us-east-1");
    EXPECT(requests <= 4); /* two, each perhaps hedged */
    read_at(source, 200000);
    EXPECT_EQ(kit_aws_count(dir, "us-east-1"), requests);
    key[0] = source->name_key[0];
    key[1] = source->name_key[1];
    hl_source_close(source);

    setenv("AWS_REGION", "eu-west-1", 1);
    source = opened();
    read_at(source, 300000);
    EXPECT_EQ(kit_aws_count(dir, "us-east-1"), requests);
    EXPECT_MEM(key, source->name_key, sizeof key);
    hl_source_close(source);
    return 0;
}
