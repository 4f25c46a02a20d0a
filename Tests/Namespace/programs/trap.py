#!/usr/bin/env python3
"""A service that nobody may reach: trap.py PORT. Every connection and every datagram to that port of any address is a line."""
import selectors
import socket
import sys

port = int(sys.argv[1])
waiting = selectors.DefaultSelector()
for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((any_address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        waiting.register(sock, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            connection, peer = key.fileobj.accept()
            print("reached by TCP from", peer[0], flush=True)
            connection.close()
        else:
            print("reached by UDP from", key.fileobj.recvfrom(2048)[1][0], flush=True)
