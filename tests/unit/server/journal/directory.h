/* A real directory for a test, made by setup and removed with all it holds by teardown; and damage
 * to its files. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_DIRECTORY_H
#define ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_DIRECTORY_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/server/journal/fixture.h"

static char directory_root[64];
static char directory_path[96]; /* of the journal */

static inline const char *directory_file(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", directory_path, name);
    return path;
}

static inline int directory_setup(void **state)
{
    (void)state;
    strcpy(directory_root, "/tmp/activityd-test-XXXXXX");
    if (mkdtemp(directory_root) == NULL)
        return -1;
    snprintf(directory_path, sizeof directory_path, "%s/journal", directory_root);
    return 0;
}

static inline int directory_teardown(void **state)
{
    (void)state;
    DIR *directory = opendir(directory_path);
    const struct dirent *item;
    while (directory != NULL && (item = readdir(directory)) != NULL)
        unlink(directory_file(item->d_name));
    if (directory != NULL)
        closedir(directory);
    rmdir(directory_path);
    return rmdir(directory_root);
}

/* Name of the last file in alphabetical order with this prefix; "" = none. */
static inline const char *directory_last(const char *prefix)
{
    static char last[256];
    last[0] = '\0';
    DIR *directory = opendir(directory_path);
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;)
        if (strncmp(item->d_name, prefix, strlen(prefix)) == 0 && strcmp(item->d_name, last) > 0)
            strcpy(last, item->d_name);
    closedir(directory);
    return last;
}

static inline unsigned directory_count(const char *prefix)
{
    unsigned count = 0;
    DIR *directory = opendir(directory_path);
    assert_non_null(directory);
    for (const struct dirent *item; (item = readdir(directory)) != NULL;)
        count += strncmp(item->d_name, prefix, strlen(prefix)) == 0;
    closedir(directory);
    return count;
}

static inline void directory_read(const char *name, off_t offset, void *bytes, size_t length)
{
    int descriptor = open(directory_file(name), O_RDONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(pread(descriptor, bytes, length, offset), length);
    close(descriptor);
}

static inline void directory_write(const char *name, off_t offset, const void *bytes, size_t length)
{
    int descriptor = open(directory_file(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, bytes, length, offset), length);
    close(descriptor);
}

static inline void directory_zero(const char *name, off_t offset, size_t length)
{
    void *zeros = calloc(1, length);
    assert_non_null(zeros);
    directory_write(name, offset, zeros, length);
    free(zeros);
}

#endif
