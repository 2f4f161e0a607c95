"""What a process holds, counted before and after harm: descriptors, permits, exchanges, kept bytes, threads.

    ledger = Ledger(gw)          once the process is warm
    ... harm ...
    ledger.settle()              waits until everything is back, or says what is not

Descriptors are judged by those that no connection explains: pooled connections to upstreams may stay, a descriptor that belongs
to nothing may not. Everything comes from one scrape of the process's own metrics and from /proc; permits of every service too.
"""
import collections
import http.client
import os
import re

from vine import DEADLINE, wait_for

LINE = re.compile(r"^([a-z0-9_]+)(?:\{[^}]*\})? ([-+0-9.eE]+)$", re.M)


def scrape(c):
    """{name: the sum over its labels}, asked on an http.client connection to the process."""
    c.request("GET", "/actuator/prometheus")
    r = c.getresponse()
    text = r.read().decode()
    assert r.status == 200, text
    out = collections.Counter()
    for name, value in LINE.findall(text):
        out[name] += float(value)
    return out


def holdings(v, context=None):
    """What the process holds now, without the connection and the exchange that this question takes itself."""
    c = (http.client.HTTPSConnection("localhost", v.port, timeout=DEADLINE, context=context) if context else
         http.client.HTTPConnection("127.0.0.1", v.port, timeout=DEADLINE))
    try:
        m = scrape(c)
        fds = v.fds()
    finally:
        c.close()
    clients, upstreams = m["vine_server_connections"] - 1, m["vine_client_connections"]
    return {
        "client connections": clients,
        "half-sent heads": m["vine_server_half_open_connections"],
        "requests in progress": m["vine_server_exchanges"] - 1,
        "kept bytes": m["vine_server_buffered_bytes"],
        "permits": m["vine_command_active"],
        "descriptors of nobody": fds - clients - 1 - upstreams,
        "upstream connections": upstreams,
        "threads": len(os.listdir(f"/proc/{v.pid}/task")),
    }


class Ledger:
    def __init__(self, v, clients=0, upstreams=100, context=None):
        """clients: those that the test itself keeps open; upstreams: the most connections to upstreams that may stay pooled;
        context: the process listens by TLS."""
        self.v, self.clients, self.upstreams, self.context = v, clients, upstreams, context
        self.rss = v.rss()
        first = wait_for(self._quiet, "a quiet process")
        self.fixed = {k: first[k] for k in ("descriptors of nobody", "threads")}

    def _quiet(self):
        """What is held at rest: the metrics and the descriptors are read one after the other, so only what holds twice is true."""
        one, two = holdings(self.v, self.context), holdings(self.v, self.context)
        busy = ("requests in progress", "permits", "kept bytes", "half-sent heads")
        return one if one == two and one["client connections"] == self.clients and not any(one[k] for k in busy) else None

    def wrong(self, clients=None):
        """{what: (now, want)} of all that is not as it should be."""
        want = {"client connections": self.clients if clients is None else clients, "half-sent heads": 0,
                "requests in progress": 0, "kept bytes": 0, "permits": 0, **self.fixed}
        now = holdings(self.v, self.context)
        out = {k: (now[k], w) for k, w in want.items() if now[k] != w}
        if now["upstream connections"] > self.upstreams:
            out["upstream connections"] = (now["upstream connections"], self.upstreams)
        return out

    def settle(self, clients=None, timeout=None):
        last = {}

        def nothing_wrong():
            last.clear()
            last.update(self.wrong(clients))
            return not last
        try:
            wait_for(nothing_wrong, "", timeout)
        except AssertionError:
            raise AssertionError(f"left behind (now, want): {last}") from None

    def grown(self):
        """Resident bytes more than at the beginning."""
        return self.v.rss() - self.rss
