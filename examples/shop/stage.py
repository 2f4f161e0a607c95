"""What run and demo share: the shop's processes, its ports, what can be seen of it from outside, and a terminal to show it in.

Everything here looks from outside, as an operator would: the registry's /eureka/apps, /actuator/hystrix.stream of gateway and
services, the gateway's access log.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("SHOP_BUILD", ROOT / "build"))
HOST = "127.0.0.1"
START_SECONDS = 40
STOP_SECONDS = 15
SERVICES = {"DISPLAY": 1, "PRODUCT": 3, "MEMBER": 1}
READY = re.compile(r" ready: http://[^ ]*:(\d+) ")


class Trouble(Exception):
    """One line that says why it cannot go on."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM came."""


def interruptible():
    def stop(*_):
        raise Interrupted

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def deaf():
    """While everything is being stopped a second Ctrl-C must not leave half of it behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def wait_for(condition, what, seconds=START_SECONDS, alive=()):
    """The first true value of condition(); Trouble when the time is over or one of the processes has ended."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        for p in alive:
            if p.process.poll() is not None:
                raise Trouble(f"{p.name} ended by itself; its last words: {p.last_line()}")
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def get(port, path, method="GET", timeout=2):
    """(status, body), or None if nobody answers."""
    c = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        c.request(method, path, headers={"Accept": "application/json"})
        r = c.getresponse()
        return r.status, r.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        c.close()


# --- processes ---


class Proc:
    """A process that we started: its output goes to a file in the folder."""

    def __init__(self, folder, name, argv, env):
        self.name = name
        self.log = folder / f"{name}.log"
        self.killed = False
        self.asked = False
        with open(self.log, "ab") as out:
            # A session of its own, so that Ctrl-C reaches us alone and we end them in order.
            self.process = subprocess.Popen([str(a) for a in argv], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self.process.pid

    def last_line(self):
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "none"

    def ready_port(self):
        found = READY.search(self.log.read_text("utf-8", "replace"))
        return int(found.group(1)) if found else None

    def kill(self):
        """As a crash would."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def ask(self):
        """SIGTERM, once: a second one could meet it when it has done all but exit."""
        if not self.asked and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.asked = True

    def stop(self, patience=STOP_SECONDS):
        """SIGTERM, and if that does not help SIGKILL. False: it had to be killed, or ended badly."""
        self.ask()
        try:
            return self.process.wait(patience) == 0 or self.killed
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False


class Ports:
    """Where everything listens: the conventional ports, or a row from PORT_BASE on."""

    def __init__(self, base=None):
        row = [8080, 8761, 8001, 8002, 8003, 8004, 8005, 8007, 8081] if base is None else list(range(base, base + 9))
        self.gateway, self.registry, self.display, self.member = row[:4]
        self.product = row[4:7]
        self.legacy, self.documents = row[7:]
        self.base = base

    def check(self):
        """Trouble if one of them is taken."""
        for name, port in [("gateway", self.gateway), ("registry", self.registry), ("display", self.display),
                           ("member", self.member), *(("product", p) for p in self.product), ("legacy", self.legacy),
                           ("the second gateway", self.documents)]:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind((HOST, port))
                except OSError as e:
                    raise Trouble(f"port {port} ({name}) cannot be used: {e.strerror}; try PORT_BASE=n for ports n to n+8") from None


class Shop:
    """The platform and the shop's servers, in a folder of their own that goes with them."""

    def __init__(self, ports):
        self.ports = ports
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vine-shop."))
        self.access_log = self.folder / "access.log"
        self.documents_log = self.folder / "documents-access.log"
        self.procs = {}
        self.registry_url = f"http://{HOST}:{ports.registry}/eureka/"
        self.make_database()

    def make_database(self):
        db = sqlite3.connect(self.folder / "shop.db")
        with db:
            db.executescript((HERE / "shop.sql").read_text("utf-8"))
        db.close()

    def env(self, **more):
        """Nothing of the user's that could be a property."""
        kept = ("PATH", "LANG", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH")
        return {k: os.environ[k] for k in kept if k in os.environ} | {
            "XDG_STATE_HOME": str(self.folder / "state"), "SHOP_REGISTRY": self.registry_url,
            "SHOP_DATABASE": str(self.folder / "shop.db"), "SHOP_ACCESS_LOG": str(self.access_log),
            "SHOP_LEGACY_URL": f"http://{HOST}:{self.ports.legacy}"} | more

    def start(self, name, argv, **env):
        if not os.access(argv[0], os.X_OK):
            raise Trouble(f"{argv[0]} is not there: run make first")
        self.procs[name] = Proc(self.folder, name, argv, self.env(**env))
        return self.procs[name]

    def start_platform(self):
        p = self.ports
        self.start("vine", [BUILD / "vine", "up", "-c", HERE / "config/vine.yml", f"--vine.up.ports.registry={p.registry}",
                            f"--vine.up.ports.gateway={p.gateway}"])
        self.wait_health(p.registry, "the registry", "vine")
        self.wait_health(p.gateway, "the gateway", "vine")

    def start_documents_gateway(self):
        self.start("documents", [BUILD / "vine", "gateway", "-c", HERE / "config/documents.yml", f"--server.address={HOST}",
                                 f"--server.port={self.ports.documents}",
                                 f"--eureka.client.service-url.defaultZone={self.registry_url}"],
                   SHOP_ACCESS_LOG=str(self.documents_log))
        self.wait_health(self.ports.documents, "the second gateway", "documents")

    def start_server(self, name, port, key=None):
        return self.start(key or name, [BUILD / "examples/shop" / name, "-c", HERE / f"config/{name}.yml"], SHOP_PORT=str(port))

    def start_product(self, i):
        return self.start_server("product", self.ports.product[i], f"product-{i + 1}")

    def start_servers(self):
        p = self.ports
        self.start("legacy", [BUILD / "examples/shop/legacy", str(p.legacy), self.folder / "shop.db"])
        self.start_server("member", p.member)
        self.start_server("display", p.display)
        for i in range(len(p.product)):
            self.start_product(i)

    def start_all(self):
        self.ports.check()
        self.start_platform()
        self.start_servers()
        self.wait_up()

    def wait_health(self, port, what, process):
        wait_for(lambda: (get(port, "/actuator/health") or (0,))[0] == 200, f"{what} on port {port}", alive=[self.procs[process]])

    def wait_up(self):
        """All registered, and reachable through the gateway; the monolith too."""
        alive = [p for p in self.procs.values() if not p.killed]
        for app, n in SERVICES.items():
            wait_for(lambda a=app, k=n: len(self.instances().get(a, ())) >= k, f"{n} of {app} in the registry", alive=alive)
        for path in ("/display/pages/1", "/product/products/1", "/member/members/1", "/shop/main.do"):
            wait_for(lambda p=path: (get(self.ports.gateway, p) or (0,))[0] == 200, f"{path} through the gateway", alive=alive)

    def stop_all(self):
        """In the order in which they may need each other: servers say goodbye to the registry. Those that ended badly, and how."""
        order = sorted(self.procs.items(), key=lambda kv: {"documents": 1, "vine": 2}.get(kv[0], 0))
        early = [p for n, p in order if n not in ("vine", "documents")]
        for p in early:
            p.ask()
        bad = [f"{n} (code {p.process.returncode}): {p.last_line()}" for n, p in order if n != "legacy" and not p.stop()]
        if "legacy" in self.procs:
            self.procs["legacy"].stop()
        return bad

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what can be seen ---

    def instances(self):
        """{APP: [(port, status)]} as the registry says it now."""
        answer = get(self.ports.registry, "/eureka/apps")
        if not answer or answer[0] != 200:
            return {}
        out = {}
        apps = json.loads(answer[1])["applications"].get("application", [])
        for app in apps if isinstance(apps, list) else [apps]:
            inst = app["instance"]
            out[app["name"]] = sorted((int(i["port"]["$"]), i["status"]) for i in (inst if isinstance(inst, list) else [inst]))
        return out

    def chaos(self, mode, ms=0):
        for port in self.ports.product:
            answer = get(port, f"/chaos?mode={mode}&ms={ms}", "POST", timeout=10)
            if not answer or answer[0] != 200:
                raise Trouble(f"product on port {port} does not take chaos: {answer}")

    def product_requests(self):
        """How many product requests have reached the instances, all together."""
        answers = [get(port, "/chaos", timeout=10) for port in self.ports.product]
        if not all(answers):
            raise Trouble("a product instance does not say how many requests it has had")
        return sum(json.loads(body)["requests"] for _, body in answers)


class Circuits:
    """Reads a hystrix.stream for as long as it lives: the latest event of each command, and every change of a circuit."""

    def __init__(self, port):
        self.port = port
        self.now = {}      # command -> event
        self.changes = []  # (monotonic, command, is open)
        self.over = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.over:
            c = http.client.HTTPConnection(HOST, self.port, timeout=5)
            try:
                c.request("GET", "/actuator/hystrix.stream")
                r = c.getresponse()
                while not self.over and r.status == 200:
                    line = r.readline()
                    if not line:
                        break
                    if line.startswith(b"data:"):
                        self._note(json.loads(line[5:]))
            except (OSError, http.client.HTTPException, ValueError):
                pass
            finally:
                c.close()
            time.sleep(0.2)

    def _note(self, e):
        if e.get("type") != "HystrixCommand":
            return
        before = self.now.get(e["name"])
        if before is None or before["isCircuitBreakerOpen"] != e["isCircuitBreakerOpen"]:
            self.changes.append((time.monotonic(), e["name"], e["isCircuitBreakerOpen"]))
        self.now[e["name"]] = e

    def was_open(self, command, since=0.0):
        return any(t >= since and name == command and is_open for t, name, is_open in self.changes)

    def is_open(self, command):
        e = self.now.get(command)
        return bool(e and e["isCircuitBreakerOpen"])

    def line(self, command):
        """"closed  12.3/s  0 % errors" """
        e = self.now.get(command)
        if not e:
            return "no traffic yet"
        window = e.get("propertyValue_metricsRollingStatisticalWindowInMilliseconds", 10000) / 1000
        return (f"{'OPEN  ' if e['isCircuitBreakerOpen'] else 'closed'} {e['requestCount'] / window:7.1f}/s "
                f"{e['errorPercentage']:3d} % errors  p99 {e['latencyTotal'].get('99', 0):5d} ms")


# --- the terminal ---


class Screen:
    """A block of lines that is painted over itself; without a terminal, a line now and then."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.tty = out.isatty()
        self.height = 0
        self.lock = threading.Lock()

    def paint(self, lines):
        if not self.tty:
            return
        with self.lock:
            width = shutil.get_terminal_size().columns - 1
            self._clear()
            for line in lines:
                self.out.write(line[:width] + "\n")
            self.height = len(lines)
            self.out.flush()

    def _clear(self):
        if self.height:
            self.out.write(f"\x1b[{self.height}A\x1b[J")
            self.height = 0

    def say(self, text=""):
        """A line that stays, above the block."""
        with self.lock:
            self._clear()
            self.out.write(text + "\n")
            self.out.flush()


def port_base(argv):
    """What follows --port-base; None without it. Trouble for anything else."""
    if not argv:
        return None
    if len(argv) != 2 or argv[0] != "--port-base" or not argv[1].isdigit() or not 1024 <= int(argv[1]) <= 65526:
        raise Trouble("usage: [--port-base N], N from 1024 to 65526")
    return int(argv[1])
