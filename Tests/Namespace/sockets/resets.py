"""RST crosses the tunnel as RST, both ways."""

import errno
import os
import signal
import time

from pair import WEB_4, WEB_6, Background, error_of, pair, reset


def expect_reset(sock):
    """The next read fails with ECONNRESET; it neither ends well nor hangs."""
    sock.settimeout(5)
    error = error_of(lambda: sock.recv(1))
    assert error == errno.ECONNRESET, f"recv ended with {error}, expected ECONNRESET"


def reset_by_the_client_4():
    client, server = pair(WEB_4)
    reset(client)
    expect_reset(server)


def reset_by_the_client_6():
    client, server = pair(WEB_6)
    reset(client)
    expect_reset(server)


def reset_by_the_server_4():
    client, server = pair(WEB_4)
    reset(server)
    expect_reset(client)


def reset_by_the_server_6():
    client, server = pair(WEB_6)
    reset(server)
    expect_reset(client)


def reset_under_load(sender, resetter):
    """A writer in full swing learns that its reader has reset."""

    def write():
        while True:
            sender.sendall(bytes(1 << 16))

    writing = Background(lambda: error_of(write))
    received = 0
    while received < 4 << 20:
        received += len(resetter.recv(1 << 16))
    reset(resetter)
    error = writing.join_result(10)
    assert error in (errno.ECONNRESET, errno.EPIPE), f"the writer ended with {error}"


def reset_by_the_client_under_load():
    client, server = pair()
    reset_under_load(server, client)


def reset_by_the_server_under_load():
    client, server = pair()
    reset_under_load(client, server)


def reset_of_open_flows_when_the_client_stops():
    """SIGTERM to the client resets both ends of an open flow."""
    client, server = pair()
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    os.kill(int(os.environ["TESTBED_CLIENT_PID"]), signal.SIGTERM)
    expect_reset(client)
    expect_reset(server)


def reset_of_open_flows_when_the_server_stops():
    """SIGINT to the server resets both ends of an open flow at once; SIGTERM would let it go on for a while."""
    client, server = pair()
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    os.kill(int(os.environ["TESTBED_SERVER_PID"]), signal.SIGINT)
    expect_reset(client)
    expect_reset(server)
    # The runner starts the server again; give this one the time to go.
    time.sleep(1)


CASES = [
    reset_by_the_client_4, reset_by_the_client_6, reset_by_the_server_4, reset_by_the_server_6,
    reset_by_the_client_under_load, reset_by_the_server_under_load, reset_of_open_flows_when_the_client_stops,
    reset_of_open_flows_when_the_server_stops,
]
