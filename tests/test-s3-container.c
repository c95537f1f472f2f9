/* SPDX-License-Identifier: MIT
 *
 * test-s3-container: keys of the container endpoint.
 *
 * Passes when they are fetched with the authorization that the environment gives, from a file anew
 * each time, once for all sources of the process; when plain HTTP is refused for hosts that are
 * not this machine's, before anything is sent; when every answer that is not keys is refused with
 * its own sentence and no secret in it; and when an endpoint that does not answer is asked again,
 * and then is what the request fails with.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3.h"
#include "s3-issuer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char full[] = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
static const char keys[] = "{\"RoleArn\":\"arn\",\"AccessKeyId\":\"%s\","
                           "\"SecretAccessKey\":\"hush\",\"Token\":\"tok\","
                           "\"Expiration\":\"2126-01-01T00:00:00.5Z\"}";
static const char *dir;
static unsigned port;

/* Each path is an endpoint of its own. */
static void use(const char *path)
{
    char url[200];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/container%s", port, path);
    setenv(full, url, 1);
}

static void answer(const char *id)
{
    kit_aws_write(test_path(dir, "container.json"), keys, id);
}

static void signs(const char *user)
{
    static struct hl_authority authority;
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), 0);
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), 0);
    EXPECT_STR(authority.user, user);
    EXPECT_STR(authority.headers[1], "x-amz-security-token: tok");
    EXPECT_STR(hl_s3_unsigned(s3), "");
    hl_s3_close(s3);
}

static void refused(int rc, const char *why)
{
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), rc);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
}

static void check_authorization(void)
{
    const char *file = test_path(test_dir(), "authorization");

    use("/open");
    answer("A");
    signs("A:hush");
    answer("B");
    signs("A:hush");
    EXPECT_EQ(kit_aws_count(dir, "/container/open"), 1);

    kit_aws_write(test_path(dir, "container.auth"), "Bearer hushed");
    use("/without");
    refused(-EACCES, "status 401");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer hushed", 1);
    use("/with");
    signs("B:hush");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong\r\nx: hush", 1);
    use("/injected");
    refused(-EACCES, "holds the end of a line");
    EXPECT_EQ(kit_aws_count(dir, "injected"), 0);

    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file, 1);
    use("/file");
    refused(-EACCES, "authorization: No such file");
    kit_aws_write(file, "Bearer hushed\n");
    use("/file-there");
    signs("B:hush");
    unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer hushed", 1);
}

static void check_hosts(void)
{
    static const char *const far[] = {
        "http://169.254.170.3/x", "http://example.org/x",    "http://127.0.0.1@example.org/x",
        "http://10.0.0.1/x",      "http://[fd00:ec2::24]/x", "ftp://127.0.0.1/x",
        "file:///etc/passwd",     "http://hush@127.0.0.1/x", "http://127.0.0.1.example.org/x",
        "http://localhost.example/x", "nothing",
    };
    static const char *const near[] = {
        "http://127.0.0.1/x",      "http://127.9.9.9:80/x", "http://localhost:1234/x",
        "http://[::1]/x",          "http://169.254.170.2/", "http://169.254.170.23/v1/x",
        "http://[fd00:ec2::23]/x", "https://example.org/x", "http://0x7f.1/x",
    };
    struct hl_s3_issuer issuer;

    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        setenv(full, far[i], 1);
        refused(-EINVAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI: must be");
    }
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        setenv(full, near[i], 1);
        EXPECT_RC(hl_s3_issuer_find(NULL, &issuer), 0);
        EXPECT_EQ(issuer.kind, HL_S3_CONTAINER);
    }
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x", 1);
    EXPECT_RC(hl_s3_issuer_find(NULL, &issuer), 0);
    EXPECT_STR(issuer.url, "http://169.254.170.2/v2/credentials/x");
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/x", 1);
    refused(-EINVAL, "must begin with a '/'");
    unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
}

static void unanswered(const char *why)
{
    static struct hl_authority authority;
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), 0);
    EXPECT_STR(hl_s3_unsigned(s3), "");
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), -EHOSTUNREACH);
    EXPECT_CONTAINS(hugelite_error(), "s3://bucket/key: the AWS container credentials endpoint: ");
    EXPECT_CONTAINS(hugelite_error(), why);
    hl_s3_close(s3);
}

static void answers(const char *path, const char *text, const char *why)
{
    use(path);
    kit_aws_write(test_path(dir, "container.json"), "%s", text);
    refused(-EACCES, why);
}

static void check_answers(void)
{
    char many[20000];

    answers("/1", "<html>hush</html>", "not a JSON object");
    answers("/2", "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\"", "cannot be read");
    answers("/3", "{\"AccessKeyId\":\"A\"}", "no keys");
    answers("/4", "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Expiration\":\"soon\"}",
            "no time");
    answers("/5", "{\"AccessKeyId\":\"A:hush\",\"SecretAccessKey\":\"hush\"}", "no keys");
    answers("/6", "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\",\"Token\":\"a\\r\\nb\"}",
            "no keys");
    answers("/7", "{\"Code\":\"Failed\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"hush\"}",
            "not Success");
    memset(many, ' ', sizeof many);
    many[sizeof many - 1] = '\0';
    answers("/8", many, "too long");
    answer("A");
    use("/9");
    kit_aws_write(test_path(dir, "status"), "503");
    unanswered("status 503");
    EXPECT_EQ(kit_aws_count(dir, "/container/9"), 3);
    kit_aws_write(test_path(dir, "status"), "302");
    use("/10");
    refused(-EACCES, "status 302");
    kit_aws_write(test_path(dir, "status"), "200");
    setenv(full, "http://127.0.0.1:1/x", 1);
    unanswered("connect");
}

int main(void)
{
    kit_aws_nothing();
    dir = kit_aws_serve(&port);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* is not for them */
    check_authorization();
    check_hosts();
    check_answers();
    return 0;
}
