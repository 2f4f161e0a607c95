"""What the tests of hostile peers share: a gateway with ordinary clients beside the harm, and the count of what is left behind."""
import contextlib
import threading

import pytest

import peers
from gateway import config
from leaks import Ledger
from ordinary import Ordinary
from peers import ok, serve
from vine import SANITIZER

TIMING = not SANITIZER  # under sanitizers ordinary clients are asked for no errors only

# Seconds instead of a minute, so that the limits are met while the test looks.
SHORT = {"vine.http.head-timeout-ms": 1500, "vine.http.body-idle-timeout-ms": 1000, "vine.http.min-body-rate": 2000}


@pytest.fixture
def calm():
    with Ordinary() as c:
        yield c


@pytest.fixture
def beside(vine, upstream, calm):
    """beside(script, properties): a gateway that sends /calm/** to ordinary clients' upstream and the rest to a scripted one.
    When the test is over its holdings are counted, and ordinary clients must have seen no error."""
    made = []

    def start(script=serve(ok(b"fine")), properties=None, **upstream_args):
        routes = {"zuul.routes.up.path": "/**", "zuul.routes.up.stripPrefix": False, "zuul.routes.up.serviceId": "up"}
        up = upstream(script, **upstream_args)
        gw = vine("gateway", config=config({**calm.routes(), **routes, **SHORT, **(properties or {})}, {"up": [up]}))
        gw.up = up
        gw.before = calm.measure(gw.port)
        assert not gw.before["errors"], gw.before["errors"]
        gw.ledger = Ledger(gw)
        made.append(gw)
        return gw

    yield start
    for gw in made:
        calm.judge(gw.before, gw.port, timing=False)
        gw.ledger.settle()


@contextlib.contextmanager
def threads_of(fn, stop, n=2):
    threads = [threading.Thread(target=fn) for _ in range(n)]
    for t in threads:
        t.start()
    try:
        yield
    finally:
        stop.set()
        for t in threads:
            t.join()


def answers(port):
    c = peers.Client(port)
    try:
        return c.get().status == 200
    except ConnectionError:
        return False
    finally:
        c.close()
