"""A gateway's configuration, as a test writes it, and what tests of the gateway share."""
import http.client
import json

BASE = {
    "server.port": 0,
    "server.address": "127.0.0.1",
    "spring.application.name": "gw",
    "eureka.client.enabled": "false",
    "ribbon.eureka.enabled": "false",
    # Wide limits: a test that is about one sets it itself, the others must not meet it on a slow machine.
    "ribbon.ReadTimeout": 20000,
    "ribbon.ConnectTimeout": 20000,
    "hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": 30000,
    "zuul.semaphore.maxSemaphores": 20000,
    "vine.timeouts.must-fit": "false",  # a test about one limit sets that one alone
}

# One worker: what is kept per worker (connections, turns) is then one for the test.
ONE_WORKER = {"vine.workers": 1}
ONE = {"vine__workers": 1}


def config(properties, servers=None, base=None):
    """Flat `name: value` lines in the order given. servers: {service: [addresses or upstreams]}."""
    lines = {**BASE, **(base or {}), **properties}
    for service, where in (servers or {}).items():
        lines[f"{service}.ribbon.listOfServers"] = ",".join(getattr(s, "address", s) for s in where)
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in lines.items())


def simple(*servers, **properties):
    """Everything below / goes to the service `up`, unchanged; further properties in their own names, '.' written '__'."""
    extra = {name.replace("__", "."): value for name, value in properties.items()}
    routes = {"zuul.routes.up.path": "/**", "zuul.routes.up.stripPrefix": False, "zuul.routes.up.serviceId": "up"}
    return config({**routes, **extra}, {"up": servers})


def fetch(port, path):
    """(status, body) of a plain GET."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def events(port, path="/actuator/hystrix.stream"):
    """The JSON objects of an event stream, one after the other, for as long as the caller asks for more."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("GET", path)
        r = c.getresponse()
        assert r.status == 200, r.status
        assert r.getheader("Content-Type") == "text/event-stream;charset=UTF-8"
        for line in r:
            if line.startswith(b"data:"):
                yield json.loads(line[5:])
    finally:
        c.close()


def command(port, name):
    """The next event of one Hystrix command."""
    for event in events(port):
        if event.get("type") == "HystrixCommand" and event["name"] == name:
            return event
    raise AssertionError("the stream ended")
