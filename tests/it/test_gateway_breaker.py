"""Breaker, fallback, bulkhead and deadline of a service, under the names that Hystrix and Zuul gave them."""
import json
import threading
import time

import pytest

import peers
from gateway import command, config, events, simple
from peers import ok, reply, request_bytes, serve
from vine import DEADLINE, ROOT, SLOWNESS, wait_for

# A breaker that tells quickly: trips at 4 calls, looks at every one of them, and tries again when a test has seen it open.
QUICK = {
    "hystrix__command__up__circuitBreaker__requestVolumeThreshold": 4,
    "hystrix__command__up__circuitBreaker__sleepWindowInMilliseconds": 1500 * SLOWNESS,
    "hystrix__command__up__metrics__healthSnapshot__intervalInMilliseconds": 20,
}
TIMEOUT = "hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds"
FALLBACK = {
    "vine__gateway__fallbacks__up__status": 200,
    "vine__gateway__fallbacks__up__body": '{"from":"fallback"}',
    "vine__gateway__fallbacks__up__content-type": "application/json",
}


class Switch:
    """An upstream's mood, which the test changes while it runs."""

    def __init__(self):
        self.failing = threading.Event()

    def __call__(self, peer):
        while peer.next_request() is not None:
            if self.failing.is_set():
                peer.reset()
                return
            peer.send(ok(b"fine"))


def trip(c, n=8):
    return [c.request("POST", "/x", body=b"b").status for _ in range(n)]


def test_the_circuit_opens_and_a_trial_closes_it(vine, upstream, connect):
    mood = Switch()
    up = upstream(mood)
    gw = vine("gateway", config=simple(up, **QUICK))
    c = connect(gw)
    assert c.get().body == b"fine"
    mood.failing.set()
    assert 502 in trip(c)
    wait_for(lambda: c.get().status == 503, "an open circuit")
    seen = len(up.requests)
    r = c.get()
    assert r.status == 503 and "retry-after" in r
    assert len(up.requests) == seen, "an open circuit asks nobody"
    assert command(gw.port, "up")["isCircuitBreakerOpen"] is True
    mood.failing.clear()
    wait_for(lambda: c.get().status == 200, "a closed circuit")
    assert [c.get().status for _ in range(5)] == [200] * 5
    assert command(gw.port, "up")["isCircuitBreakerOpen"] is False


def test_a_failed_trial_opens_it_again(vine, upstream, connect):
    mood = Switch()
    up = upstream(mood)
    gw = vine("gateway", config=simple(up, **QUICK))
    c = connect(gw)
    mood.failing.set()
    trip(c)
    wait_for(lambda: c.get().status == 503, "an open circuit")
    at_trial = len(up.requests)
    wait_for(lambda: c.request("POST", "/x", body=b"").status == 502, "the trial")
    assert c.get().status == 503
    assert len(up.requests) == at_trial + 1, "one request was let through"


def test_an_answer_with_500_counts_as_a_failure_only_where_told(vine, upstream, connect):
    """The upstream has spoken: its words pass. A circuit of Zuul's does not open by statuses."""
    up = upstream(serve(reply(500, b"oops")))
    gw = vine("gateway", config=simple(up, **QUICK))
    c = connect(gw)
    for _ in range(20):
        r = c.get()
        assert (r.status, r.body) == (500, b"oops")


def test_a_fallback_is_served(vine, upstream, connect):
    mood = Switch()
    up = upstream(mood)
    gw = vine("gateway", config=simple(up, **QUICK, **FALLBACK))
    c = connect(gw)
    assert c.get().body == b"fine"
    mood.failing.set()
    for _ in range(12):  # failures first, then the open circuit: the client sees no difference
        r = c.request("POST", "/x", body=b"")
        assert (r.status, r.body, r.get("content-type")) == (200, b'{"from":"fallback"}', "application/json")
    seen = command(gw.port, "up")
    assert seen["rollingCountFallbackSuccess"] >= 12 and seen["rollingCountShortCircuited"] > 0


def test_the_deadline_frees_the_caller_on_time(vine, upstream, connect):
    up = upstream(peers.stall)
    gw = vine("gateway", config=simple(up, **{TIMEOUT: 300}))
    c = connect(gw)
    began = time.monotonic()
    r = c.get()
    took = time.monotonic() - began
    assert r.status == 504
    assert "timeout" in r.get("proxy-status")
    assert 0.28 <= took < DEADLINE / 2, took  # not the upstream's own time-out
    up.wait_open(0)
    assert c.get().status == 504, "the client's connection lives on"


def test_the_deadline_holds_for_all_tries_together(vine, upstream, connect):
    ups = [upstream(peers.stall) for _ in range(3)]
    gw = vine("gateway", config=simple(*ups, **{TIMEOUT: 2400}, zuul__retryable=True, up__ribbon__ReadTimeout=1400,
                                       up__ribbon__MaxAutoRetriesNextServer=2))  # time for two, and a second for the kernel
    began = time.monotonic()
    assert connect(gw).get().status == 504
    took = time.monotonic() - began
    assert 2.38 <= took and (took < 4.2 or SLOWNESS > 1), took  # which three would take
    assert sum(len(u.requests) for u in ups) == 2


def test_the_deadline_ends_at_the_head(vine, upstream, connect):
    """A body may take longer than the deadline: downloads and event streams live on."""
    pieces = threading.Semaphore(0)

    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            pieces.acquire()
            peer.send(b"1\r\n%d\r\n" % i)
        peer.send(b"0\r\n\r\n")

    gw = vine("gateway", config=simple(upstream(script), **{TIMEOUT: 800 * SLOWNESS}))
    c = connect(gw)
    c.send(request_bytes())
    r = c.read_response(body=False)
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 0.9 * SLOWNESS, "the deadline to pass")
    for _ in range(5):
        pieces.release()
    assert b"".join(c.chunks(r)) == b"01234"


def test_the_time_left_is_told_to_the_upstream(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=simple(up, **{TIMEOUT: 5000}))
    connect(gw).get()
    assert 0 < int(up.requests[0].get("x-vine-timeout-ms")) <= 5000


@pytest.mark.parametrize("properties", [{"zuul__semaphore__maxSemaphores": 3}, {"zuul__eureka__up__semaphore__maxSemaphores": 3}])
def test_a_full_semaphore_rejects_at_once(properties, vine, upstream, connect):
    up = upstream(peers.stall)
    gw = vine("gateway", config=simple(up, **properties, **{TIMEOUT: 20000}))
    waiting = [connect(gw) for _ in range(3)]
    for c in waiting:
        c.send(request_bytes())
    up.wait_requests(3)
    r = connect(gw).get()
    assert r.status == 503 and "connection_limit_reached" in r.get("proxy-status")
    assert len(up.requests) == 3
    assert command(gw.port, "up")["currentConcurrentExecutionCount"] == 3
    waiting[0].reset()  # a client that leaves gives its permit back
    def passes():
        late = connect(gw)
        late.send(request_bytes())
        return late.quiet(0.2)
    wait_for(passes, "a free permit")


def test_permits_come_back_after_each_kind_of_end(vine, upstream, connect):
    """As many failures of each kind as there are permits, then one good request must still pass."""
    moods = {"/stall": peers.stall, "/reset": peers.reset_after_request, "/half": peers.then_close(b"HTTP/1.1 200 OK\r\nX")}

    def script(peer):
        request = peer.next_request()
        if request is None:
            return
        if request.target in moods:
            peer.next_request = lambda: request
            moods[request.target](peer)
        else:
            peer.send(ok(b"fine"))

    gw = vine("gateway", config=simple(upstream(script), zuul__semaphore__maxSemaphores=2, **{TIMEOUT: 500 * SLOWNESS},
                                       hystrix__command__up__circuitBreaker__enabled=False))
    c = connect(gw)
    for path in moods:
        for _ in range(4):
            assert c.request("POST", path, body=b"").status in (502, 504)
            assert c.get("/good").body == b"fine"
    for _ in range(4):
        gone = connect(gw)
        gone.send(request_bytes(target="/stall"))
        gone.reset()
    wait_for(lambda: command(gw.port, "up")["currentConcurrentExecutionCount"] == 0, "all permits back")
    assert c.get("/good").body == b"fine"


def test_services_do_not_share_their_breakers(vine, upstream, connect):
    mood = Switch()
    mood.failing.set()
    gw = vine("gateway", config=config(
        {"zuul.routes.up": "/up/**", "zuul.routes.well": "/well/**", **{k.replace("__", "."): v for k, v in QUICK.items()}},
        {"up": [upstream(mood)], "well": [upstream(serve(ok(b"well")))]}))
    c = connect(gw)
    for _ in range(10):
        c.request("POST", "/up/x", body=b"")
    wait_for(lambda: c.get("/up/x").status == 503, "an open circuit")
    assert [c.get("/well/x").status for _ in range(5)] == [200] * 5


# --- hystrix.stream, field by field ---

FIELDS = json.loads((ROOT / "tests" / "data" / "hystrix-stream-1.5.18.json").read_text())["HystrixCommand"]
KINDS = {"integer": int, "boolean": bool, "string": str, "null": type(None)}


@pytest.mark.parametrize("path", ["/hystrix.stream", "/actuator/hystrix.stream"])
def test_the_stream_has_the_fields_that_dashboards_read(path, vine, upstream, connect):
    up = upstream(serve(ok(b"fine")))
    gw = vine("gateway", config=simple(up, **QUICK))
    c = connect(gw)
    for _ in range(10):
        c.get()
    event = next(e for e in events(gw.port, path) if e["type"] == "HystrixCommand" and e["name"] == "up")
    for name, kind in FIELDS.items():
        if isinstance(kind, list):
            assert list(event[name]) == kind and all(type(v) is int for v in event[name].values()), name
        else:
            assert type(event[name]) is KINDS[kind], name
    assert (event["group"], event["propertyValue_executionIsolationStrategy"], event["reportingHosts"]) == ("RibbonCommand", "SEMAPHORE", 1)
    assert event["rollingCountSuccess"] == 10
    assert event["propertyValue_circuitBreakerRequestVolumeThreshold"] == 4


def test_the_stream_pings(vine, upstream, connect):
    gw = vine("gateway", config=simple(upstream()))
    c = connect(gw)
    c.send(request_bytes(target="/actuator/hystrix.stream", host="127.0.0.1"))
    r = c.read_response(body=False)
    seen = b""
    for piece in c.chunks(r):
        seen += piece
        if b"ping: \n\n" in seen:
            return
    raise AssertionError("no ping")
