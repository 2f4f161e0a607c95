"""What tests against other people's software share: it is fetched by its own package manager, driven by small programs of ours.

    maven(project)   compiles tests/interop/<project>/pom.xml; returns how to run a class of it
    npm(project)     installs tests/interop/<project>/package.json; returns the folder to run node in
    replay           Vine's flow, driven line by line: see flow_replay.c

A peer is a folder here with its project and its test_*.py. Nothing is ever skipped: where a registry cannot be reached, or a tool
is missing, the tests that need it fail and say so. What is built and downloaded stays outside the tree (build-interop/, and the
package managers' own caches).
"""
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build-interop"
sys.path.insert(0, str(ROOT / "tests" / "it"))

import vine  # noqa: E402
from tools import tool  # noqa: E402

vine.DEADLINE = 30  # a JVM beside another that starts may take longer for an answer than a process of ours

UNREACHABLE = re.compile(r"Unknown host|could not be resolved|No plugin found for prefix|UnknownHost|Could not transfer|Connection (?:refused|reset|timed out)|Network is unreachable"
                         r"|No route to host|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|offline mode")


def run(cmd, what, registry, cwd=None, timeout=240, again=()):
    """Runs a package manager; its failure is the test's, with the reason in words. Where its registry did not answer, once more, with
    the words `again`: what has come is kept."""
    for last in (False, True):
        try:
            done = subprocess.run(cmd, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            if last:
                pytest.fail(f"{what}: {registry} gave no answer within {timeout} s; these tests cannot do without it", pytrace=False)
            continue
        text = done.stdout + done.stderr
        if done.returncode == 0 or not UNREACHABLE.search(text):
            break
        cmd = [*cmd, *again]
    if done.returncode and UNREACHABLE.search(text):
        pytest.fail(f"{what}: {registry} cannot be reached; these tests cannot do without it\n{text[-2000:]}", pytrace=False)
    if done.returncode:
        pytest.fail(f"{what} failed\n{text[-4000:]}", pytrace=False)


class Java:
    """A compiled project."""

    def __init__(self, classpath):
        self.classpath = classpath

    def command(self, main, *args, jvm=()):
        return [tool("java"), "-Xmx512m", *jvm, "-cp", self.classpath, main, *args]

    def run(self, main, *args, stdin="", timeout=120):
        """What it wrote on standard output."""
        done = subprocess.run(self.command(main, *args), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"{main}: exit code {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
        return done.stdout


class Lock:
    """One process at a time builds a project, and a manager's cache bears only one writer."""

    def __init__(self, name):
        BUILD.mkdir(exist_ok=True)
        self.path = BUILD / f"{name}.lock"

    def __enter__(self):
        self.file = open(self.path, "w", encoding="utf-8")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def newest(*paths):
    return max(p.stat().st_mtime for root in paths for p in ([root] if root.is_file() else root.rglob("*")) if p.is_file())


def build_maven(project):
    source, target = HERE / project, BUILD / project
    listing = target / "classpath"
    with Lock("maven"):
        elsewhere = re.findall(r"<sourceDirectory>(.*?)<", (source / "pom.xml").read_text(encoding="utf-8"))
        if not listing.exists() or listing.stat().st_mtime < newest(source / "pom.xml", *(source / d for d in ["src", *elsewhere])):
            run([tool("mvn"), "-B", "-q", "-f", str(source / "pom.xml"), f"-Dvine.build={target}", f"-Dmdep.outputFile={listing}",
                 "compile", "dependency:build-classpath"], f"building tests/interop/{project}", "Maven's registry", again=["-U"])
    return Java(f"{target / 'classes'}:{listing.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def maven():
    built = {}

    def get(project):
        if project not in built:
            built[project] = build_maven(project)
        return built[project]
    return get


def install_npm(project):
    source, target = HERE / project, BUILD / project
    with Lock("npm"):
        target.mkdir(parents=True, exist_ok=True)
        stamp = target / "installed"
        if not stamp.exists() or stamp.stat().st_mtime < newest(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
            run([tool("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], f"installing tests/interop/{project}",
                "npm's registry", cwd=target)
            stamp.touch()
    return target


@pytest.fixture(scope="session")
def npm():
    installed = {}

    def get(project):
        if project not in installed:
            installed[project] = install_npm(project)
        return installed[project]
    return get


class Replay:
    """Vine's flow as a process: one question a line, one answer a line."""

    def __init__(self, binary):
        self.process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] != "error", f"{words}: {' '.join(answer) or 'it ended'}"
        return answer

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


@pytest.fixture
def replay():
    binary = pathlib.Path(os.environ.get("FLOW_REPLAY", ROOT / "build-asan" / "tests" / "interop" / "flow_replay"))
    if not os.access(binary, os.X_OK):
        pytest.fail(f"{binary} is not there: scripts/build asan makes it", pytrace=False)
    r = Replay(binary)
    yield r
    r.close()
