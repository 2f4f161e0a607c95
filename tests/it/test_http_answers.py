"""What an upstream may not do: its answers are judged as strictly as requests. A broken one is a 502 that tells the cause, its
connection is closed by the gateway and never used again, and no byte of it is taken for the next one's answer.

Answers are played whole, cut in two at every byte, and byte by byte.
"""
import pytest

import cuts
import peers
from gateway import ONE, simple
from peers import chunked, ok, reply, request_bytes, serve

NO_BREAKER = {"hystrix__command__up__circuitBreaker__enabled": False}
OK = b"HTTP/1.1 200 OK\r\n"
CL = b"Content-Length: 5\r\n"
TE = b"Transfer-Encoding: chunked\r\n"

# name: (bytes, the cause that Proxy-Status tells)
BROKEN = {
    # the status line
    "garbage": (b"garbage\r\n\r\n", "malformed version"),
    "another protocol": (b"RTSP/1.0 200 OK\r\n\r\n", "malformed version"),
    "a greeting": (b"220 mail.example ESMTP\r\n", "malformed version"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "version not supported"),
    "HTTP/1.32": (b"HTTP/1.32 200 OK\r\nContent-Length: 0\r\n\r\n", "malformed version"),
    "no status": (b"HTTP/1.1\r\n\r\n", "malformed"),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
    "a status with a sign": (b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
    "a status below 100": (b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
    "two blanks before the status": (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "malformed status line"),
    "a control byte in the reason": (b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", "control byte"),
    "CRLF before the status line": (b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", "malformed version"),
    # length and coding
    "length beside coding": (OK + CL + TE + b"\r\n0\r\n\r\n", "content-length with transfer-encoding"),
    "coding beside length": (OK + TE + CL + b"\r\n0\r\n\r\n", "content-length with transfer-encoding"),
    "two lengths that differ": (OK + CL + b"Content-Length: 6\r\n\r\nhello", "differing content-length"),
    "two lengths that differ in their digits": (OK + CL + b"Content-Length: 05\r\n\r\nhello", "differing content-length"),
    "a list of lengths that differ": (OK + b"Content-Length: 5, 6\r\n\r\nhello", "differing content-length"),
    "a length with a sign": (OK + b"Content-Length: +5\r\n\r\nhello", "malformed content-length"),
    "a negative length": (OK + b"Content-Length: -5\r\n\r\nhello", "malformed content-length"),
    "a hexadecimal length": (OK + b"Content-Length: 0x5\r\n\r\nhello", "malformed content-length"),
    "an empty length": (OK + b"Content-Length:\r\n\r\nhello", "malformed content-length"),
    "a length past 63 bits": (OK + b"Content-Length: 9223372036854775808\r\n\r\nhello", "malformed content-length"),
    "another coding": (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", "transfer-encoding other than chunked"),
    "another coding before chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "other than chunked"),
    "chunked is not last": (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "other than chunked"),
    "chunked twice in a list": (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "other than chunked"),
    "chunked twice in lines": (OK + TE + TE + b"\r\n0\r\n\r\n", "other than chunked"),
    "xchunked": (OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "other than chunked"),
    "an empty coding": (OK + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", "other than chunked"),
    "coding in HTTP/1.0": (b"HTTP/1.0 200 OK\r\n" + TE + b"\r\n0\r\n\r\n", "transfer-encoding in HTTP/1.0"),
    "coding in a 204": (b"HTTP/1.1 204 No\r\n" + TE + b"\r\n0\r\n\r\n", "where no body can be"),
    "coding in an interim answer": (b"HTTP/1.1 103 Early Hints\r\n" + TE + b"\r\n0\r\n\r\n" + ok(b"x"), "where no body can be"),
    "an interim answer with a length and content": (b"HTTP/1.1 103 Early Hints\r\n" + CL + b"\r\nhello" + ok(b"x"), "malformed version"),
    "a 205 with content": (b"HTTP/1.1 205 Reset\r\n" + CL + b"\r\nhello", "content in a 205"),
    # line ends, names and values
    "a folded line": (OK + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "folded line"),
    "a folded first line": (OK + b" X-A: b\r\nContent-Length: 0\r\n\r\n", "folded line"),
    "bare line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "bare line feed"),
    "a bare line feed after a field": (OK + b"X-A: b\nContent-Length: 0\r\n\r\n", "bare line feed"),
    "a bare line feed at the end": (OK + b"Content-Length: 0\r\n\n", "bare line feed"),
    "a bare carriage return": (OK + b"X-A: b\rc\r\nContent-Length: 0\r\n\r\n", "bare carriage return"),
    "a NUL in a value": (OK + b"X-A: b\x00c\r\nContent-Length: 0\r\n\r\n", "control byte"),
    "a DEL in a value": (OK + b"X-A: b\x7fc\r\nContent-Length: 0\r\n\r\n", "control byte"),
    "a name that is no token": (OK + b"X(A: b\r\nContent-Length: 0\r\n\r\n", "malformed field name"),
    "a name outside ASCII": (OK + b"X-\xc3\xa4: b\r\nContent-Length: 0\r\n\r\n", "malformed field name"),
    "a blank before the colon": (OK + b"Content-Length : 5\r\n\r\nhello", "blank before the colon"),
    "no name": (OK + b": b\r\nContent-Length: 0\r\n\r\n", "empty field name"),
    "no colon": (OK + b"X-A\r\nContent-Length: 0\r\n\r\n", "malformed field name"),
    # what nobody asked for
    "a switch of protocols": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "unasked switch"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_502(name, vine, upstream):
    answer, why = BROKEN[name]
    ways = list(cuts.ways(answer))

    def judge(c):
        r = c.read_response()
        assert r.status == 502
        assert r.get("proxy-status").startswith("vine; error=http_protocol_error; details=")
        assert why in r.get("proxy-status")
        assert c.request("POST", "/0", body=b"x").status == 502, "the client's connection is none the worse"

    up = upstream(cuts.script(ways, lambda peer: peer.hold()))  # the upstream itself never closes
    gw = vine("gateway", config=simple(up, **NO_BREAKER))
    cuts.ask(gw.port, ways, lambda i: request_bytes("POST", f"/{i}", body=b"x"), judge)
    up.wait_open(0)
    assert up.connections == len(up.requests) == 2 * len(ways), "no connection was used twice"


@pytest.mark.parametrize("name", ["nothing", "half a status line", "a head without end", "an interim answer alone"])
def test_an_answer_that_ends_too_early_is_a_502(name, vine, upstream, connect):
    answer = {"nothing": b"", "half a status line": b"HTTP/1.1 200", "a head without end": OK + b"X-A: b\r\n",
              "an interim answer alone": reply(103)}[name]
    up = upstream(peers.then_close(answer))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    for _ in range(2):
        r = c.request("POST", "/", body=b"x")
        assert (r.status, r.get("proxy-status")) == (502, "vine; error=connection_terminated")
    up.wait_open(0)


@pytest.mark.parametrize("name", ["a huge head", "many fields"])
def test_a_head_past_its_limit_is_a_502(name, vine, upstream, connect):
    answer = OK + (b"X-A: " + b"b" * 300_000 + b"\r\n\r\n" if name == "a huge head" else b"X-A: b\r\n" * 200 + b"\r\n")
    up = upstream(peers.then_stall(answer))
    gw = vine("gateway", config=simple(up))
    r = connect(gw).request("POST", "/", body=b"x")
    assert r.status == 502
    assert ("head too long" if name == "a huge head" else "too many fields") in r.get("proxy-status")
    up.wait_open(0)


def test_a_head_of_many_fields_passes(vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", [f"X-{i}: {'v' * 100}" for i in range(60)])))
    gw = vine("gateway", config=simple(up))
    r = connect(gw).get()
    assert r.get("x-59") == "v" * 100
    assert r.body == b"x"


# Chunked bodies that break behind a good beginning
CHUNKS = {
    "0x before the size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a blank after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "no digit": b"g\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size past 63 bits": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "data longer than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "data without its end": b"5\r\nhelloX",
    "a bare line feed after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare line feed after the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare carriage return in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a control byte in an extension": b"5;\x00\r\nhello\r\n0\r\n\r\n",
    "a long extension": b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "a trailer with a blank before its colon": b"0\r\nX-A : b\r\n\r\n",
    "a trailer with a folded line": b"0\r\nX-A: b\r\n c\r\n\r\n",
    "a trailer with a bare line feed": b"0\r\nX-A: b\n\r\n",
    "an endless trailer": b"0\r\n" + b"X-A: b\r\n" * 1000,
    "a bare line feed at the very end": b"0\r\n\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_a_broken_chunk_does_not_look_like_an_end(name, vine, upstream):
    answer = OK + TE + b"\r\n3\r\nabc\r\n" + CHUNKS[name]
    ways = list(cuts.ways(answer)) if len(answer) < 200 else [("whole", [answer])]

    def judge(c):
        try:
            r = c.read_response()
        except ConnectionError:
            return  # the head and some of the body went on; then the connection was cut
        assert r.status == 502, f"a whole answer was made of {r}"

    up = upstream(cuts.script(ways, lambda peer: peer.hold()))
    gw = vine("gateway", config=simple(up, **NO_BREAKER))
    cuts.ask(gw.port, ways, lambda i: request_bytes("POST", f"/{i}", ["TE: trailers"], body=b"x"), judge)
    up.wait_open(0)
    assert up.connections == len(ways)


@pytest.mark.parametrize("coding", ["a length", "chunks"])
@pytest.mark.parametrize("end", [peers.then_close, peers.then_reset], ids=["closes", "resets"])
def test_a_body_that_ends_too_early_does_not_look_whole(coding, end, vine, upstream, connect):
    for n in range(4):
        answer = OK + (b"Content-Length: 100\r\n\r\n" if coding == "a length" else TE + b"\r\n4\r\n") + b"half"[:n]
        gw = vine("gateway", config=simple(upstream(end(answer))))
        c = connect(gw)
        c.send(request_bytes("POST", body=b"x"))
        with pytest.raises(ConnectionError):
            r = c.read_response()
            assert r.status == 502, f"a whole answer was made of half a one: {r}"
            raise ConnectionError("told by its status")


# --- bytes behind the end ---

POISON = ok(b"poison")

# name: (method, the answer, what follows it)
EXTRA = {
    "a second answer after a length": ("GET", ok(b"first"), POISON),
    "a second answer after no body": ("GET", ok(), POISON),
    "a second answer after chunks": ("GET", OK + TE + b"\r\n" + chunked(b"first"), POISON),
    "a second answer after trailers": ("GET", OK + TE + b"\r\n" + chunked(b"first", last=b"0\r\nX-T: 1\r\n\r\n"), POISON),
    "a blank line": ("GET", ok(b"first"), b"\r\n"),
    "one byte": ("GET", ok(b"first"), b"x"),
    "a body of a HEAD": ("HEAD", reply(200, b"", ["Content-Length: 5"], length=False), b"first"),
    "chunks of a HEAD": ("HEAD", OK + TE + b"\r\n", chunked(b"first")),
    "a body of a 204": ("GET", reply(204, b"", ["Content-Length: 5"]), b"first"),
    "a body of a 304": ("GET", reply(304, b"", ["Content-Length: 5"]), b"first"),
    "a body of a 205": ("GET", reply(205), b"first"),
}


@pytest.mark.parametrize("name", EXTRA)
def test_bytes_behind_the_end_are_nobodys_answer(name, vine, upstream, connect):
    method, answer, extra = EXTRA[name]
    ways = list(cuts.ways(answer + extra))

    def judge(c):
        r = c.read_response(method)
        assert r.status in (200, 204, 205, 304)
        assert r.body == (b"first" if b"first" in answer else b"")

    up = upstream(*[cuts.script(ways, lambda peer: peer.hold())] * len(ways), serve(ok(b"next")))
    gw = vine("gateway", config=simple(up, **ONE))
    cuts.ask(gw.port, ways, lambda i: request_bytes(method, f"/{i}"), judge)
    up.wait_open(0)  # closed by the gateway
    assert connect(gw).get("/next").body == b"next"


def test_bytes_on_an_idle_connection_close_it(vine, upstream, connect):
    def script(peer):
        peer.next_request()
        peer.send(ok(b"x"))
        peer.drain_window()
        peer.server.told.wait()
        peer.send(POISON)
        peer.hold()

    up = upstream(script, serve(ok(b"next")))
    up.told = peers.threading.Event()
    gw = vine("gateway", config=simple(up, **ONE))
    c = connect(gw)
    assert c.get().body == b"x"
    up.told.set()
    up.wait_open(0)
    assert c.get().body == b"next"


# --- answers that come early ---


@pytest.mark.parametrize("body", ["a length", "chunks"])
def test_an_early_answer_ends_the_use_of_its_connection(body, vine, upstream):
    """The upstream answers while the body still flows, in every cut, and would keep its connection: nobody uses it again."""
    ways = list(cuts.ways(reply(401, b"who are you")))
    field = ["Content-Length: 10000000"] if body == "a length" else ["Transfer-Encoding: chunked"]
    some = b"x" * 1000 if body == "a length" else b"3e8\r\n" + b"x" * 1000 + b"\r\n"

    def judge(c):
        r = c.read_response()
        assert (r.status, r.body) == (401, b"who are you")
        assert c.rest() == b"", "the rest of the body would be read as a request"

    up = upstream(cuts.script(ways, lambda peer: peer.rest(), body=False))
    gw = vine("gateway", config=simple(up))
    cuts.ask(gw.port, ways, lambda i: request_bytes("POST", f"/{i}", field) + some, judge)
    up.wait_open(0)
    assert up.connections == len(ways)


def test_an_early_answer_of_which_the_end_comes_late(vine, upstream, connect):
    """Head first, then the request's body, then the end: the exchange is whole, and both connections live on."""
    def script(peer):
        while (request := peer.next_request(body=False)) is not None:
            peer.send(OK + b"Content-Length: 5\r\n\r\n")
            peer.read_request_body(request)
            peer.send(request.body)

    up = upstream(script)
    gw = vine("gateway", config=simple(up, **ONE))
    c = connect(gw)
    for _ in range(3):
        c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked"]) + b"2\r\nhe\r\n")
        r = c.read_response(body=False)
        c.send(b"3\r\nllo\r\n0\r\n\r\n")
        assert c.take(r.length()) == b"hello"
    assert up.connections == 1


@pytest.mark.parametrize("n,status", [(100, 200), (101, 502)])
def test_a_flood_of_interim_answers_in_pieces(n, status, vine, upstream, connect):
    def script(peer):
        peer.next_request()
        for _ in range(n):
            peer.send(reply(103))
        peer.send(ok(b"x"))
        peer.hold()

    up = upstream(script)
    gw = vine("gateway", config=simple(up))
    r = connect(gw).request("POST", "/", body=b"x")
    assert r.status == status
    if status == 502:
        assert "too many interim responses" in r.get("proxy-status")
        up.wait_open(0)
