#!/usr/bin/env python3
"""A name server whose answers change: answers.py LISTEN NAME=ADDRESS[+ADDRESS…][,ADDRESS…]…

The first question for A or AAAA records of a name gets the first group of addresses, the next one the next, the last stays.
Each family counts its own questions; addresses of the other family are left out. Every answer has TTL 0."""
import ipaddress
import socket
import struct
import sys

listen = sys.argv[1]
groups = {}
for argument in sys.argv[2:]:
    name, _, text = argument.partition("=")
    groups[name] = [[ipaddress.ip_address(part) for part in group.split("+")] for group in text.split(",")]
asked = {}

server = socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET, socket.SOCK_DGRAM)
server.bind((listen, 53))
print("ready", flush=True)
while True:
    query, peer = server.recvfrom(512)
    end = query.index(0, 12) + 5
    question = query[12:end]
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    name, kind = ".".join(labels), question[-4:-2]
    version = {b"\0\1": 4, b"\0\34": 6}.get(kind, 0)
    records = []
    if name in groups:
        turn = asked.get((name, kind), 0)
        asked[name, kind] = turn + 1
        group = groups[name][min(turn, len(groups[name]) - 1)]
        records = [address.packed for address in group if address.version == version]
    code = 0x8180 if name in groups else 0x8183
    reply = query[:2] + struct.pack(">HHHHH", code, 1, len(records), 0, 0) + question
    for record in records:
        reply += b"\xc0\x0c" + kind + struct.pack(">HIH", 1, 0, len(record)) + record
    print(name, version, [str(ipaddress.ip_address(record)) for record in records], flush=True)
    server.sendto(reply, peer)
