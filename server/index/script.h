/* The script that an index runs to apply fragments to a document. */
#ifndef ACTIVITYD_SERVER_INDEX_SCRIPT_H
#define ACTIVITYD_SERVER_INDEX_SCRIPT_H

/* Its name in the index, with a number that goes up with every change of the text: two servers of
 * different age may write to one index, each with its own. Store it as /_scripts/NAME/update: with
 * a context a text that does not compile is refused at once, without one by every use. */
#define INDEX_SCRIPT_NAME "activityd-fragments-1"

/* Fields that it keeps in every document: the sequence of the last fragment that it applied, and
 * true when the document is deleted (and has no other fields then, but remembers the sequence). */
#define INDEX_FIELD_SEQUENCE "_seq"
#define INDEX_FIELD_DELETED  "_deleted"

/* Painless. One parameter, `list`: objects {seq, patch} or {seq, deleted: true}, oldest first,
 * seq at most 2^63 - 1. Those at or below the document's own sequence are skipped, the patches of
 * the others applied one after another as RFC 7396 says, so that a list may be sent again. Nothing
 * is written when all are skipped. It is right only while no two writes of one document overtake
 * each other. Runs as a scripted upsert of {}. */
extern const char index_script_source[];

#endif
