/* NNG as a whole: its threads, its TLS engine and its diagnostics. */
#ifndef ACTIVITYD_SERVER_NET_LIBRARY_H
#define ACTIVITYD_SERVER_NET_LIBRARY_H

/* To be called once before anything else of NNG. */
void library_init(void);
/* The last one: ends NNG's threads. */
void library_fini(void);

#endif
