"""The shop: its failure story, and the live status that make run shows, with the processes of the build under test."""
import http.client
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import ports
from ports import listen
from vine import BINARY, DEADLINE, ROOT, SLOWNESS, Lines, wait_for

SHOP = ROOT / "examples" / "shop"
PORTS = 9  # in a row from the base on


def parents():
    """{pid: (parent, when it began)} of every process."""
    out = {}
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (p / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            out[int(p.name)] = (int(fields[1]), fields[19])
    return out


def descendants(pid):
    """(pid, when it began) of all below."""
    now, found, more = parents(), set(), {pid}
    while more:
        more = {p for p, (parent, _) in now.items() if parent in more}
        found |= {(p, now[p][1]) for p in more}
    return found


def alive(processes):
    now = parents()
    return [(p, began) for p, began in processes if p in now and now[p][1] == began]


class Script:
    """examples/shop/run or demo, in a temporary folder of its own."""

    def __init__(self, folder, name, *args):
        kept = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
        env = {k: os.environ[k] for k in kept if k in os.environ}
        env |= {"SHOP_BUILD": str(pathlib.Path(BINARY).resolve().parent), "TMPDIR": str(folder), "HOME": str(folder)}
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-B", str(SHOP / name), *map(str, args)], cwd=folder, env=env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)

    def end(self, timeout=None):
        """Waits for its own end: (exit code, stdout, stderr)."""
        code = self.process.wait(timeout or DEADLINE)
        wait_for(lambda: self.out.ended and self.err.ended, "the end of its output")
        return code, str(self.out), str(self.err)

    def leaves_nothing(self, base, started=()):
        assert not alive(started), "processes are left"
        assert not list(self.folder.glob("vine-shop.*")), "its folder is left"
        assert ports.all_free(base, PORTS), "a port is still taken"


@pytest.fixture
def script(tmp_path):
    started = []

    def start(*args):
        started.append(Script(tmp_path, *args))
        return started[-1]

    yield start
    for s in started:
        if s.process.poll() is None:  # the test has failed: it ends its processes itself, if it is let
            s.process.send_signal(signal.SIGTERM)
            try:
                s.process.wait(30 * SLOWNESS)
            except subprocess.TimeoutExpired:
                s.process.kill()
                s.process.wait()


def fetch(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read().decode()
    finally:
        c.close()


@pytest.mark.timeout(320)
def test_the_story_goes_as_promised(script):
    base = ports.row(PORTS)
    demo = script("demo", "--port-base", base)
    code, out, err = demo.end(300)  # most of it are its own waits, each of which says what it waited for
    kept = re.search(r"^(\d+) promises kept, (\d+) broken; \d+ s$", out, re.M)
    assert kept and kept.group(2) == "0" and code == 0, f"exit code {code}\n{out}\n{err}"
    assert out.count("✔") == int(kept.group(1)) >= 16 and "✘" not in out and err == ""
    demo.leaves_nothing(base)


@pytest.mark.timeout(320)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_shop_runs_until_it_is_told_to_end(script, number):
    base = ports.row(PORTS)
    run = script("run", "--port-base", base)
    assert run.out.wait("^Ctrl-C ends it", timeout=150), f"{run.out}\n{run.err}"
    processes = descendants(run.process.pid)
    assert len(processes) >= 8, processes  # the supervisor, its two roles, five servers and the monolith
    for path, word in {"/display/pages/3?member=1": '"product"', "/product/products/3": '"price"', "/member/members/1": "{",
                       "/shop/main.do": "<"}.items():
        status, body = fetch(base, path)
        assert status == 200 and word in body, (path, status, body)
    assert f"http://127.0.0.1:{base}/display/pages/3?member=1" in str(run.out)
    run.process.send_signal(number)
    code, out, err = run.end(90)
    assert (code, err) == (0, "") and out.endswith("stopping ...\nall stopped."), f"exit code {code}\n{out}\n{err}"
    run.leaves_nothing(base, processes)


@pytest.mark.parametrize("name, says", [("run", "shop"), ("demo", "demo")])
def test_a_port_in_use_is_one_line(script, name, says):
    base = ports.row(PORTS)
    with listen(base + 4) as taken:
        taken.listen()
        s = script(name, "--port-base", base)
        code, _, err = s.end(60)
    assert (code, err) == (1, f"{says}: port {base + 4} (product) cannot be used: Address already in use; "
                           "try PORT_BASE=n for ports n to n+8")
    s.leaves_nothing(base)


@pytest.mark.parametrize("args", [["--port-base"], ["--port-base", "x"], ["--port-base", "80"], ["--port-base", "65527"], ["--nix", "9000"]])
@pytest.mark.parametrize("name", ["run", "demo"])
def test_other_arguments_are_refused(script, name, args):
    code, out, err = script(name, *args).end(60)
    assert (code, out) == (1, "") and "usage: [--port-base N], N from 1024 to 65526" in err and "\n" not in err
