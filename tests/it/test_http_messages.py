"""What every HTTP message does between client and upstream: bodies of each kind, no bodies, 1xx, versions, closing.

Exchanges are played whole, cut in two at every byte, and byte by byte, on the client's side; answers likewise on the upstream's.
"""
import threading

import pytest

import cuts
import peers
from gateway import ONE, simple
from peers import chunked, ok, reply, request_bytes, serve
from vine import wait_for

CHUNKED = ["Transfer-Encoding: chunked"]


def gate(vine, upstream, *scripts, **properties):
    up = upstream(*scripts)
    return vine("gateway", config=simple(up, **properties)), up


# name: (method, answer of the upstream, does it close?, status, body that the client reads)
ANSWERS = {
    "a length": ("GET", ok(b"hello"), False, 200, b"hello"),
    "no body": ("GET", ok(), False, 200, b""),
    "chunks": ("GET", reply(200, chunked(b"hel", b"lo"), CHUNKED, length=False), False, 200, b"hello"),
    "chunks with extension and trailer": (
        "GET", reply(200, b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", CHUNKED, length=False), False, 200, b"hello"),
    "until the end": ("GET", reply(200, b"hello", length=False), True, 200, b"hello"),
    "HTTP/1.0": ("GET", reply(200, b"hello", version="HTTP/1.0"), True, 200, b"hello"),
    "HTTP/1.0 until the end": ("GET", reply(200, b"hello", length=False, version="HTTP/1.0"), True, 200, b"hello"),
    "HEAD": ("HEAD", reply(200, b"", ["Content-Length: 5"], length=False), False, 200, b""),
    "HEAD with a coding": ("HEAD", reply(200, b"", CHUNKED, length=False), False, 200, b""),
    "HEAD without length": ("HEAD", reply(200, b"", length=False), False, 200, b""),
    "HEAD of HTTP/1.0": ("HEAD", reply(200, b"", ["Content-Length: 5"], length=False, version="HTTP/1.0"), True, 200, b""),
    "204": ("GET", reply(204), False, 204, b""),
    "204 with a length": ("GET", reply(204, b"", ["Content-Length: 5"]), False, 204, b""),
    "205": ("GET", reply(205), False, 205, b""),
    "205 in chunks": ("GET", reply(205, chunked(), CHUNKED, length=False), False, 205, b""),
    "205 in chunks with content": ("GET", reply(205, chunked(b"hello"), CHUNKED, length=False), False, 205, b""),
    "205 until the end": ("GET", reply(205, b"hello", length=False), True, 205, b""),
    "304": ("GET", reply(304, b"", ["Content-Length: 5", 'ETag: "a"']), False, 304, b""),
    "304 with a coding": ("GET", reply(304, b"", CHUNKED), False, 304, b""),
    "304 without length": ("GET", reply(304), False, 304, b""),
    "close": ("GET", reply(200, b"hello", ["Connection: close"]), True, 200, b"hello"),
    "close with chunks": ("GET", reply(200, chunked(b"hel", b"lo"), CHUNKED + ["Connection: close"], length=False), True, 200, b"hello"),
    "close without a body": ("GET", reply(204, b"", ["Connection: close"]), True, 204, b""),
    "until the end in spite of keep-alive": (
        "GET", reply(200, b"hello", ["Connection: keep-alive"], length=False), True, 200, b"hello"),
    "HTTP/1.0 that stays": ("GET", reply(200, b"hello", ["Connection: keep-alive"], version="HTTP/1.0"), False, 200, b"hello"),
    "an empty body until the end": ("GET", reply(200, b"", length=False), True, 200, b""),
    "a list of equal lengths": ("GET", reply(200, b"hello", ["Content-Length: 5, 5"], length=False), False, 200, b"hello"),
    "404": ("GET", reply(404, b"none"), False, 404, b"none"),
    "500": ("GET", reply(500, b"oops"), False, 500, b"oops"),
    "no reason": ("GET", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok"),
    "no reason nor blank": ("GET", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", False, 200, b"ok"),
    "a status without a name": ("GET", reply(299, b"x"), False, 299, b"x"),
    "100 that nobody asked for": ("GET", reply(100) + ok(b"x"), False, 200, b"x"),
    "102 before chunks": ("GET", reply(102) + reply(200, chunked(b"x"), CHUNKED, length=False), False, 200, b"x"),
    "103 before a HEAD's": ("HEAD", reply(103) + reply(200, b"", ["Content-Length: 5"], length=False), False, 200, b""),
    "103 before a 204": ("GET", reply(103) + reply(204), False, 204, b""),
    "103 before a 304": ("GET", reply(103) + reply(304), False, 304, b""),
    "103 with a length of nothing": ("GET", reply(103, b"", ["Content-Length: 0"]) + ok(b"x"), False, 200, b"x"),
    "early hints": ("GET", reply(103, b"", ["Link: </a>"]) + ok(b"x"), False, 200, b"x"),
    "three before the last": ("GET", reply(102) + reply(103) + reply(103) + ok(b"x"), False, 200, b"x"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_in_every_cut_of_the_upstream(name, vine, upstream, connect):
    method, answer, closes, status, body = ANSWERS[name]
    ways = list(cuts.ways(answer))

    def end(peer):
        if "end" not in name:
            peer.hold()  # the gateway is told, and must be the one who closes

    def judge(c):
        r = c.read_response(method)
        assert (r.status, r.body) == (status, body)
        assert len(r.all("content-length")) + len(r.all("transfer-encoding")) <= 1
        assert status not in (204, 304) or "transfer-encoding" not in r
        assert status != 204 or "content-length" not in r
        assert [i.all("content-length") for i in r.interim] == [[]] * len(r.interim)

    gw, up = gate(vine, upstream, cuts.script(ways, end if closes else None), **ONE)
    cuts.ask(gw.port, ways, lambda i: request_bytes(method, f"/{i}"), judge)
    if closes:
        up.wait_open(0)
        assert up.connections == len(ways)
    else:
        before = up.connections
        c = connect(gw)
        for _ in range(3):
            assert c.request(method, "/0").status == status
        assert up.connections == before, "a connection that is in step is used again"


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_to_a_10_client(name, vine, upstream, connect):
    """No chunks, no interim answer; what has no length ends with the connection."""
    method, answer, closes, status, body = ANSWERS[name]
    gw, _ = gate(vine, upstream, serve(answer, times=1 if closes else None))
    for fields in ([], ["Connection: keep-alive"], ["TE: trailers"]):
        c = connect(gw)
        r = c.request(method, "/", fields, version="HTTP/1.0")
        assert (r.status, r.body, r.interim) == (status, body, [])
        assert "transfer-encoding" not in r and not r.trailers
        if "keep-alive" not in r.get("connection", ""):
            assert c.ended_cleanly()
        else:
            assert fields[0] == "Connection: keep-alive"
            assert c.request(method, "/", version="HTTP/1.0").status == status


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_to_a_client_that_closes(name, vine, upstream, connect):
    """By `Connection: close`, and by the end of its stream besides."""
    method, answer, closes, status, body = ANSWERS[name]
    gw, _ = gate(vine, upstream, serve(answer, times=1 if closes else None))
    for half in (False, True):
        c = connect(gw)
        c.send(request_bytes(method, "/", ["Connection: close"]))
        if half:
            c.half_close()
        r = c.read_response(method)
        assert (r.status, r.body, r.get("connection")) == (status, body, "close")
        assert c.ended_cleanly()


# --- requests of each kind, in every cut of the client ---

GET, HEAD = request_bytes("GET", "/g"), request_bytes("HEAD", "/h")
POST = request_bytes("POST", "/p", body=b"hello")
CHUNKS = request_bytes("POST", "/c", CHUNKED) + chunked(b"hel", b"lo")

# name: (bytes, the answers that come: (method, "path|body that the upstream saw"), does the gateway close?)
REQUESTS = {
    "GET": (GET, [("GET", "/g|")], False),
    "HEAD": (HEAD, [("HEAD", "")], False),
    "a length": (POST, [("POST", "/p|hello")], False),
    "a length of zero": (request_bytes("POST", "/p", body=b""), [("POST", "/p|")], False),
    "no length": (request_bytes("POST", "/p"), [("POST", "/p|")], False),
    "chunks": (CHUNKS, [("POST", "/c|hello")], False),
    "chunks with extension and trailer": (
        request_bytes("POST", "/c", CHUNKED) + b"5;x=y\r\nhello\r\n0;z\r\nX-T: 1\r\n\r\n", [("POST", "/c|hello")], False),
    "DELETE with a body": (request_bytes("DELETE", "/d", body=b"hello"), [("DELETE", "/d|hello")], False),
    "OPTIONS of the server": (request_bytes("OPTIONS", "*"), [("OPTIONS", "*|")], False),
    "an absolute target": (request_bytes("GET", "http://other.test/a?b"), [("GET", "/a?b|")], False),
    "HTTP/1.0": (request_bytes("GET", "/g", version="HTTP/1.0"), [("GET", "/g|")], True),
    "HTTP/1.0 with a body": (request_bytes("POST", "/p", body=b"hello", version="HTTP/1.0"), [("POST", "/p|hello")], True),
    "HTTP/1.0 that stays": (request_bytes("GET", "/g", ["Connection: keep-alive"], version="HTTP/1.0"), [("GET", "/g|")], False),
    "close": (request_bytes("GET", "/g", ["Connection: close"]), [("GET", "/g|")], True),
    "close with a body": (request_bytes("POST", "/p", ["Connection: close"], body=b"hello"), [("POST", "/p|hello")], True),
    "close with chunks": (request_bytes("POST", "/c", CHUNKED + ["Connection: close"]) + chunked(b"hello"), [("POST", "/c|hello")], True),
    "an expectation and the body at once": (
        request_bytes("POST", "/p", ["Expect: 100-continue"], body=b"hello"), [("POST", "/p|hello")], False),
    "three in a row": (GET + POST + HEAD, [("GET", "/g|"), ("POST", "/p|hello"), ("HEAD", "")], False),
    "chunks and another": (CHUNKS + GET, [("POST", "/c|hello"), ("GET", "/g|")], False),
    "close in the middle": (
        GET + request_bytes("GET", "/last", ["Connection: close"]) + GET, [("GET", "/g|"), ("GET", "/last|")], True),
    "HTTP/1.0 in the middle": (GET + request_bytes("GET", "/last", version="HTTP/1.0") + GET, [("GET", "/g|"), ("GET", "/last|")], True),
}


@pytest.mark.parametrize("half", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("name", REQUESTS)
def test_requests_in_every_cut_of_the_client(name, half, vine, upstream):
    data, answers, closes = REQUESTS[name]
    gw, up = gate(vine, upstream, serve(lambda r: ok(b"" if r.method == "HEAD" else r.target + "|" + r.body.decode())))

    def judge(c):
        for method, body in answers:
            r = c.read_response(method)
            assert (r.status, r.body) == (200, body.encode())
        assert (r.get("connection") == "close") == closes
        if closes or half:
            assert c.ended_cleanly()
        else:
            assert c.request("GET", "/next").body == b"/next|", "the connection is in step"

    n = cuts.play(gw.port, data, judge, end=half)
    assert len(up.requests) == n * (len(answers) + (not closes and not half))
    for r in up.requests:
        assert r.version == "HTTP/1.1" and "keep-alive" not in r and "close" not in r.get("connection", "")


@pytest.mark.parametrize("name", ["a length", "chunks", "HEAD", "204", "304"])
def test_a_kept_connection_stays_in_step(name, vine, upstream, connect):
    """After an answer of each kind, the next request on the same two connections gets its own answer."""
    method, answer, _, status, body = ANSWERS[name]
    gw, up = gate(vine, upstream, serve(lambda r: answer if r.target == "/it" else ok(b"next")), **ONE)
    c = connect(gw)
    for _ in range(3):
        r = c.request(method, "/it")
        assert (r.status, r.body) == (status, body)
        assert c.get("/next").body == b"next"
    assert up.connections == 1


def test_what_a_head_request_tells(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(reply(200, b"", ["Content-Length: 5"], length=False)))
    assert connect(gw).request("HEAD", "/").get("content-length") == "5"


def test_interim_answers_pass_to_11_and_not_to_10(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(reply(103, b"", ["Link: </a>"]) + ok(b"x")))
    r = connect(gw).get()
    assert [(i.status, i.get("link")) for i in r.interim] == [(103, "</a>")]
    r = connect(gw).request(version="HTTP/1.0")
    assert (r.interim, r.status) == ([], 200)


# --- Expect: 100-continue ---


def test_continue_is_given_and_the_body_arrives(vine, upstream, connect):
    def script(peer):
        while (request := peer.next_request(body=False)) is not None:
            if request.get("expect"):
                peer.send(reply(100))
            peer.read_request_body(request)
            peer.send(ok(request.body))

    gw, _ = gate(vine, upstream, script)
    c = connect(gw)
    for _ in range(3):
        c.send(request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]))
        assert c.read_head(peers.Response).status == 100
        c.send(b"hello")
        r = c.read_response()
        assert (r.status, r.body) == (200, b"hello")
        assert [i.status for i in r.interim] == [], "100 was said once"


def test_a_final_answer_instead_of_continue(vine, upstream, connect):
    """The upstream refuses by the head alone: the client hears it without sending the body."""
    def script(peer):
        peer.next_request(body=False)
        peer.send(reply(413, b"too big", ["Connection: close"]))

    gw, up = gate(vine, upstream, script)
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 1000000"]))
    seen = c.read_head(peers.Response)
    while seen.status == 100:  # the gateway may itself have asked for the body
        seen = c.read_head(peers.Response)
    assert seen.status == 413
    assert c.take(seen.length()) == b"too big"
    up.wait_open(0)


def test_continue_in_every_cut_of_the_client(vine, upstream):
    """The head in every cut, then 100 from the upstream, and only then the body."""
    def script(peer):
        while (request := peer.next_request(body=False)) is not None:
            assert request.get("expect") == "100-continue", "the expectation goes on"
            peer.send(reply(100))
            peer.read_request_body(request)
            peer.send(ok(request.body))

    gw, up = gate(vine, upstream, script)
    for fields, body in (["Content-Length: 5"], b"hello"), (CHUNKED, chunked(b"hel", b"lo")):
        head = request_bytes("POST", "/", ["Expect: 100-continue", *fields])

        def judge(c):
            assert c.read_head(peers.Response).status == 100
            c.send_pieces(body)
            r = c.read_response()
            assert (r.status, r.body, r.interim) == (200, b"hello", [])

        cuts.play(gw.port, head, judge)
    assert all(r.complete for r in up.requests)


@pytest.mark.parametrize("closes", [False, True], ids=["stays", "closes"])
def test_a_final_answer_instead_of_continue_in_every_cut(closes, vine, upstream):
    """The body never comes: the client is told that this connection ends, and the upstream's is not used again."""
    ways = list(cuts.ways(reply(413, b"too big", ["Connection: close"] if closes else [])))

    def judge(c):
        r = c.read_response()
        assert (r.status, r.body, r.interim, r.get("connection")) == (413, b"too big", [], "close")
        assert c.ended_cleanly()

    gw, up = gate(vine, upstream, cuts.script(ways, lambda peer: peer.rest(), body=False))
    cuts.ask(gw.port, ways, lambda i: request_bytes("POST", f"/{i}", ["Expect: 100-continue", "Content-Length: 1000000"]), judge)
    up.wait_open(0)
    assert up.connections == len(ways)


def test_an_answer_without_continue_to_a_client_that_sends_after_all(vine, upstream, connect):
    """The upstream says neither 100 nor anything else until the body is there."""
    gw, up = gate(vine, upstream, serve(lambda r: ok(r.body)), **ONE)
    c = connect(gw)
    for _ in range(3):
        c.send(request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]))
        up.wait(lambda: len(up.requests) and "expect" in up.requests[-1], "the head alone")
        c.send(b"hello")
        r = c.read_response()
        assert (r.status, r.body, r.interim) == (200, b"hello", [])
    assert up.connections == 1


def test_an_expectation_of_a_10_client_stays_here(vine, upstream, connect):
    def script(peer):
        request = peer.next_request()
        assert "expect" not in request
        peer.send(reply(100) + ok(request.body))

    gw, _ = gate(vine, upstream, script)
    r = connect(gw).request("POST", "/", ["Expect: 100-continue"], body=b"hello", version="HTTP/1.0")
    assert (r.status, r.body, r.interim) == (200, b"hello", [])


def test_a_body_without_waiting_for_continue(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(lambda r: ok(r.body)))
    c = connect(gw)
    r = c.request("POST", "/", ["Expect: 100-continue"], body=b"hello")
    assert (r.status, r.body) == (200, b"hello")
    assert c.get().status == 200


# --- versions and the life of connections ---


def test_a_10_client_gets_no_chunks(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(reply(200, chunked(b"hel", b"lo"), CHUNKED, length=False)))
    c = connect(gw)
    r = c.request(version="HTTP/1.0")
    assert (r.status, r.body) == (200, b"hello")
    assert not r.chunked()
    assert c.ended_cleanly()


def test_a_10_client_is_kept_only_if_it_asks(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(ok(b"x")))
    c = connect(gw)
    assert c.request(version="HTTP/1.0").body == b"x"
    assert c.ended_cleanly()
    c = connect(gw)
    for _ in range(3):
        r = c.request(version="HTTP/1.0", fields=["Connection: keep-alive"])
        assert r.body == b"x"
        assert "keep-alive" in r.get("connection", "").lower()


def test_a_client_that_says_close_is_closed(vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(ok(b"x")))
    for _ in range(3):
        c = connect(gw)
        r = c.request(fields=["Connection: close"])
        assert (r.body, r.get("connection")) == (b"x", "close")
        assert c.ended_cleanly()
    assert all("close" not in r.get("connection", "") for r in up.requests), "its word does not pass"


def test_pipelined_requests_are_answered_in_order(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(lambda r: ok(r.target + "|" + r.body.decode())))
    many = b"".join(request_bytes("POST" if i % 3 == 0 else "GET", f"/{i}", body=b"b%d" % i if i % 3 == 0 else None) for i in range(50))
    c = connect(gw)
    c.send(many)
    for i in range(50):
        assert c.read_response().body == f"/{i}|{'b%d' % i if i % 3 == 0 else ''}".encode()


def test_pipelined_requests_in_every_cut(vine, upstream):
    gw, _ = gate(vine, upstream, serve(lambda r: ok(r.target + "|" + r.body.decode())))
    two = request_bytes("POST", "/a", ["Transfer-Encoding: chunked"]) + chunked(b"xy") + request_bytes("GET", "/b")

    def judge(c):
        assert c.read_response().body == b"/a|xy"
        assert c.read_response().body == b"/b|"

    cuts.play(gw.port, two, judge)


def test_a_client_that_half_closes_gets_its_answer(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(ok(b"x" * 100_000)))
    c = connect(gw)
    c.send(request_bytes())
    c.half_close()
    r = c.read_response()
    assert len(r.body) == 100_000
    assert c.ended_cleanly()


@pytest.mark.parametrize("second,answers", [
    (request_bytes(target="/a/../b"), 2),  # refused at once, without an upstream
    (request_bytes(target="/second"), 2),
    (request_bytes("POST", "/second", ["Content-Length: 100000"]), 1),
    (b"GET /second HT", 1),
], ids=["refused", "proxied", "no body", "half a head"])
def test_a_pipelining_client_that_half_closes(second, answers, vine, upstream, connect):
    """What came before its end is answered, then the connection ends at once, also where a request was not whole."""
    go = threading.Event()

    def script(peer):
        while peer.next_request() is not None:
            go.wait()
            peer.send(ok(b"x"))

    gw, up = gate(vine, upstream, script, **ONE)
    c = connect(gw)
    c.send(request_bytes() + second)
    c.half_close()
    up.wait_requests(1)
    c.drain_window()
    go.set()
    for _ in range(answers):
        c.read_response()
    c.sock.settimeout(5)  # less than any time-out of the server
    c.wait_gone()


def test_half_a_request_and_the_end(vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(ok(b"x")))
    whole = request_bytes("POST", "/x", body=b"hello")
    for n in range(1, len(whole)):
        c = connect(gw)
        c.send(whole[:n])
        c.half_close()
        c.rest()  # an error or nothing, but an end
    up.wait_open(0)
    assert not [r for r in up.requests if r.complete]


def test_a_client_that_leaves_frees_the_upstream(vine, upstream, connect):
    gw, up = gate(vine, upstream, peers.stall)
    c = connect(gw)
    c.send(request_bytes())
    up.wait_requests(1)
    c.reset()
    up.wait_open(0)


def test_an_early_answer_ends_the_exchange(vine, upstream, connect):
    """The upstream answers while the body still flows, and reads no more of it."""
    def script(peer):
        peer.next_request(body=False)
        peer.send(reply(401, b"who are you", ["Connection: close"]))
        peer.drain_window()

    gw, up = gate(vine, upstream, script)
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Content-Length: 10000000"]))
    c.send(b"x" * 1000)
    r = c.read_response()
    assert (r.status, r.body) == (401, b"who are you")
    up.wait_open(0)
    assert connect(gw).get().status == 401


def test_a_date_is_added_where_it_lacks(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(lambda r: reply(200, b"", ["Date: Tue, 15 Nov 1994 08:12:31 GMT"] if r.target == "/own" else [])))
    c = connect(gw)
    assert c.get("/own").all("date") == ["Tue, 15 Nov 1994 08:12:31 GMT"]
    assert len(c.get("/").all("date")) == 1


def test_an_upgrade_that_is_not_configured_is_no_tunnel(vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(ok(b"plain")))
    c = connect(gw)
    r = c.request("GET", "/", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"])
    assert (r.status, r.body) == (200, b"plain")
    assert "upgrade" not in up.requests[0] and "http2-settings" not in up.requests[0]
    assert wait_for(lambda: c.get().body == b"plain")


def test_options_of_the_whole_server(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(ok(b"x")))
    assert connect(gw).request("OPTIONS", "*").status in (200, 204, 404, 405)


@pytest.mark.parametrize("data", [
    request_bytes("POST", "/a/../b", ["Content-Length: 600000"]),  # refused by the gateway
    request_bytes("POST", "/", ["Content-Length: 600000", "Content-Length: 6"]),  # by the parser
    request_bytes("POST", "/", CHUNKED) + b"x\r\n",
], ids=["path", "head", "chunk"])
def test_an_error_is_read_by_a_client_that_still_sends(data, vine, upstream, connect):
    """The connection ends after the answer, but not with a reset that would destroy it on its way."""
    gw, up = gate(vine, upstream)
    for _ in range(5):
        c = connect(gw)
        c.send(data)
        c.drain_window()
        c.send(b"x" * 600_000)
        assert c.read_response().status == 400
        assert c.rest() == b""
    assert not [r for r in up.requests if r.complete]
