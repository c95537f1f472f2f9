/* SPDX-License-Identifier: MIT
 *
 * refusal.h - the sentence that refuses a compressed file, with the command that mends it.
 */
#ifndef HL_REFUSAL_H
#define HL_REFUSAL_H

struct hl_source;

struct hl_refusal {
    const char *why;      /* "is ..." */
    const char *unpack;   /* command that is given the file's name */
    const char *redirect; /* how its output goes to the file that is named next */
    const char *suffix;   /* of such files, which the unpacked one goes without */
    const char *packed;   /* suffix of the seekable file */
};

/* -EMEDIUMTYPE */
int hl_refuse(const struct hl_source *source, const struct hl_refusal *refusal);

#endif
