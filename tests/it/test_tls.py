"""TLS on listeners and to upstreams: real processes, certificates made on the spot, peers that misbehave."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess

import pytest

import gateway
import ports
from manage import get
from peers import Closed, ok, reply, serve
from test_libvine import binary, service  # noqa: F401 (fixtures)
from tls import Authority, TlsClient, args, client_context, over_tls, raw, request
from vine import BINARY, SLOWNESS, wait_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority):
    return authority.issue("server")


@pytest.fixture
def trusts(authority):
    return client_context(authority)


def registry(vine, props, **kw):
    return vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--vine.workers=2",
                "--vine.registry.snapshot.enabled=false", *args(props), **kw)


def listener(identity, **more):
    """A listener that shows it and asks clients for nothing."""
    names = identity.props(**more)
    del names["server.ssl.trust-certificate"]
    return names


# --- listeners ---


def test_a_registry_speaks_https(vine, server, trusts):
    v = registry(vine, listener(server))
    assert f"https://127.0.0.1:{v.port} " in str(v.out)
    assert request(v.port, trusts, path="/eureka/apps").status == 200
    assert request(v.port, trusts, path="/eureka/apps", name="127.0.0.1").status == 200
    links = json.loads(request(v.port, trusts, path="/actuator").body)["_links"]
    assert links["self"]["href"].startswith("https://localhost:")
    assert b"<html" in request(v.port, trusts).body


def test_metrics_of_tls(vine, server, trusts):
    v = registry(vine, listener(server))
    with raw(v.port) as s:
        s.sendall(b"\x16\x03\x01\x00\x05hello")
        s.recv(100)
    text = request(v.port, trusts, path="/actuator/prometheus").body.decode()
    assert re.search(r'^vine_tls_handshakes\w*\{.*result="done"\} [1-9]', text, re.M), text
    assert re.search(r'^vine_tls_handshakes\w*\{.*result="failed"\} 1', text, re.M)
    left = float(re.search(r'^vine_tls_certificate_expires\w*\{.*identity="server.ssl"\} (\S+)', text, re.M).group(1))
    assert 80 * 86400 < left < 91 * 86400


def test_keys_from_a_pkcs12_store(vine, server, trusts):
    v = registry(vine, {"server.ssl.key-store": f"file:{server.p12('pass:word', 'main')}", "server.ssl.key-store-password": "pass:word",
                        "server.ssl.key-store-type": "PKCS12", "server.ssl.key-alias": "main"})
    assert request(v.port, trusts, path="/actuator/health").status == 200
    env = request(v.port, trusts, path="/actuator/env").body.decode()
    assert "pass:word" not in env and "server.ssl.key-store-password" in env and "pass:word" not in v.logs()


def test_many_requests_on_one_connection(vine, server, trusts):
    c = TlsClient(registry(vine, listener(server)).port, trusts)
    c.send(b"GET /actuator/health HTTP/1.1\r\nHost: a\r\n\r\n" * 40)
    for _ in range(40):
        assert c.read_response().status == 200
    c.send_pieces(b"GET /eureka/apps HTTP/1.1\r\nHost: a\r\n\r\n")
    assert c.read_response().status == 200
    c.send(b"GET /eureka/apps HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert c.read_response().status == 200
    assert c.rest() == b""  # ends by a goodbye: Python's ssl would complain of a cut


@pytest.mark.parametrize("props, words", [
    ({"server.ssl.certificate": "/no/such.pem", "server.ssl.certificate-private-key": "KEY"},
     "server.ssl.certificate = /no/such.pem: No such file or directory"),
    ({"server.ssl.certificate": "CERT", "server.ssl.certificate-private-key": "OTHER"},
     "the private key does not belong to the certificate"),
    ({"server.ssl.key-store": "P12", "server.ssl.key-store-password": "wrong"}, "the store's password is wrong"),
    ({"server.ssl.key-store": "JKS"}, "keytool -importkeystore"),
    ({"server.ssl.enabled": "true"}, "server.ssl.enabled needs server.ssl.certificate"),
    ({"server.ssl.certificate": "CERT", "server.ssl.certificate-private-key": "KEY", "server.ssl.client-auth": "need"},
     "server.ssl.client-auth needs server.ssl.trust-certificate"),
    ({"eureka.client.tls.enabled": "true", "eureka.client.tls.trust-store": "/no/trust.p12"},
     "eureka.client.tls.trust-store = /no/trust.p12: No such file or directory"),
    ({"vine.tls.trust-certificate": "KEY"}, "there is no certificate in it"),
    ({"shop.ribbon.TrustStore": "/no/trust.p12"}, "/no/trust.p12: No such file or directory"),
    ({"shop.ribbon.listOfServers": "localhost:1", "shop.ribbon.KeyStore": "P12", "shop.ribbon.KeyStorePassword": "wrong"},
     "the store's password is wrong"),
])
def test_files_that_cannot_be_used(vine, authority, server, tmp_path, props, words):
    other = authority.issue("other")
    (tmp_path / "old.jks").write_bytes(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0")
    there = {"CERT": server.cert, "KEY": server.key, "OTHER": other.key, "P12": server.p12("secret"), "JKS": tmp_path / "old.jks"}
    props = {k: str(there.get(v, v)) for k, v in props.items()}
    if not any("ribbon" in k or k == "vine.tls.trust-certificate" for k in props):  # which a registry does not need
        v = registry(vine, props, ready=False)
        assert v.wait() == 1
        v.expect_code = 1
        wait_for(lambda: v.err.ended, "the end of stderr")
        assert words in str(v.err) and len(str(v.err).splitlines()) == 1, v.err
    checked = subprocess.run([BINARY, "check", *args(props)], cwd=tmp_path, capture_output=True, text=True, check=False,
                             env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert checked.returncode == 1
    assert words in checked.stdout, checked.stdout


def test_plain_http_on_a_port_that_speaks_tls(vine, server, trusts):
    v = registry(vine, listener(server))
    with raw(v.port) as s:
        s.sendall(b"GET /eureka/apps HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while piece := s.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"use https" in answer
    v.wait_log(r'"a TLS connection failed" why="plain HTTP on a port that speaks TLS" peer=127.0.0.1')
    assert request(v.port, trusts, path="/eureka/apps").status == 200


def test_tls_on_a_port_that_speaks_plain_http(vine, trusts):
    v = registry(vine, {})
    with pytest.raises(ssl.SSLError):
        TlsClient(v.port, trusts)
    v.wait_log(r'why="TLS on a port that speaks plain HTTP"')


def test_old_protocols_and_renegotiation_are_refused(vine, server, authority):
    v = registry(vine, listener(server))
    def s_client(*more, stdin=""):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{v.port}", "-CAfile", str(authority.ca), *more], input=stdin,
                              capture_output=True, text=True, timeout=20 * SLOWNESS, check=False)
    assert s_client("-tls1_1", "-cipher", "ALL:@SECLEVEL=0").returncode != 0
    said = s_client("-tls1_2", stdin="R\n")
    assert "RENEGOTIATING" in said.stdout + said.stderr and "no renegotiation" in said.stderr.lower(), said.stderr
    v13 = s_client("-tls1_3", "-alpn", "h2,http/1.1", stdin="Q\n")
    assert "ALPN protocol: http/1.1" in v13.stdout
    assert s_client("-tls1_3", "-alpn", "h2", stdin="Q\n").returncode != 0


def test_clients_must_show_a_certificate(vine, authority, server, trusts, tmp_path):
    v = registry(vine, server.props(client_auth="need"))
    mine = client_context(authority, authority.issue("client"))
    stranger = client_context(authority, Authority(tmp_path / "strangers").issue("client"))
    assert request(v.port, mine, path="/eureka/apps").status == 200
    for wrong in (trusts, stranger, client_context(authority, authority.issue("late", expired=True))):
        with pytest.raises((ssl.SSLError, OSError)):
            request(v.port, wrong, path="/eureka/apps")
    v.wait_log("the client shows no certificate|certificate verify failed")


def test_the_management_port_has_its_own(vine, authority, server, trusts):
    props = {**listener(server), "management.server.port": "0"}
    v = registry(vine, props)  # as the other, where it says nothing
    port = int(re.search(r"management https://127.0.0.1:(\d+)/actuator", str(v.out)).group(1))
    assert request(port, trusts, path="/actuator/health").status == 200
    v = registry(vine, {**props, "management.server.ssl.enabled": "false"})
    port = int(re.search(r"management http://127.0.0.1:(\d+)/actuator", str(v.out)).group(1))
    assert get(port, "/actuator/health")["status"] == "UP"
    other = authority.issue("manage", san="DNS:manage.test,IP:127.0.0.1")
    v = registry(vine, {**{f"management.{k}": x for k, x in listener(other).items()}, "management.server.port": "0"})
    port = int(re.search(r"management https://127.0.0.1:(\d+)/actuator", str(v.out)).group(1))
    assert request(port, trusts, path="/actuator/health", name="127.0.0.1").status == 200
    assert get(v.port, "/eureka/apps", Accept="application/json")["applications"] is not None


def test_a_reload_reads_certificates_again(vine, authority, trusts, tmp_path):
    first, second = authority.issue("first"), authority.issue("second", san="DNS:localhost,DNS:second.test,IP:127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def put(identity):
        cert.write_bytes(identity.cert.read_bytes())
        key.write_bytes(identity.key.read_bytes())

    def names():
        with trusts.wrap_socket(raw(v.port), server_hostname="localhost") as s:
            return [value for kind, value in s.getpeercert()["subjectAltName"] if kind == "DNS"]

    put(first)
    v = registry(vine, {"server.ssl.certificate": str(cert), "server.ssl.certificate-private-key": str(key)})
    standing = TlsClient(v.port, trusts)
    assert standing.get("/eureka/apps").status == 200
    put(second)
    v.signal(signal.SIGHUP)
    wait_for(lambda: "second.test" in names(), "the second certificate")
    assert standing.get("/eureka/apps").status == 200
    cert.write_text("nonsense")
    v.signal(signal.SIGHUP)
    v.wait_log(r'configuration is not valid: the old one stays in force" why="server.ssl.certificate = .*there is no certificate in it')
    assert "second.test" in names()
    assert standing.get("/eureka/apps").status == 200


@pytest.mark.parametrize("role", ["registry", "libvine"])
def test_replaced_files_are_noticed(vine, service, authority, trusts, tmp_path, role):  # noqa: F811
    """Nobody sends a signal; a pair that does not fit is not put in force, and called wrong once, not each second."""
    first, second, third = (authority.issue(n, san=f"DNS:localhost,DNS:{n}.test,IP:127.0.0.1") for n in ("r1", "r2", "r3"))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    wrong = r"the old one stays in force.*the private key does not belong to the certificate"

    def replace(file, other):
        fresh = file.with_suffix(".new")
        fresh.write_bytes(other.read_bytes())
        fresh.rename(file)

    def names():
        with trusts.wrap_socket(raw(v.port), server_hostname="localhost") as s:
            return [value for kind, value in s.getpeercert()["subjectAltName"] if kind == "DNS"]

    replace(cert, first.cert)
    replace(key, first.key)
    props = {"server.ssl.certificate": str(cert), "server.ssl.certificate-private-key": str(key)}
    v = registry(vine, props) if role == "registry" else service(props)
    assert "r1.test" in names()
    replace(key, second.key)
    replace(cert, second.cert)
    wait_for(lambda: "r2.test" in names(), "the second certificate")
    had = len(re.findall(wrong, v.logs()))
    replace(cert, third.cert)
    wait_for(lambda: len(re.findall(wrong, v.logs())) > had, "a word of the pair that does not fit")
    assert "r2.test" in names()
    replace(key, third.key)
    wait_for(lambda: "r3.test" in names(), "the third certificate")
    assert len(re.findall(wrong, v.logs())) == had + 1


def test_a_reload_without_tls_says_nothing_of_certificates(vine):
    v = registry(vine, {})
    v.signal(signal.SIGHUP)
    v.wait_log("configuration reloaded")
    assert "certificate" not in v.logs()


@pytest.mark.parametrize("role", ["registry", "gateway"])
def test_a_reload_that_newly_names_files_of_registries(vine, role):
    """What a start would refuse a reload refuses, too."""
    text = "server.port: 0\nserver.address: 127.0.0.1\neureka.client.enabled: true\neureka.client.register-with-eureka: false\n" \
           "eureka.client.service-url.defaultZone: http://127.0.0.1:1/eureka/\nvine.registry.snapshot.enabled: false\n"
    v = vine(role, config=text)
    v.config.write_text(text + "eureka.client.tls.enabled: true\neureka.client.tls.trust-store: /no/trust.p12\n")
    v.signal(signal.SIGHUP)
    v.wait_log("configuration is not valid: the old one stays in force|configuration reloaded")
    assert "/no/trust.p12: No such file or directory" in v.logs()
    assert "configuration reloaded" not in v.logs()


def test_a_certificate_that_ends_soon_is_told_of(vine, authority):
    v = registry(vine, listener(authority.issue("over", expired=True)))
    v.wait_log(r'error .*"the certificate has expired" of=server.ssl')


# --- slow and many ---


def test_a_slow_handshake_is_ended_in_time(vine, server, trusts):
    v = registry(vine, {**listener(server), "vine.http.head-timeout-ms": "300"})
    for said in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        with raw(v.port) as s:
            s.sendall(said)
            try:
                assert s.recv(100) == b""
            except ConnectionResetError:
                pass
    v.wait_log('"a TLS connection failed" why="the handshake took too long"')
    assert request(v.port, trusts, path="/eureka/apps").status == 200


def test_a_flood_of_handshakes_leaves_room(vine, server, trusts):
    """Three hundred connections that begin a handshake and stop: the oldest give way, and others are served at once."""
    v = registry(vine, {**listener(server), "vine.http.max-half-open": "20", "vine.http.head-timeout-ms": "60000"})
    socks = []
    for i in range(300):
        s = raw(v.port)
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[:i % 12])
        socks.append(s)
        if i % 60 == 0:
            assert request(v.port, trusts, path="/eureka/apps").status == 200
    assert request(v.port, trusts, path="/eureka/apps").status == 200
    v.wait_log("too many half-sent heads: the oldest are dropped")
    wait_for(lambda: v.fds() < 80, "descriptors to come back")
    for s in socks:
        s.close()


def test_noise_hurts_nobody(vine, server, trusts):
    v = registry(vine, listener(server))
    good = TlsClient(v.port, trusts)
    for i in range(60):
        with raw(v.port) as s:
            s.sendall(os.urandom(i * 11 + 1))
            s.settimeout(0.01)
            try:
                s.recv(100)
            except (OSError, TimeoutError):
                pass
    assert good.get("/eureka/apps").status == 200


def test_a_drain_ends_tls_connections_politely(vine, server, trusts):
    v = registry(vine, listener(server))
    c = TlsClient(v.port, trusts)
    assert c.get("/eureka/apps").status == 200
    v.signal(signal.SIGTERM)
    assert c.rest() == b""  # a goodbye, not a cut
    assert v.wait() == 0


# --- the gateway, both sides ---


def gw(vine, server, routes, trust=None, **more):
    props = {**listener(server), **routes, **{k.replace("__", "."): x for k, x in more.items()}}
    if trust:
        props["vine.tls.trust-certificate"] = str(trust.ca)
    return vine("gateway", config=gateway.config(props))


def url(port, name="localhost"):
    return {"zuul.routes.up.path": "/**", "zuul.routes.up.url": f"https://{name}:{port}"}


def test_a_request_through_tls_on_both_sides(vine, upstream, authority, server, trusts):
    u = upstream(over_tls(server.server_context(), serve(ok(b"hello"))))
    v = gw(vine, server, url(u.port), authority)
    c = TlsClient(v.port, trusts)
    for _ in range(5):
        answer = c.get("/x")
        assert answer.status == 200 and answer.body == b"hello"
    assert u.requests[0].get("x-forwarded-proto") == "https"
    assert u.connections == 1  # pooled


@pytest.mark.parametrize("context, words", [
    ("other-ca", "unable to get local issuer certificate"),
    ("expired", "certificate has expired"),
    ("wrong-name", "hostname mismatch: it is not for localhost"),
    ("needs-client", "the peer says"),
    ("plain", "the peer speaks plain HTTP, not TLS"),
])
def test_an_upstream_that_is_not_believed(vine, upstream, authority, server, trusts, tmp_path, context, words):
    contexts = {
        "other-ca": lambda: Authority(tmp_path / "x").issue("server").server_context(),
        "expired": lambda: authority.issue("gone", expired=True).server_context(),
        "wrong-name": lambda: authority.issue("elsewhere", san="DNS:elsewhere.test").server_context(),
        "needs-client": lambda: server.server_context(need_client=True),
    }
    script = serve(ok(b"x")) if context == "plain" else over_tls(contexts[context](), serve(ok(b"x")))
    if context == "plain":
        def script(peer):  # pylint: disable=function-redefined
            peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            peer.rest()
    u = upstream(script)
    v = gw(vine, server, url(u.port), authority)
    answer = request(v.port, trusts, path="/x")
    assert answer.status == 502
    doc = json.loads(answer.body)
    assert words in doc["details"] or (context == "needs-client" and "right after the TLS handshake" in doc["details"]), doc
    if context != "needs-client":
        assert doc["cause"] == "tls" and "tls_protocol_error" in answer.headers["Proxy-Status"]
    assert not u.requests


def test_names_need_not_be_checked_where_that_is_said(vine, upstream, authority, server, trusts):
    u = upstream(over_tls(authority.issue("elsewhere", san="DNS:elsewhere.test").server_context(), serve(ok(b"x"))))
    v = gw(vine, server, {**url(u.port), "zuul.ssl-hostname-validation-enabled": "false"}, authority)
    assert request(v.port, trusts, path="/x").status == 200


def test_the_gateway_shows_its_certificate(vine, upstream, authority, server, trusts):
    u = upstream(over_tls(server.server_context(need_client=True), serve(ok(b"mutual"))))
    v = gw(vine, server, {**url(u.port), **authority.issue("gw").props("vine.tls")})
    assert request(v.port, trusts, path="/x").body == b"mutual"


def test_a_client_with_stores_of_its_own(vine, upstream, authority, server, trusts, tmp_path):
    """Two services at one address, believed by different authorities: connections are not mixed."""
    other = Authority(tmp_path / "other")
    u = upstream(over_tls(server.server_context(), serve(ok(b"x"))))
    props = {"zuul.routes.good": "/good/**", "zuul.routes.bad": "/bad/**", "good.ribbon.listOfServers": f"https://localhost:{u.port}",
             "bad.ribbon.listOfServers": f"localhost:{u.port}", "bad.ribbon.IsSecure": "true", "bad.ribbon.TrustStore": str(other.ca)}
    v = gw(vine, server, props, authority)
    for _ in range(3):
        assert request(v.port, trusts, path="/good/x").status == 200
        answer = request(v.port, trusts, path="/bad/x")
        assert answer.status in (502, 503) and b"unable to get local issuer" in answer.body or b"no instance" in answer.body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_both_ways(vine, upstream, authority, server, version):
    trusts = client_context(authority, maximum_version=version)
    context = server.server_context()
    context.maximum_version = version
    body = os.urandom(3 << 20)

    def script(peer):
        while True:
            r = peer.next_request()
            if r is None:
                return
            peer.send(reply(200, r.body))
    u = upstream(over_tls(context, script))
    v = gw(vine, server, url(u.port), authority)
    for _ in range(2):
        answer = request(v.port, trusts, "POST", "/x", body=body)
        assert answer.status == 200 and answer.body == body


def test_a_slow_reader_gets_all_of_it(vine, upstream, authority, server, trusts):
    body = os.urandom(2 << 20)
    u = upstream(over_tls(server.server_context(), serve(reply(200, body))))
    v = gw(vine, server, url(u.port), authority)
    c = TlsClient(v.port, trusts)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    c.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    got = b""
    while len(got) < 300000:  # a little at a time, with the gateway's output waiting
        got += c.sock.recv(3000)
    c.buffer = got
    assert c.read_response().body == body


def test_a_body_without_length_that_is_cut(vine, upstream, authority, server, trusts):
    """Without a close_notify nobody knows whether such a body is whole: the client must see that it is not known."""
    answer = reply(200, b"half of it", length=False, fields=["Connection: close"])

    def script(peer):
        peer.next_request()
        peer.send(answer)
    whole = upstream(over_tls(server.server_context(), script))
    v = gw(vine, server, url(whole.port), authority)
    got = request(v.port, trusts, path="/x")
    assert got.status == 200 and got.body == b"half of it"

    def cutting(peer):
        peer.next_request()
        peer.send(answer)
        fd = peer.sock.detach()  # what follows is TCP's end, with no word of TLS
        os.close(fd)
    cut = upstream(over_tls(server.server_context(), cutting, cut=True))
    v = gw(vine, server, url(cut.port), authority)
    with pytest.raises((OSError, Closed)):
        TlsClient(v.port, trusts).get("/x")


def test_what_a_reload_drops_and_what_not(vine, upstream, authority, server, trusts, tmp_path):
    """An upstream that is no longer believed after a reload is not called on new connections."""
    trust = tmp_path / "trust.pem"
    trust.write_bytes(authority.ca.read_bytes())
    u = upstream(over_tls(server.server_context(), serve(reply(200, b"x", fields=["Connection: close"]), times=1)))
    v = vine("gateway", config=gateway.config({**listener(server), **url(u.port), "vine.tls.trust-certificate": str(trust)}))
    assert request(v.port, trusts, path="/x").status == 200
    trust.write_bytes(Authority(tmp_path / "other").ca.read_bytes())
    v.signal(signal.SIGHUP)
    v.wait_log("configuration reloaded")
    assert request(v.port, trusts, path="/x").status in (502, 503)


def test_pings_by_tls(vine, upstream, authority, server):
    u = upstream(over_tls(server.server_context(), serve(ok(b"x"))))
    gw(vine, server, {"zuul.routes.up": "/up/**", "up.ribbon.listOfServers": f"https://localhost:{u.port}",
                      "up.ribbon.NFLoadBalancerPingClassName": "url", "up.ribbon.NFLoadBalancerPingInterval": 1,
                      "vine.loadbalancer.up.ping.path": "/alive"}, authority)
    wait_for(lambda: any(r.target == "/alive" for r in u.requests), "a ping")


def test_past_the_limit_of_connections(vine, server, trusts):
    """Nothing in plain text is said to who expects TLS."""
    v = registry(vine, {**listener(server), "vine.http.max-connections": "2", "vine.workers": "1"})
    held = [TlsClient(v.port, trusts) for _ in range(2)]
    with raw(v.port) as s:
        try:
            assert s.recv(100) == b""
        except ConnectionResetError:
            pass
    assert held[0].get("/eureka/apps").status == 200


def test_reloads_among_handshakes(vine, upstream, authority, server, trusts):
    u = upstream(over_tls(server.server_context(), serve(reply(200, b"x", fields=["Connection: close"]), times=1)))
    v = gw(vine, server, url(u.port), authority)
    for i in range(60):
        if i % 3 == 0:
            v.signal(signal.SIGHUP)
        assert request(v.port, trusts, path="/x").status == 200
    v.wait_log("configuration reloaded")


def test_the_systems_authorities_by_default(vine, upstream, authority, server, trusts):
    """Where nothing is set: OpenSSL's own store, which the environment can name, as for every other program."""
    u = upstream(over_tls(server.server_context(), serve(ok(b"x"))))
    v = vine("gateway", config=gateway.config({**listener(server), **url(u.port)}), env={"SSL_CERT_FILE": str(authority.ca)})
    assert request(v.port, trusts, path="/x").status == 200
    v = vine("gateway", config=gateway.config({**listener(server), **url(u.port)}))
    assert "unable to get local issuer certificate" in json.loads(request(v.port, trusts, path="/x").body)["details"]


@pytest.mark.parametrize("how", [[], ["--single"]], ids=["processes", "single"])
def test_vine_up_by_tls(vine, authority, server, trusts, how):
    """One configuration for all roles: the gateway finds its registry by https."""
    props = {**server.props(), "vine.tls.trust-certificate": str(authority.ca), "vine.up.ports.registry": "0", "vine.up.ports.gateway": "0",
             "vine.registry.snapshot.enabled": "false"}
    if how:  # with port 0 nobody could name the registry beforehand
        props["vine.up.ports.registry"] = str(ports.row())
    v = vine("up", *how, *args(props))
    port = int(v.out.wait(r"vine registry ready: https://127.0.0.1:(\d+) ").group(1))
    wait_for(lambda: request(port, trusts, path="/eureka/apps/VINE-GATEWAY").status == 200, "the gateway's registration")
