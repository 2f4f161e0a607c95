"""What is refused, row by row: a request that two parsers could read in two ways never reaches an upstream. Answers have a
file of their own, test_http_answers.py.

Each row is played whole, cut in two at every byte, and byte by byte.
"""
import pytest

import cuts
from gateway import simple
from peers import ok, request_bytes, serve

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
    "two lengths that differ in their digits alone": (head(CL, b"Content-Length: 05") + b"hello", {400}),
    "a list of lengths that differ in their digits": (head(b"Content-Length: 5, 05") + b"hello", {400}),
    "a list of lengths and one that differs": (head(b"Content-Length: 5, 5", b"Content-Length: 6") + b"hello", {400}),
    "a list of lengths with an empty member": (head(b"Content-Length: 5,, 5") + b"hello", {400}),
    "a list of lengths that ends with a comma": (head(b"Content-Length: 5,") + b"hello", {400}),
    "a length behind a vertical tab": (head(b"Content-Length: \x0b5") + b"hello", {400}),
    "a length in other digits": (head(b"Content-Length: \xd9\xa5") + b"hello", {400}),
    "a length beside an unknown coding": (head(CL, b"Transfer-Encoding: gzip") + b"hello", {400}),
    "a length of zero beside coding": (head(b"Content-Length: 0", TE) + b"0\r\n\r\n", {400}),
    "a length with a sign": (head(b"Content-Length: +5") + b"hello", {400}),
    "a negative length": (head(b"Content-Length: -5") + b"hello", {400}),
    "a hexadecimal length": (head(b"Content-Length: 0x5") + b"hello", {400}),
    "a length with a blank inside": (head(b"Content-Length: 1 0") + b"hello", {400}),
    "a length with a tail": (head(b"Content-Length: 5x") + b"hello", {400}),
    "an empty length": (head(b"Content-Length:") + b"hello", {400}),
    "a length past 63 bits": (head(b"Content-Length: 9223372036854775808") + b"hello", {400}),
    "a length past 64 bits": (head(b"Content-Length: 18446744073709551621") + b"hello", {400}),
    "chunked is not last": (head(b"Transfer-Encoding: chunked, gzip"), {400}),
    "chunked with a comma behind": (head(b"Transfer-Encoding: chunked,") + b"0\r\n\r\n", {400}),
    "chunked with a blank inside": (head(b"Transfer-Encoding: chun ked") + b"0\r\n\r\n", {400}),
    "chunked with a NUL": (head(b"Transfer-Encoding: chunked\x00") + b"0\r\n\r\n", {400}),
    "chunked with a byte above ASCII": (head(b"Transfer-Encoding: \xa0chunked") + b"0\r\n\r\n", {400}),
    "chunked in a folded line": (head(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", {400}),
    "chunked behind another line's coding": (head(b"Transfer-Encoding: gzip", TE) + b"0\r\n\r\n", {400}),
    "another coding": (head(b"Transfer-Encoding: gzip"), {400}),
    "another coding before chunked": (head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", {400}),
    "a comma before chunked": (head(b"Transfer-Encoding: ,chunked") + b"0\r\n\r\n", {400}),
    "xchunked": (head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", {400}),
    "chunked in quotes": (head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n", {400}),
    "chunked with a parameter": (head(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n", {400}),
    "chunked twice in a list": (head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", {400}),
    "chunked twice in lines": (head(TE, TE) + b"0\r\n\r\n", {400}),
    "identity and chunked": (head(b"Transfer-Encoding: identity", TE) + b"0\r\n\r\n", {400}),
    "an empty coding": (head(b"Transfer-Encoding:"), {400}),
    "vertical tab before chunked": (head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n", {400}),
    "a blank before the colon of the coding": (head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n", {400}),
    "coding in HTTP/1.0": (head(TE, start=b"POST / HTTP/1.0") + b"0\r\n\r\n", {400}),
    "coding beside length in HTTP/1.0": (head(CL, TE, start=b"POST / HTTP/1.0") + b"0\r\n\r\n", {400}),
    "a body of a GET in HTTP/1.0": (head(CL, start=b"GET / HTTP/1.0") + b"hello", {400}),
    "a body of a HEAD in HTTP/1.0": (head(CL, start=b"HEAD / HTTP/1.0") + b"hello", {400}),
    "a body of a DELETE in HTTP/1.0": (head(CL, start=b"DELETE / HTTP/1.0") + b"hello", {400}),
    # line ends
    "a folded line": (head(b"X-A: b\r\n c"), {400}),
    "a folded line with a tab": (head(b"X-A: b\r\n\tc"), {400}),
    "a blank before the first field": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", {400}),
    "a bare line feed after the request line": (b"GET / HTTP/1.1\n" + HOST + b"\r\n", {400}),
    "a bare line feed after a field": (b"GET / HTTP/1.1\r\nHost: gw.test\n\r\n", {400}),
    "a bare line feed at the end": (b"GET / HTTP/1.1\r\n" + HOST + b"\n", {400}),
    "bare line feeds alone": (b"GET / HTTP/1.1\nHost: gw.test\n\n", {400}),
    "a folded line of blanks": (head(b"X-A: b\r\n  "), {400}),
    "a folded Host": (b"GET / HTTP/1.1\r\nHost:\r\n gw.test\r\n\r\n", {400}),
    "a bare carriage return in the target": (head(start=b"GET /a\rb HTTP/1.1"), {400}),
    "a bare carriage return before a name": (head(b"\rX-A: b"), {400}),
    "a bare carriage return in a name": (head(b"X\r-A: b"), {400}),
    "a line feed before the request line": (b"\n" + head(start=b"GET / HTTP/1.1"), {400}),
    "a bare carriage return in a value": (head(b"X-A: b\rc", start=b"GET / HTTP/1.1"), {400}),
    "a bare carriage return at a line's end": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\r\n\r\n", {400}),
    "a bare carriage return as line end": (b"GET / HTTP/1.1\r" + HOST + b"\r\n", {400}),
    # names and values
    "a blank before the colon": (head(b"Content-Length : 5") + b"hello", {400}),
    "a tab before the colon": (head(b"X-A\t: b"), {400}),
    "a blank before a name": (b"GET / HTTP/1.1\r\n" + HOST + b"\tX-A: b\r\n\r\n", {400}),
    "a blank before the colon of Host": (b"GET / HTTP/1.1\r\nHost : gw.test\r\n\r\n", {400}),
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
    "HTTP/1.0 with two hosts": (head(b"Host: other", start=b"GET / HTTP/1.0"), {400}),
    "a host with a control byte": (head(start=b"GET / HTTP/1.1", host=b"Host: a\x01b\r\n"), {400}),
    "a host with a byte above ASCII": (head(start=b"GET / HTTP/1.1", host=b"Host: \xc3\xa4\r\n"), {400}),
    "a host of a port alone": (head(start=b"GET / HTTP/1.1", host=b"Host: :80\r\n"), {400}),
    "a host with a port past 65535": (head(start=b"GET / HTTP/1.1", host=b"Host: a:65536\r\n"), {400}),
    "an IPv6 host without its end": (head(start=b"GET / HTTP/1.1", host=b"Host: [::1\r\n"), {400}),
    "an absolute target with a malformed host": (head(start=b"GET http://a@b/ HTTP/1.1"), {400}),
    "an absolute target without Host": (head(start=b"GET http://a/ HTTP/1.1", host=b""), {400}),
    "an absolute target of another scheme": (head(start=b"GET ftp://a/ HTTP/1.1"), {400}),
    "a fragment in the target": (head(start=b"GET /a#b HTTP/1.1"), {400}),
    "an asterisk for a GET": (head(start=b"GET * HTTP/1.1"), {400}),
    "a byte above ASCII in the target": (head(start=b"GET /\xc3\xa4 HTTP/1.1"), {400}),
    "a DEL in the target": (head(start=b"GET /\x7f HTTP/1.1"), {400}),
    "a method of 40 letters": (head(start=b"M" * 40 + b" / HTTP/1.1"), {400}),
    "an empty request line": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
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
    "no version": (b"GET /\r\n\r\n", {400}),
    "a version with a long minor": (head(start=b"GET / HTTP/1.10"), {400}),
    "a version that begins well": (head(start=b"GET / HTTP/1.1x"), {400}),
    "lower case": (head(start=b"GET / http/1.1"), {400}),
    "HTTP/2.0": (head(start=b"GET / HTTP/2.0"), {505}),
    "HTTP/0.9": (head(start=b"GET / HTTP/0.9"), {505}),
    "HTTP/1.9": (head(start=b"GET / HTTP/1.9"), {505}),
    "HTTP/1.32": (head(start=b"GET / HTTP/1.32"), {400}),
    "HTTP/3.0": (head(start=b"GET / HTTP/3.0"), {505}),
    "HTTP/01.1": (head(start=b"GET / HTTP/01.1"), {400}),
    "a blank in the version": (head(start=b"GET / HTTP/1. 1"), {400}),
    "another protocol": (head(start=b"GET / HTTPS/1.1"), {400}),
    "a target without a slash": (head(start=b"GET a HTTP/1.1"), {400}),
    "a tunnel": (head(start=b"CONNECT a:80 HTTP/1.1"), {501}),
    # expectations
    "an unknown expectation": (head(b"Expect: 200-ok", b"Content-Length: 0"), {417}),
    "an expectation beside the known one": (head(b"Expect: 100-continue, x", b"Content-Length: 0"), {417}),
    "an expectation with a parameter": (head(b"Expect: 100-continue;x", b"Content-Length: 0"), {417}),
    # HTTP/2 prior knowledge on a port that speaks 1.1 only
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
}

# Chunked bodies that break in the middle: their head may have gone on, but never an end, and never a second request.
BODIES = {
    "0x before the size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank after the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "an underscore in the size": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "a tab after the size": b"5\t\r\nhello\r\n0\r\n\r\n",
    "a blank before an extension": b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "a NUL after the size": b"5\x00\r\nhello\r\n0\r\n\r\n",
    "an extension instead of a size": b";a\r\nhello\r\n0\r\n\r\n",
    "a size in other digits": b"\xd9\xa5\r\nhello\r\n0\r\n\r\n",
    "0x in the last chunk": b"5\r\nhello\r\n0x\r\n\r\n",
    "many zeros": b"0" * 20 + b"5\r\nhello\r\n0\r\n\r\n",
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
    "a DEL in an extension": b"5;a\x7fb\r\nhello\r\n0\r\n\r\n",
    "a carriage return twice after the size": b"5\r\r\nhello\r\n0\r\n\r\n",
    "no end of the data": b"5\r\nhello0\r\n\r\n",
    "a bare line feed at the very end": b"5\r\nhello\r\n0\r\n\n",
    "a bare carriage return at the very end": b"5\r\nhello\r\n0\r\n\rX",
    "a trailer with a blank before its colon": b"5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
    "a trailer without name": b"5\r\nhello\r\n0\r\n: b\r\n\r\n",
    "a trailer with a NUL": b"5\r\nhello\r\n0\r\nX-A: \x00\r\n\r\n",
    "a trailer with a bare carriage return": b"5\r\nhello\r\n0\r\nX-A: b\rc\r\n\r\n",
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
    """The upstream has seen nothing of it, no connection and no byte; and the gateway is well."""
    assert up.connections == 0
    assert connect(gw).get("/after").body == b"fine"
    assert [r.target for r in up.requests] == ["/after"]
    assert (up.connections, up.received) == (1, len(up.requests[0].raw))


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
    judge = refused({400})
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
    "a list of equal lengths": (head(b"Content-Length: 5, 5 ,5") + b"hello", ("POST", "/", b"hello")),
    "a list of equal lengths in two lines": (head(b"Content-Length: 5,5", CL) + b"hello", ("POST", "/", b"hello")),
    "two CRLFs before the request line": (b"\r\n\r\n" + head(CL) + b"hello", ("POST", "/", b"hello")),
    "a body of a HEAD": (head(CL, start=b"HEAD / HTTP/1.1") + b"hello", ("HEAD", "/", b"hello")),
    "a body of a POST in HTTP/1.0": (head(CL, start=b"POST / HTTP/1.0") + b"hello", ("POST", "/", b"hello")),
    "chunks of a GET": (head(TE, start=b"GET / HTTP/1.1") + b"5\r\nhello\r\n0\r\n\r\n", ("GET", "/", b"hello")),
    "no chunk but the last": (head(TE) + b"0\r\n\r\n", ("POST", "/", b"")),
    "a query as it came": (head(start=b"GET /?a=%41&b=/../%2e HTTP/1.1"), ("GET", "/?a=%41&b=/../%2e", b"")),
    "an empty query": (head(start=b"GET /? HTTP/1.1"), ("GET", "/?", b"")),
    "an absolute target without path": (head(start=b"GET http://gw.test HTTP/1.1"), ("GET", "/", b"")),
    "the whole server": (head(start=b"OPTIONS * HTTP/1.1"), ("OPTIONS", "*", b"")),
    "an expectation in HTTP/1.0": (head(b"Expect: 100-continue", CL, start=b"POST / HTTP/1.0") + b"hello", ("POST", "/", b"hello")),
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
        r = c.read_response(want[0])
        assert (r.status, r.body) == (200, b"" if want[0] == "HEAD" else b"fine")

    n = cuts.play(gw.port, data, judge)
    assert [(r.method, r.target, r.body) for r in up.wait_requests(n)] == [want] * n
    for r in up.requests:
        assert len(r.all("content-length")) + len(r.all("transfer-encoding")) <= 1, "framing is emitted anew, once"
        assert r.trailers == [] and "trailer" not in r, "a request's trailers stay here"
        assert name != "an expectation in HTTP/1.0" or "expect" not in r


LIMITS = {
    "a long line": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {414}),
    "a long line without end": (b"GET /" + b"a" * 70_000, {414}),
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
