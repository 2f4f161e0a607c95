"""Registries that copy from each other over wires that can be cut, and clients that live on them."""
import threading
import time

from forwarder import Forwarder
from registry_client import Eureka, instance
from vine import SLOWNESS, wait_for

LEASE = 5 if SLOWNESS == 1 else 10  # seconds: whoever is alive is heard of in them, on a busy machine too
SHORT = {"renewalIntervalInSecs": 1, "durationInSecs": LEASE}


class Cluster:
    """n registries, each behind wires of its own to each of the others: links[i, j] is the wire from i to j."""

    def __init__(self, vine, n, props):
        self.vine = vine
        self.n = n
        self.props = props
        self.links = {(i, j): Forwarder() for i in range(n) for j in range(n) if i != j}
        self.nodes = [None] * n
        for i in range(n):
            self.start(i)

    def start(self, i, *props, **kw):
        urls = ",".join(f"http://us:pw@127.0.0.1:{self.links[i, j].port}/eureka/" for j in range(self.n) if j != i)
        given = {"server.port": "0", **dict(p.split("=", 1) for p in (*self.props, *props))}
        v = self.vine("registry", "--server.address=127.0.0.1", "--vine.workers=2", f"--eureka.client.service-url.defaultZone={urls}",
                      *(f"--{key}={value}" for key, value in given.items()), **kw)
        for j in range(self.n):
            if j != i:
                self.links[j, i].target = v.port
        v.eureka = Eureka(v.port)
        v.manage = Eureka(v.port, base="/actuator")
        self.nodes[i] = v
        return v

    def isolate(self, i, mode="cut"):
        for (a, b), link in self.links.items():
            if i in (a, b):
                link.set(mode)

    def mend(self):
        for link in self.links.values():
            link.mend()

    def ids(self, i, app="ORDERS"):
        return set(self.nodes[i].eureka.apps().get(app, {}))

    def all_have(self, want, app="ORDERS"):
        return all(self.ids(i, app) == set(want) for i in range(self.n) if self.nodes[i])

    def connected(self):
        """Every registry has heard of every other."""
        def look():
            return all(p["state"] == "up" for v in self.nodes for p in v.manage.get("/registry").json()["peers"])
        wait_for(look, "the peers")

    def stop(self):
        for v in self.nodes:
            if v:
                v.stop()
        for link in self.links.values():
            link.stop()


class Client(threading.Thread):
    """Registers and sends heartbeats, as a service does; moves to the next registry when one does not answer."""

    def __init__(self, ports, id, every=1.0):
        super().__init__(daemon=True)
        self.ports, self.id, self.every = list(ports), id, every
        self.over = threading.Event()
        self.inst = instance(id=id, leaseInfo=SHORT, lastDirtyTimestamp=str(int(time.time() * 1000)))
        self.start()

    def once(self):
        for port in list(self.ports):
            try:
                e = Eureka(port, timeout=2)
                status = e.put(f"/apps/ORDERS/{self.id}?status=UP&lastDirtyTimestamp={self.inst['lastDirtyTimestamp']}").status
                if status == 404:
                    self.inst["lastDirtyTimestamp"] = str(int(time.time() * 1000))
                    e.register(self.inst)
                e.close()
                return
            except OSError:
                self.ports.append(self.ports.pop(0))

    def run(self):
        while not self.over.is_set():
            self.once()
            self.over.wait(self.every)

    def die(self):
        self.over.set()
        self.join()
