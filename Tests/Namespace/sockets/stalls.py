"""A reader that sleeps stops the writer at the other end, and memory stays within its limits."""

import hashlib
import os
import socket
import struct
import time

from pair import Background, pair

BYTES = 1 << 30
BLOCK = 1 << 20
# What may lie between the two ends: socket buffers of four kernels' sockets, windows and queues of ours.
IN_FLIGHT_LIMIT = 96 << 20
# Resident memory of the client and of the server while the reader sleeps.
RESIDENT_LIMIT = 200 << 20
# The writer counts as stopped when it has not moved for this long, in seconds.
STILL = 3


def resident(name):
    with open(f"/proc/{os.environ[f'TESTBED_{name}_PID']}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Writer:
    def __init__(self, sock):
        self.sock, self.sent, self.digest = sock, 0, hashlib.sha256()
        self.sock.settimeout(120)

    def run(self):
        noise = os.urandom(BLOCK - 8)
        for number in range(BYTES // BLOCK):
            block = memoryview(struct.pack(">Q", number) + noise)
            self.digest.update(block)
            while block:
                count = self.sock.send(block)
                self.sent += count
                block = block[count:]
        self.sock.shutdown(socket.SHUT_WR)


def expect_stop_and_go(writing_end, reading_end):
    writer = Writer(writing_end)
    reading_end.settimeout(30)
    work = Background(writer.run)

    deadline = time.monotonic() + 60
    last, since = -1, time.monotonic()
    while time.monotonic() - since < STILL:
        if writer.sent != last:
            last, since = writer.sent, time.monotonic()
        assert time.monotonic() < deadline, f"the writer never stopped, {writer.sent} bytes so far"
        assert writer.sent <= IN_FLIGHT_LIMIT, f"{writer.sent} bytes written while nobody reads"
        time.sleep(0.1)
    assert writer.sent > 0, "nothing was written at all"
    for name in ("CLIENT", "SERVER"):
        assert resident(name) <= RESIDENT_LIMIT, f"the {name.lower()} uses {resident(name) >> 20} MiB"

    digest, received = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)
    while count := reading_end.recv_into(buffer):
        digest.update(memoryview(buffer)[:count])
        received += count
    work.join_result(30)
    assert received == BYTES, f"{received} bytes arrived"
    assert digest.digest() == writer.digest.digest(), "the bytes differ"
    for name in ("CLIENT", "SERVER"):
        assert resident(name) <= RESIDENT_LIMIT, f"the {name.lower()} uses {resident(name) >> 20} MiB afterwards"


def stalled_reader_of_a_download():
    client, server = pair()
    expect_stop_and_go(server, client)


def stalled_reader_of_an_upload():
    client, server = pair()
    expect_stop_and_go(client, server)


def stalled_flow_does_not_stop_others():
    """While one flow's reader sleeps, another flow of the same tunnel goes on."""
    stalled_client, stalled_server = pair()
    stalled_server.settimeout(2)
    try:
        while True:
            stalled_server.send(bytes(1 << 16))
    except TimeoutError:
        pass
    client, server = pair()
    data = os.urandom(8 << 20)
    work = Background(lambda: server.sendall(data))
    received = bytearray()
    while len(received) < len(data):
        received += client.recv(1 << 16)
    assert received == data
    work.join_result()
    stalled_client.close()


CASES = [stalled_reader_of_a_download, stalled_reader_of_an_upload, stalled_flow_does_not_stop_others]
