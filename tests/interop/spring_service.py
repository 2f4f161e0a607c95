"""Spring Boot services of several generations, from one source (spring/), as processes that are watched like Vine's own."""
import http.client
import json
import re
import time
import urllib.parse

from recorder import Late
from vine import DEADLINE, Vine, wait_for

# A small heap, and no compiler that works for minutes: what counts here is the start.
JVM = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
START = 90        # s, on a busy machine
TERMINATED = 143  # what a JVM ends with after SIGTERM

# Everything that waits 30 s in real life.
HASTE = {
    "eureka.instance.lease-renewal-interval-in-seconds": 1,
    "eureka.instance.lease-expiration-duration-in-seconds": 4,
    "eureka.client.registry-fetch-interval-seconds": 1,
    "eureka.client.instance-info-replication-interval-seconds": 1,
    "ribbon.ServerListRefreshInterval": 200,
    "spring.cloud.loadbalancer.cache.enabled": "false",
    "server.address": "127.0.0.1",
    "management.endpoint.health.show-details": "always",
    "management.endpoint.health.probes.enabled": "false",  # readiness is no part of the health, as it was before Boot 4
}


class Generation:
    """What differs between the generations of Spring Cloud, as far as a test must know it."""

    def __init__(self, name, project, override_path, user_agent):
        self.name, self.project = name, project
        self.override_path = override_path  # the actuator's, to set a status in the registry
        self.user_agent = re.compile(user_agent)


OLD = Generation("Hoxton", "spring_old", "/actuator/service-registry", r"Java-EurekaClient/v1\.10\.14$")
NEW = Generation("2025.1", "spring_new", "/actuator/serviceregistry", r"Apache-HttpClient/5\.")
WEBCLIENT = Generation("2025.0-webclient", "spring_webclient", "/actuator/serviceregistry", r"ReactorNetty/1\.")


class SpringService(Vine):
    """One JVM. properties are given on the command line, over what the file `config` says. It is well as long as `disk` is there."""

    def __init__(self, folder, java, properties, config=None, jvm=()):
        folder.mkdir()
        self.disk = folder / "disk"
        self.disk.mkdir()
        given = {"server.port": 0, **HASTE, "management.health.diskspace.path": self.disk, **properties}
        if config:
            given["spring.config.location"] = f"file:{config}"
        command = java.command("vine.interop.Service", *(f"--{k}={v}" for k, v in given.items()), jvm=[*JVM, *jvm])
        super().__init__(folder, *command[1:], binary=command[0], ready=False)
        self.expect_code = TERMINATED
        self.ready_at = None
        self.wait_ready()

    def wait_ready(self):
        found = self.out.wait(r"ready: http://\S+:(\d+)$", timeout=START)
        if not found:
            self.kill()
            raise AssertionError(f"the service did not start\n{self.logs()[-6000:]}")
        self.ready_at = time.monotonic()
        self.port = int(found.group(1))

    def request(self, method, path, body=None):
        """(status, body as JSON or text)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            c.request(method, path, body and json.dumps(body), {"Content-Type": "application/json", "Accept": "application/json"})
            r = c.getresponse()
            text = r.read().decode()
        finally:
            c.close()
        try:
            return r.status, json.loads(text)
        except ValueError:
            return r.status, text

    def ask(self, path, **query):
        status, body = self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        assert status == 200, (path, query, status, body)
        return body

    def instances(self, service):
        """{id: instance} as its DiscoveryClient has them."""
        return {i["id"]: i for i in self.ask("/instances", service=service)}

    def wait_instances(self, service, *ids):
        return wait_for(lambda: sorted(self.instances(service)) == sorted(ids) and (self.instances(service) or True),
                        Late(lambda: f"{ids} as the instances of {service}, not {list(self.instances(service))}"))

    def wait_call(self, service, path, answer):
        """Calls another service by its name until that gives the answer: its name may be new here."""
        got = []

        def look():
            got[:] = self.request("GET", f"/call?service={service}&path={urllib.parse.quote(path)}")
            return got[0] == 200 and re.search(answer, json.dumps(got[1]))
        return wait_for(look, Late(lambda: f"{answer} from {service}{path}, not {got}"))

    def complaints(self):
        """What the Eureka client warns of in the service's log."""
        warning = re.compile(r"\b(WARN|ERROR)\b.* (com\.netflix\.discovery|c\.netflix\.discovery|c\.n\.d)\.")
        return [line for line in str(self.out).splitlines() if warning.search(line)]
