#!/usr/bin/env python3
"""Vine's registry under load, with nginx, which returns a fixed string, beside it in the same rounds.

    bench/registry.py [--rounds 5] [--seconds 2] [--apps 2000] [--per-app 50] [--only beats,big] [--beside NAME=PORT:PID ...]

beats   heartbeats on one core from 64 and 512 keep-alive connections: requests a second and CPU time each, the registry holding
        10,000 instances; registrations a second into an empty registry
big     100,000 instances (apps * per-app): memory an instance with every cache filled; full and delta fetches with gzip while 5,000
        heartbeats and 100 changes a second go on; the start with that snapshot

The server has core 0, the load core 1. CPU time is the scheduler's own account of the process. Any answer but 200 or 204 fails the run.
--beside adds a registry that runs already, by name, port and process: another server of Eureka's protocol, measured in the same rounds.
It needs Linux with two cores, nginx and a C compiler. Loopback only."""
import argparse
import http.client
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from proxy import ROOT, VINE, cpu_us, free_port, rss_kib, table, wait_port

NGINX = """daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 30000;
pid {work}/nginx.pid; error_log {work}/nginx.err error;
events {{ worker_connections 20000; multi_accept on; }}
http {{ access_log off; keepalive_timeout 600s; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 ""; }} }} }}
"""


class Server:
    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid


class Stage:
    """Everything that was started, and the folder it writes to."""

    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vine-bench-"))
        self.processes = []
        self.load_tool = self.work / "regload"
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", self.load_tool, ROOT / "bench" / "regload.c"], check=True)
        return self

    def __exit__(self, *_):
        for p in self.processes:
            self.stop(p)
        shutil.rmtree(self.work, ignore_errors=True)

    def stop(self, p):
        if p.poll() is None:
            p.terminate()
        try:
            p.wait(30)
        except subprocess.TimeoutExpired:
            p.kill()

    def start(self, argv, port):
        p = subprocess.Popen(["taskset", "-c", "0", *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        self.processes.append(p)
        wait_port(port, p)
        return p

    def registry(self, folder="data", *props):
        port = free_port()
        p = self.start([VINE, "registry", f"--server.port={port}", "--server.address=127.0.0.1", "--vine.workers=1",
                        f"--vine.data-dir={self.work}/{folder}", *props], port)
        s = Server("Vine", port, p.pid)
        s.process = p
        return s

    def nginx(self):
        port = free_port()
        conf = self.work / "nginx.conf"
        conf.write_text(NGINX.format(work=self.work, port=port))
        return Server("nginx, a fixed string", port, self.start(["nginx", "-p", self.work, "-c", conf], port).pid)

    def load(self, kind, server, conns, seconds, rate, apps, per_app):
        """(requests, a second, p50 us, p99 us)"""
        out = subprocess.run(["taskset", "-c", "1", self.load_tool, kind, str(server.port), str(conns), str(seconds), str(rate),
                              str(apps), str(per_app)], capture_output=True, text=True)
        if out.returncode:
            sys.exit(f"{server.name}: not all answers were good: {out.stdout}{out.stderr}")
        n, _, rps, _, p50, p99, _ = map(float, out.stdout.split())
        return n, rps, p50, p99


def measure(stage, server, kind, conns, seconds, apps, per_app):
    before = cpu_us(server.pid)
    n, rps, p50, p99 = stage.load(kind, server, conns, seconds, 0, apps, per_app)
    return {"rps": rps, "cpu": (cpu_us(server.pid) - before) / n, "p50": p50, "p99": p99}


def beats(a):
    apps, per_app = 200, 50
    with Stage() as stage:
        servers = [(stage.nginx(), "get"), (stage.registry(), "beat")]
        servers += [(Server(name, int(port), int(pid)), "beat") for name, port, pid in
                    (re.fullmatch(r"(.+)=(\d+):(\d+)", b).groups() for b in a.beside)]
        for server, kind in servers[1:]:
            n, rps, _, p99 = stage.load("register", server, 64, 120, 0, apps, per_app)
            print(f"{server.name}: {n:.0f} registrations from 64 connections, {rps:.0f} a second, p99 {p99:.0f} us")
        for conns in (64, 512):
            got = {s.name: [] for s, _ in servers}
            for _ in range(a.rounds):
                for s, kind in servers:
                    got[s.name].append(measure(stage, s, kind, conns, a.seconds, apps, per_app))
            rows = []
            for s, _ in servers:
                med = {k: statistics.median(r[k] for r in got[s.name]) for k in got[s.name][0]}
                rows.append((s.name, f"{med['rps']:.0f}", f"{med['cpu']:.2f}", f"{med['p50']:.0f}", f"{med['p99']:.0f}"))
            print(f"\nheartbeats, {conns} connections, medians of {a.rounds} rounds of {a.seconds} s\n")
            table(rows, ("server", "a second", "CPU us each", "p50 us", "p99 us"))


def fetch(port, path, **headers):
    """(milliseconds to the first byte of the answer, to the last, bytes)"""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    c.connect()
    at = time.perf_counter()
    c.request("GET", path, headers={"Accept": "application/json", "Accept-Encoding": "gzip", **headers})
    r = c.getresponse()
    first = time.perf_counter()
    body = r.read()
    last = time.perf_counter()
    c.close()
    if r.status != 200:
        sys.exit(f"{path}: {r.status}")
    return (first - at) * 1000, (last - at) * 1000, len(body)


def quantiles(values):
    values = sorted(values)
    return f"{values[len(values) // 2]:.1f}", f"{values[int(len(values) * 0.99)]:.1f}", f"{values[-1]:.1f}"


def big(a):
    total = a.apps * a.per_app
    with Stage() as stage:
        server = stage.registry("big", f"--vine.registry.max-instances={total + 1000}")
        empty = rss_kib(server.pid)
        n, rps, _, p99 = stage.load("register", server, 64, 300, 0, a.apps, a.per_app)
        print(f"{n:.0f} registrations in {a.apps} applications from 64 connections: {rps:.0f} a second, p99 {p99:.0f} us")
        plain = rss_kib(server.pid)
        for headers in ({}, {"X-Eureka-Accept": "compact"}):
            for path in ("/eureka/apps", "/eureka/apps/delta"):
                for accept in ("application/json", "application/xml"):
                    fetch(server.port, path, Accept=accept, **headers)
        full = rss_kib(server.pid)
        print(f"memory: {(plain - empty) / total:.2f} KiB an instance, {(full - empty) / total:.2f} with every answer in gzip cached")

        load = [threading.Thread(target=stage.load, args=args) for args in
                (("beat", server, 64, a.big_seconds, 5000, a.apps, a.per_app), ("change", server, 4, a.big_seconds, 100, a.apps, a.per_app))]
        for t in load:
            t.start()
        time.sleep(1)
        rows, end = [], time.monotonic() + a.big_seconds - 2
        got = {"/eureka/apps": [], "/eureka/apps/delta": []}
        while time.monotonic() < end:
            for path, list_ in got.items():
                list_.append(fetch(server.port, path))
        for t in load:
            t.join()
        for path, list_ in got.items():
            rows.append((path, len(list_), f"{statistics.median(x[2] for x in list_) / 1e6:.2f}", *quantiles([x[0] for x in list_]),
                         *quantiles([x[1] for x in list_])))
        print("\nfetches with gzip under 5,000 heartbeats and 100 changes a second; ms to the first and to the last byte\n")
        table(rows, ("path", "fetches", "MB", "first p50", "p99", "max", "last p50", "p99", "max"))

        time.sleep(1.5)  # the file
        stage.stop(server.process)
        at = time.perf_counter()
        again = stage.registry("big", f"--vine.registry.max-instances={total + 1000}")
        ready, cpu = time.perf_counter() - at, cpu_us(again.pid) / 1e6
        _, last, size = fetch(again.port, "/eureka/apps")
        print(f"start with the snapshot of {total} instances: listens after {ready:.2f} s (CPU {cpu:.2f} s), first full answer ({size / 1e6:.1f} MB) "
              f"{last / 1000:.2f} s later")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--big-seconds", type=int, default=20)
    p.add_argument("--apps", type=int, default=2000)
    p.add_argument("--per-app", type=int, default=50)
    p.add_argument("--only", default="beats,big")
    p.add_argument("--beside", action="append", default=[], metavar="NAME=PORT:PID")
    a = p.parse_args()
    for what in a.only.split(","):
        {"beats": beats, "big": big}[what](a)


if __name__ == "__main__":
    main()
