/* Journals in text form: one command a line, written and read by the same file. For golden.txt, and
 * for showing the step in which a random run went wrong.
 *
 *     entry elapsed=50 clock=1000 resume jump    clock: ms after SCRIPT_CLOCK_MS, may be negative
 *     epoch value=0x1 key=0x00.. generation=7 raise=0 ticket=9
 *     limits activities_max=20 ...               the others are the standard ones
 *     upgrade version=1
 *     tick index=3 digest=0x12 beat=acme/anna    "digest=now": that of the last entry applied
 *     create in=acme by=worker for=anna groups=g1,g2 rights=admin request=r1 type=upload
 *            title="Day 12" share=g1 attributes=.. parent=$b retry_of=77 as=$a    (one line)
 *     update in=acme by=worker job=$a percent=40 status="half way"
 *            failure=CODEC message="none" result="bytes"                          (one line)
 *     batch in=acme by=worker $a:40 77:100
 *     destroy in=acme by=worker job=$a
 *     record in=acme by=worker request=r2 job=$a
 *     change mediacontainer/123/mediaContainer share=*,g1 deleted json="{}"
 *
 * A change belongs to the record above it.
 * Words hold any bytes in "..." with \xNN, \" and \\. $name is the job of the create with as=$name.
 * '#' begins a comment; blank lines and lines that begin with a blank and '=' or '*' (what
 * script_print_effect writes) are skipped. */
#ifndef ACTIVITYD_TESTS_SIM_SCRIPT_H
#define ACTIVITYD_TESTS_SIM_SCRIPT_H

#include "tests/sim/rig.h"

#include <stdio.h>

#define SCRIPT_CLOCK_MS UINT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

struct script_name {
    char name[24];
    uint64_t job_id; /* 0 until its create was answered */
};

/* Reads a script entry by entry. */
struct script {
    const char *at;  /* the rest of the text */
    unsigned line;   /* of what was read last, from 1 */
    char error[160]; /* why script_next answered -1 */
    struct script_name names[64];
    uint32_t name_count;
    uint64_t last_index, last_digest; /* for digest=now; script_answered sets them */
    /* The entry read last, valid until the next call. */
    struct entry entry;
    struct command commands[64];
    const char *creates[64]; /* the name that the job of commands[i] gets, or NULL */
    uint8_t *bytes;          /* unescaped words and encoded lists */
    size_t used;
};
void script_open(struct script *script, const char *text);
void script_close(struct script *script);
/* Goes on with another text; names stay. */
void script_more(struct script *script, const char *text);

/* Reads the next entry: 1, 0 at the end, -1 with `error` set. */
int script_next(struct script *script);

/* Takes from the effects of that entry what its creates' jobs are called, and where the core stands
 * for digest=now. */
void script_answered(struct script *script, struct bytes effects, const struct core_info *info);

void script_print_entry(FILE *to, const struct entry *entry);
void script_print_command(FILE *to, const struct command *command);
void script_print_effect(FILE *to, const struct effect *effect);
void script_print_bytes(
    FILE *to, struct bytes bytes); /* quoted where needed, long ones shortened with their length */

const char *script_disposition(uint8_t disposition);
const char *script_state(uint8_t state);

#endif
