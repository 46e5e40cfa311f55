/*
 * The few names of glibc 2.38 that Debian 13's static archives want and Debian 12's glibc 2.36
 * lacks. Linked only there.
 *
 * The __isoc23 family differs from the plain functions in accepting binary literals ("0b11") for
 * base 0 and 2, which neither NNG nor mbedTLS relies on.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
unsigned long long __isoc23_strtoull(const char *text, char **end, int base);
size_t strlcpy(char *dst, const char *src, size_t size);

long __isoc23_strtol(const char *text, char **end, int base)
{
    return strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return strtoul(text, end, base);
}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
    return strtoull(text, end, base);
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t length = strlen(src);
    if (size > 0) {
        size_t copied = length < size ? length : size - 1;
        memcpy(dst, src, copied);
        dst[copied] = '\0';
    }
    return length;
}
