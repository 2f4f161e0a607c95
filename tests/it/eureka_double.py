"""A registry as scripts of peers.Upstream: it answers as Eureka does, remembers who registered, and forgets when told to."""
import json
import re
import threading

from peers import ok, reply, serve

INSTANCE = re.compile(r"/eureka/apps/([^/?]+)/([^/?]+)")


class EurekaDouble:
    """start: the fixture `upstream`. services: {name: [(host, port)]} that others registered."""

    def __init__(self, start, services=None):
        self.lock = threading.Lock()
        self.registered = {}  # id -> instance, as it was posted
        self.services = services or {}
        self.script = None  # answers a request before all else; None: as usual
        self.lease = None   # leaseInfo.durationInSecs of what others registered
        self.up = start(serve(self.answer))
        self.url = f"http://{self.up.address}/eureka/"

    def forget(self):
        with self.lock:
            self.registered.clear()

    def set(self, services):
        with self.lock:
            self.services = services

    def answer(self, request):
        with self.lock:
            special = self.script and self.script(request)
            if special:
                return special
            if request.method == "GET":
                return ok(json.dumps(self.apps()), "Content-Type: application/json")
            if request.method == "POST":
                instance = json.loads(request.body)["instance"]
                self.registered[instance["instanceId"]] = instance
                return reply(204)
            key = INSTANCE.match(request.target).group(2).replace("%3A", ":")
            known = key in self.registered
            if request.method == "DELETE":
                self.registered.pop(key, None)
            return reply(200 if known else 404)

    def apps(self):
        """Always the full set, as an answer to a delta without one would lead to; no hash, so that it is believed."""
        lease = {"leaseInfo": {"renewalIntervalInSecs": 1, "durationInSecs": self.lease}} if self.lease else {}
        return {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": [
            {"name": name.upper(), "instance": [{**self.instance(name, *where), **lease} for where in places]}
            for name, places in self.services.items() if places]}}

    @staticmethod
    def instance(name, host, port):
        return {"instanceId": f"{host}:{name}:{port}", "hostName": host, "app": name.upper(), "ipAddr": host, "status": "UP",
                "overriddenStatus": "UNKNOWN", "port": {"$": port, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"},
                "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
                "vipAddress": name, "actionType": "ADDED", "lastUpdatedTimestamp": "1", "lastDirtyTimestamp": "1"}

    # --- what it saw ---

    def seen(self, method):
        return [r for r in list(self.up.requests) if r.method == method]

    def wait_seen(self, method, n=1):
        self.up.wait(lambda: len(self.seen(method)) >= n, f"{n} {method}")
        return self.seen(method)
