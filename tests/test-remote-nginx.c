/* SPDX-License-Identifier: MIT
 *
 * test-remote-nginx: what a real nginx serves, raw and compressed, is read whole and right:
 * plain, with a password, and by HTTP/2 over TLS.
 *
 * Passes when the CA is found by each of the usual environment variables, and without it, with
 * plain HTTP on a TLS port, TLS on a plain port, and a wrong password the open is refused with a
 * sentence that says so, and without the password in it.
 */
#include "test-remote-common.h"

#define BYTES (4 * CHUNK + 777 * 8)
#define SEED 33

static const char *pool_dir;

/* Read all, with this variable naming the CA. */
struct job {
    const char *base, *user, *name, *ca;
};

/* In a process of its own: the environment is looked at once. */
static void read_all(void *arg)
{
    const struct job *job = arg;
    const char *base = job->base, *user = job->user;
    struct hugelite_pool *pool = kit_pool(pool_dir, 16);

    if (job->name)
        setenv(job->name, job->ca, 1);
    for (unsigned kind = 0; kind < 2; kind++) {
        const char *host = strstr(base, "://") + 3;
        struct hugelite_volume *vol;
        char url[256];

        snprintf(url, sizeof url, "%.*s%s%s/x%s", (int)(host - base), base, user, host,
                 remote_endings[kind]);
        vol = kit_volume(pool, url);
        kit_verify_chunk(vol, SEED, 3);
        kit_verify_read(vol, SEED);
        kit_verify(vol, SEED);
        hugelite_volume_close(vol);
        EXPECT_RC(hugelite_pool_evict(pool, NULL, NULL), 0);
    }
    hugelite_pool_close(pool);
}

static void expect_all(const char *base, const char *user, const char *name, const char *ca)
{
    struct job job = { .base = base, .user = user, .name = name, .ca = ca };

    EXPECT_CHILD(kit_fork(read_all, &job), 0);
}

static void expect_refused(struct hugelite_pool *pool, const char *scheme, const char *user,
                           const char *base, int rc, const char *words)
{
    const char *host = strstr(base, "://") + 3;
    struct hugelite_volume *vol = NULL;
    char url[256];

    snprintf(url, sizeof url, "%s://%s%s/x.db", scheme, user, host);
    EXPECT_RC(hugelite_volume_open(pool, url, &vol), rc);
    fprintf(stderr, "%s: %s\n", strerrorname_np(-rc), hugelite_error());
    EXPECT_CONTAINS(hugelite_error(), words);
    EXPECT(!strstr(hugelite_error(), "sesame") && !strstr(hugelite_error(), "swordfish"));
}

/* Without the CA, and with the wrong scheme. */
static void strangers(void *arg)
{
    const char *const *bases = arg;
    struct hugelite_pool *pool = kit_pool(pool_dir, 16);

    expect_refused(pool, "https", "", bases[1], -EPROTO, "certificate");
    expect_refused(pool, "https", "", bases[0], -EPROTO, "TLS");
    expect_refused(pool, "http", "", bases[1], -EIO, "400");
    hugelite_pool_close(pool);
}

int main(void)
{
    struct hugelite_pool *pool;
    static const char *const names[] = { "CURL_CA_BUNDLE", "SSL_CERT_FILE" };
    const char *www = test_dir(), *certificates = kit_certificates(), *log, *plain, *tls, *locked;
    const char *ca = test_path(certificates, "ca.pem");
    size_t length;
    char *text;

    remote_begin(TEST_HANG_S, false);
    remote_object(www, "x.db", BYTES, SEED);
    remote_object(www, "x.db.zst", BYTES, SEED);
    plain = kit_nginx(www, NULL, NULL, NULL);
    tls = kit_nginx(www, certificates, NULL, &log);
    locked = kit_nginx(www, certificates, "someone:open sesame", NULL);
    pool_dir = test_pool_dir();
    expect_all(plain, "", NULL, NULL);
    for (unsigned i = 0; i < 2; i++)
        expect_all(tls, "", names[i], ca);
    text = NULL;
    length = 0;
    FILE *f = fopen(log, "re");
    EXPECT(f && getdelim(&text, &length, '\0', f) > 0);
    fclose(f);
    EXPECT_CONTAINS(text, "HTTP/2.0");
    EXPECT(!strstr(text, "HTTP/1.1\" 206"));
    free(text);

    expect_all(locked, "someone:open%20sesame@", "SSL_CERT_FILE", ca);
    EXPECT_CHILD(kit_fork(strangers, (void *)(const char *[]){ plain, tls }), 0);
    setenv("CURL_CA_BUNDLE", ca, 1);
    pool = kit_pool(pool_dir, 16);
    expect_refused(pool, "https", "someone:swordfish@", locked, -EACCES, "401");
    expect_refused(pool, "https", "", locked, -EACCES, "401");
    hugelite_pool_close(pool);
    return 0;
}
