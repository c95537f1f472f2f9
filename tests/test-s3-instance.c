/* SPDX-License-Identifier: MIT
 *
 * test-s3-instance: keys of an instance's metadata service.
 *
 * Passes when they come by a token (IMDSv2), once for all threads and sources of the process; when
 * they are renewed by the readers from five minutes before they expire, by one thread while the
 * others go on, and the old ones stay in use while renewing fails and they are good; and when an
 * instance without a role, or a machine without the service, means unsigned requests, soon, and
 * without asking again at once.
 */
#include "config.h"

#include "kit-aws.h"
#include "s3-credentials.h"
#include "s3.h"
#include "sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8 };

static const char *dir;
static unsigned port;

/* Each path is an instance of its own. */
static void use(const char *path)
{
    char url[200];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/%s", port, path);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
}

/* Keys that expire so many seconds from now. */
static void issue(const char *id, int seconds)
{
    time_t then = time(NULL) + seconds;
    char when[64];
    struct tm tm;

    gmtime_r(&then, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    kit_aws_write(test_path(dir, "instance.json"),
                  "{\"Code\" : \"Success\",\n\"LastUpdated\" : \"2026-01-01T00:00:00Z\",\n"
                  "\"Type\" : \"AWS-HMAC\",\n\"AccessKeyId\" : \"%s\",\n"
                  "\"SecretAccessKey\" : \"hush\",\n\"Token\" : \"tok\",\n"
                  "\"Expiration\" : \"%s\"\n}", id, when);
}

static struct hl_s3 *opened(void)
{
    struct hl_s3 *s3;

    EXPECT_RC(hl_s3_open("s3://bucket/key", &s3), 0);
    return s3;
}

static void signs(struct hl_s3 *s3, const char *user)
{
    struct hl_authority *authority = calloc(1, sizeof *authority);

    EXPECT(authority);
    EXPECT_RC(s3->target.authorize(&s3->target, authority), 0);
    EXPECT_STR(authority->user, user);
    EXPECT_STR(authority->headers[1], *user ? "x-amz-security-token: tok" : "");
    free(authority);
}

static void *open_and_sign(void *arg)
{
    struct hl_s3 *s3 = opened();

    signs(s3, "A:hush");
    hl_s3_close(s3);
    return arg;
}

static void check_single_flight(void)
{
    pthread_t threads[THREADS];

    use("other1");
    issue("A", 3600);
    kit_aws_write(test_path(dir, "delay_ms"), "100");
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, open_and_sign, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(kit_aws_count(dir, "/latest/api/token"), 1);
    EXPECT_EQ(kit_aws_count(dir, "/my-role+1"), 1);
    kit_aws_write(test_path(dir, "delay_ms"), "0");
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
    return (hl_now_ns() - since_ns) / 1000000;
}

static void *refresh(void *arg)
{
    hl_s3_refresh(arg);
    return arg;
}

static void check_renewal(void)
{
    pthread_t asker;
    struct hl_s3 *s3;

    use("other2");
    issue("B", 3600);
    s3 = opened();
    hl_s3_pause_ns = 0;
    hl_s3_refresh(s3);
    EXPECT_EQ(kit_aws_count(dir, "other2"), 3); /* an hour is enough */
    hl_s3_close(s3);

    use("other3");
    issue("C", 290);
    s3 = opened();
    signs(s3, "C:hush");
    issue("D", 3600);
    kit_aws_write(test_path(dir, "delay_ms"), "600");
    EXPECT_EQ(pthread_create(&asker, NULL, refresh, s3), 0);
    usleep(100 * 1000);
    hl_s3_refresh(s3); /* does not wait for it, or it would sign with D */
    signs(s3, "C:hush");
    EXPECT_EQ(pthread_join(asker, NULL), 0);
    kit_aws_write(test_path(dir, "delay_ms"), "0");
    signs(s3, "D:hush");
    EXPECT_EQ(kit_aws_count(dir, "other3"), 6);
    hl_s3_close(s3);
}

static void check_failing_renewal(void)
{
    static struct hl_authority authority;
    struct hl_s3 *s3;

    use("other4");
    issue("E", 200);
    s3 = opened();
    kit_aws_write(test_path(dir, "status"), "500");
    hl_s3_refresh(s3);
    signs(s3, "E:hush");
    hl_s3_close(s3);
    kit_aws_write(test_path(dir, "status"), "200");

    /* What has just been given is taken for good: it may be our clock that is wrong. */
    use("other5");
    issue("F", -10);
    s3 = opened();
    signs(s3, "F:hush");
    hl_s3_refresh(s3);
    signs(s3, "F:hush");
    kit_aws_write(test_path(dir, "instance.json"), "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}");
    hl_s3_refresh(s3);
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), -EACCES);
    EXPECT_CONTAINS(hugelite_error(), "s3://bucket/key: ");
    EXPECT_CONTAINS(hugelite_error(), "Code is not Success");
    EXPECT_CONTAINS(hugelite_error(), "have expired");
    EXPECT(strstr(hugelite_error(), "hush") == NULL);
    issue("G", 3600);
    hl_s3_refresh(s3);
    signs(s3, "G:hush");
    hl_s3_close(s3);
}

/* A port that nobody answers at: connections are taken, and that is all. */
static unsigned deaf_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(listen(fd, 16) == 0 && getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    return ntohs(address.sin_port);
}

static void unsigned_because(const char *why)
{
    struct hl_s3 *s3 = opened();

    signs(s3, "");
    EXPECT_CONTAINS(hl_s3_unsigned(s3), why);
    hl_s3_close(s3);
}

static void unanswered(const char *why)
{
    static struct hl_authority authority;
    struct hl_s3 *s3 = opened();

    EXPECT_STR(hl_s3_unsigned(s3), "");
    EXPECT_RC(s3->target.authorize(&s3->target, &authority), -EHOSTUNREACH);
    EXPECT_CONTAINS(hugelite_error(), why);
    hl_s3_close(s3);
}

static void check_nobody(void)
{
    uint64_t begin;

    hl_s3_pause_ns = UINT64_C(60000000000);
    unlink(test_path(dir, "role"));
    use("other6");
    unsigned_because("the instance has no role");
    /* One that is ill is no reason to go without keys. */
    kit_aws_write(test_path(dir, "status"), "503");
    use("other8");
    unanswered("status 503");
    kit_aws_write(test_path(dir, "status"), "200");
    unlink(test_path(dir, "token"));
    use("other7");
    unsigned_because("gives no token");

    port = deaf_port();
    use("other1");
    begin = hl_now_ns();
    unsigned_because("Timeout was reached");
    EXPECT(elapsed_ms(begin) >= 900);
    EXPECT(TEST_SANITIZED || elapsed_ms(begin) < 1800);
    begin = hl_now_ns();
    unsigned_because("Timeout was reached"); /* known by now */
    EXPECT(TEST_SANITIZED || elapsed_ms(begin) < 500);

    port = 1;
    use("other1");
    unsigned_because("connect");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "127.0.0.1:1", 1);
    EXPECT_RC(hl_s3_open("s3://bucket/key", &(struct hl_s3 *){ NULL }), -EINVAL);
    EXPECT_CONTAINS(hugelite_error(), "AWS_EC2_METADATA_SERVICE_ENDPOINT: is no endpoint");
}

int main(void)
{
    kit_aws_nothing();
    unsetenv("AWS_EC2_METADATA_DISABLED");
    dir = kit_aws_serve(&port);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* is not for them */
    kit_aws_write(test_path(dir, "token"), "AQAE-t_o.k~e+n/==");
    kit_aws_write(test_path(dir, "role"), "my-role+1");
    check_single_flight();
    check_renewal();
    check_failing_renewal();
    check_nobody();
    return 0;
}
