#define _GNU_SOURCE
#include "address.h"
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

const char *clinux_error_text(int code) { return strerrordesc_np(code); }

int clinux_is_ipv4(const clinux_endpoint *endpoint) {
    return endpoint->high == 0 && endpoint->low >> 32 == 0xffff;
}

void clinux_from_in_addr(const struct in_addr *address, clinux_endpoint *endpoint) {
    endpoint->high = 0;
    endpoint->low = 0xffff00000000ull | ntohl(address->s_addr);
}

void clinux_from_in6_addr(const struct in6_addr *address, clinux_endpoint *endpoint) {
    uint64_t words[2];
    memcpy(words, address, sizeof words);
    endpoint->high = be64toh(words[0]);
    endpoint->low = be64toh(words[1]);
}

void clinux_to_in6_addr(const clinux_endpoint *endpoint, struct in6_addr *address) {
    uint64_t words[2] = {htobe64(endpoint->high), htobe64(endpoint->low)};
    memcpy(address, words, sizeof words);
}

socklen_t clinux_to_sockaddr(const clinux_endpoint *endpoint, int ipv6, clinux_sockaddr *address) {
    memset(address, 0, sizeof *address);
    if (ipv6) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(endpoint->port);
        clinux_to_in6_addr(endpoint, &address->v6.sin6_addr);
        return sizeof address->v6;
    }
    if (!clinux_is_ipv4(endpoint)) return 0;
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(endpoint->port);
    address->v4.sin_addr.s_addr = htonl((uint32_t)endpoint->low);
    return sizeof address->v4;
}

void clinux_from_sockaddr(const clinux_sockaddr *address, clinux_endpoint *endpoint) {
    if (address->any.sa_family == AF_INET) {
        clinux_from_in_addr(&address->v4.sin_addr, endpoint);
        endpoint->port = ntohs(address->v4.sin_port);
    } else {
        clinux_from_in6_addr(&address->v6.sin6_addr, endpoint);
        endpoint->port = ntohs(address->v6.sin6_port);
    }
}

int clinux_bind(int fd, int ipv6, const clinux_endpoint *endpoint) {
    clinux_sockaddr address;
    socklen_t length = clinux_to_sockaddr(endpoint, ipv6, &address);
    if (length == 0) return -EAFNOSUPPORT;
    return bind(fd, &address.any, length) == 0 ? 0 : -errno;
}

int clinux_connect(int fd, int ipv6, const clinux_endpoint *endpoint) {
    clinux_sockaddr address;
    socklen_t length = clinux_to_sockaddr(endpoint, ipv6, &address);
    if (length == 0) return -EAFNOSUPPORT;
    // An interrupted connect goes on by itself; a second call would answer EALREADY (POSIX, connect).
    if (connect(fd, &address.any, length) == 0) return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int clinux_local_endpoint(int fd, clinux_endpoint *endpoint) {
    clinux_sockaddr address;
    socklen_t length = sizeof address;
    if (getsockname(fd, &address.any, &length) != 0) return -errno;
    clinux_from_sockaddr(&address, endpoint);
    return 0;
}

int clinux_accept(int fd, clinux_endpoint *peer) {
    for (;;) {
        clinux_sockaddr address;
        socklen_t length = sizeof address;
        int connection = accept4(fd, &address.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0) {
            clinux_from_sockaddr(&address, peer);
            return connection;
        }
        // A connection that died in the backlog is not an error of the listener.
        if (errno != EINTR && errno != ECONNABORTED) return -errno;
    }
}

int clinux_resolve(const char *host, uint16_t port, clinux_endpoint *endpoints, int capacity, const char **text) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, NULL, &hints, &list);
    if (code != 0) {
        *text = code == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(code);
        return code;
    }
    int count = 0;
    for (struct addrinfo *entry = list; entry != NULL && count < capacity; entry = entry->ai_next) {
        if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
        clinux_sockaddr address;
        memcpy(&address, entry->ai_addr, entry->ai_addrlen < sizeof address ? entry->ai_addrlen : sizeof address);
        clinux_from_sockaddr(&address, &endpoints[count]);
        endpoints[count].port = port;
        count++;
    }
    freeaddrinfo(list);
    return count;
}
