"""How fast the others know: from a registration, a SIGTERM or a kill to the last worker of a gateway, and to a caller on libvine.

Fetches come once an hour here, so whatever arrives was told by the watch."""
import http.client
import json
import re
import signal
import socket
import threading
import time

import pytest

from eureka_double import EurekaDouble
from gateway import config
from libvine import binary, service  # noqa: F401 (fixtures)
from peers import ok, serve
from registry_client import Eureka, instance
from vine import DEADLINE, SLOWNESS, wait_for

NEVER = {"eureka.client.registry-fetch-interval-seconds": 3600}
WORKERS = 3
GRACE = 3 if SLOWNESS == 1 else 8  # seconds, in which all must have heard


@pytest.fixture
def registry(vine):
    def start(*props, port=0):
        v = vine("registry", f"--server.port={port}", "--server.address=127.0.0.1", "--vine.registry.snapshot.enabled=false",
                 *(f"--{p}" for p in props))
        v.eureka = Eureka(v.port)
        v.url = f"http://127.0.0.1:{v.port}/eureka/"
        return v

    return start


@pytest.fixture
def gateway(vine):
    def start(*registries, **more):
        properties = {"eureka.client.enabled": "true", "ribbon.eureka.enabled": "true", "vine.workers": WORKERS, **NEVER,
                      "eureka.client.register-with-eureka": "false",
                      "eureka.client.service-url.defaultZone": ",".join(getattr(r, "url", r) for r in registries),
                      **{k.replace("__", "."): v for k, v in more.items()}}
        g = vine("gateway", config=config(properties))
        return g

    return start


def member(registry, name, **more):
    """Properties of a service on libvine that registers there."""
    return {"eureka.client.enabled": "true", "spring.application.name": name, **NEVER,
            "eureka.client.service-url.defaultZone": registry.url, **more}


class Workers:
    """Connections to a gateway, so many that every worker has some."""

    def __init__(self, g, n=8 * WORKERS):
        self.all = [http.client.HTTPConnection("127.0.0.1", g.port, timeout=DEADLINE) for _ in range(n)]

    def statuses(self, path):
        for c in self.all:
            c.request("GET", path)
        answers = [c.getresponse() for c in self.all]
        for a in answers:
            a.read()
        return {a.status for a in answers}

    def close(self):
        for c in self.all:
            c.close()


def test_every_worker_knows(registry, gateway, service):
    r = registry()
    g = gateway(r)
    g.wait_log("tells of changes as they happen.*event stream")
    w = Workers(g)
    assert w.statuses("/orders/hello/x") == {404}
    s = service(member(r, "orders", **{"vine.shutdown.leave-grace-ms": GRACE * 1000}))
    wait_for(lambda: w.statuses("/orders/hello/x") == {200}, "the service at every worker")
    s.signal(signal.SIGTERM)
    seen = set()

    def gone():
        now = w.statuses("/orders/hello/x")
        seen.update(now)
        return now == {404}

    wait_for(gone, "the service to be forgotten")
    assert seen <= {200, 404}  # it served until everybody knew
    s.wait()
    w.close()


def test_a_status_that_changes(registry, gateway, upstream):
    r = registry()
    up = upstream(serve(ok("hello")))
    g = gateway(r)
    r.eureka.register(instance(hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
    w = Workers(g)
    wait_for(lambda: w.statuses("/orders/") == {200}, "the service")
    r.eureka.put("/apps/ORDERS/h1:orders:8080/status?value=OUT_OF_SERVICE")
    wait_for(lambda: w.statuses("/orders/") == {404}, "out of service")
    r.eureka.delete("/apps/ORDERS/h1:orders:8080/status?value=UP")
    wait_for(lambda: w.statuses("/orders/") == {200}, "back in service")
    w.close()


def test_a_storm_of_changes(registry, gateway, upstream):
    r = registry()
    up = upstream(serve(ok("hello")))
    g = gateway(r, logging__level__vine="DEBUG")
    g.wait_log("tells of changes")
    for i in range(600):
        r.eureka.register(instance(app=f"S{i % 50}", id=f"i{i}", hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"},
                                   vipAddress=f"s{i % 50}"))
    w = Workers(g)
    wait_for(lambda: w.statuses("/s49/") == {200}, "the last of them")

    def as_it_is():
        c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=DEADLINE)
        c.request("GET", "/actuator/loadbalancers")
        doc = json.loads(c.getresponse().read())["loadbalancers"]
        c.close()
        return len(doc) == 50 and all(s["servers"] == 1 for s in doc.values())  # they share a place

    wait_for(as_it_is, "everything")
    assert "begins anew" not in g.logs() and "was lost" not in g.logs()
    metrics = Eureka(g.port, base="/actuator").get("/prometheus", Accept="text/plain").body.decode()
    assert re.search(r"^vine_eureka_watched\S* 1", metrics, re.M) and re.search(r'^vine_eureka_fetches_total\S*kind="full"\S* 1', metrics, re.M)
    w.close()


def test_callers_on_libvine_know(registry, service, upstream, connect):
    r = registry()
    s = service(member(r, "caller", **{"vine.loadbalancer.default.outlier.enabled": "false"}))
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=DEADLINE)

    def server():
        c.request("GET", "/call?service=orders&path=/")
        return json.loads(c.getresponse().read()).get("server")

    for name in "abc":
        up = upstream(serve(ok(name)))
        r.eureka.register(instance(id=name, hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
        wait_for(lambda: server() == up.address, "the new place")
        r.eureka.delete(f"/apps/ORDERS/{name}")
        wait_for(lambda: server() is None, "nobody")
    c.close()


def test_the_registry_restarts(registry, gateway, service, upstream):
    r = registry()
    up = upstream(serve(ok("hello")))
    g = gateway(r)
    r.eureka.register(instance(hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
    w = Workers(g)
    wait_for(lambda: w.statuses("/orders/") == {200}, "the service")
    port = r.port
    r.kill()
    g.wait_log("registry lost")
    assert w.statuses("/orders/") == {200}
    r = registry(port=port)
    g.wait_log("registry found again")
    assert w.statuses("/orders/") == {200}  # held, for as long as its lease
    r.eureka.register(instance(app="LATER", hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}, vipAddress="later"))
    wait_for(lambda: w.statuses("/later/") == {200}, "what came after the restart")
    assert w.statuses("/orders/") == {200}
    w.close()


def test_the_next_registry_is_watched(registry, gateway, upstream):
    first, second = registry(), registry()
    up = upstream(serve(ok("hello")))
    g = gateway(first, second)
    g.wait_log("tells of changes")
    first.kill()
    g.wait_log(f"tells of changes.*:{second.port}/")
    second.eureka.register(instance(hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
    w = Workers(g)
    wait_for(lambda: w.statuses("/orders/") == {200}, "what the second one knows")
    w.close()


def test_another_registry_is_polled(upstream, gateway):
    up = upstream(serve(ok("hello")))
    double = EurekaDouble(upstream)
    g = gateway(double, **{"eureka.client.registry-fetch-interval-seconds": 1})
    w = Workers(g)
    assert w.statuses("/orders/") == {404}
    double.set({"orders": [("127.0.0.1", up.port)]})
    wait_for(lambda: w.statuses("/orders/") == {200}, "the service")
    assert not [r for r in double.up.requests if "watch" in r.target]
    w.close()


def test_switched_off(registry, gateway, upstream):
    r = registry()
    up = upstream(serve(ok("hello")))
    g = gateway(r, **{"vine.eureka.watch.enabled": "false", "eureka.client.registry-fetch-interval-seconds": 1})
    r.eureka.register(instance(hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
    w = Workers(g)
    wait_for(lambda: w.statuses("/orders/") == {200}, "the service")
    metrics = Eureka(r.port, base="/actuator").get("/prometheus", Accept="text/plain").body.decode()
    assert re.search(r"^vine_registry_watchers\S* 0", metrics, re.M)
    w.close()


# --- a killed instance ---


class Grave:
    """Listens where a killed process was, and counts who comes."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(0.2)
        self.visits = 0
        self.over = False
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self):
        while not self.over:
            try:
                c, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.visits += 1
            c.close()

    def close(self):
        self.over = True
        self.thread.join()
        self.listener.close()


class Load:
    """Callers that never pause; what they were answered."""

    def __init__(self, port, path, n=4):
        self.over, self.seen, self.count = False, set(), 0
        self.threads = [threading.Thread(target=self._call, args=(port, path), daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()

    def _call(self, port, path):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        while not self.over:
            try:
                c.request("GET", path)
                answer = c.getresponse()
                answer.read()
                self.seen.add(answer.status)
            except OSError as e:
                self.seen.add(repr(e))
                return
            self.count += 1
        c.close()

    def end(self):
        self.over = True
        for t in self.threads:
            t.join(DEADLINE)
        return self.seen


def test_a_killed_instance_gets_no_second_request(registry, gateway, service):
    """Its lease runs on, and the registry calls it UP; the gateway has seen it refuse once, at whichever worker."""
    r = registry()
    g = gateway(r, **{"vine.loadbalancer.default.outlier.base-ejection-ms": 600000, "orders.ribbon.MaxAutoRetriesNextServer": 2})
    all = [service(member(r, "orders")) for _ in range(3)]
    w = Workers(g)

    def in_rotation():
        c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=DEADLINE)
        c.request("GET", "/actuator/loadbalancers/orders")
        answer = c.getresponse()
        doc = json.loads(answer.read()) if answer.status == 200 else {"servers": []}
        c.close()
        return {s["id"]: s["state"] for s in doc["servers"]}

    wait_for(lambda: len(in_rotation()) == 3, "three instances")
    for _ in range(5):
        assert w.statuses("/orders/hello/x") == {200}
    dead = all.pop()
    where = f"127.0.0.1:{dead.port}"
    load = Load(g.port, "/orders/hello/x")
    wait_for(lambda: load.count > 100, "the load to be under way")
    dead.kill()
    seen = set()

    def refused():
        seen.update(w.statuses("/orders/hello/x"))
        return in_rotation()[where] == "refusing"

    wait_for(refused, "the refusal")
    seen.update(load.end())
    assert r.eureka.find("ORDERS", where.replace(":", ":orders:"))["status"] == "UP"
    grave = Grave(dead.port)
    for _ in range(20):
        seen.update(w.statuses("/orders/hello/x"))
    r.eureka.register(instance(app="OTHER"))  # news of others change nothing
    wait_for(lambda: w.statuses("/other/") != {404}, "the news")
    for _ in range(20):
        seen.update(w.statuses("/orders/hello/x"))
    grave.close()
    assert grave.visits == 0
    assert seen == {200}  # nobody noticed
    # It starts again at the same place and registers: no need to wait for the end of an ejection.
    again = service(member(r, "orders", **{"server.port": dead.port}))
    wait_for(lambda: in_rotation()[where] == "in", "the one that came back")
    again.signal(signal.SIGTERM)
    again.wait()
    w.close()


# --- leaving ---


def registered(r, app):
    reply = r.eureka.get(f"/apps/{app}")
    return reply.status == 200


def test_a_service_leaves_before_it_stops(registry, service):
    r = registry()
    s = service(member(r, "orders", **{"vine.shutdown.leave-grace-ms": GRACE * 1000}))
    wait_for(lambda: registered(r, "ORDERS"), "the registration")
    slow = http.client.HTTPConnection("127.0.0.1", s.port, timeout=DEADLINE)
    slow.request("GET", f"/slow?ms={GRACE * 1000 + 1000}")
    s.wait_log("slow began")
    began = time.monotonic()
    s.signal(signal.SIGTERM)
    wait_for(lambda: not registered(r, "ORDERS"), "it to leave")
    assert time.monotonic() - began < GRACE - 0.1
    late = http.client.HTTPConnection("127.0.0.1", s.port, timeout=DEADLINE)  # who has an old list
    late.request("GET", "/hello/late")
    assert late.getresponse().status == 200
    answer = slow.getresponse()
    assert (answer.status, answer.read()) == (200, b"at last")
    assert s.wait() == 0


def test_a_gateway_leaves_before_it_stops(registry, gateway, upstream):
    r = registry()
    up = upstream(serve(ok("hello")))
    g = gateway(r, **{"eureka.client.register-with-eureka": "true", "vine.shutdown.leave-grace-ms": GRACE * 1000})
    wait_for(lambda: registered(r, "GW"), "the registration")
    r.eureka.register(instance(hostName="127.0.0.1", port={"$": up.port, "@enabled": "true"}))
    w = Workers(g)
    wait_for(lambda: w.statuses("/orders/") == {200}, "the service")
    began = time.monotonic()
    g.signal(signal.SIGTERM)
    wait_for(lambda: not registered(r, "GW"), "it to leave")
    assert time.monotonic() - began < GRACE - 0.1
    late = Workers(g, 4)  # new connections, after it has left
    assert late.statuses("/orders/") == {200}
    assert g.wait() == 0
    assert time.monotonic() - began >= GRACE
    late.close()
    w.close()


def test_whoever_was_not_registered_has_no_grace(registry, gateway):
    g = gateway(registry(), **{"vine.shutdown.leave-grace-ms": 3600000})
    g.signal(signal.SIGTERM)
    assert g.wait() == 0
