"""GET /vine/watch: each change as it happens, for many watchers, and what becomes of those that do not keep up."""
import http.client
import json
import queue
import re
import signal
import socket
import threading
import time

import pytest

from registry_client import Eureka, instance
from vine import DEADLINE, wait_for


class Watcher:
    """Reads an event stream in a thread; events are (id, event, data)."""

    def __init__(self, port, version=None, path="/vine/watch", **headers):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.c.request("GET", path + (f"?from={version}" if version else ""),
                       headers={k.replace("_", "-"): v for k, v in headers.items()})
        self.sock = self.c.sock
        self.r = self.c.getresponse()
        self.events = queue.Queue()
        self.known = {}
        self.version = version
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        fields = {}
        try:
            for line in self.r:
                line = line.decode().rstrip("\n")
                if line.startswith(":"):
                    self.events.put((None, "alive", None))
                elif line:
                    key, _, value = line.partition(": ")
                    fields[key] = value
                elif fields:
                    self.events.put((fields["id"], fields["event"], json.loads(fields["data"])))
                    fields = {}
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.events.put((None, "end", None))

    def next(self):
        while True:
            event = self.events.get(timeout=DEADLINE)
            if event[1] != "alive":
                return event

    def follow(self, until):
        """Applies changes until the condition over {id: instance} holds."""
        while not until(self.known):
            id, event, data = self.next()
            assert event == "change", (event, data)
            for i in data["instances"]:
                if i["actionType"] == "DELETED":
                    self.known.pop(i["instanceId"], None)
                else:
                    self.known[i["instanceId"]] = i
            self.version, self.hash = id, data["hash"]

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader; closing alone does not
        self.thread.join(DEADLINE)
        self.c.close()


@pytest.fixture
def registry(vine):
    def start(*props):
        v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", *(f"--{p}" for p in props))
        v.eureka = Eureka(v.port)
        v.manage = Eureka(v.port, base="/actuator")
        v.watch = Eureka(v.port, base="/vine/watch")
        return v

    return start


def version(v):
    return v.eureka.get("/apps").headers["X-Vine-Version"]


def test_every_list_has_its_version(registry):
    v = registry()
    v.eureka.register()
    first = version(v)
    assert re.fullmatch(r"[0-9a-f]{16}-[1-9]\d*", first)
    for path in ("/apps", "/apps/delta", "/apps/ORDERS", "/vips/orders", "/svips/x"):
        for headers in ({}, {"Accept_Encoding": "gzip"}, {"Accept": "*/*"}):
            assert v.eureka.get(path, **headers).headers["X-Vine-Version"] == first, path
    v.eureka.put("/apps/ORDERS/h1:orders:8080")
    assert version(v) == first
    v.eureka.register(instance(id="x"))
    assert version(v) != first


def test_stream(registry):
    v = registry()
    v.eureka.register(instance(id="early"))
    w = Watcher(v.port, version(v))
    assert w.r.status == 200 and w.r.headers["Content-Type"] == "text/event-stream"
    v.eureka.register(instance(id="a"))
    id, event, data = w.next()
    assert event == "change" and data["hash"] == "UP_2_" and id == version(v)
    one = data["instances"][0]
    assert (one["instanceId"], one["actionType"], one["status"]) == ("a", "ADDED", "UP")
    assert one["port"] == {"$": 8080, "@enabled": "true"}  # whole, as Eureka writes it
    v.eureka.put("/apps/ORDERS/a/status?value=OUT_OF_SERVICE")
    assert w.next()[2]["instances"][0]["actionType"] == "MODIFIED"
    v.eureka.delete("/apps/ORDERS/a")
    assert w.next()[2]["instances"][0]["actionType"] == "DELETED"
    last = version(v)
    w.close()
    # what was missed meanwhile comes first, also for a browser that connects again
    v.eureka.register(instance(id="b"))
    v.eureka.register(instance(id="c"))
    for again in (Watcher(v.port, last), Watcher(v.port, Last_Event_ID=last)):
        id, _, data = again.next()
        assert [i["instanceId"] for i in data["instances"]] == ["b", "c"] and id == version(v)
        again.close()
    v.eureka.register(instance(id="d"))  # whoever has gone is noticed when something is written
    v.eureka.register(instance(id="e"))
    wait_for(lambda: metric(v, "vine_registry_watchers") == 0, "the watchers' end")


def metric(v, name):
    text = v.manage.get("/prometheus", Accept="text/plain").body.decode()
    return float(re.search(rf"^{name}(?:\{{.*?\}})? (\S+)$", text, re.M).group(1))


@pytest.mark.parametrize("wanted", ["", "?from=", "?from=0123456789abcdef-1", "?from=nonsense", "?from={epoch}-99999999",
                                    "?from={epoch}--1", "?from={epoch}-", "?from=%00"])
def test_resync_at_once(registry, wanted):
    v = registry()
    v.eureka.register()
    query = wanted.replace("{epoch}", version(v).split("-")[0])
    c = http.client.HTTPConnection("127.0.0.1", v.port, timeout=10)
    c.request("GET", "/vine/watch" + query)
    text = c.getresponse().read().decode()  # it ends
    assert re.fullmatch(r"id: \S+\nevent: resync\ndata: \{\"why\":\".*\"\}\n\n", text), text
    poll = v.watch.get(query)
    assert poll.status == 200
    doc = poll.json()
    assert (doc["resync"], doc["instances"], doc["version"]) == (True, [], version(v))


def test_resync_when_the_past_is_forgotten(registry):
    v = registry("eureka.server.retention-time-in-m-s-in-delta-queue=1000")
    old = version(v)
    v.eureka.register()
    wait_for(lambda: v.watch.get(f"?from={old}").json()["resync"], "the past to be forgotten")
    assert v.watch.get(f"?from={version(v)}&wait=0").json()["resync"] is False


def test_long_poll(registry):
    v = registry("vine.workers=2")
    at = version(v)
    doc = v.watch.get(f"?from={at}&wait=0").json()
    assert doc == {"version": at, "resync": False, "hash": "", "instances": []}
    began = time.monotonic()
    doc = v.watch.get(f"?from={at}&wait=1").json()
    assert doc["instances"] == [] and time.monotonic() - began >= 1
    threading.Timer(0.2, lambda: Eureka(v.port).register()).start()
    doc = v.watch.get(f"?from={at}&wait=30").json()
    assert [i["instanceId"] for i in doc["instances"]] == ["h1:orders:8080"] and doc["hash"] == "UP_1_"
    assert doc["version"] == version(v)
    again = v.watch.get(f"?from={at}").json()  # at once: it is there
    assert [i["instanceId"] for i in again["instances"]] == ["h1:orders:8080"]
    for bad in ("?wait=61", "?wait=-1", "?wait=soon"):
        assert v.watch.get(bad).status == 400
    assert v.watch.request("POST", "").status == 405


def test_many_watchers_see_the_same(registry):
    v = registry("vine.workers=4")
    watchers = [Watcher(v.port, version(v)) for _ in range(20)]
    es = [Eureka(v.port) for _ in range(4)]
    for i in range(60):
        es[i % 4].register(instance(id=f"i{i}"))
        if i % 3 == 0:
            es[(i + 1) % 4].delete(f"/apps/ORDERS/i{i}")
    want = set(v.eureka.apps()["ORDERS"])
    for w in watchers:
        w.follow(lambda known: set(known) == want)
        assert w.hash == "UP_40_"
        w.close()


@pytest.mark.speed
def test_a_change_is_told_fast(registry):
    v = registry("vine.workers=2")
    w = Watcher(v.port, version(v))
    took = []
    for i in range(100):
        at = time.monotonic()
        v.eureka.register(instance(id=f"i{i}"))
        w.next()
        took.append(time.monotonic() - at)
    assert sorted(took)[94] < 0.1, took  # a timer would take its time each time, a busy machine now and then


def test_bounded(registry):
    v = registry("vine.registry.max-watchers=2")
    at = version(v)
    first, second = Watcher(v.port, at), Watcher(v.port, at)
    reply = v.watch.get(f"?from={at}&wait=0")
    assert reply.status == 503 and reply.headers["Retry-After"] and b"max-watchers" in reply.body
    first.close()

    def again():
        v.eureka.register(instance(id=str(time.monotonic())))  # a write shows that it has gone
        return v.watch.get(f"?from={version(v)}&wait=0").status == 200

    wait_for(again, "a free place")
    second.close()


def test_one_address_does_not_take_all_places(vine):
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", config="vine.registry.max-watchers-per-address: 2\n")
    v.eureka, v.watch = Eureka(v.port), Eureka(v.port, base="/vine/watch")
    first, second = Watcher(v.port, version(v)), Watcher(v.port, version(v))

    def from_elsewhere():
        c = http.client.HTTPConnection("127.0.0.1", v.port, timeout=10, source_address=("127.0.0.2", 0))
        c.request("GET", f"/vine/watch?from={version(v)}&wait=0")
        return c.getresponse().status

    def refused():
        return v.watch.get(f"?from={version(v)}&wait=0").status == 503

    reply = v.watch.get(f"?from={version(v)}&wait=0")
    assert reply.status == 503 and reply.headers["Retry-After"] and b"max-watchers-per-address" in reply.body
    assert from_elsewhere() == 200  # there are places for others
    first.close()

    def free():
        v.eureka.register(instance(id=str(time.monotonic())))  # a write shows that it has gone
        return not refused()

    wait_for(free, "a place when one goes")
    third = Watcher(v.port, version(v))
    assert third.r.status == 200 and refused()
    v.config.write_text("vine.registry.max-watchers-per-address: 0\n")
    v.signal(signal.SIGHUP)
    wait_for(lambda: not refused(), "no limit")
    second.close()
    third.close()


def test_a_slow_watcher_is_sent_away(registry):
    v = registry("vine.workers=1")
    fast = Watcher(v.port, version(v))
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", v.port))
    slow.sendall(f"GET /vine/watch?from={version(v)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = slow.recv(100)
    assert head.startswith(b"HTTP/1.1 200")
    big = {f"k{i}": "v" * 4000 for i in range(7)}
    n = 0
    while metric(v, "vine_registry_watch_resyncs_total") == 0:
        v.eureka.register(instance(id=f"i{n % 50}", metadata=big))
        n += 1
        assert n < 2000
    want = set(v.eureka.apps()["ORDERS"])
    fast.follow(lambda known: set(known) == want)
    rest = bytearray()
    slow.settimeout(DEADLINE)
    while not rest.endswith(b"0\r\n\r\n"):
        piece = slow.recv(65536)
        assert piece
        rest += piece
    assert b"event: resync\ndata: {\"why\":\"too slow: " in rest[-400:]
    slow.close()
    fast.close()


def test_the_end_of_the_registry_ends_the_stream(registry):
    v = registry()
    at = version(v)
    w = Watcher(v.port, at)
    poll = {}
    t = threading.Thread(target=lambda: poll.update(v.watch.get(f"?from={at}&wait=60").json()))
    t.start()
    wait_for(lambda: metric(v, "vine_registry_watchers") == 2, "both")
    began = time.monotonic()
    v.stop()
    assert w.next()[1] == "end" and time.monotonic() - began < 10
    t.join()
    assert poll["resync"] is False and poll["instances"] == []


def test_everything_at_once_is_a_resync(registry):
    v = registry("vine.workers=1")
    at = version(v)
    v.eureka.request("POST", "/peerreplication/batch/", json.dumps({"replicationList": []}), Content_Type="application/json")
    for part in range(6):
        items = [{"appName": "ORDERS", "id": f"i{part}-{k}", "action": "Register", "instanceInfo": instance(id=f"i{part}-{k}")}
                 for k in range(900)]
        assert v.eureka.request("POST", "/peerreplication/batch/", json.dumps({"replicationList": items}),
                                Content_Type="application/json").status == 200
    assert v.watch.get(f"?from={at}").json()["resync"] is True
    assert v.watch.get(f"?from={version(v)}&wait=0").json()["resync"] is False
