"""What an intermediary owes, rule by rule: trailers, TE, Via, Max-Forwards, Host; and what may be configured about names and
line ends."""
import pytest

import cuts
import peers
from gateway import config, simple
from peers import chunked, ok, reply, request_bytes, serve

CHUNKED = ["Transfer-Encoding: chunked"]


def gate(vine, upstream, *scripts, **properties):
    up = upstream(*scripts)
    return vine("gateway", config=simple(up, **properties)), up


# --- trailers ---


def trailed(*lines, fields=()):
    """A chunked answer with these trailer lines."""
    last = b"0\r\n" + b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n"
    return reply(200, chunked(b"hel", b"lo", last=last), CHUNKED + list(fields), length=False)


def test_trailers_in_every_cut_of_the_upstream(vine, upstream):
    ways = list(cuts.ways(trailed("X-Check: 1", "X-Empty:", "grpc-status:  0 ", "X-Latin: caf\xe9", fields=["Trailer: X-Check"])))

    def judge(c):
        r = c.read_response()
        assert (r.body, r.get("trailer")) == (b"hello", "X-Check")
        assert r.trailers == [("x-check", "1"), ("x-empty", ""), ("grpc-status", "0"), ("x-latin", "caf\xe9")]
        assert "x-check" not in r, "never merged with the head"

    gw, _ = gate(vine, upstream, cuts.script(ways))
    cuts.ask(gw.port, ways, lambda i: request_bytes("GET", f"/{i}", ["TE: trailers"]), judge)


@pytest.mark.parametrize("fields,version", [
    ([], "HTTP/1.1"), (["TE: gzip"], "HTTP/1.1"), (["TE: trailers"], "HTTP/1.0"), (["TE: trailers", "Connection: keep-alive"], "HTTP/1.0"),
], ids=["no TE", "another TE", "HTTP/1.0", "HTTP/1.0 that stays"])
def test_trailers_stay_behind_where_nobody_asked(fields, version, vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(trailed("X-Check: 1", fields=["Trailer: X-Check"])))
    r = connect(gw).request("GET", "/", fields, version=version)
    assert (r.body, r.trailers) == (b"hello", [])
    assert "x-check" not in r and "trailer" not in r


@pytest.mark.parametrize("name", [
    # framing, routing, this hop
    "Content-Length", "Transfer-Encoding", "Host", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "TE", "Trailer", "Via",
    # modifiers, authentication
    "Cache-Control", "Expect", "Max-Forwards", "Range", "If-Match", "Authorization", "Proxy-Authenticate", "WWW-Authenticate",
    "Set-Cookie", "Cookie",
    # control of the response, how its content is to be read
    "Age", "Expires", "Date", "Location", "Retry-After", "Vary", "Content-Encoding", "Content-Type", "Content-Range",
    # named by the answer's Connection, dropped by the route
    "X-Hop", "X-Other-Hop", "X-Dropped",
])
def test_fields_that_are_no_trailers_are_dropped(name, vine, upstream, connect):
    answer = trailed("X-A: 1", f"{name.upper()}: 5", "X-B: 2",
                     fields=[f"Trailer: {name}, X-B", "Connection: x-hop", "Connection: X-Other-Hop"])
    gw, _ = gate(vine, upstream, serve(answer), **{"zuul__ignored-headers": "X-Dropped"})
    c = connect(gw)
    for _ in range(2):
        r = c.get("/", "TE: trailers")
        assert r.trailers == [("x-a", "1"), ("x-b", "2")]
        assert r.get("trailer") == "X-B"


def test_trailers_alone_behind_no_content(vine, upstream, connect):
    gw, _ = gate(vine, upstream, serve(reply(200, chunked(last=b"0\r\ngrpc-status: 5\r\n\r\n"), CHUNKED, length=False)))
    c = connect(gw)
    for _ in range(2):
        r = c.get("/", "TE: trailers")
        assert (r.body, r.trailers) == (b"", [("grpc-status", "5")])


@pytest.mark.parametrize("size,fits", [(4000, True), (4200, False)])
def test_trailers_are_bounded(size, fits, vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(trailed("X-A: " + "v" * size)))
    c = connect(gw)
    c.send(request_bytes(fields=["TE: trailers"]))
    if fits:
        assert c.read_response().trailers == [("x-a", "v" * size)]
    else:
        with pytest.raises(ConnectionError):
            c.read_response()
        up.wait_open(0)


def test_trailers_of_a_request_stay_here(vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(lambda r: ok(r.body)))
    c = connect(gw)
    for _ in range(2):
        c.send(request_bytes("POST", "/", CHUNKED + ["Trailer: X-T"]) + chunked(b"hello", last=b"0\r\nX-T: 1\r\nContent-Length: 3\r\n\r\n"))
        assert c.read_response().body == b"hello"
    assert all(r.trailers == [] and "trailer" not in r and "x-t" not in r for r in up.requests)


@pytest.mark.parametrize("te,passes", [(["TE: trailers"], True), (["TE: gzip, Trailers"], True), (["TE: trailers", "TE: gzip"], True),
                                       (["TE: gzip"], False), (["TE: trailersx"], False), ([], False)], ids=str)
def test_of_te_only_trailers_goes_on(te, passes, vine, upstream, connect):
    gw, up = gate(vine, upstream)
    connect(gw).get("/", *te)
    seen = up.requests[0]
    assert (seen.get("te"), seen.get("connection")) == (("trailers", "TE") if passes else (None, None))


# --- Via, Host ---


def test_via_is_appended_to(vine, upstream, connect):
    gw, up = gate(vine, upstream)
    c = connect(gw)
    c.get("/", "Via: 1.0 fred, 1.1 p.example", "Via: 2 q.example (x)")
    assert up.requests[0].get("via") == "1.0 fred, 1.1 p.example, 2 q.example (x), 1.1 vine"
    c.request(version="HTTP/1.0")
    assert up.requests[1].get("via") == "1.0 vine"


def test_an_absolute_targets_authority_takes_the_place_of_host(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=simple(up, **{"zuul__addHostHeader": True}))
    connect(gw).request("GET", "http://shop.test:81/a", host="evil.test")
    seen = up.requests[0]
    assert (seen.target, seen.get("host"), seen.get("x-forwarded-host")) == ("/a", "shop.test:81", "shop.test:81")


def test_options_of_the_whole_server_have_no_path(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=config({"zuul.routes.up.path": "/**", "zuul.routes.up.url": f"http://{up.address}/app"}))
    c = connect(gw)
    c.request("OPTIONS", "*")
    c.request("OPTIONS", "/")
    assert [r.target for r in up.requests] == ["*", "/app/"]


# --- Max-Forwards ---


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_max_forwards_is_counted_down(method, vine, upstream, connect):
    gw, up = gate(vine, upstream, serve(ok(b"from the upstream")))
    c = connect(gw)
    for said, seen in ("1", "0"), ("10", "9"), ("0007", "6"):
        assert c.request(method, "/", [f"Max-Forwards: {said}"]).body == b"from the upstream"
        assert up.requests[-1].get("max-forwards") == seen
    assert c.request(method, "/").body == b"from the upstream"
    assert "max-forwards" not in up.requests[-1]


def test_a_trace_that_has_used_up_its_hops_is_shown(vine, upstream, connect):
    gw, up = gate(vine, upstream)
    c = connect(gw)
    secrets = ["Cookie: a=secret", "Authorization: Basic secret", "Proxy-Authorization: Basic secret"]
    for _ in range(2):
        r = c.request("TRACE", "/a?b", ["Max-Forwards: 0", "X-A: 1", *secrets])
        assert (r.status, r.get("content-type")) == (200, "message/http")
        assert r.body == b"TRACE /a?b HTTP/1.1\r\nHost: gw.test\r\nMax-Forwards: 0\r\nX-A: 1\r\n\r\n"
    assert up.connections == 0


@pytest.mark.parametrize("target", ["/a", "*"])
def test_options_that_have_used_up_their_hops_are_answered(target, vine, upstream, connect):
    gw, up = gate(vine, upstream)
    r = connect(gw).request("OPTIONS", target, ["Max-Forwards: 0"])
    assert (r.status, r.body) == (200, b"")
    assert "OPTIONS" in r.get("allow")
    assert up.connections == 0


@pytest.mark.parametrize("values", [["x"], [""], ["-1"], ["1, 1"], ["99999999999999999999999"], ["1", "1"]], ids=str)
def test_max_forwards_that_is_no_number_is_refused(values, vine, upstream, connect):
    gw, up = gate(vine, upstream)
    r = connect(gw).request("OPTIONS", "/", [f"Max-Forwards: {v}" for v in values])
    assert (r.status, r.get("proxy-status")) == (400, "vine; error=http_request_error")
    assert b'"cause":"bad_max_forwards"' in r.body
    assert up.connections == 0


def test_max_forwards_of_other_methods_is_a_field_as_any(vine, upstream, connect):
    gw, up = gate(vine, upstream)
    connect(gw).get("/", "Max-Forwards: 0")
    assert up.requests[0].get("max-forwards") == "0"


# --- what may be configured ---


@pytest.mark.parametrize("policy", ["keep", "drop", "reject", None])
def test_names_with_an_underscore(policy, vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", ["X_Answer: 1"])))
    gw = vine("gateway", *([f"--vine.http.underscore-names={policy}"] if policy else []), config=simple(up))
    r = connect(gw).get("/", "X_Forwarded_For: 1.2.3.4", "X-A: 1")
    if policy == "reject":
        assert (r.status, r.get("connection"), up.connections) == (400, "close", 0)
        assert b"underscore" in r.body
        return
    assert (r.status, r.get("x_answer")) == (200, "1")
    assert up.requests[0].get("x_forwarded_for") == ("1.2.3.4" if policy != "drop" else None)
    assert up.requests[0].get("x-a") == "1"


def test_an_unknown_policy_stops_the_start(vine):
    v = vine("gateway", "--vine.http.underscore-names=perhaps", config=simple(), ready=False)
    v.expect_code = 1
    v.judge(v.wait())
    assert "vine.http.underscore-names" in v.logs() and "keep drop reject" in v.logs()


LF = {
    "all lines": b"GET / HTTP/1.1\nHost: gw.test\nX-A: 1\n\n",
    "the request line": b"GET / HTTP/1.1\nHost: gw.test\r\nX-A: 1\r\n\r\n",
    "a field": b"GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: 1\n\r\n",
    "the last line": b"GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: 1\r\n\n",
}


@pytest.mark.parametrize("name", LF)
def test_bare_line_feeds_where_they_are_allowed(name, vine, upstream):
    up = upstream(serve(ok(b"fine")))
    gw = vine("gateway", "--vine.http.accept-bare-line-feed=true", config=simple(up))

    def judge(c):
        assert c.read_response().body == b"fine"

    n = cuts.play(gw.port, LF[name], judge)
    assert [r.get("x-a") for r in up.requests] == ["1"] * n, "and what goes on has its own line ends"


@pytest.mark.parametrize("data", [
    b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\r\nhello\n0\r\n\r\n",
    b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"GET / HTTP/1.1\nHost: a\nX-A: b\n c\n\n",
    b"GET / HTTP/1.1\nHost: a\nX-A: b\rc\n\n",
    b"GET /\n\n",
    b"\nGET / HTTP/1.1\nHost: a\n\n",
], ids=["chunk size", "chunk data", "trailer", "folded line", "bare carriage return", "no version", "before the request line"])
def test_bare_line_feeds_are_allowed_nowhere_else(data, vine, upstream):
    up = upstream(serve(ok(b"fine")))
    gw = vine("gateway", "--vine.http.accept-bare-line-feed=true", config=simple(up))

    def judge(c):
        r = c.read_response()
        assert (r.status, r.get("connection")) == (400, "close")

    cuts.play(gw.port, data, judge)
    assert not [r for r in up.requests if r.complete]


def test_an_upstreams_bare_line_feeds_are_never_allowed(vine, upstream, connect):
    up = upstream(peers.then_stall(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"))
    gw = vine("gateway", "--vine.http.accept-bare-line-feed=true", config=simple(up))
    assert connect(gw).request("POST", "/", body=b"x").status == 502
    up.wait_open(0)
