"""What applications see of destinations that the server's policy refuses: errors at once, never silence."""

import errno
import socket
import subprocess
import time

from pair import family_of, inside

# One of each kind that the client's kernel sends into the TUN, and the server's own addresses.
REFUSED = [
    "203.0.113.1", "203.0.113.255", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.8",
    "198.18.5.5",
    "2001:db8:3::1", "fd00::1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::1", "2001::1", "100::1",
]  # fmt: skip
# ICMP "communication administratively prohibited" as Linux tells it: IPv4 (type 3, code 13), IPv6 (type 1, code 1).
PROHIBITED = {socket.AF_INET: errno.EHOSTUNREACH, socket.AF_INET6: errno.EACCES}
# The policy's answer takes a round trip; the kernel's own patience is far longer.
QUICK = 5


def _expect(found, expected, what):
    assert found == expected, f"{what}: {errno.errorcode.get(found, found)}, expected {errno.errorcode[expected]}"


def policy_tcp_is_prohibited():
    for address in REFUSED:
        family = family_of(address)
        with inside("client"), socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(20)
            start = time.monotonic()
            code = sock.connect_ex((address, 80))
            assert time.monotonic() - start < QUICK, f"{address}: the answer came late"
            _expect(code, PROHIBITED[family], address)


def policy_udp_is_prohibited():
    for address in REFUSED:
        family = family_of(address)
        with inside("client"), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(QUICK)
            if address.endswith(".255"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.connect((address, 53))
            sock.send(b"hello")
            try:
                sock.recv(100)
                raise AssertionError(f"{address} has answered")
            except OSError as error:
                _expect(error.errno, PROHIBITED[family], address)


def policy_curl_fails_at_once():
    for address in ["10.0.0.1", "203.0.113.1", "169.254.169.254", "[fd00::1]"]:
        with inside("client"):
            result = subprocess.run(
                ["curl", "-s", "--max-time", "20", f"http://{address}/"], capture_output=True, timeout=30, check=False
            )
        assert result.returncode == 7, f"{address}: curl says {result.returncode}, expected 7 (could not connect)"


CASES = [policy_tcp_is_prohibited, policy_udp_is_prohibited, policy_curl_fails_at_once]
