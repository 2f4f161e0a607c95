"""THREAD isolation in the gateway: a pool of slots with a bounded queue, under the names that Hystrix and Zuul gave it."""
import re
import threading

import pytest

import peers
from gateway import command, config, fetch, simple
from peers import ok, request_bytes, serve
from vine import SLOWNESS, wait_for

TIMEOUT = "hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds"
THREAD = {"zuul__ribbonIsolationStrategy": "THREAD"}
POOL = "hystrix__threadpool__RibbonCommand__"


def pool(core, queue=-1, **more):
    return {**THREAD, POOL + "coreSize": core, POOL + "maxQueueSize": queue, **more}


class Gate:
    """An upstream that answers each request when it is told to."""

    def __init__(self):
        self.open = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def __call__(self, peer):
        while peer.next_request() is not None:
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            self.open.acquire()
            with self.lock:
                self.inside -= 1
            peer.send(ok(b"fine"))


def send(connect, gw, **kw):
    c = connect(gw)
    c.send(request_bytes(**kw))
    return c


def meter(gw, name):
    text = fetch(gw.port, "/actuator/prometheus")[1].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{"))


def queued(gw):
    return meter(gw, "vine_threadpool_queued")


def test_slots_then_queue_then_rejection(vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(2, 1)))
    first, second = send(connect, gw), send(connect, gw)
    up.wait_requests(2)
    third = send(connect, gw)
    wait_for(lambda: queued(gw) == 1, "a request that waits")
    r = connect(gw).get()
    assert r.status == 503 and "connection_limit_reached" in r.get("proxy-status")
    assert b'"cause":"pool_rejected"' in r.body and b'"fallback":"missing"' in r.body
    assert len(up.requests) == 2
    seen = command(gw.port, "up")
    assert seen["propertyValue_executionIsolationStrategy"] == "THREAD"
    assert seen["currentConcurrentExecutionCount"] == 2, "who waits does not run yet"
    assert seen["rollingCountThreadPoolRejected"] == 1 and seen["rollingCountSemaphoreRejected"] == 0
    gate.open.release()
    up.wait_requests(3)
    gate.open.release()
    gate.open.release()
    assert [c.read_response().body for c in (first, second, third)] == [b"fine"] * 3
    assert gate.most == 2
    gw.wait_log("cause=pool_rejected")
    gw.wait_log("fallback=missing")


def test_waiting_ends_at_the_deadline(vine, upstream, connect):
    up = upstream(peers.stall)
    gw = vine("gateway", config=simple(up, **pool(1, 1), **{TIMEOUT: 20000}))
    send(connect, gw)
    up.wait_requests(1)
    r = connect(gw).get("/", "X-Vine-Timeout-Ms: 200")
    assert r.status == 504 and b'"cause":"deadline"' in r.body
    assert command(gw.port, "up")["rollingCountTimeout"] == 1
    assert queued(gw) == 0
    send(connect, gw)  # its place is free again
    wait_for(lambda: queued(gw) == 1, "another one that waits")
    assert len(up.requests) == 1


def test_a_client_that_leaves_gives_its_place_back(vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(1, 1)))
    first = send(connect, gw)
    up.wait_requests(1)
    gone = send(connect, gw)
    wait_for(lambda: queued(gw) == 1, "a request that waits")
    gone.reset()
    wait_for(lambda: queued(gw) == 0, "its place")
    last = send(connect, gw)
    wait_for(lambda: queued(gw) == 1, "the next one")
    gate.open.release(2)
    assert first.read_response().body == last.read_response().body == b"fine"
    assert len(up.requests) == 2
    assert command(gw.port, "up")["currentConcurrentExecutionCount"] == 0


def test_a_client_that_leaves_frees_its_slot(vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(1, 1)))
    gone = send(connect, gw)
    up.wait_requests(1)
    waiting = send(connect, gw)
    wait_for(lambda: queued(gw) == 1, "a request that waits")
    gone.reset()
    up.wait_requests(2)
    gate.open.release(2)
    assert waiting.read_response().body == b"fine"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_waits_outside(framing, vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(1, 1), vine__gateway__replayBuffer=1024))
    body = bytes(range(256)) * 400
    first = send(connect, gw)
    up.wait_requests(1)
    c = connect(gw)
    if framing == "length":
        c.send(request_bytes("POST", body=body))
    else:
        c.send(request_bytes("POST", fields=["Transfer-Encoding: chunked"]))
        c.send(peers.chunked(*(body[i:i + 10000] for i in range(0, len(body), 10000))))
    wait_for(lambda: queued(gw) == 1, "a request that waits")
    gate.open.release()
    assert first.read_response().status == 200
    up.wait_requests(2)
    gate.open.release()
    assert c.read_response().status == 200
    assert up.requests[1].body == body


def test_many_share_few_slots(vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(3, 100), vine__workers=2))
    clients = [send(connect, gw) for _ in range(60)]
    gate.open.release(60)
    assert [c.read_response().status for c in clients] == [200] * 60
    assert gate.most <= 3
    assert queued(gw) == meter(gw, "vine_threadpool_active") == 0


def two_services(vine, ups, **properties):
    routes = {"zuul.routes.a": "/a/**", "zuul.routes.b": "/b/**"}
    return vine("gateway", config=config({**routes, **{k.replace("__", "."): v for k, v in properties.items()}},
                                         {"a": [ups[0]], "b": [ups[1]]}))


def test_a_hedged_request_has_one_slot(vine, upstream, connect):
    """Two sendings, one slot; it is free again when one of them has answered, for whoever waits."""
    slow, quick = upstream(peers.stall), upstream(serve(ok(b"quick")))
    more = {"up__ribbon__NFLoadBalancerRuleClassName": "round-robin",
            "vine__loadbalancer__up__hedge__delay-ms": 300 * SLOWNESS,  # in which the quick one has answered
            "vine__workers": 1, "zuul__retryable": True}
    gw = vine("gateway", config=simple(quick, slow, **pool(1, 2), **more))
    clients = [send(connect, gw) for _ in range(3)]
    assert [c.read_response().body for c in clients] == [b"quick"] * 3
    assert len(slow.requests) == 2, "by turns: the first, the second's turn is the quick one's, then the slow again"
    assert meter(gw, "vine_threadpool_active") == 0
    seen = command(gw.port, "up")
    assert seen["currentConcurrentExecutionCount"] == 0 and seen["requestCount"] == 3


def test_without_separate_pools_all_services_share_one(vine, upstream, connect):
    ups = [upstream(peers.stall), upstream(serve(ok(b"b")))]
    gw = two_services(vine, ups, **pool(1))
    send(connect, gw, target="/a/x")
    ups[0].wait_requests(1)
    assert connect(gw).get("/b/x").status == 503


def test_separate_pools_have_keys_with_a_prefix(vine, upstream, connect):
    ups = [upstream(peers.stall), upstream(serve(ok(b"b")))]
    gw = two_services(vine, ups, **THREAD, zuul__threadPool__useSeparateThreadPools=True,
                      zuul__threadPool__threadPoolKeyPrefix="zuul-", **{"hystrix__threadpool__zuul-a__coreSize": 1})
    send(connect, gw, target="/a/x")
    ups[0].wait_requests(1)
    assert connect(gw).get("/a/x").status == 503
    assert connect(gw).get("/b/x").body == b"b"


def test_a_commands_own_pool(vine, upstream, connect):
    ups = [upstream(peers.stall), upstream(serve(ok(b"b")))]
    gw = two_services(vine, ups, **pool(1), hystrix__command__b__threadPoolKeyOverride="own")
    send(connect, gw, target="/a/x")
    ups[0].wait_requests(1)
    assert connect(gw).get("/b/x").body == b"b"


def test_the_commands_own_strategy_beats_zuuls(vine, upstream, connect):
    """And hystrix.command.default's is beaten by it, as ever."""
    gw = vine("gateway", config=simple(upstream(serve()), **{
        "hystrix__command__default__execution__isolation__strategy": "THREAD"}))
    connect(gw).get()
    assert command(gw.port, "up")["propertyValue_executionIsolationStrategy"] == "SEMAPHORE"
    gw = vine("gateway", config=simple(upstream(serve()), **THREAD, **{
        "hystrix__command__up__execution__isolation__strategy": "SEMAPHORE"}))
    connect(gw).get()
    assert command(gw.port, "up")["propertyValue_executionIsolationStrategy"] == "SEMAPHORE"


def test_a_full_queue_grows_to_the_maximum(vine, upstream, connect):
    gate = Gate()
    up = upstream(gate)
    gw = vine("gateway", config=simple(up, **pool(1, 1, **{
        POOL + "maximumSize": 2, POOL + "allowMaximumSizeToDivergeFromCoreSize": True})))
    clients = [send(connect, gw)]
    up.wait_requests(1)
    clients.append(send(connect, gw))
    wait_for(lambda: queued(gw) == 1, "a request that waits")
    clients.append(send(connect, gw))
    up.wait_requests(2)
    assert connect(gw).get().status == 503
    gate.open.release(3)
    assert [c.read_response().status for c in clients] == [200] * 3


@pytest.mark.parametrize("name, value, words", [
    ("hystrix.threadpool.RibbonCommand.coreSize", 0, ["hystrix.threadpool.RibbonCommand.coreSize = 0"]),
    ("hystrix.threadpool.x.metrics.rollingStats.numBuckets", 7, ["hystrix.threadpool.x", "10000 ms do not divide into 7 buckets"]),
    ("hystrix.collapser.x.timerDelayInMilliseconds", -1, ["hystrix.collapser.x.timerDelayInMilliseconds = -1"]),
    ("vine.command.up.count-window", 5, ["vine.command.up.count-window is 5", "requestVolumeThreshold (20)"]),
    ("hystrix.command.up.metrics.rollingStats.numBuckets", 9, ["hystrix.command.up", "do not divide into 9 buckets"]),
])
def test_nonsense_is_refused_at_the_start(name, value, words, vine, upstream):
    gw = vine("gateway", config=simple(upstream(), **{name.replace('.', '__'): value}), ready=False)
    assert gw.wait() == 1
    gw.expect_code = 1
    for word in words:
        gw.wait_log(re.escape(word))
