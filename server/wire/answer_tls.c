#include "server/wire/answer_tls.h"

#include "server/check.h"
#include "server/wire/encode.h"

/* Field numbers of GetServerInfoResponse and ReloadResponse. */
enum {
    INFO_CERTIFICATES = 9,
    INFO_TLS = 18,
    INFO_REVOCATIONS = 19,
    INFO_RULES = 20,
    INFO_LOADED_TIME_MS = 21
};
enum {
    RELOAD_CERTIFICATES = 1,
    RELOAD_REVOCATIONS = 2,
    RELOAD_RULES = 3,
    RELOAD_CLOSED_REVOKED = 4,
    RELOAD_CLOSED_BY_POLICY = 5
};

/* Names of the certificates' owners, cut to what they may sensibly say. */
#define NAME_MAX_BYTES 256

static struct bytes sayable(const char *text)
{
    struct view view = reply_sayable(text, NAME_MAX_BYTES);
    return bytes_of(view.bytes, view.length);
}

/* CertificateInfo {name = 1, subject = 2, not_after_ms = 3} */
static uint8_t *put_certificate(uint32_t number, const char *name,
                                const struct answer_certificate *certificate, uint8_t *to)
{
    uint8_t one[NAME_MAX_BYTES + 64];
    uint8_t *end = encode_bytes(one, 1, sayable(name));
    end = encode_bytes(end, 2, sayable(certificate->subject));
    end = encode_number(end, 3, certificate->not_after_ms);
    return encode_member(to, number, encoded_since(one, end));
}

/* RevocationInfo {lists = 1, entries = 2, issuer = 3, next_update_ms = 4, expired = 5} */
static uint8_t *put_revocations(uint32_t number, const struct answer_revocations *revocations,
                                uint8_t *to)
{
    if (revocations->lists == 0) {
        return to;
    }
    uint8_t one[NAME_MAX_BYTES + 64];
    uint8_t *end = encode_number(one, 1, revocations->lists);
    end = encode_number(end, 2, revocations->entries);
    end = encode_bytes(end, 3, sayable(revocations->issuer));
    end = encode_number(end, 4, revocations->next_update_ms);
    end = encode_number(end, 5, revocations->expired);
    return encode_member(to, number, encoded_since(one, end));
}

/* TlsSuiteInfo {version = 1, cipher_suite = 2, handshakes = 3} */
static uint8_t *put_suite(const struct answer_suite *suite, uint8_t *to)
{
    uint8_t one[128];
    uint8_t *end = encode_bytes(one, 1, sayable(suite->version));
    end = encode_bytes(end, 2, sayable(suite->name));
    end = encode_number(end, 3, suite->handshakes);
    CHECK(end - one <= (long)sizeof one);
    return suite->handshakes == 0 ? to : encode_member(to, 6, encoded_since(one, end));
}

/* TlsRefusalInfo {reason = 1, count = 2} */
static uint8_t *put_refused(const struct answer_refused *refused, uint8_t *to)
{
    uint8_t one[NAME_MAX_BYTES + 32];
    uint8_t *end = encode_bytes(one, 1, sayable(refused->reason));
    end = encode_number(end, 2, refused->count);
    return refused->count == 0 ? to : encode_member(to, 7, encoded_since(one, end));
}

/* TlsInfo {engine = 1, version = 2, cipher_suite = 3, connections = 4, unfinished = 5, suites = 6,
 * refusals = 7} */
uint8_t *answer_put_tls(const struct answer_tls *tls, unsigned suite, uint8_t *to)
{
    uint8_t all[ANSWER_TLS_MAX - 16];
    uint8_t *end = encode_bytes(all, 1, sayable(tls->engine));
    CHECK(tls->suite_count <= ANSWER_SUITES_MAX && tls->refused_count <= ANSWER_REFUSED_MAX);
    if (suite < tls->suite_count) {
        end = encode_bytes(end, 2, sayable(tls->suites[suite].version));
        end = encode_bytes(end, 3, sayable(tls->suites[suite].name));
    }
    end = encode_number(end, 4, tls->connections);
    end = encode_number(end, 5, tls->unfinished);
    for (size_t i = 0; i < tls->suite_count; i++) {
        end = put_suite(&tls->suites[i], end);
    }
    for (size_t i = 0; i < tls->refused_count; i++) {
        end = put_refused(&tls->refused[i], end);
    }
    return encode_member(to, INFO_TLS, encoded_since(all, end));
}
_Static_assert(ANSWER_REFUSED_MAX *(NAME_MAX_BYTES + 32) + ANSWER_SUITES_MAX * 132 + 1024 <=
                   ANSWER_TLS_MAX - 16,
               "the longest answer has room");

uint8_t *answer_put_files(const struct answer_files *files, uint8_t *to)
{
    to = put_certificate(INFO_CERTIFICATES, "server", &files->server, to);
    to = put_certificate(INFO_CERTIFICATES, "ca", &files->ca, to);
    to = put_revocations(INFO_REVOCATIONS, &files->revocations, to);
    to = encode_number(to, INFO_RULES, files->rules);
    return encode_number(to, INFO_LOADED_TIME_MS, files->loaded_ms);
}

size_t answer_reload(uint64_t epoch, const struct answer_reload *reload, uint8_t *to)
{
    uint8_t response[ANSWER_RELOAD_MAX - REPLY_HEAD_MAX];
    const struct answer_files *files = &reload->files;
    uint8_t *end = put_certificate(RELOAD_CERTIFICATES, "server", &files->server, response);
    end = put_certificate(RELOAD_CERTIFICATES, "ca", &files->ca, end);
    end = put_revocations(RELOAD_REVOCATIONS, &files->revocations, end);
    end = encode_number(end, RELOAD_RULES, files->rules);
    end = encode_number(end, RELOAD_CLOSED_REVOKED, reload->closed_revoked);
    end = encode_number(end, RELOAD_CLOSED_BY_POLICY, reload->closed_by_policy);
    return reply_ok(epoch, encoded_since(response, end), to, ANSWER_RELOAD_MAX);
}
