"""/hystrix.stream and /actuator/circuits, the same in the gateway and in a service on libvine."""
import json
import re
import time

import pytest

import peers
from gateway import config, events, simple
from manage import call, get
from peers import ok, reply, request_bytes, serve
from test_libvine import ask, binary, service  # noqa: F401 (fixtures)
from vine import ROOT, SLOWNESS, wait_for

FAST = {"hystrix.stream.dashboard.intervalInMilliseconds": 100}
USER = {"vine.management.user": "ops", "vine.management.password": "secret"}


class Gateway:
    """A command `up` behind the gateway's route."""

    def __init__(self, vine, up, properties):
        self.process = vine("gateway", config=simple(up, **{k.replace(".", "__"): v for k, v in properties.items()}))
        self.port = self.process.port

    def call(self):
        c = peers.Client(self.port)
        status = c.get("/x").status
        c.close()
        return "short circuit" if status == 503 else status


class Library:
    """A command `up` in a service on libvine."""

    def __init__(self, service, up, properties):  # noqa: F811
        self.process = service(properties, servers={"up": [up]})
        self.port = self.process.port

    def call(self):
        c = peers.Client(self.port)
        answer = ask(c, service="up", path="/", fallback="spare")
        c.close()
        return answer["cause"] if answer["cause"] == "short circuit" else 200 if answer["cause"] == "none" else 500


@pytest.fixture(params=["gateway", "libvine"])
def caller(request, vine, service):  # noqa: F811
    """caller(upstream, properties): who calls the command `up`, and tells of it."""
    if request.param == "gateway":
        return lambda up, properties=None: Gateway(vine, up, {**FAST, **(properties or {})})
    return lambda up, properties=None: Library(service, up, {**FAST, **(properties or {})})


def stream(port, query="", path="/actuator/hystrix.stream"):
    c = peers.Client(port)
    c.send(request_bytes(target=path + query, host="127.0.0.1"))
    return c, c.read_response(body=False)


# --- the stream ---

@pytest.mark.parametrize("path", ["/hystrix.stream", "/actuator/hystrix.stream"])
def test_both_paths_tell_of_the_command(caller, upstream, path):
    p = caller(upstream(serve(ok(b"fine"))))
    assert p.call() == 200
    event = next(e for e in events(p.port, path) if e["name"] == "up")
    assert event["rollingCountSuccess"] == 1 and event["isCircuitBreakerOpen"] is False


def test_a_pool_is_told_of(caller, upstream):
    """Of the fields that Hystrix writes, each of its kind; once it was used."""
    p = caller(upstream(serve(ok(b"fine"))), {"zuul.ribbonIsolationStrategy": "THREAD", "hystrix.threadpool.default.coreSize": 3,
                                              "hystrix.command.default.execution.isolation.strategy": "THREAD"})
    assert p.call() == 200
    pool = next(e for e in events(p.port) if e["type"] == "HystrixThreadPool")
    listed = json.loads((ROOT / "tests" / "data" / "hystrix-stream-1.5.18.json").read_text())["HystrixThreadPool"]
    kinds = {"integer": int, "string": str}
    assert list(pool) == list(listed) and all(type(pool[name]) is kinds[kind] for name, kind in listed.items())
    assert (pool["currentCorePoolSize"], pool["currentTaskCount"], pool["rollingCountThreadsExecuted"]) == (3, 1, 1)
    command = next(e for e in events(p.port) if e["type"] == "HystrixCommand")
    assert command["threadPool"] == pool["name"], "by which dashboards join the two"


@pytest.mark.parametrize("prefix", ["", "/actuator"])
def test_configuration_and_use_have_streams_of_their_own(caller, upstream, prefix):
    p = caller(upstream(serve(ok(b"fine"))), {"zuul.ribbonIsolationStrategy": "THREAD", "hystrix.threadpool.default.coreSize": 3,
                                              "hystrix.command.default.execution.isolation.strategy": "THREAD",
                                              "hystrix.command.up.circuitBreaker.requestVolumeThreshold": 7,
                                              "hystrix.stream.config.intervalInMilliseconds": 100})
    assert p.call() == 200
    told = events(p.port, f"{prefix}/hystrix/config.stream")
    for _ in range(2):  # at its own pace
        config_now = next(told)
        assert config_now["type"] == "HystrixConfig" and config_now["commands"]["up"]["circuitBreaker"]["requestVolumeThreshold"] == 7
        pool = config_now["commands"]["up"]["threadPoolKey"]
        assert config_now["threadpools"][pool]["coreSize"] == 3
    use = next(events(p.port, f"{prefix}/hystrix/utilization.stream"))
    assert use["commands"]["up"] == {"activeCount": 0} and use["threadpools"][pool]["corePoolSize"] == 3


def test_the_number_of_readers_is_bounded(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))), {"hystrix.config.stream.maxConcurrentConnections": 2})
    first, second = stream(p.port), stream(p.port, path="/hystrix.stream")
    assert [first[1].status, second[1].status] == [200, 200]
    status, _, body = call(p.port, "/hystrix.stream")
    assert (status, body) == (503, "MaxConcurrentConnections reached: 2\n")
    first[0].close()

    def third():
        c, answer = stream(p.port)
        c.close()
        return answer.status == 200
    wait_for(third, "a free place")


def test_a_head_request_ends(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))))
    for _ in range(10):  # and holds no place
        c = peers.Client(p.port)
        c.send(request_bytes("HEAD", "/hystrix.stream", host="127.0.0.1"))
        assert c.read_response(body=False).status == 200
        c.close()


@pytest.mark.parametrize("query, data", [("?delay=60000", 1), ("?delay=nonsense", 4), ("?delay=0", 4), ("", 4)])
def test_a_reader_may_ask_for_less(caller, upstream, query, data):
    """Pings keep their pace: the count of events is taken at the fourth."""
    p = caller(upstream(serve(ok(b"fine"))))
    assert p.call() == 200
    c, head = stream(p.port, query)
    seen = b""
    for piece in c.chunks(head):
        seen += piece
        if seen.count(b"ping:") >= 4:
            break
    before = seen[:seen.rindex(b"ping:")]
    assert before.count(b'"name":"up"') >= data and (data > 1 or before.count(b'"name":"up"') == 1)
    c.close()


def test_a_short_delay_is_taken_for_the_shortest(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))), {"hystrix.stream.dashboard.intervalInMilliseconds": 60000})
    assert p.call() == 200
    seen, begin = b"", time.monotonic()
    c, head = stream(p.port, "?delay=1")
    for piece in c.chunks(head):
        seen += piece
        if seen.count(b'"name":"up"') >= 4:
            break
    assert time.monotonic() - begin > 0.25
    c.close()


def test_a_reader_that_does_not_read_holds_up_nobody(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))))
    assert p.call() == 200
    lazy, _ = stream(p.port)
    for _, event in zip(range(5), events(p.port)):
        assert event["name"] == "up"
    lazy.close()


def test_the_end_of_the_process_ends_the_stream(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))))
    c, head = stream(p.port)
    begin = time.monotonic()
    p.process.stop()
    assert b"".join(c.chunks(head)).endswith(b"\n\n") and time.monotonic() - begin < 5 * SLOWNESS


@pytest.mark.parametrize("fields, user, want", [
    ((), None, 200), (("X-Forwarded-For: 10.1.1.1",), None, 401), (("X-Forwarded-For: 10.1.1.1",), "ops:wrong", 401),
    (("X-Forwarded-For: 10.1.1.1",), "ops:secret", 200), (("Host: evil.example",), None, 401)])
def test_others_need_credentials(caller, upstream, fields, user, want):
    p = caller(upstream(serve(ok(b"fine"))), USER)
    headers = {f.split(":")[0].replace("-", "_"): f.split(": ")[1] for f in fields}
    for path in ("/actuator/circuits", "/actuator/circuits/up"):
        status, _, _ = call(p.port, path, user=user, **headers)
        assert status in (want, 404 if want == 200 else want)


def test_the_management_port_has_it_too(vine, upstream):
    gw = vine("gateway", config=simple(upstream(serve(ok(b"fine"))), management__server__port=0, management__server__address="127.0.0.1",
                                       hystrix__stream__dashboard__intervalInMilliseconds=100))
    port = int(re.search(r"management http://127\.0\.0\.1:(\d+)/", str(gw.out)).group(1))
    c = peers.Client(gw.port)
    assert c.get("/x").status == 200
    c.close()
    assert next(e for e in events(port) if e["name"] == "up")["rollingCountSuccess"] == 1
    assert get(port, "/actuator/circuits/up")["window"]["calls"] == 1
    gw.stop()


# --- circuits ---

QUICK = {"hystrix.command.up.circuitBreaker.requestVolumeThreshold": 4,
         "hystrix.command.up.metrics.healthSnapshot.intervalInMilliseconds": 20,
         "hystrix.command.up.circuitBreaker.sleepWindowInMilliseconds": 30000}


def test_the_story_of_a_circuit(caller, upstream):
    p = caller(upstream(serve(lambda r: reply(500, b"ill"))), {**QUICK, "vine.gateway.failure-statuses": "500"})
    p.call()
    one = get(p.port, "/actuator/circuits/up")
    assert (one["state"], one["why"], one["next"]) == ("CLOSED", "never opened", "opens when 1 of the next 3 calls fail")
    assert one["window"]["errors"] == 1 and one["decisions"] == []
    wait_for(lambda: p.call() == "short circuit", "the circuit to open")
    one = get(p.port, "/actuator/circuits/up")
    assert one["state"] == "OPEN" and one["why"] == "error percentage reached the threshold"
    assert re.fullmatch(r"a trial is let through in (2\d|30)\.\d s", one["next"]) and 20000 < one["nextMillis"] <= 30000
    assert [(d["from"], d["to"], d["errors"]) for d in one["decisions"]] == [("CLOSED", "OPEN", 4)]
    assert one["decisions"][0]["at"] == one["since"]
    listed = get(p.port, "/actuator/circuits")["circuits"]
    assert [(c["key"], c["state"]) for c in listed] == [("up", "OPEN")]


def force(p, key, body, **kw):
    return call(p.port, f"/actuator/circuits/{key}", "POST", body if isinstance(body, str) else json.dumps(body), **kw)


def test_by_hand(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))), QUICK)
    assert p.call() == 200
    status, kind, one = force(p, "up", {"state": "open"})
    assert (status, one["state"], one["why"]) == (200, "FORCED_OPEN", "set by hand") and "actuator.v3" in kind
    p.process.wait_log(r'warn .*"circuit set by hand" command=up to=open')
    assert p.call() == "short circuit"
    event = next(e for e in events(p.port) if e["name"] == "up")
    assert event["isCircuitBreakerOpen"] is True and event["propertyValue_circuitBreakerForceOpen"] is True
    assert force(p, "up", {"state": "auto"})[2]["state"] == "OPEN"
    assert p.call() == 200
    one = get(p.port, "/actuator/circuits/up")
    assert one["state"] == "CLOSED"
    assert [d["to"] for d in one["decisions"]] == ["CLOSED", "HALF_OPEN", "OPEN", "OPEN"]
    assert force(p, "up", {"state": "closed"})[2]["state"] == "FORCED_CLOSED"


@pytest.mark.parametrize("key, body, status, words", [
    ("up", "", 400, "the body must be"), ("up", {"state": "ajar"}, 400, "the body must be"), ("up", "{", 400, "the body must be"),
    ("nobody", {"state": "open"}, 404, "no such circuit")])
def test_what_cannot_be_forced(caller, upstream, key, body, status, words):
    p = caller(upstream(serve(ok(b"fine"))))
    p.call()
    got, _, document = force(p, key, body)
    assert got == status and words in document["message"]


def test_a_property_wins_over_a_hand(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))), {"hystrix.command.up.circuitBreaker.forceClosed": True})
    p.call()
    status, _, document = force(p, "up", {"state": "open"})
    assert status == 409 and "hystrix.command.up.circuitBreaker.forceClosed" in document["message"]
    assert get(p.port, "/actuator/circuits/up")["state"] == "FORCED_CLOSED"


def test_a_hand_needs_credentials(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))), USER)
    p.call()
    foreign = {"X_Forwarded_For": "10.1.1.1"}
    assert force(p, "up", {"state": "open"}, **foreign)[0] == 401
    assert force(p, "up", {"state": "open"}, Origin="http://evil.example")[0] == 403
    assert p.call() == 200
    assert force(p, "up", {"state": "open"}, user="ops:secret", **foreign)[0] == 200


def test_a_long_body_is_refused(caller, upstream):
    p = caller(upstream(serve(ok(b"fine"))))
    p.call()
    assert force(p, "up", '{"state":"open","x":"' + "y" * 70000 + '"}')[0] == 413
    assert p.call() == 200
