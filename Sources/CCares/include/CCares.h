#pragma once
// What LinuxIO needs of c-ares, without its headers: they bring in those of the system, which clash with Swift's own.
#include <stdint.h>

/// IPv4 is written as ::ffff:a.b.c.d, as in CLinux; `lifetime` in seconds.
typedef struct {
    uint64_t high, low;
    uint32_t lifetime;
} ccares_address;

#define CCARES_ADDRESS_LIMIT 32

typedef enum { CCARES_ADDRESSES, CCARES_NONE, CCARES_FAILED } ccares_status;

/// What a descriptor is to be watched for; neither means that it is about to be closed.
typedef void (*ccares_watch)(void *context, int fd, int readable, int writable);
/// How a query ended; addresses are good during the call.
typedef void (*ccares_answer)(void *context, uint64_t query, ccares_status status, const ccares_address *addresses,
                              int count);

typedef struct ccares_channel ccares_channel;

/// Opens a channel to name servers. `servers` is `ADDRESS:PORT,…`, or NULL for those of /etc/resolv.conf.
/// Returns 0, or c-ares's number of the failure.
int ccares_open(ccares_channel **channel, const char *servers, int timeout_ms, int tries, ccares_watch watch,
                ccares_answer answer, void *context);
/// From where name servers are asked from now on, those on a loopback address excepted: the interface, or NULL for the one that the
/// routes name, and an address of each family, or NULL for the kernel's choice. A question that cannot leave so does not leave.
void ccares_set_source(ccares_channel *channel, const char *interface, const ccares_address *ipv4,
                       const ccares_address *ipv6);
/// Forgets all queries without an answer.
void ccares_close(ccares_channel *channel);
/// Asks for the A or AAAA records of a name as it is, without a search list or /etc/hosts. The answer may come at once.
void ccares_query(ccares_channel *channel, const char *name, int ipv6, uint64_t query);
/// A descriptor is ready to be read or written (-1 for none), and the time has gone on.
void ccares_process(ccares_channel *channel, int read_fd, int write_fd);
/// Milliseconds until ccares_process is due; -1 when no query is under way.
int64_t ccares_timeout(ccares_channel *channel);
/// Static English text.
const char *ccares_error_text(int code);
