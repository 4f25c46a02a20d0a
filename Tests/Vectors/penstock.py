#!/usr/bin/env python3
"""The key exchange and the sealed layer of docs/PROTOCOL.md once more, written from that document alone.

    penstock.py make [SEED]    prints a case as JSON: handshake, rekeying, streams and datagrams, made here
    penstock.py check FILE     opens such a case, whoever made it, and makes the same bytes of its inputs
    penstock.py noise FILE     checks the handshake against published vectors of Noise IK

It needs the `cryptography` package (Debian: python3-cryptography).
"""

import hashlib
import hmac
import json
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# Name in the configuration, in Noise, byte on the wire, AEAD, byte order of Noise's nonce.
SUITES = {
    "aes-256-gcm": ("AESGCM", 1, AESGCM, "big"),
    "chacha20-poly1305": ("ChaChaPoly", 2, ChaCha20Poly1305, "little"),
}


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def shared(private, other):
    # Raises ValueError for a key of small order.
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(other))


def hkdf(salt, key, info):
    return HKDF(SHA256(), 32, salt, info).derive(key)


class Noise:
    """Noise_IK_25519_<cipher>_SHA256 (revision 34), one end."""

    def __init__(self, cipher, prologue, own, remote=None):
        name, _, self.aead, self.order = SUITES[cipher]
        protocol = f"Noise_IK_25519_{name}_SHA256".encode()
        self.h = self.ck = protocol.ljust(32, b"\0")
        self.k, self.n = None, 0
        self.own, self.remote = own, remote
        self.mix_hash(prologue)
        self.mix_hash(remote if remote else public(own))

    def mix_hash(self, data):
        self.h = hashlib.sha256(self.h + data).digest()

    def outputs(self, material):
        prk = hmac.digest(self.ck, material, "sha256")
        one = hmac.digest(prk, b"\1", "sha256")
        return one, hmac.digest(prk, one + b"\2", "sha256")

    def mix_key(self, material):
        self.ck, self.k = self.outputs(material)
        self.n = 0

    def nonce(self):
        self.n += 1
        return bytes(4) + (self.n - 1).to_bytes(8, self.order)

    def encrypt(self, clear):
        sealed = self.aead(self.k).encrypt(self.nonce(), clear, self.h)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed):
        clear = self.aead(self.k).decrypt(self.nonce(), sealed, self.h)
        self.mix_hash(sealed)
        return clear

    def write_first(self, ephemeral, payload=b""):
        self.e = ephemeral
        self.mix_hash(public(ephemeral))
        self.mix_key(shared(ephemeral, self.remote))
        static = self.encrypt(public(self.own))
        self.mix_key(shared(self.own, self.remote))
        return public(ephemeral) + static + self.encrypt(payload)

    def read_first(self, message):
        self.re = message[:32]
        self.mix_hash(self.re)
        self.mix_key(shared(self.own, self.re))
        self.remote = self.decrypt(message[32:80])
        self.mix_key(shared(self.own, self.remote))
        return self.decrypt(message[80:])

    def write_second(self, ephemeral, payload=b""):
        self.mix_hash(public(ephemeral))
        self.mix_key(shared(ephemeral, self.re))
        self.mix_key(shared(ephemeral, self.remote))
        return public(ephemeral) + self.encrypt(payload)

    def read_second(self, message):
        re = message[:32]
        self.mix_hash(re)
        self.mix_key(shared(self.e, re))
        self.mix_key(shared(self.own, re))
        return self.decrypt(message[32:])

    def split(self):
        return self.outputs(b"")

    def secret(self):
        return hkdf(self.h, b"".join(self.split()), b"penstock session v2")


def prologue(cipher, exporter):
    return b"penstock handshake v2" + bytes([SUITES[cipher][1]]) + exporter


def rekey_prologue(cipher, exporter, epoch, previous):
    return b"penstock rekey v2" + bytes([SUITES[cipher][1]]) + exporter + epoch.to_bytes(8, "big") + previous


def stream_aead(cipher, secret, direction, stream, section, salt):
    info = b"penstock stream v2 " + direction.encode() + stream.to_bytes(8, "big") + section.to_bytes(4, "big")
    return SUITES[cipher][2](hkdf(salt, secret, info))


def seal_stream(cipher, secrets, direction, stream, sections):
    out = b""
    for number, section in enumerate(sections):
        aead = stream_aead(cipher, secrets[section["epoch"]], direction, stream, number, section["salt"])
        pieces = [part for chunk in section["chunks"] for part in (len(chunk).to_bytes(2, "big"), chunk)]
        if number + 1 < len(sections):
            pieces.append(bytes(2))
        out += bytes([section["epoch"] % 256]) + section["salt"]
        out += b"".join(aead.encrypt(i.to_bytes(12, "little"), piece, None) for i, piece in enumerate(pieces))
    return out


def open_stream(cipher, secrets, direction, stream, sealed):
    sections = []
    while sealed:
        epoch, salt, sealed = sealed[0], sealed[1:33], sealed[33:]
        assert epoch < len(secrets) and (not sections or epoch >= sections[-1]["epoch"]), "epoch"
        aead = stream_aead(cipher, secrets[epoch], direction, stream, len(sections), salt)
        chunks, nonce = [], 0

        def opened(count):
            nonlocal sealed, nonce
            piece, sealed = sealed[: count + 16], sealed[count + 16 :]
            nonce += 1
            return aead.decrypt((nonce - 1).to_bytes(12, "little"), piece, None)

        while sealed:
            length = int.from_bytes(opened(2), "big")
            if length == 0:
                assert chunks and sealed, "an empty section"
                break
            assert length <= 16383
            chunks.append(opened(length))
        sections.append({"epoch": epoch, "salt": salt, "chunks": chunks})
    return sections


def varint(n):
    size = 1 if n < 1 << 6 else 2 if n < 1 << 14 else 4 if n < 1 << 30 else 8
    return (n | {1: 0, 2: 1, 4: 2, 8: 3}[size] << (8 * size - 2)).to_bytes(size, "big")


def read_varint(data):
    size = 1 << (data[0] >> 6)
    return int.from_bytes(data[:size], "big") & ((1 << (8 * size - 2)) - 1), size


def datagram_aead(cipher, secret, direction, stream, counter):
    info = b"penstock datagram v2 " + direction.encode() + stream.to_bytes(8, "big") + (counter >> 24).to_bytes(8, "big")
    return SUITES[cipher][2](hkdf(None, secret, info))


def seal_datagram(cipher, secrets, direction, stream, epoch, counter, clear):
    head = varint(stream // 4) + bytes([epoch % 256]) + varint(counter)
    aead = datagram_aead(cipher, secrets[epoch], direction, stream, counter)
    return head + aead.encrypt(counter.to_bytes(12, "little"), clear, head)


def open_datagram(cipher, secrets, direction, sealed):
    context, size = read_varint(sealed)
    epoch = sealed[size]
    counter, more = read_varint(sealed[size + 1 :])
    head = size + 1 + more
    aead = datagram_aead(cipher, secrets[epoch], direction, context * 4, counter)
    return context * 4, epoch, counter, aead.decrypt(counter.to_bytes(12, "little"), sealed[head:], sealed[:head])


class Numbers:
    """Bytes that hang on a seed alone."""

    def __init__(self, seed):
        self.seed, self.count = str(seed).encode(), 0

    def bytes(self, count):
        out = b""
        while len(out) < count:
            out += hashlib.sha256(self.seed + self.count.to_bytes(8, "big")).digest()
            self.count += 1
        return out[:count]

    def number(self, below):
        return int.from_bytes(self.bytes(8), "big") % below


def make(seed):
    numbers = Numbers(seed)
    cases = []
    for cipher in SUITES:
        case = {"cipher": cipher, "exporter": numbers.bytes(32)}
        for name in ("client_private", "server_private", "client_ephemeral", "server_ephemeral"):
            case[name] = numbers.bytes(32)
        rekey = {"client_ephemeral": numbers.bytes(32), "server_ephemeral": numbers.bytes(32)}
        case["rekey"] = rekey
        secrets = exchange(case)
        hello = b"\x02\x0epenstock/0.2.0\x05alice\x08passw0rd"
        request = b"\x02\x01\x00\x03\x0bexample.org" + (443).to_bytes(2, "big")
        plans = [
            ("up", 0, [(0, [hello])]),
            ("up", 4, [(0, [request, b"GET / HTTP/1.0\r\n\r\n"])]),
            ("down", 8, [(0, [numbers.bytes(10), numbers.bytes(70)]), (0, [numbers.bytes(5)]), (1, [numbers.bytes(33)])]),
            ("up", 4 * numbers.number(1 << 30), [(1, [numbers.bytes(1 + numbers.number(300)) for _ in range(3)])]),
        ]
        case["streams"] = []
        for direction, stream, sections in plans:
            sections = [{"epoch": epoch, "salt": numbers.bytes(32), "chunks": chunks} for epoch, chunks in sections]
            sealed = seal_stream(cipher, secrets, direction, stream, sections)
            case["streams"].append({"direction": direction, "stream": stream, "sections": sections, "sealed": sealed})
        case["datagrams"] = []
        for direction, stream, epoch, counter, clear in [
            ("up", 4, 0, 0, b"hello\0"),
            ("up", 4, 0, 1, b"hello" + bytes.fromhex("c0000201 0035 01")),
            ("down", 4, 1, (1 << 24) + 1, bytes.fromhex("05 c0000201 0035 11")),
            ("up", 4 * numbers.number(1 << 40), 1, numbers.number(1 << 62), numbers.bytes(numbers.number(200))),
        ]:
            sealed = seal_datagram(cipher, secrets, direction, stream, epoch, counter, clear)
            case["datagrams"].append(
                {"direction": direction, "stream": stream, "epoch": epoch, "counter": counter, "clear": clear, "sealed": sealed})
        cases.append(case)
    return cases


def exchange(case):
    """Both exchanges of a case: fills in what is said, and gives the secrets of both epochs."""
    cipher, exporter = case["cipher"], case["exporter"]
    server_public = public(case["server_private"])
    first = prologue(cipher, exporter)
    secrets, said = [], case
    for epoch, source in enumerate((case, case["rekey"])):
        client = Noise(cipher, first, case["client_private"], server_public)
        server = Noise(cipher, first, case["server_private"])
        message = client.write_first(source["client_ephemeral"])
        assert server.read_first(message) == b"" and server.remote == public(case["client_private"])
        answer = server.write_second(source["server_ephemeral"])
        assert client.read_second(answer) == b"" and client.h == server.h and client.secret() == server.secret()
        source["message1"], source["message2"], source["session_secret"] = message, answer, client.secret()
        secrets.append(client.secret())
        first = rekey_prologue(cipher, exporter, epoch + 1, client.h)
    suite = bytes([SUITES[cipher][1]])
    said["control_up"] = suite + len(case["message1"]).to_bytes(2, "big") + case["message1"]
    said["control_down"] = len(case["message2"]).to_bytes(2, "big") + case["message2"]
    return secrets


def check(case):
    given = json.loads(json.dumps(as_text(case)))
    secrets = exchange(case)
    for stream in case["streams"]:
        sections = open_stream(case["cipher"], secrets, stream["direction"], stream["stream"], stream["sealed"])
        assert sections == stream["sections"], "a stream opens to something else"
        again = seal_stream(case["cipher"], secrets, stream["direction"], stream["stream"], sections)
        assert again == stream["sealed"], "a stream is sealed otherwise"
        must_not_open(lambda b: open_stream(case["cipher"], secrets, stream["direction"], stream["stream"], b), stream["sealed"])
    for datagram in case["datagrams"]:
        opened = open_datagram(case["cipher"], secrets, datagram["direction"], datagram["sealed"])
        assert opened == tuple(datagram[k] for k in ("stream", "epoch", "counter", "clear")), "a datagram"
        again = seal_datagram(
            case["cipher"], secrets, datagram["direction"], datagram["stream"], datagram["epoch"], datagram["counter"],
            datagram["clear"])
        assert again == datagram["sealed"], "a datagram is sealed otherwise"
    assert as_text(case) == given, "the key exchange went otherwise"


def must_not_open(opener, sealed):
    """The last byte belongs to a tag."""
    try:
        opener(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    except InvalidTag:
        return
    raise AssertionError("changed bytes open")


def check_noise(file):
    vectors = json.load(open(file))["vectors"]
    for vector in vectors:
        cipher = "aes-256-gcm" if "AESGCM" in vector["protocol_name"] else "chacha20-poly1305"
        get = lambda name: bytes.fromhex(vector[name])
        client = Noise(cipher, get("init_prologue"), get("init_static"), get("init_remote_static"))
        server = Noise(cipher, get("resp_prologue"), get("resp_static"))
        said = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
        assert client.write_first(get("init_ephemeral"), said[0][0]) == said[0][1]
        assert server.read_first(said[0][1]) == said[0][0]
        assert server.write_second(get("resp_ephemeral"), said[1][0]) == said[1][1]
        assert client.read_second(said[1][1]) == said[1][0]
        assert vector.get("handshake_hash", client.h.hex()) == client.h.hex() == server.h.hex()
    return len(vectors)


def as_text(value):
    """Bytes as hexadecimal text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return value


def as_bytes(value, key=""):
    if isinstance(value, str) and key not in ("cipher", "direction"):
        return bytes.fromhex(value)
    if isinstance(value, dict):
        return {name: as_bytes(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    return value


def main(arguments):
    if arguments[:1] == ["make"] and len(arguments) <= 2:
        print(json.dumps({"cases": as_text(make(arguments[1] if len(arguments) > 1 else "1"))}, indent=1))
    elif arguments[:1] == ["check"] and len(arguments) == 2:
        cases = as_bytes(json.load(open(arguments[1])))["cases"]
        for case in cases:
            check(case)
        print(f"{len(cases)} cases open and are made alike")
    elif arguments[:1] == ["noise"] and len(arguments) == 2:
        print(f"{check_noise(arguments[1])} vectors hold")
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
