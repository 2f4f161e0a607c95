"""Which server a request goes to, and what happens when that server fails."""
import threading

import pytest

import peers
from gateway import ONE, ONE_WORKER, config, simple
from peers import ok, reply, request_bytes, serve
from vine import wait_for


def named(name):
    return serve(ok(name))


def test_round_robin_takes_turns(vine, upstream, connect):
    ups = [upstream(named(n)) for n in "abc"]
    gw = vine("gateway", config=simple(*ups, up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule",
                                       **ONE))
    c = connect(gw)
    order = "".join(c.get().body.decode() for _ in range(9))
    assert order in ("abcabcabc", "bcabcabca", "cabcabcab")


def test_load_is_spread_by_default(vine, upstream, connect):
    ups = [upstream(named(n)) for n in "abc"]
    gw = vine("gateway", config=simple(*ups))
    clients = [connect(gw) for _ in range(24)]

    def spread():
        for c in clients:
            c.send(request_bytes())
        for c in clients:
            assert c.read_response().status == 200
        return all(len(u.requests) >= 10 for u in ups)

    # One of them may be slow for a moment, of all that run on this machine, and is then spared for as long as it is remembered.
    wait_for(spread, "requests at each of them")


def test_a_refused_connection_is_tried_on_the_next_server(vine, upstream, connect):
    held, port = peers.free_port()
    up = upstream(named("b"))
    gw = vine("gateway", config=simple(f"127.0.0.1:{port}", up, zuul__retryable=True,
                                       up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule"))
    c = connect(gw)
    for _ in range(6):
        assert c.request("POST", "/", body=b"never sent to the first").body == b"b"
    held.close()


@pytest.mark.parametrize("failure", [peers.reset_at_once, peers.reset_after_request, peers.close_after_request,
                                     peers.then_close(b"HTTP/1.1 200 O"), peers.then_close(b"garbage\r\n\r\n")])
def test_an_idempotent_request_is_retried_on_the_next_server(failure, vine, upstream, connect):
    bad, good = upstream(failure), upstream(named("good"))
    gw = vine("gateway", config=simple(bad, good, zuul__retryable=True,
                                       up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule"))
    c = connect(gw)
    for _ in range(4):
        assert c.get("/x").body == b"good"


def test_a_post_that_was_sent_is_not_repeated(vine, upstream, connect):
    bad, other = upstream(peers.close_after_request), upstream(peers.close_after_request)
    gw = vine("gateway", config=simple(bad, other, zuul__retryable=True))
    r = connect(gw).request("POST", "/pay", body=b"once")
    assert r.status == 502
    assert len(bad.requests) + len(other.requests) == 1


def test_a_post_is_repeated_where_all_operations_may_be(vine, upstream, connect):
    bad, good = upstream(peers.close_after_request), upstream(serve(lambda r: ok(r.body)))
    gw = vine("gateway", config=simple(bad, good, zuul__retryable=True, up__ribbon__OkToRetryOnAllOperations=True,
                                       up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule"))
    c = connect(gw)
    for _ in range(3):
        assert c.request("POST", "/", body=b"twice is fine").body == b"twice is fine"


def test_statuses_that_may_be_retried(vine, upstream, connect):
    bad, good = upstream(serve(reply(503, b"busy"))), upstream(named("good"))
    gw = vine("gateway", config=simple(bad, good, zuul__retryable=True, up__ribbon__retryableStatusCodes="503",
                                       up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule"))
    c = connect(gw)
    assert [c.get().body for _ in range(4)] == [b"good"] * 4


def test_no_server_left_is_a_clear_error(vine, upstream, connect):
    held, port = peers.free_port()
    gw = vine("gateway", config=simple(f"127.0.0.1:{port}"))
    r = connect(gw).request("GET", "/x", ["Accept: application/json"])
    assert r.status in (502, 503)
    assert "connection_refused" in r.get("proxy-status")
    held.close()


def test_no_server_at_all(vine, connect):
    gw = vine("gateway", config=simple())
    r = connect(gw).get("/x")
    assert r.status == 503
    assert "destination_unavailable" in r.get("proxy-status")


# --- the connection that dies while it is idle ---


@pytest.mark.parametrize("end", [lambda p: None, lambda p: p.next_request() and None, lambda p: p.next_request() and p.reset()],
                         ids=["closed while idle", "closed at the next request", "reset at the next request"])
def test_a_stale_connection_is_replaced(end, vine, upstream, connect):
    """Each upstream connection serves one request and then dies: clients must not notice."""
    up = upstream(peers.answer_once_then(end))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    for _ in range(20):
        assert c.get("/x").body == b"first"


def test_a_post_on_a_stale_connection_is_not_repeated(vine, upstream, connect):
    """It was sent, and may have had its effect: that is for the client to judge."""
    up = upstream(peers.answer_once_then(peers.close_after_request))
    gw = vine("gateway", config=simple(up, **ONE))
    c = connect(gw)
    assert c.get().body == b"first"
    r = c.request("POST", "/pay", body=b"once")
    assert r.status == 502
    assert [q.method for q in up.requests] == ["GET", "POST"]


def test_both_sides_keep_connections(vine, upstream, connect):
    up = upstream(named("a"))
    gw = vine("gateway", config=simple(up, **ONE))
    c = connect(gw)
    for _ in range(50):
        c.get()
    assert up.connections == 1
    assert connect(gw).get().status == 200
    assert up.connections == 1, "an idle upstream connection serves another client"


def test_an_upstream_that_says_close_is_left(vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", ["Connection: close"]), times=1))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    for _ in range(5):
        r = c.get()
        assert (r.status, r.body) == (200, b"x")
        assert r.get("connection") != "close", "it is the upstream's word, not the client's"
    assert up.connections == 5


def test_a_second_answer_never_reaches_another_request(vine, upstream, connect):
    """An upstream that answers twice: the surplus is dropped with its connection, not given to the next client."""
    up = upstream(serve(lambda r: ok(b"right " + r.target.encode()) + ok(b"WRONG")))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    for i in range(20):
        r = c.get(f"/{i}")
        assert r.body == f"right /{i}".encode()


def test_many_clients_each_get_their_own(vine, upstream, connect):
    up = upstream(serve(lambda r: ok(r.target * 20)))
    gw = vine("gateway", config=simple(up))
    wrong = []

    def client(k):
        c = peers.Client(gw.port)
        for i in range(50):
            r = c.get(f"/{k}/{i}")
            if r.body != f"/{k}/{i}".encode() * 20:
                wrong.append((r.status, r.body[:50]))
        c.close()

    threads = [threading.Thread(target=client, args=(k,)) for k in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert up.most_open <= 16, "no more than clients at once"


def test_routes_share_a_service(vine, upstream, connect):
    up = upstream(serve(lambda r: ok(r.target)))
    gw = vine("gateway", config=config({"zuul.routes.a.path": "/a/**", "zuul.routes.a.serviceId": "up",
                                        "zuul.routes.b.path": "/b/**", "zuul.routes.b.serviceId": "up", **ONE_WORKER}, {"up": [up]}))
    c = connect(gw)
    assert [c.get(p).body for p in ("/a/1", "/b/2")] == [b"/1", b"/2"]
    assert up.connections == 1
