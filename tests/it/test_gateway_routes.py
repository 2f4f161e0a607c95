"""Which service a path goes to, and what path the service sees."""
import json

import pytest

from gateway import config, fetch
from peers import ok, serve
from vine import wait_for

# properties of the routes, then (path asked for, service that must answer, path that it must see); None: 404 of our own
TABLES = {
    "a service's own name is its path": (
        {"zuul.routes.orders": "/orders/**"},
        [("/orders/1", "orders", "/1"), ("/orders", "orders", "/"), ("/orders/", "orders", "/"), ("/order/1", None, None)]),
    "serviceId and path": (
        {"zuul.routes.a.path": "/api/orders/**", "zuul.routes.a.serviceId": "orders"},
        [("/api/orders/1/2?x=%2F&y", "orders", "/1/2?x=%2F&y"), ("/api/other", None, None)]),
    "the prefix stays where it is told to": (
        {"zuul.routes.a.path": "/api/**", "zuul.routes.a.serviceId": "orders", "zuul.routes.a.stripPrefix": False},
        [("/api/1", "orders", "/api/1"), ("/api", "orders", "/api")]),
    "first match in order, not the longest": (
        {"zuul.routes.all.path": "/x/**", "zuul.routes.all.serviceId": "orders",
         "zuul.routes.some.path": "/x/y/**", "zuul.routes.some.serviceId": "product"},
        [("/x/y/1", "orders", "/y/1")]),
    "the special one first": (
        {"zuul.routes.some.path": "/x/y/**", "zuul.routes.some.serviceId": "product",
         "zuul.routes.all.path": "/x/**", "zuul.routes.all.serviceId": "orders"},
        [("/x/y/1", "product", "/1"), ("/x/z", "orders", "/z")]),
    "one segment, one character": (
        {"zuul.routes.a.path": "/v?/*", "zuul.routes.a.serviceId": "orders", "zuul.routes.a.stripPrefix": False},
        [("/v1/a", "orders", "/v1/a"), ("/v12/a", None, None), ("/v1/a/b", None, None)]),
    "paths are case sensitive": (
        {"zuul.routes.orders": "/Orders/**"}, [("/orders/1", None, None), ("/Orders/1", "orders", "/1")]),
    "ignored patterns are not proxied": (
        {"zuul.ignoredPatterns": "/**/admin/**", "zuul.routes.orders": "/orders/**"},
        [("/orders/admin/x", None, None), ("/orders/x", "orders", "/x")]),
    "a prefix before all": (
        {"zuul.prefix": "/api", "zuul.routes.orders": "/orders/**"},
        [("/api/orders/1", "orders", "/1"), ("/orders/1", None, None)]),
}


@pytest.mark.parametrize("name", TABLES)
def test_routes(name, vine, upstream, connect):
    properties, cases = TABLES[name]
    servers = {s: [upstream(serve(lambda r, s=s: ok(f"{s} {r.target}")))] for s in ("orders", "product")}
    gw = vine("gateway", config=config(properties, servers))
    c = connect(gw)
    for path, service, seen in cases:
        r = c.get(path)
        if service is None:
            assert r.status == 404, path
        else:
            assert (r.status, r.body) == (200, f"{service} {seen}".encode()), path


def test_a_url_route_goes_to_that_url(vine, upstream, connect):
    up = upstream(serve(lambda r: ok(r.target)))
    gw = vine("gateway", config=config({"zuul.routes.old.path": "/old/**", "zuul.routes.old.url": f"http://{up.address}/legacy"}))
    assert connect(gw).get("/old/a?b=c").body == b"/legacy/a?b=c"


def test_the_query_and_escapes_pass_byte_for_byte(vine, upstream, connect):
    up = upstream(serve(lambda r: ok(r.target)))
    gw = vine("gateway", config=config({"zuul.routes.orders": "/orders/**"}, {"orders": [up]}))
    c = connect(gw)
    for tail in ("a%20b", "caf%C3%A9", "x?q=a+b%20c&&=&r=%2f%2F", "x??", "x?"):
        assert c.get("/orders/" + tail).body.decode() == "/" + tail


@pytest.mark.parametrize("path", ["/orders/../secret", "/orders/%2e%2e/secret", "/orders/..%2fsecret", "/orders/a%00b", "/orders/%zz",
                                  "/orders/..%5csecret"])
def test_a_path_that_may_mean_two_things_is_refused(path, vine, upstream, connect):
    up = upstream()
    gw = vine("gateway", config=config({"zuul.routes.orders": "/orders/**"}, {"orders": [up]}))
    assert connect(gw).get(path).status in (400, 404)
    assert up.requests == []


def test_actuator_routes_tells_the_table(vine, upstream):
    up = upstream()
    gw = vine("gateway", config=config({"zuul.routes.a.path": "/x/**", "zuul.routes.a.serviceId": "orders",
                                        "zuul.routes.b.path": "/y/**", "zuul.routes.b.serviceId": "product"},
                                       {"orders": [up], "product": [up]}))
    status, body = fetch(gw.port, "/actuator/routes")
    assert status == 200
    assert list(json.loads(body).items()) == [("/x/**", "orders"), ("/y/**", "product")]
    status, body = fetch(gw.port, "/actuator/routes/details")
    assert status == 200
    details = json.loads(body)["/x/**"]
    assert {k: details[k] for k in ("id", "fullPath", "location", "path", "prefix", "retryable", "prefixStripped")} == {
        "id": "a", "fullPath": "/x/**", "location": "orders", "path": "/**", "prefix": "/x", "retryable": True, "prefixStripped": True}


@pytest.mark.parametrize("line,words", [
    ("zuul.routes.a.stripPrefix: sometimes", ["stripPrefix", ":28: "]),
    ("zuul.semafore.maxSemaphores: 5", ["semafore", "did you mean zuul.semaphore", ":30: "]),
    ("zuul.host.maxTotalConnections: -1x", ["maxTotalConnections", ":32: "]),
])
def test_a_wrong_configuration_stops_the_start(line, words, vine):
    text = config({"zuul.routes.a.path": "/a/**"}) + line + "\n"
    gw = vine("gateway", config=text, ready=False)
    assert gw.wait() != 0
    gw.expect_code = None
    wait_for(lambda: gw.err.ended, "all it had to say")
    for word in [*words, f"vine.yml:{text.count(chr(10))}:"]:
        assert word in str(gw.err), (word, str(gw.err))
