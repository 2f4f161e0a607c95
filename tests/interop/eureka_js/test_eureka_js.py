"""npm's eureka-js-client against Vine's registry: what it sends, and that it gets what it waits for."""
import json
import subprocess

import pytest

from recorder import Late, Recorder
from registry_client import instance
from vine import DEADLINE, Lines, wait_for
from watched import WatchedRegistry

SHORT = 200  # ms between heartbeats, and between fetches


class Client:
    """A service in JavaScript, one process of driver.js."""

    def __init__(self, folder, urls, **more):
        config = {
            "eureka": {"serviceUrls": {"default": urls}, "heartbeatInterval": SHORT, "registryFetchInterval": SHORT, "maxRetries": 3,
                       "requestRetryDelay": 20},
            "instance": {"app": "jsapp", "instanceId": "127.0.0.1:jsapp:7000", "hostName": "127.0.0.1", "ipAddr": "127.0.0.1",
                         "vipAddress": "jsapp,js.alias", "port": {"$": 7000, "@enabled": True},
                         "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
                         "leaseInfo": {"renewalIntervalInSecs": 1, "durationInSecs": 2}, "metadata": {"zone": "north", "weight": 3}},
        }
        for section in ("eureka", "instance"):
            config[section].update(more.pop(section, {}))
        config.update(more)
        self.process = subprocess.Popen(["node", "--no-deprecation", "driver.js", json.dumps(config)], cwd=folder, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)

    def said(self):
        return [json.loads(line) for line in list(self.out.lines)]

    def wait(self, what, n=1, after=0, timeout=None):
        """The n-th line that has these fields."""
        def look():
            found = [s for s in self.said()[after:] if what.items() <= s.items()]
            return found[n - 1] if len(found) >= n else None
        return wait_for(look, Late(lambda: f"{n} times {what} of\n{self.out}\n{self.err}"), timeout)

    def ask(self, *words):
        before = len([s for s in self.said() if "answer" in s])
        self.process.stdin.write((" ".join(words) + "\n").encode())
        self.process.stdin.flush()
        return wait_for(lambda: [s["answer"] for s in self.said() if "answer" in s][before:], f"an answer to {words}: {self.err}")[0]

    def knows(self, verb, name, *ids):
        """Waits until these are the instances of that name."""
        return wait_for(lambda: sorted(i["id"] for i in self.ask(verb, name)) == sorted(ids) and self.ask(verb, name) or not ids,
                        Late(lambda: f"{ids} as {verb} {name}, not {self.ask(verb, name)}"))

    def logged(self, level, text):
        return [s for s in self.said() if s.get("log") == level and text in s["text"]]

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)


@pytest.fixture
def registry(tmp_path):
    r = WatchedRegistry(tmp_path)
    yield r
    r.stop()


@pytest.fixture
def client(npm):
    started = []

    def start(urls, **more):
        urls = [urls] if isinstance(urls, str) else urls
        c = Client(npm("eureka_js"), [u + "apps/" for u in urls], **more)
        started.append(c)
        return c

    yield start
    for c in started:
        if c.process.poll() is None:
            c.kill()


ME = ("JSAPP", "127.0.0.1:jsapp:7000")
PATH = "/eureka/apps/jsapp/127.0.0.1:jsapp:7000"


def test_life_and_what_is_sent(registry, client):
    """Registers, renews longer than its lease lasts, is found, fetches, leaves: and sends just what the documents say."""
    c = client(registry.url)
    assert c.wait({"start": "ok"})
    wire = registry.wire
    post = wire.wait("POST", status=204)
    assert post.target == "/eureka/apps/jsapp"  # the name as configured: the registry makes it upper case
    assert post.header("content-type") == post.header("accept") == "application/json"
    sent = post.json()
    assert list(sent) == ["instance"] and sent["instance"]["port"] == {"$": 7000, "@enabled": True}  # a boolean, as configured
    assert sent["instance"]["metadata"] == {"zone": "north", "weight": 3}                            # a number too
    assert sent["instance"]["status"] == "UP" and "lastDirtyTimestamp" not in sent["instance"]
    assert "securePort" not in sent["instance"] and "overriddenStatus" not in sent["instance"]
    kept = registry.find(*ME)
    assert (kept["app"], kept["status"], kept["vipAddress"]) == ("JSAPP", "UP", "jsapp,js.alias")
    assert kept["port"] == {"$": 7000, "@enabled": "true"} and kept["securePort"] == {"$": 7002, "@enabled": "false"}
    assert kept["metadata"] == {"zone": "north", "weight": "3"}
    assert kept["leaseInfo"]["durationInSecs"] == 2

    beats = 2 * 2000 // SHORT
    c.wait({"event": "heartbeat"}, n=beats)  # two leases long
    assert registry.find(*ME)["status"] == "UP" and len(wire.seen("POST")) == 1
    beat = wire.wait("PUT", status=200)
    assert (beat.target, beat.request.body, beat.header("content-length")) == (PATH, b"", "0")  # no parameters, no body
    assert set(beat.names()) == {"accept-encoding", "content-length"}
    fetch = wire.wait("GET", status=200)
    assert fetch.target == "/eureka/apps/" and fetch.header("accept") == "application/json"
    assert fetch.header("accept-encoding") == "gzip, deflate"
    assert fetch.response.get("content-encoding") == "gzip"
    assert {e.path for e in wire.seen("GET")} == {"/eureka/apps/"}  # never a delta unless asked for
    assert wire.connections < beats  # Node keeps its connections, since its version 19

    assert c.ask("stop") == "ok"
    bye = wire.wait("DELETE", status=200)
    assert (bye.target, bye.request.body) == (PATH, b"")
    assert registry.find(*ME) is None
    assert c.process.wait(DEADLINE) == 0
    assert len(wire.seen("POST")) == 1 and not c.logged("error", "")


def test_a_registry_that_asks_who_calls(tmp_path, client):
    registry = WatchedRegistry(tmp_path, users={"test": "er", "js": "hush"})
    try:
        stranger = client(registry.url)
        assert "401" in wait_for(lambda: [s for s in stranger.said() if "start" in s], "the end of its attempt")[0]["start"]
        c = client(registry.url_as("js"))
        c.wait({"start": "ok"})
        c.wait({"event": "heartbeat"}, n=2)
        c.knows("app", "jsapp", ME[1])
        assert c.ask("stop") == "ok" and registry.find(*ME) is None
    finally:
        registry.stop()


def test_finds_others_by_application_and_by_vip(registry, client):
    c = client(registry.url)
    c.wait({"start": "ok"})
    registry.eureka.register(instance(id="a", hostName="a", vipAddress="orders,orders.eu"))
    registry.eureka.register(instance(id="b", hostName="b"))
    c.knows("app", "orders", "a", "b")
    c.knows("vip", "orders", "a", "b")
    c.knows("vip", "orders.eu", "a")
    assert c.ask("vip", "ORDERS") == []  # VIPs are told apart by case
    registry.eureka.put("/apps/ORDERS/a/status?value=OUT_OF_SERVICE")
    c.knows("app", "orders", "b")
    registry.eureka.delete("/apps/ORDERS/b")
    wait_for(lambda: c.ask("app", "orders") == [], "that both are gone")
    registry.eureka.delete("/apps/ORDERS/a/status")
    c.knows("app", "orders", "a")


def test_deltas(registry, client):
    c = client(registry.url, shouldUseDelta=True)
    c.wait({"start": "ok"})
    delta = registry.wire.wait("GET", "delta", status=200)
    assert delta.target == "/eureka/apps/delta"  # without a slash
    assert len(registry.wire.seen("GET", "/apps/$")) == 1
    registry.eureka.register(instance(id="a", hostName="a"))
    c.knows("app", "orders", "a")
    registry.eureka.register(instance(id="a", hostName="a", metadata={"color": "green"}, lastDirtyTimestamp="1700000000001"))
    registry.eureka.put("/apps/ORDERS/a/metadata?color=blue")
    registry.eureka.register(instance(id="b", hostName="b", vipAddress="other"))
    c.knows("vip", "other", "b")
    registry.eureka.delete("/apps/ORDERS/b")
    wait_for(lambda: c.ask("vip", "other") == [], "the deletion")
    c.knows("app", "orders", "b")  # it takes the first of the application out of its list, not the one that left: its own mistake
    assert c.ask("full") == "ok"
    c.knows("app", "orders", "a")
    assert len(registry.wire.seen("GET", "/apps/$")) == 2  # all but the last by deltas
    assert not [s for s in c.said() if s.get("log") == "warn" and "delta" in s["text"]]


def test_an_override_survives_heartbeats_and_registrations(registry, client):
    """This client has no status but UP: what an operator overrides must not be undone by it."""
    c = client(registry.url)
    c.wait({"start": "ok"})
    c.knows("app", "jsapp", ME[1])
    assert registry.eureka.put(f"/apps/{ME[0]}/{ME[1]}/status?value=OUT_OF_SERVICE").status == 200
    wait_for(lambda: c.ask("app", "jsapp") == [], "that it is no longer UP")
    after = registry.wire.mark()
    registry.wire.wait("PUT", status=200, after=after, n=3)
    assert registry.find(*ME)["status"] == "OUT_OF_SERVICE"
    registry.restart()  # with its snapshot
    registry.wire.wait("PUT", status=200, after=registry.wire.mark(), n=2)
    assert registry.find(*ME)["status"] == "OUT_OF_SERVICE"
    assert registry.eureka.delete(f"/apps/{ME[0]}/{ME[1]}/status").status == 200
    c.knows("app", "jsapp", ME[1])


def test_a_registry_that_forgot_is_told_anew(registry, client):
    c = client(registry.url)
    c.wait({"start": "ok"})
    registry.end()
    c.wait({"log": "warn"})  # it complains, and goes on
    after = registry.wire.mark()
    registry.start("--vine.registry.snapshot.enabled=false")
    lost = registry.wire.wait("PUT", status=404, after=after)
    assert lost.response.body == b"" and lost.response.get("content-length") == "0"
    again = registry.wire.wait("POST", status=204, after=after)
    assert again.json() == registry.wire.wait("POST").json()
    registry.wire.wait("PUT", status=200, after=after, n=3)
    assert registry.find(*ME)["status"] == "UP"
    c.knows("app", "jsapp", ME[1])


def test_a_registry_with_a_snapshot_needs_no_registration(registry, client):
    c = client(registry.url)
    c.wait({"start": "ok"})
    wait_for(lambda: c.ask("app", "jsapp"), "itself")
    after = registry.wire.mark()
    registry.restart()
    registry.wire.wait("PUT", status=200, after=after, n=3)
    assert not registry.wire.seen("POST", after=after) and not [e for e in registry.wire.seen("PUT", after=after) if e.status == 404]


def test_a_dead_registry_is_passed_over(registry, client, tmp_path):
    """Two registries, the first of them dead: everything goes to the second, and stays there."""
    with Recorder(None) as dead:
        c = client([dead.url, registry.url])
        assert c.wait({"start": "ok"})
        assert dead.exchanges and registry.wire.wait("POST", status=204)
        tried = len(dead.exchanges)
        c.wait({"event": "heartbeat"}, n=5)
        assert registry.find(*ME)["status"] == "UP"
        assert len(dead.exchanges) <= tried + 2
        assert c.ask("stop") == "ok"
        assert registry.find(*ME) is None


def test_without_an_id_it_is_its_host_name(registry, client):
    c = client(registry.url, instance={"instanceId": None, "hostName": "web 7", "leaseInfo": None})
    c.wait({"start": "ok"})
    c.wait({"event": "heartbeat"}, n=2)
    assert registry.wire.wait("PUT", status=200).target == "/eureka/apps/jsapp/web%207"
    kept = registry.find("JSAPP", "web%207")
    assert (kept["hostName"], kept["leaseInfo"]["durationInSecs"]) == ("web 7", 90) and "instanceId" not in kept
    assert c.ask("stop") == "ok"
    assert registry.find("JSAPP", "web%207") is None


def test_an_id_beyond_ascii(registry, client):
    """It registers, but puts the bare byte into its later request lines, which Tomcat refuses with 400 as well."""
    c = client(registry.url, instance={"instanceId": "k\u00fcche:1"})
    c.wait({"start": "ok"})
    beat = registry.wire.wait("PUT", n=2)
    assert b"jsapp/k\xfcche:1 HTTP" in beat.request.raw and beat.status == 400
    registry.wait_status("JSAPP", "k%C3%BCche%3A1", None)


def test_dies_without_a_word(registry, client):
    """And it had been told no more than host and port: its default path is Netflix's."""
    c = client([], eureka={"serviceUrls": None, "host": "127.0.0.1", "port": registry.wire.port})
    c.wait({"start": "ok"})
    assert registry.wire.wait("POST", status=204).target == "/eureka/v2/apps/jsapp"
    assert registry.find(*ME)
    c.kill()
    registry.wait_status(*ME, None)
    assert not registry.wire.seen("DELETE")
