#pragma once
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
/* Functions named like the macros: a parenthesised name stops macro expansion. */
static inline void (ngtcp2_settings_default)(ngtcp2_settings *s) { ngtcp2_settings_default(s); }
static inline void (ngtcp2_transport_params_default)(ngtcp2_transport_params *p) { ngtcp2_transport_params_default(p); }
static inline int (ngtcp2_conn_client_new)(ngtcp2_conn **c, const ngtcp2_cid *d, const ngtcp2_cid *s, const ngtcp2_path *p, uint32_t v, const ngtcp2_callbacks *cb, const ngtcp2_settings *st, const ngtcp2_transport_params *tp, void *u) { return ngtcp2_conn_client_new(c, d, s, p, v, cb, st, tp, NULL, u); }
static inline int (ngtcp2_conn_server_new)(ngtcp2_conn **c, const ngtcp2_cid *d, const ngtcp2_cid *s, const ngtcp2_path *p, uint32_t v, const ngtcp2_callbacks *cb, const ngtcp2_settings *st, const ngtcp2_transport_params *tp, void *u) { return ngtcp2_conn_server_new(c, d, s, p, v, cb, st, tp, NULL, u); }
static inline int (ngtcp2_conn_read_pkt)(ngtcp2_conn *c, const ngtcp2_path *p, const ngtcp2_pkt_info *pi, const uint8_t *b, size_t n, ngtcp2_tstamp t) { return ngtcp2_conn_read_pkt(c, p, pi, b, n, t); }
static inline ngtcp2_ssize (ngtcp2_conn_writev_stream)(ngtcp2_conn *c, ngtcp2_path *p, ngtcp2_pkt_info *pi, uint8_t *d, size_t n, ngtcp2_ssize *pd, uint32_t f, int64_t sid, const ngtcp2_vec *v, size_t vn, ngtcp2_tstamp t) { return ngtcp2_conn_writev_stream(c, p, pi, d, n, pd, f, sid, v, vn, t); }
static inline ngtcp2_ssize (ngtcp2_conn_writev_datagram)(ngtcp2_conn *c, ngtcp2_path *p, ngtcp2_pkt_info *pi, uint8_t *d, size_t n, int *acc, uint32_t f, uint64_t id, const ngtcp2_vec *v, size_t vn, ngtcp2_tstamp t) { return ngtcp2_conn_writev_datagram(c, p, pi, d, n, acc, f, id, v, vn, t); }

