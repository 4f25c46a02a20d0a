#define _GNU_SOURCE
#include "address.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/types.h>
#include <netinet/udp.h>
#include <time.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>

// Room for the control messages of one datagram: packet info, traffic class, segment size.
#define CONTROL_SIZE (CMSG_SPACE(sizeof(struct in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)))

typedef union {
    char bytes[CONTROL_SIZE + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
} control_buffer;

struct clinux_receiver {
    int capacity;
    size_t size;
    char *memory;
    struct mmsghdr *headers;
    struct iovec *vectors;
    clinux_sockaddr *sources;
    control_buffer *controls;
    clinux_message *messages;
};

clinux_receiver *clinux_receiver_create(int capacity, size_t size) {
    clinux_receiver *receiver = calloc(1, sizeof *receiver);
    if (receiver == NULL) return NULL;
    size_t n = (size_t)capacity;
    receiver->capacity = capacity;
    receiver->size = size;
    receiver->memory = malloc(n * size);
    receiver->headers = calloc(n, sizeof *receiver->headers);
    receiver->vectors = calloc(n, sizeof *receiver->vectors);
    receiver->sources = calloc(n, sizeof *receiver->sources);
    receiver->controls = calloc(n, sizeof *receiver->controls);
    receiver->messages = calloc(n, sizeof *receiver->messages);
    if (!receiver->memory || !receiver->headers || !receiver->vectors || !receiver->sources || !receiver->controls ||
        !receiver->messages) {
        clinux_receiver_destroy(receiver);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        receiver->vectors[i] = (struct iovec){receiver->memory + i * size, size};
        receiver->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &receiver->sources[i],
            .msg_iov = &receiver->vectors[i],
            .msg_iovlen = 1,
            .msg_control = &receiver->controls[i],
        };
    }
    return receiver;
}

void clinux_receiver_destroy(clinux_receiver *receiver) {
    free(receiver->memory);
    free(receiver->headers);
    free(receiver->vectors);
    free(receiver->sources);
    free(receiver->controls);
    free(receiver->messages);
    free(receiver);
}

const clinux_message *clinux_receiver_messages(const clinux_receiver *receiver) { return receiver->messages; }

// IP_TOS arrives as one byte, IPV6_TCLASS and UDP_GRO as int, IP_TOS on some kernels as int too.
static int control_int(struct cmsghdr *control) {
    if (control->cmsg_len < CMSG_LEN(sizeof(int))) return *CMSG_DATA(control);
    int value;
    memcpy(&value, CMSG_DATA(control), sizeof value);
    return value;
}

static void read_control(struct msghdr *header, clinux_message *message) {
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control)) {
        int level = control->cmsg_level, type = control->cmsg_type;
        if (level == IPPROTO_UDP && type == UDP_GRO) {
            int segment = control_int(control);
            if (segment > 0) message->segment = (uint32_t)segment;
        } else if ((level == IPPROTO_IP && type == IP_TOS) || (level == IPPROTO_IPV6 && type == IPV6_TCLASS)) {
            message->ecn = (uint8_t)(control_int(control) & 3);
        } else if (level == IPPROTO_IP && type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(control), sizeof info);
            clinux_from_in_addr(&info.ipi_addr, &message->to);
            message->has_to = 1;
        } else if (level == IPPROTO_IPV6 && type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(control), sizeof info);
            clinux_from_in6_addr(&info.ipi6_addr, &message->to);
            message->has_to = 1;
        }
    }
}

int clinux_receive(int fd, clinux_receiver *receiver, int limit) {
    if (limit > receiver->capacity) limit = receiver->capacity;
    for (int i = 0; i < limit; i++) {
        struct msghdr *header = &receiver->headers[i].msg_hdr;
        header->msg_namelen = sizeof receiver->sources[i];
        header->msg_controllen = sizeof receiver->controls[i];
        header->msg_flags = 0;
    }
    int count;
    do {
        count = recvmmsg(fd, receiver->headers, (unsigned)limit, MSG_DONTWAIT, NULL);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) {
        struct msghdr *header = &receiver->headers[i].msg_hdr;
        clinux_message *message = &receiver->messages[i];
        message->bytes = receiver->vectors[i].iov_base;
        message->length = receiver->headers[i].msg_len;
        message->segment = message->length;
        message->has_to = 0;
        message->ecn = 0;
        message->truncated = (header->msg_flags & MSG_TRUNC) != 0;
        clinux_from_sockaddr(&receiver->sources[i], &message->from);
        read_control(header, message);
    }
    return count;
}

static struct cmsghdr *append(struct msghdr *header, int level, int type, size_t size) {
    struct cmsghdr *control = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    header->msg_controllen += CMSG_SPACE(size);
    return control;
}

static void write_control(struct msghdr *header, control_buffer *buffer, uint16_t segment, const clinux_endpoint *to,
                          const clinux_endpoint *from, uint8_t ecn) {
    memset(buffer, 0, sizeof *buffer);
    header->msg_control = buffer;
    header->msg_controllen = 0;
    int ipv4 = clinux_is_ipv4(to);
    if (segment != 0) memcpy(CMSG_DATA(append(header, IPPROTO_UDP, UDP_SEGMENT, sizeof segment)), &segment, sizeof segment);
    if (ecn != 0) {
        // A dual-stack socket takes IP_TOS for a mapped destination (ip_cmsg_send).
        int value = ecn;
        struct cmsghdr *control = ipv4 ? append(header, IPPROTO_IP, IP_TOS, sizeof value)
                                       : append(header, IPPROTO_IPV6, IPV6_TCLASS, sizeof value);
        memcpy(CMSG_DATA(control), &value, sizeof value);
    }
    if (from != NULL && ipv4 && clinux_is_ipv4(from)) {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl((uint32_t)from->low)};
        memcpy(CMSG_DATA(append(header, IPPROTO_IP, IP_PKTINFO, sizeof info)), &info, sizeof info);
    } else if (from != NULL && !ipv4) {
        struct in6_pktinfo info = {.ipi6_ifindex = 0};
        clinux_to_in6_addr(from, &info.ipi6_addr);
        memcpy(CMSG_DATA(append(header, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info)), &info, sizeof info);
    }
    if (header->msg_controllen == 0) header->msg_control = NULL;
}

ssize_t clinux_send(int fd, int ipv6, const void *bytes, size_t count, uint16_t segment, const clinux_endpoint *to,
                    const clinux_endpoint *from, uint8_t ecn) {
    clinux_sockaddr address;
    socklen_t length = clinux_to_sockaddr(to, ipv6, &address);
    if (length == 0) return -EAFNOSUPPORT;
    struct iovec vector = {(void *)bytes, count};
    struct msghdr header = {.msg_name = &address, .msg_namelen = length, .msg_iov = &vector, .msg_iovlen = 1};
    control_buffer control;
    write_control(&header, &control, segment, to, from, ecn);
    for (;;) {
        ssize_t sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

int clinux_send_each(int fd, int ipv6, const void *bytes, size_t count, size_t segment, const clinux_endpoint *to,
                     const clinux_endpoint *from, uint8_t ecn) {
    clinux_sockaddr address;
    socklen_t length = clinux_to_sockaddr(to, ipv6, &address);
    if (length == 0) return -EAFNOSUPPORT;
    struct msghdr shared = {.msg_name = &address, .msg_namelen = length, .msg_iovlen = 1};
    control_buffer control;
    write_control(&shared, &control, 0, to, from, ecn);

    struct mmsghdr headers[CLINUX_SEND_LIMIT];
    struct iovec vectors[CLINUX_SEND_LIMIT];
    unsigned n = 0;
    for (size_t offset = 0; offset < count && n < CLINUX_SEND_LIMIT; offset += segment, n++) {
        vectors[n] = (struct iovec){(char *)bytes + offset, count - offset < segment ? count - offset : segment};
        headers[n].msg_hdr = shared;
        headers[n].msg_hdr.msg_iov = &vectors[n];
    }
    for (;;) {
        int sent = sendmmsg(fd, headers, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

int clinux_steer_by_connection_id(int fd, unsigned count) {
    // Offsets count from the UDP payload. A long header has version and length before the identifier, a short one has
    // it next. What is too short for the load goes to the first socket, which ignores it.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0 ? 0 : -errno;
}

// RFC 1812, section 5.2.7.1 (type 3: codes 9, 10, 13) and RFC 4443, section 3.1 (type 1: codes 1, 5, 6).
static int is_prohibition(const struct sock_extended_err *error) {
    if (error->ee_origin == SO_EE_ORIGIN_ICMP)
        return error->ee_type == 3 && (error->ee_code == 9 || error->ee_code == 10 || error->ee_code == 13);
    if (error->ee_origin == SO_EE_ORIGIN_ICMP6)
        return error->ee_type == 1 && (error->ee_code == 1 || error->ee_code == 5 || error->ee_code == 6);
    return 0;
}

int clinux_receive_error(int fd, clinux_datagram_error *error) {
    clinux_sockaddr address;
    memset(&address, 0, sizeof address);
    // Room for the error and the address of who reported it.
    union {
        char bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6)) + CONTROL_SIZE];
        struct cmsghdr align;
    } control;
    // The datagram itself is of no interest.
    struct msghdr header = {.msg_name = &address,
                            .msg_namelen = sizeof address,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t count;
    do {
        count = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return -errno;
    memset(error, 0, sizeof *error);
    clinux_from_sockaddr(&address, &error->to);
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
        int is_error = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                      (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
        if (!is_error || part->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err))) continue;
        struct sock_extended_err details;
        memcpy(&details, CMSG_DATA(part), sizeof details);
        error->code = (int32_t)details.ee_errno;
        error->is_prohibited = (uint8_t)is_prohibition(&details);
    }
    return 1;
}
