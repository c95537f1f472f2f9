/* SPDX-License-Identifier: MIT
 *
 * source.h - where encoded bytes come from: the ops table, and what all sources share.
 *
 * A source is one version of one object.  It never sees chunks.  All calls may
 * be made by any thread, concurrently; they return 0 or -errno.
 */
#ifndef HL_SOURCE_H
#define HL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hl_source;
struct hl_stats;

struct hl_source_ops {
    const char *prefix; /* of the names that are its own, as in "https://"; "" = all the rest */

    /* Open the present version. */
    int (*open)(const char *name, struct hl_source **ret_source);

    /* Exactly length bytes at src_offset, and all of them of this version:
     * -ESTALE when the object has changed meanwhile. */
    int (*read)(struct hl_source *source, uint64_t src_offset, uint32_t length, void *buffer);

    /* Is this still the present version?  0 or -ESTALE. */
    int (*check)(struct hl_source *source);

    void (*close)(struct hl_source *source);

    /* The key of a name as a user gives it, whether or not there is such an object now: what
     * struct hl_source has as name_key. */
    void (*name_key)(const char *name, uint64_t ret_key[2]);
};

/* A variant embeds this first. */
struct hl_source {
    const struct hl_source_ops *ops;
    char *name;           /* for people, without credentials: canonical where that is possible; owned */
    bool remote;          /* a struct hl_remote: a read may cost a round trip; stage.h has what to do
                           * about it */
    _Atomic bool unvalidated; /* the origin could not be asked whether this still is the present version */
    struct hl_stats *_Atomic stats; /* where a remote source counts; NULL until the volume is known */
    uint64_t src_bytes;   /* encoded size */
    uint64_t settled_ns;  /* CLOCK_REALTIME from when on a change cannot have the validator of this
                           * version; 0 = always.  Until then only who holds a lock against
                           * writers may trust what he reads */
    uint64_t key[2];      /* hash of what the source is and of its validator */
    uint64_t name_key[2]; /* hash of what makes two names the same source */
};

extern const struct hl_source_ops hl_source_file, hl_source_http, hl_source_https, hl_source_s3;

/* Open name with the ops that its prefix chooses.  Close with hl_source_close(). */
int hl_source_open(const char *name, struct hl_source **ret_source);
void hl_source_close(struct hl_source *source); /* NULL is fine */

/* A name as it may be shown to people: without the user and password of a URL, and without the values of
 * its query.  What a source has as `name`, for URLs. */
void hl_source_name_show(const char *name, char *buffer, size_t room);

/* name_key, by the ops that the name's prefix chooses. */
void hl_source_name_key(const char *name, uint64_t ret_key[2]);

/* 128 bits of bytes. */
void hl_source_hash(const void *bytes, size_t length, uint64_t ret_key[2]);

/* Around fork(): hold the lock of the open files, so that the child gets it free. */
void hl_source_file_fork_prepare(void);
void hl_source_file_fork_done(void);

#endif
