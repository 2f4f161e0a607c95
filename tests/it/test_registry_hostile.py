"""What clients and peers may send that nobody should: the registry stays up, in bounds, and readable to all others."""
import gzip
import json
import random
import select
import xml.etree.ElementTree as ET

import pytest

from peers import Response
from registry_client import Eureka, instance
from vine import DEADLINE, wait_for

ONE = "/apps/ORDERS/h1:orders:8080"


@pytest.fixture
def registry(vine):
    def start(*props):
        v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", *(f"--{p}" for p in props))
        v.eureka = Eureka(v.port)
        v.manage = Eureka(v.port, base="/actuator")
        return v

    return start


@pytest.fixture
def eureka(registry):
    return registry().eureka


def check_lists(eureka):
    """Every list can be read by strict parsers; returns the number of instances."""
    json.loads(eureka.get("/apps").body.decode("utf-8"))
    json.loads(eureka.get("/apps/delta").body.decode("utf-8"))
    ET.fromstring(eureka.get("/apps/delta", Accept="*/*").body)
    ET.fromstring(eureka.get("/apps", Accept="*/*", X_Eureka_Accept="compact").body)
    return len(ET.fromstring(eureka.get("/apps", Accept="*/*").body).findall(".//instance"))


def test_the_greatest_timestamp(eureka):
    assert eureka.register(instance(lastDirtyTimestamp=2**63 - 1)).status == 204
    for _ in range(2):
        assert eureka.put(ONE + "/status?value=OUT_OF_SERVICE").status == 200
        assert eureka.delete(ONE + "/status").status == 200
    assert eureka.find()["lastDirtyTimestamp"] == str(2**63 - 1)


@pytest.mark.parametrize("query", ["k=%FF", "%FE=v", "k=%00", "%00=v", "k=%ED%A0%80", "k=%EF%BF%BE", "a%3Ab=1", "%3A=x", "=x", "-a=1", "%40class=x"])
def test_metadata_that_no_format_can_hold(eureka, query):
    """One client's odd bytes must not make the lists unreadable to all."""
    eureka.register(instance(id="other"))
    eureka.register()
    assert eureka.put(f"{ONE}/metadata?{query}&good=1").status == 200
    assert check_lists(eureka) == 2
    assert eureka.find()["metadata"]["good"] == "1"
    assert "@class" not in eureka.find()["metadata"]


def post(eureka, body, **headers):
    headers.setdefault("Content_Type", "application/json")
    return eureka.request("POST", "/apps/ORDERS", body, **headers)


def batch(eureka, *items):
    return eureka.request("POST", "/peerreplication/batch/", json.dumps({"replicationList": items}), Content_Type="application/json")


AMAZON = {"@class": "com.netflix.appinfo.AmazonInfo", "name": "Amazon"}


def test_an_amazon_id_is_bounded_as_any(eureka):
    """Without an instanceId the data center's is the instance's."""
    def amazon(id):
        return instance(instanceId=None, dataCenterInfo={**AMAZON, "metadata": {"instance-id": id}})

    reply = eureka.register(amazon("x" * 513))
    assert reply.status == 400 and b"id is longer than 512 bytes" in reply.body
    assert eureka.register(amazon("x" * 512)).status == 204
    assert eureka.put("/apps/ORDERS/" + "x" * 512).status == 200
    assert batch(eureka, {"appName": "ORDERS", "id": "x" * 513, "action": "Register", "instanceInfo": amazon("x" * 513)}
                 ).json() == {"responseList": [{"statusCode": 400}]}


def test_amazon_data_without_an_id_get_one(eureka):
    eureka.register(instance(dataCenterInfo={**AMAZON, "metadata": {"ami-id": "a"}}))
    assert eureka.find()["dataCenterInfo"]["metadata"] == {"ami-id": "a", "instance-id": "h1:orders:8080"}
    eureka.register(instance(id="2", dataCenterInfo=AMAZON))
    assert eureka.find(id="2")["dataCenterInfo"] == {**AMAZON, "metadata": {"instance-id": "2"}}
    eureka.register(instance(id="3", dataCenterInfo={**AMAZON, "metadata": {"instance-id": "i-3"}}))
    assert eureka.find(id="3")["dataCenterInfo"]["metadata"] == {"instance-id": "i-3"}


def test_what_is_kept_of_a_cancel_is_bounded(registry):
    """Names of what never was are kept for the page: a thousand of them, none longer than an instance's may be."""
    v = registry()
    assert batch(v.eureka, *({"appName": "A" * 300, "id": f"{i}", "action": "Cancel"} for i in range(10))
                 ).json()["responseList"] == [{"statusCode": 400}] * 10
    assert batch(v.eureka, {"appName": "A", "id": "x" * 5_000_000, "action": "Cancel"}).json()["responseList"] == [{"statusCode": 400}]
    assert v.eureka.delete("/apps/ORDERS/" + "x" * 5000).status == 404
    page = Eureka(v.port, base="").get("/lastn").body.decode()
    assert "ORDERS(" + "x" * 512 + ")" in page and "x" * 513 not in page


def test_a_byte_order_mark_and_numbers_with_a_point(eureka):
    body = b"\xef\xbb\xbf" + json.dumps({"instance": instance(lastDirtyTimestamp=1700000000000.75)}).encode()
    assert post(eureka, body).status == 204
    assert eureka.find()["lastDirtyTimestamp"] == "1700000000000"
    eureka.delete(ONE)
    assert post(eureka, gzip.compress(body), Content_Encoding="gzip").status == 204
    assert eureka.find()
    for bad in (b"1e30", b"-1e30", b"NaN", b"1.", b'"1.5"'):
        assert post(eureka, json.dumps({"instance": instance(lastDirtyTimestamp=77)}).encode().replace(b"77", bad)).status == 400, bad


@pytest.mark.parametrize("path", ["/status", "/status/", "//status", "/v2/status", "/v1/status/", "/v2//status"])
def test_status_is_found_as_all_else(eureka, path):
    assert eureka.get(path).json()["generalStats"]
    assert eureka.get(path, Accept="application/JSON").json()["healthy"] is True
    assert eureka.get(path + "?format=json", Accept="*/*").json()["instanceInfo"]
    assert ET.fromstring(eureka.get(path, Accept="*/*").body).tag == "com.netflix.eureka.util.StatusInfo"
    assert eureka.get(path.rstrip("/") + "/x").status == 404 and eureka.request("POST", path).status == 404


def test_the_registry_is_bounded_in_bytes(registry):
    v = registry("vine.registry.max-bytes=1MB")
    bomb = {f"k{i}": "v" * 4000 for i in range(8)}
    answers = [v.eureka.register(instance(id=f"i{i}", metadata=bomb)) for i in range(60)]
    assert {r.status for r in answers} == {204, 503}
    assert answers[-1].body == b"the registry is full: vine.registry.max-bytes is 1048576"
    assert len(v.eureka.apps()["ORDERS"]) < 60
    assert v.manage.get("/registry").json()["bytes"] < 1 << 20
    assert v.eureka.register(instance(id="i0", metadata=bomb)).status == 204  # as it was
    assert v.eureka.put("/apps/ORDERS/i0").status == 200
    assert v.eureka.delete("/apps/ORDERS/i0").status == 200
    assert v.eureka.register(instance(id="new", metadata=bomb)).status == 204


def test_the_page_of_a_huge_registry_is_bounded(registry):
    v = registry()
    url = "http://h/" + "<" * 1000  # four bytes each on the page
    for part in range(8):
        items = [{"appName": f"APP{part}", "id": f"i{k}", "action": "Register",
                  "instanceInfo": instance(app=f"APP{part}", id=f"i{k}", statusPageUrl=url)} for k in range(300)]
        assert batch(v.eureka, *items).status == 200
    page = Eureka(v.port, base="").get("/").body.decode()
    assert len(page) < 6 << 20 and page.endswith("</body></html>\n")
    assert " applications more" in page and "<b>APP0</b>" in page and "<b>APP7</b>" not in page
    assert " and 100 more" in page and "General info" in page


def test_bodies_that_never_end_are_bounded_together(registry, connect):
    """Each may be sixteen megabytes; a thousand connections that stop before the last byte must not take sixteen gigabytes."""
    v = registry("vine.workers=1", "vine.http.max-gathered-bytes=32MB")
    head = (b"POST /eureka/peerreplication/batch/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 16777216\r\n\r\n")

    def post(size):
        """Of a batch, so many bytes; the reply, if one comes before it is whole."""
        c = connect(v)
        try:
            c.send(head)
            c.send(b" " * size)
        except OSError:
            pass  # it was answered before
        return c

    held = [post(15_000_000) for _ in range(3)]  # whoever comes last with a piece that has no room is refused
    ready, _, _ = select.select([c.sock for c in held], [], [], DEADLINE)
    refused = next(c for c in held if c.sock in ready)
    reply = refused.read_response()
    assert reply.status == 503 and b"vine.http.max-gathered-bytes" in reply.body
    assert v.eureka.register().status == 204  # small ones have room
    for c in held:
        c.close()
    wait_for(lambda: post(16777216).read_response().status == 400, "room for another")


def test_a_full_share_of_bodies(registry, connect):
    """What a packed body becomes counts as well; what is read over needs no room at all."""
    v = registry("vine.workers=1", "vine.http.max-gathered-bytes=32MB")
    assert v.eureka.register().status == 204
    held = [connect(v) for _ in range(2)]
    for c in held:  # all but 120,000 bytes of what the worker may hold, and never whole
        c.send(b"POST /eureka/peerreplication/batch/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
               b"Content-Length: 16777216\r\nExpect: 100-continue\r\n\r\n")
        assert c.read_head(Response).status == 100
        c.send(b" " * (16777216 - 60_000))
    space = bytes(random.Random(1).choices(b" \n", k=200_000))  # packed no better than the limit of ratios lets it
    packed = gzip.compress(json.dumps({"instance": instance()}).encode() + space)
    assert len(packed) < 60_000

    def register():
        return v.eureka.request("POST", "/apps/ORDERS", packed, Content_Type="application/json", Content_Encoding="gzip")

    wait_for(lambda: register().status == 503, "the share to be full")
    assert b"vine.http.max-gathered-bytes" in register().body
    assert v.eureka.request("PUT", ONE, b"{}" + b" " * 300_000, Content_Type="application/json").status == 200
    c = connect(v)
    c.send(b"PUT /eureka%s HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n" % ONE.encode())
    assert c.read_head(Response).status == 100
    c.send(b" " * 300_000)
    assert c.read_response().status == 200
    c = connect(v)
    c.send(b"PUT /eureka%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % ONE.encode())
    c.send(b"10001\r\n" + b" " * 0x10001 + b"\r\n")
    c.send((b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 15)
    assert c.read_response().status == 413
    for c in held:
        c.close()
    wait_for(lambda: register().status == 204, "room for another")


def test_one_id_in_two_applications(eureka):
    """They are two instances; in the list of overrides, which Eureka keeps by id alone, the key comes once."""
    for app in ("A", "B"):
        assert eureka.register(instance(app=app, id="same")).status == 204
        assert eureka.put(f"/apps/{app}/same/status?value=OUT_OF_SERVICE").status == 200
    assert eureka.get("/serverinfo/statusoverrides").body == b'{"same":"OUT_OF_SERVICE"}'
    assert eureka.delete("/apps/A/same").status == 200
    assert eureka.get("/apps/A/same").status == 404 and eureka.find("B", "same")["status"] == "OUT_OF_SERVICE"
    assert eureka.get("/instances/same").json()["instance"]["app"] == "B"
