"""Services that move from Eureka's server to Vine, with the files that docs/from-spring.md shows, as they stand.

Two registries are each other's peers. The names in the files lead to them: the JVM is given a file of hosts.
"""
import difflib
import os
import pathlib
import re

import pytest

from recorder import Late
from spring_service import NEW, OLD, SpringService
from vine import ROOT, wait_for
from watched import WatchedRegistry

HERE = pathlib.Path(__file__).resolve().parent
BEFORE, AFTER = HERE / "before/application.yml", HERE / "application.yml"
VINE = HERE / "vine.yml"
DOC = ROOT / "docs/from-spring.md"
READINESS = {"management.endpoint.health.probes.enabled": "true", "management.health.readinessstate.enabled": "true"}


class Pair:
    """Two registries at addresses of their own, on the port that everybody knows."""

    def __init__(self, folder):
        self.registries = []
        self.folder = folder
        pid = os.getpid()  # nobody else's addresses, so that tests may run beside each other
        self.hosts = [f"127.{64 + pid % 128}.{pid // 128 % 256}.{n}" for n in (1, 2)]
        urls = ",".join(f"http://{h}:8761/eureka/" for h in self.hosts)
        for n, host in enumerate(self.hosts):
            (folder / str(n)).mkdir()
            self.registries.append(WatchedRegistry(
                folder / str(n), "-c", VINE, f"--eureka.server.my-url=http://{host}:8761/eureka/", host=host, port=8761,
                env={"REGISTRIES": urls}))

    def hosts_file(self, *names):
        path = self.folder / "hosts"
        path.write_text("".join(f"{host} {name}\n" for host, name in zip(self.hosts, names)), encoding="utf-8")
        return f"-Djdk.net.hosts.file={path}"

    def seen(self, method, path="/apps/ORDERS", after=(0, 0)):
        """The service's requests, at whichever registry, in their order; peers only send batches."""
        return sorted((e for r, a in zip(self.registries, after) for e in r.wire.seen(method, path, a)), key=lambda e: e.at)

    def marks(self):
        return [r.wire.mark() for r in self.registries]

    def orders(self):
        """[(id, status)] of ORDERS, by each registry that answers."""
        return [[(id, i["status"]) for id, i in r.eureka.apps().get("ORDERS", {}).items()] for r in self.registries if r.wire.target]

    def wait_orders(self, *want):
        wait_for(lambda: all(sorted(s for _, s in one) == sorted(want) for one in self.orders()),
                 Late(lambda: f"{want} everywhere, not {self.orders()}"))

    def stop(self):
        for r in self.registries:
            r.stop()


@pytest.fixture
def pair(tmp_path):
    p = Pair(tmp_path)
    yield p
    p.stop()


@pytest.fixture
def service(maven, tmp_path):
    started = []

    def start(generation, config, properties, jvm):
        s = SpringService(tmp_path / f"service{len(started)}", maven(generation.project),
                          {"eureka.instance.ip-address": "127.0.0.1", **properties}, config=config, jvm=jvm)
        started.append(s)
        return s

    yield start
    for s in started:
        s.stop()


@pytest.mark.parametrize("generation", [OLD, NEW], ids=lambda g: g.name)
def test_a_moved_service(pair, service, generation):
    """From start to end, and one of the two registries dies on the way."""
    s = service(generation, AFTER, READINESS, [pair.hosts_file("vine-1.shop.example", "vine-2.shop.example")])
    pair.wait_orders("UP")
    s.request("POST", "/ready?state=REFUSING_TRAFFIC")
    pair.wait_orders("OUT_OF_SERVICE" if generation is OLD else "DOWN")  # what the older clients say of themselves, and
    s.request("POST", "/ready?state=ACCEPTING_TRAFFIC")
    pair.wait_orders("UP")                                               # must be able to take back
    me = next(iter(pair.registries[0].eureka.apps()["ORDERS"].values()))
    assert me["metadata"]["zone"] == "north" and me["metadata"]["version"] == "1.4.2"
    assert me["hostName"] == me["ipAddr"] == "127.0.0.1"  # prefer-ip-address
    assert re.fullmatch(r"\S+:orders:0", me["instanceId"])
    assert me["port"]["$"] == s.port and me["healthCheckUrl"] == f"http://127.0.0.1:{s.port}/actuator/health"

    used = [r for r in pair.registries if r.wire.seen("PUT", "/apps/ORDERS")]
    assert len(used) == 1  # it keeps to one registry, not always to the first
    after = pair.marks()
    used[0].end()
    wait_for(lambda: [e.status for e in pair.seen("PUT", after=after) if e.status][2:], "heartbeats at the other registry")
    assert {e.status for e in pair.seen("PUT", after=after)} == {0, 200} and not pair.seen("POST", after=after)
    pair.wait_orders("UP")

    after = pair.marks()
    s.signal(15)
    # At once, so that nobody is sent there while it finishes what it has begun. The older client sets DOWN too, but then asks how it is:
    pair.wait_orders("OUT_OF_SERVICE" if generation is OLD else "DOWN")
    assert s.wait(30) == s.expect_code
    assert pair.orders() == [[]]
    assert [e.status for e in pair.seen("DELETE", after=after)] == [200]
    last = pair.seen("DELETE", after=after)[-1]
    assert not [e for e in pair.seen("POST", after=after) if e.at > last.at]  # no ghost from this client
    used[0].start()
    pair.wait_orders()  # the one that was away is told that it has gone


def test_no_change_at_all(pair, service):
    """Vine has taken over the names of the old servers: the service runs with the file of before. One of them was never there, and the
    service asks for short lists."""
    pair.registries[0].end()
    jvm = [pair.hosts_file("eureka-1.shop.example", "eureka-2.shop.example")]
    s = service(OLD, BEFORE, {"eureka.client.client-data-accept": "compact"}, jvm)
    pair.wait_orders("UP")
    found = wait_for(lambda: s.ask("/instances", service="orders"), "itself")
    assert [i["port"] for i in found] == [s.port] and found[0]["metadata"] == {}  # short lists have none
    s.wait_call("orders", "/hello", "orders")
    mine = [e for e in pair.seen(None, "") if OLD.user_agent.match(e.request.get("user-agent", ""))]
    assert mine and {e.header("x-eureka-accept") for e in mine} == {"compact"}  # on every request, also where it means nothing


# --- the document ---


def blocks():
    """{what the comment above a block says: the block}"""
    return dict(re.findall(r"<!-- (.+?) -->\n```\w*\n(.*?)```\n", DOC.read_text(encoding="utf-8"), re.S))


def test_the_document_shows_the_files_that_ran():
    before, after = (p.read_text(encoding="utf-8").splitlines(keepends=True) for p in (BEFORE, AFTER))
    diff = "".join(difflib.unified_diff(before, after, "application.yml", "application.yml", n=2))
    shown = blocks()
    assert shown.pop("the difference between tests/interop/spring/before/application.yml and tests/interop/spring/application.yml") == diff
    assert shown, "no other block names its file"
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(encoding="utf-8"), name


def test_the_services_know_nothing_of_vine():
    """No library, no annotation, no line of code: that the build stays as it is can be said."""
    for path in HERE.rglob("*.java"):
        imports = re.findall(r"^import (?:static )?(\w+\.\w+)", path.read_text(encoding="utf-8"), re.M)
        assert imports and {i for i in imports if not i.startswith("java.")} == {"org.springframework"}, path
    for path in HERE.parent.glob("spring_*/pom.xml"):
        needs = re.findall(r"<dependency>\s*<groupId>(.*?)</groupId>", path.read_text(encoding="utf-8"))
        assert {g.rpartition(".")[0] for g in needs} == {"org.springframework"}, path
