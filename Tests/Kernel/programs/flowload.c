/* flowload: the kernel's TCP as a client of flowtun, many connections in one thread.
 *
 *   flowload ADDRESS KIND|mixed|churn [KEY=VALUE...]
 *
 * KIND is one of the kinds below; each connection takes `bytes` and is checked to the last byte. `mixed` draws kinds and
 * sizes (log-uniform, smallest to largest) and pauses, keeps `flows` connections open for `seconds`, and then lets them end
 * early but in order. `churn` goes through all ways to end a connection with few bytes each.
 *
 *   flows=N      connections open at once (1)           count=N     connections in all (flows)
 *   bytes=N      per connection (1048576)                seed=N      of everything (1)
 *   seconds=N    of mixed (10)                           limit=S     of the whole run; what is open then has failed (120)
 *   largest=N    of mixed, bytes (52428800)              spread=N    destination addresses, counted up from ADDRESS (1)
 *   barrier=1    nothing is sent before all are open     hold=MS     for the kind pause (1000)
 *   sequence=N   our first sequence number (kernel's)    cc=NAME     congestion control (kernel's)
 *   cross=MS     after which both ends finish, simul (10)   stall=S  without a byte after which a connection failed (100)
 *   also=ADDRESS where every other connection goes, of either IP version (nowhere else)
 *
 * The last line of the output is JSON. Exit code 0 if every connection went as it should.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The ports are those of Tests/FlowTUN/Service.swift. */
enum kind { UP, DOWN, ECHO, HALF, EARLY, SLOW, PAUSE, CUT, RESET, ATONCE, SIMUL, REFUSE, KINDS };
static const char *const names[KINDS] = {
    "up", "down", "echo", "half", "early", "slow", "pause", "cut", "reset", "atonce", "simul", "refuse" };
static const uint16_t ports[KINDS] = { 9, 20, 7, 22, 23, 24, 25, 19, 21, 30, 31, 26 };

enum { CHUNK = 65536, FAIRNESS = 1 << 20, TICK_MS = 10 };
static const double nudge_seconds = 1, poll_seconds = 0.02;

struct digest { uint64_t hash, partial, count; };
struct connection {
    int fd;                       /* -1: the place waits for `wake` to open another */
    enum kind kind;
    int connected, sent_fin, got_eof, again, barred;
    uint64_t seed, total;         /* bytes of the stream, in the direction that the kind has */
    uint64_t sent, seen;          /* of it */
    struct digest digest;         /* of what was sent */
    uint8_t request[16], answer[16];
    int request_left, answer_count;
    uint64_t pause_at;            /* bytes, sent and seen together; UINT64_MAX for none */
    double pause_for;
    double wake, resume, last_progress; /* 0 for none; `resume` ends a pause */
    uint64_t moved;               /* acknowledged and received when last asked */
};

static struct { uint64_t flows, count, bytes, seed, largest, spread, hold, sequence, barrier; double seconds, limit, cross, stall; const char *cc; }
    option = { .flows = 1, .bytes = 1 << 20, .seed = 1, .largest = 50 << 20, .spread = 1, .hold = 1000,
               .seconds = 10, .limit = 120, .cross = 10, .stall = 100 };
static enum { SINGLE, MIXED, CHURN } mode;
static enum kind single;
static struct sockaddr_storage bases[2]; static unsigned base_count;
static struct connection *connections;
static int poller, draining;
static uint64_t opened, finished, ok, failed, bytes_up, bytes_down, retransmitted, crossed, established, by_kind[KINDS];
static double connected_at_last;
static char algorithm[32] = "?";
static uint64_t rng;

static double now_s(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull; z = (z ^ (z >> 27)) * 0x94D049BB133111EBull; return z ^ (z >> 31);
}
static uint64_t random64(void) { return mix(rng += 0x9E3779B97F4A7C15ull); }
static double uniform(void) { return (random64() >> 11) * (1.0 / 9007199254740992.0); }
static uint64_t log_uniform(double least, double most) { return (uint64_t)(least * pow(most / least, uniform())); }

/* The stream of a seed: see SeededStream in Tests/FlowTUN/Stream.swift. */
static uint64_t word_at(uint64_t seed, uint64_t index) { return mix(seed + (index + 1) * 0x9E3779B97F4A7C15ull); }
static uint8_t byte_at(uint64_t seed, uint64_t position) { return word_at(seed, position >> 3) >> ((position & 7) * 8); }
static void fill(uint64_t seed, uint64_t position, uint8_t *bytes, size_t count) {
    size_t i = 0;
    while (i < count) {
        if (((position + i) & 7) == 0 && count - i >= 8) {
            uint64_t w = htole64(word_at(seed, (position + i) >> 3)); memcpy(bytes + i, &w, 8); i += 8;
        } else { bytes[i] = byte_at(seed, position + i); i++; }
    }
}
/* The place of the first byte that differs, or count. */
static size_t compare(uint64_t seed, uint64_t position, const uint8_t *bytes, size_t count) {
    size_t i = 0;
    while (i < count) {
        if (((position + i) & 7) == 0 && count - i >= 8) {
            uint64_t w; memcpy(&w, bytes + i, 8);
            if (le64toh(w) == word_at(seed, (position + i) >> 3)) { i += 8; continue; }
        }
        if (bytes[i] != byte_at(seed, position + i)) return i;
        i++;
    }
    return count;
}
static void digest_add(struct digest *d, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count;) {
        if ((d->count & 7) == 0 && count - i >= 8) {
            uint64_t w; memcpy(&w, bytes + i, 8); d->hash = (d->hash ^ le64toh(w)) * 0x100000001B3ull; i += 8; d->count += 8;
        } else {
            d->partial |= (uint64_t)bytes[i] << ((d->count & 7) * 8); i++; d->count++;
            if ((d->count & 7) == 0) { d->hash = (d->hash ^ d->partial) * 0x100000001B3ull; d->partial = 0; }
        }
    }
}
static uint64_t digest_value(const struct digest *d) { return d->count & 7 ? (d->hash ^ d->partial) * 0x100000001B3ull : d->hash; }
static uint64_t big_endian(const uint8_t *b) { uint64_t v = 0; for (int i = 0; i < 8; i++) v = v << 8 | b[i]; return v; }
static void put_big_endian(uint8_t *b, uint64_t v) { for (int i = 7; i >= 0; i--) { b[i] = v; v >>= 8; } }

static void usage(const char *text) { fprintf(stderr, "flowload: %s\n", text); exit(64); }

static struct tcp_info info_of(const struct connection *c) {
    struct tcp_info i; socklen_t n = sizeof i; memset(&i, 0, sizeof i);
    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &i, &n);
    return i;
}

/* Whether nothing went over the wire either: a full socket buffer may take longer than `stall` to go out. */
static int stands_still(struct connection *c) {
    struct tcp_info i = info_of(c);
    uint64_t moved = i.tcpi_bytes_acked + i.tcpi_bytes_received;
    if (moved == c->moved) return 1;
    c->moved = moved;
    c->last_progress = now_s();
    return 0;
}

/* MARK: the end of a connection */

static void leave(struct connection *c, int reset) {
    retransmitted += info_of(c).tcpi_total_retrans;
    struct linger l = { .l_onoff = 1, .l_linger = 0 };
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(c->fd);
    c->fd = -1;
    c->wake = mode == MIXED ? now_s() + uniform() : now_s();
    bytes_up += c->sent; bytes_down += c->seen;
    finished++;
}
static void succeed(struct connection *c, int reset) { ok++; by_kind[c->kind]++; leave(c, reset); }
__attribute__((format(printf, 2, 3))) static void fail(struct connection *c, const char *format, ...) {
    if (failed++ < 20) {
        char text[200]; va_list a; va_start(a, format); vsnprintf(text, sizeof text, format, a); va_end(a);
        struct tcp_info i = info_of(c);
        struct sockaddr_storage s; socklen_t n = sizeof s; memset(&s, 0, sizeof s);
        getsockname(c->fd, (void *)&s, &n);
        fprintf(stderr, "%s from port %u: %s (total %llu, sent %llu, seen %llu, fin %d, eof %d, kernel's state %d, retransmits %u)\n",
                names[c->kind], ntohs(((struct sockaddr_in *)&s)->sin_port), text, (unsigned long long)c->total,
                (unsigned long long)c->sent, (unsigned long long)c->seen, c->sent_fin, c->got_eof, i.tcpi_state, i.tcpi_total_retrans);
    }
    leave(c, 1);
}

/* MARK: the beginning */

static void choose(struct connection *c) {
    static const struct { enum kind kind; int weight; double largest; } mixture[] = {
        { UP, 30, 1e18 }, { DOWN, 30, 1e18 }, { ECHO, 15, 1e18 }, { HALF, 5, 1 << 20 }, { EARLY, 5, 1 << 20 },
        { SLOW, 2, 1 << 20 }, { CUT, 5, 1 << 20 }, { RESET, 5, 1 << 20 }, { SIMUL, 3, 1 } };
    static const enum kind endings[] = { ECHO, SIMUL, UP, DOWN, CUT, HALF, ATONCE, EARLY, RESET, REFUSE };
    c->pause_at = UINT64_MAX;
    c->total = option.bytes;
    switch (mode) {
    case SINGLE: c->kind = single; break;
    case CHURN: c->kind = endings[opened % (sizeof endings / sizeof *endings)]; break;
    case MIXED: {
        int draw = (int)(uniform() * 100), k = 0;
        while (draw >= mixture[k].weight) draw -= mixture[k++].weight;
        c->kind = mixture[k].kind;
        c->total = log_uniform(100, fmin(option.largest, fmax(mixture[k].largest, 101)));
        if (uniform() < 0.25) { c->pause_at = (uint64_t)(uniform() * c->total); c->pause_for = 0.01 * pow(300, uniform()); }
        break;
    }
    }
    if (c->kind == SIMUL || c->kind == ATONCE || c->kind == REFUSE) c->total = 0;
    c->seed = random64();
    c->request_left = 0;
    if (c->kind == DOWN || c->kind == HALF || c->kind == EARLY || c->kind == RESET || c->kind == PAUSE) {
        c->request_left = 16;
        put_big_endian(c->request, c->kind == PAUSE ? option.hold : c->seed);
        put_big_endian(c->request + 8, c->kind == PAUSE ? 0 : c->total);
    }
    if (c->kind == CUT) c->seed = 0;
}

static void set_sequence(int fd) {
    int on = 1, queue = TCP_SEND_QUEUE, off = -1 /* TCP_REPAIR_OFF_NO_WP */; uint32_t number = option.sequence;
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) < 0
        || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof queue) < 0
        || setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &number, sizeof number) < 0
        || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0) { perror("TCP_REPAIR"); exit(1); }
}

static void begin(struct connection *c) {
    memset(c, 0, sizeof *c);
    c->digest.hash = 0xCBF29CE484222325ull;
    choose(c);
    struct sockaddr_storage to = bases[opened % base_count];
    uint64_t step = opened++ / base_count % option.spread;
    if (to.ss_family == AF_INET) {
        struct sockaddr_in *a = (void *)&to; a->sin_port = htons(ports[c->kind]);
        a->sin_addr.s_addr = htonl(ntohl(a->sin_addr.s_addr) + (uint32_t)step);
    } else {
        struct sockaddr_in6 *a = (void *)&to; a->sin6_port = htons(ports[c->kind]);
        a->sin6_addr.s6_addr[14] += step >> 8; a->sin6_addr.s6_addr[15] += step;
    }
    c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { perror("socket"); exit(1); }
    if (option.cc && setsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, option.cc, strlen(option.cc)) < 0) { perror(option.cc); exit(1); }
    socklen_t n = sizeof algorithm; getsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, &n);
    if (option.sequence) set_sequence(c->fd);
    c->last_progress = now_s();
    c->barred = option.barrier && established < option.flows;
    if (connect(c->fd, (void *)&to, to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) < 0 && errno != EINPROGRESS) {
        if (c->kind == REFUSE && errno == ECONNREFUSED) { c->barred = 0; established++; return succeed(c, 0); }
        return fail(c, "connect: %s", strerror(errno));
    }
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) < 0) { perror("epoll_ctl"); exit(1); }
}

/* MARK: what a connection does when it can do something; each returns 0 when the connection is over */

static int expects_reset(const struct connection *c) { return c->kind == ATONCE || (c->kind == RESET && c->seen == c->total); }

static int lost(struct connection *c, int error, const char *call) {
    if (error == ECONNRESET && expects_reset(c)) { succeed(c, 0); return 0; }
    if (error == EPIPE && expects_reset(c)) { succeed(c, 0); return 0; }
    fail(c, "%s: %s", call, strerror(error));
    return 0;
}

static int shut(struct connection *c) {
    if (!c->sent_fin) { c->sent_fin = 1; if (shutdown(c->fd, SHUT_WR) < 0) return lost(c, errno, "shutdown"); }
    return 1;
}

/* Bytes of the stream that are to be sent now. */
static uint64_t to_send(const struct connection *c) {
    switch (c->kind) {
    case UP: case ECHO: case SLOW: case PAUSE: return draining ? 0 : c->total - c->sent;
    case EARLY: return c->got_eof && !draining ? c->total - c->sent : 0;
    default: return 0;
    }
}

static int write_some(struct connection *c) {
    static uint8_t chunk[CHUNK];
    while (c->request_left > 0) {
        ssize_t n = send(c->fd, c->request + 16 - c->request_left, c->request_left, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 1 : lost(c, errno, "send");
        c->request_left -= n;
    }
    uint64_t done = 0;
    while (!c->sent_fin && to_send(c) > 0) {
        if (c->sent + c->seen >= c->pause_at) return 1;
        if (done >= FAIRNESS) { c->again = 1; return 1; }
        size_t count = to_send(c) < CHUNK ? to_send(c) : CHUNK;
        fill(c->seed, c->sent, chunk, count);
        ssize_t n = send(c->fd, chunk, count, MSG_NOSIGNAL);
        if (n < 0) { if (errno == EAGAIN) break; return lost(c, errno, "send"); }
        digest_add(&c->digest, chunk, n);
        c->sent += n; done += n;
        c->last_progress = now_s();
    }
    switch (c->kind) {
    case UP: case ECHO: case SLOW: case PAUSE: return to_send(c) == 0 ? shut(c) : 1;
    case EARLY: return c->got_eof && to_send(c) == 0 ? shut(c) : 1;
    case HALF: return shut(c);
    case DOWN: return draining ? shut(c) : 1;
    case CUT: if (draining) { succeed(c, 1); return 0; } return 1;
    default: return 1;
    }
}

static int take(struct connection *c, const uint8_t *bytes, size_t count) {
    switch (c->kind) {
    case UP: case SLOW: case PAUSE:
        if (c->answer_count + count > 16) { fail(c, "more than an account came back"); return 0; }
        memcpy(c->answer + c->answer_count, bytes, count); c->answer_count += count;
        return 1;
    case DOWN: case HALF: case ECHO: case RESET: case CUT: {
        uint64_t most = c->kind == ECHO ? c->sent : c->kind == CUT ? UINT64_MAX : c->total;
        if (c->seen + count > most) { fail(c, "more came than was asked for"); return 0; }
        size_t right = compare(c->seed, c->seen, bytes, count);
        c->seen += count;
        if (right < count) { fail(c, "byte %llu is wrong", (unsigned long long)(c->seen - count + right)); return 0; }
        if (c->kind == CUT && c->seen >= c->total) { succeed(c, 1); return 0; }
        if (c->kind == RESET && c->seen == c->total && c->wake == 0) c->wake = now_s() + nudge_seconds;
        return 1;
    }
    case EARLY: case ATONCE: case SIMUL: case REFUSE: case KINDS: break;
    }
    fail(c, "bytes came where none should");
    return 0;
}

/* The peer's FIN. */
static int end(struct connection *c) {
    c->got_eof = 1;
    switch (c->kind) {
    case UP: case SLOW: case PAUSE:
        if (!c->sent_fin) fail(c, "the end came first");
        else if (c->answer_count < 16) fail(c, "no account at the end");
        else if (big_endian(c->answer) != c->sent) fail(c, "the account tells of %llu bytes", (unsigned long long)big_endian(c->answer));
        else if (big_endian(c->answer + 8) != digest_value(&c->digest)) fail(c, "the account's digest differs");
        else succeed(c, 0);
        return 0;
    case DOWN: case HALF:
        if (c->seen < c->total && !(c->kind == DOWN && c->sent_fin)) fail(c, "the end came too early"); else succeed(c, 0);
        return 0;
    case ECHO:
        if (!c->sent_fin || c->seen != c->sent) fail(c, "the end came too early"); else succeed(c, 0);
        return 0;
    case EARLY: c->wake = now_s() + poll_seconds; return write_some(c);
    case SIMUL:
        if (info_of(c).tcpi_state == 11 /* TCP_CLOSING */) crossed++;
        if (shut(c)) succeed(c, 0);
        return 0;
    case CUT: case RESET: case ATONCE: case REFUSE: case KINDS: break;
    }
    fail(c, "an end where a reset should be");
    return 0;
}

static int read_some(struct connection *c) {
    static uint8_t chunk[CHUNK];
    for (uint64_t done = 0; !c->got_eof;) {
        if (c->sent + c->seen >= c->pause_at) return 1;
        if (done >= FAIRNESS) { c->again = 1; return 1; }
        ssize_t n = recv(c->fd, chunk, sizeof chunk, 0);
        if (n < 0) return errno == EAGAIN ? 1 : lost(c, errno, "recv");
        c->last_progress = now_s();
        if (n == 0) return end(c);
        done += n;
        if (!take(c, chunk, n)) return 0;
    }
    return 1;
}

static void step(struct connection *c) {
    c->again = 0;
    if (!c->connected) {
        int error = 0; socklen_t n = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (error == 0 && info_of(c).tcpi_state == 2 /* TCP_SYN_SENT */) return;
        established++;
        connected_at_last = now_s();
        if (c->kind == REFUSE) {
            if (error == ECONNREFUSED) succeed(c, 0); else fail(c, "connected, or %s, where refusal should be", strerror(error));
            return;
        }
        if (error) { lost(c, error, "connect"); return; }
        c->connected = 1;
        c->last_progress = now_s();
        if (c->kind == SIMUL) c->wake = now_s() + option.cross / 1000;
        if (c->kind == ATONCE) c->wake = now_s() + nudge_seconds;
    }
    if (c->barred) return;
    if (!write_some(c)) return;
    if (!read_some(c)) return;
    if (c->sent + c->seen >= c->pause_at && c->resume == 0) { c->resume = now_s() + c->pause_for; c->last_progress = now_s(); }
}

/* The time that a connection waited for has come. */
static void wake(struct connection *c, double now) {
    c->wake = 0;
    switch (c->kind) {
    case SIMUL: if (shut(c)) step(c); return;
    case RESET: case ATONCE:
        /* A lost RST is not sent again: a byte to a connection that is gone brings another. */
        if (send(c->fd, "?", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN) { lost(c, errno, "send"); return; }
        c->wake = now + nudge_seconds;
        return;
    case EARLY: {
        int error = 0; socklen_t n = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (error) { lost(c, error, "after the end"); return; }
        if (c->sent_fin && info_of(c).tcpi_state == 7 /* TCP_CLOSE: our FIN is acknowledged */) { succeed(c, 0); return; }
        c->wake = now + poll_seconds;
        return;
    }
    default: return;
    }
}

/* MARK: all of them */

static void lift_barrier(void) {
    for (uint64_t i = 0; i < option.flows; i++) {
        struct connection *c = &connections[i];
        if (c->fd >= 0 && c->barred) { c->barred = 0; step(c); }
    }
}

static void add_base(const char *text) {
    struct sockaddr_storage *to = &bases[base_count++];
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)to)->sin_addr) == 1) to->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)to)->sin6_addr) == 1) to->ss_family = AF_INET6;
    else usage("that is no address");
}

int main(int argc, char **argv) {
    if (argc < 3) usage("usage: flowload ADDRESS KIND|mixed|churn [KEY=VALUE...]");
    add_base(argv[1]);
    if (!strcmp(argv[2], "mixed")) mode = MIXED;
    else if (!strcmp(argv[2], "churn")) mode = CHURN;
    else { while (single < KINDS && strcmp(argv[2], names[single])) single++; if (single == KINDS) usage("unknown kind"); }
    for (int i = 3; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) usage("not KEY=VALUE");
        *value++ = 0;
        const struct { const char *name; uint64_t *place; } numbers[] = {
            { "flows", &option.flows }, { "count", &option.count }, { "bytes", &option.bytes }, { "seed", &option.seed },
            { "largest", &option.largest }, { "spread", &option.spread }, { "hold", &option.hold },
            { "sequence", &option.sequence }, { "barrier", &option.barrier } };
        const struct { const char *name; double *place; } reals[] = {
            { "seconds", &option.seconds }, { "limit", &option.limit }, { "cross", &option.cross },
            { "stall", &option.stall } };
        int known = 0;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (!strcmp(argv[i], numbers[k].name)) { *numbers[k].place = strtoull(value, NULL, 0); known = 1; }
        for (size_t k = 0; k < sizeof reals / sizeof *reals; k++)
            if (!strcmp(argv[i], reals[k].name)) { *reals[k].place = atof(value); known = 1; }
        if (!strcmp(argv[i], "cc")) { option.cc = value; known = 1; }
        if (!strcmp(argv[i], "also")) { if (base_count == 2) usage("also once"); add_base(value); known = 1; }
        if (!known) usage("unknown key");
    }
    if (option.flows == 0 || option.spread == 0) usage("flows and spread are at least 1");
    if (option.count == 0) option.count = option.flows;
    rng = option.seed;
    struct rlimit files = { option.flows + 64, option.flows + 64 };
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(option.flows, sizeof *connections);
    if (!connections) { perror("calloc"); return 1; }

    double start = now_s(), next_tick = start;
    for (uint64_t i = 0; i < option.flows; i++) {
        connections[i].fd = -1;
        connections[i].wake = mode == MIXED ? start + uniform() : start;
    }
    static struct epoll_event events[256];
    uint64_t target = mode == MIXED ? UINT64_MAX : option.count;
    int barrier_up = option.barrier != 0, any_again = 0;
    for (;;) {
        double now = now_s();
        if (mode == MIXED && !draining && now - start >= option.seconds) {
            draining = 1; target = opened;
            for (uint64_t i = 0; i < option.flows; i++) {
                struct connection *c = &connections[i];
                c->pause_at = UINT64_MAX;
                if (c->fd >= 0 && c->connected) step(c);
            }
        }
        if (now >= next_tick || any_again) {
            next_tick = now + TICK_MS / 1000.0;
            any_again = 0;
            for (uint64_t i = 0; i < option.flows; i++) {
                struct connection *c = &connections[i];
                if (c->fd < 0) {
                    if (opened < target && c->wake <= now) begin(c);
                    continue;
                }
                if (c->resume > 0 && c->resume <= now) { c->resume = 0; c->pause_at = UINT64_MAX; step(c); }
                if (c->fd >= 0 && c->wake > 0 && c->wake <= now) wake(c, now);
                if (c->fd >= 0 && c->again) { step(c); any_again |= c->again; }
                if (c->fd >= 0 && !c->barred && now - c->last_progress > option.stall && stands_still(c)) fail(c, "nothing for %g s", option.stall);
            }
            if (barrier_up && established >= option.flows) { barrier_up = 0; lift_barrier(); }
        }
        if (finished >= target) break;
        if (now - start > option.limit) {
            for (uint64_t i = 0; i < option.flows; i++) if (connections[i].fd >= 0) fail(&connections[i], "not through in time");
            if (finished < target && mode != MIXED) { fprintf(stderr, "%llu were never opened\n", (unsigned long long)(target - finished)); failed++; }
            break;
        }
        int count = epoll_wait(poller, events, 256, any_again ? 0 : TICK_MS);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0) { step(c); any_again |= c->again; }
        }
    }
    double seconds = now_s() - start;
    printf("{\"ok\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"bytes_up\": %llu, \"bytes_down\": %llu, \"mbit\": %.2f, "
           "\"retransmitted\": %llu, \"crossed\": %llu, \"all_open_after\": %.3f, \"cc\": \"%s\", \"kinds\": {",
           (unsigned long long)ok, (unsigned long long)failed, seconds, (unsigned long long)bytes_up, (unsigned long long)bytes_down,
           (bytes_up + bytes_down) * 8e-6 / seconds, (unsigned long long)retransmitted, (unsigned long long)crossed,
           connected_at_last - start, algorithm);
    for (int k = 0; k < KINDS; k++) printf("%s\"%s\": %llu", k ? ", " : "", names[k], (unsigned long long)by_kind[k]);
    printf("}}\n");
    return failed > 0;
}
