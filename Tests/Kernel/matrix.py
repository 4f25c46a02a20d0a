"""Transfers over a bad LAN: every pair of circumstances in `make test`, the whole grid of the LAN's faults in `make soak`.

Each cell shows that the LAN was as bad as it should be (`expect_faults`), and that the ends saw it (`expect_effect`).
"""

import concurrent.futures
import contextlib
import itertools
import math
import queue
import random

from bed import Bed, expect, run

FACTORS = {
    "loss": (0, 1, 5),
    "fault": ("none", "reorder", "dup", "both"),
    "delay": (0, 10, 50),
    "way": ("up", "down", "echo"),
    "offload": ("on", "off"),
    "mtu": (1500, 576, 9000),
    "family": (4, 6),
    "sack": (1, 0),
    "timestamps": (1, 0),
    "scaling": (1, 0),
    "ecn": (0, 1),
    "cc": ("cubic", "bbr"),
}
# What the LAN carries in all, Mbit/s, and what it keeps, KiB.
RATE, QUEUE = 200, 1000
# Bytes of a transfer by loss and delay: a few seconds for a TCP that recovers one loss a round trip.
BYTES = {
    (0, 0): 16_000_000, (0, 10): 8_000_000, (0, 50): 4_000_000,
    (1, 0): 8_000_000, (1, 10): 1_500_000, (1, 50): 600_000,
    (5, 0): 1_500_000, (5, 10): 300_000, (5, 50): 150_000,
}
# Cells at once: most wait for the LAN's delay, and not for a processor.
WORKERS = 3
# In percent of frames.
DUPLICATED, REORDERED = 2, 3
# Frames that are too few for one to be late for certain, and faults that are too few to have had an effect for certain: what
# was lost may have had a duplicate, what was overtaken may have come again.
FEW_FRAMES, FEW_FAULTS = 1000, 5
# Without SACK the kernel finds one loss a round trip: less is enough.
WITHOUT_SACK = 0.4
# A transfer that takes longer has failed, in seconds.
LIMIT = 90


def pairwise(factors, seed=1):
    """Cells in which every two values of two factors meet at least once: greedy, the same for the same seed."""
    rng = random.Random(seed)
    names = list(factors)
    open_pairs = {
        frozenset(((a, x), (b, y))) for a, b in itertools.combinations(names, 2) for x in factors[a] for y in factors[b]
    }
    cells = []
    while open_pairs:
        best, best_gain = None, set()
        # The same pair is in every candidate, so that each cell closes at least one.
        start = dict(sorted(min(open_pairs, key=lambda pair: sorted(map(str, pair))), key=str))
        for _ in range(60):
            cell = start | {name: rng.choice(factors[name]) for name in names if name not in start}
            gain = {pair for pair in open_pairs if all(cell[name] == value for name, value in pair)}
            if best is None or len(gain) > len(best_gain):
                best, best_gain = cell, gain
        cells.append({name: best[name] for name in names})
        open_pairs -= best_gain
    return cells


def grid():
    """Loss × fault × delay × way, whole; the other factors take turns."""
    main = ("loss", "fault", "delay", "way")
    turns = pairwise({name: values for name, values in FACTORS.items() if name not in main}, seed=2)
    products = itertools.product(*(FACTORS[name] for name in main))
    return [dict(zip(main, values)) | turns[index % len(turns)] for index, values in enumerate(products)]


def congestion_control(wanted):
    """What the machine has of it; reno is always there."""
    available = run("sysctl", "-n", "net.ipv4.tcp_available_congestion_control").split()
    return wanted if wanted in available else "reno"


def link_settings(cell, seed):
    settings = {"loss": cell["loss"], "delay": cell["delay"], "rate": RATE, "queue": QUEUE, "seed": seed}
    if cell["fault"] in ("reorder", "both"):
        # linkem lets frames overtake what is in flight: nothing is, without delay.
        settings |= {"reorder": REORDERED} if cell["delay"] else {"jitter": 1}
    if cell["fault"] in ("dup", "both"):
        settings["dup"] = DUPLICATED
    return settings


def run_cell(bed, cell, seed):
    """One transfer, checked to the last byte; returns the client's result, FlowNAT's counters and the LAN's."""
    mtu = cell["mtu"] if cell["family"] == 4 else max(cell["mtu"], 1280)
    if mtu != bed.mtu:
        bed.set_mtu(mtu)
    bed.sysctl(
        bed.app, f"net.ipv4.tcp_sack={cell['sack']}", f"net.ipv4.tcp_timestamps={cell['timestamps']}",
        f"net.ipv4.tcp_window_scaling={cell['scaling']}", f"net.ipv4.tcp_ecn={cell['ecn']}")
    bed.start_linkem(**link_settings(cell, seed))
    bed.start_flowtun(offload=cell["offload"], time_wait=200)
    kernel_before = bed.kernel_counters()
    size = int(BYTES[cell["loss"], cell["delay"]] * (1 if cell["sack"] else WITHOUT_SACK))
    result = bed.load(
        cell["way"], family=cell["family"], bytes=size, seed=seed, limit=LIMIT, cc=congestion_control(cell["cc"]))
    counters = bed.expect_settled()
    expect(counters["offload"] == (1 if cell["offload"] == "on" else 0), f"offload is not {cell['offload']}")
    kernel = {name: number - kernel_before[name] for name, number in bed.kernel_counters().items()}
    up, down = bed.stop_linkem()
    expect_faults(cell, {name: up[name] + down[name] for name in up})
    # Text that is wholly old lies outside the window.
    expect_effect(
        "FlowNAT", up, resent=result["retransmitted"], again=counters["duplicates"] + counters["outsideWindow"],
        early=counters["outOfOrder"])
    expect_effect(
        "the kernel", down, resent=counters["retransmissions"],
        again=kernel["TcpExtDelayedACKLost"] + kernel["TcpExtTCPOFOMerge"], early=kernel["TcpExtTCPOFOQueue"])
    return result, counters, (up, down)


def expect_faults(cell, link):
    """The LAN lost, doubled and reordered as it was told, and nothing else."""
    frames = link["forwarded"] + link["lost"] + link["overflowed"]
    duplicated = DUPLICATED if cell["fault"] in ("dup", "both") else 0
    for name, percent in (("lost", cell["loss"]), ("duplicated", duplicated)):
        wanted = frames * percent / 100
        # Four standard deviations.
        is_near = abs(link[name] - wanted) <= 4 * math.sqrt(wanted)
        expect(is_near, f"of {frames} frames the LAN {name} {link[name]}, not {percent} %")
    if cell["fault"] in ("none", "dup"):
        expect(link["late"] == 0, f"the LAN reordered {link['late']} frames")
    elif frames >= FEW_FRAMES:
        expect(link["late"] > 0, f"the LAN kept {frames} frames in order")


def expect_effect(receiver, link, *, resent, again, early):
    """What the LAN did to text on its way to one end shows in the counters of the ends."""
    for fault, effect, what in (("lost", resent, "sent again"), ("duplicated", again, "seen twice"), ("late", early, "early")):
        number = link[f"{fault}_large"]
        expect(effect > 0 or number < FEW_FAULTS, f"{number} segments to {receiver} were {fault}, but none was {what}")


HEADER = (
    f"{'loss':>4} {'fault':<7} {'delay':>5} {'way':<4} {'offl':<4} {'mtu':>4} {'ip':>2} {'sack':>4} {'ts':>2} {'ws':>2} {'ecn':>3} "
    f"{'cc':<5} {'Mbit/s':>8} {'s':>6} {'kernel resent':>13} {'FlowNAT resent':>14} {'timeouts':>8} "
    f"{'lost':>5} {'dup':>5} {'late':>5}"
)


def row(cell, result, counters, link):
    lost, duplicated, late = (sum(way[name] for way in link) for name in ("lost", "duplicated", "late"))
    return (
        f"{cell['loss']:>3}% {cell['fault']:<7} {cell['delay']:>2} ms {cell['way']:<4} {cell['offload']:<4} {cell['mtu']:>4} "
        f"{cell['family']:>2} {cell['sack']:>4} {cell['timestamps']:>2} {cell['scaling']:>2} {cell['ecn']:>3} "
        f"{result['cc']:<5} {result['mbit']:>8.2f} {result['seconds']:>6.2f} {result['retransmitted']:>13} "
        f"{counters['retransmissions']:>14} {counters['timeouts']:>8} {lost:>5} {duplicated:>5} {late:>5}"
    )


def run_cells(bed, cells):
    """Runs all, `WORKERS` at once in beds of their own; yields each cell with its result, or with the error, in order."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(WORKERS))
        free = queue.SimpleQueue()
        free.put(bed)
        for _ in range(WORKERS - 1):
            # Leaving early ends their programs first, so that the pool's threads do not go on.
            free.put(stack.enter_context(Bed(bed.programs, bed.flowtun_program)))
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)

        def work(seed, cell):
            own = free.get()
            try:
                return run_cell(own, cell, seed)
            finally:
                free.put(own)

        futures = [pool.submit(work, seed, cell) for seed, cell in enumerate(cells, start=1)]
        for cell, future in zip(cells, futures):
            yield cell, future
