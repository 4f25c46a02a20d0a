#include "CCares.h"
#include <ares.h>
#include <arpa/nameser.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

struct ccares_channel {
    ares_channel channel;
    ccares_watch watch;
    ccares_answer answer;
    void *context;
    int closing;
    // Where questions come from; empty and of no family for the kernel's choice.
    char interface[IFNAMSIZ];
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

typedef struct {
    ccares_channel *owner;
    uint64_t number;
    int ipv6;
} query;

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable) {
    ccares_channel *channel = context;
    channel->watch(channel->context, fd, readable, writable);
}

// c-ares has settings of its own for interface and source, but goes on without a word where the kernel refuses them, and does not know
// loopback from other servers. So the sockets are made here.

static ares_socket_t open_socket(int family, int type, int protocol, void *context) {
    (void)context;
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int close_socket(ares_socket_t fd, void *context) {
    (void)context;
    return close(fd);
}

static int is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t length, void *context) {
    ccares_channel *channel = context;
    if (!is_loopback(address)) {
        const char *name = channel->interface;
        if (*name && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) < 0) return -1;
        const struct sockaddr *source = address->sa_family == AF_INET6 ? (const struct sockaddr *)&channel->ipv6
                                                                       : (const struct sockaddr *)&channel->ipv4;
        socklen_t size = address->sa_family == AF_INET6 ? sizeof channel->ipv6 : sizeof channel->ipv4;
        if (source->sa_family != AF_UNSPEC && bind(fd, source, size) < 0) return -1;
    }
    return connect(fd, address, length);
}

static ares_ssize_t receive(ares_socket_t fd, void *bytes, size_t count, int flags, struct sockaddr *from,
                            ares_socklen_t *length, void *context) {
    (void)context;
    return recvfrom(fd, bytes, count, flags, from, length);
}

static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *parts, int count, void *context) {
    (void)context;
    return writev(fd, parts, count);
}

static const struct ares_socket_functions socket_functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = transmit,
};

int ccares_open(ccares_channel **result, const char *servers, int timeout_ms, int tries, ccares_watch watch,
                ccares_answer answer, void *context) {
    *result = NULL;
    ccares_channel *channel = calloc(1, sizeof *channel);
    if (!channel) return ARES_ENOMEM;
    channel->watch = watch;
    channel->answer = answer;
    channel->context = context;
    struct ares_options options = {
        .timeout = timeout_ms,
        .tries = tries,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
    };
    int code =
        ares_init_options(&channel->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (code != ARES_SUCCESS) {
        free(channel);
        return code;
    }
    ares_set_socket_functions(channel->channel, &socket_functions, channel);
    if (servers) {
        code = ares_set_servers_ports_csv(channel->channel, servers);
        if (code != ARES_SUCCESS) {
            ccares_close(channel);
            return code;
        }
    }
    *result = channel;
    return 0;
}

static void put_big_endian(uint64_t value, unsigned char *bytes) {
    for (int i = 7; i >= 0; i--, value >>= 8) bytes[i] = (unsigned char)value;
}

void ccares_set_source(ccares_channel *channel, const char *interface, const ccares_address *ipv4,
                       const ccares_address *ipv6) {
    memset(channel->interface, 0, sizeof channel->interface);
    if (interface) strncpy(channel->interface, interface, sizeof channel->interface - 1);
    channel->ipv4 = (struct sockaddr_in){.sin_family = AF_UNSPEC};
    if (ipv4) {
        channel->ipv4.sin_family = AF_INET;
        channel->ipv4.sin_addr.s_addr = htonl((uint32_t)ipv4->low);
    }
    channel->ipv6 = (struct sockaddr_in6){.sin6_family = AF_UNSPEC};
    if (ipv6) {
        channel->ipv6.sin6_family = AF_INET6;
        put_big_endian(ipv6->high, channel->ipv6.sin6_addr.s6_addr);
        put_big_endian(ipv6->low, channel->ipv6.sin6_addr.s6_addr + 8);
    }
}

void ccares_close(ccares_channel *channel) {
    channel->closing = 1;
    ares_destroy(channel->channel);
    free(channel);
}

static uint64_t big_endian(const unsigned char *bytes) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
    return value;
}

static uint32_t seconds(int ttl) { return ttl < 0 ? 0 : (uint32_t)ttl; } // RFC 2181, section 8

// How many addresses an answer has, or a negative number when it cannot be read.
static int parse(const query *query, const unsigned char *bytes, int length, ccares_address *addresses) {
    int count = CCARES_ADDRESS_LIMIT;
    if (query->ipv6) {
        struct ares_addr6ttl found[CCARES_ADDRESS_LIMIT];
        int code = ares_parse_aaaa_reply(bytes, length, NULL, found, &count);
        if (code != ARES_SUCCESS) return code == ARES_ENODATA ? 0 : -1;
        for (int i = 0; i < count; i++) {
            const unsigned char *address = (const unsigned char *)&found[i].ip6addr;
            addresses[i] = (ccares_address){big_endian(address), big_endian(address + 8), seconds(found[i].ttl)};
        }
    } else {
        struct ares_addrttl found[CCARES_ADDRESS_LIMIT];
        int code = ares_parse_a_reply(bytes, length, NULL, found, &count);
        if (code != ARES_SUCCESS) return code == ARES_ENODATA ? 0 : -1;
        for (int i = 0; i < count; i++)
            addresses[i] =
                (ccares_address){0, 0xffff00000000 | ntohl(found[i].ipaddr.s_addr), seconds(found[i].ttl)};
    }
    return count;
}

static void on_answer(void *context, int code, int timeouts, unsigned char *bytes, int length) {
    (void)timeouts;
    query *asked = context;
    ccares_channel *channel = asked->owner;
    ccares_address addresses[CCARES_ADDRESS_LIMIT];
    int count = 0;
    ccares_status status = CCARES_FAILED;
    switch (code) {
    case ARES_SUCCESS:
        count = parse(asked, bytes, length, addresses);
        status = count > 0 ? CCARES_ADDRESSES : count == 0 ? CCARES_NONE : CCARES_FAILED;
        break;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        status = CCARES_NONE;
        break;
    default:
        break;
    }
    uint64_t number = asked->number;
    free(asked);
    if (!channel->closing) channel->answer(channel->context, number, status, addresses, count > 0 ? count : 0);
}

void ccares_query(ccares_channel *channel, const char *name, int ipv6, uint64_t number) {
    query *asked = malloc(sizeof *asked);
    if (!asked) {
        channel->answer(channel->context, number, CCARES_FAILED, NULL, 0);
        return;
    }
    *asked = (query){channel, number, ipv6};
    ares_query(channel->channel, name, ns_c_in, ipv6 ? ns_t_aaaa : ns_t_a, on_answer, asked);
}

void ccares_process(ccares_channel *channel, int read_fd, int write_fd) {
    ares_process_fd(channel->channel, read_fd < 0 ? ARES_SOCKET_BAD : read_fd,
                    write_fd < 0 ? ARES_SOCKET_BAD : write_fd);
}

int64_t ccares_timeout(ccares_channel *channel) {
    struct timeval memory;
    struct timeval *left = ares_timeout(channel->channel, NULL, &memory);
    // Rounded up: a moment too early finds nothing due, and would come again and again.
    return left ? (int64_t)left->tv_sec * 1000 + left->tv_usec / 1000 + 1 : -1;
}

const char *ccares_error_text(int code) { return ares_strerror(code); }
