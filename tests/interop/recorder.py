"""A proxy on loopback that keeps what passes: each request of a peer and the registry's answer, whole and in order.

    with Recorder(registry.port) as r:           the peer is given r.url
        r.wait("PUT", r"/apps/ORDERS/")          the first such exchange, within the deadline
        r.target = another.port                  the registry was restarted
        r.target = None                          there is none: connections are reset

It passes bytes on as they came, connection by connection, and closes what the other side closes.
"""
import json
import re
import threading
import time

from peers import Client, Closed, Upstream, chunked
from vine import DEADLINE


class Late:
    """Text for wait_for that is made when it is read: what was waited for, and how things stand now."""

    def __init__(self, make):
        self.make = make

    def __str__(self):
        return self.make()


def whole(head):
    """The bytes of a message that was read."""
    return head.raw + (chunked(head.body) if head.chunked() else head.body)


class Exchange:
    """A request, its answer (None: the connection broke), when it came, and on which connection."""

    def __init__(self, request, connection):
        self.request = request
        self.response = None
        self.connection = connection
        self.at = time.monotonic()
        self.method, self.target = request.method, request.target
        self.path, _, self.query = request.target.partition("?")
        self.status = 0

    def names(self):
        """The request's header names, as they came, without those that tell of the connection."""
        return [n for n, _ in self.request.fields if n not in ("host", "connection", "keep-alive")]

    def header(self, name):
        return self.request.get(name)

    def params(self):
        return dict(p.partition("=")[::2] for p in self.query.split("&") if p)

    def json(self):
        return json.loads(self.request.body)

    def __repr__(self):
        return f"<{self.method} {self.target} -> {self.status}>"


class Recorder:
    def __init__(self, target, host="127.0.0.1", port=0):
        self.target = target
        self.exchanges = []
        self.connections = 0
        self.changed = threading.Condition()
        self.up = Upstream(self._pass_on, host=host, port=port)
        self.port = self.up.port
        self.url = f"http://{self.up.address}/eureka/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        problems = self.up.stop()
        assert not problems, "\n".join(problems)

    def _pass_on(self, peer):
        with self.changed:
            self.connections += 1
            number = self.connections
        wire = None
        try:
            while (request := peer.next_request()) is not None:
                exchange = Exchange(request, number)
                try:
                    wire = wire or self._connect()
                    wire.send(whole(request))
                    exchange.response = wire.read_response(request.method)
                    exchange.status = exchange.response.status
                except (Closed, OSError):
                    peer.reset()
                    return
                finally:
                    self._keep(exchange)
                peer.send(whole(exchange.response))
                if wire.ended or exchange.response.get("connection", "").lower() == "close":
                    return
        finally:
            if wire:
                wire.close()

    def _connect(self):
        if self.target is None:
            raise ConnectionRefusedError
        return Client(self.target)

    def _keep(self, exchange):
        with self.changed:
            self.exchanges.append(exchange)
            self.changed.notify_all()

    # --- what it saw ---

    def mark(self):
        """A place in the record, for `after`."""
        return len(self.exchanges)

    def seen(self, method=None, path="", after=0):
        return [e for e in self.exchanges[after:] if method in (None, e.method) and re.search(path, e.target)]

    def wait(self, method, path="", after=0, status=None, n=1, timeout=None):
        """The n-th exchange of that kind."""
        def found():
            return [e for e in self.seen(method, path, after) if status in (None, e.status)]
        with self.changed:
            ok = self.changed.wait_for(lambda: len(found()) >= n, timeout or DEADLINE)
            assert ok, f"{n} times {method} {path} {status or ''}, only {found()}; all: {self.exchanges[after:]}"
            return found()[n - 1]
