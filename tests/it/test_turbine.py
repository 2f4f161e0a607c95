"""/turbine.stream: what the instances of a cluster tell, added up; and instances that are slow, die, lie or flood."""
import json
import re
import socket
import threading
import time

import pytest

import peers
from eureka_double import EurekaDouble
from gateway import config
from manage import call, get
from peers import ok, reply, request_bytes, serve
from vine import SLOWNESS, wait_for

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def command(name="pay", **fields):
    return {"type": "HystrixCommand", "name": name, "reportingHosts": 1, **fields}


def frame(*events):
    return b"".join(b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n\n" for e in events)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Instance:
    """A scripted stream: tells its events every 50 ms, as they are at that time."""

    def __init__(self, upstream, *events):
        self.events = list(events)
        self.up = upstream(self.play)
        self.place = ("127.0.0.1", self.up.port)
        self.silent = threading.Event()
        self.dead = threading.Event()

    def play(self, peer):
        peer.next_request()
        peer.send(HEAD)
        while not self.up.over.is_set() and not self.dead.is_set():
            if not self.silent.is_set():
                peer.send(chunk(frame(*self.events) + b"ping: \n\n"))
            self.up.over.wait(0.05)


class Watcher:
    """A reader of the stream: the last event of each name."""

    def __init__(self, port, query="?cluster=SHOP", path="/turbine.stream"):
        self.client = peers.Client(port)
        self.client.send(request_bytes(target=path + query, host="127.0.0.1"))
        self.head = self.client.read_response(body=False)
        self.now, self.deleted, self.pings, self.raw, self.count = {}, set(), 0, b"", 0
        self.changed = threading.Condition()
        if self.head.status == 200:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        rest = b""
        try:
            for piece in self.client.chunks(self.head):
                rest += piece
                *whole, rest = rest.split(b"\n\n")
                with self.changed:
                    for text in whole:
                        self.take(text)
                    self.changed.notify_all()
        except (OSError, AssertionError, peers.Closed):
            pass

    def close(self):
        self.client.sock.shutdown(socket.SHUT_RDWR)  # a thread reads it
        self.client.close()

    def take(self, text):
        if text.startswith(b": ping"):
            self.pings += 1
            return
        assert text.startswith(b"data: "), text
        event = json.loads(text[6:])
        self.count += 1
        if event.get("deleteData") == "true":
            self.now.pop(event["name"], None)
            self.deleted.add(event["name"])
        else:
            self.now[event["name"]] = event

    def wait(self, condition, what="an event"):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), 30 if SLOWNESS == 1 else 60), f"{what}, only {self.now}"
        return self.now

    def wait_value(self, name, field, value):
        return self.wait(lambda w: w.now.get(name, {}).get(field) == value, f"{name}.{field} = {value}")[name]


@pytest.fixture
def cluster(vine, upstream):
    """cluster({service: [places]}, properties): a gateway that knows them by its registry."""
    watchers = []

    def start(services, properties=None):
        double = EurekaDouble(upstream, services)
        gw = vine("gateway", config=config({"eureka.client.enabled": True, "eureka.client.service-url.defaultZone": double.url,
                                            "eureka.client.register-with-eureka": False, "ribbon.eureka.enabled": True,
                                            "eureka.client.registry-fetch-interval-seconds": 1, **(properties or {})}))
        wait_for(lambda: get(gw.port, "/actuator/clusters") or not any(services.values()), "the registry's view")

        def watch(*args, **kw):
            w = Watcher(gw.port, *args, **kw)
            watchers.append(w)
            return w
        gw.watch, gw.double = watch, double
        return gw

    yield start
    for w in watchers:
        try:
            w.close()
        except OSError:
            pass


def state_of(gw, instance):
    """How the gateway fares with reading that instance."""
    name = "%s:%d" % instance.place
    return next((i for i in get(gw.port, "/actuator/clusters/instances") if i["instance"] == name), {"state": "none"})


# --- adding up ---

def test_two_instances_add_up(cluster, upstream):
    a = Instance(upstream, command(rollingCountSuccess=3, isCircuitBreakerOpen=False, propertyValue_x=10),
                 {"type": "HystrixThreadPool", "name": "pool", "currentQueueSize": 2, "reportingHosts": 1})
    b = Instance(upstream, command(rollingCountSuccess=4, isCircuitBreakerOpen=True, propertyValue_x=10))
    gw = cluster({"shop": [a.place, b.place]})
    w = gw.watch()
    assert w.head.status == 200 and w.head.get("content-type") == "text/event-stream;charset=UTF-8"
    pay = w.wait_value("pay", "rollingCountSuccess", 7)
    assert (pay["reportingHosts"], pay["propertyValue_x"]) == (2, 10)
    assert json.loads(pay["isCircuitBreakerOpen"]) == {"false": 1, "true": 1}, "a text that is an object, as in Turbine 1"
    assert w.now["pool"]["currentQueueSize"] == 2
    meta = w.wait(lambda w: w.now.get("meta", {}).get("reportingHostsLast10Seconds") == 2, "meta")["meta"]
    assert (meta["type"], meta["vineHosts"], meta["vineHostsConnected"]) == ("meta", 2, 2)
    assert a.up.requests[0].target == "/actuator/hystrix.stream"
    assert a.up.requests[0].get("accept") == "text/event-stream"


def test_a_change_is_told(cluster, upstream):
    a = Instance(upstream, command(n=1))
    w = cluster({"shop": [a.place]}).watch()
    w.wait_value("pay", "n", 1)
    a.events = [command(n=2), command("new", n=5)]
    w.wait_value("pay", "n", 2)
    w.wait_value("new", "n", 5)


def test_real_gateways_and_their_histograms(vine, cluster, upstream):
    """Two gateways with traffic, read by a third: the percentiles are those of all calls."""
    from gateway import simple
    ports = []
    for calls in (30, 10):
        gw = vine("gateway", config=simple(upstream(serve(ok(b"fine"))), hystrix__stream__dashboard__intervalInMilliseconds=100,
                                           hystrix__command__up__metrics__rollingStats__timeInMilliseconds=60000))
        c = peers.Client(gw.port)
        for _ in range(calls):
            assert c.get("/x").status == 200
        c.close()
        ports.append(("127.0.0.1", gw.port))
    w = cluster({"shop": ports}).watch()
    event = w.wait_value("up", "rollingCountSuccess", 40)
    assert event["vineQuantiles"] == "merged" and sum(event["vineLatencyExecuteMicros"].values()) == 40
    assert event["reportingHosts"] == 2 and event["isCircuitBreakerOpen"] is False and event["vineState"] == "CLOSED"
    assert list(event["latencyExecute"]) == ["0", "25", "50", "75", "90", "95", "99", "99.5", "100"]
    assert event["propertyValue_metricsRollingStatisticalWindowInMilliseconds"] == 60000


# --- clusters ---

def test_clusters_and_their_names(cluster, upstream):
    a, b = Instance(upstream, command(n=1)), Instance(upstream, command(n=10))
    gw = cluster({"shop": [a.place], "bank": [b.place]})
    wait_for(lambda: len(get(gw.port, "/actuator/clusters")) == 3, "both services")
    base = f"http://127.0.0.1:{gw.port}/turbine.stream?cluster="
    assert get(gw.port, "/actuator/clusters") == [{"name": n, "link": base + n} for n in ("BANK", "SHOP", "default")]
    gw.watch("?cluster=bank").wait_value("pay", "n", 10)
    gw.watch("").wait_value("pay", "n", 11)
    gw.watch("?cluster=SHOP", path="/actuator/turbine.stream").wait_value("pay", "n", 1)
    status, _, body = call(gw.port, "/turbine.stream?cluster=nobody")
    assert status == 404 and body.startswith("Cluster not found: nobody")


def test_spring_s_properties(cluster, upstream):
    a, b = Instance(upstream, command(n=1)), Instance(upstream, command(n=10))
    gw = cluster({"shop": [a.place], "bank": [b.place]},
                 {"turbine.appConfig": "shop", "turbine.clusterNameExpression": "'default'", "turbine.instanceUrlSuffix": "hystrix.stream"})
    assert [c["name"] for c in get(gw.port, "/actuator/clusters")] == ["default"]
    gw.watch("").wait_value("pay", "n", 1)
    assert a.up.requests[0].target == "/hystrix.stream" and not b.up.requests
    assert call(gw.port, "/turbine.stream?cluster=SHOP")[0] == 404


def test_an_expression_that_is_not_understood(vine):
    v = vine("gateway", config=config({"turbine.clusterNameExpression": "T(java.lang.Runtime).exec('x')"}), ready=False)
    assert v.wait() == 1
    v.expect_code = 1
    assert v.err.wait(r"turbine\.cluster-name-expression.*metadata\[.x.\]")


def test_without_a_registry(vine):
    gw = vine("gateway", config=config({}))
    status, _, body = call(gw.port, "/turbine.stream")
    assert status == 404 and "eureka.client.enabled" in body
    assert get(gw.port, "/actuator/clusters") == []


def test_credentials_from_metadata(cluster, upstream):
    a = Instance(upstream, command(n=1))
    plain = EurekaDouble.instance
    try:
        EurekaDouble.instance = staticmethod(lambda *place: {**plain(*place), "metadata": {"user.name": "ops", "user.password": "pw"}})
        w = cluster({"shop": [a.place]}).watch()
        w.wait_value("pay", "n", 1)
    finally:
        EurekaDouble.instance = staticmethod(plain)
    assert a.up.requests[0].get("authorization") == "Basic b3BzOnB3"


# --- readers ---

def test_nobody_is_asked_before_somebody_watches(cluster, upstream):
    a = Instance(upstream, command(n=1))
    gw = cluster({"shop": [a.place]})
    assert not a.up.requests and get(gw.port, "/actuator/clusters/instances") == []
    gw.watch().wait_value("pay", "n", 1)
    gw.watch().wait_value("pay", "n", 1)
    assert a.up.connections == 1, "one connection, whoever reads"


def test_a_late_reader_gets_all(cluster, upstream):
    a = Instance(upstream, command(n=1))
    gw = cluster({"shop": [a.place]})
    gw.watch().wait_value("pay", "n", 1)
    late = gw.watch()
    late.wait_value("pay", "n", 1)
    late.wait(lambda w: w.pings >= 1, "a ping")


def test_the_number_of_readers_is_bounded(cluster, upstream):
    gw = cluster({"shop": [Instance(upstream, command(n=1)).place]}, {"vine.gateway.turbine-readers": 2})
    first, second = gw.watch(), gw.watch("")
    assert (first.head.status, second.head.status) == (200, 200)
    assert call(gw.port, "/turbine.stream?cluster=SHOP")[0] == 503
    first.close()
    wait_for(lambda: gw.watch().head.status == 200, "a free place")


def test_the_end_of_the_process_ends_the_stream(cluster, upstream):
    gw = cluster({"shop": [Instance(upstream, command(n=1)).place]})
    w = gw.watch()
    w.wait_value("pay", "n", 1)
    begin = time.monotonic()
    gw.stop()
    assert time.monotonic() - begin < 5 * SLOWNESS


# --- instances that fail ---

def test_who_dies_is_taken_off_and_comes_back(cluster, upstream):
    a, b = Instance(upstream, command(n=1)), Instance(upstream, command(n=10), command("own", n=3))
    gw = cluster({"shop": [a.place, b.place]})
    w = gw.watch()
    w.wait_value("pay", "n", 11)
    b.dead.set()
    w.wait_value("pay", "n", 1)
    w.wait(lambda w: "own" in w.deleted, "own's deletion")
    gw.wait_log(r'warn .*"no stream from an instance" cluster=SHOP instance=\S+ why=')
    b.dead.clear()
    w.wait_value("pay", "n", 11)
    w.wait_value("own", "n", 3)
    gw.wait_log(r'info .*"an instance\'s stream is back"')


def test_who_leaves_the_registry_is_taken_off(cluster, upstream):
    a, b = Instance(upstream, command(n=1)), Instance(upstream, command(n=10))
    gw = cluster({"shop": [a.place]})
    w = gw.watch()
    w.wait_value("pay", "n", 1)
    gw.double.set({"shop": [a.place, b.place]})
    w.wait_value("pay", "n", 11)
    gw.double.set({"shop": [b.place]})
    w.wait_value("pay", "n", 10)
    a.up.wait_open(0)


def test_a_silent_instance_is_given_up(cluster, upstream):
    a, b = Instance(upstream, command(n=1)), Instance(upstream, command(n=10))
    gw = cluster({"shop": [a.place, b.place]})
    w = gw.watch()
    w.wait_value("pay", "n", 11)
    b.silent.set()
    w.wait_value("pay", "n", 1)
    # It is tried again soon, and then answers for a while: what it was is in the log.
    gw.wait_log(rf'"no stream from an instance" cluster=SHOP instance=127\.0\.0\.1:{b.up.port} ')
    assert state_of(gw, a)["state"] == "reading"
    assert str(gw.logs()).count("no stream from an instance") == 1


@pytest.mark.parametrize("script, why", [
    (peers.reset_at_once, "re(set|fused)"), (peers.then_close(b""), "closed"), (serve(reply(500, b"ill")), "answered: 500"),
    (serve(reply(404, b"none")), "answered: 404"), (serve(reply(302, b"", ["Location: http://127.0.0.1:1/"])), "answered: 302"),
    (peers.then_close(b"nonsense\r\n\r\n"), "response"), (peers.then_close(HEAD + b"zz\r\n"), ""),
    (peers.then_close(HEAD + chunk(frame(command(n=5))) + b"0\r\n\r\n"), "its stream ended")])
def test_what_an_instance_can_do_instead(cluster, upstream, script, why):
    """The others are read all the same, and the report says why this one is not."""
    good = Instance(upstream, command("good", n=1))
    bad = upstream(script)
    gw = cluster({"shop": [good.place, ("127.0.0.1", bad.port)]})
    w = gw.watch()
    w.wait_value("good", "n", 1)
    name = f"127.0.0.1:{bad.port}"

    def reason():
        one = next(i for i in get(gw.port, "/actuator/clusters/instances") if i["instance"] == name)
        return one["state"] == "waiting" and one.get("why", "")
    said = wait_for(reason, "a reason")
    assert re.search(why, said), said
    w.wait(lambda w: w.now.get("meta", {}).get("reportingHostsLast10Seconds") == 1, "meta")


def test_pauses_grow(cluster, upstream):
    bad = upstream(peers.reset_at_once)
    gw = cluster({"shop": [("127.0.0.1", bad.port)]})
    begin = time.monotonic()
    gw.watch()
    bad.wait(lambda: bad.connections >= 3, "three tries")
    assert time.monotonic() - begin > 0.75 + 1.5
    assert len([line for line in gw.logs().split("\n") if "no stream from" in line]) == 1, "said once"


LIES = [b"", b"{}", b"[]", b"nonsense", b'{"type":"HystrixCommand"}', b'{"type":"x","name":', b"\xff\xfe",
        b'{"type":"HystrixCommand","name":"pay","n":1e400,"reportingHosts":9223372036854775807,"errorPercentage":-9223372036854775808}',
        b'{"type":"HystrixCommand","name":"pay","latencyExecute":{"0":-1,"100":9223372036854775807},"latencyExecute_mean":9223372036854775807}',
        b'{"type":"HystrixCommand","name":"pay","vineLatencyExecuteMicros":{"x":1,"99999999999999999999":5,"7":4294967295}}',
        b'{"type":"HystrixCommand","name":"' + b"n" * 100000 + b'"}', b"[" * 100000]


def test_lies_do_no_harm(cluster, upstream):
    good, liar = Instance(upstream, command("good", n=1)), Instance(upstream, *LIES, command("after", n=2))
    gw = cluster({"shop": [good.place, liar.place]})
    w = gw.watch()
    w.wait_value("good", "n", 1)
    w.wait_value("after", "n", 2)
    w.wait(lambda w: "pay" in w.now, "the lie that is an event")
    assert w.now["pay"]["reportingHosts"] <= 10000
    assert state_of(gw, liar)["state"] == "reading"


def test_an_event_without_end_is_skipped(cluster, upstream):
    endless = b'data: {"type":"HystrixCommand","name":"' + b"x" * 1000000 + b'"}\n\n'

    def script(peer):
        peer.next_request()
        peer.send(HEAD + chunk(endless) + chunk(frame(command("after", n=1))))
        peer.hold()
    a = upstream(script)
    gw = cluster({"shop": [("127.0.0.1", a.port)]})
    w = gw.watch()
    w.wait_value("after", "n", 1)
    one = get(gw.port, "/actuator/clusters/instances")[0]
    assert (one["tooLong"], one["events"]) == (1, 1)


@pytest.mark.speed
def test_a_flood_is_slowed_and_memory_bounded(cluster, upstream):
    """Ever new commands, as fast as they go: what is kept is bounded, the others are told on time."""
    good = Instance(upstream, command("good", n=1))

    def flood(peer):
        peer.next_request()
        peer.send(HEAD)
        n = 0
        while not up.over.is_set():
            peer.send(chunk(frame(*(command(f"c{n + i}", x="y" * 100) for i in range(200)))))
            n += 200
    up = upstream(flood)
    gw = cluster({"shop": [good.place, ("127.0.0.1", up.port)]})
    w = gw.watch()
    w.wait_value("good", "n", 1)
    name = f"127.0.0.1:{up.port}"

    def flooded():
        one = next(i for i in get(gw.port, "/actuator/clusters/instances") if i["instance"] == name)
        return one["bytes"] > (8 << 20) and one
    one = wait_for(flooded, "8 MiB of the flood", 30)
    assert one["kept"] == 5000
    assert gw.rss() < 200 << 20
    begin = time.monotonic()
    good.events = [command("good", n=2)]
    w.wait_value("good", "n", 2)
    assert time.monotonic() - begin < 4
