#!/usr/bin/env python3
"""A name server that knows one address: dns.py LISTEN ANSWER. Every A question gets it, every other an empty answer."""
import socket
import struct
import sys

listen, answer = sys.argv[1:3]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((listen, 53))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(512)
    end = query.index(0, 12) + 5  # the name's last label, then type and class
    question = query[12:end]
    is_a = question[-4:-2] == b"\0\1"
    reply = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if is_a else 0, 0, 0) + question
    if is_a:
        reply += struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(answer)
    server.sendto(reply, peer)
