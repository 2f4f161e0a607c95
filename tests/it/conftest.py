"""Fixtures: `vine` starts the binary, `upstream` a scripted server, `connect` a raw client. All are ended after the test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import peers  # noqa: E402
from hostile import beside, calm  # noqa: E402,F401 (fixtures)
from vine import BINARY, SANITIZER, Vine, stop_all  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "speed: measures time or memory: not under sanitizers")


def pytest_collection_modifyitems(items):
    for item in items:
        if SANITIZER and item.get_closest_marker("speed"):
            item.add_marker(pytest.mark.skip(reason=f"time and memory mean little under {SANITIZER}"))


@pytest.fixture
def vine(tmp_path):
    """vine(role, config, *args) starts one; several in a test get folders of their own."""
    started = []
    if not os.access(BINARY, os.X_OK):
        pytest.fail(f"{BINARY} is not there: run make first, or set VINE")

    def start(*args, **kw):
        folder = tmp_path / f"vine{len(started)}"
        folder.mkdir()
        v = Vine(folder, *args, **kw)
        started.append(v)
        return v

    yield start
    stop_all(started)


@pytest.fixture
def upstream():
    """upstream(script, ...) starts a scripted server: see peers.Upstream."""
    started = []

    def start(*scripts, **kw):
        u = peers.Upstream(*scripts, **kw)
        started.append(u)
        return u

    yield start
    problems = [p for u in started for p in u.stop()]
    assert not problems, "\n".join(problems)


@pytest.fixture
def connect():
    """connect(port) opens a raw connection to 127.0.0.1: see peers.Client."""
    opened = []

    def start(port, **kw):
        if hasattr(port, "port"):
            port = port.port
        c = peers.Client(port, **kw)
        opened.append(c)
        return c

    yield start
    for c in opened:
        c.close()
