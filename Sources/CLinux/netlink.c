#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int clinux_netlink_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    int on = 1;
    // Better error texts and filtered dumps; a kernel without them answers all the same.
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    struct timeval timeout = {.tv_sec = 2};
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

int clinux_netlink_monitor_open(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    struct sockaddr_nl address = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR |
                     RTMGRP_IPV6_ROUTE,
    };
    int rules = RTNLGRP_IPV6_RULE; // has no bit of its own
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &rules, sizeof rules) != 0) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

ssize_t clinux_netlink_send(int fd, const void *bytes, size_t count) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    for (;;) {
        ssize_t n = sendto(fd, bytes, count, 0, (struct sockaddr *)&kernel, sizeof kernel);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}

ssize_t clinux_netlink_receive(int fd, void *bytes, size_t count) {
    for (;;) {
        struct sockaddr_nl sender;
        socklen_t length = sizeof sender;
        ssize_t n = recvfrom(fd, bytes, count, 0, (struct sockaddr *)&sender, &length);
        // Other processes may write to a netlink socket; only the kernel's word counts.
        if (n >= 0 && sender.nl_pid != 0) continue;
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}
