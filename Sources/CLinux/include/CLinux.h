#pragma once
// System calls that Swift cannot make well by itself: those with control messages, function-like macros, packed
// structures or variadic arguments. LinuxIO is the only importer.
//
// A function that can fail returns a negative errno, and retries by itself when a signal interrupts it.
// No _GNU_SOURCE and no netinet/udp.h here: both clash with Swift's own modules. They belong into the .c files.
// No sys/uio.h either, or Swift takes `iovec` for ours instead of Glibc's: vectors are passed as untyped pointers.
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// MARK: Addresses (address.c)

/// An address and a port as numbers in host order. IPv4 is written as ::ffff:a.b.c.d (high 0, low 0xffff_aabbccdd).
typedef struct {
    uint64_t high, low;
    uint16_t port;
} clinux_endpoint;

/// Static English text for an errno, or NULL.
const char *clinux_error_text(int code);
int clinux_bind(int fd, int ipv6, const clinux_endpoint *endpoint);
int clinux_connect(int fd, int ipv6, const clinux_endpoint *endpoint);
int clinux_local_endpoint(int fd, clinux_endpoint *endpoint);
/// A non-blocking, close-on-exec connection, or -EAGAIN.
int clinux_accept(int fd, clinux_endpoint *peer);
/// getaddrinfo: how many of `capacity` endpoints were filled, in the order of RFC 6724, or a negative EAI code with
/// its English text in `text` (static memory). Blocks.
int clinux_resolve(const char *host, uint16_t port, clinux_endpoint *endpoints, int capacity, const char **text);

// MARK: Sockets (socket.c)

typedef enum { CLINUX_DATAGRAM, CLINUX_STREAM } clinux_socket_type;
typedef enum {
    CLINUX_MARK,
    CLINUX_RECEIVE_BUFFER,
    CLINUX_SEND_BUFFER,
    CLINUX_FORCE_RECEIVE_BUFFER,
    CLINUX_FORCE_SEND_BUFFER,
    CLINUX_REUSE_ADDRESS,
    CLINUX_PENDING_ERROR,
    CLINUX_IPV6_ONLY,
    CLINUX_IPV4_MTU_DISCOVER,
    CLINUX_IPV6_MTU_DISCOVER,
    CLINUX_IPV4_RECEIVE_TOS,
    CLINUX_IPV6_RECEIVE_TCLASS,
    CLINUX_IPV4_PACKET_INFO,
    CLINUX_IPV6_PACKET_INFO,
    CLINUX_BIND_WITHOUT_PORT,
    CLINUX_UDP_SEGMENT,
    CLINUX_UDP_GRO,
    CLINUX_REUSE_PORT,
    CLINUX_TCP_NODELAY,
    CLINUX_KEEP_ALIVE,
    /// Seconds of quiet before the first probe.
    CLINUX_TCP_KEEP_IDLE,
    /// Errors of the network wait in a queue, each with the datagram's destination (ip(7), IP_RECVERR).
    CLINUX_IPV4_RECEIVE_ERRORS,
    CLINUX_IPV6_RECEIVE_ERRORS,
} clinux_option;

/// IP_PMTUDISC_DONT: the kernel and the routers cut what is too large for the path.
#define CLINUX_MTU_DISCOVER_DONT 0
/// IP_PMTUDISC_PROBE: sets "don't fragment" and ignores the kernel's idea of the path MTU.
#define CLINUX_MTU_DISCOVER_PROBE 3

/// A non-blocking, close-on-exec socket.
int clinux_socket(int ipv6, clinux_socket_type type);
int clinux_set(int fd, clinux_option option, int value);
int clinux_get(int fd, clinux_option option, int *value);
/// SO_LINGER with zero seconds: close() then sends RST.
int clinux_linger_zero(int fd);
/// SO_BINDTODEVICE: packets leave by this interface alone, and none of another's are taken.
int clinux_bind_to_device(int fd, const char *name);
int clinux_listen(int fd, int backlog);
int clinux_shutdown_write(int fd);
ssize_t clinux_read(int fd, void *buffer, size_t count);
ssize_t clinux_readv(int fd, const void *vectors, int count);
ssize_t clinux_writev(int fd, const void *vectors, int count);
/// writev on a socket, without SIGPIPE.
ssize_t clinux_sendv(int fd, const void *vectors, int count);
int clinux_close(int fd);

// MARK: UDP batches (udp.c)

/// One received message: with UDP_GRO several datagrams of `segment` bytes each, the last one shorter or equal.
typedef struct {
    void *bytes;
    uint32_t length;
    uint32_t segment;
    clinux_endpoint from;
    /// Where the datagram was sent to, if has_to; the port is not filled in.
    clinux_endpoint to;
    uint8_t has_to;
    uint8_t ecn;
    uint8_t truncated;
} clinux_message;

typedef struct clinux_receiver clinux_receiver;

/// Memory for `capacity` messages of `bytes` bytes each. NULL when out of memory.
clinux_receiver *clinux_receiver_create(int capacity, size_t bytes);
void clinux_receiver_destroy(clinux_receiver *receiver);
/// The messages that the last clinux_receive filled.
const clinux_message *clinux_receiver_messages(const clinux_receiver *receiver);
/// One recvmmsg: how many messages came, or -EAGAIN.
int clinux_receive(int fd, clinux_receiver *receiver, int limit);

/// Steers the datagrams of QUIC among the `count` sockets that share the port of `fd`, in the order of their binding: by
/// the first byte of the destination connection ID, modulo `count` (RFC 9000, section 17). 0 or -errno.
int clinux_steer_by_connection_id(int fd, unsigned count);

#define CLINUX_SEND_LIMIT 64
/// One sendmsg. `segment` 0: the bytes are one datagram; else UDP_SEGMENT splits them. `from` may be NULL.
ssize_t clinux_send(int fd, int ipv6, const void *bytes, size_t count, uint16_t segment, const clinux_endpoint *to,
                    const clinux_endpoint *from, uint8_t ecn);
/// One sendmmsg of datagrams of `segment` bytes each, CLINUX_SEND_LIMIT at most: how many were sent.
int clinux_send_each(int fd, int ipv6, const void *bytes, size_t count, size_t segment, const clinux_endpoint *to,
                     const clinux_endpoint *from, uint8_t ecn);

/// What became of a datagram that was sent earlier.
typedef struct {
    /// Where it was to go.
    clinux_endpoint to;
    int32_t code; // errno
    /// An ICMP error forbids it: communication administratively prohibited, or source address failed policy.
    uint8_t is_prohibited;
} clinux_datagram_error;
/// Takes the oldest error off the socket's queue: 1, or -EAGAIN when there is none.
int clinux_receive_error(int fd, clinux_datagram_error *error);

// MARK: TUN (tun.c)

/// Opens /dev/net/tun, non-blocking.
int clinux_tun_open(void);
/// Makes the interface: IFF_TUN, IFF_NO_PI, IFF_VNET_HDR with a header of 10 bytes. `name` may hold a pattern such as
/// "tun%d"; the name given is written to `result` (16 bytes).
int clinux_tun_attach(int fd, const char *name, char *result);
int clinux_tun_set_offload(int fd, unsigned flags);

// MARK: Events and time (events.c)

enum { CLINUX_READABLE = 1, CLINUX_WRITABLE = 2, CLINUX_HANGUP = 4, CLINUX_ERROR = 8 };
#define CLINUX_EVENT_LIMIT 256

typedef struct {
    uint64_t tag;
    uint32_t readiness;
} clinux_event;

int clinux_epoll_create(void);
/// Edge-triggered; `interest` of CLINUX_READABLE and CLINUX_WRITABLE.
int clinux_epoll_add(int epoll, int fd, uint64_t tag, uint32_t interest);
/// Changes the interest; what holds already is told again.
int clinux_epoll_modify(int epoll, int fd, uint64_t tag, uint32_t interest);
int clinux_epoll_remove(int epoll, int fd);
/// Waits for `nanoseconds`, for ever when negative. At most CLINUX_EVENT_LIMIT events; 0 also after a signal.
int clinux_epoll_wait(int epoll, clinux_event *events, int64_t nanoseconds);
// Sleeps until that time of CLOCK_MONOTONIC, in nanoseconds, or until a signal.
void clinux_sleep_until(uint64_t nanoseconds);
int clinux_eventfd(void);
void clinux_eventfd_signal(int fd);
void clinux_eventfd_drain(int fd);
/// Blocks the signals in this thread and adds them to `fd`, or to a new signalfd when `fd` is negative.
/// `signals` is the whole set, not the difference.
int clinux_signalfd(int fd, const int32_t *signals, int count);
/// The next signal's number, or -EAGAIN.
int clinux_signalfd_read(int fd);
void clinux_ignore_sigpipe(void);
/// CLOCK_MONOTONIC.
uint64_t clinux_monotonic_nanoseconds(void);
/// Fills the buffer with random bytes, or aborts: a kernel without them is not one to run on.
void clinux_random(void *buffer, size_t count);
/// Runs `body(context)` on a detached thread on which all signals are blocked.
int clinux_spawn(void (*body)(void *context), void *context);

// MARK: Netlink (netlink.c)

/// A NETLINK_ROUTE socket with extended acknowledgements, strict dump checking and a receive timeout of two seconds.
int clinux_netlink_open(void);
/// A NETLINK_ROUTE socket that does not block and is told of changes to links, addresses, routes and rules.
int clinux_netlink_monitor_open(void);
ssize_t clinux_netlink_send(int fd, const void *bytes, size_t count);
ssize_t clinux_netlink_receive(int fd, void *bytes, size_t count);

// MARK: Namespaces (namespace.c)

/// Moves the calling thread, not the process, into a new and empty network namespace.
int clinux_unshare_network(void);
/// Takes all capabilities from the calling thread, not from the process, for ever.
int clinux_drop_capabilities(void);

/// Names the calling thread: up to 15 bytes.
void clinux_name_thread(const char *name);
/// Processors that this process may use, at least one.
unsigned clinux_processor_count(void);

// MARK: Memory (memory.c)

/// Takes the pages of code and constants of the program and its libraries out of this process's memory; each comes back from
/// its file when it is next used. How many bytes of address space these pages may fill.
size_t clinux_release_program_pages(void);
