"""A soak of the registry by TLS: services that come and go, watchers that leave in every way, half a fetch, broken handshakes,
renewed certificates; a gateway that watches, dies and comes back; for as long as it is told.

No call of an ordinary client may fail. At the end the registry holds what its clients hold true, the gateway too; everything must
be back that was taken (tests/it/leaks.py), the process must be at rest, and drain with watchers on it.
"""
import contextlib
import json
import os
import random
import signal
import socket
import ssl
import struct
import threading
import time

from play import Play  # first: it says where the tests' modules are

from leaks import Ledger
from manage import get
from peers import request_bytes
from registry_client import instance
from tls import Authority, TlsClient, args, client_context, raw
from vine import Vine, wait_for

CLIENTS = 6
REST = 0.3  # seconds of processor time that a process at rest may use in one second
JSON = ["Content-Type: application/json", "Accept: application/json"]


def expect(r, *statuses):
    assert r.status in statuses, f"{r}, want {statuses}"
    return r


class Service(threading.Thread):
    """One client of its own, with instances of its own: what it holds true, the registry must hold."""

    def __init__(self, soak, number):
        super().__init__()
        self.soak, self.number = soak, number
        self.rng = random.Random(soak.seed * 1000 + number)
        self.truth = {}  # id: status
        self.next_id = 0

    # --- ordinary ---

    def post(self, id):
        body = json.dumps({"instance": instance(app=f"APP{self.number}", id=id, metadata={"filler": "f" * self.rng.randint(0, 500)})})
        return request_bytes("POST", f"/eureka/apps/APP{self.number}", JSON, body, host="localhost")

    def register(self, c):
        """Several on one connection at once: several changes in one turn of the registry."""
        ids = [f"i{self.number}-{self.next_id + k}" for k in range(self.rng.randint(1, 12))]
        self.next_id += len(ids)
        c.send(b"".join(self.post(id) for id in ids))
        for id in ids:
            expect(c.read_response(), 204)
            self.truth[id] = "UP"

    def renew(self, c):
        for id in self.rng.sample(sorted(self.truth), min(len(self.truth), 5)):
            expect(c.request("PUT", f"/eureka/apps/APP{self.number}/{id}?status=UP&lastDirtyTimestamp=1700000000000", JSON), 200)

    def take_out(self, c):
        for id in self.rng.sample(sorted(self.truth), min(len(self.truth), 2)):
            status = self.rng.choice(["OUT_OF_SERVICE", "UP"])
            expect(c.request("PUT", f"/eureka/apps/APP{self.number}/{id}/status?value={status}", JSON), 200)
            self.truth[id] = status

    def cancel(self, c):
        gone = self.rng.sample(sorted(self.truth), len(self.truth) // 3)
        c.send(b"".join(request_bytes("DELETE", f"/eureka/apps/APP{self.number}/{id}", host="localhost") for id in gone))
        for id in gone:
            expect(c.read_response(), 200)
            del self.truth[id]

    def fetch(self, c):
        expect(c.request("GET", self.rng.choice(["/eureka/apps", "/eureka/apps/delta", "/eureka/apps/APP0"]),
                         ["Accept: application/json"]), 200, 404)

    # --- watchers ---

    def watch(self, c):
        """Reads the stream for a while, or does not, and leaves without a word, with one, by a reset, or by halves."""
        c.send(request_bytes("GET", "/vine/watch", ["Accept: text/event-stream"], host="localhost"))
        end = time.monotonic() + self.rng.uniform(0, 0.5)
        reads = self.rng.random() < 0.7
        c.sock.settimeout(0.1)
        while time.monotonic() < end and not self.soak.over.is_set():
            if not reads:
                self.soak.over.wait(0.05)
                continue
            with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                if not c.sock.recv(65536):
                    break
        self.leave(c)

    def long_poll(self, c):
        c.send(request_bytes("GET", "/vine/watch?wait=1", ["Accept: application/json"], host="localhost"))
        self.soak.over.wait(self.rng.uniform(0, 0.3))
        self.leave(c)

    def leave(self, c):
        how = self.rng.randrange(4)
        if how == 0:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == 1:
            c.sock.settimeout(0.1)
            c.sock.unwrap()
        elif how == 2:
            socket.socket.shutdown(c.sock, socket.SHUT_WR)
            self.soak.over.wait(self.rng.uniform(0, 0.1))

    # --- hostile ---

    def half_a_fetch(self, c):
        c.send(request_bytes("GET", "/eureka/apps", ["Accept: application/json"], host="localhost") * self.rng.randint(1, 20))
        with contextlib.suppress(TimeoutError):
            c.sock.recv(self.rng.randint(1, 20_000))
        self.leave(c)

    def nonsense(self, c):
        body = self.rng.choice([b"{", b"[]", b'{"instance":{}}', b"\xff" * 3000, b'{"replicationList":[{"appName":1}]}'])
        r = c.request("POST", self.rng.choice(["/eureka/apps/X", "/eureka/peerreplication/batch/"]), JSON, body)
        assert r.status < 500, r  # a batch is 200, and each entry has its own word

    def break_handshake(self, c):
        c.close()
        with contextlib.suppress(OSError):
            with raw(self.soak.registry.port) as s:
                s.sendall(self.rng.choice([b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x00\x05hello", os.urandom(300),
                                           b""]))
                if self.rng.random() < 0.5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    ORDINARY = [("register", 8), ("renew", 6), ("take_out", 3), ("cancel", 5), ("fetch", 4)]
    OTHERS = [("watch", 8), ("long_poll", 3), ("half_a_fetch", 4), ("nonsense", 2), ("break_handshake", 3)]

    def act(self, c, name):
        """False: the connection is used up."""
        if name in dict(self.ORDINARY):
            getattr(self, name)(c)
            return True
        with contextlib.suppress(OSError, ssl.SSLError, ConnectionError):
            getattr(self, name)(c)
        return False

    def run(self):
        names, weights = zip(*self.ORDINARY, *self.OTHERS)
        c = None
        while not self.soak.over.is_set():
            name = self.rng.choices(names, weights)[0]
            try:
                c = c or TlsClient(self.soak.registry.port, self.soak.trusts)
                stays = self.act(c, name)
                self.soak.count(name)
            except Exception as e:  # pylint: disable=broad-except
                self.soak.fail(f"client {self.number}, {name}: {type(e).__name__}: {str(e)[:300]}")
                stays = False
            if not stays or self.rng.random() < 0.1:
                c.close()
                c = None
        if c:
            c.close()


class Soak(Play):
    def renew_certificate(self):
        for file in (self.listener.key, self.listener.cert):
            fresh = file.with_suffix(".new")
            fresh.write_bytes((self.spare.key if file == self.listener.key else self.spare.cert).read_bytes())
            fresh.rename(file)

    def new_gateway(self):
        self.gateways += 1
        folder = self.folder / f"gw{self.gateways}"
        folder.mkdir()
        self.gw = Vine(folder, "gateway", *args({
            "server.port": 0, "server.address": "127.0.0.1", "eureka.client.enabled": "true", "ribbon.eureka.enabled": "true",
            "vine.tls.trust-certificate": self.authority.ca,
            "eureka.client.service-url.defaultZone": f"https://localhost:{self.registry.port}/eureka/"}))

    def upset(self):
        rng = random.Random(self.seed)
        while not self.over.wait(rng.uniform(0.5, 3)):
            what = rng.choice(["reload", "renewal", "gateway killed", "gateway stopped"])
            self.say(what)
            if what == "reload":
                self.registry.signal(signal.SIGHUP)
            elif what == "renewal":
                self.renew_certificate()
            else:
                self.gw.kill() if what == "gateway killed" else self.gw.stop()
                self.new_gateway()
            self.count(what)

    def start(self, folder):
        self.folder, self.gateways = folder, 0
        self.authority = Authority(folder / "ca")
        self.listener, self.spare = self.authority.issue("registry"), self.authority.issue("spare")
        self.trusts = client_context(self.authority)
        (folder / "registry").mkdir()
        names = {k: v for k, v in self.listener.props().items() if not k.endswith("trust-certificate")}
        self.registry = Vine(folder / "registry", "registry", *args({
            **names, "server.port": 0, "server.address": "127.0.0.1", "vine.workers": 2,
            "eureka.server.rate-limiter-enabled": "false"}))
        self.ledger = Ledger(self.registry, context=self.trusts)
        self.new_gateway()
        self.services = [Service(self, i) for i in range(CLIENTS)]

    def run(self):
        self.go_on(self.registry, [*self.services, threading.Thread(target=self.upset)])

    # --- the end ---

    def judge(self):
        self.say("seen: " + ", ".join(f"{n} {k}" for k, n in sorted(self.done.items())))
        self.check("the process lives", lambda: wait_for(self.registry.alive, "it", 0.1))
        self.check("no call of an ordinary client fails", lambda: self.none(self.failures))
        for name, _ in Service.ORDINARY + Service.OTHERS:
            self.check(f"{name}: done", lambda n=name: self.some(self.done[n]))
        self.check("the registry holds what its clients do", self.same_truth)
        self.check("so does a gateway that watches", self.gateway_knows)
        self.check("the gateway ends well", self.gw.stop)
        self.check("nothing is left behind", lambda: self.ledger.settle(timeout=20))
        self.check("the process is at rest", lambda: wait_for(self.at_rest, "rest", 20))
        self.check("memory has not grown", lambda: self.memory(self.registry))
        self.check("it drains with watchers on it, and the sanitizers are silent", self.drain)

    def truth(self):
        return {id: status for s in self.services for id, status in s.truth.items()}

    def listed(self):
        with contextlib.closing(TlsClient(self.registry.port, self.trusts)) as c:
            r = expect(c.request("GET", "/eureka/apps", ["Accept: application/json"]), 200)
        return {i["instanceId"]: i for a in json.loads(r.body)["applications"]["application"] for i in a["instance"]}

    def same_truth(self):
        seen = {id: i["status"] for id, i in self.listed().items() if i["app"].startswith("APP")}
        assert seen == self.truth(), f"{len(seen)} seen, {len(self.truth())} true: {sorted(set(seen.items()) ^ set(self.truth().items()))[:6]}"

    def gateway_knows(self):
        def knows():
            view = get(self.gw.port, "/actuator/eureka")["registry"]
            up = sum(i["status"] == "UP" for i in self.listed().values())
            return (view["changes"], view["instances"]) == ("pushed", up)
        wait_for(knows, "the instances that are UP in the gateway's view")

    def at_rest(self):
        before = self.registry.cpu()
        threading.Event().wait(1)
        return self.registry.cpu() - before < REST

    def drain(self):
        late = [TlsClient(self.registry.port, self.trusts) for _ in range(10)]
        for c in late:
            c.send(request_bytes("GET", "/vine/watch", ["Accept: text/event-stream"], host="localhost"))
            assert c.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        self.registry.stop()
        assert "forced=true" not in self.registry.logs() and "cut off" not in self.registry.logs()
        for c in late:
            c.close()

    def end(self):
        for v in (self.gw, self.registry):
            if v.alive():
                v.kill()
        return f"{self.registry.err}\n{self.gw.err}"
