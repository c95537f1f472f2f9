/* SPDX-License-Identifier: MIT
 *
 * test-s3-chain: where keys come from when no network is asked.
 *
 * Passes when keys of the environment, the credentials file and the config file are taken in this
 * order, with their session token or without; when half a pair, keys that could break a header,
 * and profiles that demand what is not supported are refused by name; when nothing at all means
 * unsigned requests and a list of where was looked; and when no secret is in any error.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hl_authority authority;

static struct hl_s3 *opened(void)
{
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), 0);
    hl_s3_refresh(s3);
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), 0);
    return s3;
}

static void signs(const char *user, const char *token)
{
    struct hl_s3 *s3 = opened();
    char header[5000] = "";

    EXPECT_STR(authority.sigv4, "aws:amz:us-east-1:s3");
    EXPECT_STR(authority.user, user);
    EXPECT_STR(authority.headers[0], "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    if (*token)
        snprintf(header, sizeof header, "x-amz-security-token: %s", token);
    EXPECT_STR(authority.headers[1], header);
    EXPECT_STR(authority.headers[2], "");
    EXPECT_STR(hl_s3_unsigned(s3), "");
    hl_s3_close(s3);
}

static void refused(const char *why)
{
    struct hl_s3 *s3 = NULL;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), -EACCES);
    EXPECT(s3 == NULL);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
}

static void check_nothing(void)
{
    struct hl_s3 *s3 = opened();

    EXPECT_STR(authority.sigv4, "");
    EXPECT_STR(authority.user, "");
    EXPECT_STR(authority.headers[0], "");
    EXPECT_CONTAINS(hl_s3_unsigned(s3), "AWS_ACCESS_KEY_ID");
    EXPECT_CONTAINS(hl_s3_unsigned(s3), "/home/.aws/credentials (No such file or directory)");
    EXPECT_CONTAINS(hl_s3_unsigned(s3), "/home/.aws/config (No such file or directory)");
    EXPECT_CONTAINS(hl_s3_unsigned(s3), "AWS_EC2_METADATA_DISABLED");
    hl_s3_close(s3);
}

static void check_order(void)
{
    kit_aws_write("~/.aws/config",
                  "[default]\naws_access_key_id = C\naws_secret_access_key = hush3\n"
                  "[profile p]\naws_access_key_id = P\naws_secret_access_key = hush4\n"
                  "aws_session_token = T/+=\n");
    signs("C:hush3", "");
    kit_aws_write("~/.aws/credentials",
                  "[default]\naws_access_key_id: S\naws_secret_access_key: hu/s+h:2\n");
    signs("S:hu/s+h:2", "");
    setenv("AWS_PROFILE", "p", 1);
    signs("P:hush4", "T/+=");
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush1", 1);
    signs("E:hush1", "");
    setenv("AWS_SESSION_TOKEN", "token", 1);
    signs("E:hush1", "token");
    unsetenv("AWS_PROFILE");
}

static void check_halves(void)
{
    char longest[5000] = "";

    unsetenv("AWS_SECRET_ACCESS_KEY");
    refused("environment: AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    refused("environment: AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
    setenv("AWS_ACCESS_KEY_ID", "hush:a", 1);
    refused("AWS_ACCESS_KEY_ID is no access key");
    setenv("AWS_ACCESS_KEY_ID", "A", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush\n", 1);
    refused("AWS_SECRET_ACCESS_KEY is no secret key");
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    setenv("AWS_SESSION_TOKEN", "hush\r\nx-amz-acl: public-read-write", 1);
    refused("AWS_SESSION_TOKEN is no session token");
    memset(longest, 'x', 4096);
    setenv("AWS_SESSION_TOKEN", longest, 1);
    signs("A:hush", longest);
    longest[4096] = 'x';
    setenv("AWS_SESSION_TOKEN", longest, 1);
    refused("AWS_SESSION_TOKEN is no session token");
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    kit_aws_write("~/.aws/credentials", "[default]\naws_secret_access_key = hush\n");
    refused("profile 'default': aws_secret_access_key is set, but aws_access_key_id is not");
    kit_aws_write("~/.aws/credentials", "%s", "");
}

/* What other tools would go by, or not. */
static void check_unsupported(void)
{
    static const char *const demands[] = {
        "role_arn",       "web_identity_token_file", "sso_session",   "sso_start_url",
        "sso_account_id", "sso_role_name",           "login_session", "credential_process",
    };
    char why[100];

    for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
        kit_aws_write("~/.aws/config",
                      "[default]\naws_access_key_id = C\naws_secret_access_key = hush\n"
                      "%s = hush\n",
                      demands[i]);
        snprintf(why, sizeof why, "AWS profile 'default': %s is not supported", demands[i]);
        refused(why);
    }
    /* The credentials file comes before a process, and the environment before all. */
    kit_aws_write("~/.aws/credentials",
                  "[default]\naws_access_key_id = S\naws_secret_access_key = hush\n");
    signs("S:hush", "");
    kit_aws_write("~/.aws/config", "[default]\nrole_arn = hush\n");
    refused("role_arn");
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    signs("E:hush", "");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    kit_aws_write("~/.aws/config", "%s", "");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/hush", 1);
    setenv("AWS_ROLE_ARN", "hush", 1);
    refused("AWS_WEB_IDENTITY_TOKEN_FILE: web identity is not supported");
}

int main(void)
{
    kit_aws_nothing();
    check_nothing();
    check_order();
    check_halves();
    check_unsupported();
    return 0;
}
