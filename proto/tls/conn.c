/* A TLS connection as NNG drives it. All of its functions run under NNG's lock of the connection,
 * but for init and fini, which run when nobody else has it.
 *
 * Sending. NNG hands over a message in pieces (length, header, body). They are gathered into one
 * record, written when the message ends or the record is full. Records go into NNG's ring of 16 KiB
 * of ciphertext, and what has no place there waits in a buffer of our own, so that mbedTLS never
 * sees a record refused: told to wait, it would keep it, and encrypt it a second time if a read or
 * an alert flushed it in between.
 *
 * A piece is reported as sent once all of it has been taken, and, unless more must come of the same
 * record, is in the ring. Until then NNG is told to wait, and comes with the same piece when
 * something of the ring has been sent, or something has come in; in no other case, so there must be
 * something in the ring. (Told of a part, NNG would send the rest as an operation of its own, and
 * forget that, with the message, if the connection were closed just then.)
 *
 * Of a long message, ciphertext waits until there is as much as the ring holds, so that most of
 * NNG's sends carry 16 KiB, and the next record is encrypted while they go. A ring that was filled
 * in two goes, behind the end of another message, leaves in two sends, and would do so ever after;
 * therefore NNG comes once in vain before it is filled again. */
#include "proto/tls/conn.h"

#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <nng/nng.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tls/frame.h"
#include "proto/tls/leaf.h"
#include "proto/tls/member.h"
#include "proto/tls/san.h"
#include "proto/tls/verify.h"

/* NNG_TLS_MAX_SEND_SIZE. */
#define RING_SIZE 16384
/* With its overhead of at most 37 bytes (TLS 1.3, padding) it fits an empty ring. */
#define RECORD_MAX 16320
/* Our own records need less. What passes it are answers to a peer that asks for a renegotiation all
 * the time, each a few bytes for as few of its own. */
#define WAITING_MAX (2 * RING_SIZE + 1024)
/* Most messages are small: they are gathered in place. */
#define SMALL_MAX 512

enum phase { PHASE_NEW = 0, PHASE_HANDSHAKE, PHASE_UP, PHASE_FAILED, PHASE_CLOSED };

struct nng_tls_engine_conn {
    void *lower; /* NNG's name for what is below us, and at the same time the TLS stream */
    struct tls_domain *domain;
    struct tls_member member;
    struct tls_credentials *credentials;
    mbedtls_ssl_context ssl;
    struct tls_verify verify;
    enum phase phase;
    int failure; /* in PHASE_FAILED: NNG's error, told as often as NNG asks */
    unsigned suite;

    struct tls_frame frame;
    size_t record_max;
    uint8_t *gathered; /* `small`, or a record's size from the heap */
    size_t gathered_length;
    size_t taken;     /* of the piece that NNG comes with */
    uint8_t *waiting; /* ciphertext for NNG's ring */
    size_t waiting_at;
    size_t waiting_end;
    bool in_two; /* the ring leaves in two sends: NNG comes twice */
    uint8_t small[SMALL_MAX];
};

/* ---- Ciphertext ---- */

static size_t waiting(const struct nng_tls_engine_conn *conn)
{
    return conn->waiting_end - conn->waiting_at;
}

/* Returns whether everything is in NNG's ring. */
static bool flush(struct nng_tls_engine_conn *conn)
{
    while (waiting(conn) > 0) {
        size_t length = waiting(conn);
        if (nng_tls_engine_send(conn->lower, conn->waiting + conn->waiting_at, &length) != 0) {
            return false;
        }
        conn->waiting_at += length;
        conn->in_two = length < RING_SIZE;
    }
    free(conn->waiting);
    conn->waiting = NULL;
    conn->waiting_at = 0;
    conn->waiting_end = 0;
    conn->in_two = false;
    return true;
}

static int keep(struct nng_tls_engine_conn *conn, const uint8_t *bytes, size_t length)
{
    size_t before = waiting(conn);
    if (before + length > WAITING_MAX) {
        return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
    }
    if (conn->waiting_at > 0) {
        memmove(conn->waiting, conn->waiting + conn->waiting_at, before);
        conn->waiting_at = 0;
        conn->waiting_end = before;
    }
    uint8_t *grown = realloc(conn->waiting, before + length);
    if (grown == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    memcpy(grown + before, bytes, length);
    conn->waiting = grown;
    conn->waiting_end = before + length;
    return 0;
}

static int put_ciphertext(void *context, const unsigned char *bytes, size_t length)
{
    struct nng_tls_engine_conn *conn = context;
    size_t taken = 0;
    if (waiting(conn) == 0 && length < RECORD_MAX) {
        taken = length;
        int code = nng_tls_engine_send(conn->lower, bytes, &taken);
        if (code == NNG_EAGAIN) {
            taken = 0;
        } else if (code != 0) {
            return MBEDTLS_ERR_SSL_CONN_EOF;
        }
    }
    int code = taken < length ? keep(conn, bytes + taken, length - taken) : 0;
    return code != 0 ? code : (int)length;
}

static int get_ciphertext(void *context, unsigned char *to, size_t size)
{
    const struct nng_tls_engine_conn *conn = context;
    int code = nng_tls_engine_recv(conn->lower, to, &size);
    if (code == NNG_EAGAIN) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    return code != 0 ? MBEDTLS_ERR_SSL_CONN_EOF : (int)size;
}

/* ---- Birth and handshake ---- */

static int set_up(struct nng_tls_engine_conn *conn, const char *server_name)
{
    enum tls_role role = tls_credentials_role(conn->credentials);
    conn->verify.role = role;
    conn->verify.auth = tls_credentials_required(conn->credentials);
    conn->verify.credentials = conn->credentials;
    conn->verify.spiffe = conn->domain != NULL;
    conn->verify.server_name = server_name;
    if (conn->domain != NULL) {
        conn->verify.trust_domain = view_of(tls_domain_trust(conn->domain));
    }
    if (mbedtls_ssl_setup(&conn->ssl, tls_credentials_config(conn->credentials)) != 0) {
        return NNG_ENOMEM;
    }
    mbedtls_ssl_set_bio(&conn->ssl, conn, put_ciphertext, get_ciphertext, NULL);
    mbedtls_ssl_set_verify(&conn->ssl, tls_verify_step, &conn->verify);
    if (role == TLS_CLIENT) {
        /* For SNI, which is not for addresses. We judge the name ourselves. */
        bool told = server_name[0] != '\0' && !tls_name_is_address(server_name);
        if (mbedtls_ssl_set_hostname(&conn->ssl, told ? server_name : NULL) != 0) {
            return NNG_ENOMEM;
        }
    }
    conn->phase = PHASE_HANDSHAKE;
    return 0;
}

static int conn_init(nng_tls_engine_conn *conn, void *lower, nng_tls_engine_config *config)
{
    conn->lower = lower;
    conn->gathered = conn->small;
    conn->record_max = RECORD_MAX;
    mbedtls_ssl_init(&conn->ssl);
    struct tls_domain *domain = tls_config_domain(config);
    if (domain == NULL) {
        conn->credentials = tls_config_credentials(config);
        return conn->credentials == NULL ? NNG_ENOMEM
                                         : set_up(conn, tls_config_server_name(config));
    }
    /* The one error after which NNG accepts the next one at once. */
    if (tls_domain_enter(domain, &conn->member, lower, &conn->credentials) != TLS_ACCEPTED) {
        return NNG_ECONNRESET;
    }
    conn->domain = domain;
    int code = set_up(conn, "");
    if (code != 0) {
        tls_domain_refuse(domain, &conn->member, TLS_REFUSED_NO_MEMORY, "");
        return code;
    }
    tls_domain_join(domain, &conn->member);
    return 0;
}

/* Also after an init that failed, or that never was. */
static void conn_fini(nng_tls_engine_conn *conn)
{
    if (conn->lower == NULL) {
        return;
    }
    if (conn->domain != NULL) {
        tls_domain_leave(conn->domain, &conn->member);
    }
    mbedtls_ssl_free(&conn->ssl);
    tls_credentials_release(conn->credentials);
    if (conn->gathered != conn->small) {
        free(conn->gathered);
    }
    free(conn->waiting);
}

/* Only errors after which NNG's listener goes on at once. A dialer counts the first as a matter of
 * certificates, which its user is told. */
static int fail(struct nng_tls_engine_conn *conn, int code)
{
    char text[128];
    enum tls_refusal refusal = tls_verify_outcome(&conn->verify, code);
    conn->phase = PHASE_FAILED;
    bool of_certificates =
        conn->verify.refusal != TLS_ACCEPTED || refusal == TLS_REFUSED_PEER_REFUSES;
    conn->failure = of_certificates ? NNG_EPEERAUTH : NNG_ECONNRESET;
    if (conn->domain != NULL) {
        mbedtls_strerror(code, text, sizeof text);
        const char *detail = conn->verify.detail[0] != '\0' ? conn->verify.detail : text;
        /* Whose certificate it shows. */
        detail = refusal == TLS_REFUSED_NOT_ITS_KEY ? conn->verify.principal : detail;
        tls_domain_refuse(conn->domain, &conn->member, refusal, detail);
    }
    return conn->failure;
}

static void finish(struct nng_tls_engine_conn *conn)
{
    int most = mbedtls_ssl_get_max_out_record_payload(&conn->ssl);
    if (most > 0 && most < RECORD_MAX) {
        conn->record_max = (size_t)most;
    }
    conn->suite = tls_suite_index(mbedtls_ssl_get_ciphersuite_id_from_ssl(&conn->ssl));
    conn->phase = PHASE_UP;
    if (conn->domain != NULL) {
        tls_domain_finish(conn->domain, &conn->member, conn->suite,
                          mbedtls_ssl_get_peer_cert(&conn->ssl));
    }
}

/* NNG does not come back once this has returned 0, so our last flight has left by then. */
static int conn_handshake(nng_tls_engine_conn *conn)
{
    int code = 0;
    switch (conn->phase) {
    case PHASE_UP:
        break;
    case PHASE_HANDSHAKE:
        code = mbedtls_ssl_handshake(&conn->ssl);
        if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) {
            (void)flush(conn);
            return NNG_EAGAIN;
        }
        if (code != 0) {
            return fail(conn, code);
        }
        finish(conn);
        break;
    case PHASE_FAILED:
        return conn->failure;
    case PHASE_NEW:
    case PHASE_CLOSED:
        return NNG_ECONNSHUT;
    }
    return flush(conn) ? 0 : NNG_EAGAIN;
}

/* Once it is up, what still waits is for conn_send() and for NNG's own calls of conn_handshake().
 */
static int get_up(struct nng_tls_engine_conn *conn)
{
    return conn->phase == PHASE_UP ? 0 : conn_handshake(conn);
}

/* ---- Messages ---- */

static int write_record(struct nng_tls_engine_conn *conn, const uint8_t *bytes, size_t length)
{
    size_t written = 0;
    while (written < length) {
        int n = mbedtls_ssl_write(&conn->ssl, bytes + written, length - written);
        if (n <= 0) {
            return NNG_ECONNRESET;
        }
        written += (size_t)n;
    }
    return 0;
}

/* Room for what is still to come of the message, as far as one record goes. */
static int make_room(struct nng_tls_engine_conn *conn, size_t length)
{
    uint64_t left = tls_frame_left(&conn->frame);
    bool small = left <= SMALL_MAX && conn->gathered_length + length + left <= SMALL_MAX;
    if (small || conn->gathered != conn->small) {
        return 0;
    }
    uint8_t *room = malloc(conn->record_max);
    if (room == NULL) {
        return NNG_ENOMEM;
    }
    memcpy(room, conn->small, conn->gathered_length);
    conn->gathered = room;
    return 0;
}

static int write_gathered(struct nng_tls_engine_conn *conn)
{
    int code = write_record(conn, conn->gathered, conn->gathered_length);
    if (conn->gathered != conn->small) {
        free(conn->gathered);
        conn->gathered = conn->small;
    }
    conn->gathered_length = 0;
    return code;
}

static int gather(struct nng_tls_engine_conn *conn, const uint8_t *bytes, size_t length)
{
    if (conn->gathered_length == 0 && length == conn->record_max) {
        return write_record(conn, bytes, length); /* it fills a record alone */
    }
    int code = make_room(conn, length);
    if (code == 0) {
        memcpy(conn->gathered + conn->gathered_length, bytes, length);
        conn->gathered_length += length;
    }
    return code;
}

/* Takes as much of a piece as belongs into one record, and writes that if it ends there. */
static int send_part(struct nng_tls_engine_conn *conn, const uint8_t *bytes, size_t *length)
{
    bool ends = false;
    size_t room = conn->record_max - conn->gathered_length;
    *length = tls_frame_take(&conn->frame, bytes, *length < room ? *length : room, &ends);
    int code = gather(conn, bytes, *length);
    bool full = conn->gathered_length == conn->record_max;
    if (code == 0 && conn->gathered_length > 0 && (ends || full)) {
        code = write_gathered(conn);
    }
    return code;
}

/* All of the piece, or as much of it as NNG's ring holds. */
static bool has_enough(const struct nng_tls_engine_conn *conn, size_t length)
{
    return conn->taken == length || waiting(conn) >= RING_SIZE;
}

/* `in_two` lasts only while NNG has been told to wait, with bytes in the ring that it will send
 * after those on their way. */
static int conn_send(nng_tls_engine_conn *conn, const uint8_t *bytes, size_t *length)
{
    int code = get_up(conn);
    if (code != 0) {
        return code;
    }
    if (conn->in_two) {
        conn->in_two = false;
        return NNG_EAGAIN;
    }
    bool gone = false;
    for (;;) {
        if (has_enough(conn, *length)) {
            gone = flush(conn);
        }
        if (has_enough(conn, *length)) {
            break;
        }
        size_t part = *length - conn->taken;
        code = send_part(conn, bytes + conn->taken, &part);
        if (code != 0) {
            return code;
        }
        conn->taken += part;
    }
    if (conn->taken < *length || (conn->gathered_length == 0 && !gone)) {
        return NNG_EAGAIN;
    }
    conn->taken = 0;
    conn->in_two = false;
    return 0;
}

/* With TLS 1.3 a client is done before the server has judged it: a refusal comes in the place of
 * the greeting, and from mbedTLS 3.6 under a key that is not in use any more. */
static bool is_late_refusal(const struct nng_tls_engine_conn *conn, int code)
{
    return (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE || code == MBEDTLS_ERR_SSL_INVALID_MAC) &&
           atomic_load_explicit(&conn->member.stage, memory_order_relaxed) != TLS_STAGE_GREETED;
}

static int conn_recv(nng_tls_engine_conn *conn, uint8_t *to, size_t *size)
{
    int code = get_up(conn);
    if (code != 0) {
        return code;
    }
    do {
        code = mbedtls_ssl_read(&conn->ssl, to, *size);
    } while (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    if (code > 0) {
        atomic_store_explicit(&conn->member.stage, TLS_STAGE_GREETED, memory_order_relaxed);
        *size = (size_t)code;
        return 0;
    }
    switch (code) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
        return NNG_EAGAIN;
    case 0:
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return NNG_ECONNSHUT;
    default:
        return is_late_refusal(conn, code) ? NNG_EPEERAUTH : NNG_ECONNRESET;
    }
}

/* Whoever closes tells the peer, unless a record is under way. */
static void conn_close(nng_tls_engine_conn *conn)
{
    if (conn->phase == PHASE_UP && waiting(conn) == 0) {
        (void)mbedtls_ssl_close_notify(&conn->ssl);
    }
    if (conn->phase != PHASE_FAILED) {
        conn->phase = PHASE_CLOSED;
    }
}

/* ---- Who the peer is ---- */

/* Where a thread that asks wants the answer. */
static _Thread_local struct tls_peer *asked;

static bool conn_verified(nng_tls_engine_conn *conn)
{
    bool verified = conn->phase == PHASE_UP && conn->verify.auth != TLS_AUTH_NONE &&
                    mbedtls_ssl_get_peer_cert(&conn->ssl) != NULL &&
                    mbedtls_ssl_get_verify_result(&conn->ssl) == 0;
    if (asked != NULL && verified) {
        memcpy(asked->principal, conn->verify.principal, sizeof asked->principal);
        asked->suite = conn->suite;
        asked = NULL; /* answered */
    }
    return verified;
}

bool tls_peer_of(nng_pipe pipe, struct tls_peer *peer)
{
    bool verified = false;
    memset(peer, 0, sizeof *peer);
    asked = peer;
    int code = nng_pipe_get_bool(pipe, NNG_OPT_TLS_VERIFIED, &verified);
    bool answered = asked == NULL;
    asked = NULL;
    return code == 0 && verified && answered;
}

/* A common name means nothing to us. */
static char *conn_peer_cn(nng_tls_engine_conn *conn)
{
    (void)conn;
    return NULL;
}

static size_t read_names(struct view names, char **list, size_t most)
{
    struct tls_san san;
    size_t count = 0;
    while (count < most && tls_san_next(&names, &san) == TLS_SAN_READ) {
        if (san.kind == TLS_SAN_DNS || san.kind == TLS_SAN_URI) {
            list[count] = strndup((const char *)san.value.bytes, san.value.length);
            count += list[count] != NULL;
        }
    }
    return count;
}

/* For others in the process, as NNG's own engine does: DNS names and URIs, not told apart. */
static char **conn_peer_alt_names(nng_tls_engine_conn *conn)
{
    enum { NAMES_MAX = 32 };
    const mbedtls_x509_crt *leaf =
        conn->phase == PHASE_UP ? mbedtls_ssl_get_peer_cert(&conn->ssl) : NULL;
    struct view names;
    if (leaf == NULL ||
        tls_san_find((struct view){leaf->v3_ext.p, leaf->v3_ext.len}, &names) != TLS_SAN_READ) {
        return NULL;
    }
    char **list = calloc(NAMES_MAX + 1, sizeof *list);
    if (list != NULL && read_names(names, list, NAMES_MAX) == 0) {
        free(list);
        list = NULL;
    }
    return list;
}

nng_tls_engine_conn_ops tls_conn_ops = {
    .size = sizeof(struct nng_tls_engine_conn),
    .init = conn_init,
    .fini = conn_fini,
    .close = conn_close,
    .handshake = conn_handshake,
    .recv = conn_recv,
    .send = conn_send,
    .verified = conn_verified,
    .peer_cn = conn_peer_cn,
    .peer_alt_names = conn_peer_alt_names,
};
