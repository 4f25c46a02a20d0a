#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const struct { int level, name; } options[] = {
    [CLINUX_MARK] = {SOL_SOCKET, SO_MARK},
    [CLINUX_RECEIVE_BUFFER] = {SOL_SOCKET, SO_RCVBUF},
    [CLINUX_SEND_BUFFER] = {SOL_SOCKET, SO_SNDBUF},
    [CLINUX_FORCE_RECEIVE_BUFFER] = {SOL_SOCKET, SO_RCVBUFFORCE},
    [CLINUX_FORCE_SEND_BUFFER] = {SOL_SOCKET, SO_SNDBUFFORCE},
    [CLINUX_REUSE_ADDRESS] = {SOL_SOCKET, SO_REUSEADDR},
    [CLINUX_PENDING_ERROR] = {SOL_SOCKET, SO_ERROR},
    [CLINUX_IPV6_ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
    [CLINUX_IPV4_MTU_DISCOVER] = {IPPROTO_IP, IP_MTU_DISCOVER},
    [CLINUX_IPV6_MTU_DISCOVER] = {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    [CLINUX_IPV4_RECEIVE_TOS] = {IPPROTO_IP, IP_RECVTOS},
    [CLINUX_IPV6_RECEIVE_TCLASS] = {IPPROTO_IPV6, IPV6_RECVTCLASS},
    [CLINUX_IPV4_PACKET_INFO] = {IPPROTO_IP, IP_PKTINFO},
    [CLINUX_IPV6_PACKET_INFO] = {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    [CLINUX_BIND_WITHOUT_PORT] = {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    [CLINUX_UDP_SEGMENT] = {IPPROTO_UDP, UDP_SEGMENT},
    [CLINUX_UDP_GRO] = {IPPROTO_UDP, UDP_GRO},
    [CLINUX_REUSE_PORT] = {SOL_SOCKET, SO_REUSEPORT},
    [CLINUX_TCP_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
    [CLINUX_KEEP_ALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
    [CLINUX_TCP_KEEP_IDLE] = {IPPROTO_TCP, TCP_KEEPIDLE},
    [CLINUX_IPV4_RECEIVE_ERRORS] = {IPPROTO_IP, IP_RECVERR},
    [CLINUX_IPV6_RECEIVE_ERRORS] = {IPPROTO_IPV6, IPV6_RECVERR},
};

int clinux_socket(int ipv6, clinux_socket_type type) {
    int kind = type == CLINUX_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

int clinux_set(int fd, clinux_option option, int value) {
    return setsockopt(fd, options[option].level, options[option].name, &value, sizeof value) == 0 ? 0 : -errno;
}

int clinux_get(int fd, clinux_option option, int *value) {
    socklen_t length = sizeof *value;
    return getsockopt(fd, options[option].level, options[option].name, value, &length) == 0 ? 0 : -errno;
}

int clinux_linger_zero(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0 ? 0 : -errno;
}

int clinux_bind_to_device(int fd, const char *name) {
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) == 0 ? 0 : -errno;
}

int clinux_listen(int fd, int backlog) { return listen(fd, backlog) == 0 ? 0 : -errno; }

int clinux_shutdown_write(int fd) { return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno; }

#define RETRY(call)                                                                                                    \
    for (;;) {                                                                                                         \
        ssize_t result = (call);                                                                                       \
        if (result >= 0) return result;                                                                                \
        if (errno != EINTR) return -errno;                                                                             \
    }

ssize_t clinux_read(int fd, void *buffer, size_t count) { RETRY(read(fd, buffer, count)) }

ssize_t clinux_readv(int fd, const void *vectors, int count) { RETRY(readv(fd, vectors, count)) }

ssize_t clinux_writev(int fd, const void *vectors, int count) { RETRY(writev(fd, vectors, count)) }

ssize_t clinux_sendv(int fd, const void *vectors, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)vectors, .msg_iovlen = (size_t)count};
    RETRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT))
}

// Linux has closed the descriptor even when close answers EINTR: no retry.
int clinux_close(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -errno; }
