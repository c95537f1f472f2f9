/* SPDX-License-Identifier: MIT
 *
 * test-s3-profiles: the files that the AWS tools share.
 *
 * Passes when settings of the chosen profile are found as those tools find them (sections, both
 * signs, comments, quotes, nesting, the order of the files), when a profile that is nowhere is
 * refused by name, and when a line that means nothing is refused by its number without being
 * quoted.  Files that are missing, unreadable or empty are not there.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3-config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect(const char *key, const char *value)
{
    struct hl_s3_config *config;
    const char *got;

    EXPECT_RC(hl_s3_config_open(&config), 0);
    got = hl_s3_config_get(config, key);
    if (value) {
        EXPECT(got);
        EXPECT_STR(got, value);
    } else {
        EXPECT(!got);
    }
    hl_s3_config_close(config);
}

static void refused(int rc, const char *why)
{
    struct hl_s3_config *config;

    EXPECT_RC(hl_s3_config_open(&config), rc);
    EXPECT_CONTAINS(hugelite_error(), why);
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
}

static void check_syntax(void)
{
    kit_aws_write("~/.aws/config", "%s",
                  "\xef\xbb\xbf# a comment\r\n"
                  "; another\r\n"
                  "\r\n"
                  "[default]   # the usual one\r\n"
                  "region=eu-west-1\r\n"
                  "Output : json ; and so on\r\n"
                  "with_hash = a#b;c=d:e\r\n"
                  "empty =\r\n"
                  "twice = 1\r\n"
                  "s3 =\r\n"
                  "    addressing_style = path\r\n"
                  "    # a comment\r\n"
                  "    max_queue_size = 10\r\n"
                  "twice = 2\r\n"
                  "long = one\r\n"
                  "   two\r\n"
                  "[ profile  \"with blanks\" ]\r\n"
                  "  region = indented\r\n"
                  "  output = too\r\n"
                  "[profile 'x']\r\n"
                  "region = of x\r\n"
                  "[x]\r\n"
                  "region = no profile\r\n"
                  "[profile empty]\r\n"
                  "[profile last]\r\n"
                  "region = without an end of line");
    expect("region", "eu-west-1");
    expect("output", "json");
    expect("OUTPUT", "json");
    expect("with_hash", "a#b;c=d:e");
    expect("empty", NULL);
    expect("twice", "2");
    expect("s3.addressing_style", "path");
    expect("s3.max_queue_size", "10");
    expect("s3.nothing", NULL);
    expect("addressing_style", NULL);
    expect("s3", NULL);
    expect("long", "one");
    setenv("AWS_DEFAULT_PROFILE", "with blanks", 1);
    expect("region", "indented");
    expect("output", "too");
    setenv("AWS_PROFILE", "x", 1);
    expect("region", "of x");
    expect("output", NULL);
    setenv("AWS_PROFILE", "empty", 1);
    expect("region", NULL);
    setenv("AWS_PROFILE", "last", 1);
    expect("region", "without an end of line");
    setenv("AWS_PROFILE", "default", 1);
    expect("region", "eu-west-1");
    setenv("AWS_PROFILE", "nobody", 1);
    refused(-EINVAL, "AWS_PROFILE names the profile 'nobody'");
    unsetenv("AWS_PROFILE");
    setenv("AWS_DEFAULT_PROFILE", "nobody", 1);
    refused(-EINVAL, "AWS_DEFAULT_PROFILE names the profile 'nobody'");
    unsetenv("AWS_DEFAULT_PROFILE");
}

static void check_files(void)
{
    const char *dir = test_dir(), *other = test_path(dir, "other"), *fifo = test_path(dir, "fifo");

    kit_aws_write("~/.aws/config", "[default]\nregion = config\nkey = config\n");
    kit_aws_write("~/.aws/credentials",
                  "[default]\nkey = credentials\n[x]\nkey = of x\n[profile y]\nkey = of y\n");
    expect("region", "config");
    expect("key", "credentials");
    setenv("AWS_PROFILE", "x", 1);
    expect("key", "of x");
    expect("region", NULL);
    setenv("AWS_PROFILE", "y", 1);
    refused(-EINVAL, "'y'");
    unsetenv("AWS_PROFILE");

    kit_aws_write(other, "[default]\nkey = other\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", other, 1);
    expect("key", "other");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", 1);
    expect("key", "credentials");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
    expect("key", "config");
    setenv("AWS_CONFIG_FILE", test_path(dir, "missing"), 1);
    expect("key", NULL);
    setenv("AWS_CONFIG_FILE", dir, 1);
    expect("key", NULL);
    EXPECT_EQ(mkfifo(fifo, 0600), 0);
    setenv("AWS_CONFIG_FILE", fifo, 1);
    expect("key", NULL);
    setenv("AWS_CONFIG_FILE", "/dev/zero", 1);
    refused(-EFBIG, "larger than 1 MiB");
    unsetenv("AWS_CONFIG_FILE");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

static void check_damage(void)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "[default]\nhush\n", "config: line 2: is no [section] and no 'key = value'" },
        { "[default]\n\n= hush\n", "line 3" },
        { "key = hush\n[default]\n", "line 1: a setting comes before the first [section]" },
        { "[default\nkey = hush\n", "line 1: a ']' is missing" },
        { "[default]\ns3 =\n  hush\n", "line 3" },
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kit_aws_write("~/.aws/config", "%s", wrong[i].text);
        refused(-EINVAL, wrong[i].why);
    }
    kit_aws_write("~/.aws/config", "[default]\nkey = hush%c\n", 0);
    refused(-EINVAL, "holds a NUL");
    kit_aws_write("~/.aws/config", "%s", "");
    expect("key", "credentials");
}

int main(void)
{
    kit_aws_nothing();

    expect("region", NULL);
    check_syntax();
    check_files();
    check_damage();
    return 0;
}
