/* Requests made smaller on their way. Visible here alone: zlib. */
#ifndef ACTIVITYD_SERVER_INDEX_GZIP_H
#define ACTIVITYD_SERVER_INDEX_GZIP_H

#include <stdint.h>

#include "server/core/bytes.h"

/* Compresses into fresh memory (the caller frees it). NULL: out of memory, or it would not become
 * smaller; then it is sent as it is. Any thread. */
uint8_t *gzip_body(struct bytes body, uint32_t *length);

#endif
