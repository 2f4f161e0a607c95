#!/usr/bin/env python3
"""How long a change takes: from a registration, or from SIGTERM of a service, to the last worker of a gateway that uses it.

    bench/propagation.py [--rounds 100] [--services 1000] [--watchers 50] [--workers 2] [--polled 10] [--changes 500]
                         [--beside NAME=PORT ...]

One vine registry with so many services, so many watchers (the gateway, the service of the round and readers of /vine/watch), one
vine gateway. Each round starts a real service on libvine (tests/it/service.c), which registers by itself, and ends it by SIGTERM.

registration   begins when the service's POST passes a forwarder between it and the registry, before the registry has it
SIGTERM        begins just before the signal is sent
end            when each worker of the gateway has answered a request by the new picture: 200 from the service, or 404 for want of a
               route. A connection is kept to each worker (the access log tells which worker has it) and asked without pause. While
               the service leaves, any other answer fails the run

polled         the same without the watch: vine.eureka.watch.enabled=false and Eureka's 30 seconds, so many services at once
beside         the same against a registry that runs already, polled: another server of Eureka's protocol
changes        CPU time of the registry and of the gateway for a change (a registration that changes an instance), with the watchers
               and without them

It needs Linux, two cores and a C compiler. Loopback only."""
import argparse
import http.client
import json
import pathlib
import random
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from proxy import ROOT, VINE, cpu_us, free_port, table, wait_port

BUILD = pathlib.Path(VINE).resolve().parent
HELLO = "/hello/x"


class Registry:
    def __init__(self, port, pid=None):
        self.port, self.pid = port, pid
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def request(self, method, path, body=None):
        self.connection.request(method, "/eureka" + path, body, {"Accept": "application/json", "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def register(self, name, port=1, dirty=1700000000000):
        """A lease of a day: nobody has to renew it."""
        status, _ = self.request("POST", f"/apps/{name.upper()}", json.dumps({"instance": {
            "instanceId": f"127.0.0.1:{name}:{port}", "hostName": "127.0.0.1", "app": name.upper(), "ipAddr": "127.0.0.1",
            "status": "UP", "port": {"$": port, "@enabled": "true"}, "vipAddress": name, "lastDirtyTimestamp": str(dirty),
            "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 86400},
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}}}))
        if status != 204:
            sys.exit(f"a registration was answered {status}")


class Forwarder:
    """Between the service and the registry, in a process of its own: notes when a POST passes."""

    def __init__(self, stage, port):
        self.posted = {}  # service -> when
        p = subprocess.Popen([sys.executable, __file__, "--forward", str(port)], stdout=subprocess.PIPE, text=True)
        stage.processes.append(p)
        self.here = int(p.stdout.readline())
        threading.Thread(target=self._read, args=(p.stdout,), daemon=True).start()

    def _read(self, lines):
        for line in lines:
            name, when = line.split()
            self.posted.setdefault(name, float(when))

    def when(self, name):
        end = time.monotonic() + 10
        while name not in self.posted and time.monotonic() < end:
            time.sleep(0.001)
        return self.posted[name]


def forward(port):
    """What is read goes on at once; only then is anything printed. The clock is the machine's, so another process can use the time."""
    pick, other = selectors.DefaultSelector(), {}
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    pick.register(listener, selectors.EVENT_READ)
    print(listener.getsockname()[1], flush=True)
    while True:
        for key, _ in pick.select():
            a = key.fileobj
            if a is listener:
                a, _ = listener.accept()
                b = socket.create_connection(("127.0.0.1", port))
                for s, o in ((a, b), (b, a)):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    other[s] = o
                    pick.register(s, selectors.EVENT_READ)
                continue
            now, b = time.monotonic(), other.get(a)
            try:
                piece = a.recv(1 << 18) if b else b""
                if piece:
                    b.sendall(piece)
            except OSError:
                piece = b""
            if piece.startswith(b"POST "):
                print(piece.split(b" ", 2)[1].decode().rsplit("/", 1)[1].lower(), now, flush=True)
            if not piece and b:
                for s in (a, b):
                    pick.unregister(s)
                    del other[s]
                    s.close()


class Workers:
    """One connection to each worker of a gateway."""

    def __init__(self, gateway):
        spare, self.at = [], {}
        for i in range(64):
            c = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
            c.connect()
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.status(c, f"/which-{i}")
            spare.append((f"/which-{i}", c))
        end = time.monotonic() + 10  # it is written once a second
        while len(re.findall("which-", gateway.access.read_text())) < 64 and time.monotonic() < end:
            time.sleep(0.05)
        text = gateway.access.read_text()
        for path, c in spare:
            worker = re.search(rf" (\S+/\d+) method=GET path={path} ", text).group(1)
            if worker in self.at:
                c.close()
            else:
                self.at[worker] = c
        if len(self.at) != gateway.workers:
            sys.exit(f"no connection to each worker: {sorted(self.at)}")

    @staticmethod
    def status(c, path):
        c.request("GET", path)
        answer = c.getresponse()
        answer.read()
        return answer.status


class Stage:
    def __enter__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vine-bench-"))
        self.processes = []
        self.service = self.work / "service"
        subprocess.run(["cc", "-std=gnu17", "-O2", f"-I{ROOT}/include", ROOT / "tests/it/service.c", "-o", self.service,
                        f"-L{BUILD}/src/client", "-lvine", f"-Wl,-rpath,{BUILD}/src/client", "-pthread"], check=True)
        return self

    def __exit__(self, *_):
        for p in reversed(self.processes):
            if p.poll() is None:
                p.terminate()
        for p in self.processes:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, argv):
        p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(p)
        return p

    def stop(self, p):
        p.terminate()
        p.wait(20)
        self.processes.remove(p)

    def registry(self):
        port = free_port()
        p = self.start([VINE, "registry", f"--server.port={port}", "--server.address=127.0.0.1", f"--vine.data-dir={self.work}/r"])
        wait_port(port, p)
        return Registry(port, p.pid)

    def gateway(self, registry_port, workers, *props):
        port = free_port()
        access = self.work / f"access-{port}"
        p = self.start([VINE, "gateway", f"--server.port={port}", "--server.address=127.0.0.1", f"--vine.workers={workers}",
                        f"--vine.gateway.access-log={access}", "--eureka.client.register-with-eureka=false",
                        f"--eureka.client.service-url.defaultZone=http://127.0.0.1:{registry_port}/eureka/", *props])
        wait_port(port, p)
        p.port, p.access, p.workers = port, access, workers
        return p

    def start_service(self, name, registry_port):
        return self.start([self.service, "--server.port=0", "--server.address=127.0.0.1", f"--spring.application.name={name}",
                           "--vine.shutdown.leave-grace-ms=60000", "--spring.lifecycle.timeout-per-shutdown-phase=90s",
                           "--eureka.instance.lease-expiration-duration-in-seconds=3600",
                           f"--eureka.client.service-url.defaultZone=http://127.0.0.1:{registry_port}/eureka/"])

    def readers(self, registry, n):
        p = subprocess.Popen([sys.executable, __file__, "--read", str(registry.port), str(n)], stdout=subprocess.PIPE, text=True)
        self.processes.append(p)
        if p.stdout.readline() != "ready\n":
            sys.exit("the readers of /vine/watch did not start")
        return p


def read_watches(port, n):
    """n watchers, in a process of their own; what they read is dropped."""
    c = http.client.HTTPConnection("127.0.0.1", port)
    c.request("GET", "/eureka/apps/delta")
    answer = c.getresponse()
    answer.read()
    version = answer.headers["X-Vine-Version"]
    pick = selectors.DefaultSelector()
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(f"GET /vine/watch?from={version} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        pick.register(s, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in pick.select():
            if not key.fileobj.recv(1 << 20):
                return


class Wait:
    """Waits for every worker's new answer about some services at once."""

    def __init__(self, workers, want, meanwhile):
        self.workers, self.want, self.meanwhile = workers, want, meanwhile
        self.open = {}  # (service, worker)
        self.last = {}  # service -> when the last worker knew

    def add(self, name):
        for worker in self.workers.at:
            self.open[name, worker] = True

    def turn(self):
        for name, worker in list(self.open):
            status = self.workers.status(self.workers.at[worker], f"/{name}{HELLO}")
            if status == self.want:
                del self.open[name, worker]
                self.last[name] = time.monotonic()
            elif status not in self.meanwhile:
                sys.exit(f"{name}: {status} from {worker}")
        time.sleep(0.0003)

    def until_all(self, seconds):
        end = time.monotonic() + seconds
        while self.open:
            if time.monotonic() > end:
                sys.exit(f"waited {seconds} s in vain: {sorted(self.open)}")
            self.turn()


def rounds(stage, workers, forwarder, n, prefix):
    """One service after the other; milliseconds of both ways."""
    came, went = [], []
    for i in range(n):
        name = f"{prefix}{i}"
        wait = Wait(workers, 200, {404})
        wait.add(name)
        p = stage.start_service(name, forwarder.here)
        wait.until_all(30)
        came.append((wait.last[name] - forwarder.when(name)) * 1000)
        wait = Wait(workers, 404, {200})
        wait.add(name)
        began = time.monotonic()
        p.terminate()
        wait.until_all(30)
        went.append((wait.last[name] - began) * 1000)
        p.kill()  # it would serve for a minute yet, so that nothing but the picture ends its answers
        p.wait()
        stage.processes.remove(p)
    return came, went


def at_once(stage, workers, forwarder, n, prefix, spread=30):
    """n services, begun at random times within the interval of the polls; the same both ways."""
    names = [f"{prefix}{i}" for i in range(n)]
    at = sorted((random.uniform(0, spread), name) for name in names)
    wait, began, running = Wait(workers, 200, {404}), time.monotonic(), {}
    for after, name in at:
        while time.monotonic() < began + after:
            wait.turn() if wait.open else time.sleep(0.01)
        running[name] = stage.start_service(name, forwarder.here)
        wait.add(name)
    wait.until_all(120)
    came = [(wait.last[name] - forwarder.when(name)) * 1000 for name in names]
    wait, began, ended = Wait(workers, 404, {200}), time.monotonic(), {}
    for after, name in at:
        while time.monotonic() < began + after:
            wait.turn() if wait.open else time.sleep(0.01)
        wait.add(name)
        ended[name] = time.monotonic()
        running[name].send_signal(signal.SIGTERM)
    wait.until_all(120)
    for p in running.values():
        p.kill()
        p.wait()
        stage.processes.remove(p)
    return came, [(wait.last[name] - ended[name]) * 1000 for name in names]


def change_cost(registry, pids, n):
    """CPU microseconds of each process for a change, at about 100 a second."""
    before = [cpu_us(pid) for pid in pids]
    began = time.monotonic()
    for i in range(n):
        registry.register(f"svc-{i % 100:04d}", dirty=1800000000000 + int(time.time() * 1000) % 1000000000 + i)
        time.sleep(max(0, began + (i + 1) / 100 - time.monotonic()))
    time.sleep(0.3)
    return [(cpu_us(pid) - b) / n for pid, b in zip(pids, before)]


def share(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def row(what, way, values, aim=""):
    return (what, way, len(values), *(f"{v:.1f}" for v in (share(values, 0.5), share(values, 0.99), max(values))), aim)


def polled(stage, port, a, name):
    gateway = stage.gateway(port, a.workers, "--vine.eureka.watch.enabled=false")
    came, went = at_once(stage, Workers(gateway), Forwarder(stage, port), a.polled, f"polled{port}-")
    stage.stop(gateway)
    return [row(f"{name}, polled every 30 s", "registration", came), row("", "SIGTERM", went)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in (("rounds", 100), ("services", 1000), ("watchers", 50), ("workers", 2), ("polled", 10), ("changes", 500)):
        p.add_argument(f"--{option}", type=int, default=default)
    p.add_argument("--beside", action="append", default=[], metavar="NAME=PORT")
    p.add_argument("--forward", type=int, help=argparse.SUPPRESS)
    p.add_argument("--read", nargs=2, type=int, metavar=("PORT", "N"), help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.forward:
        forward(a.forward)
        return
    if a.read:
        read_watches(*a.read)
        return
    rows = []
    with Stage() as stage:
        registry = stage.registry()
        for i in range(a.services):
            registry.register(f"svc-{i:04d}")
        alone = change_cost(registry, [registry.pid], a.changes)
        gateway = stage.gateway(registry.port, a.workers)
        stage.readers(registry, a.watchers - 2)
        workers = Workers(gateway)
        watched = change_cost(registry, [registry.pid, gateway.pid], a.changes)
        came, went = rounds(stage, workers, Forwarder(stage, registry.port), a.rounds, "round")
        rows += [row("Vine, watched", "registration", came, "p99 under 100 ms"), row("", "SIGTERM", went, "p99 under 100 ms")]
        if a.polled:
            rows += polled(stage, registry.port, a, "Vine")
            for other in a.beside:
                name, _, port = other.partition("=")
                rows += polled(stage, int(port), a, name)
    print(f"{a.services} services, {a.watchers} watchers, {a.workers} workers of the gateway; milliseconds to the last of them\n")
    table(rows, ("", "from", "n", "p50", "p99", "max", "aim"))
    print(f"CPU of the registry for a change: {watched[0]:.0f} us with {a.watchers - 1} watchers, {alone[0]:.0f} us with none; "
          f"of the gateway: {watched[1]:.0f} us")


if __name__ == "__main__":
    main()
