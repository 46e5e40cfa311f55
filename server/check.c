#include "server/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "level=fatal msg=\"internal check failed\" at=%s:%d check=\"%s\"\n", file,
                  line, condition);
    abort();
}
