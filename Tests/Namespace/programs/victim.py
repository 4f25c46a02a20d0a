#!/usr/bin/env python3
"""An application behind a client whose server plays tricks: victim.py ADDRESS HONEST-PORT PORT PLACE

PLACE is where Tests/HostileClient plays the trick of PORT: reply, chunk or datagram. A connection to the honest port goes on beside it. Fails when a byte comes
that the server did not seal. Behind a bad reply there is no connection, and nobody knows what the destination would have said; behind
a bad chunk follows RST; a bad datagram is not seen."""
import socket
import sys

address, honest_port, port, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
GOOD, ATTACK = b"good\n", b"attack\n"
PATIENCE, QUIET = 5, 0.1
# Less than the second after which the kernel repeats its SYN, and asks the server anew.
CONNECTING = 0.4


def tcp():
    application = socket.socket()
    if place == "reply":
        return expect_silence(application)
    application.settimeout(PATIENCE)
    application.connect((address, port))
    application.sendall(GOOD)
    expect(application, GOOD)
    application.sendall(ATTACK)
    expect_reset(application)


def expect_silence(application):
    application.settimeout(CONNECTING)
    try:
        application.connect((address, port))
    except TimeoutError:
        return
    raise AssertionError("connected by a reply that does not open")


def expect(application, wanted):
    found = b""
    while len(found) < len(wanted):
        piece = application.recv(65536)
        assert piece, "the connection has ended"
        found += piece
    assert found == wanted, f"found {found[:80]!r}"


def expect_reset(application):
    try:
        found = application.recv(65536)
    except ConnectionResetError:
        return
    raise AssertionError(f"no RST, but {found[:80]!r}")


def udp():
    application = socket.socket(type=socket.SOCK_DGRAM)
    application.settimeout(PATIENCE)
    application.connect((address, port))
    for text in (GOOD, ATTACK, GOOD):
        application.send(text)
        found = application.recv(65536)
        assert found == GOOD, f"found {found[:80]!r}"
    application.settimeout(QUIET)
    try:
        found = application.recv(65536)
    except TimeoutError:
        return
    raise AssertionError(f"more came than was sent: {found[:80]!r}")


honest = socket.create_connection((address, honest_port), timeout=PATIENCE)
honest.sendall(GOOD)
expect(honest, GOOD)
udp() if place == "datagram" else tcp()
honest.sendall(GOOD)
honest.shutdown(socket.SHUT_WR)
expect(honest, GOOD)
assert honest.recv(1) == b"", "more than the echo"
