#pragma once
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* Functions named like ngtcp2's function-like macros, which Swift does not see: a name in parentheses is not expanded. */

static inline void(ngtcp2_settings_default)(ngtcp2_settings *settings) { ngtcp2_settings_default(settings); }

static inline void(ngtcp2_transport_params_default)(ngtcp2_transport_params *params) {
    ngtcp2_transport_params_default(params);
}

static inline int(ngtcp2_conn_client_new)(
    ngtcp2_conn **conn, const ngtcp2_cid *dcid, const ngtcp2_cid *scid, const ngtcp2_path *path, uint32_t version,
    const ngtcp2_callbacks *callbacks, const ngtcp2_settings *settings, const ngtcp2_transport_params *params,
    const ngtcp2_mem *memory, void *user_data) {
    return ngtcp2_conn_client_new(conn, dcid, scid, path, version, callbacks, settings, params, memory, user_data);
}

static inline int(ngtcp2_conn_server_new)(
    ngtcp2_conn **conn, const ngtcp2_cid *dcid, const ngtcp2_cid *scid, const ngtcp2_path *path, uint32_t version,
    const ngtcp2_callbacks *callbacks, const ngtcp2_settings *settings, const ngtcp2_transport_params *params,
    const ngtcp2_mem *memory, void *user_data) {
    return ngtcp2_conn_server_new(conn, dcid, scid, path, version, callbacks, settings, params, memory, user_data);
}

static inline int(ngtcp2_conn_read_pkt)(
    ngtcp2_conn *conn, const ngtcp2_path *path, const ngtcp2_pkt_info *info, const uint8_t *packet, size_t count,
    ngtcp2_tstamp now) {
    return ngtcp2_conn_read_pkt(conn, path, info, packet, count, now);
}

static inline ngtcp2_ssize(ngtcp2_conn_writev_stream)(
    ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *dest, size_t capacity, ngtcp2_ssize *taken,
    uint32_t flags, int64_t stream_id, const ngtcp2_vec *data, size_t data_count, ngtcp2_tstamp now) {
    return ngtcp2_conn_writev_stream(
        conn, path, info, dest, capacity, taken, flags, stream_id, data, data_count, now);
}

static inline ngtcp2_ssize(ngtcp2_conn_writev_datagram)(
    ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *dest, size_t capacity, int *accepted,
    uint32_t flags, uint64_t id, const ngtcp2_vec *data, size_t data_count, ngtcp2_tstamp now) {
    return ngtcp2_conn_writev_datagram(
        conn, path, info, dest, capacity, accepted, flags, id, data, data_count, now);
}

static inline ngtcp2_ssize(ngtcp2_conn_write_connection_close)(
    ngtcp2_conn *conn, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *dest, size_t capacity,
    const ngtcp2_connection_close_error *error, ngtcp2_tstamp now) {
    return ngtcp2_conn_write_connection_close(conn, path, info, dest, capacity, error, now);
}

static inline void(ngtcp2_conn_get_conn_stat)(ngtcp2_conn *conn, ngtcp2_conn_stat *stat) {
    ngtcp2_conn_get_conn_stat(conn, stat);
}

/* Both a macro and an enumerator, which Swift calls ambiguous. */
static const unsigned cngtcp2_client = GNUTLS_CLIENT;
static const unsigned cngtcp2_server = GNUTLS_SERVER;
static const unsigned cngtcp2_no_tickets = GNUTLS_NO_TICKETS;

/* gnutls_free is a variable, which Swift holds for unsafe. */
static inline void cngtcp2_gnutls_free(void *memory) { gnutls_free(memory); }

/* An address and a port without struct sockaddr. An IPv4 address is the low 32 bits of `low`; family is 4 or 6. */
typedef struct {
    uint64_t high, low;
    uint16_t port;
    uint8_t family;
} cngtcp2_endpoint;

/* Points the path's two addresses at the storage's own buffers and fills them in. */
void cngtcp2_path_set(ngtcp2_path_storage *storage, cngtcp2_endpoint local, cngtcp2_endpoint remote);
void cngtcp2_path_get(const ngtcp2_path *path, cngtcp2_endpoint *local, cngtcp2_endpoint *remote);

/* An allocator for one connection that counts what it has given out. It must outlive the connection, at its place. */
typedef struct {
    ngtcp2_mem functions;
    /* Bytes in use, as the C library rounds them. */
    size_t used;
} cngtcp2_memory;

void cngtcp2_memory_init(cngtcp2_memory *memory);

/* A STOP_SENDING frame (RFC 9000, section 19.5). */
typedef struct {
    int64_t stream_id;
    uint64_t code;
} cngtcp2_stop_sending;

/* As many as a datagram of 1 500 bytes can hold, three bytes each. */
enum { cngtcp2_max_stops = 500 };

/* The packets that this thread has decrypted since the last call. */
uint32_t cngtcp2_take_opened(void);

/* The PATH_CHALLENGE, NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames seen by this thread since the last call. */
uint32_t cngtcp2_take_rare_frames(void);

/* The largest count of packets marked CE (RFC 9000, section 19.3.2) seen by this thread since the last call. */
uint64_t cngtcp2_take_congestion_marks(void);

/*
 * ngtcp2_crypto_decrypt_cb that also notes the STOP_SENDING frames of the packet: ngtcp2 0.12 answers that frame with
 * RESET_STREAM and has no callback that tells the application. At most cngtcp2_max_stops are kept, per thread.
 */
int cngtcp2_decrypt_cb(
    uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *aead_ctx, const uint8_t *ciphertext,
    size_t ciphertext_count, const uint8_t *nonce, size_t nonce_count, const uint8_t *aad, size_t aad_count);

/* The frames noted by this thread since the last call; valid until the next packet is decrypted. */
size_t cngtcp2_take_stops(const cngtcp2_stop_sending **stops);

/* Notes the STOP_SENDING frames among the frames of a clear packet; stops at the first that it does not understand. */
void cngtcp2_scan_frames(const uint8_t *frames, size_t count);
