"""What is refused, row by row: a request that two parsers could read in two ways never reaches an upstream.

Each row is played whole, cut in two at every byte, and byte by byte.
"""
import pytest

import cuts
import peers
from gateway import simple
from peers import ok, reply, request_bytes, serve

HOST = b"Host: gw.test\r\n"


def head(*lines, start=b"POST / HTTP/1.1", host=HOST):
    return start + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CL = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"

# name: (bytes, statuses that will do). The heads are refused before anything is forwarded.
HEADS = {
    # length and coding
    "length beside coding": (head(CL, TE) + b"0\r\n\r\n", {400}),
    "coding beside length": (head(TE, CL) + b"0\r\n\r\n", {400}),
    "two lengths that differ": (head(CL, b"Content-Length: 6") + b"hello", {400}),
    "a list of lengths that differ": (head(b"Content-Length: 5, 6") + b"hello", {400}),
    "a length with a sign": (head(b"Content-Length: +5") + b"hello", {400}),
    "a negative length": (head(b"Content-Length: -5") + b"hello", {400}),
    "a hexadecimal length": (head(b"Content-Length: 0x5") + b"hello", {400}),
    "a length with a blank inside": (head(b"Content-Length: 1 0") + b"hello", {400}),
    "a length with a tail": (head(b"Content-Length: 5x") + b"hello", {400}),
    "an empty length": (head(b"Content-Length:") + b"hello", {400}),
    "a length past 63 bits": (head(b"Content-Length: 9223372036854775808") + b"hello", {400, 413}),
    "a length past 64 bits": (head(b"Content-Length: 18446744073709551621") + b"hello", {400, 413}),
    "chunked is not last": (head(b"Transfer-Encoding: chunked, gzip"), {400, 501}),
    "another coding": (head(b"Transfer-Encoding: gzip"), {400, 501}),
    "another coding before chunked": (head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", {400, 501}),
    "a comma before chunked": (head(b"Transfer-Encoding: ,chunked") + b"0\r\n\r\n", {400, 501}),
    "xchunked": (head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", {400, 501}),
    "chunked in quotes": (head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n", {400, 501}),
    "chunked with a parameter": (head(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n", {400, 501}),
    "chunked twice in a list": (head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", {400, 501}),
    "chunked twice in lines": (head(TE, TE) + b"0\r\n\r\n", {400, 501}),
    "identity and chunked": (head(b"Transfer-Encoding: identity", TE) + b"0\r\n\r\n", {400, 501}),
    "an empty coding": (head(b"Transfer-Encoding:"), {400, 501}),
    "vertical tab before chunked": (head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n", {400, 501}),
    "coding in HTTP/1.0": (head(TE, start=b"POST / HTTP/1.0") + b"0\r\n\r\n", {400}),
    # line ends
    "a folded line": (head(b"X-A: b\r\n c"), {400}),
    "a folded line with a tab": (head(b"X-A: b\r\n\tc"), {400}),
    "a blank before the first field": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", {400}),
    "a bare line feed after the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", {400}),
    "a bare line feed after a field": (b"GET / HTTP/1.1\r\nHost: gw.test\n\r\n", {400}),
    "a bare line feed at the end": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", {400}),
    "a bare carriage return in a value": (head(b"X-A: b\rc", start=b"GET / HTTP/1.1"), {400}),
    "a bare carriage return at a line's end": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\r\n\r\n", {400}),
    "a bare carriage return as line end": (b"GET / HTTP/1.1\r" + HOST + b"\r\n", {400}),
    # names and values
    "a blank before the colon": (head(b"Content-Length : 5") + b"hello", {400}),
    "a tab before the colon": (head(b"X-A\t: b"), {400}),
    "no name": (head(b": b"), {400}),
    "no colon": (head(b"X-A"), {400}),
    "a name that is no token": (head(b"X(A): b"), {400}),
    "a name with a blank": (head(b"X A: b"), {400}),
    "a name outside ASCII": (head(b"X-\xc3\xa4: b"), {400}),
    "a NUL in a name": (head(b"X\x00A: b"), {400}),
    "a NUL in a value": (head(b"X-A: b\x00c"), {400}),
    "a control byte in a value": (head(b"X-A: b\x01c"), {400}),
    "a DEL in a value": (head(b"X-A: b\x7fc"), {400}),
    # the request line
    "no host": (b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n", {400}),
    "two hosts": (head(b"Host: other", start=b"GET / HTTP/1.1"), {400}),
    "two equal hosts": (head(HOST.strip(), start=b"GET / HTTP/1.1"), {400}),
    "a host with a blank": (head(start=b"GET / HTTP/1.1", host=b"Host: a b\r\n"), {400}),
    "a host with a slash": (head(start=b"GET / HTTP/1.1", host=b"Host: a/b\r\n"), {400}),
    "a host with a user": (head(start=b"GET / HTTP/1.1", host=b"Host: u@a\r\n"), {400}),
    "a host with a bad port": (head(start=b"GET / HTTP/1.1", host=b"Host: a:b\r\n"), {400}),
    "a list of hosts": (head(start=b"GET / HTTP/1.1", host=b"Host: a, b\r\n"), {400}),
    "two blanks after the method": (head(start=b"GET  / HTTP/1.1"), {400}),
    "two blanks before the version": (head(start=b"GET /  HTTP/1.1"), {400}),
    "a tab after the method": (head(start=b"GET\t/ HTTP/1.1"), {400}),
    "a blank at the end of the line": (head(start=b"GET / HTTP/1.1 "), {400}),
    "a blank before the method": (head(start=b" GET / HTTP/1.1"), {400}),
    "a blank in the target": (head(start=b"GET /a b HTTP/1.1"), {400}),
    "a control byte in the target": (head(start=b"GET /a\x01 HTTP/1.1"), {400}),
    "a NUL in the target": (head(start=b"GET /a\x00 HTTP/1.1"), {400}),
    "a method that is no token": (head(start=b"G(T / HTTP/1.1"), {400}),
    "no target": (head(start=b"GET HTTP/1.1"), {400}),
    "no version": (b"GET /\r\n\r\n", {400, 505}),
    "a version with a long minor": (head(start=b"GET / HTTP/1.10"), {400, 505}),
    "a version that begins well": (head(start=b"GET / HTTP/1.1x"), {400, 505}),
    "lower case": (head(start=b"GET / http/1.1"), {400, 505}),
    "HTTP/2.0": (head(start=b"GET / HTTP/2.0"), {400, 505}),
    "HTTP/0.9": (head(start=b"GET / HTTP/0.9"), {400, 505}),
    "HTTP/1.9": (head(start=b"GET / HTTP/1.9"), {400, 505}),
    "another protocol": (head(start=b"GET / HTTPS/1.1"), {400, 505}),
    "a target without a slash": (head(start=b"GET a HTTP/1.1"), {400}),
    "a tunnel": (head(start=b"CONNECT a:80 HTTP/1.1"), {400, 405, 501}),
    # expectations
    "an unknown expectation": (head(b"Expect: 200-ok", b"Content-Length: 0"), {417}),
    # HTTP/2 prior knowledge on a port that speaks 1.1 only
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
}

# Chunked bodies that break in the middle: their head may have gone on, but never an end, and never a second request.
BODIES = {
    "0x before the size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "no digit": b"g\r\nhello\r\n0\r\n\r\n",
    "a tail after the digits": b"5h\r\nhello\r\n0\r\n\r\n",
    "17 digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size past 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a size past 63 bits": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a bare line feed after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare line feed after the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare line feed at the end": b"5\r\nhello\r\n0\n\r\n",
    "a bare carriage return after the size": b"5\rhello\r\n0\r\n\r\n",
    "data longer than its size": b"4\r\nhello\r\n0\r\n\r\n",
    "data shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "a bare line feed in an extension": b"5;a\n\r\nhello\r\n0\r\n\r\n",
    "a bare carriage return in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "a control byte in an extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "a long extension": b"5;" + b"a" * 600 + b"\r\nhello\r\n0\r\n\r\n",
    "a bare line feed in a trailer": b"5\r\nhello\r\n0\r\nX-A: b\n\r\n",
    "a trailer without colon": b"5\r\nhello\r\n0\r\nX-A\r\n\r\n",
    "a trailer with a folded line": b"5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
    "an endless trailer": b"5\r\nhello\r\n0\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n",
}

SMUGGLED = request_bytes(target="/smuggled")


@pytest.fixture
def gate(vine, upstream):
    up = upstream(serve(ok(b"fine")))
    return vine("gateway", config=simple(up)), up


def refused(statuses):
    def judge(c):
        r = c.read_response()
        assert r.status in statuses, f"{r} instead of {statuses}"
        assert r.get("connection") == "close"
        assert c.rest() == b"", "bytes after the refusal"
    return judge


def nothing_but(up, gw, connect):
    """The upstream has seen nothing of it; and the gateway is well."""
    assert connect(gw).get("/after").body == b"fine"
    assert [r.target for r in up.requests] == ["/after"]


@pytest.mark.parametrize("name", HEADS)
def test_a_refused_head(name, gate, connect):
    gw, up = gate
    data, statuses = HEADS[name]
    cuts.play(gw.port, data, refused(statuses))
    nothing_but(up, gw, connect)


@pytest.mark.parametrize("name", ["length beside coding", "two lengths that differ", "chunked is not last", "a folded line"])
def test_what_follows_a_refused_head_is_no_request(name, gate, connect):
    gw, up = gate
    data, statuses = HEADS[name]
    c = connect(gw)
    c.send(data + SMUGGLED)
    refused(statuses)(c)
    nothing_but(up, gw, connect)


@pytest.mark.parametrize("name", BODIES)
def test_a_broken_chunked_body(name, gate, connect):
    gw, up = gate
    body = BODIES[name]
    judge = refused({400, 413, 431})
    if len(body) < 100:
        cuts.play(gw.port, head(TE) + body + SMUGGLED, judge)
    else:
        c = connect(gw)
        try:
            c.send(head(TE) + body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        judge(c)
    assert connect(gw).get("/after").body == b"fine"
    assert [r for r in up.requests if r.complete and r.target != "/after"] == []
    assert "/smuggled" not in [r.target for r in up.requests]


# What is strange but right. name: (bytes, what the upstream reads)
FINE = {
    "equal lengths": (head(CL, CL) + b"hello", ("POST", "/", b"hello")),
    "CRLF before the request line": (b"\r\n" + head(CL) + b"hello", ("POST", "/", b"hello")),
    "a body of a GET": (head(CL, start=b"GET / HTTP/1.1") + b"hello", ("GET", "/", b"hello")),
    "a body of a DELETE": (head(CL, start=b"DELETE / HTTP/1.1") + b"hello", ("DELETE", "/", b"hello")),
    "a length of zero": (head(b"Content-Length: 0"), ("POST", "/", b"")),
    "leading zeros": (head(b"Content-Length: 0005") + b"hello", ("POST", "/", b"hello")),
    "no framing at all": (head(), ("POST", "/", b"")),
    "chunks": (head(TE) + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", ("POST", "/", b"hello")),
    "CHUNKED": (head(b"Transfer-Encoding: CHUNKED") + b"5\r\nhello\r\n0\r\n\r\n", ("POST", "/", b"hello")),
    "upper and lower digits": (head(TE) + b"00A\r\nhellohello\r\n0000\r\n\r\n", ("POST", "/", b"hellohello")),
    "an extension": (head(TE) + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', ("POST", "/", b"hello")),
    "a trailer": (head(TE) + b"5\r\nhello\r\n0\r\nX-Check: 1\r\n\r\n", ("POST", "/", b"hello")),
    "a method of one's own": (head(start=b"FROB /x HTTP/1.1"), ("FROB", "/x", b"")),
    "an absolute target": (head(start=b"GET http://gw.test/a?b HTTP/1.1"), ("GET", "/a?b", b"")),
    "no blank after the colon": (head(b"X-A:b"), ("POST", "/", b"")),
    "blanks around a value": (head(b"X-A: \t b \t "), ("POST", "/", b"")),
    "an empty value": (head(b"X-A:"), ("POST", "/", b"")),
    "bytes above ASCII in a value": (head(b"X-A: caf\xe9"), ("POST", "/", b"")),
    "a host with a port": (head(start=b"GET / HTTP/1.1", host=b"Host: gw.test:8080\r\n"), ("GET", "/", b"")),
    "an IPv6 host": (head(start=b"GET / HTTP/1.1", host=b"Host: [::1]:80\r\n"), ("GET", "/", b"")),
    "an empty host": (head(start=b"GET / HTTP/1.1", host=b"Host:\r\n"), ("GET", "/", b"")),
    "HTTP/1.0 without host": (head(start=b"GET / HTTP/1.0", host=b""), ("GET", "/", b"")),
}


@pytest.mark.parametrize("name", FINE)
def test_what_is_strange_but_right(name, gate):
    gw, up = gate
    data, want = FINE[name]

    def judge(c):
        r = c.read_response()
        assert (r.status, r.body) == (200, b"fine")

    n = cuts.play(gw.port, data, judge)
    assert [(r.method, r.target, r.body) for r in up.wait_requests(n)] == [want] * n
    for r in up.requests:
        assert len(r.all("content-length")) + len(r.all("transfer-encoding")) <= 1, "framing is emitted anew, once"
        assert b";" not in r.raw.split(b"\r\n\r\n")[0] or name != "an extension"


# What an upstream may not do. name: bytes of its answer. The client gets a 502 (or sees the answer cut), never the next one's.
RESPONSES = {
    "garbage": b"garbage\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status with a sign": b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    "length beside coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a bare carriage return": b"HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 0\r\n\r\n",
    "a name that is no token": b"HTTP/1.1 200 OK\r\nX(A: b\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX-A: b\r\n",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a huge head": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 300_000 + b"\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", RESPONSES)
def test_a_broken_upstream_is_a_502(name, vine, upstream, connect):
    up = upstream(peers.then_close(RESPONSES[name]))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    r = c.request("POST", "/", body=b"x")
    assert r.status == 502, r
    assert r.get("proxy-status"), "the cause is told"
    assert c.request("POST", "/", body=b"x").status == 502, "the client's connection is none the worse"
    up.wait_open(0)
    assert up.connections == len(up.requests) == 2


@pytest.mark.parametrize("tail", [b"g\r\n", b"5\r\nhelloX", b"-1\r\n", b"5\nhello\r\n", b"5;\x00\r\nhello\r\n0\r\n\r\n"])
def test_a_broken_chunk_of_an_upstream_does_not_look_like_an_end(tail, vine, upstream, connect):
    up = upstream(peers.then_stall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + tail))
    gw = vine("gateway", config=simple(up))
    c = connect(gw)
    c.send(request_bytes())
    try:
        r = c.read_response()
    except ConnectionError:
        r = None  # the head and some of the body went on; then the connection was cut
    assert r is None or r.status == 502
    up.wait_open(0)


LIMITS = {
    "a long line": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414, 431}),
    "a long line without end": (b"GET /" + b"a" * 70_000, {414, 431}),
    "a long field": (head(b"X-A: " + b"a" * 70_000, start=b"GET / HTTP/1.1"), {431}),
    "many fields": (head(*[b"X-%d: a" % i for i in range(500)], start=b"GET / HTTP/1.1"), {431}),
    "fields without end": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n" * 20_000, {431}),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_head_past_its_limit(name, gate, connect):
    gw, up = gate
    data, statuses = LIMITS[name]
    c = connect(gw)
    try:
        c.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    refused(statuses)(c)
    nothing_but(up, gw, connect)


def test_a_response_of_many_fields_passes(vine, upstream, connect):
    fields = [f"X-{i}: {'v' * 100}" for i in range(60)]
    up = upstream(serve(reply(200, b"x", fields)))
    gw = vine("gateway", config=simple(up))
    r = connect(gw).get()
    assert r.get("x-59") == "v" * 100
