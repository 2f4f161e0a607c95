"""Spring Cloud's Eureka server beside Vine's registry."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from netflix import PROJECTS, Netflix  # noqa: E402
from vine import Vine  # noqa: E402


@pytest.fixture
def netflix(maven):
    """netflix("old" or "new", **properties) starts one; wait_ready() is the caller's, so that several start side by side."""
    started = []

    def start(generation="old", **props):
        n = Netflix(maven(PROJECTS[generation]), **props)
        started.append(n)
        return n

    yield start
    for n in started:
        n.kill()


@pytest.fixture
def vine(tmp_path):
    """As in tests/it: vine(role, *args) starts one, whose end is judged."""
    started = []

    def start(*args, **kw):
        folder = tmp_path / f"vine{len(started)}"
        folder.mkdir()
        started.append(Vine(folder, *args, **kw))
        return started[-1]

    yield start
    for v in started:
        v.stop()
