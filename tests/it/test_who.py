"""Who may speak to a registry, and how peers, gateways and services show who they are: Basic, bearer tokens, certificates."""
import base64
import json
import pathlib
import re
import signal

import pytest

import gateway
from manage import call
from peers import ok, serve
from registry_client import Eureka, instance
from test_libvine import binary, service  # noqa: F401 (fixtures)
from tls import Authority, client_context, over_tls, request
from vine import wait_for

SECRET = "s3cr3t:with@all/of%it"  # what must be percent-encoded in a URL
CODED = "s3cr3t%3Awith%40all%2Fof%25it"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority):
    return authority.issue("server")


def registry(vine, props=None, **kw):
    given = {"server.port": "0", "server.address": "127.0.0.1", "vine.workers": "2", "vine.registry.snapshot.enabled": "false",
             **(props or {})}
    kw.setdefault("config", "".join(f"{k}: {json.dumps(v)}\n" for k, v in given.items()))
    v = vine("registry", **kw)
    v.eureka = Eureka(v.port)
    return v


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


BOOT = {"spring.security.user.name": "boot", "spring.security.user.password": SECRET}


# --- Basic and tokens ---


def test_nobody_is_asked_by_default(vine):
    assert registry(vine).eureka.get("/apps").status == 200


@pytest.mark.parametrize("method, path", [
    ("GET", "/eureka/apps"), ("GET", "/eureka/v2/apps/delta"), ("POST", "/eureka/apps/X"), ("PUT", "/eureka/apps/X/y"),
    ("DELETE", "/eureka/apps/X/y"), ("GET", "/eureka/status"), ("POST", "/eureka/peerreplication/batch/"),
    ("GET", "/eureka/serverinfo/statusoverrides"), ("GET", "/vine/watch"), ("GET", "/"), ("GET", "/lastn"), ("GET", "//eureka/apps"),
])
def test_everything_asks(vine, method, path):
    v = registry(vine, {**BOOT, "vine.registry.auth.tokens.ci": "t-ci"})
    status, _, body = call(v.port, path, method)
    assert status == 401 and body["status"] == 401
    status = call(v.port, path, method, **basic("boot", "wrong"))[0]
    assert status == 401
    assert call(v.port, path + "?wait=0", method, Accept="application/json", **basic("boot", SECRET))[0] not in (401, 403)


def test_the_question_names_the_ways(vine):
    v = registry(vine, {**BOOT, "vine.registry.auth.tokens.ci": "t-ci"})
    ways = v.eureka.get("/apps").headers.get_all("WWW-Authenticate")
    assert ways == ['Basic realm="vine", charset="UTF-8"', 'Bearer realm="vine"']
    assert v.eureka.get("/apps", Authorization="Bearer no").headers.get_all("WWW-Authenticate")[1].endswith('error="invalid_token"')
    v = registry(vine, BOOT)
    assert v.eureka.get("/apps").headers.get_all("WWW-Authenticate") == ['Basic realm="vine", charset="UTF-8"']


def test_health_stays_open_and_management_takes_the_user(vine):
    v = registry(vine, BOOT)
    foreign = {"X_Forwarded_For": "10.0.0.1"}  # else loopback is let in
    assert call(v.port, "/actuator/health", **foreign)[0] == 200
    assert call(v.port, "/actuator/registry", **foreign)[0] == 401
    assert call(v.port, "/actuator/registry", **foreign, **basic("boot", SECRET))[0] == 200


def test_several_users_and_tokens_and_a_rotation(vine):
    v = registry(vine, {"vine.registry.auth.users.ops": "o", "vine.registry.auth.users.dev": "d", "vine.registry.auth.tokens.old": "t-old"})
    def status(token):
        return v.eureka.get("/apps", Authorization=f"Bearer {token}").status
    assert v.eureka.get("/apps", **basic("ops", "o")).status == 200
    assert v.eureka.get("/apps", **basic("dev", "d")).status == 200
    assert v.eureka.get("/apps", **basic("dev", "o")).status == 401
    assert (status("t-old"), status("t-new")) == (200, 401)
    v.wait_log('"these credentials are in use" who="token old"')
    text = v.config.read_text()
    v.config.write_text(text + 'vine.registry.auth.tokens.new: "t-new"\n')
    v.signal(signal.SIGHUP)
    wait_for(lambda: status("t-new") == 200, "the new token")
    assert status("t-old") == 200
    v.config.write_text(text.replace("tokens.old", "tokens.new").replace("t-old", "t-new"))
    v.signal(signal.SIGHUP)
    wait_for(lambda: status("t-old") == 401, "the end of the old token")
    assert status("t-new") == 200
    v.config.write_text(text + 'vine.registry.auth.tokens.bad: "two words"\n')
    v.signal(signal.SIGHUP)
    v.wait_log("configuration is not valid.*vine.registry.auth.tokens.bad")
    assert "two words" not in v.logs()
    assert status("t-new") == 200


def test_who_watches_is_judged_again_at_a_reload(vine, connect):
    """A stream that was let in by a token ends with the token; one by another goes on, and an open poll is answered 401."""
    tokens = {f"vine.registry.auth.tokens.{x}": f"t-{x}" for x in ("old", "new")}
    v = registry(vine, tokens)
    version = v.eureka.get("/apps", Authorization="Bearer t-new").headers["X-Vine-Version"]

    def watch(token, query="", accept="text/event-stream"):
        c = connect(v)
        c.send(f"GET /vine/watch?from={version}{query} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n"
               f"Authorization: Bearer t-{token}\r\n\r\n".encode())
        return c

    goes, stays = watch("old"), watch("new")
    assert goes.read_response(body=False).status == stays.read_response(body=False).status == 200
    polls = watch("old", "&wait=60", "application/json")
    wait_for(lambda: call(v.port, "/actuator/metrics/vine.registry.watchers")[2]["measurements"][0]["value"] == 3, "three watchers")
    v.config.write_text(v.config.read_text().replace("tokens.old", "tokens.other").replace("t-old", "t-other"))
    v.signal(signal.SIGHUP)
    assert polls.read_response().status == 401
    assert goes.take_until(b"0\r\n\r\n") is not None
    v.wait_log('"a watcher is not let in any more" peer=127.0.0.1')
    assert v.eureka.register(instance(app="SHOP", id="s1"), Authorization="Bearer t-new").status == 204
    stays.take_until(b'"instanceId":"s1"')


def test_a_refusal_is_told_once_a_second(vine):
    v = registry(vine, BOOT)
    for _ in range(50):
        assert v.eureka.get("/apps").status == 401
    v.wait_log('"a request is not let in" why="no credentials" peer=127.0.0.1:.* method=GET path=/eureka/apps')
    assert len(re.findall("a request is not let in", v.logs())) < 10


def test_nothing_secret_is_told(vine):
    url = f"http://boot:{CODED}@127.0.0.1:1/eureka/"
    v = registry(vine, {**BOOT, "eureka.client.service-url.defaultZone": url, "vine.registry.auth.tokens.ci": "t-very-secret",
                        "vine.registry.auth.users.ops": "o-very-secret", "vine.eureka.client.token": "c-very-secret"})
    env = json.dumps(call(v.port, "/actuator/env")[2]) + json.dumps(call(v.port, "/actuator/registry")[2])
    page = call(v.port, "/", **basic("boot", SECRET))[2]
    wait_for(lambda: "a peer is lost" in v.logs(), "a failed peer")
    v.eureka.get("/apps", **basic("boot", "a-wrong-secret"))
    for secret in (SECRET, CODED, "very-secret", "wrong-secret", base64.b64encode(f"boot:{SECRET}".encode()).decode()):
        assert secret not in env and secret not in page and secret not in v.logs(), secret


def test_a_hashed_password_is_refused(vine):
    v = registry(vine, {"spring.security.user.password": "{bcrypt}$2a$10$abc"}, ready=False)
    assert v.wait() == 1
    v.expect_code = 1
    wait_for(lambda: v.err.ended, "the end of stderr")
    assert "is hashed" in str(v.err) and "$2a$" not in str(v.err)


# --- browsers ---


@pytest.mark.parametrize("path", ["/eureka/apps/X", "/eureka/apps/X/y/status?value=DOWN", "/actuator/registry/accept-size"])
@pytest.mark.parametrize("props", [{}, BOOT])
def test_another_site_changes_nothing(vine, path, props):
    v = registry(vine, props)
    method = "PUT" if "status" in path else "POST"
    creds = basic("boot", SECRET) if props else {}
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
                    {"Sec_Fetch_Site": "same-site"}):
        status, _, body = call(v.port, path, method, **headers, **creds)
        assert status == 403 and "another site" in json.dumps(body), (headers, status, body)
    own = {"Origin": f"http://127.0.0.1:{v.port}", "Sec_Fetch_Site": "same-origin"}
    assert call(v.port, path, method, body="", **own, **creds)[0] != 403


def test_the_pages_action_needs_the_management_credentials(vine):
    v = registry(vine, {"vine.management.user": "boss", "vine.management.password": "b", "vine.registry.auth.users.ops": "o"})
    foreign = {"X_Forwarded_For": "10.0.0.1"}
    accept = "/actuator/registry/accept-size"
    assert call(v.port, accept, "POST", **foreign)[0] == 401
    assert call(v.port, accept, "POST", **foreign, **basic("ops", "o"))[0] == 401  # may register, may not decide
    assert call(v.port, accept, "POST", **foreign, **basic("boss", "b"))[0] == 200
    v.wait_log("the current size was accepted")


# --- peers ---


def pair(vine, props, url):
    """Two registries that copy from each other; url(port) is how one names the other."""
    one = registry(vine, {**props, "vine.workers": "1"})
    two = registry(vine, {**props, "vine.workers": "1", "eureka.client.service-url.defaultZone": url(one.port)})
    return one, two


def peer_of(v, **kw):
    return call(v.port, "/actuator/registry", **kw)[2]["peers"][0]


def test_peers_show_the_credentials_of_the_url(vine):
    one, two = pair(vine, BOOT, lambda port: f"http://boot:{CODED}@127.0.0.1:{port}/eureka/")
    wait_for(lambda: peer_of(two)["state"] == "up", "the peer")
    assert two.eureka.register(instance(id="a"), **basic("boot", SECRET)).status == 204
    wait_for(lambda: one.eureka.get("/apps/ORDERS/a", **basic("boot", SECRET)).status == 200, "the copy")
    assert SECRET not in one.logs() + two.logs() and CODED not in one.logs() + two.logs()


def test_a_peer_with_wrong_credentials_says_so(vine):
    _, two = pair(vine, BOOT, lambda port: f"http://boot:nonsense@127.0.0.1:{port}/eureka/")
    wait_for(lambda: peer_of(two)["state"] == "refuses", "the refusal")
    two.wait_log('"a peer refuses what it is told" .*why="status 401')
    assert "nonsense" not in two.logs()


def test_peers_show_a_token(vine):
    props = {"vine.registry.auth.tokens.peers": "t-peers", "vine.eureka.client.token": "t-peers"}
    one, two = pair(vine, props, lambda port: f"http://127.0.0.1:{port}/eureka/")
    wait_for(lambda: peer_of(two)["state"] == "up", "the peer")
    one.wait_log('"these credentials are in use" who="token peers"')


def mutual(identity, **more):
    """A registry that asks for certificates, and shows this one as a peer."""
    return {**identity.props(client_auth="need"), **identity.props("eureka.client.tls", enabled="true"), **more}


def test_peers_by_mutual_tls(vine, authority, tmp_path):
    allowed = {"vine.registry.auth.client-certificates": "dns:*.peers.test"}
    one = registry(vine, mutual(authority.issue("p1", san="DNS:localhost,DNS:one.peers.test"), **allowed))
    url = {"eureka.client.service-url.defaultZone": f"https://localhost:{one.port}/eureka/"}
    two = registry(vine, {**mutual(authority.issue("p2", san="DNS:localhost,DNS:two.peers.test"), **allowed), **url})
    mine = client_context(authority, authority.issue("ops", san="DNS:ops.peers.test"))

    def state(v):
        return json.loads(request(v.port, mine, path="/actuator/registry").body)["peers"][0]

    wait_for(lambda: state(two)["state"] == "up", "the peer")
    body = json.dumps({"instance": instance(id="a")})
    assert request(two.port, mine, "POST", "/eureka/apps/ORDERS", body, {"Content-Type": "application/json"}).status == 204
    wait_for(lambda: request(one.port, mine, path="/eureka/apps/ORDERS/a").status == 200, "the copy")
    # one whose certificate is fine, but is for nobody who is listed
    other = client_context(authority, authority.issue("dev", san="DNS:dev.test"))
    assert request(one.port, other, path="/eureka/apps").status == 401
    assert request(one.port, other, path="/actuator/health").status == 200
    # a peer whose authority is another
    stranger = Authority(tmp_path / "strangers").issue("p3", san="DNS:localhost,DNS:three.peers.test")
    three = registry(vine, {**mutual(stranger), **url})
    three_client = client_context(stranger.authority, stranger)
    wait_for(lambda: json.loads(request(three.port, three_client, path="/actuator/registry").body)["peers"][0]["state"] == "lost", "a lost peer")
    three.wait_log('"a peer is lost.*certificate verify failed: unable to get local issuer certificate')


# --- clients ---


def test_a_gateway_finds_services_by_a_guarded_registry(vine, upstream, authority, server):
    """Registry by https with Basic, a service whose secure port is the one that is enabled."""
    listen = {k: v for k, v in server.props().items() if "trust" not in k}
    r = registry(vine, {**listen, **BOOT})
    trusts = client_context(authority)
    u = upstream(over_tls(server.server_context(), serve(ok(b"by tls"))))
    inst = instance(app="SHOP", id="s1", hostName="localhost", port={"$": 1, "@enabled": "false"},
                    securePort={"$": u.port, "@enabled": "true"})
    headers = {"Content-Type": "application/json", **basic("boot", SECRET)}
    assert request(r.port, trusts, "POST", "/eureka/apps/SHOP", json.dumps({"instance": inst}), headers).status == 204
    g = vine("gateway", config=gateway.config({
        "eureka.client.enabled": "true", "ribbon.eureka.enabled": "true", "vine.tls.trust-certificate": str(authority.ca),
        "eureka.client.service-url.defaultZone": f"https://boot:{CODED}@localhost:{r.port}/eureka/",
        "eureka.client.registry-fetch-interval-seconds": 1}))
    wait_for(lambda: gateway.fetch(g.port, "/shop/x") == (200, b"by tls"), "the service")
    assert u.requests[0].get("x-forwarded-proto") == "http"
    assert SECRET not in g.logs() and CODED not in g.logs()
    health = call(g.port, "/actuator/health")[2]
    assert health["status"] == "UP", health


def test_a_gateway_that_is_not_let_in_says_why(vine):
    r = registry(vine, BOOT)
    g = vine("gateway", config=gateway.config({"eureka.client.enabled": "true", "ribbon.eureka.enabled": "true",
                                               "eureka.client.service-url.defaultZone": f"http://127.0.0.1:{r.port}/eureka/"}))
    g.wait_log('"registry lost; .* why="status 401: it wants other credentials"')


@pytest.mark.parametrize("asks, name", [
    (BOOT, "boot"), ({"vine.registry.auth.users.ops": "{noop}" + SECRET}, "ops"),
], ids=["boot", "users"])
def test_vine_up_lets_its_gateway_in(vine, asks, name):
    """By the credentials that its registry asks for, which stand on no command line."""
    v = vine("up", config="".join(f"{k}: {json.dumps(v)}\n" for k, v in {
        **asks, "vine.up.ports.registry": 0, "vine.up.ports.gateway": 0, "vine.registry.snapshot.enabled": False}.items()))
    r = Eureka(int(v.out.wait(r"vine registry ready: http://127.0.0.1:(\d+) ").group(1)))
    wait_for(lambda: r.get("/apps/VINE-GATEWAY", **basic(name, SECRET)).status == 200, "the gateway's registration")
    children = pathlib.Path(f"/proc/{v.pid}/task/{v.pid}/children").read_text().split()
    assert len(children) == 2
    for pid in children:
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert SECRET.encode() not in line and CODED.encode() not in line
    assert SECRET not in v.logs() and CODED not in v.logs()


def test_a_service_on_libvine(service, vine, upstream, connect, authority, server):  # noqa: F811
    """It listens by TLS, registers at a registry by mutual TLS, and calls another by TLS."""
    r = registry(vine, {**server.props(client_auth="need"), "vine.registry.auth.client-certificates": "subject:CN=svc"})
    u = upstream(over_tls(server.server_context(), serve(ok(b"called"))))
    mine = authority.issue("svc")
    s = service({**mine.props(), **mine.props("eureka.client.tls", enabled="true"), **mine.props("vine.tls"),
                 "spring.application.name": "svc", "eureka.client.enabled": "true", "eureka.instance.prefer-ip-address": "true",
                 "eureka.client.service-url.defaultZone": f"https://localhost:{r.port}/eureka/",
                 "up.ribbon.listOfServers": f"https://localhost:{u.port}"})
    assert "https://127.0.0.1:" in str(s.out)
    context = client_context(authority, mine)
    wait_for(lambda: request(r.port, context, path="/eureka/apps/SVC").status == 200, "the registration")
    said = json.loads(request(r.port, context, path="/eureka/apps/SVC", headers={"Accept": "application/json"}).body)
    inst = said["application"]["instance"][0]
    assert inst["securePort"] == {"$": s.port, "@enabled": "true"} and inst["port"]["@enabled"] == "false"
    assert inst["healthCheckUrl"].startswith("https://") and inst["secureHealthCheckUrl"] == inst["healthCheckUrl"]
    answer = json.loads(request(s.port, context, path="/call?service=up&path=/x").body)
    assert answer["status"] == 200, answer
    assert len(u.requests) == 1


def test_turbine_reads_streams_by_tls(vine, upstream, authority, server):
    r = registry(vine)

    def stream(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        event = b'data: {"type":"HystrixCommand","name":"pay","reportingHosts":1,"requestCount":3}\n\n'
        while not u.over.wait(0.05):
            peer.send(b"%x\r\n%s\r\n" % (len(event), event))

    u = upstream(over_tls(server.server_context(), stream))
    inst = instance(app="SHOP", id="s1", hostName="localhost", port={"$": 1, "@enabled": "false"},
                    securePort={"$": u.port, "@enabled": "true"})
    assert r.eureka.register(inst).status == 204
    g = vine("gateway", config=gateway.config({
        "eureka.client.enabled": "true", "ribbon.eureka.enabled": "true", "vine.tls.trust-certificate": str(authority.ca),
        "eureka.client.register-with-eureka": "false", "eureka.client.service-url.defaultZone": f"http://127.0.0.1:{r.port}/eureka/"}))
    wait_for(lambda: call(g.port, "/actuator/clusters")[0] == 200 and "SHOP" in json.dumps(call(g.port, "/actuator/clusters")[2]), "the cluster")
    for event in gateway.events(g.port, "/turbine.stream?cluster=SHOP"):
        if event.get("name") == "pay":
            assert event["requestCount"] == 3
            break
