#!/usr/bin/env python3
"""Vine's registry under load, with Spring Cloud's Eureka server and nginx, which returns a fixed string, in the same rounds.

    bench/registry.py [--rounds 5] [--seconds 2] [--apps 2000] [--per-app 50] [--only beats,memory,spread,big] [--eureka new|old|none]
                      [--warm 120] [--beside NAME=PORT:PID ...]

beats   heartbeats on one core from 64 and 512 keep-alive connections: requests a second and CPU time each, the registries holding
        10,000 instances; registrations a second before
memory  with 10,000 instances, of servers that have done nothing else
spread  from a registration to the first fetch of another client that shows it: Eureka with its own response cache of 30 s, and
        without; Vine by fetch and by GET /vine/watch
big     100,000 instances (apps * per-app) in Vine: memory an instance with every cache filled; full and delta fetches with gzip while
        5,000 heartbeats and 100 changes a second go on; the start with that snapshot

The server has core 0, the load core 1. CPU time is the scheduler's own account of the process. Any answer but 200 or 204 fails the run.
Eureka is built by Maven from tests/interop/eureka_server (new: Spring Cloud 2025.1; old: 2021.0) and runs as people run it, but for what
would spoil the comparison in its disfavour: a heap of 1 GiB, no log below WARN, no limit of 100 requests a connection, and --warm
seconds of changes and heartbeats of 5,000 others before anything counts, so that it is compiled; Vine, which needs none, has 5 of them.
--beside adds a registry that runs already, by name, port and process: another server of Eureka's protocol, measured in the same rounds.
It needs Linux with two cores, nginx, a C compiler, and Maven with its registry (--eureka none does without). Loopback only."""
import argparse
import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "tests" / folder) for folder in ("it", "interop/eureka_server")]

import netflix  # noqa: E402
from proxy import ROOT, VINE, free_port, rss_kib, table, wait_port  # noqa: E402

NGINX = """daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 30000;
pid {work}/nginx.pid; error_log {work}/nginx.err error;
events {{ worker_connections 20000; multi_accept on; }}
http {{ access_log off; keepalive_timeout 600s; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 ""; }} }} }}
"""


EUREKA = {"new": "Eureka of Spring Cloud 2025.1", "old": "Eureka of Spring Cloud 2021.0"}
JVM = ["-Xmx1g"]


class Server:
    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid


def cpu_us(pid):
    """Microseconds that a process has run, with threads that have ended since."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


@functools.cache
def java(generation):
    return netflix.Java(generation)


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

    def start(self, argv, port, stdin=subprocess.DEVNULL):
        p = subprocess.Popen(["taskset", "-c", "0", *map(str, argv)], stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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

    def eureka(self, generation, *props):
        """Ends when its standard input does."""
        port = free_port()
        p = self.start(java(generation).command(
            "vine.interop.EurekaServer", f"--server.port={port}", "--server.address=127.0.0.1", "--eureka.client.register-with-eureka=false",
            "--eureka.client.fetch-registry=false", "--logging.level.root=WARN", "--server.tomcat.max-keep-alive-requests=-1",
            "--server.tomcat.keep-alive-timeout=600s", *props, jvm=JVM), port, subprocess.PIPE)
        s = Server(EUREKA[generation], port, p.pid)
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


def given(a):
    return [Server(name, int(port), int(pid)) for name, port, pid in (re.fullmatch(r"(.+)=(\d+):(\d+)", b).groups() for b in a.beside)]


def warm(stage, server, seconds):
    """Others than those that are measured; a heartbeat of one that is not there would be an error."""
    stage.load("register", server, 64, 120, 0, 50, 100)
    stage.load("change", server, 64, seconds / 2, 1500, 50, 100)
    stage.load("beat", server, 64, seconds / 2, 0, 50, 100)


def beats(a):
    apps, per_app = 200, 50
    with Stage() as stage:
        registries = [stage.registry()]
        if a.eureka != "none":
            registries.append(stage.eureka(a.eureka))
        registries += given(a)
        servers = [(stage.nginx(), "get")] + [(s, "beat") for s in registries]
        rows = []
        for server in registries:
            warm(stage, server, 5 if server.name == "Vine" else a.warm)
            n, rps, p50, p99 = stage.load("register", server, 64, 120, 0, apps, per_app)
            rows.append((server.name, f"{rps:.0f}", f"{p50:.0f}", f"{p99:.0f}"))
        print(f"\n{apps * per_app} registrations from 64 connections\n")
        table(rows, ("server", "a second", "p50 us", "p99 us"))
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


def memory(a):
    apps, per_app = 200, 50
    with Stage() as stage:
        registries = [stage.registry()]
        if a.eureka != "none":
            registries.append(stage.eureka(a.eureka))
        rows = []
        for s in registries:
            kib = [rss_kib(s.pid)]
            stage.load("register", s, 64, 120, 0, apps, per_app)
            kib.append(rss_kib(s.pid))
            for accept in ("application/json", "application/xml"):
                fetch(s.port, "/eureka/apps/", Accept=accept)
            kib.append(rss_kib(s.pid))
            stage.load("beat", s, 64, 10, 0, apps, per_app)
            kib.append(rss_kib(s.pid))
            rows.append((s.name, *(f"{k / 1024:.1f}" for k in kib)))
        print(f"\nmemory, MiB resident, {apps * per_app} instances\n")
        table(rows, ("server", "started", "registered", "all lists fetched, JSON and XML", "after 10 s of heartbeats"))


# --- how soon another client sees it ---

def register(port, app, id):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("POST", f"/eureka/apps/{app}", json.dumps({"instance": {
        "instanceId": id, "hostName": id, "app": app, "ipAddr": "10.0.0.1", "vipAddress": app, "status": "UP", "port": {"$": 8080, "@enabled": "true"},
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}}}), {"Content-Type": "application/json"})
    if c.getresponse().status != 204:
        sys.exit(f"port {port}: a registration was refused")
    c.close()
    return time.perf_counter()


def seen_by_fetch(port, pauses):
    """Milliseconds from the answer to each registration to the end of the first delta that has it, asked for over and over."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    due, waiting, took, n = time.perf_counter(), {}, [], 0
    while n < len(pauses) or waiting:
        if n < len(pauses) and time.perf_counter() >= due:
            waiting[f"spread{n}"] = register(port, "SPREAD", f"spread{n}")
            due += pauses[n]
            n += 1
        c.request("GET", "/eureka/apps/delta", headers={"Accept": "application/json"})
        body = c.getresponse().read()
        for id in [id for id in waiting if f'"instanceId":"{id}"'.encode() in body]:
            took.append((time.perf_counter() - waiting.pop(id)) * 1000)
        time.sleep(0.002)
    c.close()
    return took


def seen_by_watch(port, pauses):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    c.request("GET", "/eureka/apps", headers={"Accept": "application/json"})
    r = c.getresponse()
    version = r.headers["X-Vine-Version"]
    r.read()
    c.request("GET", f"/vine/watch?from={version}", headers={"Accept": "text/event-stream"})
    stream, took = c.getresponse(), []
    for n, pause in enumerate(pauses):
        at = register(port, "WATCH", f"watch{n}")
        while f'"instanceId":"watch{n}"'.encode() not in stream.readline():
            pass
        took.append((time.perf_counter() - at) * 1000)
        time.sleep(pause)
    c.close()
    return [max(ms, 0) for ms in took]  # the event may overtake the answer to who registered


def spread(a):
    """Pauses that do not divide 30 s, so that the moments lie all over the cache's turn."""
    soon, slow = [0.11] * 30, [6.3] * 7
    with Stage() as stage:
        vine = stage.registry()
        asked = [("Vine, GET /vine/watch", vine, seen_by_watch, soon), ("Vine, fetches", vine, seen_by_fetch, soon)]
        if a.eureka != "none":
            name = EUREKA[a.eureka]
            asked += [(f"{name}, response cache of 1 s", stage.eureka(a.eureka, "--eureka.server.response-cache-update-interval-ms=1000"),
                       seen_by_fetch, soon),
                      (f"{name}, no read-only response cache", stage.eureka(a.eureka, "--eureka.server.use-read-only-response-cache=false"),
                       seen_by_fetch, soon),
                      (f"{name}, as it is (30 s)", stage.eureka(a.eureka), seen_by_fetch, slow)]
        asked += [(s.name, s, seen_by_fetch, slow) for s in given(a)]
        rows = []
        for name, server, how, pauses in asked:
            took = sorted(how(server.port, pauses))
            rows.append((name, len(took), f"{took[0]:.1f}", f"{statistics.median(took):.1f}", f"{took[-1]:.1f}"))
        print("\nfrom the answer to a registration until another client that asks without a pause sees it, ms; a client that fetches every 30 s "
              "adds up to 30,000, as it does everywhere\n")
        table(rows, ("server", "registrations", "min", "median", "max"))


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
    p.add_argument("--only", default="beats,memory,spread,big")
    p.add_argument("--eureka", choices=("new", "old", "none"), default="new")
    p.add_argument("--warm", type=int, default=120)
    p.add_argument("--beside", action="append", default=[], metavar="NAME=PORT:PID")
    a = p.parse_args()
    for what in a.only.split(","):
        {"beats": beats, "memory": memory, "spread": spread, "big": big}[what](a)


if __name__ == "__main__":
    main()
