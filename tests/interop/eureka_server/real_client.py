"""A client as Netflix's DiscoveryClient is one, every second: heartbeat, delta with hash check, and the next server when one does not answer.

Whatever a service would notice is kept: `errors` (no server could be had), `lost` (instances that live and were missing from its picture).
"""
import http.client
import json
import threading
import time

from registry_client import Eureka, instance

LEASE = {"renewalIntervalInSecs": 1, "durationInSecs": 6}
TRIES = 3


def now():
    return str(int(time.time() * 1000))


def hash_of(view):
    counts = {}
    for inst in view.values():
        counts[inst["status"]] = counts.get(inst["status"], 0) + 1
    return "".join(f"{s}_{n}_" for s, n in sorted(counts.items()))


class RealClient(threading.Thread):
    def __init__(self, ports, id, alive=(), app="ORDERS", every=1.0):
        super().__init__(daemon=True)
        self.ports, self.id, self.app, self.every = list(ports), id, app, every
        self.alive = alive  # IDs of app that have to be in every picture, as the test says
        self.inst = instance(app, id, leaseInfo=LEASE, lastDirtyTimestamp=now())
        self.current, self.connection, self.quarantine = None, None, set()
        self.view, self.full_fetches, self.rounds = None, 0, 0
        self.errors, self.lost = [], []
        self.over = threading.Event()
        self.start()

    # --- transport: sticky, three tries, a quarantine that is emptied when two thirds are in it ---

    def ask(self, method, path, good, body=None):
        failures = []
        for _ in range(TRIES):
            if self.current is None:
                if len(self.quarantine) >= len(self.ports) * 0.66:
                    self.quarantine.clear()
                left = [p for p in self.ports if p not in self.quarantine]
                if not left:
                    break
                self.current, self.connection = left[0], Eureka(left[0], timeout=3)
            try:
                reply = self.connection.request(method, path, body, **({"Content_Type": "application/json"} if body else {}))
                if reply.status in good:
                    return reply
                failures.append(f"{self.current}: {reply.status}")
            except (OSError, http.client.HTTPException) as e:
                failures.append(f"{self.current}: {e!r}")
            self.connection.close()
            self.quarantine.add(self.current)
            self.current = None
        self.errors.append(f"{time.time():.1f} {self.id}: {method} {path}: {failures}")
        return None

    # --- what it does ---

    def register(self):
        self.ask("POST", f"/apps/{self.app}", (204,), json.dumps({"instance": self.inst}))

    def beat(self):
        reply = self.ask("PUT", f"/apps/{self.app}/{self.id}?status=UP&lastDirtyTimestamp={self.inst['lastDirtyTimestamp']}", (200, 404))
        if reply and reply.status == 404:
            self.inst["lastDirtyTimestamp"] = now()
            self.register()

    def fetch_all(self):
        reply = self.ask("GET", "/apps/", (200,))
        if reply:
            self.full_fetches += 1
            self.view = {(a["name"], i["instanceId"]): i for a in reply.json()["applications"]["application"] for i in a["instance"]}

    def fetch(self):
        if self.view is None:
            self.fetch_all()
            return
        reply = self.ask("GET", "/apps/delta", (200, 403, 404))
        if not reply or reply.status != 200:
            self.fetch_all()
            return
        doc = reply.json()["applications"]
        for a in doc["application"]:
            for i in a["instance"]:
                if i["actionType"] == "DELETED":
                    self.view.pop((a["name"], i["instanceId"]), None)
                else:
                    self.view[a["name"], i["instanceId"]] = i
        if hash_of(self.view) != doc["apps__hashcode"]:
            self.fetch_all()

    def check(self):
        if self.view is not None:
            missing = {id for id in self.alive if (self.app, id) not in self.view}
            if missing:
                self.lost.append(f"{time.time():.1f} {self.id} at {self.current}: {sorted(missing)}")

    def run(self):
        self.register()
        while not self.over.wait(self.every):
            self.beat()
            self.fetch()
            self.check()
            self.rounds += 1
        if self.connection:
            self.connection.close()

    def ids(self):
        return {id for app, id in self.view or {} if app == self.app}

    def die(self):
        self.over.set()
        self.join()

    def leave(self):
        self.die()
        self.current = None
        self.ask("DELETE", f"/apps/{self.app}/{self.id}", (200, 404))
        if self.connection:
            self.connection.close()
