/* All that the journal asks of an operating system: the link-time seam. storage_posix.c is the real
 * one; a test or a simulator links another file that defines the same names.
 *
 * Functions return 0 or a negative errno. Names are those of files in the directory, never paths.
 * One file may be read by one thread while another writes other bytes of it; all else about one
 * object is for one thread at a time. */
#ifndef ACTIVITYD_SERVER_JOURNAL_STORAGE_H
#define ACTIVITYD_SERVER_JOURNAL_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORAGE_NAME_MAX 63

struct storage_directory;
struct storage_file;

/* Opens a directory; `make` makes it when it is absent (durably; its parent must exist). */
__attribute__((warn_unused_result)) int
storage_directory_open(const char *path, bool make, struct storage_directory **directory);
void storage_directory_close(struct storage_directory *directory); /* also unlocks; accepts NULL */

/* Takes the directory for this process until it is closed or the process dies; -EWOULDBLOCK when
 * another has it. */
__attribute__((warn_unused_result)) int storage_lock(struct storage_directory *directory);

/* Calls `visit` with the name of each regular file, in any order; names longer than
 * STORAGE_NAME_MAX are left out. */
__attribute__((warn_unused_result)) int storage_list(struct storage_directory *directory,
                                                     void (*visit)(void *context, const char *name),
                                                     void *context);

/* Makes renames, creations and removals durable. */
__attribute__((warn_unused_result)) int storage_directory_sync(struct storage_directory *directory);
__attribute__((warn_unused_result)) int storage_rename(struct storage_directory *directory,
                                                       const char *from, const char *to);
/* Removing what is not there is no error. */
__attribute__((warn_unused_result)) int storage_remove(struct storage_directory *directory,
                                                       const char *name);

/* Makes or replaces a file of `size` zeros, with its blocks allocated and that synced, and opens it
 * for reading and writing. Size 0 makes an empty file, which grows. A failure leaves no file, and
 * *file NULL. */
__attribute__((warn_unused_result)) int storage_create(struct storage_directory *directory,
                                                       const char *name, uint64_t size,
                                                       struct storage_file **file);
/* Opens for reading; -ENOENT when it is absent. */
__attribute__((warn_unused_result)) int storage_open(struct storage_directory *directory,
                                                     const char *name, struct storage_file **file);
void storage_close(struct storage_file *file); /* accepts NULL */

__attribute__((warn_unused_result)) int storage_size(struct storage_file *file, uint64_t *size);

/* Both do all or fail; a read past the end is -ENODATA. */
__attribute__((warn_unused_result)) int storage_read(struct storage_file *file, uint64_t offset,
                                                     void *bytes, size_t length);
__attribute__((warn_unused_result)) int storage_write(struct storage_file *file, uint64_t offset,
                                                      const void *bytes, size_t length);

/* Makes what was written durable. After an error nothing is known about any write since the last
 * success, and asking again would be answered with a lie: the caller must stop. */
__attribute__((warn_unused_result)) int storage_sync(struct storage_file *file);

/* Starts writing out a range and waits for the one before it, so that a large file never piles up
 * dirty pages in front of somebody else's sync. Only a hint. */
void storage_write_out(struct storage_file *file, uint64_t offset, uint64_t length);

/* Forgets cached pages of a synced file, so that the next read comes from the disk. Only a hint. */
void storage_forget(struct storage_file *file);

/* A small file in memory: what is stored there survives a crash of the process without a system
 * call, and a power cut after storage_map_sync. Made of zeros when it is absent or of another size.
 */
__attribute__((warn_unused_result)) int storage_map(struct storage_directory *directory,
                                                    const char *name, size_t size, void **bytes);
__attribute__((warn_unused_result)) int storage_map_sync(void *bytes, size_t size);
void storage_unmap(void *bytes, size_t size);

/* Not of the disk, but also of the machine: random bytes, and a number that changes with every boot
 * (0: not known). */
__attribute__((warn_unused_result)) int storage_random(void *bytes, size_t length);
uint64_t storage_boot(void);

#endif
