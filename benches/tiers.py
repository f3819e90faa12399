#!/usr/bin/env python3
"""What the tiers cost: the figures of a Forebay in front of redis-server, as rows for the README.

Each figure compares things in one interleaved run; figures are medians over the rounds. Processor time is that of the
server's process, from /proc. Needs redis-server and redis-benchmark (Debian: redis-server, redis-tools), and cargo for
the load generator in benches/tier_load, which is also the proxy that makes an upstream far away. A figure that the
binary can't give (an older one has no such mode) is skipped with a note.
"""

import argparse
import collections
import contextlib
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import versus
from versus import PROJECT, NotStarted, Server, pinned, print_machine, run_case

CLIENTS = 50
CROWD = 10_000
FAR_MS = 1.0
FAR_KEYS = 1_000_000
FAR_VALUE_BYTES = 100
FAR_RESIDENT_SHARE = 0.1
# Requests per second of the paced load: well below what upstream alone gives at that distance, about 47,000.
FAR_RATE = 20_000
FILL_KEYS = 1_000_000
FILL_VALUE_BYTES = 16
SAMPLE_SECONDS = 0.001


def main():
    options = parse_arguments()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.forebay = str(options.forebay or versus.build())
    options.load = build_load()
    options.redis = shutil.which("redis-server") or sys.exit("redis-server is not on the PATH")
    print_machine({"redis": options.redis, "forebay": options.forebay})
    figures = [figure for figure in FIGURES if not options.only or figure in options.only]
    notes = []
    print("\n| | measured | aim |\n|---|---|---|", flush=True)
    for figure in figures:
        began = time.monotonic()
        try:
            for row in FIGURES[figure](options):
                print(f"| {' | '.join(row)} |", flush=True)
        except NotStarted as error:
            notes.append(f"{figure}: skipped: {error}")
        notes.append(f"{figure}: {time.monotonic() - began:.0f} s")
    print("\n" + "\n".join(notes))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forebay", type=Path, help="the binary to measure (default: builds the release profile)")
    parser.add_argument("--only", default="", metavar="a,c", type=lambda text: text.split(",") if text else [],
                        help="only these: a hits, b crowd, c far upstream, d breaker, e write-behind, f filling")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a smoke test: no figures to rely on")
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of all requests, for a quick look")
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.scale = 1, 0.05
    options.n = int(60_000 * options.scale)
    return options


def build_load():
    crate = PROJECT / "benches" / "tier_load"
    target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")) / "tier_load"
    subprocess.run(["cargo", "build", "--release", "--quiet", "--target-dir", str(target)], cwd=crate, check=True)
    return str(target / "release" / "tier-load")


# a: an L1 hit in front of an upstream, beside a hit without one


def hits(options):
    results = collections.defaultdict(lambda: collections.defaultdict(list))
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Server(options.redis, options.load_cpu))
        servers = {
            "plain": stack.enter_context(Server(options.forebay, options.server_cpu)),
            "near": stack.enter_context(near_cache(options, upstream.port, cpu=options.server_cpu)),
        }
        for server in servers.values():
            versus.store_entries(server, versus.KEYS, 64, ttl=False)
            versus.load(server, f"-t get -P 64 -d 64 -n {3 * versus.KEYS}", options)
        cases = [case for case in versus.CASES if case.reads]
        for _ in range(options.rounds):
            for case in cases:
                for name, server in servers.items():
                    results[case.name][name].append(run_case(case, server, options))
    for case in results:
        plain, near = (versus.median(results[case][name]).microseconds for name in ("plain", "near"))
        yield (f"{case} of a resident key, processor time beside that without an upstream",
               f"{near:.2f} µs : {plain:.2f} µs = **{near / plain:.2f}**", "1.1")


# b: a crowd that waits for one missing key


def crowd(options):
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Server(options.redis, None))
        proxy = stack.enter_context(Proxy(options, upstream.port, delay_ms=0))
        flags = ("--maxclients", str(CROWD + 100), "--upstream-timeout-ms", "30000")
        near = stack.enter_context(near_cache(options, proxy.port, *flags))
        ask_one(upstream, b"SET wanted value")
        words = [options.load, "crowd", "--port", str(near.port), "--clients", str(CROWD), "--key", "wanted"]
        asking = stack.enter_context(started(words))
        expect_line(asking, "connected")
        proxy.order("hold")
        # What is measured from here on is only what the crowd asks: the one INFO that is asked now is known.
        before_bytes = int(info(near, "stats")["total_net_input_bytes"])
        fetches = calls(upstream, "get")
        asking.stdin.write("\n")
        asking.stdin.flush()
        expect_line(asking, "asked")
        await_input(near, before_bytes + CROWD * len("*2\r\n$3\r\nGET\r\n$6\r\nwanted\r\n"))
        began = time.monotonic()
        proxy.order("pass")
        done = json.loads(asking.stdout.readline())
        seconds = time.monotonic() - began
        if done["values"] != CROWD:
            sys.exit(f"not all were answered: {done}")
        fetches = calls(upstream, "get") - fetches
    yield (f"{CROWD} clients that wait for one key that is not resident: fetches from upstream",
           f"**{fetches}**; all answered {1000 * seconds:.0f} ms after its reply", "1")


def await_input(server, bytes_):
    """Waits until the server has read so many bytes in all: everybody who has asked waits then."""
    deadline = time.monotonic() + 20
    while int(info(server, "stats")["total_net_input_bytes"]) < bytes_:
        if time.monotonic() > deadline:
            sys.exit("the server has not read what the crowd asks")
        time.sleep(0.02)


# c: an upstream a millisecond away


def far_upstream(options):
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Server(options.redis, None))
        load(options, upstream.port, "--op", "set", "--keys", "once", "--pipeline", 64, "--universe", FAR_KEYS,
             "--requests", FAR_KEYS, "--value-bytes", FAR_VALUE_BYTES)
        proxy = stack.enter_context(Proxy(options, upstream.port, delay_ms=FAR_MS))
        budget_bytes = budget_for(options, int(FAR_KEYS * FAR_RESIDENT_SHARE))
        near = stack.enter_context(near_cache(options, proxy.port, "--maxmemory", str(budget_bytes)))
        targets = {"near cache": near}
        with contextlib.suppress(NotStarted):
            flags = ("--promotion", "never")
            targets["Forebay that keeps nothing"] = stack.enter_context(near_cache(options, proxy.port, *flags))
        ports = {"straight to upstream": proxy.port, **{name: server.port for name, server in targets.items()}}
        # Each run has draws of its own: those of another would be resident.
        seeds = itertools.count(1)
        load(options, near.port, *zipf(options, 1_500_000, seeds), "--pipeline", 16)
        resident = int(info(near, "l1")["l1_entries"])
        loads = {f"paced, {FAR_RATE // 1000} k/s": ("--rate", FAR_RATE), "as fast as they can": ()}
        for title, flags in loads.items():
            yield from far_rows(title, flags, ports, near, upstream, resident, seeds, options)


def zipf(options, requests, seeds):
    return "--keys", "zipf", "--universe", FAR_KEYS, "--requests", int(requests * options.scale), "--seed", next(seeds)


def far_rows(title, flags, ports, near, upstream, resident, seeds, options):
    runs = collections.defaultdict(list)
    for _ in range(options.rounds):
        for name, port in ports.items():
            before = info(near, "tiers"), calls(upstream, "get"), calls(upstream, "pttl")
            run = load(options, port, *zipf(options, 120_000, seeds), *flags)
            after = info(near, "tiers"), calls(upstream, "get"), calls(upstream, "pttl")
            run["gets"], run["pttls"] = after[1] - before[1], after[2] - before[2]
            hits, misses = (int(after[0][key]) - int(before[0][key]) for key in ("tier_l1_hits", "tier_l1_misses"))
            run["hit_share"] = hits / max(1, hits + misses)
            runs[name].append(run)
    share = 100 * resident / FAR_KEYS
    for name, of_name in runs.items():
        figure = lambda key: statistics.median(run[key] for run in of_name)
        text = (f"p50 **{figure('p50_ms'):.3f}**, p95 {figure('p95_ms'):.2f}, p99 {figure('p99_ms'):.2f} ms, "
                f"{figure('per_second') / 1000:.1f} k/s")
        aim = ""
        if name == "near cache":
            saved = 100 * (1 - figure("gets") / figure("requests"))
            text += (f"; {share:.1f} % of the keys resident, hit ratio {100 * figure('hit_share'):.1f} %, "
                     f"fetches saved **{saved:.1f} %** ({figure('pttls') / max(1, figure('gets')):.1f} PTTL each)")
            aim = "p50 0.2 ms; fetches saved ≥ hit ratio"
        elif any(run["errors"] for run in of_name):
            sys.exit(f"{name}: {of_name[0]['first_error']}")
        yield (f"upstream {FAR_MS:g} ms away, Zipf 0.99 over {FAR_KEYS:,} keys, {title}: {name}", text, aim)


def budget_for(options, entries):
    """Bytes of L1 that so many of the entries take."""
    with Server(options.forebay, None) as server:
        load(options, server.port, "--op", "set", "--keys", "once", "--pipeline", 64, "--universe", entries,
             "--requests", entries, "--value-bytes", FAR_VALUE_BYTES)
        return int(info(server, "memory")["used_memory"])


# d: an upstream that is gone


def breaker(options):
    yield refused_misses(options)
    opened, first_errors, longest = [], [], []
    for _ in range(options.rounds + 2):
        figures = time_to_open(options)
        for figure, figures_of_kind in zip(figures, (opened, first_errors, longest)):
            figures_of_kind.append(figure)
    worst = lambda figures: f"{statistics.median(figures):.0f} (worst of {len(figures)}: {max(figures):.0f})"
    yield ("from `kill -9` of upstream under load to the open breaker; to the first error; longest wait of a request",
           f"**{worst(opened)}** ms; {worst(first_errors)} ms; {worst(longest)} ms", "100 ms")


def refused_misses(options):
    costs = collections.defaultdict(list)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Server(options.redis, options.load_cpu))
        near = stack.enter_context(near_cache(options, upstream.port, cpu=options.server_cpu))
        versus.store_entries(near, 10_000, 64, ttl=False)
        load(options, near.port, "--keys", "once", "--universe", 10_000, "--requests", 10_000)
        upstream.process.kill()
        await_breaker(near)
        for _ in range(options.rounds):
            for pipeline in (1, 16):
                for prefix in ("key:", "absent:"):
                    requests = options.n * (1 if pipeline == 1 else 4)
                    flags = ("--universe", 10_000, "--pipeline", pipeline, "--prefix", prefix, "--requests", requests)
                    run, used = measured(near, options, *flags)
                    if run["errors"] != (run["requests"] if prefix == "absent:" else 0):
                        sys.exit(f"breaker open: {run}")
                    costs[pipeline, prefix].append(used / run["requests"] * 1e6)
    cost = {case: statistics.median(of_case) for case, of_case in costs.items()}
    texts = (f"pipeline {pipeline}: **{cost[pipeline, 'absent:']:.2f} µs** (a hit: {cost[pipeline, 'key:']:.2f})"
             for pipeline in (1, 16))
    return "a miss that the open breaker refuses, processor time", "; ".join(texts), "20 µs"


def time_to_open(options):
    """Milliseconds from the end of upstream to the open breaker and to the first error, and the longest wait."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(Server(options.redis, None))
        near = stack.enter_context(near_cache(options, upstream.port))
        words = load_words(options, near.port, "--universe", 1_000_000, "--requests", 60_000, "--rate", FAR_RATE)
        loading = stack.enter_context(started(words))
        time.sleep(1)
        killed = time.time()
        upstream.process.kill()
        opened = await_breaker(near)
        run = json.loads(loading.stdout.readline())
        return 1000 * (opened - killed), run["first_error_unix_ms"] - 1000 * killed, run["max_ms"]


def await_breaker(near):
    """When INFO said that the breaker is open."""
    deadline = time.monotonic() + 20
    with near.connect() as connection:
        while time.monotonic() < deadline:
            if ask_info(connection, "upstream")["upstream_breaker"] == "open":
                return time.time()
            time.sleep(SAMPLE_SECONDS)
    sys.exit("the breaker does not open")


# e: a write-behind SET


def write_behind(options):
    figures = collections.defaultdict(list)
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(Server(options.redis, options.load_cpu))
        flags = ("--tier-mode", "write-behind", "--journal-dir", journal, "--journal-sync", "10ms")
        servers = {
            "plain": stack.enter_context(Server(options.forebay, options.server_cpu)),
            "behind": stack.enter_context(near_cache(options, upstream.port, *flags, cpu=options.server_cpu)),
        }
        for round_ in range(options.rounds + 1):
            for name, server in servers.items():
                workers = server.processor_seconds("worker-")
                run, used = measured(server, options, "--op", "set", "--pipeline", 16, "--requests", 8 * options.n)
                workers = server.processor_seconds("worker-") - workers
                if run["errors"]:
                    sys.exit(f"{name}: {run['first_error']}")
                # The first round is what fills the tables and the journal.
                if round_:
                    microseconds = (seconds / run["requests"] * 1e6 for seconds in (used, workers))
                    figures[name].append((*microseconds, run["per_second"]))
    plain, behind = ([statistics.median(of_kind) for of_kind in zip(*figures[name])] for name in ("plain", "behind"))
    ratios = [after / before for before, after in zip(plain, behind)]
    yield ("SET in write-behind, pipeline 16, group commit every 10 ms, beside a plain SET: processor time of the "
           "process; of its workers; throughput",
           f"{behind[0]:.2f} µs : {plain[0]:.2f} µs = **{ratios[0]:.2f}**; "
           f"{behind[1]:.2f} µs : {plain[1]:.2f} µs = **{ratios[1]:.2f}**; "
           f"{behind[2] / 1000:.0f} : {plain[2] / 1000:.0f} k/s = {ratios[2]:.2f}", "1.3")


# f: filling a near cache that begins empty


def filling(options):
    rates = collections.defaultdict(list)
    costs = collections.defaultdict(list)
    keys = int(FILL_KEYS * options.scale)
    with Server(options.redis, None) as upstream:
        load(options, upstream.port, "--op", "set", "--keys", "once", "--pipeline", 64, "--universe", keys,
             "--requests", keys, "--value-bytes", FILL_VALUE_BYTES)
        for _ in range(max(1, options.rounds - 1)):
            for pipeline in (1, 16):
                flags = ("--keys", "once", "--universe", keys, "--requests", keys, "--pipeline", pipeline)
                rates[pipeline, "direct"].append(load(options, upstream.port, *flags)["per_second"])
                with near_cache(options, upstream.port) as near:
                    run, used = measured(near, options, *flags, cpu=None)
                    if run["values"] != keys:
                        sys.exit(f"not all were filled: {run}")
                rates[pipeline, "near"].append(run["per_second"])
                costs[pipeline].append(used / keys * 1e6)
    for pipeline in (1, 16):
        direct, near = (statistics.median(rates[pipeline, name]) / 1000 for name in ("direct", "near"))
        yield (f"filling {keys:,} small texts cold, pipeline {pipeline}, beside reading them from upstream",
               f"{near:.0f} : {direct:.0f} k/s = **{near / direct:.2f}** ({statistics.median(costs[pipeline]):.1f} µs "
               "of Forebay's processor time each)", "0.5")


FIGURES = {"a": hits, "b": crowd, "c": far_upstream, "d": breaker, "e": write_behind, "f": filling}


# Servers, load, proxy


def near_cache(options, upstream_port, *flags, cpu=None):
    # Background checks of copies would be counted as fetches.
    unchecked = ("--checks-per-second", "0")
    return Server(options.forebay, cpu, "--upstream", f"redis://127.0.0.1:{upstream_port}", *unchecked, *flags)


def load_words(options, port, *flags):
    return [options.load, "load", "--port", str(port), "--clients", str(CLIENTS), *map(str, flags)]


def load(options, port, *flags, cpu=None):
    """Runs the load; what it reports."""
    done = subprocess.run(pinned(cpu) + load_words(options, port, *flags), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the load failed: {done.stderr}")
    return json.loads(done.stdout)


def measured(server, options, *flags, cpu="load"):
    """Runs the load; what it reports, and the seconds of processor time that it cost the server."""
    began = server.processor_seconds()
    run = load(options, server.port, *flags, cpu=options.load_cpu if cpu == "load" else cpu)
    return run, server.processor_seconds() - began


@contextlib.contextmanager
def started(words):
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def expect_line(process, text):
    line = process.stdout.readline().strip()
    if line != text:
        sys.exit(f"expected {text}, found {line}")


class Proxy:
    """Passes on to a server that is `delay_ms` away."""

    def __init__(self, options, port, delay_ms):
        words = [options.load, "proxy", "--to", str(port), "--delay-us", str(int(1000 * delay_ms))]
        self.running = started(words)

    def __enter__(self):
        self.process = self.running.__enter__()
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *error):
        self.running.__exit__(*error)

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        time.sleep(0.05)


def ask_one(server, request):
    with server.connect() as connection:
        connection.sendall(request + b"\r\n")
        return connection.recv(4096)


def info(server, section):
    with server.connect() as connection:
        return ask_info(connection, section)


def ask_info(connection, section):
    connection.sendall(f"INFO {section}\r\n".encode())
    received = b""
    while b"\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n")
    while len(body) < int(head[1:]) + 2:
        body += connection.recv(65536)
    return dict(line.split(":", 1) for line in body.decode().splitlines() if ":" in line)


def calls(server, command):
    """How often a server has run a command."""
    fields = info(server, "commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(fields.removeprefix("calls=").partition(",")[0])


if __name__ == "__main__":
    main()
