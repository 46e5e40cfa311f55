#include "client/ctl/input.h"
#include "client/ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX ((size_t)1024 * 1024)

bool input_job(const char *text, uint64_t *job_id)
{
    return ctl_number(text, (UINT64_C(1) << 53) - 1, job_id) && *job_id != 0;
}

char *input_file(const char *path, size_t *size)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "activityctl: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    char *bytes = malloc(INPUT_MAX + 2);
    *size = bytes == NULL ? 0 : fread(bytes, 1, INPUT_MAX + 1, file);
    bool bad = bytes == NULL || ferror(file) != 0 || *size > INPUT_MAX;
    if (bad) {
        (void)fprintf(stderr, "activityctl: %s: %s\n", path,
                      *size > INPUT_MAX ? "larger than 1 MiB, which is more than a request may be"
                                        : strerror(errno));
        free(bytes);
        bytes = NULL;
    } else {
        bytes[*size] = '\0';
    }
    if (!standard) {
        (void)fclose(file);
    }
    return bytes;
}
