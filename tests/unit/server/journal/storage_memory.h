/* A machine in memory that takes the place of storage_posix.c in a test program, which includes
 * storage_memory.c.
 *
 * It keeps what a careful program must expect of a real one: a write reaches the disk by a sync, or
 * earlier, or in part, each 512-byte sector by itself; names reach it by a directory sync, or
 * earlier, in order; a failed sync leaves pages that look written and are not. One directory; its
 * path is not looked at. Everything is repeatable from a seed, but for the order in which threads
 * call. */
#ifndef ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_STORAGE_MEMORY_H
#define ACTIVITYD_TESTS_UNIT_SERVER_JOURNAL_STORAGE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void memory_start(uint64_t seed); /* a machine with an empty disk; frees the one before */
void memory_stop(void);

/* From the given number of operations on the machine is dead: every call fails and changes nothing.
 * 0 = never. */
void memory_cut_after(uint64_t operations);
bool memory_is_cut(void);
uint64_t memory_operations(void); /* since memory_start */

/* Power returns: what was not synced is there, gone, or there in part. */
void memory_reboot(void);
/* Only the process had died: everything is as it was. */
void memory_restart(void);

void memory_fail_sync_after(
    uint64_t syncs);               /* the next but so many fails, once; UINT64_MAX = never */
void memory_fail_sync_of_entry(void); /* the next one of a file that is more than held ready */
void memory_limit(uint64_t bytes); /* size of the disk */
void memory_lock_from_outside(bool locked);

/* Damage, and a look at it. The pointers are to what both a reader and the disk see; false: no such
 * file. */
bool memory_file(const char *name, uint8_t **bytes, size_t *size);
bool memory_exists(const char *name);
void memory_truncate(const char *name, size_t size);
/* Undoes damage to a file: what was synced is what is seen. */
void memory_heal(const char *name);
/* Name of the last file in alphabetical order with this prefix; "" = none. Valid until the next
 * call. */
const char *memory_last(const char *prefix);
unsigned memory_count(const char *prefix);
/* A copy of the disk, but for spares and reserve, and back to it. One copy. */
void memory_save(void);
void memory_restore(void);

#endif
