#include "proto/tls/refusal.h"

static const char *const texts[TLS_REFUSAL_COUNT] = {[TLS_ACCEPTED] = "",
#define TEXT(name, text) [TLS_REFUSED_##name] = (text),
                                                     TLS_REFUSALS(TEXT)
#undef TEXT
};

const char *tls_refusal_text(enum tls_refusal refusal)
{
    return texts[refusal];
}
