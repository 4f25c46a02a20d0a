"""UDP of the kernel's sockets through FlowNAT's associations, which flowtun echoes."""

import time

from bed import expect, wait_until

# A datagram of 60 000 bytes is 42 packets, and the TUN's queue shall lose none.
QUEUE = 20_000
# What a socket says whose datagrams came to nothing, by port: as connect() does with TCP.
ERRORS = {
    4: {"26": "ECONNREFUSED", "28": "EHOSTUNREACH", "29": "EHOSTUNREACH", "1": "ECONNREFUSED"},
    6: {"26": "ECONNREFUSED", "28": "EHOSTUNREACH", "29": "EACCES", "1": "ECONNREFUSED"},
}


def udp_sockets(bed, wide):
    """Datagrams of all sizes, echoed: none is wrong, and none is lost on a good link; ICMP errors both ways."""
    times = 10 if wide else 1
    for offload in ("on", "off"):
        for family in (4, 6):
            bed.start_linkem(delay=2)
            bed.start_flowtun(QUEUE, offload=offload)
            sent = 0
            for direct in (True, False):
                sent += echoed(bed, family, direct, sockets=400, count=5 * times, window=2)
                sent += echoed(bed, family, direct, sockets=4, count=10 * times, least=1473, most=9_000)
                # Whose fragments are more than many.
                sent += echoed(bed, family, direct, sockets=4, count=5 * times, least=60_000, most=65_000)
            # The LAN cuts super-packets; to the machine's own sockets they go whole, both ways.
            result = udp(bed, family, True, sockets=10, count=20 * times, segments=30, least=1000, most=1400)
            sent += check(result)
            counters = bed.counters()
            print(
                f"offload {offload}, IPv{family}: {sent} datagrams; {counters['reassembled']} were put together of "
                f"{counters['fragments']} fragments, {counters['fragmentsOut']} fragments out; super-packets: "
                f"{counters['superPacketsIn']} in, {counters['superPacketsOut']} out", flush=True)
            for name in ("datagramsIn", "server datagramsEchoed", "datagramsOut"):
                expect(counters[name] == sent, f"{name} is {counters[name]}, not {sent}")
            expect(counters["reassembled"] >= 100 * times, "datagrams did not come in fragments")
            expect(counters["fragmentsOut"] >= counters["fragments"], "datagrams did not leave in fragments")
            if counters["datagram offload"]:
                expect(counters["superPacketsIn"] >= 200 * times, "super-packets did not come in whole")
                expect(counters["superPacketsOut"] > 0 and result["joined"] > 0, "no super-packet left")
            found = udp(bed, family, False, kind="errors")
            expect(found == ERRORS[family], f"IPv{family}: found {found}, expected {ERRORS[family]}")
            answers_to_nobody(bed, family)


def udp(bed, family, direct, kind="echo", **settings):
    return bed.finish_load(bed.start_load(kind, program="udpload.py", family=family, direct=direct, **settings))


def check(result, may_lose=0):
    expect(result["wrong"] == 0, f"{result['wrong']} datagrams were wrong: {result}")
    expect(result["lost"] <= may_lose and result["answered"] + result["lost"] == result["sent"], f"datagrams were lost: {result}")
    return result["sent"]


def echoed(bed, family, direct, **settings):
    return check(udp(bed, family, direct, **settings))


def answers_to_nobody(bed, family):
    """The application's kernel refuses what comes for a socket that is closed, and FlowNAT hears of it."""
    before = bed.counters()["icmpUnreachables"]
    # Fewer than the kernel's burst of such errors to one host.
    udp(bed, family, False, kind="deaf", sockets=3)
    wait_until("FlowNAT hears that a socket is closed", lambda: bed.counters()["icmpUnreachables"] > before)


def udp_over_a_bad_lan(bed, wide):
    """Fragments are lost, doubled and reordered: what is answered is right."""
    for family in (4, 6):
        bed.start_linkem(delay=3, jitter=3, loss=1, dup=2)
        bed.start_flowtun(QUEUE)
        started = time.monotonic()
        settings = {"sockets": 20, "patience": 1, "count": 30 if wide else 6}
        small = udp(bed, family, False, most=1400, window=8, **settings)
        large = udp(bed, family, False, least=3_000, most=30_000, **settings)
        counters = bed.counters()
        seconds = time.monotonic() - started
        print(
            f"IPv{family}: {small['lost']} of {small['sent']} small and {large['lost']} of {large['sent']} large lost in "
            f"{seconds:.0f} s; fragments: {counters['fragments']}, doubled {counters['duplicateFragments']}", flush=True)
        expect(small["answered"] > small["sent"] // 2 and large["answered"] > 0, "hardly any was answered")
        expect(counters["duplicateFragments"] > 0, "the LAN doubled no fragment")
        expect(counters["overlappingFragments"] == 0, "fragments were taken for overlapping")
