#!/usr/bin/env python3
"""Three registries for a long while among everything that can happen to them, which in the end all know the truth.

    tests/churn/registry.py [--minutes 30] [--seed N] [--clients 40] [--netflix old|new]

Clients come, leave, die, are taken out of service and put back, and move to another registry when theirs does not answer; registries are
killed and started again; wires between them are cut, stalled and mended. Every minute all wires are mended and all registries run: then
each must know just the clients that live, with the statuses that they have, within the time that leases need. VINE names the binary
(build/vine). Prints a line a minute; the seed plays the same choices again. With --netflix the third registry is Spring Cloud's Eureka server
(tests/interop/eureka_server, built by Maven)."""
import argparse
import pathlib
import random
import re
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("it", "interop/eureka_server")]

import netflix  # noqa: E402
from registry_client import Eureka  # noqa: E402
from registry_cluster import Client, Cluster  # noqa: E402
from vine import SLOWNESS, Vine, wait_for  # noqa: E402

NODES = 3
PROPS = ("eureka.server.eviction-interval-timer-in-ms=200", "eureka.server.peer-node-connect-timeout-ms=300",
         "eureka.server.peer-node-read-timeout-ms=500", "eureka.server.renewal-threshold-update-interval-ms=10000")


class Mixed(Cluster):
    """Its last registry is Spring Cloud's."""

    def __init__(self, java, *args):
        self.java = java
        super().__init__(*args)

    def start(self, i, *props, **kw):
        if i < self.n - 1:
            return super().start(i, *props, **kw)
        given = dict(p.split("=", 1) for p in props)
        port = given.get("server.port", "0")
        urls = ",".join(f"http://127.0.0.1:{self.links[i, j].port}/eureka/" for j in range(i))
        self.nodes[i] = netflix.Netflix(self.java, **{"eureka.client.service-url.defaultZone": urls, "server.port": port}).wait_ready()
        for j in range(i):
            self.links[j, i].target = self.nodes[i].port
        return self.nodes[i]


class Churn:
    def __init__(self, folder, seed, most, java=None):
        self.random = random.Random(seed)
        self.most = most
        self.folder = folder
        self.started = 0
        self.cluster = Mixed(java, self.vine, NODES, PROPS) if java else Cluster(self.vine, NODES, PROPS)
        self.ports = {}
        self.clients = {}
        self.out = set()  # taken out of service
        self.gone = []    # threads that end
        self.done = dict.fromkeys(("come", "leave", "die", "status", "restart", "wire"), 0)

    def vine(self, *args, **kw):
        folder = self.folder / f"vine{self.started}"
        self.started += 1
        folder.mkdir()
        return Vine(folder, *args, **kw)

    # --- what happens ---

    def running(self):
        return [i for i in range(NODES) if self.cluster.nodes[i]]

    def come(self):
        if len(self.clients) >= self.most:
            return
        id = f"i{self.done['come']}"
        ports = [self.cluster.nodes[i].port for i in self.running()]
        self.random.shuffle(ports)
        self.clients[id] = Client(ports, id)

    def some(self):
        return self.random.choice(sorted(self.clients)) if self.clients else None

    def tell(self, id, method, path):
        """As the client itself would, at the registry that it uses."""
        try:
            e = Eureka(self.clients[id].ports[0], timeout=2)
            status = e.request(method, f"/apps/ORDERS/{id}{path}").status
            e.close()
            return status
        except OSError:
            return None

    def leave(self):
        id = self.some()
        if id:
            self.clients[id].die()
            self.tell(id, "DELETE", "")
            self.clients.pop(id)
            self.out.discard(id)

    def die(self):
        id = self.some()
        if id:
            self.clients.pop(id).die()
            self.out.discard(id)

    def status(self):
        id = self.some()
        if not id:
            return
        if id in self.out:
            if self.tell(id, "DELETE", "/status?value=UP") == 200:
                self.out.discard(id)
        elif self.tell(id, "PUT", "/status?value=OUT_OF_SERVICE") == 200:
            self.out.add(id)

    def restart(self):
        down = [i for i in range(NODES) if not self.cluster.nodes[i]]
        if down:
            self.up(down[0])
        elif self.random.random() < 0.3:
            i = self.random.randrange(NODES)
            self.cluster.nodes[i].kill()
            self.cluster.nodes[i] = None

    def up(self, i):
        v = self.cluster.start(i, f"vine.data-dir={self.folder}/data{i}", f"server.port={self.ports.get(i, 0)}")
        self.ports[i] = v.port
        for c in self.clients.values():
            if v.port not in c.ports:
                c.ports.append(v.port)

    def wire(self):
        link = self.random.choice(sorted(self.cluster.links))
        self.cluster.links[link].set(self.random.choice(("cut", "stall", "open", "open")))

    # --- the truth ---

    def statuses(self, i):
        e = Eureka(self.ports[i])  # a connection that was idle for a minute has ended
        reply = e.get("/apps/")
        e.close()
        apps = reply.json()["applications"]["application"] if reply.status == 200 else []
        return {inst["instanceId"]: inst["status"] for a in apps for inst in a["instance"] if a["name"] == "ORDERS"}

    def settle(self):
        self.cluster.mend()
        for i in range(NODES):
            if not self.cluster.nodes[i]:
                self.up(i)
        want = set(self.clients)
        seen = {}

        def same():
            for i in range(NODES):
                seen[i] = self.statuses(i)
            return all(set(seen[i]) == want for i in seen) and seen[0] == seen[1] == seen[2]

        try:
            wait_for(same, "one truth", 60 * SLOWNESS)
        except AssertionError:
            for i in range(NODES):
                lack, ghosts = want - set(seen[i]), set(seen[i]) - want
                print(f"registry {i}: {len(seen[i])} of {len(want)}; lost {sorted(lack)}, ghosts {sorted(ghosts)}")
                if isinstance(self.cluster.nodes[i], Vine):
                    print(Eureka(self.ports[i], base="/actuator").get("/registry").body.decode())
                else:
                    print("\n".join(re.findall(r"^.*(?:eplication|WorkerThread).*$", str(self.cluster.nodes[i].out), re.M)[-40:]))
            differ = {id: [seen[i].get(id) for i in range(NODES)] for id in want if len({seen[i].get(id) for i in range(NODES)}) > 1}
            print(f"statuses that differ: {differ}")
            raise

    def minute(self, seconds):
        end = time.monotonic() + seconds
        kinds = ["come"] * 8 + ["leave"] * 3 + ["die"] * 3 + ["status"] * 3 + ["restart"] + ["wire"] * 2
        while time.monotonic() < end:
            kind = self.random.choice(kinds)
            self.done[kind] += 1
            getattr(self, kind)()
            time.sleep(self.random.random() * 0.3)
        began = time.monotonic()
        self.settle()
        print(f"{len(self.clients)} clients, {self.done}, settled in {time.monotonic() - began:.1f} s", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--clients", type=int, default=40)
    p.add_argument("--netflix", choices=tuple(netflix.PROJECTS))
    a = p.parse_args()
    print(f"seed {a.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        churn = Churn(pathlib.Path(folder), a.seed, a.clients, netflix.Java(a.netflix) if a.netflix else None)
        for i in range(NODES):
            churn.ports[i] = churn.cluster.nodes[i].port
        end = time.monotonic() + a.minutes * 60
        try:
            while time.monotonic() < end:
                churn.minute(min(60, a.minutes * 60))
        finally:
            for c in churn.clients.values():
                c.over.set()
            churn.cluster.stop()
    print("all registries knew the truth each time")


if __name__ == "__main__":
    main()
