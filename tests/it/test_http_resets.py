"""Clients that go away, at every state that an exchange can be in and in every way; and the same of upstreams.

After each nothing is left: no descriptor, permit, exchange or kept byte (see the fixture `beside`), and where a request was on its
way to an upstream, that one is told by the end of its connection."""
import contextlib

import pytest

import peers
from peers import chunked, ok, reply, request_bytes, serve

N = 15  # of each at once

PATIENT = {"vine.http.body-idle-timeout-ms": 30000, "vine.http.head-timeout-ms": 30000,
           "hystrix.command.up.circuitBreaker.enabled": False}
LARGE = request_bytes("POST", "/", ["Content-Length: 100000000"])


def answer_and(script):
    """A script that leaves what follows the request to `script`."""
    def play(peer):
        if peer.next_request(body=False) is not None:
            script(peer)
    return play


def flood(peer):
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while True:
        peer.send(b"x" * 65536)


def nothing_more(peer):
    peer.hold()


def blocked(c):
    return c.send_some(b"x" * 30_000_000, 0.3) < 30_000_000


STATES = {
    # what the client has sent; what its upstream does; what has come back when the state is there
    "connected": (b"", None, None),
    "half a head": (b"GET / HTTP/1.1\r\nHost: a\r\nX-", None, None),
    "head done, no body yet": (LARGE, nothing_more, None),
    "small body awaited": (request_bytes("POST", "/", ["Content-Length: 100"]) + b"half", None, None),
    "in the request's body": (LARGE + b"x" * 100_000, nothing_more, None),
    "in a chunked body": (request_bytes("POST", "/", ["Transfer-Encoding: chunked"]) + b"5\r\nhello\r\nff\r\nha", nothing_more, None),
    "waiting for the upstream": (request_bytes(), nothing_more, None),
    "in the response's head": (request_bytes(), lambda p: (p.send(b"HTTP/1.1 200 OK\r\nX-A"), p.hold()), None),
    "after an interim response": (request_bytes(), lambda p: (p.send(b"HTTP/1.1 103 Hints\r\n\r\n"), p.hold()), b"\r\n\r\n"),
    "in the response's body": (request_bytes(), lambda p: (p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), p.hold()),
                               b"half"),
    "in a chunked answer": (request_bytes(), lambda p: (p.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
                                                        p.hold()), b"half\r\n"),
    "paused, for the client does not read": (request_bytes(), flood, None),
    "paused, for the upstream does not read": (LARGE, lambda p: p.freeze(), None),
    "a pipelined request behind": (request_bytes() * 3, nothing_more, None),
    "answered before the body came": (LARGE, lambda p: (p.send(ok(b"early")), p.hold()), b"early"),
}


@pytest.mark.parametrize("how", ["reset", "close", "half-close and reset"])
@pytest.mark.parametrize("state", STATES)
def test_a_client_goes(state, how, beside, connect):
    sent, script, back = STATES[state]
    gw = beside(answer_and(script or nothing_more), PATIENT, rcvbuf=65536)
    clients = [connect(gw, rcvbuf=16384) for _ in range(N)]
    for c in clients:
        c.send(sent)
    if script:
        gw.up.wait_requests(N)
    for c in clients:
        if back:
            assert c.take_until(back)
        if state.startswith("paused, for the client"):
            c.take_until(b"\r\n\r\nx")
        if state.startswith("paused, for the upstream") and c is clients[0]:
            assert blocked(c)
    for c in clients:
        if how.startswith("half"):
            c.half_close()
        if how == "close":
            c.close()
        else:
            c.reset()
    if how == "close" or "paused" in state:
        gw.up.refuse()  # the end of input alone may be a half-close: the answer is waited for. And who is frozen sees nothing
    gw.ledger.settle()
    if script:
        gw.up.wait_open(0)


# --- upstreams ---

def early_and_gone(peer):
    if peer.next_request(body=False) is not None:
        peer.send(ok(b"early"))


def late(peer):
    """After the gateway has given up."""
    if peer.next_request() is not None:
        peer.wait_gone()
        peer.send(ok(b"late"))


def speaks_first(peer):
    peer.send(ok(b"unasked"))
    peer.hold()


def endless(line):
    def script(peer):
        peer.next_request(body=False)
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.send(line)
    return script


def in_halves(raw, end):
    def script(peer):
        peer.next_request(body=False)
        peer.send(raw)
        peer.drain_window()
        if end == "reset":
            peer.reset()
        elif end == "half-close":
            peer.half_close()
            peer.hold()
    return script


CUT = object()  # the answer begins and is cut off: the client must see that it is not whole
BAD = (502,)
GONE = (504,)
HALF_HEAD = b"HTTP/1.1 200 OK\r\nContent-Le"
HALF_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
HALF_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"
UPSTREAMS = {
    "early, then gone": (early_and_gone, (200,)),
    "late": (late, GONE),
    "twice at once": (serve(ok(b"fine") * 2), (200,)),
    "speaks first": (speaks_first, (200, 502, 504)),  # on a new connection nobody can tell that it came too early
    "never": (peers.stall, GONE),
    "accepts and never reads": (peers.freeze, GONE),
    "accepts and resets": (peers.reset_at_once, BAD),
    "reads and resets": (peers.reset_after_request, BAD),
    "reads and closes": (peers.close_after_request, BAD),
    "garbage": (peers.then_close(b"\x00\xffgarbage\r\n\r\n" * 100), BAD),
    "another protocol": (peers.then_close(b"220 mail.test ESMTP\r\n"), BAD),
    "a head without end": (endless(b"X-A: " + b"a" * 1000 + b"\r\n"), BAD),
    "a line without end": (endless(b"a" * 10000), BAD),
    "half a head, FIN": (in_halves(HALF_HEAD, "close"), BAD),
    "half a head, RST": (in_halves(HALF_HEAD, "reset"), BAD),
    "half a head, half-closed": (in_halves(HALF_HEAD, "half-close"), BAD),
    "half a body, FIN": (in_halves(HALF_BODY, "close"), CUT),
    "half a body, RST": (in_halves(HALF_BODY, "reset"), CUT),
    "half a chunk, FIN": (in_halves(HALF_CHUNK, "close"), CUT),
    "half a chunk, RST": (in_halves(HALF_CHUNK, "reset"), CUT),
    "a chunk that is none": (peers.then_close(reply(200, b"zz\r\n", ["Transfer-Encoding: chunked"], length=False)), CUT),
    "no last chunk": (peers.then_close(reply(200, chunked(b"all", last=b""), ["Transfer-Encoding: chunked"], length=False)), CUT),
    "interim ones only": (peers.then_close(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000), BAD),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("what", UPSTREAMS)
def test_an_upstream_does(what, method, beside, connect):
    script, want = UPSTREAMS[what]
    patience = 400 if want is GONE or what == "speaks first" else 20000
    gw = beside(script, {"hystrix.command.up.circuitBreaker.enabled": False, "up.ribbon.MaxAutoRetriesNextServer": 0,
                         "up.ribbon.ReadTimeout": patience,
                         "hystrix.command.up.execution.isolation.thread.timeoutInMilliseconds": patience + 200,
                         "vine.loadbalancer.default.outlier.enabled": False, "vine.http.body-idle-timeout-ms": 10000})
    body = b"b" * 300_000 if method == "POST" else None
    clients = [connect(gw) for _ in range(N)]
    for _ in range(2):
        for i, c in enumerate(clients):
            with contextlib.suppress(ConnectionError):  # an early answer closes behind it what is still being sent
                c.send(request_bytes(method, "/", body=body))
        for i, c in enumerate(clients):
            if want is CUT:
                with pytest.raises(ConnectionError):
                    c.read_response(method)
            else:
                try:
                    r = c.read_response(method)
                except ConnectionError:  # an answer that was passed on before the body had come ends the connection behind it
                    assert method == "POST" and what.startswith(("early", "speaks first", "accepts and resets")), what
                else:
                    assert r.status in want + ((502, 504) if method == "POST" else ()), (what, r)
                    assert r.status != 200 or r.body in (b"early", b"fine", b"unasked"), r
                    assert r.status == 200 or "vine" in r.get("proxy-status"), r
                    if r.get("connection") != "close":
                        continue
            c.close()
            clients[i] = connect(gw)
    for c in clients:
        c.close()
    gw.up.refuse()
    gw.ledger.settle()


def test_an_answer_that_nobody_asked_for_is_not_the_next_one(beside, connect):
    """It comes while the connection is idle: that connection is out of step and is closed."""
    def script(peer):
        while peer.next_request() is not None:
            peer.send(ok(b"fine"))
            peer.drain_window()
            peer.send(ok(b"unasked"))

    gw = beside(script)
    c = connect(gw)
    for _ in range(5):
        assert c.get().body == b"fine"
        gw.up.wait_open(0)
    c.close()


def test_an_own_answer_before_the_body_says_that_the_connection_ends(beside, connect):
    """It does end, for what is still on its way would be taken for a request: the client must know, or its next one is lost."""
    gw = beside(answer_and(lambda p: p.reset()))
    c = connect(gw)
    c.send(LARGE + b"x" * 1000)
    r = c.read_response()
    assert (r.status, r.get("connection")) == (502, "close")
    c.send(b"x" * 1000)
    c.half_close()
    c.wait_gone()
    c.close()


def test_a_cut_behind_a_pause_is_noticed(beside, connect):
    """The upstream's end, in the middle of a chunk, behind much that the client had not read when it came."""
    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            peer.send(chunked(b"x" * 60_000, last=b""))
        peer.send(b"ff\r\nhalf")

    gw = beside(script, PATIENT)
    c = connect(gw, rcvbuf=8192)
    c.send(request_bytes())
    gw.up.wait(lambda: gw.up.connections == 1 and gw.up.open == 0, "the end of the upstream's part")
    with pytest.raises(ConnectionError):
        c.read_response()
    c.close()
