"""Clients that are slow or many. While they are at it ordinary clients notice nothing, and afterwards nothing is left of them."""
import contextlib
import re
import resource
import socket
import subprocess
import threading
import time

import pytest

import peers
from gateway import ONE_WORKER, simple
from hostile import TIMING, answers, threads_of
from leaks import holdings
from manage import value
from ordinary import be_nice
from peers import ok, reply, request_bytes, serve
from vine import SLOWNESS, wait_for


# The attacker's own probe waits as long for an answer. It runs with little priority, so that under sanitizers it is itself that it
# would time; there ordinary clients alone say whether the gateway serves.
PROBE = 3 if SLOWNESS == 1 else 10


@contextlib.contextmanager
def slowhttptest(port, *args, seconds=5, connections=400):
    """Debian's attacker, while the block runs; it must not find the gateway out of service."""
    cmd = ["nice", "-n", "15", "slowhttptest", "-c", connections, "-r", connections, "-l", seconds, "-p", PROBE,
           "-u", f"http://127.0.0.1:{port}/big", *args]
    p = subprocess.Popen([str(a) for a in cmd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield p
        said = p.communicate(timeout=seconds + 20 * SLOWNESS)[0]
    finally:
        p.kill()
        p.wait()
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert re.search(r"service available:\s+YES", said) and not re.search(r"service available:\s+NO", said), said[-3000:]


@pytest.mark.parametrize("mode", [
    pytest.param(["-H", "-i", "1", "-x", "24"], id="slow heads"),
    pytest.param(["-B", "-i", "1", "-s", "8192", "-x", "10"], id="slow bodies"),
    pytest.param(["-X", "-n", "1", "-w", "512", "-y", "1024", "-z", "32", "-k", "3"], id="slow readers"),
    pytest.param(["-R", "-t", "HEAD", "-a", "10", "-b", "3000"], id="ranges"),
])
def test_slowhttptest(mode, beside, calm):
    big = reply(200, b"x" * 2_000_000)
    gw = beside(serve(lambda r: big if r.method == "GET" else reply(200, length=False) if r.method == "HEAD" else ok()))
    with slowhttptest(gw.port, *mode):
        wait_for(lambda: value(gw.port, "vine.server.accepted") >= 300, "the attack")
        calm.judge(gw.before, gw.port, timing=TIMING)


# --- a rate, not only a pause ---

def drip(sock, stop, every=0.1, data=b"x"):
    with contextlib.suppress(OSError):
        while not stop.wait(every):
            sock.send(data)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_drips_is_timed_out(framing, beside, connect):
    """Ten bytes a second would live for ever by the idle limit."""
    gw = beside()
    c, stop = connect(gw), threading.Event()
    field = "Content-Length: 1000000" if framing == "length" else "Transfer-Encoding: chunked"
    began = time.monotonic()
    c.send(request_bytes("POST", "/", [field]))
    t = threading.Thread(target=drip, args=(c.sock, stop, 0.1, b"x" if framing == "length" else b"1\r\nx\r\n"))
    t.start()
    try:
        assert c.read_response().status == 408  # in time, or this fails
    finally:
        stop.set()
        t.join()
    assert time.monotonic() - began > 0.9
    assert value(gw.port, "vine.server.timeouts") == 1
    c.close()


def test_a_slow_body_that_keeps_the_rate_comes_through(beside, connect):
    """Three windows long, at four times the rate that must be kept: we may have to wait for our turn on this machine."""
    gw = beside(serve(lambda r: ok(b"%d" % len(r.body))), {"vine.http.body-idle-timeout-ms": 2000})
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Content-Length: 52000"]))
    for _ in range(65):
        c.send(b"x" * 800)
        threading.Event().wait(0.1)
    assert c.read_response().body == b"52000"
    c.close()


def test_a_reader_that_sips_is_cut_off(beside, connect):
    """It takes a few bytes again and again; what lies in the kernel between us and it is not taken for progress."""
    gw = beside(serve(reply(200, b"x" * 20_000_000)))
    c, stop = connect(gw, rcvbuf=4096), threading.Event()
    c.send(request_bytes())

    def sip():
        with contextlib.suppress(OSError):
            while not stop.wait(0.2) and c.sock.recv(20):
                pass

    t = threading.Thread(target=sip)
    t.start()
    try:
        wait_for(lambda: value(gw.port, "vine.server.timeouts") == 1, "the end of it")
    finally:
        stop.set()
        t.join()
    c.close()


def test_a_slow_reader_that_keeps_the_rate_gets_all(beside, connect):
    """Its kernel takes bytes all the time, but in the third window still those that ours had kept long before."""
    body = b"x" * 6_000_000
    gw = beside(serve(reply(200, body)))
    c = connect(gw, rcvbuf=16384)
    c.send(request_bytes())
    got, began = 0, time.monotonic()
    while time.monotonic() - began < 3.5:
        got += len(c.sock.recv(4096))
        threading.Event().wait(0.01)
    while got < len(body):
        data = c.sock.recv(1 << 20)
        assert data, got
        got += len(data)
    assert value(gw.port, "vine.server.timeouts") == 0
    c.close()


@pytest.mark.parametrize("rate,lives", [(2000, False), (0, True)])
def test_no_rate_is_asked_for_if_none_is_set(rate, lives, beside, connect):
    gw = beside(serve(lambda r: ok(b"%d" % len(r.body))), {"vine.http.min-body-rate": rate, "vine.http.body-idle-timeout-ms": 2000})
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Content-Length: 20000"]))
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            c.send(b"x" * 10)
            threading.Event().wait(0.15)
        c.send(b"x" * (20000 - 200))
    assert c.read_response().status == (200 if lives else 408)
    c.close()


# --- too many ---

def test_the_oldest_half_sent_head_makes_room(beside, connect):
    gw = beside(properties={"vine.http.max-half-open": 10, "vine.http.head-timeout-ms": 60000, **ONE_WORKER})
    half = []
    for i in range(15):
        c = connect(gw)
        c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n")
        half.append(c)
        wait_for(lambda n=i: holdings(gw)["half-sent heads"] == min(n + 1, 10), f"head {i}")
    assert value(gw.port, "vine.server.shed") == 5
    for c in half[:5]:
        assert c.read_response().status == 503
        assert c.ended_cleanly()
    for c in half[5:]:
        c.send(b"\r\n")
        assert c.read_response().body == b"fine"
        c.close()
    gw.wait_log(r"too many half-sent heads: the oldest are dropped.*vine.http.max-half-open")
    assert len(re.findall("too many half-sent heads", gw.logs())) == 1


def test_whole_heads_are_not_half_sent_ones(beside, connect):
    """Connections that wait for an answer, or for their next request, are not counted."""
    gw = beside(properties={"vine.http.max-half-open": 1, **ONE_WORKER})
    kept = [connect(gw) for _ in range(5)]
    for _ in range(2):
        for c in kept:
            c.send_pieces(request_bytes(), size=20)
            assert c.read_response().body == b"fine"
    assert value(gw.port, "vine.server.shed") == 0
    for c in kept:
        c.close()


def test_connections_of_one_address_are_limited(vine, upstream, connect):
    """The limit is one for all workers; other addresses have their own."""
    gw = vine("gateway", config=simple(upstream(), **{"vine__http__max-connections-per-address": 5, "vine__workers": 2}))
    held = [connect(gw) for _ in range(5)]
    for c in held:
        assert c.get().status == 200
    late = connect(gw)
    with contextlib.suppress(ConnectionError):
        r = late.read_response()
        assert (r.status, r.get("connection"), r.get("retry-after")) == (429, "close", "1")
    other = socket.socket()
    other.bind(("127.0.0.2", 0))
    other.connect(("127.0.0.1", gw.port))
    other = peers.Peer(other)
    other.send(request_bytes())
    assert other.read_response().status == 200
    other.close()
    held.pop().close()
    wait_for(lambda: answers(gw.port), "room again")
    # None, too: the place of who asked just now may still be taken.
    wait_for(lambda: (value(gw.port, "vine.server.refused", "limit:address") or 0) >= 1, "the count")


@pytest.mark.parametrize("what", ["nothing", "a request", "garbage"])
def test_a_flood_of_connections(what, beside, calm):
    gw = beside()
    data = {"nothing": b"", "a request": request_bytes(), "garbage": b"\x16\x03\x01\x02\x00garbage\r\n\r\n"}[what]
    stop, made = threading.Event(), []

    def flood():
        be_nice()
        while not stop.is_set():
            s = socket.socket()
            with contextlib.suppress(OSError):
                s.connect(("127.0.0.1", gw.port))
                made.append(1)
                if data:
                    s.sendall(data)
            s.close()

    with threads_of(flood, stop):
        wait_for(lambda: len(made) > 1000, "a flood")
        calm.judge(gw.before, gw.port, timing=TIMING)


@pytest.mark.parametrize("what", ["requests", "chunks", "answers in tiny chunks"])
def test_a_buffer_full_of_tiny_things_holds_nobody_up(what, beside, calm):
    """One read holds a thousand requests that are answered at once, or ten thousand chunks: they are done by turns."""
    tiny = b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"

    def script(peer):
        while (request := peer.next_request(body=False)) is not None:
            if what == "answers in tiny chunks":
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tiny)
            else:
                peer.take_until(b"0\r\n\r\n")
                peer.send(ok(b"fine"))

    # The path leaves the root, so each is refused without an upstream: the quickest answer that there is.
    flood, n, last = {"requests": (b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n" * 1000, 1000, None),
                      "chunks": (request_bytes("POST", "/", ["Transfer-Encoding: chunked"]) + tiny, 1, b"fine"),
                      "answers in tiny chunks": (request_bytes(), 1, b"x" * 10_000)}[what]
    gw = beside(script, ONE_WORKER)
    stop, problems, rounds = threading.Event(), [], []

    def again_and_again():
        be_nice()
        try:
            c = peers.Client(gw.port)
            while not stop.is_set():
                c.send(flood)
                for _ in range(n):
                    r = c.read_response()
                    assert (r.status, r.body) == (200, last) if last else r.status == 400, r
                rounds.append(1)
            c.close()
        except Exception as e:  # pylint: disable=broad-except
            problems.append(repr(e))

    with threads_of(again_and_again, stop):
        calm.judge(gw.before, gw.port, timing=TIMING)
        wait_for(lambda: len(rounds) > 4 or problems, "a few rounds")
    assert not problems, problems




# --- no descriptors ---

def test_descriptors_run_out(beside, calm, connect):
    """Who is connected is served on, who comes waits or is refused, the log says it once, and when there is room again all is well."""
    gw = beside(properties=ONE_WORKER)
    held = [connect(gw) for _ in range(30)]
    for c in held:
        assert c.get().body == b"fine"
    old = resource.prlimit(gw.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gw.pid, resource.RLIMIT_NOFILE, (gw.fds(), old[1]))
    late = [connect(gw) for _ in range(100)]
    gw.wait_log("out of file descriptors")
    before, began = gw.cpu(), time.monotonic()
    for c in held:
        assert c.get().body == b"fine"
    for c in late:
        c.wait_gone()  # refused, for none came free
    assert (gw.cpu() - before) / (time.monotonic() - began) < 0.5, "it spins"
    resource.prlimit(gw.pid, resource.RLIMIT_NOFILE, old)
    wait_for(lambda: answers(gw.port), "a place")  # the last round of refusals may take one more
    gw.wait_log("file descriptors are to be had again")
    assert len(re.findall("out of file descriptors", gw.logs())) == 1
    assert value(gw.port, "vine.server.refused", "limit:descriptors") >= 100
    for c in held:
        c.close()


def test_no_descriptor_for_an_upstream(beside, connect):
    """A request that cannot have a connection gets an answer that says so, and its permit is back."""
    gw = beside(properties={**ONE_WORKER, "up.ribbon.MaxConnectionsPerHost": 1, "hystrix.command.up.circuitBreaker.enabled": False})
    held = connect(gw)
    held.get("/actuator/info")
    old = resource.prlimit(gw.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gw.pid, resource.RLIMIT_NOFILE, (1, old[1]))
    try:
        r = held.get()
        assert r.status in (502, 503), r
        assert "vine" in r.get("proxy-status")
    finally:
        resource.prlimit(gw.pid, resource.RLIMIT_NOFILE, old)
    assert held.get().body == b"fine"
    held.close()
