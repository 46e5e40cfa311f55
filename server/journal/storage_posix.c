#define _GNU_SOURCE /* sync_file_range */
#include "server/journal/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct storage_directory {
    int descriptor;
};

struct storage_file {
    int descriptor;
};

static int sync_parent(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return -ENOMEM;
    int descriptor = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (descriptor < 0)
        return -errno;
    int result = fsync(descriptor) == 0 ? 0 : -errno;
    close(descriptor);
    return result;
}

int storage_directory_open(const char *path, bool make, struct storage_directory **directory)
{
    if (make && mkdir(path, 0700) == 0) {
        int result = sync_parent(path);
        if (result != 0)
            return result;
    } else if (make && errno != EEXIST) {
        return -errno;
    }
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    *directory = malloc(sizeof **directory);
    if (*directory == NULL) {
        close(descriptor);
        return -ENOMEM;
    }
    (*directory)->descriptor = descriptor;
    return 0;
}

void storage_directory_close(struct storage_directory *directory)
{
    if (directory == NULL)
        return;
    close(directory->descriptor);
    free(directory);
}

int storage_lock(struct storage_directory *directory)
{
    return flock(directory->descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

static bool is_regular(int descriptor, const struct dirent *item)
{
    struct stat status;
    if (item->d_type != DT_UNKNOWN)
        return item->d_type == DT_REG;
    return fstatat(descriptor, item->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode);
}

int storage_list(struct storage_directory *directory,
                 void (*visit)(void *context, const char *name), void *context)
{
    /* A descriptor of its own: the position of a directory stream is shared by duplicates. */
    int descriptor = openat(directory->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return -errno;
    DIR *stream = fdopendir(descriptor);
    if (stream == NULL) {
        int result = -errno;
        close(descriptor);
        return result;
    }
    const struct dirent *item;
    for (errno = 0; (item = readdir(stream)) != NULL; errno = 0) {
        if (strlen(item->d_name) <= STORAGE_NAME_MAX && is_regular(descriptor, item))
            visit(context, item->d_name);
    }
    int result = -errno;
    closedir(stream);
    return result;
}

int storage_directory_sync(struct storage_directory *directory)
{
    return fsync(directory->descriptor) == 0 ? 0 : -errno;
}

int storage_rename(struct storage_directory *directory, const char *from, const char *to)
{
    return renameat(directory->descriptor, from, directory->descriptor, to) == 0 ? 0 : -errno;
}

int storage_remove(struct storage_directory *directory, const char *name)
{
    return unlinkat(directory->descriptor, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

static int open_file(struct storage_directory *directory, const char *name, int flags,
                     struct storage_file **file)
{
    int descriptor = openat(directory->descriptor, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return -errno;
    *file = malloc(sizeof **file);
    if (*file == NULL) {
        close(descriptor);
        return -ENOMEM;
    }
    (*file)->descriptor = descriptor;
    return 0;
}

int storage_create(struct storage_directory *directory, const char *name, uint64_t size,
                   struct storage_file **file)
{
    /* Unlinked rather than truncated: a file that somebody still reads under its old name must not
     * change. */
    *file = NULL;
    int result = storage_remove(directory, name);
    if (result == 0)
        result = open_file(directory, name, O_RDWR | O_CREAT | O_EXCL, file);
    if (result != 0)
        return result;
    if (size > 0)
        result = -posix_fallocate((*file)->descriptor, 0, (off_t)size);
    if (result == 0 && size > 0 && fsync((*file)->descriptor) != 0)
        result = -errno;
    if (result != 0) {
        storage_close(*file);
        *file = NULL;
        (void)unlinkat(directory->descriptor, name, 0);
    }
    return result;
}

int storage_open(struct storage_directory *directory, const char *name, struct storage_file **file)
{
    return open_file(directory, name, O_RDONLY, file);
}

void storage_close(struct storage_file *file)
{
    if (file == NULL)
        return;
    close(file->descriptor);
    free(file);
}

int storage_size(struct storage_file *file, uint64_t *size)
{
    struct stat status;
    if (fstat(file->descriptor, &status) != 0)
        return -errno;
    *size = (uint64_t)status.st_size;
    return 0;
}

int storage_read(struct storage_file *file, uint64_t offset, void *bytes, size_t length)
{
    uint8_t *at = bytes;
    while (length > 0) {
        ssize_t count = pread(file->descriptor, at, length, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -ENODATA;
        at += count;
        offset += (uint64_t)count;
        length -= (size_t)count;
    }
    return 0;
}

int storage_write(struct storage_file *file, uint64_t offset, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    while (length > 0) {
        ssize_t count = pwrite(file->descriptor, at, length, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EIO;
        at += count;
        offset += (uint64_t)count;
        length -= (size_t)count;
    }
    return 0;
}

int storage_sync(struct storage_file *file)
{
    return fdatasync(file->descriptor) == 0 ? 0 : -errno;
}

void storage_write_out(struct storage_file *file, uint64_t offset, uint64_t length)
{
    (void)sync_file_range(file->descriptor, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
    if (offset >= length)
        (void)sync_file_range(file->descriptor, (off_t)(offset - length), (off_t)length,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER);
}

void storage_forget(struct storage_file *file)
{
    (void)posix_fadvise(file->descriptor, 0, 0, POSIX_FADV_DONTNEED);
}

/* The file's blocks exist before it is mapped: a store into a hole on a full disk would be a
 * SIGBUS. */
static int open_mapped(struct storage_directory *directory, const char *name, size_t size,
                       struct storage_file **file)
{
    uint64_t present = 0;
    int result = open_file(directory, name, O_RDWR, file);
    if (result == 0) {
        result = storage_size(*file, &present);
        if (result == 0 && present == size)
            result = -posix_fallocate((*file)->descriptor, 0, (off_t)size);
        if (result == 0 && present == size)
            return 0;
        storage_close(*file);
    } else if (result == -ENOENT) {
        result = 0;
    }
    if (result == 0)
        result = storage_create(directory, name, size, file);
    return result;
}

int storage_map(struct storage_directory *directory, const char *name, size_t size, void **bytes)
{
    struct storage_file *file = NULL;
    int result = open_mapped(directory, name, size, &file);
    if (result != 0)
        return result;
    *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file->descriptor, 0);
    result = *bytes == MAP_FAILED ? -errno : 0;
    storage_close(file);
    return result;
}

int storage_map_sync(void *bytes, size_t size)
{
    return msync(bytes, size, MS_SYNC) == 0 ? 0 : -errno;
}

void storage_unmap(void *bytes, size_t size)
{
    (void)munmap(bytes, size);
}

int storage_random(void *bytes, size_t length)
{
    uint8_t *at = bytes;
    while (length > 0) {
        ssize_t count = getrandom(at, length, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        at += count;
        length -= (size_t)count;
    }
    return 0;
}

uint64_t storage_boot(void)
{
    /* "8-4-4-4-12" hexadecimal digits: the last group and the first make 64 random bits enough. */
    char text[37] = "";
    int descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    ssize_t count = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (count != (ssize_t)sizeof text - 1)
        return 0;
    uint64_t head = strtoull(text, NULL, 16);
    uint64_t tail = strtoull(text + 24, NULL, 16);
    return head << 32 ^ tail;
}
