/* The answers of the AdminService as plain C structures. Any thread. */
#ifndef ACTIVITY_LIB_RESULT_ADMIN_H
#define ACTIVITY_LIB_RESULT_ADMIN_H

#include <activity.h>
#include <activity_admin.h>
#include <activity_index.h>

#include "activity/v1/admin_service.pb-c.h"
#include "proto/arena.h"

/* Fill *to, which then points into the message and the arena. False when the arena is full. */
bool result_admin_server(struct arena *arena, const Activity__V1__GetServerInfoResponse *from,
                         struct activity_server_info *to);
bool result_admin_reloaded(struct arena *arena, const Activity__V1__ReloadResponse *from,
                           struct activity_reloaded *to);
bool result_admin_users(struct arena *arena, const Activity__V1__ListPresentUsersResponse *from,
                        struct activity_users *to);
bool result_admin_index(struct arena *arena, const Activity__V1__GetIndexStatusResponse *from,
                        struct activity_index_status *to);
bool result_admin_batches(struct arena *arena, const Activity__V1__ListIndexBatchesResponse *from,
                          struct activity_index_batches *to);
bool result_admin_parked(struct arena *arena, const Activity__V1__ListParkedDocumentsResponse *from,
                         struct activity_parked_documents *to);

#endif
