#!/usr/bin/env python3
"""Forebay beside other servers, in one interleaved run: processor time per request, throughput, memory per entry.

Starts redis-server and valkey-server where they are on the PATH, and every NAME=PATH given. Each server is pinned to
one core and redis-benchmark to another; in each round every server runs every case, so that what the machine does
meanwhile meets all of them. Figures are medians over the rounds. Needs redis-benchmark (Debian: redis-tools).
"""

import argparse
import collections
import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
KEYS = 100_000
START_SECONDS = 10

# What redis-benchmark is to do, the keys that are removed before, and whether a near cache answers it by itself.
Case = collections.namedtuple("Case", "name options pipeline reads removes", defaults=[()])
CASES = [
    Case("GET", "-t get -P 1 -d 64", 1, True),
    Case("SET", "-t set -P 1 -d 64", 1, False),
    Case("GET, pipeline 16", "-t get -P 16 -d 64", 16, True),
    Case("SET, pipeline 16", "-t set -P 16 -d 64", 16, False),
    Case("GET, pipeline 64", "-t get -P 64 -d 64", 64, True),
    Case("SET, pipeline 64", "-t set -P 64 -d 64", 64, False),
    Case("INCR, pipeline 16", "-t incr -P 16", 16, False),
    Case("LPUSH, pipeline 16", "-P 16 LPUSH list element", 16, False, ["list"]),
    Case("LPOP, pipeline 16", "-P 16 LPOP list", 16, False),
    Case("SADD, pipeline 16", "-P 16 -r 1000000 SADD set element:__rand_int__", 16, False, ["set"]),
    Case("SPOP, pipeline 16", "-P 16 SPOP set", 16, False),
    Case("HSET, pipeline 16", "-P 16 HSET hash element:__rand_int__ value", 16, False, ["hash"]),
    Case("HGET, pipeline 16", "-P 16 HGET hash element:__rand_int__", 16, False),
    Case("ZADD, pipeline 16", "-P 16 ZADD zset __rand_int__ element:__rand_int__", 16, False, ["zset"]),
    Case("ZRANGE of 10, pipeline 16", "-P 16 ZRANGE zset 0 9", 16, False),
    Case("XADD, pipeline 16", "-P 16 XADD stream * field value", 16, False, ["stream"]),
    Case("LRANGE of 600", "LRANGE thousand-list 0 599", 1, False),
    Case("ZRANGE of 1000", "ZRANGE thousand-zset 0 999", 1, False),
]
THOUSAND = [
    "RPUSH thousand-list " + " ".join(f"element:{number}" for number in range(1000)),
    "ZADD thousand-zset " + " ".join(f"{number} element:{number}" for number in range(1000)),
]
Result = collections.namedtuple("Result", "requests_per_second microseconds p99_ms")

# Values of so many bytes, each with or without a deadline.
ENTRY_SHAPES = [(8, False), (64, False), (64, True), (1024, False)]
ENTRY_KEY_BYTES = 16


def main():
    options = parse_arguments()
    binary = options.forebay or build()
    programs = find_programs(binary, options.servers)
    print_machine(programs)
    print_speed(measure_speed(programs, binary, options), options)
    print_memory(programs, options)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="*", metavar="NAME=PATH", help="another server that takes redis-server's flags")
    parser.add_argument("--forebay", type=Path, help="the binary to measure (default: builds the release profile)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=200_000, help="requests of a case without pipelining (default 200000)")
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries for the memory figures")
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one short round, no figures to rely on")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.n, options.entries = 1, 5_000, 20_000
    return options


def build():
    subprocess.run(["cargo", "build", "--release"], cwd=PROJECT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "release" / "forebay"


def find_programs(binary, given):
    """{name: path}; the first is what the others are compared with."""
    programs = {}
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            programs[name.removesuffix("-server")] = path
    for server in given:
        name, _, path = server.partition("=")
        if not path:
            sys.exit(f"expected NAME=PATH, found {server}")
        programs[name] = path
    programs["forebay"] = str(binary)
    return programs


def print_machine(programs):
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, ", end="")
    print(f"{platform.system()} {platform.release()}")
    for name, path in programs.items():
        version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
        print(f"{name}: {version}")


# Servers


class NotStarted(SystemExit):
    """A server that does not answer; its last words are the message."""


class Server:
    """A running server, alone on its core, or on any if `cpu` is None."""

    def __init__(self, path, cpu, *flags):
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory()
        words = [path, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
        self.log = open(Path(self.directory.name) / "log", "w+")
        self.process = subprocess.Popen(
            pinned(cpu) + words, cwd=self.directory.name, env=environment, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
        )
        if not self.answers():
            self.log.seek(0)
            last_words = self.log.read()[-300:].strip()
            self.stop()
            raise NotStarted(f"{path} did not start: {last_words}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def answers(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), self.connect() as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            time.sleep(0.02)
        return False

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        self.directory.cleanup()

    def processor_seconds(self, name=""):
        """Time that its threads ran, or those whose names begin so, in user mode and in the kernel. Threads that have
        ended are not counted."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        threads = [thread for thread in threads if (thread / "comm").read_text().startswith(name)]
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def resident_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def pinned(cpu):
    return ["taskset", "--cpu-list", cpu] if cpu and os.cpu_count() > 1 and shutil.which("taskset") else []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# Speed


def measure_speed(programs, binary, options):
    """{case name: {server name: [result of each round]}}"""
    results = collections.defaultdict(lambda: collections.defaultdict(list))
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Server(path, options.server_cpu)) for name, path in programs.items()}
        if "redis" in programs:
            # The upstream has the other core: only what the near cache itself does is counted.
            upstream = stack.enter_context(Server(programs["redis"], options.load_cpu))
            flags = ("--upstream", f"redis://127.0.0.1:{upstream.port}")
            servers["near cache"] = stack.enter_context(Server(str(binary), options.server_cpu, *flags))
        for server in servers.values():
            # Every key that will be asked for: a near cache would ask its upstream for one that nobody has, each time.
            store_entries(server, KEYS, 64, ttl=False)
            ask(server, *THOUSAND)
            load(server, f"-t get -P 64 -d 64 -n {3 * KEYS}", options)
        for _ in range(options.rounds):
            for case in CASES:
                for name, server in servers.items():
                    # A write through a near cache is upstream's work.
                    if case.reads or name != "near cache":
                        results[case.name][name].append(run_case(case, server, options))
    return results


def run_case(case, server, options):
    requests = options.n * {1: 1, 16: 4, 64: 8}[case.pipeline]
    ask(server, *(f"DEL {key}" for key in case.removes))
    began = server.processor_seconds()
    row = load(server, f"-n {requests} {case.options}", options)
    used = server.processor_seconds() - began
    return Result(float(row[1]), used / requests * 1e6, float(row[6]))


def ask(server, *requests):
    with server.connect() as connection, connection.makefile("rb") as replies:
        for request in requests:
            connection.sendall(request.encode() + b"\r\n")
            if not replies.readline().startswith(b":"):
                sys.exit(f"{request[:40]} failed")


def load(server, arguments, options):
    """Runs redis-benchmark; the fields of its one result."""
    words = ["redis-benchmark", "-p", str(server.port), "-c", "50", "-r", str(KEYS), "--csv", *arguments.split()]
    done = subprocess.run(pinned(options.load_cpu) + words, capture_output=True, text=True)
    rows = [line for line in done.stdout.splitlines() if re.match(r'"[A-Z]', line)]
    if done.returncode or len(rows) != 1:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return rows[0].strip('"').split('","')


def print_speed(results, options):
    names = list(next(iter(results.values())))
    base = names[0]
    print(f"\nServer processor time per request (ratio to {base}), throughput, 99th percentile; ", end="")
    print(f"64 B values, {KEYS} keys, 50 clients, medians of {options.rounds} rounds\n")
    print("| | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for case, servers in results.items():
        base_microseconds = median(servers[base]).microseconds
        cells = (cell(median(servers[name]), base_microseconds) if servers[name] else "" for name in names)
        print(f"| {case} | " + " | ".join(cells) + " |")


def median(results):
    return Result(*(statistics.median(figures) for figures in zip(*results)))


def cell(result, base_microseconds):
    ratio = result.microseconds / base_microseconds
    return (
        f"{result.microseconds:.2f} µs ({ratio:.2f}), {result.requests_per_second / 1000:.0f} k/s, "
        f"{result.p99_ms:.2f} ms"
    )


# Memory


def print_memory(programs, options):
    print(f"\nResident bytes per entry beyond a key of {ENTRY_KEY_BYTES} B and the value, ", end="")
    print(f"{options.entries} entries; and per idle connection\n")
    titles = [f"{size} B" + (" with TTL" if ttl else "") for size, ttl in ENTRY_SHAPES]
    print("| | " + " | ".join([*titles, "connection"]) + " |")
    print("|---|" + "---:|" * (len(titles) + 1))
    for name, path in programs.items():
        figures = [entry_overhead_bytes(path, size, ttl, options) for size, ttl in ENTRY_SHAPES]
        figures.append(connection_bytes(path, options))
        print(f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")


def entry_overhead_bytes(path, value_bytes, ttl, options):
    with Server(path, options.server_cpu) as server:
        before = settled(server)
        store_entries(server, options.entries, value_bytes, ttl)
        used = settled(server) - before
    return used / options.entries - ENTRY_KEY_BYTES - value_bytes


def store_entries(server, entries, value_bytes, ttl):
    value = b"x" * value_bytes
    batch = 500
    with server.connect() as connection, connection.makefile("rb") as replies:
        for first in range(0, entries, batch):
            keys = range(first, min(first + batch, entries))
            connection.sendall(b"".join(set_request(key, value, ttl) for key in keys))
            for _ in keys:
                if replies.readline() != b"+OK\r\n":
                    sys.exit("a SET failed")


def set_request(number, value, ttl):
    words = [b"SET", b"key:%012d" % number, value]
    if ttl:
        words += [b"EX", b"%d" % (100_000 + number % 800_000)]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def connection_bytes(path, options, connections=1000):
    with Server(path, options.server_cpu) as server, contextlib.ExitStack() as stack:
        before = settled(server)
        for _ in range(connections):
            connection = stack.enter_context(server.connect())
            connection.sendall(b"PING\r\n")
            connection.recv(16)
        return (settled(server) - before) / connections


def settled(server):
    """Resident bytes after the allocator has had time to give pages back."""
    time.sleep(1.5)
    return server.resident_bytes()


if __name__ == "__main__":
    main()
