"""The registry as its clients see it: every endpoint, status code and body of Eureka's protocol, over real HTTP."""
import gzip
import http.client
import json
import re
import signal
import threading
import time
import xml.etree.ElementTree as ET

import pytest

from registry_client import Eureka, instance
from vine import wait_for

ID = "h1:orders:8080"
ONE = f"/apps/ORDERS/{ID}"


@pytest.fixture
def registry(vine):
    def start(*props):
        v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", *(f"--{p}" for p in props))
        v.eureka = Eureka(v.port)
        return v

    return start


@pytest.fixture
def eureka(registry):
    return registry().eureka


# --- writes ---

def test_register_heartbeat_cancel(eureka):
    reply = eureka.register()
    assert reply.status == 204 and reply.raw == b""
    for path in (ONE, ONE + "/", ONE + "?status=UP&lastDirtyTimestamp=1700000000000", f"//v2//apps/orders//{ID}",
                 "/apps/ORDERS/h1%3Aorders%3A8080"):
        reply = eureka.put(path)
        assert (reply.status, reply.raw, reply.headers["Content-Length"]) == (200, b"", "0"), path
        assert "Content-Encoding" not in reply.headers
    assert eureka.put(ONE, body="{}", Content_Type="application/json").status == 200
    assert eureka.put("/apps/ORDERS/nobody").status == 404
    assert eureka.put("/apps/NOBODY/" + ID).status == 404
    reply = eureka.delete(ONE)
    assert (reply.status, reply.raw) == (200, b"")
    reply = eureka.delete(ONE)
    assert (reply.status, reply.raw) == (404, b"")
    assert eureka.put(ONE).status == 404
    assert eureka.get(ONE).status == 404


def test_a_write_is_seen_at_once_by_every_worker(registry):
    v = registry("vine.workers=4")
    many = [Eureka(v.port) for _ in range(12)]  # the kernel spreads them over the workers
    for i in range(30):
        inst = instance(id=f"i{i}")
        assert many[i % 12].register(inst).status == 204
        for e in many:
            assert e.get(f"/apps/ORDERS/i{i}").status == 200
            assert f"i{i}" in e.apps()["ORDERS"]
        assert many[(i + 5) % 12].delete(f"/apps/ORDERS/i{i}").status == 200
        for e in many:
            assert e.get(f"/apps/ORDERS/i{i}").status == 404


@pytest.mark.parametrize("params, headers, status", [
    ("", {}, 200),
    ("?lastDirtyTimestamp=1700000000000", {}, 200),
    ("?lastDirtyTimestamp=1700000000001", {}, 404),
    ("?lastDirtyTimestamp=1699999999999", {}, 200),
    ("?lastDirtyTimestamp=soon", {}, 200),
    ("?lastDirtyTimestamp=1699999999999", {"x_netflix_discovery_replication": "true"}, 409),
    ("?lastDirtyTimestamp=1699999999999", {"x_netflix_discovery_replication": "TRUE"}, 200),
    ("?lastDirtyTimestamp=1700000000001", {"x_netflix_discovery_replication": "true"}, 404),
])
def test_heartbeat_timestamps(eureka, params, headers, status):
    eureka.register()
    reply = eureka.put(ONE + params, **headers)
    assert reply.status == status
    if status == 409:
        assert reply.json()["instance"]["instanceId"] == ID
    else:
        assert reply.raw == b""


def test_a_peers_heartbeat_brings_an_override(eureka):
    eureka.register()
    reply = eureka.put(ONE + "?lastDirtyTimestamp=1700000000001&overriddenstatus=OUT_OF_SERVICE",
                       x_netflix_discovery_replication="true")
    assert reply.status == 404
    wait_for(lambda: eureka.find()["overriddenStatus"] == "OUT_OF_SERVICE", "the override")


def test_override(eureka):
    eureka.register()
    assert eureka.put("/apps/ORDERS/x/status?value=DOWN").status == 404
    assert eureka.delete("/apps/ORDERS/x/status").status == 404
    for bad in ("", "?value=", "?value=down", "?value=SLEEPY"):
        assert eureka.put(ONE + "/status" + bad).status == 500
    assert eureka.delete(ONE + "/status?value=SLEEPY").status == 500
    assert eureka.delete(ONE + "/status?value=UP").status == 200  # none there
    assert eureka.put(ONE + "/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=1700000000007").status == 200
    one = eureka.find()
    assert (one["status"], one["overriddenStatus"], one["actionType"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE", "MODIFIED")
    assert one["lastDirtyTimestamp"] == "1700000000007"
    assert eureka.get("/serverinfo/statusoverrides").json() == {ID: "OUT_OF_SERVICE"}
    assert eureka.put(ONE).status == 200
    assert eureka.register(instance(lastDirtyTimestamp="1800000000000")).status == 204
    assert eureka.find()["status"] == "OUT_OF_SERVICE"
    assert eureka.delete(ONE + "/status").status == 200
    one = eureka.find()
    assert (one["status"], one["overriddenStatus"]) == ("UP", "UNKNOWN")
    assert eureka.put(ONE + "?lastDirtyTimestamp=1800000000000").status == 200


def test_what_a_client_says_of_itself_is_believed(eureka):
    """Also OUT_OF_SERVICE, and UP again: Spring Cloud's clients before 2020 say so while they are not ready."""
    for n, status in enumerate(["OUT_OF_SERVICE", "UP", "OUT_OF_SERVICE", "DOWN", "UP"]):
        assert eureka.register(instance(status=status, lastDirtyTimestamp=f"170000000000{n}")).status == 204
        one = eureka.find()
        assert (one["status"], one["overriddenStatus"]) == (status, "UNKNOWN")
    assert eureka.put(ONE + "/status?value=OUT_OF_SERVICE").status == 200
    assert eureka.register(instance(lastDirtyTimestamp="1700000000009")).status == 204
    assert eureka.find()["status"] == "OUT_OF_SERVICE"  # but an operator's word holds


def test_metadata(eureka):
    eureka.register()
    assert eureka.put("/apps/ORDERS/x/metadata?a=b").status == 404
    assert eureka.put(ONE + "/metadata?color=dark%20green&color=red&e=").status == 200
    one = eureka.find()
    assert one["metadata"] == {"zone": "north", "color": "dark green", "e": ""}
    assert (one["lastDirtyTimestamp"], one["actionType"]) == ("1700000000000", "ADDED")
    query = "&".join(f"k{i}=v" for i in range(200))
    assert eureka.put(ONE + "/metadata?" + query).status == 400
    assert len(eureka.find()["metadata"]) == 3


def test_ghost(eureka):
    eureka.register()
    eureka.delete(ONE)
    assert eureka.register(instance(status="DOWN", lastDirtyTimestamp="1900000000000")).status == 204
    assert eureka.find() is None
    assert eureka.register(instance(status="UP")).status == 204
    assert eureka.find()


@pytest.mark.parametrize("change, text", [
    ({"instanceId": None, "hostName": None}, "Missing instanceId"),
    ({"hostName": None}, "Missing hostname"),
    ({"ipAddr": None}, "Missing ip address"),
    ({"app": "OTHER"}, "Mismatched appName, expecting ORDERS but was OTHER"),
    ({"dataCenterInfo": None}, "Missing dataCenterInfo"),
])
def test_registration_checks(eureka, change, text):
    reply = eureka.register(instance(**change), app="orders")
    assert (reply.status, reply.body.decode()) == (400, text)
    assert reply.headers["Content-Type"].startswith("text/plain")


def test_registration_bodies(eureka):
    def post(body, **headers):
        headers.setdefault("Content_Type", "application/json")
        return eureka.request("POST", "/apps/ORDERS", body, **headers)

    reply = post('{"instance":{"hostName":{}}}')
    assert reply.status == 400 and reply.json()["error"].startswith("cannot parse request body: hostName: 1:")
    reply = post("<instance><hostName>h", Content_Type="application/xml")
    assert reply.status == 400
    assert ET.fromstring(reply.body).find("message").text.startswith("cannot parse request body: ")
    reply = post('<!DOCTYPE x [<!ENTITY a "b">]><instance><hostName>&a;</hostName></instance>', Content_Type="application/xml")
    assert reply.status == 400 and b"document types" in reply.body
    assert post("x", Content_Type="text/plain").status == 415
    assert post("").status == 400
    assert post("[" * 100000).status == 400
    assert post('{"instance":{"a":"' + "x" * 300000 + '"}}').status == 400
    assert post("x" * 2000000).status == 413
    eureka.close()
    body = gzip.compress(json.dumps({"instance": instance()}).encode())
    assert post(body, Content_Encoding="gzip").status == 204
    assert post(gzip.compress(b"x" * 50_000_000), Content_Encoding="gzip").status in (400, 413)
    assert post(b"no gzip", Content_Encoding="gzip").status == 400
    assert eureka.find()


def test_odd_ids(eureka):
    for path, id in (("%20", " "), ("a%20b", "a b"), ("a%2Fb", "a/b"), ("%ED%95%9C", "한"), ("%25", "%"), ("a%3Ab%3F", "a:b?"), ("a%22%3C", 'a"<')):
        assert eureka.register(instance(id=id)).status == 204
        assert eureka.put(f"/apps/ORDERS/{path}").status == 200, id
        assert eureka.get(f"/apps/ORDERS/{path}").json()["instance"]["instanceId"] == id
        assert eureka.get(f"/instances/{path}").status == 200
        root = ET.fromstring(eureka.get(f"/apps/ORDERS/{path}", Accept="application/xml").body)
        assert root.find("instanceId").text == id
    assert eureka.put("/apps/ORDERS/a+b").status == 200  # a client that writes a blank as '+'
    assert eureka.delete("/apps/ORDERS/a+b").status == 200
    assert eureka.get("/apps/ORDERS/a%20b").status == 404
    assert len(ET.fromstring(eureka.get("/apps/", Accept="*/*").body).findall(".//instance")) == 6


# --- queries ---

def test_empty(eureka):
    empty = b'{"applications":{"versions__delta":"1","apps__hashcode":"","application":[]}}'
    assert eureka.get("/apps").body == empty
    assert eureka.get("/apps/").body == empty
    assert eureka.get("/apps/", Accept_Encoding="gzip").body == empty
    assert eureka.get("/vips/none").body == empty.replace(b'"1"', b'"-1"')
    assert eureka.get("/svips/none").body == empty.replace(b'"1"', b'"-1"')
    for path in ("/apps/NOBODY", "/apps/NOBODY/x", "/instances/x", "/nothing", "/apps/a/b/c/d/e/f/g"):
        reply = eureka.get(path)
        assert (reply.status, reply.raw) == (404, b""), path


def test_fields(eureka):
    """Exactly what Java clients demand: names, order, kinds, nothing more."""
    eureka.register()
    one = eureka.find()
    assert list(one) == [
        "instanceId", "hostName", "app", "ipAddr", "status", "overriddenStatus", "port", "securePort", "countryId",
        "dataCenterInfo", "leaseInfo", "metadata", "vipAddress", "isCoordinatingDiscoveryServer", "lastUpdatedTimestamp",
        "lastDirtyTimestamp", "actionType"]
    assert one["port"] == {"$": 8080, "@enabled": "true"}
    assert list(one["leaseInfo"]) == ["renewalIntervalInSecs", "durationInSecs", "registrationTimestamp",
                                      "lastRenewalTimestamp", "evictionTimestamp", "serviceUpTimestamp"]
    assert all(isinstance(v, int) for v in one["leaseInfo"].values())
    assert isinstance(one["lastUpdatedTimestamp"], str)
    now = time.time() * 1000
    assert abs(one["leaseInfo"]["lastRenewalTimestamp"] - now) < 30000  # the true time
    doc = eureka.get("/apps/").json()["applications"]
    assert list(doc) == ["versions__delta", "apps__hashcode", "application"]
    assert doc["apps__hashcode"] == "UP_1_"
    assert eureka.get("/apps/orders").json()["application"]["name"] == "ORDERS"


def test_formats(eureka):
    eureka.register()
    for accept, xml in (("application/json", False), ("application/vnd.x+json", False), ("*/*", True),
                        ("text/html,application/xhtml+xml", True), ("application/xml", True)):
        reply = eureka.get("/apps", Accept=accept)
        assert reply.headers["Content-Type"].startswith("application/xml" if xml else "application/json")
        if xml:
            root = ET.fromstring(reply.body)
            assert root.tag == "applications" and root.find("apps__hashcode").text == "UP_1_"
            assert root.find("application/instance/port").attrib == {"enabled": "true"}
            assert root.find("application/instance/overriddenstatus").text == "UNKNOWN"
            assert root.find("application/instance/metadata/zone").text == "north"
    assert eureka.get("/apps?format=json", Accept="*/*").json()
    mini = eureka.get("/apps", X_Eureka_Accept="compact").json()["applications"]
    assert list(mini) == ["application", "versions__delta", "apps__hashcode"]
    assert list(mini["application"][0]["instance"][0]) == [
        "instanceId", "app", "ipAddr", "vipAddress", "dataCenterInfo", "hostName", "status", "lastUpdatedTimestamp",
        "actionType", "port", "securePort"]
    root = ET.fromstring(eureka.get("/apps", Accept="*/*", X_Eureka_Accept="compact").body)
    assert root.find("application/instance/hostName").text == "h1" and root.find(".//metadata") is None


def test_xml_round_trip(eureka):
    """What we write in XML can be registered again, and says the same in JSON."""
    odd = {"1st": "a", "with space": "<&>\"'", "under_score": "é", "$": "dollar", "a/b": "", "plain": "x"}
    eureka.register(instance(metadata=odd, homePageUrl="http://h/?a=1&b=2", asgName="asg", appGroupName="G"))
    before = eureka.find()
    xml = eureka.get(ONE, Accept="application/xml").body
    eureka.delete(ONE)
    assert eureka.request("POST", "/apps/ORDERS", xml, Content_Type="application/xml; charset=UTF-8").status == 204
    after = eureka.find()
    for key in before:
        if key not in ("leaseInfo", "lastUpdatedTimestamp"):
            assert after[key] == before[key], key
    assert after["metadata"] == odd


def test_gzip(eureka):
    for i in range(50):
        eureka.register(instance(app=f"APP{i % 7}", id=f"i{i}"))
    plain = eureka.get("/apps")
    assert "Content-Encoding" not in plain.headers
    for offer, packed in (("gzip", True), ("gzip, deflate, br", True), ("deflate;q=1, gzip;q=0.5", True), ("gzip;q=0", False),
                          ("identity", False), ("deflate", False)):
        for path in ("/apps", "/apps/delta", "/apps/APP3", "/vips/app3"):
            reply = eureka.get(path, Accept_Encoding=offer)
            assert (reply.headers.get("Content-Encoding") == "gzip") == packed, (offer, path)
            assert int(reply.headers["Content-Length"]) == len(reply.raw)
            assert reply.json()
    assert eureka.get("/apps", Accept_Encoding="gzip").json() == plain.json()
    assert len(eureka.get("/apps", Accept_Encoding="gzip").raw) < len(plain.raw) / 5


def test_a_large_registry_without_gzip(registry, connect):
    """Too large to keep as text: it is streamed, to 1.0 clients as well, and says the same."""
    v = registry("vine.workers=1")
    for part in range(6):
        items = [{"appName": f"APP{k % 40}", "id": f"i{part}-{k}", "action": "Register",
                  "instanceInfo": instance(app=f"APP{k % 40}", id=f"i{part}-{k}")} for k in range(900)]
        v.eureka.request("POST", "/peerreplication/batch/", json.dumps({"replicationList": items}), Content_Type="application/json")
    reply = v.eureka.get("/apps")
    assert reply.headers["Transfer-Encoding"] == "chunked"
    ids = {i["instanceId"] for a in reply.json()["applications"]["application"] for i in a["instance"]}
    assert len(ids) == 5400
    packed = v.eureka.get("/apps", Accept_Encoding="gzip").json()["applications"]
    assert {i["instanceId"] for a in packed["application"] for i in a["instance"]} == ids
    assert len(ET.fromstring(v.eureka.get("/apps", Accept="*/*").body).findall(".//instance")) == 5400
    c = connect(v)
    c.send(b"GET /eureka/apps HTTP/1.0\r\nAccept: application/json\r\n\r\n")
    head = c.read_response(body=False)
    assert head.status == 200
    assert len(json.loads(c.rest())["applications"]["application"]) == 40
    assert v.eureka.request("HEAD", "/apps").status == 200


def untimed(reply):
    """Its body without the time of renewal, which is that of the answer's making."""
    return re.sub(rb'(lastRenewalTimestamp[">:]+)\d+', rb"\1", reply.body)


@pytest.mark.parametrize("compact", [None, "compact", "COMPACT", "full", "other"])
@pytest.mark.parametrize("accept", ["application/json", "application/JSON;q=0.1", "*/*", "application/xml", "text/html, application/json"])
def test_every_list_under_every_base_in_every_format(eureka, accept, compact):
    """The same bytes, whatever the base and the slashes; gzip says the same; regions are read over; HEAD has no body."""
    eureka.register(instance(secureVipAddress="safe"))
    headers = {"Accept": accept} | ({"X_Eureka_Accept": compact} if compact else {})
    is_json, is_mini = "json" in accept.lower(), (compact or "").lower() == "compact"
    for path in ("/apps", "/apps/delta", "/apps/ORDERS", "/vips/orders", "/svips/safe"):
        want = eureka.get(path, **headers)
        assert want.status == 200 and "Accept" in want.headers["Vary"]
        assert want.headers["Content-Type"].startswith("application/json" if is_json else "application/xml")
        assert (b"leaseInfo" not in want.body) == is_mini and b"h1:orders:8080" in want.body
        if is_json:
            want.json()
        else:
            ET.fromstring(want.body)
        for other in (path + "/", "/v2" + path, "//v2/" + path + "//", path + "?regions=us-east-1,eu-west-1"):
            assert untimed(eureka.get(other, **headers)) == untimed(want), other
        assert untimed(eureka.get(path, Accept_Encoding="gzip", **headers)) == untimed(want)
        head = eureka.request("HEAD", path, **headers)
        assert (head.status, head.raw, head.headers["Content-Length"]) == (200, b"", str(len(want.raw)))


def test_one_instance_is_never_compact(eureka):
    eureka.register()
    for path in (ONE, f"/instances/{ID}", f"/v2/instances/{ID}/"):
        assert eureka.get(path, X_Eureka_Accept="compact").json()["instance"]["leaseInfo"]
        assert b"<leaseInfo>" in eureka.get(path, Accept="*/*", X_Eureka_Accept="compact").body


def test_vips(eureka):
    eureka.register(instance(id="a", vipAddress="one,two", secureVipAddress="safe"))
    eureka.register(instance(id="b", vipAddress="one"))

    def ids(path):
        return sorted(i["instanceId"] for a in eureka.get(path).json()["applications"]["application"] for i in a["instance"])

    assert ids("/vips/one") == ["a", "b"]
    assert ids("/vips/two") == ["a"]
    assert ids("/vips/One") == []
    assert ids("/svips/safe") == ["a"]
    assert eureka.get("/vips/one").json()["applications"]["apps__hashcode"] == "UP_2_"


def test_delta(eureka):
    def delta():
        return eureka.get("/apps/delta").json()["applications"]

    first = delta()["versions__delta"]
    eureka.register(instance(id="a"))
    eureka.register(instance(id="b"))
    doc = delta()
    assert doc["versions__delta"] != first and doc["apps__hashcode"] == "UP_2_"
    assert {i["instanceId"]: i["actionType"] for i in doc["application"][0]["instance"]} == {"a": "ADDED", "b": "ADDED"}
    version = doc["versions__delta"]
    eureka.put("/apps/ORDERS/a")
    assert delta()["versions__delta"] == version  # a heartbeat changes nothing
    eureka.put("/apps/ORDERS/a/status?value=OUT_OF_SERVICE")
    eureka.delete("/apps/ORDERS/b")
    doc = delta()
    assert doc["versions__delta"] != version and doc["apps__hashcode"] == "OUT_OF_SERVICE_1_"
    assert {i["instanceId"]: (i["actionType"], i["status"]) for i in doc["application"][0]["instance"]} == {
        "a": ("MODIFIED", "OUT_OF_SERVICE"), "b": ("DELETED", "UP")}
    assert eureka.get("/apps/delta", Accept="*/*").body.startswith(b"<applications>")


def test_delta_can_be_switched_off(registry):
    e = registry("eureka.server.disable-delta=true").eureka
    assert (e.get("/apps/delta").status, e.get("/apps/").status) == (403, 200)


def test_delta_retention(registry):
    e = registry("eureka.server.retention-time-in-m-s-in-delta-queue=1000").eureka
    e.register()
    assert e.get("/apps/delta").json()["applications"]["application"]
    wait_for(lambda: not e.get("/apps/delta").json()["applications"]["application"], "the change to leave the delta")
    assert e.get("/apps/delta").json()["applications"]["apps__hashcode"] == "UP_1_"


def test_methods(eureka):
    eureka.register()
    for method, path in (("POST", "/apps"), ("DELETE", "/apps/ORDERS"), ("PATCH", ONE), ("GET", ONE + "/status"), ("POST", ONE),
                         ("GET", "/peerreplication/batch/")):
        reply = eureka.request(method, path)
        assert (reply.status, reply.raw) == (405, b""), (method, path)
    assert eureka.request("HEAD", "/apps").status == 200
    assert eureka.put("/asg/x/status?value=ENABLED").status == 400
    assert eureka.get("/status").json()["healthy"] is True
    assert ET.fromstring(eureka.get("/status", Accept="*/*").body).tag == "com.netflix.eureka.util.StatusInfo"


def test_full(registry):
    e = registry("vine.registry.max-instances=2").eureka
    assert [e.register(instance(id=str(i))).status for i in range(3)] == [204, 204, 503]
    assert b"vine.registry.max-instances" in e.register(instance(id="9")).body
    assert e.register(instance(id="1")).status == 204


def test_rate_limits(vine):
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", config="eureka.server.rate-limiter-enabled: true\n" + """
eureka.server:
  rate-limiter-burst-size: 5
  rate-limiter-registry-fetch-average-rate: 1
  rate-limiter-full-fetch-average-rate: 1
  rate-limiter-privileged-clients: friend, other
""")
    e = Eureka(v.port)
    e.register()

    def spent(path="/apps", **headers):
        """Takes what tokens there are, those too that come meanwhile: how many, and the refusal."""
        n = 0
        while (reply := e.get(path, **headers)).status == 200:
            n += 1
        return n, reply

    began = time.monotonic()
    n, refusal = spent()
    assert 5 <= n <= 5 + time.monotonic() - began + 1 and (refusal.status, refusal.raw) == (503, b"")
    assert (spent("/apps/delta")[1].status, spent("/apps/ORDERS")[1].status) == (503, 503)
    assert e.get(ONE).status == 200 and e.put(ONE).status == 200 and e.register().status == 204
    for name in ("DefaultClient", "DefaultServer", "friend", "other"):
        assert [e.get("/apps", DiscoveryIdentity_Name=name).status for _ in range(7)] == [200] * 7
    assert spent(DiscoveryIdentity_Name="foe")[1].status == 503
    wait_for(lambda: e.get("/apps/delta").status == 200, "a new token")
    v.config.write_text(v.config.read_text() + "  rate-limiter-throttle-standard-clients: true\n")
    v.signal(signal.SIGHUP)
    wait_for(lambda: e.get("/apps", DiscoveryIdentity_Name="DefaultClient").status == 503, "the reload")
    v.config.write_text("eureka.server.rate-limiter-enabled: false\n")
    v.signal(signal.SIGHUP)
    wait_for(lambda: [e.get("/apps").status for _ in range(20)] == [200] * 20, "no limit")


def test_every_odd_byte_in_an_id(eureka):
    """What JSON can hold is found again by its percent-coded path, and shown in both formats."""
    ids = [chr(c) for c in range(1, 0x100)] + ["/", "//", "%2F", ".", "..", "a/../b", "?", "#", "\u2028", "\U0001f600", "\x7f", "x" * 512]
    for id in ids:
        name = f"<{id}>"[:512]
        coded = "".join(f"%{b:02X}" for b in name.encode())
        assert eureka.register(instance(id=name)).status == 204, repr(id)
        assert eureka.put(f"/apps/ORDERS/{coded}").status == 200, repr(id)
        assert eureka.get(f"/apps/ORDERS/{coded}").json()["instance"]["instanceId"] == name, repr(id)
        assert eureka.put(f"/apps/ORDERS/{coded}/status?value=OUT_OF_SERVICE").status == 200, repr(id)
        ET.fromstring(eureka.get(f"/apps/ORDERS/{coded}", Accept="application/xml").body)
    assert len(eureka.apps()["ORDERS"]) == len({f"<{i}>"[:512] for i in ids})
    ET.fromstring(eureka.get("/apps", Accept="application/xml").body)
    assert eureka.register(instance(id="x" * 513)).status == 400
    assert b"instanceId is longer than 512 bytes" in eureka.register(instance(id="x" * 513)).body


# --- time ---

SHORT = {"renewalIntervalInSecs": 1, "durationInSecs": 2}


def test_eviction(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100")
    e = v.eureka
    for i in range(4):
        e.register(instance(id=f"live{i}"))
    e.register(instance(id="dead", leaseInfo=SHORT))
    began = time.monotonic()
    e.put("/apps/ORDERS/dead")

    def gone():
        return "dead" not in e.apps()["ORDERS"]

    wait_for(gone, "the eviction")
    assert time.monotonic() - began >= 2  # one duration after its last heartbeat
    deleted = [i for a in e.get("/apps/delta").json()["applications"]["application"] for i in a["instance"]
               if i["actionType"] == "DELETED"]
    assert [i["instanceId"] for i in deleted] == ["dead"]
    assert deleted[0]["leaseInfo"]["evictionTimestamp"] > 0
    v.wait_log("evicted.*id=dead")
    assert e.put("/apps/ORDERS/dead").status == 404
    assert e.register(instance(id="dead", leaseInfo=SHORT)).status == 204


def test_self_preservation(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100")
    e = v.eureka
    manage = Eureka(v.port, base="/actuator")

    def state():
        return manage.get("/registry").json()["selfPreservation"]

    for i in range(6):
        e.register(instance(id=f"i{i}", leaseInfo=SHORT if i < 3 else None))
    assert not state()["on"] and "off" in state()["why"]
    wait_for(lambda: state()["on"], "self-preservation")  # half of them fell silent
    wait_for(lambda: state()["expiredLeases"] == 3, "the leases' end")
    assert len(e.apps()["ORDERS"]) == 6
    assert e.get("/apps/ORDERS/i0").status == 200  # and is still answered
    now = state()
    assert (now["missing"], now["clients"]) == (3, 6) and now["moreClientsNeeded"] >= 1
    page = Eureka(v.port, base="").get("/").body.decode()
    assert "Self-preservation is ON" in page and "Accept the current size" in page
    v.wait_log("warn.*Self-preservation is ON")
    cross = manage.request("POST", "/registry/accept-size", Origin="http://elsewhere", Sec_Fetch_Site="cross-site")
    assert cross.status == 403 and state()["on"]
    assert manage.request("POST", "/registry/accept-size").status == 200
    wait_for(lambda: len(e.apps()["ORDERS"]) == 3, "the evictions")
    assert not state()["on"]


def test_self_preservation_ends_by_itself(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100")
    e = v.eureka
    manage = Eureka(v.port, base="/actuator")
    for i in range(2):
        e.register(instance(id=f"i{i}", leaseInfo=SHORT))
    wait_for(lambda: manage.get("/registry").json()["selfPreservation"]["on"], "self-preservation")
    assert e.put("/apps/ORDERS/i0").status == 200
    wait_for(lambda: not manage.get("/registry").json()["selfPreservation"]["on"], "its end")


def test_one_of_two_is_evicted(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100")
    e = v.eureka
    e.register(instance(id="a", leaseInfo=SHORT))
    e.register(instance(id="b"))
    wait_for(lambda: list(e.apps()["ORDERS"]) == ["b"], "the eviction of one of two")
    v.stop()
    assert "Self-preservation is ON" not in v.logs()


def test_lease_doubling(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100", "vine.registry.eureka-lease-doubling=true")
    e = v.eureka
    e.register(instance(id="a", leaseInfo=SHORT))
    began = time.monotonic()
    e.put("/apps/ORDERS/a")
    wait_for(lambda: not e.apps(), "the eviction")
    assert time.monotonic() - began >= 4


# --- the page, and hostile input ---

def test_page(registry):
    v = registry()
    v.eureka.register(instance(id="<script>alert(1)</script>", app="<B>", statusPageUrl="javascript:alert(1)"), app="%3CB%3E")
    v.eureka.register(instance(id="ok", statusPageUrl="http://h1/info"))
    page = Eureka(v.port, base="")
    reply = page.get("/")
    html = reply.body.decode()
    assert reply.headers["Content-Type"].startswith("text/html")
    assert "<script" not in html and "javascript:" not in html and "&lt;B&gt;" in html
    assert 'href="http://h1/info"' in html and "UP (1)" in html
    lastn = page.get("/lastn").body.decode()
    assert "ORDERS(ok)" in lastn and "<script" not in lastn
    assert page.get("/elsewhere").status == 404


def test_the_page_can_stand_elsewhere_or_nowhere(registry):
    elsewhere = Eureka(registry("eureka.dashboard.path=/eureka-page").port, base="")
    assert (elsewhere.get("/eureka-page").status, elsewhere.get("/eureka-page/").status, elsewhere.get("/").status) == (200, 200, 404)
    nowhere = Eureka(registry("eureka.dashboard.enabled=false").port, base="")
    assert (nowhere.get("/").status, nowhere.get("/lastn").status, nowhere.get("/eureka/apps").status) == (404, 404, 200)


def test_accepting_the_size_needs_the_right_to(registry):
    """From another machine (here: behind a proxy, which speaks for one) with credentials; from a browser only on this page."""
    v = registry("vine.management.user=op", "vine.management.password=secret")
    manage = Eureka(v.port, base="/actuator")
    path = "/registry/accept-size"
    assert manage.request("POST", path, X_Forwarded_For="192.0.2.1").status == 401
    assert manage.request("POST", path, X_Forwarded_For="192.0.2.1", Authorization="Basic b3A6c2VjcmV0").status == 200
    assert manage.request("POST", path, Origin="http://elsewhere", Authorization="Basic b3A6c2VjcmV0").status == 403
    own = f"http://127.0.0.1:{v.port}"
    reply = manage.request("POST", path, Origin=own, Accept="text/html,*/*", Content_Type="application/x-www-form-urlencoded")
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/html") and b"Back" in reply.body
    assert manage.get(path).status == 405


def test_what_every_role_has(registry):
    v = registry()
    v.eureka.register()
    manage = Eureka(v.port, base="/actuator")
    health = manage.get("/health").json()
    assert health["components"]["registry"]["details"]["instances"] == 1
    text = manage.get("/prometheus", Accept="text/plain").body.decode()
    assert "vine_registry_instances" in text and "vine_registry_self_preservation" in text


def test_pictures_do_not_pile_up(registry):
    v = registry()
    for i in range(400):
        v.eureka.register(instance(id=f"i{i % 20}", lastDirtyTimestamp=str(1700000000000 + i)))
        v.eureka.get("/apps/", Accept_Encoding="gzip")
    assert len(v.eureka.apps()["ORDERS"]) == 20


# --- the process ---

def test_settings_change_while_running(vine, tmp_path):
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", config="eureka.server.disable-delta: false\n")
    e = Eureka(v.port)
    assert e.get("/apps/delta").status == 200
    v.config.write_text("eureka.server.disable-delta: true\n")
    v.signal(signal.SIGHUP)
    wait_for(lambda: e.get("/apps/delta").status == 403, "the reload")


def test_restart_on_the_same_port(vine):
    first = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    port = first.port
    Eureka(port).register()
    first.stop()
    second = vine("registry", f"--server.port={port}", "--server.address=127.0.0.1")
    e = Eureka(second.port)
    assert second.port == port and e.put(ONE).status == 404  # the client then registers again
    assert e.register().status == 204 and e.put(ONE).status == 200


def test_stop_while_writes_are_under_way(registry):
    v = registry("vine.workers=4")
    stop = threading.Event()

    def hammer(n):
        e = Eureka(v.port)
        i = 0
        while not stop.is_set():
            try:
                e.register(instance(id=f"{n}-{i % 50}"))
                e.delete(f"/apps/ORDERS/{n}-{(i + 7) % 50}")
                e.get("/apps/delta", Accept_Encoding="gzip")
            except (http.client.HTTPException, OSError):
                return
            i += 1

    threads = [threading.Thread(target=hammer, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    manage = Eureka(v.port, base="/actuator")
    wait_for(lambda: manage.get("/registry").json()["registered"] > 300, "some registrations")
    v.stop()  # judges the exit and what sanitizers say
    stop.set()
    for t in threads:
        t.join()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_slow_reader_gets_a_large_answer_whole(version, registry, connect):
    """Also where the connection is closed after it, and the client stops in the middle for longer than closing may take."""
    v = registry("vine.workers=1")
    for i in range(600):  # more than kernel buffers hold
        more = {f"k{j}": "v" * 1000 for j in range(14)}
        assert v.eureka.register(instance(id=f"h{i}", metadata=more)).status == 204
    size = len(v.eureka.get("/apps/ORDERS").raw)
    c = connect(v, rcvbuf=8192)
    c.send(f"GET /eureka/apps/ORDERS {version}\r\nHost: a\r\nAccept: application/json\r\nConnection: close\r\n\r\n".encode())
    r = c.read_response(body=False)
    assert r.length() == size > 8_000_000
    threading.Event().wait(2.5)
    assert len(c.rest()) == size
