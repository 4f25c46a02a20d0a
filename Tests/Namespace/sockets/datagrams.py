"""UDP through the tunnel, as sockets see it."""

import contextlib
import errno
import os
import select
import socket
import struct
import threading

from pair import PATIENCE, WEB_4, WEB_6, family_of, inside

# The most payload of a datagram: an IPv4 packet of 65 535 bytes; IPv6 does not count its header.
LARGEST = {WEB_4: 65507, WEB_6: 65527}


def bound(where, address):
    """A UDP socket of a namespace, on a port of the kernel's choice."""
    with inside(where):
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((address, 0))
    return sock


def application(address):
    """A socket of an application in the client's namespace."""
    with inside("client"):
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    return sock


@contextlib.contextmanager
def echo(address):
    """Sends back each datagram from the web's namespace; gives the endpoint and the set of who was heard."""
    sock, heard, stop = bound("web", address), set(), threading.Event()

    def run():
        while not stop.is_set():
            if not select.select([sock], [], [], 0.1)[0]:
                continue
            data, sender = sock.recvfrom(65536)
            heard.add(sender)
            sock.sendto(data, sender)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sock.getsockname(), heard
    finally:
        stop.set()
        thread.join()
        sock.close()


def pattern(size):
    return bytes((i * 31 + (i >> 8) * 7 + size) & 255 for i in range(size))


def echoed(sock, data, to):
    """Datagrams may get lost: asked for up to five times."""
    for _ in range(5):
        sock.sendto(data, to)
        if select.select([sock], [], [], 4)[0]:
            answer, sender = sock.recvfrom(65536)
            assert sender[:2] == to[:2], (sender, to)
            assert answer == data, f"{len(answer)} bytes came back for {len(data)}"
            return
    raise AssertionError(f"no echo of {len(data)} bytes")


def udp_echo_of_every_size():
    """Sizes around every border: none, one packet, more than a packet, fragments, the largest."""
    for address in (WEB_4, WEB_6):
        with echo(address) as (server, heard), application(address) as sock:
            sizes = [0, 1, 2, 15, 16, 17, 512, 1200, 1472, 1473, 1480, 2000, 4096, 9000, 16383, 16384, 32768, 65000]
            sizes += list(range(1340, 1420, 3)) + [LARGEST[address] - 1, LARGEST[address]]
            for size in sizes:
                echoed(sock, pattern(size), server)
            assert len(heard) == 1, f"one socket was seen as {heard}"


def udp_mapping_does_not_depend_on_the_destination():
    """Two far ends see one socket from the same port (RFC 4787, REQ-1), and a third may answer it (REQ-8)."""
    with echo(WEB_4) as (first, heard_1), echo(WEB_4) as (second, heard_2), application(WEB_4) as sock:
        echoed(sock, b"one", first)
        echoed(sock, b"two", second)
        assert heard_1 == heard_2, (heard_1, heard_2)
        with bound("web", WEB_4) as third:
            third.sendto(b"from a third", next(iter(heard_1)))
            data, sender = sock.recvfrom(100)
            assert (data, sender) == (b"from a third", third.getsockname())


def udp_sockets_are_kept_apart():
    """Fifty sockets at once, each with its own port at the far end and its own answers."""
    with echo(WEB_4) as (server, heard), contextlib.ExitStack() as stack:
        socks = [stack.enter_context(application(WEB_4)) for _ in range(50)]
        for number, sock in enumerate(socks):
            echoed(sock, f"socket {number}".encode(), server)
        assert len(heard) == 50, heard


def udp_port_unreachable():
    """Nobody listens: a connected socket is told ECONNREFUSED."""
    for address in (WEB_4, WEB_6):
        with bound("web", address) as sock:
            closed = sock.getsockname()[1]
        with application(address) as sock:
            sock.connect((address, closed))
            expect_error(sock, {errno.ECONNREFUSED})


def udp_without_a_route():
    """The server has no route there: an application that asks for such errors is told."""
    for name, level, option in (("unreachable_4", socket.IPPROTO_IP, 11), ("unreachable_6", socket.IPPROTO_IPV6, 25)):
        address = os.environ[name]
        with application(address) as sock:
            # IP_RECVERR, IPV6_RECVERR: without it Linux keeps what may pass to itself.
            sock.setsockopt(level, option, 1)
            sock.connect((address, 9))
            expect_error(sock, {errno.EHOSTUNREACH, errno.ENETUNREACH})


def udp_forbidden_destination():
    """The policy forbids loopback and private addresses; an allowed one of the same socket still answers."""
    with application(WEB_4) as sock:
        sock.connect(("10.1.2.3", 9))
        # Linux turns "administratively prohibited" (type 3, code 13) into EHOSTUNREACH.
        expect_error(sock, {errno.EHOSTUNREACH, errno.EACCES})
    with echo(WEB_4) as (server, _), application(WEB_4) as sock:
        sock.sendto(b"to nowhere", ("10.1.2.3", 9))
        echoed(sock, b"to somewhere", server)


def expect_error(sock, expected):
    for _ in range(5):
        try:
            sock.send(b"is anybody there?")
            if select.select([sock], [], [], 4)[0]:
                sock.recv(100)
        except OSError as error:
            assert error.errno in expected, error
            return
    raise AssertionError("no error was told")


def udp_many_datagrams_in_order():
    """Numbered datagrams both ways, so few at once that every queue holds them: all arrive, in order."""
    with echo(WEB_4) as (server, _), application(WEB_4) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        echoed(sock, b"first", server)
        count, came = 2000, []
        for start in range(0, count, 50):
            for number in range(start, start + 50):
                sock.sendto(struct.pack(">I", number) + pattern(1000), server)
            while len(came) < start + 50 and select.select([sock], [], [], 5)[0]:
                came.append(struct.unpack(">I", sock.recv(2000)[:4])[0])
        assert came == list(range(count)), f"{len(came)} of {count} came back"


CASES = [
    udp_echo_of_every_size,
    udp_mapping_does_not_depend_on_the_destination,
    udp_sockets_are_kept_apart,
    udp_port_unreachable,
    udp_without_a_route,
    udp_forbidden_destination,
    udp_many_datagrams_in_order,
]
