"""Fields that are added, changed and left out on the way: forwarding, hop by hop, tracing; and the line in the access log."""
import re
import signal

import pytest

from gateway import config, simple
from peers import ok, reply, serve
from vine import wait_for

ROUTE = {"zuul.routes.orders": "/orders/**"}


@pytest.fixture
def gate(vine, upstream):
    up = upstream(serve(ok(b"fine", "X-Upstream: 1")))
    return vine("gateway", config=config(ROUTE, {"orders": [up]})), up


def sent(gate, connect, *fields, target="/orders/1", **kw):
    """What the upstream reads of one request."""
    gw, up = gate
    c = connect(gw)
    r = c.request("GET", target, fields, **kw)
    assert r.status == 200
    return up.requests[-1], c


def test_x_forwarded_tells_who_asked_for_what(gate, connect):
    gw, up = gate
    seen, c = sent(gate, connect, host="shop.example:8080")
    assert seen.get("host") == up.address
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-host") == "shop.example:8080"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-port") in ("8080", str(gw.port))
    assert seen.get("x-forwarded-prefix") == "/orders"
    assert "via" in seen


def test_forwarding_fields_of_a_stranger_are_replaced(gate, connect):
    seen, _ = sent(gate, connect, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https",
                   "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil", "Forwarded: for=1.2.3.4")
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert "evil" not in str(seen.fields) and "1.2.3.4" not in str(seen.fields)
    assert seen.get("x-forwarded-proto") == "http"


def test_forwarding_fields_of_a_trusted_proxy_are_extended(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=config({**ROUTE, "vine.gateway.trusted-proxies": "127.0.0.0/8"}, {"orders": [up]}))
    connect(gw).get("/orders/1", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
    seen = up.requests[0]
    assert re.fullmatch(r"1\.2\.3\.4, ?127\.0\.0\.1", seen.get("x-forwarded-for"))
    assert seen.get("x-forwarded-proto").startswith("https")
    assert seen.get("x-forwarded-host").startswith("shop.example")


def test_forwarding_fields_can_be_switched_off(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=config({**ROUTE, "zuul.addProxyHeaders": False}, {"orders": [up]}))
    connect(gw).get("/orders/1")
    assert not [n for n, _ in up.requests[0].fields if n.startswith("x-forwarded")]


def test_the_clients_host_passes_where_told(vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=config({**ROUTE, "zuul.addHostHeader": True}, {"orders": [up]}))
    connect(gw).request("GET", "/orders/1", host="shop.example")
    assert up.requests[0].get("host") == "shop.example"


def test_hop_by_hop_fields_end_here(gate, connect):
    seen, _ = sent(gate, connect, "Connection: keep-alive, X-Mine, close-not", "X-Mine: 1", "Keep-Alive: timeout=5",
                   "Proxy-Connection: keep-alive", "TE: gzip, trailers", "Trailer: X-T", "Upgrade: websocket",
                   "Proxy-Authorization: Basic eDp5", "X-Other: stays")
    for name in ("x-mine", "keep-alive", "proxy-connection", "trailer", "upgrade", "proxy-authorization"):
        assert name not in seen, name
    assert seen.get("te") in (None, "trailers")
    assert seen.get("connection") in (None, "keep-alive", "TE")
    assert seen.get("x-other") == "stays"


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Host", "X-B3-TraceId", "Host", "Content-Length", "Transfer-Encoding"])
def test_a_client_cannot_strip_ours_by_naming_it(name, gate, connect):
    seen, _ = sent(gate, connect, f"Connection: {name}")
    assert seen.get("x-forwarded-for") == "127.0.0.1" and "x-forwarded-host" in seen and "x-b3-traceid" in seen and "host" in seen


def test_a_named_length_still_frames(gate, connect):
    gw, up = gate
    r = connect(gw).request("POST", "/orders/1", ["Connection: Content-Length"], body=b"hello")
    assert r.status in (200, 400)
    assert [q.body for q in up.requests] in ([b"hello"], [])


def test_hop_by_hop_fields_of_the_answer_end_here(vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", ["Connection: X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic",
                                          "Trailer: X-T", "Upgrade: h2c", "X-Other: stays"])))
    gw = vine("gateway", config=config(ROUTE, {"orders": [up]}))
    r = connect(gw).get("/orders/1")
    for name in ("x-mine", "keep-alive", "proxy-authenticate", "trailer", "upgrade"):
        assert name not in r, name
    assert r.get("x-other") == "stays"


def test_sensitive_fields_stay_by_default(vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", ["Set-Cookie: a=b"])))
    gw = vine("gateway", config=config(ROUTE, {"orders": [up]}))
    r = connect(gw).get("/orders/1", "Cookie: a=b", "Authorization: Bearer x")
    assert "set-cookie" not in r
    assert "cookie" not in up.requests[0] and "authorization" not in up.requests[0]


def test_an_empty_list_of_sensitive_fields_lets_all_pass(vine, upstream, connect):
    up = upstream(serve(reply(200, b"x", ["Set-Cookie: a=b", "Set-Cookie: c=d"])))
    gw = vine("gateway", config=config({"zuul.routes.orders.path": "/orders/**", "zuul.routes.orders.sensitiveHeaders": ""},
                                       {"orders": [up]}))
    r = connect(gw).get("/orders/1", "Cookie: a=b", "Authorization: Bearer x")
    assert r.all("set-cookie") == ["a=b", "c=d"]
    assert (up.requests[0].get("cookie"), up.requests[0].get("authorization")) == ("a=b", "Bearer x")


def test_fields_pass_as_they_are(gate, connect):
    fields = ["X-Empty:", "X-Latin: caf\xe9", "X-Twice: 1", "X-Twice: 2", "Accept: text/html, */*;q=0.1", "X-Long: " + "v" * 6000]
    seen, _ = sent(gate, connect, *fields)
    assert seen.get("x-empty") == ""
    assert seen.get("x-latin") == "caf\xe9"
    assert seen.all("x-twice") == ["1", "2"]
    assert seen.get("x-long") == "v" * 6000


# --- tracing ---

TRACE, SPAN, PARENT = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90"


def test_a_trace_is_begun(gate, connect):
    seen, _ = sent(gate, connect)
    assert re.fullmatch(r"[0-9a-f]{16}([0-9a-f]{16})?", seen.get("x-b3-traceid"))
    assert re.fullmatch(r"[0-9a-f]{16}", seen.get("x-b3-spanid"))
    assert seen.get("x-b3-sampled") in ("0", "1")
    again, _ = sent(gate, connect)
    assert again.get("x-b3-traceid") != seen.get("x-b3-traceid")


@pytest.mark.parametrize("trace", [TRACE, TRACE[16:]], ids=["128 bits", "64 bits"])
@pytest.mark.parametrize("sampled", ["0", "1"])
def test_a_trace_is_continued(trace, sampled, gate, connect):
    seen, _ = sent(gate, connect, f"X-B3-TraceId: {trace}", f"X-B3-SpanId: {SPAN}", f"X-B3-ParentSpanId: {PARENT}", f"X-B3-Sampled: {sampled}")
    assert seen.get("x-b3-traceid") == trace
    assert seen.get("x-b3-sampled") == sampled
    assert seen.get("x-b3-spanid") != SPAN
    assert seen.get("x-b3-parentspanid") is not None


def test_the_single_header_is_understood(gate, connect):
    seen, _ = sent(gate, connect, f"b3: {TRACE}-{SPAN}-1-{PARENT}")
    assert seen.get("x-b3-traceid") == TRACE and seen.get("x-b3-sampled") == "1"


def test_debug_passes(gate, connect):
    seen, _ = sent(gate, connect, f"X-B3-TraceId: {TRACE}", f"X-B3-SpanId: {SPAN}", "X-B3-Flags: 1")
    assert seen.get("x-b3-traceid") == TRACE and seen.get("x-b3-flags") == "1"


@pytest.mark.parametrize("fields", [["X-B3-TraceId: xyz", f"X-B3-SpanId: {SPAN}"], ["b3: nonsense"], ["X-B3-TraceId: " + "0" * 32, f"X-B3-SpanId: {SPAN}"],
                                    ["b3: " + "a" * 5000], [f"X-B3-TraceId: {TRACE}"]])
def test_a_malformed_context_is_replaced(fields, gate, connect):
    seen, _ = sent(gate, connect, *fields)
    assert re.fullmatch(r"[0-9a-f]{16}([0-9a-f]{16})?", seen.get("x-b3-traceid"))
    assert re.fullmatch(r"[0-9a-f]{16}", seen.get("x-b3-spanid"))
    assert "xyz" not in seen.raw.decode("latin-1") and "nonsense" not in seen.raw.decode("latin-1")


# --- access log ---


def test_a_line_in_the_access_log(vine, upstream, connect):
    up = upstream(serve(reply(201, b"12345")))
    gw = vine("gateway", config=simple(up, **{"vine__gateway__access-log": "stdout"}))
    c = connect(gw)
    r = c.request("POST", "/orders?x=1", [f"X-B3-TraceId: {TRACE}", f"X-B3-SpanId: {SPAN}", "X-B3-Sampled: 1"], body=b"abc")
    assert r.status == 201
    line = gw.wait_log(r"^.*\baccess\b.*method=POST.*$").group(0)
    for part in ("path=/orders", "status=201", "service=up", f"upstream={up.address}", "tries=1", "in=3", "out=5", f"trace={TRACE}",
                 "peer=127.0.0.1:"):
        assert part in line, (part, line)
    assert re.search(r"\bms=\d+\.\d+\b", line)


def test_the_access_log_goes_to_a_file_and_follows_its_rotation(vine, upstream, connect, tmp_path):
    log = tmp_path / "access.log"
    gw = vine("gateway", config=simple(upstream(), **{"vine__gateway__access-log": str(log)}))
    c = connect(gw)
    c.get("/first")
    wait_for(lambda: log.exists() and "/first" in log.read_text(), "the first line")
    log.rename(tmp_path / "access.log.1")
    gw.signal(signal.SIGHUP)
    wait_for(lambda: c.get("/second").status and log.exists() and "/second" in log.read_text(), "a line in the new file")


def test_a_path_cannot_forge_a_line(vine, upstream, connect):
    gw = vine("gateway", config=simple(upstream(), **{"vine__gateway__access-log": "stdout"}))
    c = connect(gw)
    c.get('/a"b%0d%0aaccess%20method=FORGED')
    line = gw.wait_log(r"^.*\baccess\b.*method=GET.*$").group(0)
    assert r'path="/a\"b%0d%0aaccess%20method=FORGED"' in line


def test_refused_requests_are_logged_with_their_cause(vine, connect):
    gw = vine("gateway", config=simple(**{"vine__gateway__access-log": "stdout"}))
    connect(gw).get("/x")
    line = gw.wait_log(r"^.*\baccess\b.*status=503.*$").group(0)
    assert "no_instance" in line
