/* A bug aborts, in release builds too: going on with a broken invariant could acknowledge what is
 * not so. */
#ifndef ACTIVITYD_SERVER_CHECK_H
#define ACTIVITYD_SERVER_CHECK_H

/* Prints where and what to stderr and aborts. Defined in server/check.c. Any thread. */
_Noreturn void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#endif
