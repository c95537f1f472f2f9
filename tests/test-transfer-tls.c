/* SPDX-License-Identifier: MIT
 *
 * test-transfer-tls: HTTPS, with HTTP/2 where the server has it.
 *
 * Passes when a server whose authority the environment names is believed, and no other; when a host
 * that is not the certificate's, a bundle that cannot be read, one that speaks no TLS and a
 * redirect from https to http each fail with -EPROTO or -EIO and a sentence of their own; and when
 * many transfers share a connection over HTTP/2.  Each case is a process of its own, since the
 * environment is read once.
 */
#include "config.h"

#include "kit-transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LENGTH 100000
#define MANY 16
#define SEED 29

static struct kit_origin *secure, *plain;
static const char *certificates, *nginx, *plain_nginx;
static struct hl_target target;
static char buffers[MANY][LENGTH];

static void believe(const char *variable)
{
    setenv(variable, test_path(certificates, "ca.pem"), 1);
}

static void expect(const char *url, int rc, const char *says)
{
    struct hl_transfer transfer = { .target = &target, .length = LENGTH, .buffer = buffers[0] };

    kit_target(&target, url);
    target.may_redirect = true;
    EXPECT_RC(kit_transfer(&transfer), rc);
    EXPECT_CONTAINS(transfer.sentence, says);
    if (rc == 0)
        EXPECT_PATTERN(buffers[0], LENGTH, SEED, 0);
}

static void by_curl_ca_bundle(void)
{
    believe("CURL_CA_BUNDLE");
    expect(kit_origin_url(secure, "/db"), 0, "");
}

static void by_ssl_cert_file(void)
{
    believe("SSL_CERT_FILE");
    expect(kit_origin_url(secure, "/db"), 0, "");
}

static void of_nobody_known(void)
{
    expect(kit_origin_url(secure, "/db"), -EPROTO, "is not to be trusted");
}

/* The same address, written as one that the certificate does not have. */
static void of_another_name(void)
{
    char url[100];

    believe("CURL_CA_BUNDLE");
    snprintf(url, sizeof url, "https://[::ffff:127.0.0.1]:%u/db", kit_origin_port(secure));
    expect(url, -EPROTO, "TLS: the certificate is not for ");
}

static void bundle_is_missing(void)
{
    setenv("CURL_CA_BUNDLE", "/nonexistent/ca.pem", 1);
    expect(kit_origin_url(secure, "/db"), -EPROTO, "TLS: ");
}

static void speaks_no_tls(void)
{
    char url[100];

    snprintf(url, sizeof url, "https%s", plain_nginx + strlen("http"));
    expect(url, -EPROTO, "TLS: no agreement with '127.0.0.1'");
}

static void down_to_http(void)
{
    believe("CURL_CA_BUNDLE");
    kit_origin_order(secure, "fault redirect=%s", kit_origin_url(plain, "/db"));
    expect(kit_origin_url(secure, "/db"), -EIO, "from https to another protocol");
    kit_origin_order(secure, "clear");
}

static void multiplexed(void)
{
    struct hl_transfer transfers[MANY], first = { .target = &target, .length = LENGTH,
                                                  .buffer = buffers[0] };

    believe("CURL_CA_BUNDLE");
    kit_target(&target, nginx);
    EXPECT_RC(kit_transfer(&first), 0);
    EXPECT(target.multiplexes);
    for (unsigned i = 0; i < MANY; i++) {
        transfers[i] = (struct hl_transfer){ .target = &target, .length = LENGTH,
                                             .src_offset = 8 * i, .buffer = buffers[i] };
        EXPECT_RC(hl_transfer_start(&transfers[i]), 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        EXPECT_RC(hl_transfer_wait(&transfers[i]), 0);
        EXPECT_PATTERN(buffers[i], LENGTH, SEED, 8 * i);
    }
}

static void in_a_process(void (*test)(void))
{
    pid_t pid = fork();

    EXPECT(pid >= 0);
    if (pid == 0) {
        test();
        _exit(0);
    }
    EXPECT_CHILD(pid, 0);
}

int main(void)
{
    unsetenv("CURL_CA_BUNDLE");
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    test_file(test_path(kit_transfer_dir(), "db"), LENGTH + 8 * MANY, SEED);
    certificates = kit_certificates();
    secure = kit_origin_tls(kit_transfer_dir(), certificates);
    plain = kit_origin(kit_transfer_dir());
    nginx = test_path(kit_nginx(kit_transfer_dir(), certificates, NULL, NULL), "db");
    plain_nginx = test_path(kit_nginx(kit_transfer_dir(), NULL, NULL, NULL), "db");
    in_a_process(by_curl_ca_bundle);
    in_a_process(by_ssl_cert_file);
    in_a_process(of_nobody_known);
    in_a_process(of_another_name);
    in_a_process(bundle_is_missing);
    in_a_process(speaks_no_tls);
    in_a_process(down_to_http);
    in_a_process(multiplexed);
    return 0;
}
