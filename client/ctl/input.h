/* What commands read: job ids, files, lines of JSON. */
#ifndef ACTIVITYD_CLIENT_CTL_INPUT_H
#define ACTIVITYD_CLIENT_CTL_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A job id: a whole decimal number from 1 to 2^53 - 1. */
bool input_job(const char *text, uint64_t *job_id);

/* A whole file ("-": stdin) of at most 1 MiB; NULL after saying why on stderr. The caller frees it;
 * it is terminated. */
char *input_file(const char *path, size_t *size);

#endif
