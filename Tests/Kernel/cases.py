"""The cases of `make test`, each a function that takes a `Bed`; `wide` ones say how much longer in `make soak`."""

import itertools
import json
import signal
import subprocess
import sys
import time

import datagrams
import matrix
from bed import DESTINATION, expect

# Both ends' numbers pass 2^32 in the first bytes of text.
NEAR_WRAP = 0xFFFF_0000
# How long a program stands still, in seconds; wide, several times as long as any timer of ours but the user timeout's.
STILL, STILL_WIDE = 10, 200
# What a round of connections may leave in flowtun's memory, bytes: less than 100 for each of them.
FLAT = 900_000
# Rounds until the memory has to be flat.
ROUNDS = 8
BLOCK = 16_384


def matrix_of_faults(bed, wide):
    """Checked transfers for every pair of: loss, reordering, delay, direction, offload, MTU, IP version, options, ECN."""
    cells = matrix.grid() if wide else [cell for seed in (1, 2) for cell in matrix.pairwise(matrix.FACTORS, seed)]
    print(f"{len(cells)} cells, {matrix.WORKERS} at once; the LAN carries {matrix.RATE} Mbit/s and keeps {matrix.QUEUE} KiB")
    print(matrix.HEADER, flush=True)
    failed = []
    for cell, future in matrix.run_cells(bed, cells):
        try:
            print(matrix.row(cell, *future.result()), flush=True)
        except Exception as error:  # the other cells still have something to say
            failed.append(cell)
            print(f"FAILED {cell}: {error}", flush=True)
    expect(not failed, f"{len(failed)} of {len(cells)} cells failed")


def ten_thousand_connections(bed, wide):
    """Opened all at once by sockets of the kernel and ended in ten ways, in rounds: no state is left, memory gets flat."""
    for offload in ("on", "off"):
        bed.start_flowtun(offload=offload, flows=20_000, time_wait=1000, send_queue=65_536)
        memory, flat, turn = Memory(), 0, 0
        while flat < (3 if wide else 1) and turn < ROUNDS:
            turn += 1
            result = bed.load(
                "churn", direct=True, flows=10_000, count=10_000, barrier=1, bytes=2000, spread=10, seed=turn)
            counters = bed.expect_settled()
            flat = flat + 1 if memory.add(bed.memory(), counters["most blocks"]) else 0
            print(
                f"offload {offload}: {result['ok']} connections, all open after {result['all_open_after']:.2f} s, "
                f"all gone after {result['seconds']:.2f} s; flowtun: {memory}", flush=True)
            expect(result["ok"] == 10_000, f"{result['ok']} connections went as they should")
            expect(counters["opened"] == turn * 10_000, f"FlowNAT counts {counters['opened']} connections")
        expect(flat > 0, f"flowtun grew in each of {turn} rounds: {memory}")


class Memory:
    """Resident bytes after each round. How much is in use at once, and so the allocator's high water, is for the machine's
    load to decide: it rises in ever fewer rounds, where a leak grows in each."""

    def __init__(self):
        self.samples = []

    def add(self, resident, most_blocks):
        """Whether the round left nothing behind, but for the pool's new high water."""
        highest = max(self.samples, default=None)
        most = self.samples[-1][1] if self.samples else 0
        self.samples.append((resident, most_blocks))
        return highest is not None and resident - highest[0] <= FLAT + (most_blocks - most) * BLOCK

    def __str__(self):
        return "%d KiB, at most %d blocks in use" % (self.samples[-1][0] >> 10, self.samples[-1][1])


def connections_over_a_bad_lan(bed, wide):
    """The same endings, where SYNs, FINs and resets are lost, overtake each other and come twice."""
    count = 10_000 if wide else 2_000
    for family in (4, 6):
        bed.start_linkem(loss=3, delay=5, jitter=3, dup=2, seed=family)
        # A FIN whose ACKs are lost comes again after seconds, and is to find TIME-WAIT: the fifth and the sixth time are
        # seven seconds apart, the sixth and the seventh fourteen.
        bed.start_flowtun(flows=4_000, time_wait=15_000)
        result = bed.load("churn", family=family, flows=400, count=count, bytes=5000, spread=10)
        counters = bed.expect_settled(60)
        expect(result["ok"] == count, f"{result['ok']} connections went as they should")
        print(f"IPv{family}: {result['ok']} in {result['seconds']:.1f} s, {counters['timeouts']} timeouts in FlowNAT")


def simultaneous_close(bed, wide):
    """Both FINs are on their way at the same time."""
    bed.start_linkem(delay=10)
    bed.start_flowtun(time_wait=200)
    result = bed.load("simul", flows=100, cross=10)
    bed.expect_settled()
    print(f"{result['crossed']} of {result['ok']} were seen in CLOSING")
    expect(result["crossed"] >= 50, "the FINs did not cross")


def wrapping_sequence_numbers(bed, wide):
    """The numbers of both ends pass 2^32, in both directions, on a good and on a bad LAN."""
    for offload in ("on", "off"):
        bed.start_flowtun(offload=offload, initial_sequence=NEAR_WRAP, time_wait=200)
        for way in ("up", "down", "echo"):
            for start in (NEAR_WRAP, 0xFFFF_FFFF, 0xFFFF_F000):
                bed.load(way, direct=True, bytes=400_000, sequence=start)
        bed.expect_settled()
    bed.start_linkem(loss=2, delay=3, reorder=2, rate=matrix.RATE, queue=matrix.QUEUE)
    bed.start_flowtun(initial_sequence=NEAR_WRAP, time_wait=200)
    for way in ("up", "down", "echo"):
        # Several, so that losses fall on the wrap itself.
        bed.load(way, flows=10, bytes=150_000, sequence=NEAR_WRAP)
    bed.expect_settled()
    bed.start_flowtun(initial_sequence=0xFFFF_FFFF, time_wait=200)
    bed.load("churn", direct=True, flows=20, count=200, bytes=3000, sequence=0xFFFF_FFFE)
    bed.expect_settled()
    if wide:
        # The way round and on: every number of both ends once.
        bed.start_flowtun(time_wait=200)
        for way in ("up", "down"):
            result = bed.load(way, direct=True, bytes=5 << 30, limit=400)
            print(f"{way}: {5 << 30} bytes at {result['mbit']:.0f} Mbit/s")
        bed.expect_settled()


def suspended_reader(bed, wide):
    """The receiving program stands still and goes on: no byte is missing, and its window was probed."""
    still = STILL_WIDE if wide else STILL
    bed.start_linkem(delay=2)
    bed.start_flowtun(time_wait=200)
    load = bed.start_load("down", bytes=60_000_000, limit=still + 60, stall=still + 60)
    time.sleep(0.1)
    load.send_signal(signal.SIGSTOP)
    before = bed.counters()
    time.sleep(still)
    during = bed.counters()
    expect(during["active flows left"] == 1, "the flow is gone while its reader sleeps")
    load.send_signal(signal.SIGCONT)
    bed.finish_load(load)
    bed.expect_settled()
    probes = during["zeroWindowProbes"] - before["zeroWindowProbes"]
    print(f"{probes} probes in {still} s, timeouts {during['timeouts']}")
    expect(probes >= 3, f"FlowNAT sent {probes} probes")


def paused_consumer(bed, wide):
    """Nobody takes FlowNAT's bytes for a while: the kernel stops at the window, probes it, and goes on."""
    still = STILL_WIDE if wide else STILL
    bed.start_linkem(delay=2)
    bed.start_flowtun(time_wait=200)
    load = bed.start_load("pause", bytes=20_000_000, hold=still * 1000, limit=still + 60, stall=still + 60)
    time.sleep(still / 2)
    counters = bed.counters()
    # The window, in units of 32 bytes, and the request before it.
    expect(counters["server bytesTaken"] <= (1 << 20) + 32 + 16, f"{counters['server bytesTaken']} bytes came in")
    bed.finish_load(load)
    bed.expect_settled()
    probes = bed.kernel_counters()["TcpExtTCPWinProbe"]
    print(f"the kernel sent {probes} probes in {still} s")
    expect(probes >= 3, f"the kernel sent {probes} probes")


# connect() to each port, and what it comes to.
_PROBE = """
import errno, json, socket, sys
found = {}
for port in (7, 26, 27, 28, 29, 1):
    with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as sock:
        sock.settimeout(1.5)
        try:
            sock.connect((sys.argv[1], port))
            found[port] = "connected"
        except TimeoutError:
            found[port] = "timeout"
        except OSError as error:
            found[port] = errno.errorcode[error.errno]
print(json.dumps(found))
"""


def what_connect_says(bed, wide):
    """connect() tells the truth: accepted, refused, silent, unreachable, prohibited."""
    bed.start_linkem(delay=1)
    for family, prohibited in ((4, "EHOSTUNREACH"), (6, "EACCES")):
        bed.start_flowtun(time_wait=200)
        found = json.loads(bed.inside(bed.app, sys.executable, "-c", _PROBE, DESTINATION[family]))
        wanted = {
            "7": "connected", "26": "ECONNREFUSED", "27": "timeout", "28": "EHOSTUNREACH", "29": prohibited,
            "1": "ECONNREFUSED"}
        expect(found == wanted, f"IPv{family}: found {found}, expected {wanted}")


# The MTU of a router's two ways, in the middle of the path: towards the application, and towards FlowNAT.
_NARROW = ((1400, 1300), (1280, 1500), (1300, 1280))


def path_mtu(bed, wide):
    """A router on the way has smaller MTUs than both ends know of; they hear of it by ICMP, and transfers come through."""
    narrow_ways = itertools.cycle(_NARROW)
    for offload in ("on", "off"):
        for family in (4, 6):
            for down, up in itertools.islice(narrow_ways, len(_NARROW) if wide else 1):
                bed.start_linkem(delay=2)
                bed.start_flowtun(offload=offload, time_wait=200)
                narrow(bed, family, down, up)
                # Uploads last: what the application learns by them it tells in its SYNs (MSS).
                for way in ("down", "echo", "up"):
                    bed.load(way, family=family, bytes=3_000_000, flows=3, limit=40)
                # A datagram that was too large is lost, and the next ones go in fragments.
                answers = datagrams.udp(bed, family, False, sockets=1, count=5, least=1452, most=1452, patience=1, spread=1)
                datagrams.check(answers, may_lose=2)
                expect(answers["answered"] >= 3, f"datagrams do not come through: {answers}")
                counters = bed.expect_settled()
                # Each flow that sent much learnt it, and the association.
                expect(counters["pathMTULowered"] >= 7, f"FlowNAT learnt the path's MTU {counters['pathMTULowered']} times")
                print(
                    f"offload {offload}, IPv{family}, {down} down and {up} up: learnt {counters['pathMTULowered']} times, "
                    f"ICMP errors {counters['icmpErrorsIn']}, of which unmatched {counters['icmpErrorsUnmatched']}, "
                    f"resent {counters['retransmissions']}, timeouts {counters['timeouts']}", flush=True)
                # What was too large is known at once: the flows do not wait for their timers.
                expect(counters["timeouts"] < 6, f"{counters['timeouts']} timeouts")


def narrow(bed, family, down, up):
    """The gateway forwards no larger packets than these; what the application has learnt of the path is forgotten."""
    option = "-6 " if family == 6 else ""
    application, flows = ("2001:db8:1::1", "2001:db8:7::/64") if family == 6 else ("192.0.2.1", "198.51.100.0/24")
    bed.batch(bed.gw, [
        f"{option}route replace {application} dev lan mtu lock {down}",
        f"{option}route replace {flows} dev flow0 mtu lock {up}"])
    bed.batch(bed.app, [f"{option}route flush cache"])


CASES = [
    what_connect_says, simultaneous_close, datagrams.udp_sockets, datagrams.udp_over_a_bad_lan, path_mtu,
    wrapping_sequence_numbers, connections_over_a_bad_lan, ten_thousand_connections, suspended_reader, paused_consumer, matrix_of_faults,
]
