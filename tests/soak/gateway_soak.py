"""A soak of the gateway: good, slow, dying and lying upstreams; ordinary and hostile clients; reloads; for as long as it is told.

The error budget of requests to healthy upstreams is nought. At the end everything must be back that was taken (tests/it/leaks.py),
memory must not have grown since it was warm, and the process must drain with requests in flight and exit with 0, without a word of
a sanitizer.
"""
import contextlib
import os
import random
import signal
import socket
import threading
import zlib

from play import Play  # first: it says where the tests' modules are

import peers
from gateway import config
from leaks import Ledger
from manage import value
from ordinary import Ordinary
from peers import chunked, ok, reply, request_bytes, serve
from vine import Vine, wait_for

CLIENTS = 8
BLOCK = bytes(range(256)) * 256


class Quiet(peers.Upstream):
    """Keeps no requests: there are too many."""

    def record(self, request):
        pass


# --- upstreams ---

def answer(request):
    """What a healthy upstream says: by the first part of the path."""
    what, _, arg = request.target.lstrip("/").partition("/")
    if what == "echo":
        return ok(b"%d %08x" % (len(request.body), zlib.crc32(request.body)))
    if what == "big":
        return ok((BLOCK * (int(arg) // len(BLOCK) + 1))[:int(arg)])
    if what == "pieces":
        return reply(200, chunked(*[BLOCK[:i % 700 + 1] for i in range(int(arg))]), ["Transfer-Encoding: chunked"], length=False)
    if what == "slow":
        threading.Event().wait(int(arg) / 1000)
    return ok(b"fine")


def liar(rng):
    """Each connection another lie."""
    lies = [peers.reset_at_once, peers.reset_after_request, peers.close_after_request,
            peers.then_close(b"HTTP/1.1 200 O"), peers.then_reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            peers.then_close(b"\x00\xff\r\n\r\n" * 50), peers.then_close(ok(b"one") + ok(b"two")),
            peers.then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            peers.then_close(b"HTTP/1.1 103 Hints\r\n\r\n" * 200), lambda p: p.send(ok(b"unasked")), peers.stall,
            lambda p: (p.next_request(body=False), p.send(ok(b"early")))]

    def script(peer):
        rng.choice(lies)(peer)
    return script


def tired(peer):
    """Serves fifty requests a connection, and says with the last that it was the last."""
    for left in range(49, -1, -1):
        request = peer.next_request()
        if request is None:
            return
        said = answer(request)
        peer.send(said if left else said.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))


class Mortal:
    """An upstream that dies, with all its connections, and comes back on its port."""

    def __init__(self):
        self.up = Quiet(serve(answer))
        self.address = self.up.address

    def toggle(self):
        if self.up.over.is_set():
            dead, self.up = self.up, Quiet(serve(answer), port=self.up.port)
            dead.stop()  # which has kept the port meanwhile
            return "comes back"
        self.up.refuse()
        return "dies"


# --- clients: each takes what it needs from its own random numbers; one that returns has got what was due ---

def expect(r, status, body=None):
    assert r.status == status, f"{r}, want {status}"
    assert body is None or r.body == body, f"{len(r.body)} bytes {r.body[:60]!r}, want {len(body)} bytes {body[:60]!r}"


def keep_alive(c, rng):
    for _ in range(rng.randint(1, 30)):
        expect(c.get("/good/x", "X-Filler: " + "f" * rng.randint(0, 2000)), 200, b"fine")


def pipelining(c, rng):
    n = rng.randint(2, 40)
    c.send(b"".join(request_bytes(target=f"/good/big/{i}") for i in range(n)))
    for i in range(n):
        expect(c.read_response(), 200, (BLOCK * 2)[:i])


def byte_by_byte(c, rng):
    c.send_pieces(request_bytes("POST", "/good/echo", body=b"small"), rng.randint(1, 7))
    expect(c.read_response(), 200, b"5 %08x" % zlib.crc32(b"small"))


def upload(c, rng):
    pieces = [BLOCK[:rng.randint(1, 20_000)] for _ in range(rng.randint(1, 40))]
    body = b"".join(pieces)
    if rng.random() < 0.5:
        c.send(request_bytes("POST", "/good/echo", ["Transfer-Encoding: chunked"]))
        for p in pieces:
            c.send(chunked(p, last=b""))
        c.send(b"0\r\n\r\n")
    else:
        c.send(request_bytes("PUT", "/good/echo", ["Expect: 100-continue"] if rng.random() < 0.3 else [], body=body))
    expect(c.read_response(), 200, b"%d %08x" % (len(body), zlib.crc32(body)))


def download(c, rng):
    n = rng.randint(1, 3_000_000)
    expect(c.get(f"/good/big/{n}"), 200, (BLOCK * (n // len(BLOCK) + 1))[:n])


def in_pieces(c, rng):
    n = rng.randint(1, 1500)
    expect(c.get(f"/good/pieces/{n}"), 200, b"".join(BLOCK[:i % 700 + 1] for i in range(n)))


def slow_reader(c, rng):
    n = 400_000
    c.send(request_bytes(target=f"/good/big/{n}"))
    for _ in range(rng.randint(1, 20)):
        c.fill(4000)
        threading.Event().wait(0.02)
    expect(c.read_response(), 200, (BLOCK * 7)[:n])


def half_closing(c, rng):
    c.send(request_bytes(target=f"/good/slow/{rng.randint(0, 50)}"))
    c.half_close()
    expect(c.read_response(), 200, b"fine")
    assert c.ended_cleanly()


def stranger(c, rng):
    """A request to a service with bad upstreams, or to none: any honest answer will do."""
    target = rng.choice(["/bad/x", "/mortal/x", "/nowhere", "/good/../../x"])
    try:
        r = c.request(rng.choice(["GET", "POST"]), target, body=b"b" * rng.choice([0, 9, 90_000]))
        assert r.status in (200, 400, 404, 500, 502, 503, 504), r
    except ConnectionError:
        pass


def aborting(c, rng):
    """Goes away anywhere in an exchange."""
    raw = rng.choice([request_bytes(target="/good/big/3000000"), request_bytes("POST", "/good/echo", body=b"x" * 200_000),
                      request_bytes(target="/good/slow/30"), request_bytes(target="/bad/x"), request_bytes(target="/mortal/x") * 5,
                      request_bytes("POST", "/bad/x", ["Transfer-Encoding: chunked"]) + b"1\r\nx\r\n" * 1000])
    with contextlib.suppress(ConnectionError):
        c.send(raw[:rng.randint(0, len(raw))])
    if rng.random() < 0.7:
        c.reset()
    else:
        c.close()


def hostile(c, rng):
    """Breaks HTTP, or stands still for a moment."""
    raw = rng.choice([b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500,
                      b"POST /good/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                      b"GET /" + b"a" * 70_000, b"POST /good/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                      b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n" * 300, b"GET / HTTP/1.1\r\nHost: a\r\nX-", os.urandom(200)])
    with contextlib.suppress(ConnectionError):
        c.send(raw)
        threading.Event().wait(rng.random() * 0.1)
        c.half_close()
        c.wait_gone()


ACTIONS = [(keep_alive, 8), (pipelining, 4), (byte_by_byte, 3), (upload, 5), (download, 3), (in_pieces, 3), (slow_reader, 2),
           (half_closing, 3), (stranger, 6), (aborting, 8), (hostile, 4)]
KEEPS = (keep_alive, pipelining, byte_by_byte, upload, download, in_pieces)


class Soak(Play):
    # --- what goes on meanwhile ---

    def client(self, number):
        rng = random.Random(self.seed * 1000 + number)
        fns, weights = zip(*ACTIONS)
        c = None
        while not self.over.is_set():
            fn = rng.choices(fns, weights)[0]
            try:
                if c is None or rng.random() < 0.2:
                    if c:
                        c.close()
                    c = peers.Client(self.gw.port, rcvbuf=rng.choice([None, 8192]))
                fn(c, rng)
                with self.lock:
                    self.done[fn.__name__] += 1
            except Exception as e:  # pylint: disable=broad-except
                self.fail(f"client {number}, {fn.__name__}: {type(e).__name__}: {str(e)[:300]}")
                c = None
            if fn not in KEEPS and c:
                c.close()
                c = None
        if c:
            c.close()

    def ordinary(self):
        while not self.over.is_set():
            got = self.calm.measure(self.gw.port, 200)
            with self.lock:
                self.done["ordinary"] += 200
                self.slowest = max(self.slowest, got["max"])
            for e in got["errors"]:
                self.fail(f"ordinary client: {e}")

    def write_config(self, extra=None, broken=False):
        text = config({**self.properties, **(extra or {})}, self.services) + ("zuul.routes: [\n" if broken else "")
        fresh = self.folder / "fresh.yml"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / "vine.yml")

    def upset(self):
        """Reloads, deaths, and returns, a few seconds apart."""
        rng = random.Random(self.seed)
        while not self.over.wait(rng.uniform(0.5, 3)):
            what = rng.choice(["reload", "reload", "broken reload", "mortal", "mortal"])
            if what == "mortal":
                self.say(f"an upstream {self.mortal.toggle()}")
            else:
                extra = {f"zuul.routes.extra{i}": f"/extra{i}/**" for i in range(rng.randint(0, 50))}
                extra["vine.gateway.replay-buffer"] = rng.choice([0, 100, 16384])
                self.write_config(extra, what != "reload")
                self.gw.signal(signal.SIGHUP)
                self.say(what)
            with self.lock:
                self.done[what] += 1

    # --- the play ---

    def start(self, folder):
        rng = random.Random(self.seed + 1)
        self.folder = folder
        self.calm = Ordinary()
        self.mortal = Mortal()
        self.upstreams = [Quiet(serve(answer)), Quiet(tired), Quiet(liar(rng)), Quiet(peers.freeze)]
        good, weary, lying, deaf = self.upstreams
        self.services = {"good": [good, weary], "bad": [lying, deaf], "mortal": [self.mortal, lying]}
        self.properties = {
            **self.calm.routes(), **{f"zuul.routes.{s}": f"/{s}/**" for s in self.services},
            "bad.ribbon.ReadTimeout": 300, "mortal.ribbon.ReadTimeout": 300, "vine.workers": 2,
            "hystrix.command.bad.execution.isolation.thread.timeoutInMilliseconds": 700,
            "hystrix.command.mortal.execution.isolation.thread.timeoutInMilliseconds": 700,
            "vine.gateway.access-log": str(folder / "access.log"),
        }
        self.slowest = 0
        self.write_config()
        self.gw = Vine(folder, "gateway", "-c", str(folder / "vine.yml"))
        self.calm.measure(self.gw.port)
        self.ledger = Ledger(self.gw)

    def run(self):
        def each():
            with contextlib.suppress(OSError):
                os.truncate(self.folder / "access.log", 0)
            return f"; slowest ordinary request {self.slowest * 1e3:.0f} ms"

        self.go_on(self.gw, [*(threading.Thread(target=self.client, args=(i,)) for i in range(CLIENTS)),
                             threading.Thread(target=self.ordinary), threading.Thread(target=self.upset)], each)

    def judge(self):
        self.say("seen: " + ", ".join(f"{n} {k}" for k, n in sorted(self.done.items())))
        self.check("the process lives", lambda: wait_for(self.gw.alive, "it", 0.1))
        self.check("requests to healthy upstreams never fail", lambda: self.none(self.failures))
        for fn, _ in ACTIONS:
            self.check(f"{fn.__name__}: done", lambda n=fn.__name__: self.some(self.done[n]))
        self.check("reloads are taken, broken ones refused", self.reloads)
        self.check("nothing is left behind", lambda: self.ledger.settle(timeout=20))
        self.check("memory has not grown", lambda: self.memory(self.gw))
        self.check("it drains with requests in flight, and the sanitizers are silent", self.drain)
        self.calm.__exit__()

    def reloads(self):
        for result, what in (("accepted", "reload"), ("refused", "broken reload")):
            assert not self.done[what] or value(self.gw.port, "vine.config.reloads", f"result:{result}"), f"none was {result}"

    def drain(self):
        late = [peers.Client(self.gw.port) for _ in range(20)]
        for c in late:
            c.send(request_bytes(target="/good/slow/3000"))
        wait_for(lambda: value(self.gw.port, "vine.server.exchanges") > len(late), "the requests")
        self.gw.signal(signal.SIGTERM)
        for c in late:
            r = c.read_response()
            assert (r.status, r.body, r.get("connection")) == (200, b"fine", "close"), r
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.gw.port), 1).close()
        self.gw.judge(self.gw.wait())
        assert "forced=true" not in self.gw.logs()


    def end(self):
        if self.gw.alive():
            self.gw.kill()
        for u in [*self.upstreams, self.mortal.up]:
            if not u.over.is_set():
                u.refuse()
        return str(self.gw.err)
