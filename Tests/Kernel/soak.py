"""The soak: many mixed flows for many minutes over a bad LAN, checked to the last byte, with an eye on memory."""

import statistics
import time

from bed import DESTINATION, Bed, Failure, expect

# Samples of memory, in seconds.
INTERVAL = 5
# What the last third may lie above the middle third: a few blocks more in use, no trend.
MARGIN = 8 << 20
# Until a flow of which nothing goes over the wire is taken for dead, in seconds. When the processors are busy elsewhere the
# kernel measures round trips of seconds, and its timeouts double to two minutes.
STALL = 280
# Until the open flows have ended, after they were told to, in seconds.
WIND_DOWN = 400
LAN = {"loss": 2, "reorder": 2, "delay": 5, "jitter": 2, "rate": 400, "queue": 2000, "seed": 1}
# How long TIME-WAIT is, milliseconds: a FIN whose ACKs are lost comes again after seconds.
TIME_WAIT = 20_000
# Packets that the kernel keeps for flowtun: more than a TUN's beginning, so that the LAN loses most; few enough not to wait
# for seconds when the processors are busy elsewhere.
QUEUE = 5_000
# FlowNAT's buffers in all, MiB.
MEMORY = 256

HEADER = (
    f"{'s':>5} {'resident KiB':>12} {'blocks':>6} {'flows':>6} {'opened':>7} {'Mbit/s in':>9} {'Mbit/s out':>10} "
    f"{'resent':>8} {'timeouts':>8}"
)


def soak(programs, flowtun, seconds, flows, largest, seed):
    """Raises `Failure` when a checksum was wrong, a flow was lost, state was left over, or memory grew."""
    with Bed(programs, flowtun) as bed:
        bed.start_linkem(**LAN)
        bed.start_flowtun(QUEUE, flows=4 * flows, time_wait=TIME_WAIT, memory=MEMORY, send_queue=256 << 10)
        print(f"{flows} flows for {seconds} s, half IPv4 and half IPv6, up to {largest} bytes each; LAN: {LAN}")
        print(HEADER, flush=True)
        started = time.monotonic()
        load = bed.start_load(
            "mixed", also=DESTINATION[6], flows=flows, seconds=seconds, largest=largest, seed=seed, spread=50, stall=STALL,
            limit=seconds + WIND_DOWN)
        samples = []
        before, before_time = bed.counters(), time.monotonic()
        while load.poll() is None:
            time.sleep(INTERVAL)
            now = time.monotonic()
            counters = bed.counters()
            samples.append((now - started, bed.memory()))
            span = now - before_time

            def rate(name):
                return (counters[name] - before[name]) * 8e-6 / span

            print(
                f"{now - started:5.0f} {samples[-1][1] >> 10:>12} {counters['blocks left']:>6} {counters['flows left']:>6} "
                f"{counters['opened']:>7} {rate('bytesIn'):>9.1f} {rate('bytesOut'):>10.1f} "
                f"{counters['retransmissions']:>8} {counters['timeouts']:>8}", flush=True)
            before, before_time = counters, now
        try:
            result = bed.finish_load(load)
            counters = bed.expect_settled(60)
        finally:
            print_counters(bed)
        print_summary(result, counters)
        # While flows wind down there are fewer of them: memory is judged by the time before.
        judge([memory for at, memory in samples if at <= seconds])


def judge(memory):
    """Flat: the last third lies no higher than the middle third, but for a margin."""
    third = len(memory) // 3
    expect(third >= 2, "the soak was too short to judge memory by")
    middle, last = statistics.mean(memory[third : 2 * third]), statistics.mean(memory[2 * third :])
    print(f"resident memory: middle third {middle / 1024:.0f} KiB, last third {last / 1024:.0f} KiB")
    expect(last <= middle + MARGIN, "memory grew")


def print_counters(bed):
    """What helps to understand a failure: everything that FlowNAT counted, and what became of packets on their way to it."""
    counters = {name: number for name, number in bed.counters().items() if number}
    print("FlowNAT: " + ", ".join(f"{name} {number}" for name, number in counters.items()))
    print(f"lost at the TUN's queue: {bed.queue_drops()}")
    for name, way in zip(("to FlowNAT", "to the application"), bed.stop_linkem()):
        print(f"LAN {name}: " + ", ".join(f"{key} {number}" for key, number in way.items()), flush=True)


def print_summary(result, counters):
    kinds = ", ".join(f"{count} {kind}" for kind, count in result["kinds"].items() if count)
    gigabytes = (result["bytes_up"] + result["bytes_down"]) / 1e9
    print(
        f"{result['ok']} flows as they should be, {result['failed']} not; {gigabytes:.2f} GB in {result['seconds']:.0f} s; "
        f"kernel's congestion control {result['cc']}; {kinds}")
    print(
        f"resent: kernel {result['retransmitted']}, FlowNAT {counters['retransmissions']}; FlowNAT's timeouts {counters['timeouts']}; "
        f"most blocks {counters['most blocks']}, refused {counters['blocks refused']}")


def report(programs, flowtun, seconds, flows, largest, seed):
    """Whether it went well; prints the verdict."""
    try:
        soak(programs, flowtun, seconds, flows, largest, seed)
    except Failure as failure:
        print(f"soak: FAILED\n{failure}", flush=True)
        return False
    print("soak: passed", flush=True)
    return True
