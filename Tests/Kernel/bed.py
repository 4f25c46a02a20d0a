"""Network namespaces with the kernel's TCP at one end and FlowNAT at the other, and a bad LAN between.

    app ---- veth ---- link: linkem ---- veth ---- gw: forwarding ---- flow0: flowtun
    192.0.2.1, 2001:db8:1::1               192.0.2.2, 2001:db8:1::2     198.51.100.0/24, 2001:db8:7::/64

`Bed.load` runs the client in app; with `direct` in gw itself, with no LAN between. Names are unique to the process.
"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DESTINATION = {4: "198.51.100.1", 6: "2001:db8:7::1"}
# An application that does not answer within this time is stuck, in seconds.
PATIENCE = 20

_numbers = itertools.count(1)


class Failure(Exception):
    """A case did not go as it should."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def build_programs(folder):
    """Compiles linkem and flowload; the toolchain's clang does where there is no cc."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise Failure("there is no C compiler: neither cc nor clang")
    for name in ("linkem", "flowload"):
        source = HERE / "programs" / f"{name}.c"
        subprocess.run([compiler, "-O2", "-o", str(folder / name), str(source), "-lm"], check=True)
    shutil.copy(HERE / "programs" / "udpload.py", folder)


class Bed:
    """Three namespaces for as long as the `with` block; linkem and flowtun are started anew for every cell."""

    def __init__(self, programs, flowtun):
        self.programs, self.flowtun_program = programs, flowtun
        stem = f"penstock-k{os.getpid()}-{next(_numbers)}"
        self.app, self.link, self.gw = (f"{stem}-{part}" for part in ("app", "link", "gw"))
        self.folder = None
        self.processes = []
        self.flowtun = self.linkem = None
        self.mtu = 1500

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-kernel."))
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                # A stopped process takes no other signal.
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes:
            process.wait()
        for namespace in (self.app, self.link, self.gw):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL, check=False)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    # MARK: namespaces

    def _build(self):
        for namespace in (self.app, self.link, self.gw):
            run("ip", "netns", "add", namespace)
            self.sysctl(namespace, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        # What one cell has learnt of the path is not known to the next.
        for namespace in (self.app, self.gw):
            self.sysctl(namespace, "net.ipv4.tcp_no_metrics_save=1", "net.ipv4.ip_local_port_range=1024 65000")
        self.sysctl(self.gw, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        run("ip", "link", "add", "lan", "netns", self.app, "type", "veth", "peer", "name", "a", "netns", self.link)
        run("ip", "link", "add", "lan", "netns", self.gw, "type", "veth", "peer", "name", "b", "netns", self.link)
        for namespace, device in ((self.app, "lan"), (self.gw, "lan"), (self.link, "a"), (self.link, "b")):
            # Frames have their true size on the way.
            self.inside(namespace, "ethtool", "-K", device, *"tx off rx off tso off gso off gro off".split())
        self.set_mtu(1500)

    def set_mtu(self, mtu):
        """Of the LAN; IPv6 and the addresses come back, which an MTU below 1280 takes away."""
        self.mtu = mtu
        for namespace, device in ((self.link, "a"), (self.link, "b")):
            run("ip", "-n", namespace, "link", "set", "dev", device, "mtu", mtu, "up")
        ends = ((self.app, 1, 2), (self.gw, 2, 1))
        for namespace, _, _ in ends:
            run("ip", "-n", namespace, "link", "set", "dev", "lan", "mtu", mtu, "up")
        hardware = {namespace: self._hardware_address(namespace) for namespace, _, _ in ends}
        for namespace, own, peer in ends:
            other = self.gw if namespace == self.app else self.app
            # Neighbours are fixed: a lost ARP is not what is tested here.
            lines = [f"address replace 192.0.2.{own}/24 dev lan",
                     f"neighbour replace 192.0.2.{peer} lladdr {hardware[other]} dev lan nud permanent"]
            if mtu >= 1280:
                lines += [f"-6 address replace 2001:db8:1::{own}/64 dev lan nodad",
                          f"-6 neighbour replace 2001:db8:1::{peer} lladdr {hardware[other]} dev lan nud permanent"]
            self.batch(namespace, lines)
        lines = ["route replace 198.51.100.0/24 via 192.0.2.2"]
        if mtu >= 1280:
            lines.append("-6 route replace 2001:db8:7::/64 via 2001:db8:1::2")
        self.batch(self.app, lines)

    def _hardware_address(self, namespace):
        return json.loads(run("ip", "-n", namespace, "-j", "link", "show", "dev", "lan"))[0]["address"]

    def batch(self, namespace, lines):
        for line in lines:
            run("ip", "-n", namespace, *line.split())

    def sysctl(self, namespace, *settings):
        self.inside(namespace, "sysctl", "-q", "-w", *settings)

    def inside(self, namespace, *command):
        return run("ip", "netns", "exec", namespace, *command)

    def _start(self, namespace, name, *command):
        output = open(self.folder / f"{name}.log", "w+", encoding="utf-8")
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT)
        output.close()
        self.processes.append(process)
        return process

    def _stop(self, process):
        if process and process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        if process in self.processes:
            self.processes.remove(process)

    # MARK: programs

    def start_linkem(self, **settings):
        """Settings as linkem has them: delay, jitter, loss, dup, reorder, rate, queue, seed."""
        self._stop(self.linkem)
        arguments = [f"{key}={value}" for key, value in settings.items()]
        self.linkem = self._start(self.link, "linkem", self.programs / "linkem", "a", "b", *arguments)

    def stop_linkem(self):
        """Cuts the LAN; what linkem counted, towards FlowNAT and towards the application."""
        self._stop(self.linkem)
        self.linkem = None
        lines = [line.split() for line in self._log("linkem").splitlines()]
        expect(len(lines) == 2, f"linkem ended without its counters:\n{self._log('linkem')}")
        return tuple({name: int(number) for name, number in zip(line[::2], line[1::2])} for line in lines)

    def start_flowtun(self, queue=500, **options):
        """Options as flowtun has them, with _ for -; the TUN's MTU is that of the LAN without `mtu`.

        `queue` is what the kernel keeps for flowtun, in packets; 500 is every TUN's beginning. What comes on top is lost.
        """
        self.stop_flowtun()
        options = {"mtu": self.mtu} | options
        arguments = [text for key, value in options.items() for text in ("--" + key.replace("_", "-"), value)]
        self.flowtun = self._start(self.gw, "flowtun", self.flowtun_program, *arguments)
        wait_until("flowtun has its device", lambda: "ready" in self._flowtun_output())
        lines = ["address add 198.18.0.1/30 dev flow0", f"link set dev flow0 mtu {options['mtu']} txqueuelen {queue} up",
                 "route add 198.51.100.0/24 dev flow0"]
        if int(options["mtu"]) >= 1280:
            lines += ["-6 address add 2001:db8:8::1/64 dev flow0 nodad", "-6 route add 2001:db8:7::/64 dev flow0"]
        self.batch(self.gw, lines)

    def stop_flowtun(self):
        self._stop(self.flowtun)
        self.flowtun = None

    def _flowtun_output(self):
        expect(self.flowtun.poll() is None, "flowtun has ended:\n" + self._log("flowtun"))
        return self._log("flowtun")

    def _log(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def counters(self):
        """Name to number, as flowtun prints them at SIGUSR1."""
        # `ip netns exec` has become the program itself: the process id is flowtun's.
        before = self._flowtun_output().count("\nend\n")
        self.flowtun.send_signal(signal.SIGUSR1)
        wait_until("flowtun prints its counters", lambda: self._flowtun_output().count("\nend\n") > before)
        block = self._flowtun_output().split("\nend\n")[-2]
        pairs = (line.rsplit(" ", 1) for line in block.splitlines())
        return {name: int(number) for name, number in (pair for pair in pairs if len(pair) == 2) if number.isdigit()}

    def kernel_counters(self):
        """The application's namespace since it was made: nstat's names and numbers."""
        counters = {}
        for file in ("snmp", "netstat"):
            lines = self.inside(self.app, "cat", f"/proc/net/{file}").splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                family = names.split()[0].removesuffix(":")
                counters |= {family + name: int(value) for name, value in zip(names.split()[1:], values.split()[1:])}
        return counters

    def queue_drops(self):
        """Packets lost since flowtun fell behind: they came when the TUN's queue was full."""
        return int(self.inside(self.gw, "cat", "/sys/class/net/flow0/statistics/tx_dropped"))

    def memory(self):
        """Resident bytes of flowtun."""
        return resident(self.flowtun.pid)

    def start_load(self, kind, *, program="flowload", family=4, direct=False, **settings):
        """flowload, or udpload.py, in the background; `finish_load` gives its result."""
        arguments = [f"{key}={value}" for key, value in settings.items() if value is not None]
        namespace = self.gw if direct else self.app
        process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, str(self.programs / program), DESTINATION[family], kind, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        return process

    def finish_load(self, process):
        output, _ = process.communicate()
        self.processes.remove(process)
        expect(process.returncode == 0, output.strip())
        return json.loads(output.splitlines()[-1])

    def load(self, kind, **settings):
        return self.finish_load(self.start_load(kind, **settings))

    def expect_settled(self, patience=PATIENCE):
        """Nothing is left in FlowNAT, no byte was wrong; returns the counters."""
        left = ("flows left", "connections left", "blocks left")
        counters = {}

        def is_settled():
            nonlocal counters
            counters = self.counters()
            return all(counters[name] == 0 for name in left)

        with contextlib.suppress(Failure):
            wait_until("nothing is left", is_settled, patience)
        for name in left:
            expect(counters[name] == 0, f"{name} in FlowNAT after {patience} s: {counters[name]}")
        expect(counters["server corrupt"] == 0, "flowtun got wrong bytes")
        return counters


def run(*command):
    result = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    expect(result.returncode == 0, f"{' '.join(map(str, command))}: {result.stderr.strip()}")
    return result.stdout


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_until(what, condition, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        expect(time.monotonic() < deadline, f"waited in vain until {what}")
        time.sleep(0.05)
