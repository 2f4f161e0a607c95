"""The machine as an enemy: a full disk, names that do not resolve for a long time, the end in the middle of a storm."""
import contextlib
import os
import signal
import subprocess
import threading

import pytest

import peers
from gateway import ONE_WORKER, command, config
from hostile import TIMING, threads_of
from ordinary import be_nice
from peers import ok, request_bytes, serve
from vine import BINARY, SANITIZER, Vine, wait_for


def test_an_access_log_on_a_full_disk(beside, calm, connect):
    """Lines are lost, requests are not; nobody waits for the disk."""
    gw = beside(properties={"vine.gateway.access-log": "/dev/full"})
    calm.judge(gw.before, gw.port, timing=TIMING)
    gw.signal(signal.SIGHUP)  # opens it again
    c = connect(gw)
    for _ in range(300):
        assert c.get("/" + "p" * 900).body == b"fine"
    c.close()


SLOW_DNS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

/* Names below .hang take a long time to be not found. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	size_t n = name ? strlen(name) : 0;

	if (n > 5 && strcmp(name + n - 5, ".hang") == 0) {
		sleep(3);
		return EAI_AGAIN;
	}
	return next(name, service, hints, ret);
}
"""


@pytest.mark.skipif(bool(SANITIZER), reason="a library in front of the sanitizer's is refused by it")
def test_names_that_hang(vine, upstream, calm, connect, tmp_path):
    """More of them than threads that resolve: services with addresses, or with known names, do not notice."""
    (tmp_path / "dns.c").write_text(SLOW_DNS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "dns.so", tmp_path / "dns.c", "-ldl"], check=True)
    names = {f"lost{i}": [f"host{i}.hang:80"] for i in range(20)}
    routes = {f"zuul.routes.{s}": f"/{s}/**" for s in names}
    gw = vine("gateway", config=config({**calm.routes(), **routes, "ribbon.ConnectTimeout": 500, "ribbon.MaxAutoRetriesNextServer": 0},
                                       names), env={"LD_PRELOAD": str(tmp_path / "dns.so")})
    before = calm.measure(gw.port)
    waiting = [connect(gw) for _ in range(40)]
    for i, c in enumerate(waiting):
        c.send(request_bytes(target=f"/lost{i % 20}/x"))
    calm.judge(before, gw.port, timing=TIMING)
    for c in waiting:
        r = c.read_response()
        assert r.status in (502, 503, 504), r
        assert "vine" in r.get("proxy-status")
    for name in names:
        assert command(gw.port, name)["currentConcurrentExecutionCount"] == 0


def test_the_end_under_load(vine, upstream):
    """SIGTERM while requests come as fast as they can: each that is answered is answered well, and the end is orderly."""
    gw = vine("gateway", config=config({"zuul.routes.up": "/up/**"}, {"up": [upstream(serve(ok(b"fine")))]}))
    stop, problems, served = threading.Event(), [], []

    def client():
        be_nice()
        while not stop.is_set():
            try:
                c = peers.Client(gw.port)
                while not stop.is_set():
                    r = c.get("/up/x")
                    served.append(1)
                    if (r.status, r.body) != (200, b"fine"):
                        problems.append(repr(r))
                    if r.get("connection") == "close":
                        break
                c.close()
            except ConnectionRefusedError:
                return
            except ConnectionError:
                continue  # it came while the listener was being closed

    with threads_of(client, stop, 6):
        wait_for(lambda: len(served) > 300, "some load")
        gw.signal(signal.SIGTERM)
        gw.judge(gw.wait())
    assert not problems, problems[:3]
    assert "forced=true" not in gw.logs()


def test_reloads_under_load(beside, calm):
    """Fifty of them, a few refused, with routes that come and go: nobody notices."""
    gw = beside()
    good = gw.config.read_text()
    stop = threading.Event()
    done = []

    def put(text):
        fresh = gw.config.with_suffix(".new")  # a file that is half written may be a valid one
        fresh.write_text(text)
        os.replace(fresh, gw.config)
        gw.signal(signal.SIGHUP)

    def reload():
        while not stop.is_set():
            n = len(done)
            put(good + "".join(f"zuul.routes.more{i}: /more{i}/**\n" for i in range(n % 30)) + ("zuul: [\n" if n % 7 == 6 else ""))
            stop.wait(0.02)
            done.append(1)

    with threads_of(reload, stop, 1):
        wait_for(lambda: len(done) > 5, "a few")
        calm.judge(gw.before, gw.port, timing=TIMING)
        wait_for(lambda: len(done) >= 50, "all of them")
    put(good)


def test_few_descriptors_from_the_start(tmp_path, upstream, connect):
    """ulimit -n 64: fewer connections than are configured, told at the start; who is too many is refused in words."""
    script = tmp_path / "few"
    script.write_text(f"#!/bin/sh\nulimit -n 64\nexec {BINARY} \"$@\"\n")
    script.chmod(0o755)
    gw = Vine(tmp_path, "gateway", binary=script,
              config=config({"zuul.routes.up": "/up/**", **ONE_WORKER}, {"up": [upstream(serve(ok(b"fine")))]}))
    try:
        gw.wait_log(r"vine.http.max-connections is more than file descriptors allow.*set=20000 in_force=56")
        held = []
        for _ in range(80):
            c = connect(gw)
            with contextlib.suppress(ConnectionError):
                c.send(request_bytes(target="/up/x"))
                held.append(c.read_response().status)
        assert set(held) <= {200, 502, 503} and held.count(200) > 10, held
    finally:
        gw.stop()


EXPECT = request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 4"])


@pytest.mark.parametrize("game", [
    EXPECT * 50,
    EXPECT + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100,
    request_bytes("POST", "/", ["Expect: 100-continue", "Transfer-Encoding: chunked"]) + b"0\r\n\r\n" * 50,
    request_bytes("GET", "/", ["Expect: 100-continue"]) * 50,
    request_bytes("POST", "/", ["Expect: 200-ok", "Content-Length: 4"]) + b"body" * 20,
    (request_bytes("POST", "/", ["Expect: 100-continue", "Content-Length: 0"])) * 50,
], ids=["expecting again", "requests as the body", "many ends", "nothing to come", "another wish", "nothing to send"])
def test_games_with_100_continue(game, beside, connect):
    """Whatever is sent where a body was promised: every answer is well framed, and it ends."""
    gw = beside(serve(lambda r: ok(b"%d" % len(r.body))))
    for pause in (0, 1):
        c = connect(gw)
        if pause:
            c.send_pieces(game, 40)
        else:
            c.send(game)
        c.half_close()
        with contextlib.suppress(ConnectionError):
            while not c.ended:
                r = c.read_response()
                assert r.status in (200, 400, 408, 417), r
        c.close()
