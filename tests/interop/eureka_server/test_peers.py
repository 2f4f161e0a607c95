"""Spring Cloud's Eureka servers, one of the old line and one of the new, and Vine's registries as peers of one cluster."""
import threading
import time

import pytest

from compare import parse
from netflix import Mixed
from real_client import LEASE, RealClient, now
from registry_client import Eureka, instance
from vine import wait_for

OLD, NEW, VINE, SECOND = range(4)
SLOW = 30  # seconds for what needs leases to end at Netflix's servers: two durations and an eviction


@pytest.fixture(scope="module")
def cluster(maven, tmp_path_factory):
    c = Mixed(tmp_path_factory.mktemp("mixed"), maven, ["old", "new", "vine", "vine"])
    c.start(OLD, NEW, VINE, SECOND)
    yield c
    c.stop()


def settle(c):
    """Nothing but the nodes, and nothing on its way any more."""
    end = time.monotonic() + 2 * SLOW
    while not c.all_have(set()):
        assert time.monotonic() < end, "the cluster does not become empty"
        for i in c.running():
            for id in c.ids(i):
                ask(c, i, "DELETE", f"/apps/ORDERS/{id}")
        threading.Event().wait(1.5)  # Netflix's servers gather for half a second; their cancellations name no version


@pytest.fixture
def whole(cluster):
    """The cluster with all its nodes, and nothing in it but the nodes themselves."""
    cluster.mend()
    cluster.start(*[i for i in range(cluster.n) if not cluster.nodes[i]])
    settle(cluster)
    for i in cluster.of("vine"):
        wait_for(lambda i=i: all(p["state"] == "up" for p in report(cluster, i)["peers"]), "the peers", SLOW)
    return cluster


@pytest.fixture
def clients():
    """Clients that end with the test."""
    made = {}
    yield made
    for c in made.values():
        c.over.set()
    for c in made.values():
        c.join()


def report(cluster, i):
    e = Eureka(cluster.ports[i], base="/actuator")
    doc = e.get("/registry").json()
    e.close()
    return doc


def ask(cluster, i, method, path, body=None, **headers):
    e = cluster.at(i)
    try:
        return e.register(body, **headers) if method == "POST" else e.request(method, path, **headers)
    finally:
        e.close()


def at_all(cluster, condition, what, timeout=SLOW):
    """Until condition(instances of ORDERS) holds at every node."""
    seen = {}

    def look():
        for i in cluster.running():
            seen[i] = (cluster.apps(i) or {}).get("ORDERS", {})
        return all(condition(s) for s in seen.values())
    try:
        wait_for(look, what, timeout)
    except AssertionError as e:
        short = {cluster.kinds[i] + str(i): {k: (v["status"], v["overriddenStatus"], v["hostName"]) for k, v in s.items()} for i, s in seen.items()}
        raise AssertionError(f"{e}\n{short}") from None


# --- what is told ---

@pytest.mark.parametrize("at", [OLD, NEW, VINE])
def test_every_write_reaches_all(whole, at):
    c = whole
    other = VINE if at != VINE else NEW
    ask(c, at, "POST", "", instance(id="x", lastDirtyTimestamp=now()))
    at_all(c, lambda s: set(s) == {"x"}, "the registration")
    ask(c, other, "PUT", "/apps/ORDERS/x/metadata?color=green")
    at_all(c, lambda s: s["x"]["metadata"] == {"zone": "north", "color": "green"}, "the metadata")
    ask(c, at, "PUT", "/apps/ORDERS/x/status?value=OUT_OF_SERVICE")
    at_all(c, lambda s: (s["x"]["status"], s["x"]["overriddenStatus"]) == ("OUT_OF_SERVICE",) * 2, "the override")
    ask(c, other, "POST", "", instance(id="x", lastDirtyTimestamp=now(), hostName="h2"))
    at_all(c, lambda s: (s["x"]["status"], s["x"]["hostName"]) == ("OUT_OF_SERVICE", "h2"), "the override under another registration")
    ask(c, at, "DELETE", "/apps/ORDERS/x/status?value=UP")
    at_all(c, lambda s: (s["x"]["status"], s["x"]["overriddenStatus"]) == ("UP", "UNKNOWN"), "the end of the override")
    ask(c, other, "DELETE", "/apps/ORDERS/x")
    at_all(c, lambda s: not s, "the cancellation")


def test_heartbeats_keep_leases_everywhere(whole, clients):
    c = whole
    want = {f"x{i}" for i in c.running()}
    for i in c.running():
        clients[f"x{i}"] = RealClient([c.front[i].port], f"x{i}")
    at_all(c, lambda s: set(s) == want, "the registrations")
    end = time.monotonic() + LEASE["durationInSecs"] * 2 + 1  # longer than a lease lives by itself at any of them
    while time.monotonic() < end:
        assert c.all_have(want)
        threading.Event().wait(0.5)
    assert not [e for one in clients.values() for e in one.errors]


def test_writes_marked_as_replicated_go_no_further(whole):
    """Per URL, as servers before the batches told each other, and as tools do."""
    c = whole
    mark = {"x_netflix_discovery_replication": "true"}
    for i in c.running():
        ask(c, i, "POST", "", instance(id=f"only{i}"), **mark)
        assert ask(c, i, "PUT", f"/apps/ORDERS/only{i}?lastDirtyTimestamp=1700000000000", **mark).status == 200
        assert ask(c, i, "PUT", f"/apps/ORDERS/only{i}/status?value=DOWN&lastDirtyTimestamp=1700000000000", **mark).status == 200
        older = ask(c, i, "PUT", f"/apps/ORDERS/only{i}?lastDirtyTimestamp=1600000000000", **mark)
        assert (older.status, older.json()["instance"]["status"]) == (409, "DOWN")
        assert ask(c, i, "PUT", f"/apps/ORDERS/only{i}?lastDirtyTimestamp=1800000000000", **mark).status == 404
        ask(c, i, "POST", "", instance(id=f"told{i}", lastDirtyTimestamp=now()))
    at_all(c, lambda s: {f"told{i}" for i in range(c.n)} <= set(s), "what was told afterwards")
    for i in c.running():
        assert {id for id in c.ids(i) if id.startswith("only")} == {f"only{i}"}
        ask(c, i, "DELETE", f"/apps/ORDERS/only{i}", **mark)


ITEM = {"appName", "id", "lastDirtyTimestamp", "overriddenStatus", "status", "instanceInfo", "action"}
OF_ACTION = {"Register": {"lastDirtyTimestamp", "status", "instanceInfo"}, "Heartbeat": {"lastDirtyTimestamp", "status"}, "Cancel": set(),
             "StatusUpdate": {"lastDirtyTimestamp", "status"}, "DeleteStatusOverride": {"lastDirtyTimestamp", "status"}}


@pytest.mark.parametrize("at", [OLD, NEW])
def test_what_the_servers_send(whole, at):
    """Each request that one of them makes, and each item of its batches, is as docs/eureka-server.md says."""
    c = whole
    stamp = now()
    ask(c, at, "POST", "", instance(id="x", lastDirtyTimestamp=stamp))
    at_all(c, lambda s: set(s) == {"x"}, "the registration")
    ask(c, at, "PUT", "/apps/ORDERS/x/status?value=OUT_OF_SERVICE")
    at_all(c, lambda s: s["x"]["status"] == "OUT_OF_SERVICE", "the override")
    ask(c, at, "PUT", f"/apps/ORDERS/x?status=UP&lastDirtyTimestamp={stamp}")
    link = c.links[at, VINE]

    def told(action, **fields):
        return [i for i, _ in link.items() if i["action"] == action and i["id"] == "x" and all(i.get(k) == v for k, v in fields.items())
                and i.get("lastDirtyTimestamp", int(stamp)) == int(stamp)]
    wait_for(lambda: told("Heartbeat", overriddenStatus="OUT_OF_SERVICE"), "a heartbeat that tells of the override")
    ask(c, at, "DELETE", "/apps/ORDERS/x/status?value=UP")
    ask(c, at, "PUT", f"/apps/ORDERS/x?status=UP&lastDirtyTimestamp={stamp}")
    wait_for(lambda: [i for i in told("Heartbeat") if "overriddenStatus" not in i], "a heartbeat that tells of none")
    ask(c, at, "DELETE", "/apps/ORDERS/x")
    at_all(c, lambda s: not s, "the cancellation")
    wait_for(lambda: all(told(a) for a in OF_ACTION), "items of every kind")

    for item, answer in link.items():
        fields = set(item) - {"appName", "id", "action"}
        assert fields - {"overriddenStatus"} == OF_ACTION[item["action"]] and set(item) <= ITEM, item
        assert "overriddenStatus" not in item or item["action"] == "Heartbeat", item
        assert isinstance(item.get("lastDirtyTimestamp", 0), int), item
        assert answer["statusCode"] in (200, 404, 409), (item, answer)
    requests = link.requests()
    batches = [m for m in requests if "peerreplication" in m.path]
    # What its own client asks and says of itself is another matter.
    others = [f"{m.line} {m.headers}" for m in requests if m not in batches and
              (m.headers.get("DiscoveryIdentity-Name") == "DefaultServer" or "/apps/ORDERS" in m.path)]
    assert batches and not others, "\n".join(others)
    for m in batches:
        assert m.path == "/eureka/peerreplication/batch/" and 1 <= len(m.json()["replicationList"]) <= 250
        assert m.headers["Content-Type"] == m.headers["Accept"] == "application/json"
        assert (m.headers["DiscoveryIdentity-Name"], m.headers["DiscoveryIdentity-Version"]) == ("DefaultServer", "1.0")
        assert m.headers["Transfer-Encoding"] == "chunked" and "Content-Encoding" not in m.headers
        assert "x-netflix-discovery-replication" not in m.headers
        assert m.headers["Authorization"] == "Basic dXM6cHc="


# --- who knows better ---

def renew(c, i, id, last={}):
    """Not more often than a client does: Netflix's server tells of a heartbeat once no newer one came for half a second."""
    if time.monotonic() > last.get(id, 0) + 0.9:
        last[id] = time.monotonic()
        ask(c, i, "PUT", f"/apps/ORDERS/{id}?status=UP&lastDirtyTimestamp=1700000000000")


@pytest.mark.parametrize("newer", [OLD, NEW, VINE])
def test_the_newer_version_wins(whole, newer):
    """Two registrations of one instance, on both sides of a cut; whichever side the client speaks to in the end, the newer one holds."""
    c = whole
    side = {VINE, SECOND}
    at = VINE if newer != VINE else OLD
    c.cut(side)
    ask(c, newer, "POST", "", instance(id="x", hostName="newer", lastDirtyTimestamp="1700000000500", leaseInfo=LEASE))
    ask(c, at, "POST", "", instance(id="x", hostName="older", lastDirtyTimestamp="1700000000000", leaseInfo=LEASE))
    wait_for(lambda: all(c.ids(i) == {"x"} for i in c.running()), "both sides to have their own")
    threading.Event().wait(1.5)  # what waited for the others is over: a registration is told as long as its interval
    c.mend()

    def beat(s):
        """The client of the older one renews: its registry tells the others, and is told better."""
        renew(c, at, "x")
        return s and s["x"]["hostName"] == "newer" and s["x"]["lastDirtyTimestamp"] == "1700000000500"
    at_all(c, beat, "the newer one everywhere")
    told = [(item["action"], answer["statusCode"], "responseEntity" in answer) for i in c.running() for j in c.running() if (i in side) != (j in side)
            for item, answer in c.links[i, j].items() if item["id"] == "x" and item.get("lastDirtyTimestamp") in (1700000000000, 1700000000500)]
    assert ("Heartbeat", 409, True) in told or ("Register", 200, False) in told


@pytest.mark.parametrize("at", [OLD, NEW, VINE])
def test_who_does_not_know_an_instance_is_told(whole, at):
    """Its registration was not told in time; the heartbeat is answered 404, and the registration comes after all."""
    c = whole
    c.cut({at})
    ask(c, at, "POST", "", instance(id="late", leaseInfo=LEASE, lastDirtyTimestamp="1700000000000"))
    threading.Event().wait(1.5)  # longer than its interval: nobody tells it any more
    c.mend()

    def beat(s):
        renew(c, at, "late")
        return "late" in s
    at_all(c, beat, "the instance everywhere")
    for j in c.running():
        if j != at and (at != VINE or c.kinds[j] != "vine"):
            told = [(item["action"], answer["statusCode"]) for item, answer in c.links[at, j].items() if item["id"] == "late"]
            assert ("Heartbeat", 404) in told and ("Register", 200) in told[told.index(("Heartbeat", 404)):], (at, j, told)


# --- partitions ---

@pytest.mark.parametrize("side,mode", [({OLD, NEW}, "cut"), ({OLD}, "stall"), ({VINE}, "cut")],
                         ids=["kinds cut", "an old one stalled", "one of Vine's cut"])
def test_partition_and_heal(whole, clients, side, mode):
    """Both sides go on alone, for longer than they wait for each other: some come, some leave, some die, one is taken out of service and one
    put back. Healed, all know who lives and how, and nobody else."""
    c = whole
    sides = [side, {i for i in range(c.n)} - side]
    of = {id: k for k in (0, 1) for id in (f"{k}{what}" for what in ("leaves", "dies", "out", "back", "stays"))}

    def client(id):
        """It speaks to its own side only, as one behind the same cut does."""
        mine = sorted(sides[of[id]])
        turn = len(clients) % len(mine)
        clients[id] = RealClient([c.front[i].port for i in mine[turn:] + mine[:turn]], id)
    for id in of:
        client(id)
    at_all(c, lambda s: set(s) == set(of), "all instances everywhere")
    for k in (0, 1):
        ask(c, min(sides[k]), "PUT", f"/apps/ORDERS/{k}back/status?value=OUT_OF_SERVICE")
    at_all(c, lambda s: all(s[f"{k}back"]["status"] == "OUT_OF_SERVICE" for k in (0, 1)), "the overrides")
    threading.Event().wait(2)  # a heartbeat later
    c.cut(side, mode)
    for k in (0, 1):
        clients.pop(f"{k}leaves").leave()
        clients.pop(f"{k}dies").die()
        ask(c, min(sides[k]), "PUT", f"/apps/ORDERS/{k}out/status?value=OUT_OF_SERVICE")
        ask(c, min(sides[k]), "DELETE", f"/apps/ORDERS/{k}back/status?value=UP")
        of[f"{k}comes"] = k
        client(f"{k}comes")
    wait_for(lambda: all(f"{k}comes" in c.ids(i) for k in (0, 1) for i in sides[k]), "who came, on their own side", SLOW)
    threading.Event().wait(3)
    assert not [i for k in (0, 1) for i in sides[k] if f"{1 - k}comes" in c.ids(i)]
    c.mend()
    want = {id: "OUT_OF_SERVICE" if id.endswith("out") else "UP" for id in clients}
    at_all(c, lambda s: {k: v["status"] for k, v in s.items()} == want, "one truth everywhere", 60)
    end = time.monotonic() + 3  # and it stays so: nobody comes back from the dead
    while time.monotonic() < end:
        at_all(c, lambda s: {k: v["status"] for k, v in s.items()} == want, "it to stay", 0.1)
    assert not [e for one in clients.values() for e in one.errors]


# --- coming and going ---

VIEWS = [("/apps/", {}), ("/apps/", {"Accept": "application/xml"}), ("/apps/", {"X_Eureka_Accept": "compact"}),
         ("/apps/", {"Accept": "application/xml", "X_Eureka_Accept": "compact"}), ("/apps/ORDERS", {}),
         ("/apps/ORDERS", {"Accept": "application/xml"}), ("/vips/orders", {}), ("/svips/none", {})]


def lists(c, i):
    """What a server tells, in every form; who it is itself, and whether an instance came or was changed, is its own affair."""
    e = c.at(i)
    texts = [e.get(path, **headers).body.decode() for path, headers in VIEWS]
    e.close()
    for a, b in (('"isCoordinatingDiscoveryServer":"true"', '"isCoordinatingDiscoveryServer":"false"'), ("Server>true<", "Server>false<"),
                 ("MODIFIED", "ADDED")):
        texts = [t.replace(a, b) for t in texts]
    return [parse(t) for t in texts]


def go_on(clients, seconds):
    before = {id: one.rounds for id, one in clients.items()}
    wait_for(lambda: all(one.rounds >= before[id] + seconds for id, one in clients.items()), "the clients to go on", 60)


def test_servers_that_start_anew_learn_all_from_vine(whole, clients):
    """Old nodes come back, and a node joins, while Vine alone has kept the registry."""
    c = whole
    alive = {f"i{k}" for k in range(8)}
    for id in alive:
        clients[id] = RealClient([c.front[VINE].port, c.front[SECOND].port], id, alive)
    at_all(c, lambda s: set(s) == alive, "all instances everywhere")
    c.end(OLD)
    c.end(NEW)
    ask(c, VINE, "PUT", "/apps/ORDERS/i3/status?value=OUT_OF_SERVICE")
    for pair in ((OLD, NEW), (NEW, OLD)):
        c.links[pair].cut()  # not from each other
    c.start(OLD, NEW)
    at_all(c, lambda s: set(s) == alive and s["i3"]["status"] == "OUT_OF_SERVICE", "all instances everywhere")
    c.mend()
    assert not [e for one in clients.values() for e in one.errors + one.lost]


def test_vine_takes_over_a_running_cluster(whole, clients):
    """Two servers run; Vine joins, knows all that they know, and they are stopped one by one. The clients notice nothing."""
    c = whole
    for i in (SECOND, VINE):
        c.end(i, "stop")
    alive = set()
    fronts = [c.front[i].port for i in range(c.n)]  # as in a configuration that names the new ones already
    for k in range(16):
        clients[f"i{k}"] = RealClient(fronts[k % 2:2] + fronts[:k % 2] + fronts[2:], f"i{k}", alive)
    everybody = set(clients)
    at_all(c, lambda s: set(s) == everybody, "all instances at the old servers")
    wait_for(lambda: all(one.ids() == everybody for one in clients.values()), "all pictures", SLOW)
    alive |= everybody
    ask(c, OLD, "PUT", "/apps/ORDERS/i5/status?value=OUT_OF_SERVICE")
    at_all(c, lambda s: s["i5"]["status"] == "OUT_OF_SERVICE", "the override at the old servers")

    c.start(VINE)
    wait_for(lambda: report(c, VINE)["sync"] == "done", "the first copy", SLOW)
    assert report(c, VINE)["learntFromPeers"] >= len(everybody)
    assert c.ids(VINE) == everybody

    def same():
        got = [lists(c, i) for i in c.running()]
        return all(g == got[0] for g in got)
    wait_for(same, "the same lists from all three", SLOW)

    ask(c, VINE, "PUT", "/apps/ORDERS/i6/status?value=OUT_OF_SERVICE")
    ask(c, NEW, "DELETE", "/apps/ORDERS/i5/status?value=UP")
    at_all(c, lambda s: s["i6"]["status"] == "OUT_OF_SERVICE" and s["i5"]["status"] == "UP", "changes both ways")
    wait_for(same, "the same lists from all three", SLOW)

    c.end(OLD, "stop")
    go_on(clients, 3)
    at_all(c, lambda s: set(s) == everybody, "all instances at those that are left")
    wait_for(same, "the same lists from both", SLOW)
    c.start(SECOND)
    c.end(NEW, "kill")  # as when its machine dies
    go_on(clients, LEASE["durationInSecs"] * 2)
    assert not [e for one in clients.values() for e in one.errors + one.lost]
    for i in (VINE, SECOND):
        assert c.statuses(i) == {id: "OUT_OF_SERVICE" if id == "i6" else "UP" for id in everybody}
        wait_for(lambda i=i: set(c.apps(i)) == {"ORDERS"}, "the old servers to be gone from the list", SLOW)
    assert all(one.ids() == everybody for one in clients.values())
    spread = {one.current for one in clients.values()}
    assert spread <= {c.front[VINE].port, c.front[SECOND].port}


def test_vine_takes_the_places_of_old_servers(whole, clients):
    """One after the other, at the same addresses: no configuration changes anywhere, and the clients notice nothing."""
    c = whole
    for i in (SECOND, VINE):
        c.end(i, "stop")
    alive = set()
    for k in range(8):
        clients[f"i{k}"] = RealClient([c.front[i].port for i in ((OLD, NEW), (NEW, OLD))[k % 2]], f"i{k}", alive)
    everybody = set(clients)
    at_all(c, lambda s: set(s) == everybody, "all instances at the old servers")
    wait_for(lambda: all(one.ids() == everybody for one in clients.values()), "all pictures", SLOW)
    alive |= everybody
    ask(c, NEW, "PUT", "/apps/ORDERS/i3/status?value=OUT_OF_SERVICE")
    kinds, c.kinds = c.kinds, ["vine"] * c.n
    try:
        for i, how in ((OLD, "stop"), (NEW, "kill")):
            c.end(i, how)
            c.start(i)
            wait_for(lambda i=i: report(c, i)["sync"] == "done", "the first copy", SLOW)
            assert c.ids(i) == everybody
            go_on(clients, 3)
            wait_for(lambda: lists(c, OLD) == lists(c, NEW), "the same lists from both", SLOW)
        go_on(clients, LEASE["durationInSecs"])
        for i in (OLD, NEW):
            assert c.statuses(i) == {id: "OUT_OF_SERVICE" if id == "i3" else "UP" for id in everybody}
        assert not [e for one in clients.values() for e in one.errors + one.lost]
    finally:
        c.kinds = kinds
        for i in (OLD, NEW):
            if c.nodes[i]:
                c.end(i)
