#pragma once
#include "CLinux.h"
#include <netinet/in.h>
#include <sys/socket.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} clinux_sockaddr;

/// The address as the socket's family wants it, and its length; 0 when an IPv4 socket is given an IPv6 address.
socklen_t clinux_to_sockaddr(const clinux_endpoint *endpoint, int ipv6, clinux_sockaddr *address);
void clinux_from_sockaddr(const clinux_sockaddr *address, clinux_endpoint *endpoint);

void clinux_from_in_addr(const struct in_addr *address, clinux_endpoint *endpoint);
void clinux_from_in6_addr(const struct in6_addr *address, clinux_endpoint *endpoint);
void clinux_to_in6_addr(const clinux_endpoint *endpoint, struct in6_addr *address);
int clinux_is_ipv4(const clinux_endpoint *endpoint);
