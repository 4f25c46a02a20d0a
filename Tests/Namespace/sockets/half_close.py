"""FIN crosses the tunnel by itself: the other direction goes on for as long as it wants."""

import hashlib
import os
import socket
import time

from pair import WEB_4, WEB_6, Background, pair, receive_all


def client_closes_first(address):
    client, server = pair(address)
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    assert receive_all(server) == b"request"
    # The answer takes its time, with pauses longer than any timer of a closing connection should be.
    parts = [bytes([65 + i]) * 5000 for i in range(6)]

    def answer():
        for part in parts:
            time.sleep(0.5)
            server.sendall(part)
        server.close()

    answering = Background(answer)
    assert receive_all(client) == b"".join(parts)
    answering.join_result()
    client.close()


def half_close_by_the_client_4():
    client_closes_first(WEB_4)


def half_close_by_the_client_6():
    client_closes_first(WEB_6)


def half_close_by_the_server():
    client, server = pair()
    server.sendall(b"bye")
    server.shutdown(socket.SHUT_WR)
    assert receive_all(client) == b"bye"
    block = os.urandom(1 << 20)

    def send():
        for _ in range(8):
            client.sendall(block)
            time.sleep(0.25)
        client.shutdown(socket.SHUT_WR)

    sending = Background(send)
    assert hashlib.sha256(receive_all(server)).digest() == hashlib.sha256(block * 8).digest()
    sending.join_result()
    client.close()
    server.close()


def half_close_without_a_byte():
    """Both sides close at once and have said nothing."""
    client, server = pair()
    client.shutdown(socket.SHUT_WR)
    server.shutdown(socket.SHUT_WR)
    assert receive_all(client) == b"" and receive_all(server) == b""


def both_directions_at_once():
    client, server = pair()
    up, down = os.urandom(16 << 20), os.urandom(16 << 20)

    def send(sock, data):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    work = [Background(lambda: send(client, up)), Background(lambda: send(server, down))]
    received = Background(lambda: receive_all(server))
    assert receive_all(client) == down
    assert received.join_result() == up
    for thread in work:
        thread.join_result()


CASES = [
    half_close_by_the_client_4, half_close_by_the_client_6, half_close_by_the_server, half_close_without_a_byte,
    both_directions_at_once,
]
