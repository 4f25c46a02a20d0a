"""connect() tells the truth about the server's dial."""

import errno
import os
import socket
import subprocess
import time

from pair import WEB_4, WEB_6, Background, client_socket, error_of, inside

PROMPT = 2.0
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)


def connect_error(address, port, timeout=10):
    """What connect fails with, and after how many seconds."""
    sock = client_socket(address)
    sock.settimeout(timeout)
    started = time.monotonic()
    error = error_of(lambda: sock.connect((address, port)))
    sock.close()
    return error, time.monotonic() - started


def closed_port(address):
    """A port that nobody listens on, known to be free a moment ago."""
    with inside("web"):
        sock = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    port = sock.getsockname()[1]
    sock.close()
    return port


def expect_refused(address):
    error, seconds = connect_error(address, closed_port(address))
    assert error == errno.ECONNREFUSED, f"connect ended with {error}"
    assert seconds < PROMPT, f"only after {seconds:.1f} s"


def refused_4():
    expect_refused(WEB_4)


def refused_6():
    expect_refused(WEB_6)


def expect_unreachable(address):
    error, seconds = connect_error(address, 80)
    assert error in UNREACHABLE, f"connect ended with {error}"
    assert seconds < PROMPT, f"only after {seconds:.1f} s"


def unreachable_4():
    expect_unreachable("203.0.113.200")


def unreachable_6():
    expect_unreachable("2001:db8:3:0:8000::1")


def expect_silence(address):
    # Longer than any retransmission of the first seconds, shorter than ARP's or the dial's own end.
    error, _ = connect_error(address, 80, timeout=6)
    assert error == "timeout", f"connect ended with {error}, not with silence"


def silent_4():
    expect_silence("203.0.113.99")


def silent_6():
    expect_silence("2001:db8:3::99")


def denied_destination_fails_at_once():
    """A private address: the server's built-in list refuses it."""
    error, seconds = connect_error("10.11.12.13", 80)
    assert error not in (None, "timeout"), f"connect ended with {error}"
    assert seconds < PROMPT, f"only after {seconds:.1f} s"


def connected_only_after_the_dial():
    """While the server's SYN is not answered, the application is not connected; soon after it is, it is."""
    address, server_ns = "203.0.113.98", os.environ["TESTBED_SERVER_NS"]
    with inside("web"):
        listener = socket.create_server((address, 0))
    sock = client_socket(address)
    connecting = Background(lambda: sock.connect((address, listener.getsockname()[1])))
    neighbour = ["ip", "-n", server_ns, "neigh", "replace", address, "dev", "web", "nud", "permanent", "lladdr"]
    try:
        time.sleep(2)
        assert connecting.is_alive(), f"connect ended before the dial could: {connecting.error}"
        subprocess.run([*neighbour, web_link_address()], check=True)
        connecting.join_result(15)
    finally:
        subprocess.run([*neighbour, "02:00:00:00:00:99"], check=True)
        sock.close()
        listener.close()


def web_link_address():
    """The link-layer address of the web's interface. /sys shows another namespace, so `ip` is asked."""
    command = ["ip", "-n", os.environ["TESTBED_WEB_NS"], "-o", "link", "show", "dev", "uplink"]
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return words[words.index("link/ether") + 1]


CASES = [
    refused_4, refused_6, unreachable_4, unreachable_6, silent_4, silent_6, denied_destination_fails_at_once,
    connected_only_after_the_dial,
]
