"""Spring Boot services of two generations against Vine's registry: the life of a service, and what its client really sends.

A generation has one JVM for most tests; the last of them kills it.
"""
import base64
import re
import signal
import time
import urllib.parse

import pytest

from recorder import Late
from registry_client import instance
from spring_service import NEW, OLD, SpringService
from vine import BINARY, ROOT, Vine, wait_for
from watched import WatchedRegistry

ID = "k\u00fcche:orders:1"  # what has to be coded in a path, and what need not be
ME = ("ORDERS", urllib.parse.quote(ID))
PATH = "/eureka/apps/ORDERS/k%C3%BCche:orders:1"
USERS = {"test": "er", "vine": "quiet", "orders": "hush"}  # the registry asks who calls
USER = base64.b64encode(b"orders:hush").decode()

IDENTITY = ["discoveryidentity-name", "discoveryidentity-version", "discoveryidentity-id"]
JERSEY_FIELDS = ["instanceId", "hostName", "app", "ipAddr", "status", "overriddenStatus", "port", "securePort", "countryId", "dataCenterInfo",
                 "leaseInfo", "metadata", "homePageUrl", "statusPageUrl", "healthCheckUrl", "vipAddress", "secureVipAddress",
                 "isCoordinatingDiscoveryServer", "lastUpdatedTimestamp", "lastDirtyTimestamp"]
REST_FIELDS = ["instanceId", "app", "appGroupName", "ipAddr", "sid", "homePageUrl", "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl",
               "vipAddress", "secureVipAddress", "countryId", "dataCenterInfo", "hostName", "status", "overriddenStatus", "leaseInfo",
               "isCoordinatingDiscoveryServer", "lastUpdatedTimestamp", "lastDirtyTimestamp", "actionType", "asgName", "port", "securePort",
               "metadata"]


class Stage:
    """A registry that is watched, a Spring service `orders`, and beside them Vine's gateway and a C service, `member`."""

    def __init__(self, folder, maven, generation):
        self.generation = generation
        self.processes = []
        self.registry = WatchedRegistry(folder, users=USERS)
        self.wire = self.registry.wire
        try:
            ours = ["--server.port=0", f"--eureka.client.service-url.defaultZone={self.registry.url_as('vine')}",
                    "--eureka.instance.hostname=127.0.0.1"]
            self.member = self.start(folder / "member", "-c", ROOT / "examples/shop/config/member.yml", *ours,
                                     "--eureka.instance.instance-id=member-1", binary=f"{BINARY.removesuffix('/vine')}/examples/shop/member")
            self.gateway = self.start(folder / "gateway", "gateway", *ours, "--server.address=127.0.0.1",
                                      "--spring.application.name=gateway", "--eureka.client.registry-fetch-interval-seconds=200ms",
                                      "--eureka.instance.lease-renewal-interval-in-seconds=1",
                                      "--eureka.instance.lease-expiration-duration-in-seconds=3")
            self.mark = self.wire.mark()
            self.orders = SpringService(folder / "orders", maven(generation.project), {
                "spring.application.name": "orders", "eureka.client.service-url.defaultZone": self.registry.url_as("orders"),
                "eureka.instance.hostname": "127.0.0.1", "eureka.instance.instance-id": ID, "eureka.client.healthcheck.enabled": "true",
                "eureka.instance.metadata-map.color": "green", "eureka.instance.metadata-map.my_key": "a b",
                "management.endpoints.web.exposure.include": "*"})
            self.processes.append(self.orders)
        except BaseException:
            self.stop()
            raise

    def start(self, folder, *args, **kw):
        folder.mkdir()
        process = Vine(folder, *args, **kw)
        self.processes.append(process)
        return process

    def seen(self, method, path="", after=0):
        """Requests of the Spring service alone: it is the one that says who it is."""
        return [e for e in self.wire.seen(method, path, after) if e.request.get("authorization") == f"Basic {USER}"]

    def wait_seen(self, method, path="", after=0, n=1, status=None):
        def look():
            found = [e for e in self.seen(method, path, after) if status in (None, e.status)]
            return found[n - 1] if len(found) >= n else None
        return wait_for(look, Late(lambda: f"{n} times {method} {path} {status}, not {self.seen(None, after=after)}"))

    def stop(self):
        problems = []
        for p in self.processes:
            if p.alive():
                p.signal(signal.SIGTERM)  # to all at once: each takes its time
        for p in reversed([*self.processes, self.registry]):
            try:
                p.stop()
            except AssertionError as e:
                problems.append(str(e))
        assert not problems, "\n".join(problems)


@pytest.fixture(scope="module", params=[OLD, NEW], ids=lambda g: g.name)
def stage(request, maven, tmp_path_factory):
    s = Stage(tmp_path_factory.mktemp(request.param.project), maven, request.param)
    yield s
    s.stop()


def test_registers_by_itself(stage):
    first = stage.wait_seen(None)
    assert (first.method, first.target) == ("GET", "/eureka/apps/")  # before all else it wants to know the others
    post = stage.wait_seen("POST", status=204)
    assert post.at < stage.orders.ready_at + 10  # not when it would look at itself for the first time, after 40 s
    me = stage.registry.find(*ME)
    port = stage.orders.port
    assert (me["app"], me["status"], me["overriddenStatus"], me["vipAddress"]) == ("ORDERS", "UP", "UNKNOWN", "orders")
    assert me["port"] == {"$": port, "@enabled": "true"} and me["securePort"] == {"$": 443, "@enabled": "false"}
    assert me["metadata"] == {"color": "green", "my_key": "a b"}
    assert me["healthCheckUrl"] == f"http://127.0.0.1:{port}/actuator/health"
    assert (me["leaseInfo"]["renewalIntervalInSecs"], me["leaseInfo"]["durationInSecs"]) == (1, 4)
    assert stage.orders.wait_instances("orders", ID)[ID]["metadata"] == {"color": "green", "my_key": "a b"}


def test_what_a_registration_looks_like(stage):
    post = stage.wait_seen("POST", status=204)
    sent = post.json()
    assert list(sent) == ["instance"] and post.target == "/eureka/apps/ORDERS"
    body = sent["instance"]
    assert (post.header("content-type"), post.header("accept-encoding")) == ("application/json", "gzip")  # no charset
    assert body["port"] == {"$": stage.orders.port, "@enabled": "true"}  # text, in both
    assert body["dataCenterInfo"] == {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}
    assert all(isinstance(v, int) for v in body["leaseInfo"].values()) and list(body["leaseInfo"]) == [
        "renewalIntervalInSecs", "durationInSecs", "registrationTimestamp", "lastRenewalTimestamp", "evictionTimestamp", "serviceUpTimestamp"]
    if stage.generation is OLD:
        assert list(body) == JERSEY_FIELDS
        assert post.request.chunked() and post.header("accept") == "application/json"
        assert body["isCoordinatingDiscoveryServer"] == "false" and isinstance(body["lastDirtyTimestamp"], str)
    else:
        assert list(body) == REST_FIELDS
        assert post.request.length() and "accept" not in post.request
        assert body["isCoordinatingDiscoveryServer"] is False and isinstance(body["lastDirtyTimestamp"], int)
        assert (body["sid"], body["actionType"], body["asgName"], body["appGroupName"]) == ("na", None, None, None)


def test_renews(stage):
    """Longer than a lease lasts, by heartbeats that say what the documents say."""
    beat = stage.wait_seen("PUT", r"\?status=UP", n=6)
    assert stage.registry.find(*ME)["status"] == "UP"
    me = stage.registry.find(*ME)
    assert (beat.path, list(beat.params())) == (PATH, ["status", "lastDirtyTimestamp"])
    assert beat.params()["lastDirtyTimestamp"] == me["lastDirtyTimestamp"] and me["lastDirtyTimestamp"].isdigit()
    assert beat.request.body == b"" and beat.header("content-length") == "0"  # in neither is there a body of {}
    assert len(stage.seen("POST", after=stage.mark)) == 1
    assert (beat.status, beat.response.body) == (200, b"")


def test_who_it_says_it_is(stage):
    """Headers, of every request so far."""
    stage.wait_seen("GET", "delta")
    client = [e for e in stage.wire.exchanges[stage.mark:] if stage.generation.user_agent.match(e.request.get("user-agent", ""))]
    assert all(e in stage.seen(None) for e in client)  # user and password of the URL come with each request
    for e in stage.seen(None, after=stage.mark):
        assert stage.generation.user_agent.match(e.header("user-agent"))
        assert not re.search("x-eureka-accept|x-netflix-discovery-replication|x-discovery", " ".join(e.names()))
        assert [n for n in e.names() if n in IDENTITY] == (IDENTITY if stage.generation is OLD else [])
        if stage.generation is OLD:
            assert (e.header("discoveryidentity-name"), e.header("discoveryidentity-version")) == ("DefaultClient", "1.4")
            assert e.header("accept-encoding") == "gzip"
        elif e.method == "GET":
            assert e.header("accept-encoding") == "gzip, deflate, x-gzip" and e.header("content-type") == "application/json"
        if e.method == "GET":
            assert e.header("accept") == "application/json" and e.response.get("content-encoding") == "gzip"
    fetches = [e.path for e in stage.seen("GET", after=stage.mark)]
    assert fetches[0] == "/eureka/apps/" and set(fetches[1:]) == {"/eureka/apps/delta"}  # all but once: no hash has differed


def test_finds_and_calls_services_in_c(stage):
    """By DiscoveryClient, by RestTemplate and by Feign: a service on libvine, and one behind Vine's gateway; and is called by both."""
    assert stage.orders.wait_instances("member", "member-1")["member-1"]["port"] == stage.member.port
    stage.orders.wait_call("member", "/members/1", '"Hana"')
    assert stage.orders.ask("/member", id=2)["name"] == "Minjun"
    assert {"orders", "member", "gateway"} <= {s.lower() for s in stage.orders.ask("/services")}
    stage.orders.wait_call("gateway", "/member/members/3", '"Sora"')
    stage.orders.wait_call("gateway", "/orders/hello", '"orders"')  # through the gateway back to itself
    stage.orders.wait_call("orders", "/hello", '"orders"')


def test_sees_others_come_change_and_go(stage):
    eureka, orders = stage.registry.eureka, stage.orders
    eureka.register(instance(app="STOCK", id="stock-1", vipAddress="stock"))
    eureka.register(instance(app="STOCK", id="stock-2", vipAddress="stock", status="STARTING"))
    orders.wait_instances("stock", "stock-1")  # those that are UP
    eureka.put("/apps/STOCK/stock-1/status?value=OUT_OF_SERVICE")
    orders.wait_instances("stock")
    eureka.delete("/apps/STOCK/stock-1/status")
    eureka.put("/apps/STOCK/stock-1/metadata?color=blue")
    wait_for(lambda: orders.instances("stock").get("stock-1", {}).get("metadata", {}).get("color") == "blue", "the new metadata")
    eureka.delete("/apps/STOCK/stock-1")
    orders.wait_instances("stock")
    eureka.delete("/apps/STOCK/stock-2")
    assert not stage.seen("GET", "/apps/$", after=stage.mark)[1:]  # deltas alone told it all that


def test_status_by_the_actuator(stage):
    """What an operator does to take an instance out of service, and to bring it back."""
    path = stage.generation.override_path
    after = stage.wire.mark()
    assert stage.orders.ask(path) == {"status": "UP", "overriddenStatus": "UNKNOWN"}
    assert stage.wait_seen("GET", PATH + "$", after=after).status == 200  # it asks the registry for itself
    assert stage.orders.request("POST", path, {"status": "OUT_OF_SERVICE"})[0] in (200, 204)
    put = stage.wait_seen("PUT", "/status", after=after, status=200)
    assert (put.path, list(put.params())) == (PATH + "/status", ["value", "lastDirtyTimestamp"]) and put.request.body == b""
    stage.registry.wait_status(*ME, "OUT_OF_SERVICE")
    stage.orders.wait_instances("orders")
    assert stage.orders.ask(path) == {"status": "OUT_OF_SERVICE", "overriddenStatus": "OUT_OF_SERVICE"}
    mark = stage.wire.mark()
    beat = stage.wait_seen("PUT", r"orders:1\?", after=mark, n=3)
    assert beat.params()["status"] == "UP" and stage.registry.find(*ME)["status"] == "OUT_OF_SERVICE"  # its own view does not change
    assert stage.orders.request("POST", path, {"status": "CANCEL_OVERRIDE"})[0] in (200, 204)
    gone = stage.wait_seen("DELETE", "/status", after=after, status=200)
    assert list(gone.params()) == ["lastDirtyTimestamp"]  # and no value: what comes back is what the client had reported
    stage.registry.wait_status(*ME, "UP")
    stage.orders.wait_instances("orders", ID)
    assert not [e for e in stage.seen(None, after=after) if e.status == 404 or e.method == "POST"]


def test_status_follows_health(stage):
    """eureka.client.healthcheck.enabled: a component that is down takes the instance out, by a registration."""
    after = stage.wire.mark()
    stage.orders.disk.rmdir()
    assert stage.orders.request("GET", "/actuator/health")[1]["status"] == "DOWN"
    post = stage.wait_seen("POST", after=after, status=204)
    assert post.json()["instance"]["status"] == "DOWN"
    assert stage.registry.find(*ME)["status"] == "DOWN"
    stage.wait_seen("PUT", "status=DOWN", after=after, status=200)
    stage.orders.wait_instances("orders")
    stage.orders.disk.mkdir()
    stage.registry.wait_status(*ME, "UP")
    stage.orders.wait_instances("orders", ID)
    versions = [int(e.json()["instance"]["lastDirtyTimestamp"]) for e in stage.seen("POST", after=after)]
    assert versions == sorted(set(versions)) and len(versions) == 2  # each change is a newer version


def test_a_registry_that_remembers(stage):
    """Restarted with its snapshot: nobody registers anew, and services call each other as if nothing had been."""
    stage.orders.wait_call("member", "/members/1", "Hana")
    stage.registry.end()
    mark = stage.wire.mark()
    broken = stage.wait_seen("PUT", after=mark)
    assert broken.response is None
    stage.orders.wait_call("member", "/members/1", "Hana")  # who was known stays known
    after = stage.wire.mark()
    stage.registry.start()
    assert stage.registry.find(*ME)["status"] == "UP"  # from the first moment
    stage.wait_seen("PUT", after=after, n=2, status=200)
    wait_for(lambda: "X-Vine-Restored" not in stage.registry.eureka.get("/apps/").headers, "everybody's first heartbeat")
    assert not stage.seen("POST", after=after) and not [e for e in stage.seen("PUT", after=after) if e.status == 404]


def test_a_registry_that_forgot(stage):
    """Restarted without a snapshot: the 404 on the next heartbeat makes it register, with a newer lastDirtyTimestamp."""
    before = stage.registry.find(*ME)["lastDirtyTimestamp"]
    stage.registry.end()
    after = stage.wire.mark()
    stage.registry.start("--vine.registry.snapshot.enabled=false")
    lost = stage.wait_seen("PUT", after=after, status=404)
    assert lost.response.body == b"" and lost.response.get("content-length") == "0"
    post = stage.wait_seen("POST", after=after, status=204)
    assert int(post.json()["instance"]["lastDirtyTimestamp"]) > int(before)
    stage.wait_seen("PUT", after=after, n=2, status=200)
    assert stage.registry.find(*ME)["status"] == "UP"
    stage.orders.wait_instances("member", "member-1")
    stage.orders.wait_call("member", "/members/1", "Hana")
    full = stage.seen("GET", "/apps/$", after=after)
    print(f"\nfull fetches after a restart without memory: {len(full)}")


def test_killed(stage):
    """Gone one lease after its last heartbeat, not two; and the gateway sends nothing there any more."""
    stage.wait_seen("PUT", r"orders:1\?", after=stage.wire.mark(), status=200)
    stage.orders.kill()
    last = stage.seen("PUT", r"orders:1\?")[-1].at
    assert stage.registry.find(*ME)
    stage.registry.wait_status(*ME, None)
    assert 3.5 < time.monotonic() - last < 7.8  # a lease of 4 s, and not of 8
    assert not stage.seen("DELETE", PATH + "$")
