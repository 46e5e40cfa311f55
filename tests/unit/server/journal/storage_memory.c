/* To be included by the one source file of a test program: it defines the names of
 * server/journal/storage.h. */
#include "tests/unit/server/journal/storage_memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/check.h"
#include "server/journal/storage.h"

enum { SECTOR = 512, NAMES = 64, STATES = 64, INODES = 4096, POOL = 64, POOLED_BYTES = 1 << 20 };

struct inode {
    uint8_t *cache; /* what a reader sees */
    uint8_t *disk;  /* what a power cut leaves for certain */
    uint8_t *dirty; /* per sector: in the cache and not for certain on the disk */
    size_t size;
    size_t disk_size;
    size_t capacity;
};

struct table {
    struct {
        char name[STORAGE_NAME_MAX + 1];
        struct inode *inode;
    } items[NAMES];
    size_t count;
};

struct storage_directory {
    bool locked;
};

struct storage_file {
    struct inode *inode;
    bool writing;
};

static struct {
    pthread_mutex_t lock;
    uint64_t random;
    uint64_t boot;
    uint64_t operations;
    uint64_t cut_at;
    uint64_t fail_sync_in;
    bool fail_sync_of_entry;
    uint64_t limit;
    bool dead;
    bool locked;
    struct table states[STATES]; /* states[0] is durable, the last one is what is seen */
    size_t state_count;
    struct inode *inodes[INODES];
    size_t inode_count;
    struct table saved;
} machine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t random_number(void)
{
    machine.random ^= machine.random << 13;
    machine.random ^= machine.random >> 7;
    machine.random ^= machine.random << 17;
    return machine.random;
}

static struct table *names(void)
{
    return &machine.states[machine.state_count - 1];
}

/* Buffers of files that are gone: fresh memory costs a page fault per page, under a sanitizer more
 * than all else that a test does. */
static struct {
    uint8_t *bytes;
    size_t capacity;
} pool[POOL];
static size_t pool_count;

static uint8_t *buffer_take(size_t capacity)
{
    for (size_t i = pool_count; i-- > 0;) {
        if (pool[i].capacity != capacity)
            continue;
        uint8_t *bytes = pool[i].bytes;
        pool[i] = pool[--pool_count];
        memset(bytes, 0, capacity);
        return bytes;
    }
    uint8_t *bytes = calloc(1, capacity);
    CHECK(bytes != NULL);
    return bytes;
}

static void buffer_give(uint8_t *bytes, size_t capacity)
{
    if (pool_count < POOL && capacity >= POOLED_BYTES) {
        pool[pool_count].bytes = bytes;
        pool[pool_count++].capacity = capacity;
    } else {
        free(bytes);
    }
}

static void inode_free(struct inode *inode)
{
    buffer_give(inode->cache, inode->capacity);
    buffer_give(inode->disk, inode->capacity);
    free(inode->dirty);
    free(inode);
}

static struct inode *inode_new(size_t size)
{
    struct inode *inode = calloc(1, sizeof *inode);
    size_t capacity = (size + SECTOR - 1) / SECTOR * SECTOR;
    CHECK(inode != NULL && machine.inode_count < INODES);
    machine.inodes[machine.inode_count++] = inode;
    inode->capacity = capacity == 0 ? SECTOR : capacity;
    inode->cache = buffer_take(inode->capacity);
    inode->disk = buffer_take(inode->capacity);
    inode->dirty = calloc(1, inode->capacity / SECTOR);
    CHECK(inode->dirty != NULL);
    inode->size = size;
    inode->disk_size = size;
    return inode;
}

static uint8_t *grown(uint8_t *bytes, size_t from, size_t to)
{
    uint8_t *more = realloc(bytes, to);
    CHECK(more != NULL);
    memset(more + from, 0, to - from);
    return more;
}

static void inode_grow(struct inode *inode, size_t size)
{
    if (size > inode->capacity) {
        size_t capacity = (size * 2 + SECTOR - 1) / SECTOR * SECTOR;
        inode->cache = grown(inode->cache, inode->capacity, capacity);
        inode->disk = grown(inode->disk, inode->capacity, capacity);
        inode->dirty = grown(inode->dirty, inode->capacity / SECTOR, capacity / SECTOR);
        inode->capacity = capacity;
    }
    if (size > inode->size)
        inode->size = size;
}

static void free_inodes(void)
{
    for (size_t i = 0; i < machine.inode_count; i++)
        inode_free(machine.inodes[i]);
    machine.inode_count = 0;
}

/* Takes the lock and counts; returns false, unlocked, when the machine is dead. */
static bool begin_operation(void)
{
    pthread_mutex_lock(&machine.lock);
    machine.operations++;
    if (machine.cut_at != 0 && machine.operations >= machine.cut_at)
        machine.dead = true;
    if (!machine.dead)
        return true;
    pthread_mutex_unlock(&machine.lock);
    return false;
}

static int end_operation(int result)
{
    pthread_mutex_unlock(&machine.lock);
    return result;
}

static struct inode *find(const char *name)
{
    for (size_t i = 0; i < names()->count; i++)
        if (strcmp(names()->items[i].name, name) == 0)
            return names()->items[i].inode;
    return NULL;
}

/* Every change of names makes a new state; when there are too many the oldest counts as durable. */
static struct table *new_state(void)
{
    if (machine.state_count == STATES) {
        memmove(machine.states, machine.states + 1,
                sizeof machine.states - sizeof machine.states[0]);
        machine.state_count--;
    }
    machine.states[machine.state_count] = machine.states[machine.state_count - 1];
    machine.state_count++;
    return names();
}

static void put(struct table *table, const char *name, struct inode *inode)
{
    size_t i = 0;
    while (i < table->count && strcmp(table->items[i].name, name) != 0)
        i++;
    if (inode == NULL) {
        if (i < table->count)
            table->items[i] = table->items[--table->count];
        return;
    }
    CHECK(i < NAMES && strlen(name) <= STORAGE_NAME_MAX);
    if (i == table->count)
        table->count++;
    strcpy(table->items[i].name, name);
    table->items[i].inode = inode;
}

static uint64_t used(void)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < names()->count; i++)
        bytes += names()->items[i].inode->size;
    return bytes;
}

/* --- Control ---------------------------------------------------------------------------------- */

void memory_stop(void)
{
    free_inodes();
    machine.state_count = 0;
    machine.saved.count = 0;
}

void memory_start(uint64_t seed)
{
    memory_stop();
    machine.random = seed * 0x9e3779b97f4a7c15ull | 1;
    machine.boot = 1;
    machine.operations = 0;
    machine.cut_at = 0;
    machine.fail_sync_in = UINT64_MAX;
    machine.fail_sync_of_entry = false;
    machine.limit = UINT64_MAX;
    machine.dead = false;
    machine.locked = false;
    machine.states[0].count = 0;
    machine.state_count = 1;
}

void memory_cut_after(uint64_t operations)
{
    pthread_mutex_lock(&machine.lock);
    machine.cut_at = operations == 0 ? 0 : machine.operations + operations;
    pthread_mutex_unlock(&machine.lock);
}

bool memory_is_cut(void)
{
    pthread_mutex_lock(&machine.lock);
    bool dead = machine.dead;
    pthread_mutex_unlock(&machine.lock);
    return dead;
}

uint64_t memory_operations(void)
{
    pthread_mutex_lock(&machine.lock);
    uint64_t operations = machine.operations;
    pthread_mutex_unlock(&machine.lock);
    return operations;
}

void memory_restart(void)
{
    machine.dead = false;
    machine.cut_at = 0;
}

static void settle(struct inode *inode)
{
    size_t size = inode->disk_size;
    if (inode->size > size)
        size += random_number() % (inode->size - size + 1);
    for (size_t sector = 0; sector < inode->capacity / SECTOR; sector++) {
        if (inode->dirty[sector] && random_number() % 2 == 0)
            memcpy(inode->disk + sector * SECTOR, inode->cache + sector * SECTOR, SECTOR);
        inode->dirty[sector] = 0;
    }
    memset(inode->disk + size, 0, inode->capacity - size);
    memcpy(inode->cache, inode->disk, inode->capacity);
    inode->size = size;
    inode->disk_size = size;
}

void memory_reboot(void)
{
    machine.states[0] = machine.states[random_number() % machine.state_count];
    machine.state_count = 1;
    for (size_t i = 0; i < names()->count; i++)
        settle(names()->items[i].inode);
    machine.boot++;
    memory_restart();
}

void memory_fail_sync_after(uint64_t syncs)
{
    pthread_mutex_lock(&machine.lock);
    machine.fail_sync_in = syncs;
    pthread_mutex_unlock(&machine.lock);
}

void memory_fail_sync_of_entry(void)
{
    pthread_mutex_lock(&machine.lock);
    machine.fail_sync_of_entry = true;
    pthread_mutex_unlock(&machine.lock);
}

void memory_limit(uint64_t bytes)
{
    pthread_mutex_lock(&machine.lock);
    machine.limit = bytes;
    pthread_mutex_unlock(&machine.lock);
}

void memory_lock_from_outside(bool locked)
{
    machine.locked = locked;
}

bool memory_file(const char *name, uint8_t **bytes, size_t *size)
{
    pthread_mutex_lock(&machine.lock);
    struct inode *inode = find(name);
    if (inode != NULL) {
        *bytes = inode->cache;
        *size = inode->size;
    }
    pthread_mutex_unlock(&machine.lock);
    return inode != NULL;
}

bool memory_exists(const char *name)
{
    pthread_mutex_lock(&machine.lock);
    bool exists = find(name) != NULL;
    pthread_mutex_unlock(&machine.lock);
    return exists;
}

void memory_truncate(const char *name, size_t size)
{
    struct inode *inode = find(name);
    CHECK(inode != NULL && size <= inode->size);
    memset(inode->cache + size, 0, inode->size - size);
    inode->size = size;
}

void memory_heal(const char *name)
{
    struct inode *inode = find(name);
    CHECK(inode != NULL);
    memcpy(inode->cache, inode->disk, inode->disk_size);
    inode->size = inode->disk_size;
}

const char *memory_last(const char *prefix)
{
    static char last[STORAGE_NAME_MAX + 1];
    last[0] = '\0';
    pthread_mutex_lock(&machine.lock);
    for (size_t i = 0; i < names()->count; i++) {
        const char *name = names()->items[i].name;
        if (strncmp(name, prefix, strlen(prefix)) == 0 && strcmp(name, last) > 0)
            strcpy(last, name);
    }
    pthread_mutex_unlock(&machine.lock);
    return last;
}

unsigned memory_count(const char *prefix)
{
    unsigned count = 0;
    pthread_mutex_lock(&machine.lock);
    for (size_t i = 0; i < names()->count; i++)
        count += strncmp(names()->items[i].name, prefix, strlen(prefix)) == 0;
    pthread_mutex_unlock(&machine.lock);
    return count;
}

/* Space that was only held ready is not worth a copy: the next start removes it. */
static bool is_worth_saving(const char *name)
{
    return strncmp(name, "segment.spare", 13) != 0 && strcmp(name, "reserve") != 0;
}

static struct table copy_of(const struct table *table)
{
    struct table copy = {.count = 0};
    for (size_t i = 0; i < table->count; i++)
        if (is_worth_saving(table->items[i].name))
            put(&copy, table->items[i].name, table->items[i].inode);
    for (size_t i = 0; i < copy.count; i++) {
        const struct inode *from = copy.items[i].inode;
        struct inode *inode = inode_new(from->size);
        memcpy(inode->cache, from->cache, from->size);
        memcpy(inode->disk, from->cache, from->size);
        copy.items[i].inode = inode;
    }
    return copy;
}

static bool is_reachable(const struct inode *inode)
{
    for (size_t i = 0; i < machine.saved.count; i++)
        if (machine.saved.items[i].inode == inode)
            return true;
    return false;
}

void memory_save(void)
{
    machine.saved = copy_of(names());
}

void memory_restore(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < machine.inode_count; i++) {
        struct inode *inode = machine.inodes[i];
        if (is_reachable(inode)) {
            machine.inodes[kept++] = inode;
            continue;
        }
        inode_free(inode);
    }
    machine.inode_count = kept;
    machine.states[0] = copy_of(&machine.saved);
    machine.state_count = 1;
}

/* --- storage.h -------------------------------------------------------------------------------- */

int storage_directory_open(const char *path, bool make, struct storage_directory **directory)
{
    (void)path;
    (void)make;
    if (!begin_operation())
        return -EIO;
    *directory = calloc(1, sizeof **directory);
    CHECK(*directory != NULL);
    return end_operation(0);
}

void storage_directory_close(struct storage_directory *directory)
{
    if (directory == NULL)
        return;
    pthread_mutex_lock(&machine.lock);
    if (directory->locked)
        machine.locked = false;
    pthread_mutex_unlock(&machine.lock);
    free(directory);
}

int storage_lock(struct storage_directory *directory)
{
    if (!begin_operation())
        return -EIO;
    if (machine.locked)
        return end_operation(-EWOULDBLOCK);
    machine.locked = true;
    directory->locked = true;
    return end_operation(0);
}

int storage_list(struct storage_directory *directory,
                 void (*visit)(void *context, const char *name), void *context)
{
    (void)directory;
    if (!begin_operation())
        return -EIO;
    for (size_t i = 0; i < names()->count; i++)
        visit(context, names()->items[i].name);
    return end_operation(0);
}

int storage_directory_sync(struct storage_directory *directory)
{
    (void)directory;
    if (!begin_operation())
        return -EIO;
    machine.states[0] = *names();
    machine.state_count = 1;
    return end_operation(0);
}

int storage_rename(struct storage_directory *directory, const char *from, const char *to)
{
    (void)directory;
    if (!begin_operation())
        return -EIO;
    struct inode *inode = find(from);
    if (inode == NULL)
        return end_operation(-ENOENT);
    struct table *table = new_state();
    put(table, from, NULL);
    put(table, to, inode);
    return end_operation(0);
}

int storage_remove(struct storage_directory *directory, const char *name)
{
    (void)directory;
    if (!begin_operation())
        return -EIO;
    put(new_state(), name, NULL);
    return end_operation(0);
}

static struct storage_file *file_new(struct inode *inode, bool writing)
{
    struct storage_file *file = malloc(sizeof *file);
    CHECK(file != NULL);
    *file = (struct storage_file){.inode = inode, .writing = writing};
    return file;
}

int storage_create(struct storage_directory *directory, const char *name, uint64_t size,
                   struct storage_file **file)
{
    (void)directory;
    *file = NULL;
    if (!begin_operation())
        return -EIO;
    put(new_state(), name, NULL);
    if (used() + size > machine.limit)
        return end_operation(-ENOSPC);
    struct inode *inode = inode_new((size_t)size);
    put(new_state(), name, inode);
    *file = file_new(inode, true);
    return end_operation(0);
}

int storage_open(struct storage_directory *directory, const char *name, struct storage_file **file)
{
    (void)directory;
    if (!begin_operation())
        return -EIO;
    struct inode *inode = find(name);
    if (inode == NULL)
        return end_operation(-ENOENT);
    *file = file_new(inode, false);
    return end_operation(0);
}

void storage_close(struct storage_file *file)
{
    free(file);
}

int storage_size(struct storage_file *file, uint64_t *size)
{
    if (!begin_operation())
        return -EIO;
    *size = file->inode->size;
    return end_operation(0);
}

int storage_read(struct storage_file *file, uint64_t offset, void *bytes, size_t length)
{
    if (!begin_operation())
        return -EIO;
    if (offset + length > file->inode->size)
        return end_operation(-ENODATA);
    memcpy(bytes, file->inode->cache + offset, length);
    return end_operation(0);
}

int storage_write(struct storage_file *file, uint64_t offset, const void *bytes, size_t length)
{
    struct inode *inode = file->inode;
    CHECK(file->writing);
    if (!begin_operation())
        return -EIO;
    size_t end = (size_t)offset + length;
    if (end > inode->size && used() + (end - inode->size) > machine.limit)
        return end_operation(-ENOSPC);
    inode_grow(inode, end);
    memcpy(inode->cache + offset, bytes, length);
    for (size_t sector = (size_t)offset / SECTOR; sector * SECTOR < end; sector++)
        inode->dirty[sector] = 1;
    return end_operation(0);
}

static bool is_held_ready(const struct inode *inode)
{
    for (size_t i = 0; i < names()->count; i++)
        if (names()->items[i].inode == inode)
            return !is_worth_saving(names()->items[i].name);
    return false;
}

static void write_back(struct inode *inode, bool all)
{
    for (size_t sector = 0; sector < inode->capacity / SECTOR; sector++) {
        if (inode->dirty[sector] && (all || random_number() % 2 == 0))
            memcpy(inode->disk + sector * SECTOR, inode->cache + sector * SECTOR, SECTOR);
        inode->dirty[sector] = 0;
    }
    inode->disk_size = inode->size;
}

int storage_sync(struct storage_file *file)
{
    if (!begin_operation())
        return -EIO;
    bool fails = machine.fail_sync_in == 0;
    if (machine.fail_sync_in != UINT64_MAX)
        machine.fail_sync_in--;
    if (machine.fail_sync_of_entry && !is_held_ready(file->inode)) {
        machine.fail_sync_of_entry = false;
        fails = true;
    }
    write_back(file->inode, !fails);
    return end_operation(fails ? -EIO : 0);
}

void storage_write_out(struct storage_file *file, uint64_t offset, uint64_t length)
{
    (void)file;
    (void)offset;
    (void)length;
}

void storage_forget(struct storage_file *file)
{
    (void)file;
}

int storage_map(struct storage_directory *directory, const char *name, size_t size, void **bytes)
{
    struct storage_file *file = NULL;
    if (!memory_exists(name)) {
        int result = storage_create(directory, name, size, &file);
        if (result != 0)
            return result;
        storage_close(file);
    }
    if (!begin_operation())
        return -EIO;
    struct inode *inode = find(name);
    CHECK(inode != NULL);
    *bytes = inode->cache;
    return end_operation(0);
}

int storage_map_sync(void *bytes, size_t size)
{
    if (!begin_operation())
        return -EIO;
    for (size_t i = 0; i < machine.inode_count; i++)
        if (machine.inodes[i]->cache == bytes)
            memcpy(machine.inodes[i]->disk, bytes, size);
    return end_operation(0);
}

void storage_unmap(void *bytes, size_t size)
{
    (void)bytes;
    (void)size;
}

int storage_random(void *bytes, size_t length)
{
    uint8_t *at = bytes;
    if (!begin_operation())
        return -EIO;
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(random_number() >> 32);
    return end_operation(0);
}

uint64_t storage_boot(void)
{
    return machine.boot;
}
