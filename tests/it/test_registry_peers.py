"""Registries that copy from each other: among themselves, and with a peer that speaks as Netflix's server does."""
import gzip
import json
import re
import signal
import threading
import time

import pytest

from forwarder import Forwarder
from registry_client import Eureka, instance
from registry_cluster import LEASE, Client, Cluster
from vine import SLOWNESS, wait_for

@pytest.fixture
def cluster(vine):
    made = []

    def make(n, *props):
        c = Cluster(vine, n, props)
        made.append(c)
        return c

    yield make
    for c in made:
        c.stop()


# --- between registries of our own ---

def test_every_kind_of_write_reaches_the_others(cluster):
    c = cluster(3)
    c.connected()
    before = [p["failures"] for p in c.nodes[0].manage.get("/registry").json()["peers"]]  # the others started later
    a, b, _ = (v.eureka for v in c.nodes)
    one = "/apps/ORDERS/x"
    a.register(instance(id="x"))
    wait_for(lambda: c.all_have({"x"}), "the registration")
    b.put(one + "/status?value=OUT_OF_SERVICE")
    wait_for(lambda: all(v.eureka.find(id="x")["status"] == "OUT_OF_SERVICE" for v in c.nodes), "the override")
    a.register(instance(id="x", lastDirtyTimestamp="1800000000000"))
    assert a.find(id="x")["status"] == "OUT_OF_SERVICE"
    a.put(one + "/metadata?color=green")
    wait_for(lambda: all(v.eureka.find(id="x")["metadata"].get("color") == "green" for v in c.nodes), "the metadata")
    assert all(v.eureka.find(id="x")["overriddenStatus"] == "OUT_OF_SERVICE" for v in c.nodes)
    a.delete(one + "/status")
    wait_for(lambda: all(v.eureka.find(id="x")["status"] == "UP" for v in c.nodes), "the end of the override")
    assert all(v.eureka.find(id="x")["overriddenStatus"] == "UNKNOWN" for v in c.nodes)
    b.delete(one)
    wait_for(lambda: c.all_have(set()), "the cancellation")
    peers = c.nodes[0].manage.get("/registry").json()["peers"]
    assert len(peers) == 2 and all(p["vine"] for p in peers)
    assert [p["failures"] for p in peers] == before
    assert "pw" not in json.dumps(peers)


@pytest.mark.speed
def test_a_change_is_seen_by_all_within_200_ms(cluster):
    c = cluster(3)
    c.connected()
    took = []
    for i in range(30):
        at = time.monotonic()
        c.nodes[i % 3].eureka.register(instance(id=f"i{i}"))
        for v in c.nodes:
            wait_for(lambda e=v.eureka: e.get(f"/apps/ORDERS/i{i}").status == 200, "the instance")
        took.append(time.monotonic() - at)
    assert sorted(took)[26] < 0.2, took  # nine of ten: a timer would take its time each time, a busy machine now and then


def test_heartbeats_keep_a_lease_at_every_registry(cluster):
    c = cluster(3, "eureka.server.eviction-interval-timer-in-ms=100")
    c.connected()
    one = Client([c.nodes[0].port], "x")
    wait_for(lambda: c.all_have({"x"}), "the registration")
    end = time.monotonic() + LEASE + 2
    while time.monotonic() < end:
        assert c.all_have({"x"})
        threading.Event().wait(0.1)
    one.die()
    wait_for(lambda: c.all_have(set()), "the evictions")  # each judges by itself


@pytest.mark.parametrize("end", [False, True])
def test_an_override_that_a_peer_missed_is_mended(cluster, end):
    """The registry that took the change dies before it could tell another one; a third tells it, by the version."""
    c = cluster(3, "eureka.server.peer-node-connect-timeout-ms=300", "eureka.server.peer-node-read-timeout-ms=300")
    c.connected()
    one = Client([c.nodes[1].port], "x")
    wait_for(lambda: c.all_have({"x"}), "the registration")
    if end:
        c.nodes[0].eureka.put("/apps/ORDERS/x/status?value=OUT_OF_SERVICE")
        wait_for(lambda: all(v.eureka.find(id="x")["status"] == "OUT_OF_SERVICE" for v in c.nodes), "the override")
    want = "UP" if end else "OUT_OF_SERVICE"
    c.links[0, 2].cut()
    if end:
        c.nodes[0].eureka.delete("/apps/ORDERS/x/status")
    else:
        c.nodes[0].eureka.put("/apps/ORDERS/x/status?value=OUT_OF_SERVICE")
    wait_for(lambda: c.nodes[1].eureka.find(id="x")["status"] == want, "the change at one of them")
    c.nodes[0].kill()
    c.nodes[0] = None
    wait_for(lambda: c.nodes[2].eureka.find(id="x")["status"] == want, "the change at the other")
    one.die()


def test_partition_and_heal(cluster):
    """Who lives is known everywhere in the end, who has gone nowhere; each side goes on alone meanwhile."""
    c = cluster(3, "eureka.server.eviction-interval-timer-in-ms=100", "eureka.server.peer-node-connect-timeout-ms=300",
                "eureka.server.peer-node-read-timeout-ms=300")
    c.connected()
    ports = [v.port for v in c.nodes]
    clients = {f"i{k}": Client([ports[k % 3]], f"i{k}") for k in range(12)}
    wait_for(lambda: c.all_have(clients), "all instances everywhere")
    c.isolate(2, "stall")
    wait_for(lambda: any(p["state"] == "lost" for p in c.nodes[0].manage.get("/registry").json()["peers"]), "the loss")
    # on this side one leaves, one comes, one dies; on the other one leaves and one comes
    clients.pop("i0").die()
    c.nodes[0].eureka.delete("/apps/ORDERS/i0")
    clients["new0"] = Client([ports[0]], "new0")
    clients.pop("i1").die()
    clients.pop("i2").die()
    c.nodes[2].eureka.delete("/apps/ORDERS/i2")
    clients["new2"] = Client([ports[2]], "new2")
    c.nodes[0].eureka.put("/apps/ORDERS/i3/status?value=OUT_OF_SERVICE")
    wait_for(lambda: "new0" in c.ids(1) and "i0" not in c.ids(1), "the changes on this side")
    assert "new0" not in c.ids(2) and "new2" not in c.ids(0)
    c.mend()
    wait_for(lambda: c.all_have(clients), "the same truth everywhere", 30 * SLOWNESS)
    wait_for(lambda: all(v.eureka.find(id="i3")["status"] == "OUT_OF_SERVICE" for v in c.nodes), "the override everywhere")
    for one in clients.values():
        one.die()


def test_clients_move_from_a_registry_that_dies(cluster):
    c = cluster(3, "eureka.server.eviction-interval-timer-in-ms=100")
    c.connected()
    ports = [v.port for v in c.nodes]
    clients = {f"i{k}": Client(ports[k % 3:] + ports[:k % 3], f"i{k}") for k in range(9)}
    wait_for(lambda: c.all_have(clients), "all instances everywhere")
    c.nodes[1].kill()
    c.nodes[1] = None
    end = time.monotonic() + LEASE + 1
    while time.monotonic() < end:
        assert c.all_have(clients)
        threading.Event().wait(0.1)
    v = c.start(1, "vine.registry.snapshot.enabled=false")
    wait_for(lambda: v.eureka.get("/apps/").status == 200, "lists")
    assert c.ids(1) == set(clients)  # it asked the others before it gave lists
    for one in clients.values():
        one.die()


def test_no_lists_before_the_peers_were_asked(vine):
    slow = Forwarder()
    slow.target = slow.port  # anything that can be connected to; nothing passes
    slow.stall()
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1",
             f"--eureka.client.service-url.defaultZone=http://127.0.0.1:{slow.port}/eureka/")
    e = Eureka(v.port)
    assert e.register().status == 204  # writes are taken
    assert e.put("/apps/ORDERS/h1:orders:8080").status == 200
    for path in ("/apps", "/apps/delta", "/apps/ORDERS", "/vips/orders", "/svips/orders"):
        reply = e.get(path)
        assert (reply.status, reply.raw) == (403, b""), path
    assert e.get("/apps/ORDERS/h1:orders:8080").status == 200
    health = Eureka(v.port, base="/actuator").get("/health").json()
    assert health["components"]["registry"]["status"] == "OUT_OF_SERVICE"
    slow.cut()
    wait_for(lambda: e.get("/apps").status == 200, "lists, since nobody answers")
    slow.stop()


def test_a_registry_is_not_its_own_peer(vine):
    """By address and port; and behind a name that says nothing, by what it answers."""
    wire = Forwarder()
    v = vine("registry", "--server.port=0", "--server.address=127.0.0.1",
             f"--eureka.client.service-url.defaultZone=http://127.0.0.1:{wire.port}/eureka/")
    wire.target = v.port
    manage = Eureka(v.port, base="/actuator")
    wait_for(lambda: [p["state"] for p in manage.get("/registry").json()["peers"]] == ["self"], "the discovery")
    v.wait_log("this peer is the registry itself")
    assert Eureka(v.port).register().status == 204
    v.stop()
    again = vine("registry", f"--server.port={v.port}", "--server.address=127.0.0.1",
                 f"--eureka.client.service-url.defaultZone=http://localhost:{v.port}/eureka/")
    assert Eureka(again.port, base="/actuator").get("/registry").json()["peers"] == []
    wire.stop()


def test_a_registry_whose_peers_are_taken_from_it_before_they_answer_gives_its_lists(vine):
    alone = "server.port: 0\nserver.address: 127.0.0.1\neureka.server.registry-sync-retries: 5\n"
    r = vine("registry", config=alone + "eureka.client.service-url.defaultZone: http://127.0.0.1:1/eureka/\n")
    e = Eureka(r.port)
    assert e.get("/apps/").status == 403
    r.config.write_text(alone)
    r.signal(signal.SIGHUP)
    wait_for(lambda: e.get("/apps/").status == 200, "its lists")


def test_a_registry_in_itself(vine):
    """Netflix's servers call a peer available whose host is among the instances."""
    a = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    b = vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--eureka.client.register-with-eureka=true",
             f"--eureka.client.service-url.defaultZone=http://127.0.0.1:{a.port}/eureka/", "--spring.application.name=eureka",
             "--eureka.instance.lease-renewal-interval-in-seconds=1", "--eureka.instance.lease-expiration-duration-in-seconds=2")
    ea, eb = Eureka(a.port), Eureka(b.port)
    wait_for(lambda: "EUREKA" in ea.apps(), "its entry at the peer")
    (there,), (here,) = ea.apps()["EUREKA"].values(), eb.apps()["EUREKA"].values()
    assert there["hostName"] == "127.0.0.1" and there["port"]["$"] == b.port
    assert (there["isCoordinatingDiscoveryServer"], here["isCoordinatingDiscoveryServer"]) == ("false", "true")
    first = here["leaseInfo"]["lastRenewalTimestamp"]
    id = here["instanceId"]
    wait_for(lambda: eb.find("EUREKA", id)["leaseInfo"]["lastRenewalTimestamp"] > first + 900, "its heartbeat")
    eb.delete(f"/apps/EUREKA/{id}")
    wait_for(lambda: eb.find("EUREKA", id), "it to come back")
    b.stop()
    assert ea.apps() == {}  # it has told that it leaves, before it ended


def test_a_registry_in_itself_without_a_pause_between_heartbeats(vine):
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--eureka.client.register-with-eureka=true",
             "--spring.application.name=eureka", "--eureka.instance.lease-renewal-interval-in-seconds=0")
    wait_for(lambda: "EUREKA" in Eureka(r.port).apps(), "its entry")
    r.stop()


def test_a_registry_in_itself_without_time_to_leave(vine):
    """Its word that it leaves is on its way to itself when it ends."""
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--eureka.client.register-with-eureka=true",
             "--spring.application.name=eureka", "--spring.lifecycle.timeout-per-shutdown-phase=0")
    wait_for(lambda: "EUREKA" in Eureka(r.port).apps(), "its entry")
    r.stop()


def test_what_was_answered_reaches_the_peers_before_the_end(cluster):
    c = cluster(2)
    c.connected()
    for i in range(300):
        c.nodes[0].eureka.register(instance(id=f"i{i}"))
    c.nodes[0].stop()
    c.nodes[0] = None
    assert len(c.ids(1)) == 300


def test_peers_change_while_running(vine):
    a = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    b = vine("registry", "--server.port=0", "--server.address=127.0.0.1", config="eureka.client.fetch-registry: true\n")
    b.config.write_text(f"eureka.client.service-url.defaultZone: http://127.0.0.1:{a.port}/eureka/\n")
    b.signal(1)
    manage = Eureka(b.port, base="/actuator")
    wait_for(lambda: [p["state"] for p in manage.get("/registry").json()["peers"]] == ["up"], "the peer")
    Eureka(b.port).register()
    wait_for(lambda: Eureka(a.port).find(), "the registration")
    b.config.write_text("eureka.client.service-url.defaultZone: ftp://x/\n")
    b.signal(1)
    b.wait_log("eureka.client.service-url")
    assert len(manage.get("/registry").json()["peers"]) == 1


# --- what Netflix's server sends and expects ---

def batch(e, *items, **headers):
    headers.setdefault("Content_Type", "application/json")
    return e.request("POST", "/peerreplication/batch/", json.dumps({"replicationList": list(items)}), **headers)


def item(action, id="h1:orders:8080", app="ORDERS", **more):
    return {"appName": app, "id": id, "action": action, **more}


def codes(reply):
    return [r["statusCode"] for r in reply.json()["responseList"]]


@pytest.fixture
def eureka(vine):
    return Eureka(vine("registry", "--server.port=0", "--server.address=127.0.0.1").port)


def test_batch(eureka):
    dirty = 1700000000000
    assert batch(eureka).json() == {"responseList": []}
    assert codes(batch(eureka, item("Heartbeat", lastDirtyTimestamp=dirty, status="UP"))) == [404]
    reply = batch(eureka, item("Register", lastDirtyTimestamp=dirty, status="UP", instanceInfo=instance()),
                  item("Heartbeat", lastDirtyTimestamp=dirty, status="UP"),
                  item("Heartbeat", lastDirtyTimestamp=dirty + 1, status="UP"),
                  item("Heartbeat", lastDirtyTimestamp=dirty - 1, status="UP"),
                  item("Cancel", id="nobody"), item("StatusUpdate", id="nobody", status="UP", lastDirtyTimestamp=1))
    assert codes(reply) == [200, 200, 404, 409, 404, 404]
    entity = reply.json()["responseList"][3]["responseEntity"]
    assert entity["instanceId"] == "h1:orders:8080" and "instance" not in entity  # unwrapped
    assert re.fullmatch(r"[0-9a-f]{16}-\d+", reply.headers["X-Vine-Version"])
    assert codes(batch(eureka, item("StatusUpdate", status="OUT_OF_SERVICE", lastDirtyTimestamp=dirty + 5))) == [200]
    one = eureka.find()
    assert (one["status"], one["overriddenStatus"], one["lastDirtyTimestamp"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE", str(dirty + 5))
    assert codes(batch(eureka, item("DeleteStatusOverride", status="UP", lastDirtyTimestamp=dirty + 5))) == [200]
    assert eureka.find()["status"] == "UP"
    # an override that only a heartbeat tells of
    assert codes(batch(eureka, item("Heartbeat", lastDirtyTimestamp=dirty + 9, status="UP", overriddenStatus="OUT_OF_SERVICE"))) == [404]
    assert eureka.find()["overriddenStatus"] == "OUT_OF_SERVICE"
    # the older registration loses, the same one wins
    old = instance(hostName="old", lastDirtyTimestamp=str(dirty))
    assert codes(batch(eureka, item("Register", instanceInfo=old))) == [200]
    assert eureka.find()["hostName"] == "h1"
    assert codes(batch(eureka, item("Register", instanceInfo=instance(hostName="new", lastDirtyTimestamp=str(dirty + 5))))) == [200]
    assert eureka.find()["hostName"] == "new"
    assert codes(batch(eureka, item("Cancel", lastDirtyTimestamp=dirty))) == [200]
    assert eureka.find()  # an older one was meant
    assert codes(batch(eureka, item("Cancel"))) == [200]
    assert eureka.find() is None


def test_batch_nonsense(eureka):
    reply = batch(eureka, item("Explode"), item("Register"), item("Register", instanceInfo=instance(hostName=None)),
                  item("Register", instanceInfo=instance(app="OTHER")), item("Cancel", id=""), item("StatusUpdate"),
                  item("Register", instanceInfo=instance(ipAddr="x" * 300)), item("Register", instanceInfo=instance()))
    assert codes(reply) == [400, 400, 400, 400, 400, 400, 400, 200]
    for body, status in (("", 400), ("[]", 400), ("{", 400), ('{"replicationList":7}', 400), ("[" * 5000, 400),
                         (json.dumps({"replicationList": [item("Cancel", id=str(i)) for i in range(1001)]}), 400)):
        reply = eureka.request("POST", "/peerreplication/batch/", body, Content_Type="application/json")
        assert reply.status == status, body[:40]
        assert "cannot parse request body" in reply.json()["error"]
    assert eureka.request("POST", "/peerreplication/batch", "<a/>", Content_Type="application/xml").status == 415
    packed = gzip.compress(json.dumps({"replicationList": [item("Heartbeat")]}).encode())
    reply = eureka.request("POST", "/peerreplication/batch", packed, Content_Type="application/json", Content_Encoding="gzip")
    assert codes(reply) == [200]
    bomb = gzip.compress(b" " * 50_000_000)
    assert eureka.request("POST", "/peerreplication/batch", bomb, Content_Type="application/json",
                          Content_Encoding="gzip").status in (400, 413)
    assert eureka.find()


def test_a_batch_that_comes_again_changes_nothing(eureka):
    items = [item("Register", id="a", instanceInfo=instance(id="a")), item("Register", id="b", instanceInfo=instance(id="b")),
             item("StatusUpdate", id="a", status="OUT_OF_SERVICE", lastDirtyTimestamp=1700000000005), item("Cancel", id="b")]
    for _ in range(3):
        assert codes(batch(eureka, *items)) == [200] * 4
        assert set(eureka.apps()["ORDERS"]) == {"a"}
        one = eureka.find(id="a")
        assert (one["status"], one["overriddenStatus"], one["lastDirtyTimestamp"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE", "1700000000005")


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_peer_whose_clock_is_off(eureka, hours):
    """Its times say nothing here: leases are measured by our own clock; of versions only those of one client are compared."""
    now = int(time.time() * 1000)
    theirs = now + hours * 3600_000
    lease = {"renewalIntervalInSecs": 30, "durationInSecs": 90, "registrationTimestamp": theirs, "lastRenewalTimestamp": theirs,
             "evictionTimestamp": theirs, "serviceUpTimestamp": 0}
    inst = instance(leaseInfo=lease, lastDirtyTimestamp=str(now), lastUpdatedTimestamp=str(theirs))
    assert codes(batch(eureka, item("Register", lastDirtyTimestamp=now, instanceInfo=inst))) == [200]
    one = eureka.find()
    assert abs(one["leaseInfo"]["lastRenewalTimestamp"] - now) < 60_000 and one["leaseInfo"]["evictionTimestamp"] == 0
    assert abs(int(one["lastUpdatedTimestamp"]) - now) < 60_000
    assert eureka.put(f"/apps/ORDERS/h1:orders:8080?lastDirtyTimestamp={now}").status == 200
    # a version from the future holds until a greater one comes; the client's heartbeat is told so and it registers anew
    ahead = instance(hostName="ahead", lastDirtyTimestamp=str(now + 3600_000))
    assert codes(batch(eureka, item("Register", instanceInfo=ahead))) == [200]
    assert eureka.put(f"/apps/ORDERS/h1:orders:8080?lastDirtyTimestamp={now + 5}").status == 200
    assert eureka.find()["hostName"] == "ahead"


class Netflix:
    """A peer as Netflix's server is one: strict in what it takes. Its answers are scripted by `answer`, item by item."""

    KNOWN = {"appName", "id", "lastDirtyTimestamp", "overriddenStatus", "status", "instanceInfo", "action"}

    def __init__(self, apps=(), answer=lambda item: {"statusCode": 200}, status=200, version=None):
        import http.server
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, doc):
                body = json.dumps(doc).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if peer.version:
                    self.send_header("X-Vine-Version", peer.version)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                peer.gets.append((self.path, dict(self.headers)))
                by_app = {}
                for i in peer.apps:
                    by_app.setdefault(i["app"], []).append(i)
                self.reply(200, {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": [
                    {"name": a, "instance": i} for a, i in by_app.items()]}})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                items = json.loads(body)["replicationList"]
                for i in items:
                    unknown = set(i) - peer.KNOWN
                    if unknown or not isinstance(i.get("lastDirtyTimestamp", 0), int) or self.path != "/eureka/peerreplication/batch/":
                        peer.problems.append((self.path, i))
                if peer.status != 200:
                    self.reply(peer.status, {})
                    return
                peer.items += items
                peer.batches.append((dict(self.headers), len(items)))
                self.reply(200, {"responseList": [peer.answer(i) for i in items]})

        self.apps, self.answer, self.status, self.version = list(apps), answer, status, version
        self.items, self.batches, self.gets, self.problems = [], [], [], []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, action, id=None):
        return [i for i in self.items if i["action"] == action and id in (None, i["id"])]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        assert not self.problems


@pytest.fixture
def netflix(vine):
    started = []

    def start(*props, **kw):
        n = Netflix(**kw)
        started.append(n)
        n.vine = vine("registry", "--server.port=0", "--server.address=127.0.0.1",
                      f"--eureka.client.service-url.defaultZone=http://u:p@127.0.0.1:{n.port}/eureka/", *(f"--{p}" for p in props))
        n.eureka = Eureka(n.vine.port)
        n.manage = Eureka(n.vine.port, base="/actuator")
        return n

    yield start
    for n in started:
        n.vine.stop()
        n.stop()


def test_what_a_netflix_peer_is_told(netflix):
    n = netflix()
    e = n.eureka
    wait_for(lambda: e.get("/apps").status == 200, "lists")
    e.register()
    e.put("/apps/ORDERS/h1:orders:8080/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=1700000000001")
    e.delete("/apps/ORDERS/h1:orders:8080/status?value=UP")
    wait_for(lambda: n.told("DeleteStatusOverride"), "the end of the override")
    e.put("/apps/ORDERS/h1:orders:8080?lastDirtyTimestamp=1700000000000")
    wait_for(lambda: n.told("Heartbeat"), "the heartbeat")
    e.delete("/apps/ORDERS/h1:orders:8080")
    wait_for(lambda: n.told("Cancel"), "the cancellation")
    assert [i["action"] for i in n.items] == ["Register", "StatusUpdate", "DeleteStatusOverride", "Heartbeat", "Cancel"]
    register, update, clear, beat, _ = n.items
    assert register["instanceInfo"]["hostName"] == "h1" and "instance" not in register["instanceInfo"]
    assert (update["status"], update["lastDirtyTimestamp"]) == ("OUT_OF_SERVICE", 1700000000001)
    assert (clear["status"], clear["lastDirtyTimestamp"]) == ("UP", 1700000000002)
    assert (beat["status"], "overriddenStatus" in beat) == ("UP", False)
    headers = n.batches[-1][0]
    assert headers["DiscoveryIdentity-Name"] == "DefaultServer" and headers["Authorization"] == "Basic dTpw"
    assert "x-netflix-discovery-replication" not in {k.lower() for k in headers}
    # nothing that a peer tells us is told on
    before = len(n.items)
    batch(e, item("Register", instanceInfo=instance(id="theirs"), id="theirs"))
    e.register(instance(id="by-url"), x_netflix_discovery_replication="true")
    e.put("/apps/ORDERS/by-url", x_netflix_discovery_replication="true")
    e.register(instance(id="ours"))
    wait_for(lambda: n.told("Register", "ours"), "our own")
    assert [i["id"] for i in n.items[before:]] == ["ours"]


def test_a_peer_that_does_not_know_an_instance_is_told_of_it(netflix):
    n = netflix(answer=lambda i: {"statusCode": 404 if i["action"] == "Heartbeat" else 200})
    n.eureka.register()
    wait_for(lambda: len(n.told("Register")) == 1, "the registration")
    n.eureka.put("/apps/ORDERS/h1:orders:8080")
    wait_for(lambda: len(n.told("Register")) == 2, "it again")
    # and that there is no override: Netflix's server keeps one that it has through a registration
    wait_for(lambda: n.told("DeleteStatusOverride"), "the end of an override")
    assert [(i["status"], i["lastDirtyTimestamp"]) for i in n.told("DeleteStatusOverride")] == [("UP", 1700000000000)]
    n.eureka.put("/apps/ORDERS/h1:orders:8080/status?value=DOWN")
    n.eureka.put("/apps/ORDERS/h1:orders:8080")
    wait_for(lambda: len(n.told("Register")) == 3, "it again")
    n.eureka.register(instance(id="next"))
    wait_for(lambda: n.told("Register", "next"), "the next")
    assert len(n.told("DeleteStatusOverride")) == 1


def test_a_peer_whose_override_has_ended_here_is_told_so(netflix):
    n = netflix()
    n.eureka.register()
    n.eureka.put("/apps/ORDERS/h1:orders:8080/status?value=DOWN")
    n.eureka.delete("/apps/ORDERS/h1:orders:8080/status")
    wait_for(lambda: n.told("DeleteStatusOverride"), "the end of the override")
    late = item("Heartbeat", lastDirtyTimestamp=1700000000001, status="DOWN", overriddenStatus="DOWN")
    assert codes(batch(n.eureka, late)) == [409]
    wait_for(lambda: len(n.told("DeleteStatusOverride")) == 2, "it again")
    assert n.told("DeleteStatusOverride")[1]["lastDirtyTimestamp"] == 1700000000002
    assert n.eureka.find()["status"] == "UP"


def test_overrides_that_only_heartbeats_tell_of(eureka):
    """Netflix's servers make no new version of an instance for an override, and lose what they cannot tell in time."""
    eureka.register()
    beat = {"lastDirtyTimestamp": 1700000000000, "status": "UP"}
    over = {**beat, "status": "DOWN", "overriddenStatus": "DOWN"}
    assert codes(batch(eureka, item("Heartbeat", **over))) == [200]
    assert (eureka.find()["status"], eureka.find()["overriddenStatus"]) == ("DOWN", "DOWN")
    assert codes(batch(eureka, item("Heartbeat", **beat))) == [200]
    assert (eureka.find()["status"], eureka.find()["overriddenStatus"]) == ("UP", "UNKNOWN")


def test_a_peers_newer_data_win(netflix):
    newer = instance(hostName="newer", lastDirtyTimestamp="1800000000000", overriddenStatus="OUT_OF_SERVICE", status="OUT_OF_SERVICE")
    n = netflix(answer=lambda i: {"statusCode": 409, "responseEntity": newer} if i["action"] == "Heartbeat" else {"statusCode": 200})
    n.eureka.register()
    n.eureka.put("/apps/ORDERS/h1:orders:8080")
    wait_for(lambda: n.eureka.find()["hostName"] == "newer", "its data")
    one = n.eureka.find()
    assert (one["status"], one["overriddenStatus"]) == ("OUT_OF_SERVICE", "OUT_OF_SERVICE")
    assert len(n.told("Register")) == 1  # not told back


@pytest.mark.parametrize("answer", [
    lambda i: {"statusCode": 409, "responseEntity": instance(id="somebody-else", lastDirtyTimestamp="1900000000000")},
    lambda i: {"statusCode": 409, "responseEntity": instance(app="OTHER", lastDirtyTimestamp="1900000000000")},
    lambda i: {"statusCode": 409, "responseEntity": {"hostName": 7, "lastDirtyTimestamp": "1900000000000"}},
    lambda i: {"statusCode": "many", "responseEntity": []},
    lambda i: 7,
])
def test_a_peer_that_answers_nonsense(netflix, answer):
    n = netflix(answer=answer)
    n.eureka.register()
    n.eureka.put("/apps/ORDERS/h1:orders:8080")
    wait_for(lambda: n.told("Heartbeat"), "the heartbeat")
    n.eureka.register(instance(id="next"))
    wait_for(lambda: n.told("Register", "next"), "what comes after")
    assert n.eureka.find()["hostName"] == "h1" and len(n.eureka.apps()) == 1


def test_retry_while_a_peer_is_busy_and_none_when_it_refuses(netflix):
    n = netflix(status=503)
    n.eureka.register()
    wait_for(lambda: n.manage.get("/registry").json()["peers"][0]["state"] == "lost", "the loss")
    n.status = 200
    wait_for(lambda: n.told("Register"), "the registration, again")
    n.status = 401
    n.eureka.register(instance(id="lost"))
    wait_for(lambda: n.manage.get("/registry").json()["peers"][0]["state"] == "refuses", "the refusal")
    n.vine.wait_log("a peer refuses what it is told.*401")
    n.status = 200
    n.eureka.register(instance(id="next"))
    wait_for(lambda: n.told("Register", "next"), "the next")
    assert not n.told("Register", "lost")


@pytest.mark.parametrize("version,coding", [("0123456789abcdef-7", "gzip"), (None, None)])
def test_compressed_batches(netflix, version, coding):
    """Spring Cloud's server answers 400 to them: only a peer that is Vine's gets them."""
    n = netflix("eureka.server.enable-replicated-request-compression=true", version=version)
    wait_for(lambda: n.manage.get("/registry").json()["peers"][0]["state"] == "up", "the peer")
    n.eureka.register()
    wait_for(lambda: n.told("Register"), "the registration")
    assert n.batches[-1][0].get("Content-Encoding") == coding


def test_everything_is_fetched_at_the_start(netflix):
    there = [instance(app=f"APP{i % 3}", id=f"i{i}") for i in range(20)]
    n = netflix(apps=there)
    wait_for(lambda: n.eureka.get("/apps").status == 200, "lists")
    assert sum(len(a) for a in n.eureka.apps().values()) == 20
    wait_for(lambda: n.manage.get("/registry").json()["sync"] == "done", "the report")
    assert n.manage.get("/registry").json()["learntFromPeers"] == 20
    assert n.gets[0][0] == "/eureka/apps/" and n.gets[0][1]["Authorization"] == "Basic dTpw"
    assert not n.items  # they were its own


def test_status_and_page_name_the_peers(netflix):
    n = netflix("eureka.server.min-available-instances-for-peer-replication=1")
    wait_for(lambda: n.manage.get("/registry").json()["peers"][0]["state"] == "up", "the peer")
    url = f"http://127.0.0.1:{n.port}/eureka/"
    stats = n.eureka.get("/status").json()
    assert stats["applicationStats"] == {"registered-replicas": url, "available-replicas": url, "unavailable-replicas": ""}
    assert stats["healthy"] is True and stats["instanceInfo"] == {"ipAddr": "127.0.0.1", "status": "UP"}
    assert b"<isHeathly>true</isHeathly>" in n.eureka.get("/status", Accept="*/*").body
    page = Eureka(n.vine.port, base="").get("/").body.decode()
    assert url in page and "u:p@" not in page and "DS Replicas" in page
    assert n.manage.get("/health").json()["components"]["registryPeers"]["details"]["up"] == 1
    n.status = 503
    n.eureka.register()
    wait_for(lambda: n.manage.get("/registry").json()["peers"][0]["state"] == "lost", "the loss")
    stats = n.eureka.get("/status").json()
    assert stats["applicationStats"]["unavailable-replicas"] == url and stats["healthy"] is False
    assert n.manage.get("/health").status == 503  # somebody said that one must be there


def test_a_batch_is_bounded(netflix):
    n = netflix(status=503)
    for i in range(600):
        n.eureka.register(instance(id=f"i{i}"))
    n.status = 200
    wait_for(lambda: len(n.told("Register")) == 600, "all of them")
    assert max(size for _, size in n.batches) == 250
    assert [i["id"] for i in n.told("Register")] == [f"i{i}" for i in range(600)]  # in order
