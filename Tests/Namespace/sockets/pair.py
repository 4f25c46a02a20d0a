"""Sockets in the namespaces of the testbed, both ends in one process."""

import contextlib
import ctypes
import os
import socket
import struct
import threading

CLONE_NEWNET = 0x40000000
WEB_4, WEB_6 = "203.0.113.2", "2001:db8:3::2"
# No wait of a test is longer than this, in seconds.
PATIENCE = 20

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(name):
    """Sockets made in this block belong to the namespace: 'client', 'server' or 'web'."""
    path = "/var/run/netns/" + os.environ[f"TESTBED_{name.upper()}_NS"]
    with open("/proc/thread-self/ns/net") as before, open(path) as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + path)
        try:
            yield
        finally:
            _libc.setns(before.fileno(), CLONE_NEWNET)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def client_socket(address):
    with inside("client"):
        sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    return sock


def pair(address=WEB_4):
    """A connection from the client's namespace through the tunnel: its two ends, client first."""
    with inside("web"):
        listener = socket.create_server((address, 0), family=family_of(address))
    listener.settimeout(PATIENCE)
    client = client_socket(address)
    client.connect((address, listener.getsockname()[1]))
    server, _ = listener.accept()
    listener.close()
    server.settimeout(PATIENCE)
    return client, server


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def receive_all(sock):
    """Everything up to the FIN."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def error_of(action):
    """The errno that an action fails with, 'timeout', or None."""
    try:
        action()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return error.errno
    return None


class Background(threading.Thread):
    """A thread whose result, or exception, join_result gives back."""

    def __init__(self, action):
        super().__init__(daemon=True)
        self.action, self.result, self.error = action, None, None
        self.start()

    def run(self):
        try:
            self.result = self.action()
        except BaseException as error:  # handed to whoever joins
            self.error = error

    def join_result(self, seconds=PATIENCE):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError(f"still running after {seconds} s")
        if self.error:
            raise self.error
        return self.result
