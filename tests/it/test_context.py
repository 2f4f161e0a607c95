"""Paths that stand before others: server.servlet.context-path and its kin, in every role, with every link that Vine makes."""
import http.client
import json
import re
import signal

import pytest

import peers
from gateway import config
from libvine import binary, service  # noqa: F401 (fixtures)
from manage import call, get
from peers import ok, serve
from registry_client import Eureka, instance
from test_registry_watch import Watcher
from vine import wait_for

CTX = {"server.servlet.context-path": "/ctx"}
SHORT = {"renewalIntervalInSecs": 1, "durationInSecs": 3}
# What stands beside the context path, not below it; all are compared as they come.
OUTSIDE = ["/", "/ct", "/ctxx", "/ctxx/a", "//ctx", "//ctx/", "/CTX", "/CTX/", "/ctx;a=b", "/ctx;a=b/", "/%63tx/", "/ctx%2f", "/ctx%2Feureka/apps",
           "/./ctx/", "/x/../ctx/", "http://h.test", "http://h.test/", "http://h.test/CTX/"]


@pytest.fixture
def registry(vine):
    def start(props=None, **kw):
        given = {"server.port": "0", "server.address": "127.0.0.1", "vine.workers": "2", **CTX, **(props or {})}
        v = vine("registry", config="".join(f"{k}: {json.dumps(v)}\n" for k, v in given.items()), **kw)
        v.eureka = Eureka(v.port, base="/ctx/eureka")
        v.url = f"http://127.0.0.1:{v.port}/ctx/eureka/"
        return v

    return start


def fetch(url, method="GET", **headers):
    """(status, Location, body) of a whole URL of this machine."""
    port, path = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/.*|)", url).groups()
    c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    try:
        c.request(method, path, headers=headers)
        r = c.getresponse()
        streams = r.getheader("Content-Type", "").startswith("text/event-stream")
        return r.status, r.getheader("Location"), b"" if streams else r.read()
    finally:
        c.close()


def follow_index(url):
    """Every link of an actuator's index that needs nothing filled in leads somewhere; their paths."""
    links = json.loads(fetch(url)[2])["_links"]
    assert links["self"]["href"] == url
    for link in links.values():
        assert link["href"].startswith(url + "/") or link["href"] == url
        if not link["templated"] and not link["href"].endswith("/turbine.stream"):  # which wants a registry
            assert fetch(link["href"])[0] == 200, link
    return links


def own_urls(inst):
    return [inst[k] for k in ("homePageUrl", "statusPageUrl", "healthCheckUrl")]


# --- the properties ---

@pytest.mark.parametrize("key", ["server.servlet.context-path", "server.context-path", "management.server.base-path",
                                 "management.server.servlet.context-path", "management.endpoints.web.base-path", "management.context-path"])
def test_what_cannot_be_a_path_stops_the_start(vine, key):
    v = vine("gateway", f"--{key}=/a/../b", ready=False)
    assert v.wait() == 1
    v.expect_code = 1
    v.wait_log(rf"{re.escape(key)} = /a/\.\./b: must be a path")
    v = vine("check", config=f"{key}: /a b\n", ready=False)
    assert v.wait() == 1
    v.expect_code = 1
    v.wait_log(rf"vine\.yml:1:\d+: {re.escape(key)} = /a b: must be a path")


def test_a_slash_is_none(vine):
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--server.servlet.context-path=/")
    assert Eureka(v.port).get("/apps").status == 200
    assert re.search(rf"ready: http://127.0.0.1:{v.port} \(management http://127.0.0.1:{v.port}/actuator\)", str(v.out))


def test_a_changed_path_waits_for_the_next_start(registry):
    v = registry()
    text = v.config.read_text()
    v.config.write_text(text.replace('"/ctx"', '"/other"') + "management.endpoints.web.base-path: /manage\n")
    v.signal(signal.SIGHUP)
    v.wait_log("configuration reloaded")
    follow_index(f"http://127.0.0.1:{v.port}/ctx/actuator")
    assert b'href="/ctx/lastn"' in fetch(f"http://127.0.0.1:{v.port}/ctx/")[2]
    assert fetch(f"http://127.0.0.1:{v.port}/other/")[0] == 404


def test_the_longest_path(vine, registry):
    """Through the ready line, the peers' URL and vine up."""
    longest = "/" + "x" * 199
    a = registry({"server.servlet.context-path": longest, "management.endpoints.web.base-path": "/" + "y" * 199})
    b = registry({"eureka.client.service-url.defaultZone": f"http://127.0.0.1:{a.port}{longest}/eureka/"})
    manage = Eureka(b.port, base="/ctx/actuator")
    wait_for(lambda: [p["state"] for p in manage.get("/registry").json()["peers"]] == ["up"], "the peer")
    follow_index(f"http://127.0.0.1:{a.port}{longest}/{'y' * 199}")
    v = vine("up", config="".join(f"{k}: {json.dumps(v)}\n" for k, v in {
        "server.servlet.context-path": longest, "vine.registry.snapshot.enabled": False, "vine.up.ports.registry": 0,
        "vine.up.ports.gateway": 0, "spring.security.user.password": "p"}.items()))
    r = Eureka(int(v.out.wait(rf"vine registry ready: http://127\.0\.0\.1:(\d+){longest} ").group(1)), base=longest + "/eureka")
    wait_for(lambda: r.get("/apps/VINE-GATEWAY", Authorization="Basic dXNlcjpw").status == 200, "the gateway's registration")


# --- the registry ---

def test_a_registry_below_a_context_path(registry):
    v = registry()
    e = v.eureka
    assert e.register().status == 204
    assert e.put("/apps/ORDERS/h1:orders:8080").status == 200
    assert list(e.apps()) == ["ORDERS"]
    for path in ("/apps", "/v2/apps", "/apps/delta", "/apps/ORDERS", "/vips/orders", "/instances/h1:orders:8080", "/status"):
        assert e.get(path).status == 200, path
    w = Watcher(v.port, e.get("/apps").headers["X-Vine-Version"], path="/ctx/vine/watch")
    assert w.r.status == 200
    e.register(instance(id="i2"))
    w.follow(lambda known: "i2" in known)
    w.close()
    for path in ("/eureka/apps", "/vine/watch", "/lastn", "/actuator", "/actuator/health"):
        assert fetch(f"http://127.0.0.1:{v.port}{path}")[0] == 404, path
    said = json.loads(fetch(f"http://127.0.0.1:{v.port}/eureka/apps")[2])
    assert (said["status"], said["error"], said["path"]) == (404, "Not Found", "/eureka/apps")
    assert re.search(rf"ready: http://127.0.0.1:{v.port}/ctx \(management http://127.0.0.1:{v.port}/ctx/actuator\)", str(v.out))
    nowhere = fetch(f"http://127.0.0.1:{v.port}/ctx/nix")
    assert nowhere[0] == 404 and b"below /ctx/eureka, the page is at /ctx/" in nowhere[2]


def test_the_page_and_its_links(registry):
    v = registry({"eureka.server.eviction-interval-timer-in-ms": 100})
    top = f"http://127.0.0.1:{v.port}"
    for i in range(6):
        v.eureka.register(instance(id=f"i{i}", leaseInfo=SHORT if i < 3 else None))
    assert fetch(top + "/ctx")[:2] == (302, "/ctx/")
    assert fetch(top + "/ctx?a=b&c")[:2] == (302, "/ctx/?a=b&c")

    def page():
        status, _, body = fetch(top + "/ctx/")
        assert status == 200
        return body.decode()

    wait_for(lambda: "<form" in page(), "self-preservation")
    links = re.findall(r'(?:href|action)="(/[^"]*)"', page())
    assert links == ["/ctx/actuator/registry/accept-size", "/ctx/lastn"]
    assert re.findall(r'href="(/[^"]*)"', fetch(top + links[1])[2].decode()) == ["/ctx/"]
    status, _, body = fetch(top + links[0], "POST", Accept="text/html")
    assert status == 200 and re.findall(r'href="(/[^"]*)"', body.decode()) == ["/ctx/"]


def test_the_page_of_a_registry_with_a_management_port(registry):
    v = registry({"management.server.port": 0, "management.server.base-path": "/m", "eureka.dashboard.path": "/dash",
                  "eureka.server.eviction-interval-timer-in-ms": 100})
    for i in range(6):
        v.eureka.register(instance(id=f"i{i}", leaseInfo=SHORT if i < 3 else None))
    page = f"http://127.0.0.1:{v.port}/ctx/dash"
    wait_for(lambda: b"POST /m/actuator/registry/accept-size on the management port" in fetch(page)[2], "self-preservation")
    assert re.findall(r'href="(/[^"]*)"', fetch(f"http://127.0.0.1:{v.port}/ctx/lastn")[2].decode()) == ["/ctx/dash"]


def test_the_endpoints_of_a_registry(registry):
    v = registry()
    links = follow_index(f"http://127.0.0.1:{v.port}/ctx/actuator")
    assert links["registry"]["href"].endswith("/ctx/actuator/registry")
    v = registry({"management.endpoints.web.base-path": "manage/"})
    follow_index(f"http://127.0.0.1:{v.port}/ctx/manage")
    assert fetch(f"http://127.0.0.1:{v.port}/ctx/actuator/health")[0] == 404


@pytest.mark.parametrize("target", OUTSIDE)
def test_outside_of_the_context_path(registry, connect, target):
    c = connect(registry())
    for method in ("GET", "POST"):
        r = c.request(method, target, body=b"x" if method == "POST" else None)
        assert r.status == 404 and json.loads(r.body)["path"] == (target.replace("http://h.test", "") or "/")


def test_what_looks_like_a_way_out(registry, connect):
    """What is behind the context path is judged as it is without one: no step up leads anywhere."""
    c = connect(registry())
    for target in ("/ctx/../eureka/apps", "/ctx/../ctx/eureka/apps", "/ctx/x/../eureka/apps", "/ctx/%2e%2e/eureka/apps", "/ctx/..;/eureka/apps",
                   "/ctx/ctx/eureka/apps", "/ctx/..", "/ctx/../../.."):
        assert c.get(target).status == 404, target
    assert c.request("OPTIONS", "*").status == 404
    for target in ("/ctx/eureka/apps", "/ctx//eureka//apps", "http://h.test/ctx/eureka/apps", "/ctx/eureka/%61pps"):
        assert c.get(target).status == 200, target
    assert c.get("http://h.test/ctx").get("location") == "/ctx/"
    assert c.get("/ctx?x=%0d%0aSet-Cookie:a").get("location") == "/ctx/?x=%0d%0aSet-Cookie:a"
    assert c.get("/ctx/eureka/apps").status == 200  # and the connection has stayed in step
    assert c.request("POST", "/ctx", body=b"x").status == 302


def test_who_may_is_judged_below_the_context_path(registry):
    v = registry({"spring.security.user.name": "u", "spring.security.user.password": "p"})
    basic = {"Authorization": "Basic dTpw"}
    top = f"http://127.0.0.1:{v.port}"
    for path in ("/ctx/eureka/apps", "/ctx/", "/ctx/lastn", "/ctx/vine/watch", "/ctx//eureka/apps"):
        assert fetch(top + path)[0] == 401, path
        assert fetch(top + path, **basic)[0] == 200, path
    v.wait_log("path=/ctx/eureka/apps")  # who was not let in asked for this
    foreign = {"X-Forwarded-For": "192.0.2.1"}
    status, _, body = fetch(top + "/ctx/actuator/health", **foreign)
    assert status == 200 and set(json.loads(body)) <= {"status", "groups"}
    assert fetch(top + "/ctx/actuator/env", **foreign)[0] == 401
    assert fetch(top + "/ctx/actuator/env", **foreign, **basic)[0] == 200
    assert fetch(top + "/ctx/actuator/registry/accept-size", "POST", Origin="http://elsewhere", **basic)[0] == 403
    assert fetch(top + "/eureka/apps")[0] == 404


def test_registries_below_context_paths_are_peers(registry):
    a = registry()
    b = registry({"eureka.client.service-url.defaultZone": a.url, "server.servlet.context-path": "/other/one"})
    b.eureka = Eureka(b.port, base="/other/one/eureka")
    manage = Eureka(b.port, base="/other/one/actuator")
    wait_for(lambda: [p["state"] for p in manage.get("/registry").json()["peers"]] == ["up"], "the peer")
    b.eureka.register()
    wait_for(lambda: a.eureka.find(), "the copy")


def test_a_registry_in_itself(registry):
    v = registry({"eureka.client.register-with-eureka": True, "spring.application.name": "reg", "eureka.instance.prefer-ip-address": True,
                  "management.endpoints.web.base-path": "/manage"})
    inst = wait_for(lambda: v.eureka.apps().get("REG"), "its own instance").popitem()[1]
    assert inst["metadata"]["management.context-path"] == "/ctx/manage"
    for url in own_urls(inst):
        assert fetch(url)[0] == 200, url


# --- the gateway ---

@pytest.fixture
def gate(vine, upstream):
    def start(props=None, servers=None, **kw):
        up = upstream(serve(ok(b"fine")))
        routes = {"zuul.routes.orders": "/orders/**", "zuul.routes.whole.path": "/whole/**", "zuul.routes.whole.serviceId": "orders",
                  "zuul.routes.whole.stripPrefix": False}
        given = {k: v for k, v in {**CTX, **routes, **(props or {})}.items() if v is not None}
        gw = vine("gateway", config=config(given, {"orders": [up], **(servers or {})}), **kw)
        gw.up = up
        gw.top = f"http://127.0.0.1:{gw.port}"
        return gw

    return start


def test_routes_below_a_context_path(gate, connect):
    gw = gate()
    c = connect(gw)
    assert c.get("/ctx/orders/1?x=2").body == b"fine"
    seen = gw.up.requests[-1]
    assert (seen.target, seen.get("x-forwarded-prefix")) == ("/1?x=2", "/ctx/orders")
    assert c.get("/ctx/whole/1").status == 200
    seen = gw.up.requests[-1]
    assert (seen.target, seen.get("x-forwarded-prefix")) == ("/whole/1", "/ctx")
    assert c.request("POST", "http://h.test/ctx/orders/2", body=b"abc").status == 200
    assert gw.up.requests[-1].target == "/2"
    assert c.get("/ctx/orders/1", "X-Forwarded-Prefix: /evil").status == 200
    assert gw.up.requests[-1].get("x-forwarded-prefix") == "/ctx/orders"
    n = len(gw.up.requests)
    assert c.get("/orders/1").status == 404 and c.get("/ctx/ctx/orders/1").status == 404
    assert c.get("/ctx/../orders/1").status == 400 and c.get("/ctx/%2e%2e/orders/1").status == 400
    assert len(gw.up.requests) == n


@pytest.mark.parametrize("context, said, path, want", [
    ("/ctx", "/front", "/ctx/orders/1", "/front/orders"), ("/ctx", "/front/", "/ctx/orders/1", "/front/orders"),
    ("/ctx", "/front", "/ctx/whole/1", "/front"), ("/", "/front", "/whole/1", "/front"), ("/", None, "/whole/1", None),
    ("/", "/front", "/orders/1", "/front/orders")])
def test_the_prefix_that_a_trusted_proxy_tells(gate, connect, context, said, path, want):
    """It stands for the context path, as in Zuul; and passes where the route strips nothing."""
    gw = gate({"vine.gateway.trusted-proxies": "127.0.0.0/8", "server.servlet.context-path": context})
    assert connect(gw).get(path, *([f"X-Forwarded-Prefix: {said}"] if said else [])).status == 200
    assert gw.up.requests[-1].get("x-forwarded-prefix") == want


@pytest.mark.parametrize("target", [*OUTSIDE, "*"])
def test_outside_of_a_gateway_s_context_path(gate, connect, target):
    """As every other request that no route takes: answered as JSON, and in the access log as it came."""
    gw = gate({"vine.gateway.access-log": "stdout", "zuul.routes.all.path": "/**", "zuul.routes.all.serviceId": "orders"})
    r = connect(gw).request("OPTIONS" if target == "*" else "GET", target)
    said = json.loads(r.body)
    path = target.replace("http://h.test", "") or "/"
    assert (r.status, said["cause"]) == (404, "no_route")
    assert said["path"] == path.replace("*", "")
    assert gw.up.requests == []
    line = gw.wait_log(r"^.*\baccess\b.* status=404 .*$").group(0)
    assert re.search(rf'path="?{re.escape(path)}"? ', line) and "cause=no_route" in line


def test_log_and_errors_show_the_whole_path(gate, connect):
    gw = gate({"vine.gateway.access-log": "stdout"})
    c = connect(gw)
    assert json.loads(c.get("/ctx/none/1").body)["path"] == "/ctx/none/1"
    assert "path=/ctx/none/1" in gw.wait_log(r"^.*\baccess\b.*status=404.*$").group(0)
    assert c.get("/ctx/orders/1").status == 200
    assert "path=/ctx/orders/1" in gw.wait_log(r"^.*\baccess\b.*status=200.*$").group(0)


def test_a_gateway_s_endpoints(gate):
    gw = gate({"management.endpoints.web.base-path": "/manage"})
    links = follow_index(gw.top + "/ctx/manage")
    assert links["routes"]["href"] == gw.top + "/ctx/manage/routes"
    assert fetch(gw.top + "/ctx/manage/hystrix.stream")[0] == 200
    for path in ("/ctx/hystrix.stream", "/ctx/hystrix/config.stream", "/ctx/hystrix/utilization.stream"):
        assert fetch(gw.top + path)[0] == 200, path
    for path in ("/manage", "/manage/health", "/actuator", "/ctx/actuator/health", "/hystrix.stream", "/ctx/manage/../health", "/ctx/managed"):
        assert fetch(gw.top + path)[0] in (400, 404), path
    assert fetch(gw.top + "/ctx/manage/circuits/orders", "POST", Origin="http://elsewhere")[0] == 403
    assert fetch(gw.top + "/ctx/manage/health", **{"X-Forwarded-For": "192.0.2.1"})[0] == 200
    assert fetch(gw.top + "/ctx/manage/env", **{"X-Forwarded-For": "192.0.2.1"})[0] == 403
    uris = [t["values"] for t in get(gw.port, "/ctx/manage/metrics/http.server.requests")["availableTags"] if t["tag"] == "uri"][0]
    assert "/manage/health" in uris  # without the context path, as in Boot


def test_boot_1_s_names(gate):
    gw = gate({"server.servlet.context-path": None, "server.contextPath": "/one", "management.context-path": "/manage"})
    follow_index(gw.top + "/one/manage")


def management_port(v):
    return int(re.search(r"\(management http://127\.0\.0\.1:(\d+)", str(v.out)).group(1))


def test_endpoints_on_a_port_of_their_own(gate):
    gw = gate({"management.server.port": 0, "management.server.base-path": "/m"})
    port = management_port(gw)
    assert f"(management http://127.0.0.1:{port}/m/actuator)" in str(gw.out)
    follow_index(f"http://127.0.0.1:{port}/m/actuator")
    assert fetch(f"http://127.0.0.1:{port}/m/hystrix.stream")[0] == 200
    assert fetch(f"http://127.0.0.1:{port}/m")[:2] == (302, "/m/")
    for path in ("/actuator", "/ctx/actuator", "/ctx/m/actuator", "/mm/actuator", "/"):
        status, _, body = fetch(f"http://127.0.0.1:{port}{path}")
        assert status == 404 and json.loads(body)["path"] == path
    assert fetch(gw.top + "/ctx/m/actuator")[0] == 404 and fetch(gw.top + "/ctx/actuator")[0] == 404
    assert fetch(gw.top + "/ctx/orders/1")[0] == 200


def test_endpoints_at_the_top_of_their_port(gate):
    gw = gate({"management.server.port": 0, "management.endpoints.web.base-path": "/"})
    top = f"http://127.0.0.1:{management_port(gw)}"
    assert f"(management {top})" in str(gw.out)
    links = json.loads(fetch(top + "/")[2])["_links"]
    assert links["self"]["href"] == top and links["health"]["href"] == top + "/health"
    assert fetch(top + "/health")[0] == 200 and fetch(top + "/actuator/health")[0] == 404


def test_endpoints_at_the_top_of_the_port_of_all(gate, connect):
    """As in Boot: they come before what else is served there, and have no index, for the top is somebody else's."""
    gw = gate({"management.endpoints.web.base-path": "/", "zuul.routes.all.path": "/**", "zuul.routes.all.serviceId": "orders",
               "zuul.routes.all.stripPrefix": False})
    assert json.loads(fetch(gw.top + "/ctx/health")[2])["status"] == "UP"
    assert fetch(gw.top + "/ctx/routes/details")[0] == 200 and gw.up.requests == []
    for path in ("/", "/healthy", "/actuator/health"):
        assert fetch(gw.top + "/ctx" + path)[2] == b"fine", path
        assert gw.up.requests[-1].target == path
    assert f"(management {gw.top}/ctx)" in str(gw.out)


def test_a_base_path_of_the_management_port_needs_the_port(gate):
    gw = gate({"management.server.base-path": "/m"})
    follow_index(gw.top + "/ctx/actuator")


def test_a_fleet_below_a_context_path_is_added_up(registry, vine, gate, connect):
    """They say in their metadata where their streams are; what they register of themselves leads to them."""
    r = registry()
    joins = {"eureka.client.enabled": True, "eureka.client.service-url.defaultZone": r.url, "spring.application.name": "fleet",
             "eureka.instance.prefer-ip-address": True}
    other = {"management.server.port": 0, "management.server.base-path": "/m", "management.endpoints.web.base-path": "/"}
    fleet = [gate({**joins, "management.endpoints.web.base-path": "/manage"}), gate({**joins, **other}), gate({**joins, "server.servlet.context-path": "/"})]
    found = wait_for(lambda: len(r.eureka.apps().get("FLEET", {})) == 3 and r.eureka.apps()["FLEET"], "the fleet")
    paths = {i["port"]["$"]: i["metadata"].get("management.context-path") for i in found.values()}
    assert [paths[gw.port] for gw in fleet] == ["/ctx/manage", "/m", None]
    for inst in found.values():
        for url in own_urls(inst)[1:]:
            assert fetch(url)[0] == 200, url
        assert inst["homePageUrl"].endswith("/ctx/" if paths[inst["port"]["$"]] else f":{inst['port']['$']}/")
    for gw in fleet:
        assert connect(gw).get("/orders/1" if gw is fleet[2] else "/ctx/orders/1").status == 200
    gw = gate({**joins, "spring.application.name": "watcher", "turbine.app-config": "fleet", "ribbon.eureka.enabled": True})
    listed = wait_for(lambda: json.loads(fetch(gw.top + "/ctx/actuator/clusters")[2]), "the clusters")
    link = {c["name"]: c["link"] for c in listed}["FLEET"]
    assert link == gw.top + "/ctx/turbine.stream?cluster=FLEET"
    c = peers.Client(gw.port)
    c.send(peers.request_bytes(target=link[len(gw.top):], host="127.0.0.1"))
    head = c.read_response(body=False)
    assert head.status == 200
    rest = b""
    for piece in c.chunks(head):
        rest += piece
        hosts = re.findall(rb'"type":"HystrixCommand","name":"orders".*?"reportingHosts":(\d+)', rest)
        if b"3" in hosts:
            break
    c.close()
    assert b"/ctx/actuator/clusters names" in fetch(gw.top + "/ctx/turbine.stream?cluster=nix")[2]


# --- a service on libvine ---

def test_a_service_below_a_context_path(service, registry, connect):  # noqa: F811
    r = registry()
    s = service({**CTX, "eureka.client.enabled": True, "eureka.client.service-url.defaultZone": r.url, "eureka.instance.prefer-ip-address": True})
    c = connect(s)
    top = f"http://127.0.0.1:{s.port}"
    assert f"ready: {top}/ctx pid" in str(s.out)
    said = json.loads(c.get("/ctx/hello/x?q=1").body)
    assert (said["name"], said["path"]) == ("x", "/ctx/hello/x")
    assert c.request("POST", "/ctx/echo", ["Content-Type: a/b"], b"abc").body == b"abc"
    for target in [*OUTSIDE, "/hello/x", "/actuator/health", "/hystrix.stream"]:
        assert c.get(target).status == 404, target
    assert json.loads(c.get("/hello/x").body)["path"] == "/hello/x"
    assert c.request("OPTIONS", "*").status == 404
    assert c.get("/ctx").get("location") == "/ctx/"
    assert fetch(top + "/ctx/hystrix.stream")[0] == 200
    links = json.loads(c.get("/ctx/actuator").body)["_links"]
    for link in links.values():
        assert link["href"].startswith("/ctx/actuator")
        if not link["templated"]:
            assert fetch(top + link["href"])[0] in (200, 404), link  # 404: serviceregistry, before it is registered
    inst = wait_for(lambda: r.eureka.apps().get("TESTER"), "its registration").popitem()[1]
    assert own_urls(inst) == [top + "/ctx/", top + "/ctx/actuator/info", top + "/ctx/actuator/health"]
    assert inst["metadata"]["management.context-path"] == "/ctx/actuator"
    assert fetch(inst["healthCheckUrl"])[0] == 200


def test_a_service_s_endpoints_elsewhere(service, connect):  # noqa: F811
    c = connect(service({"management.endpoints.web.base-path": "/manage"}))
    assert json.loads(c.get("/manage/health").body)["status"] == "UP"
    assert json.loads(c.get("/manage").body)["_links"]["info"]["href"] == "/manage/info"
    assert c.get("/actuator/health").status == 404 and c.get("/hystrix/config.stream", "X-Forwarded-For: 192.0.2.1").status == 403
    c = connect(service({**CTX, "management.endpoints.web.base-path": "/"}))
    assert json.loads(c.get("/ctx/health/readiness").body)["status"] == "UP"
    assert c.get("/ctx/").status == 404 and c.get("/ctx/hello/x").status == 200


# --- all of it ---

@pytest.mark.parametrize("single", [False, True], ids=["processes", "single"])
def test_vine_up_tells_its_gateway_where_the_registry_is(vine, single):
    held, port = peers.free_port()
    held.close()  # one process tells its gateway a port that is known before it listens
    ports = {"registry": port if single else 0, "gateway": 0}
    v = vine("up", *(["--single"] if single else []), config="".join(f"{k}: {json.dumps(v)}\n" for k, v in {
        "server.servlet.context-path": "/all/of/it", "vine.registry.snapshot.enabled": False,
        **{f"vine.up.ports.{role}": port for role, port in ports.items()}}.items()))
    found = v.out.wait(r"vine registry ready: http://127\.0\.0\.1:(\d+)/all/of/it \(management \S+/all/of/it/actuator\)")
    r = Eureka(int(found.group(1)), base="/all/of/it/eureka")
    inst = wait_for(lambda: r.apps().get("VINE-GATEWAY"), "the gateway's registration").popitem()[1]
    assert inst["healthCheckUrl"].endswith("/all/of/it/actuator/health")
    assert call(inst["port"]["$"], "/all/of/it/actuator/health")[0] == 200
