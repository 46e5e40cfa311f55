/* All pages of a find, one after the other. */
#include <stdlib.h>

#include "client/lib/error.h"
#include "client/lib/method.h"

struct activity_finder {
    activity_client *client;
    struct envelope envelope;
    struct draft draft;      /* its payload is the request for the first page */
    activity_result *result; /* the present page's; NULL before the first */
};

activity_finder *activity_finder_new(activity_client *client,
                                     const struct activity_find_request *request,
                                     const struct activity_call_options *options,
                                     struct activity_error *error)
{
    activity_finder *finder = calloc(1, sizeof *finder);
    if (finder == NULL) {
        error_no_memory(error);
        return NULL;
    }
    finder->client = client;
    if (draft_find(&finder->draft, request, error) != ACTIVITY_OK ||
        envelope_init(&finder->envelope, client, options, error) != ACTIVITY_OK) {
        activity_finder_free(finder);
        return NULL;
    }
    return finder;
}

void activity_finder_free(activity_finder *finder)
{
    if (finder != NULL) {
        activity_result_free(finder->result);
        payload_deinit(&finder->draft.payload);
        envelope_deinit(&finder->envelope);
        free(finder);
    }
}

/* Makes the draft ask for the page after the present one; false when there is none. protobuf's rule
 * that the last occurrence of a field counts spares encoding the filters again. */
static bool turn(struct activity_finder *finder, size_t *length_before)
{
    struct payload *payload = &finder->draft.payload;
    *length_before = payload->length;
    if (finder->result == NULL) {
        return true;
    }
    struct activity_bytes token = activity_result_page(finder->result)->next_page_token;
    if (token.size == 0) {
        return false;
    }
    request_find_token(payload, token, NULL);
    return true;
}

int activity_finder_next(activity_finder *finder, const struct activity_page **page,
                         struct activity_error *error)
{
    struct activity_error ignored;
    error = error == NULL ? &ignored : error;
    *page = NULL;
    size_t length;
    if (!turn(finder, &length)) {
        return error_clear(error);
    }
    struct payload *payload = &finder->draft.payload;
    struct call *call =
        payload->failed ? NULL : draft_call(&finder->draft, &finder->envelope, error);
    payload->length = length;
    if (call == NULL) {
        return payload->failed ? error_no_memory(error) : (int)error->code;
    }
    activity_result *result;
    int code = call_run_take(finder->client, call, &result, error);
    if (code == ACTIVITY_OK) {
        activity_result_free(finder->result);
        finder->result = result;
        *page = activity_result_page(result);
    }
    return code;
}
