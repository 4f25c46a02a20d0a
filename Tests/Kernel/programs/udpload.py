#!/usr/bin/env python3
"""The kernel's UDP as a client of flowtun: many sockets in one thread, every answer checked to the last byte.

  udpload.py ADDRESS echo|errors|deaf [KEY=VALUE...]

echo: each socket has `window` sends under way and sends the next when all is answered. errors: what a connected socket is told
by each port that takes nothing. deaf: sockets that are closed before the answer comes. A socket's destinations differ.

  sockets=N  (1)      count=N    sends of each socket (1)      window=N  (1)          least=N, most=N  bytes (0, 1400)
  segments=N datagrams of one size in a send, cut by the kernel (UDP_SEGMENT); 1 without
  spread=N   destination addresses, counted up from ADDRESS (20)  seed=N    (1)
  patience=S after which what was not answered is lost (10)

The last line of the output is JSON.
"""

import collections
import errno
import ipaddress
import json
import random
import select
import socket
import struct
import sys
import time

ECHO, REFUSED, HOST_UNREACHABLE, PROHIBITED = 7, 26, 28, 29
IP_RECVERR, IPV6_RECVERR, UDP_SEGMENT, UDP_GRO, SO_RCVBUFFORCE = 11, 25, 103, 104, 33

options = {
    "sockets": 1, "count": 1, "window": 1, "least": 0, "most": 1400, "segments": 1, "patience": 10, "spread": 20, "seed": 1}


class Client:
    """One socket: whom it asked what and has no answer from."""

    def __init__(self, base, index):
        self.base, self.random = base, random.Random(options["seed"] << 32 | index)
        self.socket = open_socket(base)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        self.left = options["count"]
        self.open = collections.Counter()
        self.deadline = 0

    def send(self):
        """As much as may be under way; false when there is nothing left to send."""
        if self.left == 0:
            return False
        for _ in range(min(options["window"], self.left)):
            self.left -= 1
            host = str(self.base + self.random.randrange(options["spread"]))
            size = self.random.randint(options["least"], options["most"])
            segments = options["segments"]
            if segments > 1:
                size = max(size, 1)
                self.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
            payload = self.random.randbytes(size * segments)
            for start in range(0, max(len(payload), 1), max(size, 1)):
                self.open[host, payload[start : start + size]] += 1
            self.socket.sendto(payload, (host, ECHO))
        self.deadline = time.monotonic() + options["patience"]
        return True

    def receive(self, result):
        """All that waits."""
        while True:
            try:
                payload, control, _, (host, port, *_) = self.socket.recvmsg(65_536, 64)
            except BlockingIOError:
                return
            sizes = [struct.unpack("=i", data[:4])[0] for _, kind, data in control if kind == UDP_GRO]
            size = sizes[0] if sizes else max(len(payload), 1)
            result["joined"] += bool(sizes)
            for start in range(0, max(len(payload), 1), size):
                key = (host, payload[start : start + size])
                if port != ECHO or self.open[key] == 0:
                    result["wrong"] += 1
                    continue
                result["answered"] += 1
                self.open[key] -= 1
                if self.open[key] == 0:
                    del self.open[key]


def open_socket(base):
    family = socket.AF_INET6 if base.version == 6 else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def echo(base):
    sent = options["sockets"] * options["count"] * options["segments"]
    result = {"sent": sent, "answered": 0, "wrong": 0, "lost": 0, "joined": 0}
    clients = {}
    poller = select.poll()
    for index in range(options["sockets"]):
        client = Client(base, index)
        clients[client.socket.fileno()] = client
        poller.register(client.socket, select.POLLIN)
        client.send()
    while clients:
        for number, _ in poller.poll(100):
            clients[number].receive(result)
        now = time.monotonic()
        for number, client in list(clients.items()):
            if client.open and now > client.deadline:
                result["lost"] += client.open.total()
                client.open.clear()
            if not client.open and not client.send():
                poller.unregister(number)
                client.socket.close()
                del clients[number]
    return result


def errors(base):
    result = {}
    for port in (REFUSED, HOST_UNREACHABLE, PROHIBITED, 1):
        with open_socket(base) as sock:
            if base.version == 6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            sock.connect((str(base), port))
            sock.send(b"anybody?")
            sock.settimeout(options["patience"])
            try:
                sock.recv(10)
                result[port] = "answered"
            except TimeoutError:
                result[port] = "timeout"
            except OSError as error:
                result[port] = errno.errorcode[error.errno]
    return result


def deaf(base):
    for _ in range(options["sockets"]):
        with open_socket(base) as sock:
            sock.sendto(b"farewell", (str(base), ECHO))
    return {"sent": options["sockets"]}


for argument in sys.argv[3:]:
    key, _, value = argument.partition("=")
    if key not in options:
        sys.exit(f"udpload: unknown key {key}")
    options[key] = int(value)
print(json.dumps({"echo": echo, "errors": errors, "deaf": deaf}[sys.argv[2]](ipaddress.ip_address(sys.argv[1]))))
