/* Requests of administrators: lists without filters, and decisions about parked documents. */
#include "proto/limits.h"
#include "server/wire/decoding.h"
#include "server/wire/token.h"

/* Field numbers of activity/v1/admin_service.proto, the same in every list's request and in both
 * decisions'. */
enum { PAGE_SIZE = 1, PAGE_TOKEN = 2 };
enum { PARK_ID = 1 };

int decode_get_server_info(struct decoding *decoding)
{
    decoding->scratch->query.suite = decoding->scratch->suite;
    return decode_empty(decoding);
}

static int decode_page(struct decoding *decoding, uint64_t hash, uint32_t most)
{
    struct query_page *page = &decoding->scratch->query.page;
    struct message message = message_of(decoding->payload);
    struct view token = {NULL, 0};
    uint32_t page_size = 0;
    struct field field;
    while (message_next(&message, &field)) {
        switch (field.number) {
        case PAGE_SIZE:
            page_size = message_uint32(&message, &field);
            break;
        case PAGE_TOKEN:
            token = message_bytes(&message, &field);
            break;
        default:
            break;
        }
    }
    if (message.malformed) {
        return decoding_malformed(decoding);
    }
    struct query_place from;
    if (rule_page_size(decoding->error, page_size, most, &page->page_size) != 0 ||
        rule_page_token(decoding->error, token, hash, &from) != 0) {
        return 1;
    }
    page->position = from.position;
    return 0;
}

int decode_list_present_users(struct decoding *decoding)
{
    return decode_page(decoding, TOKEN_USERS_HASH, LIMIT_PAGE_SIZE);
}

int decode_list_index_batches(struct decoding *decoding)
{
    return decode_page(decoding, TOKEN_BATCHES_HASH, LIMIT_INDEX_BATCHES);
}

int decode_list_parked_documents(struct decoding *decoding)
{
    return decode_page(decoding, TOKEN_PARKED_HASH, LIMIT_PAGE_SIZE);
}

static int decode_decision(struct decoding *decoding, enum parked_action action)
{
    decoding->scratch->command.kind = COMMAND_PARKED;
    struct command_parked *parked = &decoding->scratch->command.parked;
    *parked = (struct command_parked){.caller = *decoding->caller, .action = (uint8_t)action};
    struct message message = message_of(decoding->payload);
    struct field field;
    while (message_next(&message, &field)) {
        if (field.number == PARK_ID) {
            parked->park_id = message_number(&message, &field);
        }
    }
    return message.malformed ? decoding_malformed(decoding)
                             : rule_park_id(decoding->error, parked->park_id);
}

int decode_retry_parked(struct decoding *decoding)
{
    return decode_decision(decoding, PARKED_RETRY);
}

int decode_discard_parked(struct decoding *decoding)
{
    return decode_decision(decoding, PARKED_DISCARD);
}
