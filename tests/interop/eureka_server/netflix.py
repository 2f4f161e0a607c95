"""Spring Cloud's Eureka server as a process, alone or in a cluster with Vine's registries over wires that can be cut."""
import gzip
import http.client
import io
import json
import pathlib
import signal
import subprocess
import sys

import ports
from forwarder import Forwarder
from registry_client import Eureka
from vine import ROOT, Lines, Vine

INTEROP = pathlib.Path(__file__).resolve().parents[1]
START = 120  # seconds that a JVM may take on a loaded machine
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m")
PROJECTS = {"old": "eureka_server", "new": "eureka_server_new"}

# What a test cannot wait for: intervals of half a minute and more, and caches that show a change as late.
PROPS = {
    "spring.main.banner-mode": "off", "server.address": "127.0.0.1", "spring.application.name": "eureka-server",
    "eureka.client.registry-fetch-interval-seconds": "1", "eureka.client.eureka-server-connect-timeout-seconds": "1",
    "eureka.instance.lease-renewal-interval-in-seconds": "1", "eureka.instance.lease-expiration-duration-in-seconds": "4",
    "eureka.server.use-read-only-response-cache": "false", "eureka.server.eviction-interval-timer-in-ms": "300",
    "eureka.server.registry-sync-retry-wait-ms": "500", "eureka.server.enable-self-preservation": "false",
    "eureka.server.peer-node-connect-timeout-ms": "1000", "eureka.server.peer-node-read-timeout-ms": "3000",
    "eureka.server.max-time-for-replication": "1500",
}


class Java:
    """What runs a class of a project that Maven has compiled; for those that are no tests (these have the fixture `maven`)."""

    def __init__(self, generation):
        source, target = INTEROP / PROJECTS[generation], ROOT / "build-interop" / PROJECTS[generation]
        listing = target / "classpath"
        target.mkdir(parents=True, exist_ok=True)
        maven = ["mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(source / "pom.xml"), f"-Dvine.build={target}",
                 f"-Dmdep.outputFile={listing}", "compile", "dependency:build-classpath"]
        if subprocess.run(["scripts/setup", "interop"], cwd=ROOT, check=False).returncode:
            sys.exit(1)
        done = subprocess.run(maven, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            sys.exit(f"{done.stdout[-2000:]}\nMaven could not build {source}: without its registry there is no such server here")
        self.classpath = f"{target / 'classes'}:{listing.read_text(encoding='utf-8')}"

    def command(self, main, *args, jvm=()):
        return ["java", *jvm, "-cp", self.classpath, main, *args]


class Netflix:
    """One server. java: what the fixture `maven` gave."""

    READY = r"Started EurekaServer in"

    def __init__(self, java, jvm=QUICK, **props):
        self.port = int(props.get("server.port", 0)) or ports.row()
        given = {**PROPS, **props, "server.port": str(self.port)}
        # -Xmx of Java.command comes first; the last one given holds
        self.process = subprocess.Popen(java.command("vine.interop.EurekaServer", *(f"--{k}={v}" for k, v in given.items()), jvm=jvm),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)
        self.eureka = Eureka(self.port)

    def wait_ready(self):
        if not self.out.wait(self.READY, START):
            self.kill()
            raise AssertionError(f"Spring Cloud's server did not start within {START} s\n{str(self.out)[-4000:]}")
        return self

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()

    def stop(self):
        """As an operator stops it: it drains, and takes itself out of the registry."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            pass
        self.kill()


class Message:
    """A request or an answer as it went over the wire."""

    def __init__(self, line, headers, body):
        self.line, self.headers = line, headers
        self.body = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        self.method, self.path = (*line.split(" "), "")[:2]

    def json(self):
        return json.loads(self.body)


def messages(raw):
    """All that are whole in the bytes of one direction of a connection."""
    stream = io.BytesIO(raw)
    while True:
        line = stream.readline().decode("latin-1").strip()
        if not line:
            return
        headers = http.client.parse_headers(stream)
        body = b""
        if headers.get("Transfer-Encoding") == "chunked":
            while True:
                size = int(stream.readline() or b"0", 16)
                body += stream.read(size)
                stream.readline()
                if size == 0:
                    break
        elif headers.get("Content-Length"):
            body = stream.read(int(headers["Content-Length"]))
            if len(body) < int(headers["Content-Length"]):
                return
        yield Message(line, headers, body)


class Recorder(Forwarder):
    """A wire that keeps all that went over it."""

    def __init__(self, target=None):
        self.sent, self.answered = {}, {}  # by the accepted side's address
        super().__init__(target)

    def _pass_on(self, s):
        try:
            data = s.recv(65536)
            if data:
                inward = s.getsockname()[1] == self.port
                key = s.getpeername() if inward else self.pairs[s].getpeername()
                self.pairs[s].sendall(data)
                kept = self.sent if inward else self.answered
                kept[key] = kept.get(key, b"") + data
                return
        except OSError:
            pass
        self._reset(s)

    def requests(self):
        return [m for raw in list(self.sent.values()) for m in messages(raw)]

    def exchanges(self):
        """(request, answer) of what is whole."""
        return [pair for key, raw in list(self.sent.items()) for pair in zip(messages(raw), messages(self.answered.get(key, b"")))]

    def items(self):
        """(item, answer to it) of the batches."""
        for request, answer in self.exchanges():
            if "/peerreplication/batch" in request.path and answer.line.split()[1] == "200":
                yield from zip(request.json()["replicationList"], answer.json()["responseList"])


class Mixed:
    """Servers that copy from each other, each behind wires of its own; kinds: "old" and "new" are Spring Cloud's, "vine" ours.

    links[i, j] is the wire from i to j; front[i] where clients find i, whichever process is there.
    """

    VINE = ("eureka.server.eviction-interval-timer-in-ms=300", "eureka.server.enable-self-preservation=false",
            "eureka.server.peer-node-connect-timeout-ms=1000", "eureka.server.peer-node-read-timeout-ms=3000",
            "eureka.server.max-time-for-replication=1500")

    def __init__(self, folder, maven, kinds):
        self.folder, self.maven, self.kinds = folder, maven, kinds
        self.n = len(kinds)
        self.links = {(i, j): Recorder() for i in range(self.n) for j in range(self.n) if i != j}
        self.front = [Forwarder() for _ in kinds]
        self.nodes = [None] * self.n
        self.ports = [ports.row() for _ in kinds]
        self.started = 0

    def of(self, kind):
        return [i for i in range(self.n) if (self.kinds[i] == "vine") == (kind == "vine")]

    def start(self, *which):
        """Starts those, side by side, and waits until they serve."""
        for i in which:
            urls = ",".join(f"http://us:pw@127.0.0.1:{self.links[i, j].port}/eureka/" for j in range(self.n) if j != i)
            if self.kinds[i] == "vine":
                folder = self.folder / f"mixed{self.started}"
                folder.mkdir()
                self.nodes[i] = Vine(folder, "registry", f"--server.port={self.ports[i]}", "--server.address=127.0.0.1", "--vine.workers=2",
                                     f"--eureka.client.service-url.defaultZone={urls}", *(f"--{p}" for p in self.VINE))
            else:
                self.nodes[i] = Netflix(self.maven(PROJECTS[self.kinds[i]]), **{
                    "server.port": str(self.ports[i]), "eureka.client.service-url.defaultZone": urls,
                    "eureka.instance.hostname": f"eureka-{i}"})
            self.started += 1
        for i in which:
            if self.kinds[i] != "vine":
                self.nodes[i].wait_ready()
            self.front[i].target = self.ports[i]
            for j in range(self.n):
                if j != i:
                    self.links[j, i].target = self.ports[i]

    def end(self, i, how="kill"):
        getattr(self.nodes[i], how)()
        self.nodes[i] = None

    def running(self):
        return [i for i in range(self.n) if self.nodes[i]]

    def cut(self, side, mode="cut"):
        """Between the nodes of that side and the others."""
        for (i, j), link in self.links.items():
            if (i in side) != (j in side):
                link.set(mode)

    def mend(self):
        for link in self.links.values():
            link.mend()

    def at(self, i):
        return Eureka(self.ports[i])

    def apps(self, i):
        """{app: {id: instance}}, or None while it does not give lists."""
        e = self.at(i)
        try:
            return e.apps() if e.get("/apps/").status == 200 else None
        except OSError:
            return None
        finally:
            e.close()

    def ids(self, i, app="ORDERS"):
        return set((self.apps(i) or {}).get(app, {}))

    def statuses(self, i, app="ORDERS"):
        return {id: inst["status"] for id, inst in (self.apps(i) or {}).get(app, {}).items()}

    def all_have(self, want, app="ORDERS"):
        return all(self.ids(i, app) == set(want) for i in self.running())

    def stop(self):
        for i in self.running():
            self.end(i, "stop" if self.kinds[i] == "vine" else "kill")
        for wire in (*self.links.values(), *self.front):
            wire.stop()
