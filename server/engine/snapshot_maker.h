/* Makes snapshots beside the running engine: a second core, in memory of its own, loads the last
 * snapshot, applies the journal up to an entry that the live core has applied, must come to the
 * same digest, and writes the next one. Its memory is then returned. On the same way it answers
 * GetStateHash, so that hashing never holds up the engine. */
#ifndef ACTIVITYD_SERVER_ENGINE_SNAPSHOT_MAKER_H
#define ACTIVITYD_SERVER_ENGINE_SNAPSHOT_MAKER_H

#include "server/engine/outbox.h"
#include "server/engine/restore.h"
#include "server/engine/wake.h"

/* Callers who may wait for a hash: one run answers them all. */
#define SNAPSHOT_MAKER_HASHES_MAX 1024

/* An entry that the live core has applied, and its digest. */
struct snapshot_point {
    uint64_t index;
    uint64_t digest;
};

struct snapshot_maker {
    struct journal *journal;
    struct outbox *outbox;
    const struct engine_outlets *outlets;
    uint64_t epoch;
    struct core_limits capacity;

    struct wake wake;
    pthread_mutex_t lock; /* guards the next five */
    bool wanted;          /* a snapshot, at: */
    bool busy;
    struct snapshot_point point; /* of the newest request */
    uint32_t token_count;
    uint64_t tokens[SNAPSHOT_MAKER_HASHES_MAX]; /* who waits for a hash */

    _Atomic bool stopping;
    _Atomic uint64_t snapshots; /* written */
    bool threaded;
    pthread_t thread;
};

/* All pointers are borrowed. */
void snapshot_maker_init(struct snapshot_maker *maker, struct journal *journal,
                         struct outbox *outbox, uint64_t epoch, const struct core_limits *capacity);
void snapshot_maker_deinit(struct snapshot_maker *maker);

__attribute__((warn_unused_result)) int snapshot_maker_start(struct snapshot_maker *maker);
/* Breaks off what is being made and ends the thread; who waits for a hash is refused. */
void snapshot_maker_stop(struct snapshot_maker *maker);

/* Asks for a snapshot. False: one is being made. Engine thread. */
bool snapshot_maker_request(struct snapshot_maker *maker, struct snapshot_point point);
/* Asks for the hash of the state at the point, or a later one. False: too many wait. Engine thread.
 */
bool snapshot_maker_hash(struct snapshot_maker *maker, struct snapshot_point point, uint64_t token);

/* Does what is wanted, if anything. The maker's thread, or without one the engine's. */
bool snapshot_maker_run(struct snapshot_maker *maker);

#endif
