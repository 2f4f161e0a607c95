"""Vine's discovery client, in the gateway: which registry it asks, what it does when they fail, forget or send it elsewhere."""
import base64
import json
import re
import subprocess
import threading
import time

import pytest

import gateway
from eureka_double import EurekaDouble
from manage import call, get
from names import dns, names  # noqa: F401 (a fixture)
from peers import ok, reply, serve
from registry_client import Eureka, instance
from registry_cluster import Cluster
from vine import wait_for

QUICK = {
    "eureka.client.enabled": "true", "ribbon.eureka.enabled": "true",
    "eureka.client.registry-fetch-interval-seconds": "50ms",
    "eureka.instance.lease-renewal-interval-in-seconds": 1, "eureka.instance.lease-expiration-duration-in-seconds": 3,
    "zuul.routes.shop.path": "/shop/**", "zuul.routes.shop.serviceId": "shop",
}
NORTH_SOUTH = {"eureka.client.availability-zones.us-east-1": "north,south", "eureka.instance.metadata-map.zone": "north"}


def start(vine, properties, **kw):
    return vine("gateway", config=gateway.config({**QUICK, **properties}), **kw)


def url_of(double):
    return {"eureka.client.service-url.defaultZone": double.url if hasattr(double, "url") else double}


def state(v):
    return get(v.port, "/actuator/eureka")


def place(v, double):
    return next(r for r in state(v)["registries"] if r["url"].startswith(f"http://{double.up.address}/"))


def wait_fetches(double, n=3):
    """Further ones, from now on."""
    before = len(double.seen("GET"))
    double.up.wait(lambda: len(double.seen("GET")) >= before + n, f"{n} more fetches")


def failing(status=500, only=None):
    return lambda r: reply(status) if only is None or only(r) else None


# --- which one is asked ---


def test_own_zone_first_then_the_other_and_home_after_the_session(vine, upstream):
    north, south = EurekaDouble(upstream), EurekaDouble(upstream)
    v = start(vine, {**NORTH_SOUTH, "eureka.client.service-url.north": north.url, "eureka.client.service-url.south": south.url})
    north.wait_seen("GET", 5)
    north.wait_seen("POST")
    assert not south.up.requests
    assert (place(v, north)["zone"], place(v, north)["ownZone"], place(v, south)["ownZone"]) == ("north", True, False)
    north.script = failing()
    south.wait_seen("GET", 5)
    seen = len(north.seen("GET"))
    wait_fetches(south)
    assert len(north.seen("GET")) == seen, "who failed is left alone"
    assert place(v, north)["quarantined"] and place(v, north)["lastFailure"] == "status 500"
    assert place(v, south)["inUse"] and state(v)["quarantined"] == 1
    assert get(v.port, "/actuator/health")["status"] == "UP"
    assert v.wait_log("another registry is used")
    assert "registry lost" not in v.logs()


def test_metadata_zone_names_the_own_one_and_others_fall_back_to_default_zone(vine, upstream):
    first, own = EurekaDouble(upstream), EurekaDouble(upstream)
    v = start(vine, {"eureka.client.region": "home", "eureka.client.availability-zones.home": "north,South",
                     "eureka.instance.metadata-map.zone": "South", "eureka.client.service-url.South": own.url,
                     "eureka.client.service-url.defaultZone": first.url, "eureka.client.service-url.south": "http://127.0.0.1:1/eureka/"})
    own.wait_seen("GET", 3)
    assert not first.up.requests
    assert place(v, first)["zone"] == "north", "a zone without URLs has those of defaultZone"
    assert v.wait_log(r"registries of this zone are not asked.*zone=south"), "map keys are case-sensitive"


def test_without_preference_all_stand_in_one_row(vine, upstream):
    north, south = EurekaDouble(upstream), EurekaDouble(upstream)
    v = start(vine, {**NORTH_SOUTH, "eureka.client.prefer-same-zone-eureka": "false",
                     "eureka.client.service-url.north": north.url, "eureka.client.service-url.south": south.url})
    wait_for(lambda: north.up.requests or south.up.requests, "a fetch")
    assert place(v, north)["ownZone"] and place(v, south)["ownZone"]


def test_three_tries_a_request_each_with_another(vine, upstream):
    doubles = [EurekaDouble(upstream) for _ in range(5)]
    for d in doubles:
        d.script = failing(503)
    v = start(vine, {**url_of(",".join(d.url for d in doubles)), "eureka.client.register-with-eureka": "false",
                     "eureka.client.registry-fetch-interval-seconds": 3600})
    v.wait_log("registry lost.*why=\"status 503\" registries=5")
    wait_for(lambda: sum(len(d.up.requests) for d in doubles) >= 3, "three tries")
    assert state(v)["state"] == "lost"
    asked = sorted(len(d.up.requests) for d in doubles)
    assert asked[-1] <= 1 + (sum(asked) - 1) // 3, f"nobody twice in one request: {asked}"


def test_each_has_its_own_credentials_percent_decoded(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    for d in (a, b):
        d.script = failing(401, lambda r: r.get("authorization") is None)
    v = start(vine, url_of(f"http://us%3Aer:p%40ss@{a.up.address}/eureka/,http://b:secret@{b.up.address}/eureka/"))
    wait_for(lambda: a.seen("GET") or b.seen("GET"), "a fetch")
    used, other = (a, b) if a.seen("GET") else (b, a)
    used.script = failing(401)
    other.wait_seen("GET")
    want = {a: "us:er:p@ss", b: "b:secret"}
    for d in (a, b):
        for r in d.up.requests:
            assert base64.b64decode(r.get("authorization").split()[1]).decode() == want[d]
    place_of_used = wait_for(lambda: place(v, used)["failures"] and place(v, used), "its failure to be known")
    assert "wants other credentials" in place_of_used["lastFailure"]
    text = json.dumps(state(v))
    assert "secret" not in text and "p@ss" not in text and "secret" not in v.logs()


def test_a_token_for_those_without_credentials(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    a.script = failing(503)
    start(vine, {**NORTH_SOUTH, "eureka.client.service-url.north": a.url, "vine.eureka.client.token": "abc.def",
                 "eureka.client.service-url.south": f"http://b:pw@{b.up.address}/eureka/"})
    b.wait_seen("GET")
    assert {r.get("authorization") for r in a.up.requests} == {"Bearer abc.def"}
    assert {r.get("authorization") for r in b.up.requests} == {"Basic " + base64.b64encode(b"b:pw").decode()}


def certificate(folder, name="127.0.0.1"):
    """(certificate, key) for that address, signed by itself."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-addext", f"subjectAltName=IP:{name}", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def test_registries_by_https(vine, tmp_path):
    cert, key = certificate(tmp_path)
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1", f"--server.ssl.certificate={cert}",
             f"--server.ssl.certificate-private-key={key}")
    url = f"https://127.0.0.1:{r.port}/eureka/"
    v = start(vine, {**url_of(url), "eureka.client.tls.enabled": "true", "eureka.client.tls.trust-certificate": str(cert),
                     "server.ssl.certificate": str(cert), "server.ssl.certificate-private-key": str(key),
                     "management.server.port": 0, "management.server.address": "127.0.0.1", "management.server.ssl.enabled": "false"}, ready=False)
    v.wait_ready()
    management = int(re.search(r"management https?://127.0.0.1:(\d+)/", v.logs()).group(1))
    seen = lambda: get(management, "/actuator/eureka")
    wait_for(lambda: seen()["registration"]["remoteStatus"] == "UP", "us in the list")
    assert seen()["url"] == url
    us = get(management, "/actuator/serviceregistry")
    assert us == {"status": "UP", "overriddenStatus": "UNKNOWN"}
    stranger = start(vine, {**url_of(url)})
    stranger.wait_log("registry lost.*certificate")
    refused = vine("gateway", config=gateway.config({**QUICK, **url_of(url), "eureka.client.proxy-host": "127.0.0.1"}), ready=False)
    refused.expect_code = 1
    assert refused.wait() == 1
    refused.wait_log("eureka.client.proxy-host.*without TLS")


def test_a_new_list_holds_from_the_reload_on(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    v = start(vine, {**url_of(a)})
    a.wait_seen("POST")
    v.config.write_text(gateway.config({**QUICK, **url_of(b), "eureka.instance.metadata-map.colour": "green"}), encoding="utf-8")
    post = b.wait_seen("POST")[-1]
    assert json.loads(post.body)["instance"]["metadata"]["colour"] == "green", "and so does the description of ourselves"
    wait_fetches(b)
    seen = len(a.up.requests)
    wait_fetches(b)
    assert len(a.up.requests) == seen
    v.config.write_text(gateway.config({**QUICK, **url_of("ftp://x/")}), encoding="utf-8")
    v.wait_log("service-url")
    wait_fetches(b)


# --- redirects ---


def moved(to, status=302):
    return lambda r: reply(status, b"", [f"Location: {to(r)}"])


def test_a_redirect_is_followed_where_it_may_be(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    a.script = moved(lambda r: f"http://{b.up.address}{r.target}")
    v = start(vine, {**url_of(f"http://user:pw@{a.up.address}/eureka/"), "eureka.client.allow-redirects": "true"})
    b.wait_seen("GET", 4)
    b.wait_seen("PUT")
    assert b.registered
    assert len(a.up.requests) <= 2, "who was sent elsewhere stays there"
    assert all(r.get("authorization") is None for r in b.up.requests), "credentials are for whom they were written"
    assert place(v, a)["redirectedTo"].startswith(f"http://{b.up.address}/")
    b.script = failing()
    b.up.wait(lambda: len(a.up.requests) > 2, "the first one to be asked again")


def test_a_redirect_is_refused_where_it_may_not_be(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    a.script = moved(lambda r: f"http://{b.up.address}{r.target}")
    v = start(vine, url_of(a))
    v.wait_log("registry lost.*allow-redirects is false")
    assert not b.up.requests


@pytest.mark.parametrize("to", ["/login", "http://{b}/elsewhere/", "http://user:pw@{b}{t}", "nonsense", "http://{a}{t}"],
                         ids=["relative", "another question", "credentials", "no URL", "a circle"])
def test_a_redirect_that_leads_nowhere_is_a_failure(vine, upstream, to):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream)
    a.script = moved(lambda r: to.format(a=a.up.address, b=b.up.address, t=r.target))
    v = start(vine, {**url_of(a), "eureka.client.allow-redirects": "true", "eureka.client.register-with-eureka": "false"})
    v.wait_log("registry lost.*(no registry|more than 10 redirects)")
    assert not b.up.requests
    assert v.alive()


# --- what is fetched ---


def test_who_does_not_give_lists_is_passed_over(vine, upstream):
    a, b = EurekaDouble(upstream), EurekaDouble(upstream, {"shop": [("127.0.0.1", 1)]})
    a.script = failing(403, lambda r: r.method == "GET")
    v = start(vine, {**NORTH_SOUTH, "eureka.client.service-url.north": a.url, "eureka.client.service-url.south": b.url})
    wait_for(lambda: state(v)["registry"]["instances"] == 1, "the other one's list")
    assert "does not give lists" in place(v, a)["lastFailure"]


def test_the_switches_of_a_fetch(vine, upstream):
    d = EurekaDouble(upstream)
    start(vine, {**url_of(d), "eureka.client.disable-delta": "true", "eureka.client.g-zip-content": "false",
                 "eureka.client.fetch-remote-regions-registry": "us-west-1,eu"})
    d.wait_seen("GET", 4)
    for r in d.seen("GET"):
        assert r.target == "/eureka/apps/?regions=us-west-1%2Ceu"
        assert "accept-encoding" not in r
    d = EurekaDouble(upstream)
    start(vine, {**url_of(d), "eureka.client.registry-refresh-single-vip-address": "shop"})
    d.wait_seen("GET", 4)
    assert {r.target for r in d.seen("GET")} == {"/eureka/vips/shop"}
    assert all(r.get("accept-encoding") == "gzip" for r in d.seen("GET"))


def test_a_delta_that_does_not_fit_leads_to_the_whole_list(vine, upstream):
    d = EurekaDouble(upstream, {"shop": [("127.0.0.1", 1), ("127.0.0.1", 2)]})
    wrong = {"applications": {"versions__delta": "7", "apps__hashcode": "UP_9_", "application": [
        {"name": "GHOST", "instance": [{**d.instance("ghost", "127.0.0.1", 9), "actionType": "ADDED"}]}]}}
    d.script = lambda r: ok(json.dumps(wrong), "Content-Type: application/json") if r.target.endswith("/delta") else None
    v = start(vine, {**url_of(d), "eureka.client.log-delta-diff": "true"})
    wait_for(lambda: state(v)["registry"]["mismatches"] >= 1 and state(v)["registry"]["full"] >= 2, "the whole list")
    assert state(v)["registry"]["applications"] == 1 or state(v)["registry"]["held"], "the ghost is not in it"
    v.wait_log('the delta differed" what=extra app=GHOST')


# --- forgetting ---


def shops(*ports):
    return {"shop": [("127.0.0.1", p) for p in ports]}


def shop_at(up):
    return instance("SHOP", "s1", hostName="127.0.0.1", ipAddr="127.0.0.1", port={"$": up.port, "@enabled": "true"})


def serves(v, text):
    return lambda: gateway.fetch(v.port, "/shop/") == (200, text)


@pytest.mark.parametrize("hold", [True, False])
def test_a_list_that_falls_to_nothing(vine, upstream, hold):
    up = upstream(serve(ok(b"here")))
    d = EurekaDouble(upstream, shops(up.port, 1, 2))
    d.lease = 3600
    v = start(vine, {**url_of(d), "eureka.client.disable-delta": "true", "vine.eureka.hold-missing": str(hold).lower()})
    wait_for(lambda: state(v)["registry"]["instances"] == 3, "the list")
    d.set({})
    if not hold:
        wait_for(lambda: state(v)["registry"]["instances"] == 0, "the empty list to be believed")
        return
    v.wait_log("the registry lists fewer; the missing are kept for their leases.*missing=3 listed=0")
    wait_fetches(d, 5)
    assert (state(v)["registry"]["instances"], state(v)["registry"]["held"]) == (3, 3)
    d.lease = 1
    d.set(shops(up.port, 1, 2))
    wait_for(lambda: state(v)["registry"]["held"] == 0, "them to be back")
    d.set({})
    wait_for(lambda: state(v)["registry"]["instances"] == 0, "their leases to have run out")


def test_one_that_goes_is_believed_while_others_are_held(vine, upstream):
    d = EurekaDouble(upstream, shops(1, 2, 3, 4))
    d.lease = 3600
    v = start(vine, {**url_of(d), "eureka.client.disable-delta": "true"})
    wait_for(lambda: state(v)["registry"]["instances"] == 4, "the list")
    d.set(shops(1))
    v.wait_log("the registry lists fewer")
    d.set(shops(1, 6))
    wait_for(lambda: state(v)["registry"]["instances"] == 5, "a new one")
    d.set(shops(1))
    wait_for(lambda: state(v)["registry"]["instances"] == 4, "that one to be gone")
    assert state(v)["registry"]["held"] == 3


def test_a_slow_answer_on_a_kept_connection_has_the_read_timeout(vine, upstream):
    d, go = EurekaDouble(upstream, shops(1)), threading.Event()
    v = start(vine, {**url_of(d), "eureka.client.eureka-server-connect-timeout-seconds": 1, "eureka.client.register-with-eureka": "false",
                     "eureka.client.eureka-server-read-timeout-seconds": "20s"})
    d.wait_seen("GET", 3)

    def slow(_):
        d.script = None
        go.wait(2)  # longer than a connection may take

    d.script = slow
    wait_fetches(d, 3)
    assert all(r["failures"] == 0 for r in state(v)["registries"])


def test_a_single_one_that_goes_is_believed(vine, upstream):
    d = EurekaDouble(upstream, shops(1, 2, 3))
    d.lease = 3600
    v = start(vine, {**url_of(d), "eureka.client.disable-delta": "true"})
    wait_for(lambda: state(v)["registry"]["instances"] == 3, "the list")
    d.set(shops(1, 2))
    wait_for(lambda: state(v)["registry"]["instances"] == 2, "it to be gone")


def test_a_registry_restarts_empty_between_two_fetches(vine, upstream):
    up = upstream(serve(ok(b"here")))
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    Eureka(r.port).register(shop_at(up))
    v = start(vine, {**url_of(f"http://127.0.0.1:{r.port}/eureka/"), "eureka.client.disable-delta": "true", "vine.eureka.watch.enabled": "false"})
    wait_for(serves(v, b"here"), "the service through the gateway")
    before = state(v)["registry"]["full"]
    r.kill()
    fresh = vine("registry", f"--server.port={r.port}", "--server.address=127.0.0.1")
    wait_for(lambda: state(v)["registry"]["full"] > before + 3 and state(v)["registration"]["registered"], "fetches from the new one")
    assert serves(v, b"here")(), "it has not said that it is gone, and its lease runs"
    wait_for(lambda: Eureka(fresh.port).get("/apps/GW").status == 200, "us to be registered again")
    assert serves(v, b"here")()
    wait_for(lambda: state(v)["registry"]["held"] == 1, "only the other one to be held")


def test_three_registries_one_is_killed(vine, upstream):
    up = upstream(serve(ok(b"here")))
    c = Cluster(vine, 3, ["eureka.server.peer-node-read-timeout-ms=1000"])
    c.connected()
    c.nodes[0].eureka.register(shop_at(up))
    wait_for(lambda: all(n.eureka.get("/apps/SHOP").status == 200 for n in c.nodes), "all to know")
    v = start(vine, url_of(",".join(f"http://127.0.0.1:{n.port}/eureka/" for n in c.nodes)))
    wait_for(serves(v, b"here"), "the service through the gateway")
    port = int(re.search(r":(\d+)/", state(v)["url"]).group(1))
    used = next(n for n in c.nodes if n.port == port)
    used.kill()
    wait_for(lambda: f":{port}/" not in state(v)["url"] and state(v)["state"] == "ok", "another registry to be used")
    assert serves(v, b"here")()
    heartbeats = state(v)["registration"]["heartbeats"]
    wait_for(lambda: state(v)["registration"]["heartbeats"] > heartbeats, "a heartbeat to another one")
    assert "registry lost" not in v.logs()


# --- our own registration ---


def test_what_is_told_of_the_instance(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, {
        **url_of(d), "spring.cloud.nothing": "kept",
        "eureka.instance.secure-port-enabled": "true", "eureka.instance.secure-port": 8443,
        "eureka.instance.secure-virtual-host-name": "gw-tls", "eureka.instance.virtual-host-name": "gw-plain",
        "eureka.instance.a-s-g-name": "asg-1", "eureka.instance.app-group-name": "edge",
        "eureka.instance.instance-id": "${spring.application.name}:${spring.cloud.client.ip-address}:${random.value}",
        "eureka.instance.status-page-url": "http://${spring.application.name}.example/status",
        "eureka.instance.health-check-url-path": "/up", "eureka.instance.home-page-url": "http://gw.example/",
        "eureka.instance.metadata-map.startedBy": "${USER_OF_TEST:nobody}", "eureka.instance.initial-status": "STARTING",
        "eureka.instance.data-center-info.name": "Amazon",
        "eureka.instance.data-center-info.metadata.instance-id": "i-1",
        "eureka.instance.data-center-info.metadata.availability-zone": "us-east-1c",
    })
    i = json.loads(d.wait_seen("POST")[0].body)["instance"]
    assert i["port"] == {"$": v.port, "@enabled": "true"} and i["securePort"] == {"$": 8443, "@enabled": "true"}
    assert (i["vipAddress"], i["secureVipAddress"], i["asgName"], i["appGroupName"]) == ("gw-plain", "gw-tls", "asg-1", "EDGE")
    assert re.fullmatch(r"gw:\d+\.\d+\.\d+\.\d+:[0-9a-f]{32}", i["instanceId"])
    assert i["statusPageUrl"] == "http://gw.example/status" and i["homePageUrl"] == "http://gw.example/"
    assert i["healthCheckUrl"] == f"http://127.0.0.1:{v.port}/up" and i["secureHealthCheckUrl"] == "https://127.0.0.1:8443/up"
    assert i["metadata"] == {"startedBy": "nobody", "management.port": str(v.port)}
    assert i["status"] == "STARTING"
    assert i["dataCenterInfo"]["name"] == "Amazon" and i["dataCenterInfo"]["metadata"]["availability-zone"] == "us-east-1c"
    assert i["leaseInfo"]["renewalIntervalInSecs"] == 1 and i["leaseInfo"]["durationInSecs"] == 3


def test_only_tls_is_told(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, {**url_of(d), "eureka.instance.secure-port-enabled": "true", "eureka.instance.non-secure-port-enabled": "false"})
    i = json.loads(d.wait_seen("POST")[0].body)["instance"]
    assert i["port"]["@enabled"] == "false" and i["securePort"] == {"$": v.port, "@enabled": "true"}
    assert i["homePageUrl"] == f"https://127.0.0.1:{v.port}/" and i["secureHealthCheckUrl"] == f"https://127.0.0.1:{v.port}/actuator/health"


def test_the_management_port_is_told(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, {**url_of(d), "management.server.port": 0, "management.server.address": "127.0.0.1"})
    i = json.loads(d.wait_seen("POST")[0].body)["instance"]
    port = i["metadata"]["management.port"]
    assert port != str(v.port)
    assert i["healthCheckUrl"] == f"http://127.0.0.1:{port}/actuator/health" and i["homePageUrl"] == f"http://127.0.0.1:{v.port}/"
    assert get(int(port), "/actuator/health")["status"] == "UP"


def test_a_first_registration_that_must_succeed(vine, upstream):
    d = EurekaDouble(upstream)
    d.script = failing(500, lambda r: r.method == "POST")
    v = start(vine, {**url_of(d), "eureka.client.should-enforce-registration-at-init": "true"}, ready=False)
    v.expect_code = 1
    assert v.wait() == 1
    v.wait_log('not registered, and eureka.client.should-enforce-registration-at-init is true" why="status 500"')
    d.script = None
    v = start(vine, {**url_of(d), "eureka.client.should-enforce-registration-at-init": "true"})
    d.wait_seen("PUT")
    assert v.alive()


def test_it_stays_registered_where_it_shall(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, {**url_of(d), "eureka.client.should-unregister-on-shutdown": "false"})
    d.wait_seen("POST")
    v.stop()
    assert not d.seen("DELETE") and d.registered


def test_nothing_follows_the_goodbye(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, {**url_of(d), "eureka.client.healthcheck.enabled": "true"})
    d.wait_seen("PUT")
    v.stop()
    assert [r.method for r in d.up.requests if r.method != "GET"][-1] == "DELETE" and len(d.seen("DELETE")) == 1
    assert not d.registered


def test_a_404_registers_again_with_a_newer_stamp(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, url_of(d))
    first = json.loads(d.wait_seen("POST")[0].body)["instance"]
    d.forget()
    again = json.loads(d.wait_seen("POST", 2)[1].body)["instance"]
    assert int(again["lastDirtyTimestamp"]) > int(first["lastDirtyTimestamp"]) and again["instanceId"] == first["instanceId"]
    assert v.wait_log("the registry does not know us")


# --- overrides ---


def test_an_operator_takes_it_out_and_back(vine):
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    v = start(vine, {**url_of(f"http://127.0.0.1:{r.port}/eureka/"), "eureka.client.healthcheck.enabled": "true",
                     "eureka.client.instance-info-replication-interval-seconds": 1,
                     "eureka.client.initial-instance-info-replication-interval-seconds": 1})
    there = lambda: Eureka(r.port).get("/apps/GW").json()["application"]["instance"][0]
    ours = lambda: get(v.port, "/actuator/serviceregistry")
    wait_for(lambda: state(v)["registration"]["registered"], "the registration")
    assert ours() == {"status": "UP", "overriddenStatus": "UNKNOWN"}
    assert call(v.port, "/actuator/serviceregistry", "POST", '{"status":"OUT_OF_SERVICE"}', Content_Type="application/json")[0] == 200
    assert ours() == {"status": "OUT_OF_SERVICE", "overriddenStatus": "OUT_OF_SERVICE"}
    wait_for(lambda: state(v)["registration"]["overriddenStatus"] == "OUT_OF_SERVICE", "us to see it in the list")
    assert v.wait_log("the registry overrides our status")
    beats = state(v)["registration"]["heartbeats"]
    wait_for(lambda: state(v)["registration"]["heartbeats"] > beats + 2, "heartbeats, and looks at the health, meanwhile")
    assert there()["status"] == "OUT_OF_SERVICE", "a good health does not cancel what an operator set"
    assert call(v.port, "/actuator/serviceregistry", "POST", '{"status":"CANCEL_OVERRIDE"}')[0] == 200
    assert ours() == {"status": "UP", "overriddenStatus": "UNKNOWN"}
    assert v.wait_log("no longer overrides")
    for bad in ('{"status":"SIDEWAYS"}', '{"status":', "", "[]", '{"state":"UP"}'):
        assert call(v.port, "/actuator/serviceregistry", "POST", bad)[0] == 400, bad


def test_an_override_that_nobody_takes(vine, upstream):
    d = EurekaDouble(upstream)
    v = start(vine, url_of(d))
    d.wait_seen("PUT")
    d.script = failing(503)
    status, _, body = call(v.port, "/actuator/serviceregistry", "POST", '{"status":"DOWN"}')
    assert (status, body["message"]) == (503, "status 503")
    assert call(v.port, "/actuator/serviceregistry")[0] == 503
    v = start(vine, {**url_of(d), "eureka.client.register-with-eureka": "false"})
    assert call(v.port, "/actuator/serviceregistry", "POST", '{"status":"DOWN"}')[0] == 404


# --- elsewhere: a proxy, DNS ---


def test_through_a_proxy(vine, upstream):
    proxy = EurekaDouble(upstream)
    proxy.script = lambda r: ok(json.dumps(proxy.apps())) if r.method == "GET" else reply(204)
    v = start(vine, {**url_of("http://registry.internal:8761/eureka/"), "eureka.client.proxy-host": "127.0.0.1",
                     "eureka.client.proxy-port": proxy.up.port, "eureka.client.proxy-user-name": "me", "eureka.client.proxy-password": "pw"})
    get_ = proxy.wait_seen("GET")[0]
    assert get_.target == "http://registry.internal:8761/eureka/apps/" and get_.get("host") == "registry.internal:8761"
    assert get_.get("proxy-authorization") == "Basic " + base64.b64encode(b"me:pw").decode()
    assert proxy.wait_seen("POST")[0].target == "http://registry.internal:8761/eureka/apps/GW"
    assert state(v)["url"] == "http://registry.internal:8761/eureka/"


def test_registries_from_dns(vine, upstream, names):
    d = EurekaDouble(upstream, {"shop": [("127.0.0.1", 1)]})
    n = names({"txt.home.shop.test": ["north.shop.test", "south.shop.test"], "txt.north.shop.test": ["localhost"],
               "txt.south.shop.test": ["\"127.0.0.9\" 127.0.0.8"]})
    v = start(vine, {**dns(n, d.up.port), "eureka.client.availability-zones.home": "north,south",
                     "eureka.client.eureka-service-url-poll-interval-seconds": 1})
    wait_for(lambda: state(v)["registry"]["instances"] == 1, "the list")
    assert [(r["url"].split(":")[1].strip("/"), r["zone"], r["ownZone"]) for r in state(v)["registries"]][0] == ("localhost", "north", True)
    assert {r["url"].split(":")[1].strip("/") for r in state(v)["registries"]} == {"localhost", "127.0.0.8", "127.0.0.9"}
    assert state(v)["dns"] == "ok" and d.registered
    n.zone = {"txt.home.shop.test": ["north.shop.test"], "txt.north.shop.test": ["127.0.0.1"]}
    wait_for(lambda: [r["url"] for r in state(v)["registries"]] == [f"http://127.0.0.1:{d.up.port}/eureka/"], "the list to be renewed")
    n.zone = {}
    v.wait_log("registries cannot be looked up; those known are kept.*no TXT record of txt.home.shop.test")
    assert len(state(v)["registries"]) == 1 and state(v)["dns"] == "no TXT record of txt.home.shop.test"
    wait_fetches(d)


def test_names_that_come_late(vine, upstream, names):
    d = EurekaDouble(upstream)
    n = names({})
    v = start(vine, {**dns(n, d.up.port), "eureka.client.eureka-service-url-poll-interval-seconds": 1})
    v.wait_log("registries cannot be looked up")
    assert state(v)["registries"] == [] and v.alive()
    n.zone = {"txt.home.shop.test": ["n.shop.test"], "txt.n.shop.test": ["127.0.0.1"]}
    d.wait_seen("POST")
    d.wait_seen("GET", 3)


@pytest.mark.speed
def test_a_name_server_that_is_silent_holds_nobody_up(vine, names):
    n = names(None)
    v = start(vine, dns(n, 1))
    wait_for(lambda: n.asked, "a question")
    assert get(v.port, "/actuator/health")["status"] == "UP"
    assert state(v)["state"] == "never answered"
    began = time.monotonic()
    v.stop()
    assert time.monotonic() - began < 4, "nor the end of the process"


@pytest.mark.parametrize("wrong", [("eureka.client.eureka-server-d-n-s-name", ""), ("eureka.client.eureka-server-port", "x"),
                                   ("vine.eureka.dns-server", "resolver")], ids=["no domain", "no port", "no server"])
def test_dns_settings_that_stop_the_start(vine, wrong):
    given = {"eureka.client.use-dns-for-fetching-service-urls": "true", "eureka.client.eureka-server-d-n-s-name": "shop.test", wrong[0]: wrong[1]}
    v = vine("gateway", config=gateway.config({**QUICK, **given}), ready=False)
    v.expect_code = 1
    assert v.wait() == 1
    v.wait_log(re.escape(wrong[0]))
