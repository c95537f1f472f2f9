/* SPDX-License-Identifier: MIT
 *
 * s3-config.h - the settings of one profile, from the two files that all AWS tools share: the
 * credentials file (AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials) and the config file
 * (AWS_CONFIG_FILE, else ~/.aws/config).  The profile is AWS_PROFILE, else AWS_DEFAULT_PROFILE,
 * else "default".
 *
 * Settings may be secrets: none is ever quoted in an error.
 */
#ifndef HL_S3_CONFIG_H
#define HL_S3_CONFIG_H

#include <stddef.h>

struct hl_s3_config;

/* Files that are missing or may not be read are as good as empty.  0; -EINVAL: a line that
 * cannot be understood, or a profile that the environment names and neither file has; -ENOMEM,
 * -EFBIG. */
int hl_s3_config_open(struct hl_s3_config **ret_config);
void hl_s3_config_close(struct hl_s3_config *config); /* forgets the secrets; NULL is fine */

/* Which file; settings that could be in either come from the credentials file first. */
enum hl_s3_file {
    HL_S3_CREDENTIALS_FILE,
    HL_S3_CONFIG_FILE,
    HL_S3_NR_FILES,
};

/* A setting of the profile; the nested ones are named as in "s3.addressing_style".  NULL = not
 * set, or empty. */
const char *hl_s3_config_get(const struct hl_s3_config *config, const char *key);
const char *hl_s3_config_get_from(const struct hl_s3_config *config, enum hl_s3_file file,
                                  const char *key);

/* The s3 endpoint_url of the [services ...] section that the profile names; NULL = none. */
const char *hl_s3_config_service_endpoint(const struct hl_s3_config *config);

const char *hl_s3_config_profile(const struct hl_s3_config *config);

/* The file's path, with what was wrong with it if it could not be read: for people. */
const char *hl_s3_config_path(const struct hl_s3_config *config, enum hl_s3_file file);

/* An environment variable that is set and not empty, or NULL. */
const char *hl_s3_env(const char *name);

#endif
