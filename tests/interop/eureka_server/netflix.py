"""Spring Cloud's Eureka server as a process, alone or in a cluster with Vine's registries over wires that can be cut."""
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from forwarder import Forwarder
from registry_client import Eureka, instance
from vine import Lines, Vine, wait_for

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
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Netflix:
    """One server. java: what the fixture `maven` gave."""

    READY = r"Started EurekaServer in"

    def __init__(self, java, jvm=QUICK, **props):
        self.port = int(props.get("server.port", 0)) or free_port()
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
