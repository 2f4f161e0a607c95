"""Ordinary clients beside harm: how long they wait, and whether anything fails them.

    with Ordinary() as calm:                  calm.address is the upstream that its requests go to, below /calm
        before = calm.measure(gw.port)
        ... harm begins ...
        calm.judge(before, gw.port)

Client and upstream are one process of their own and one thread, so that neither waits for the lock of the interpreter in which
the harm is done. Every tenth request comes on a new connection: who cannot connect is harmed too.
"""
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time

# A request through the gateway takes a third of a millisecond. But a time slice that the kernel gives somebody else takes 3 to 4
# ms, and two cores are shared by the gateway, the harm, and another test with its own: below half a dozen slices nothing can be
# said of the gateway. What these tests look for, one peer's wait that becomes another's, is hundreds of milliseconds.
FLOOR = 0.025
RATIO = 1.5
TRIES, PATIENCE = 5, 3.0  # so many measurements at least, and for so many seconds: an attack is under way for longer


def be_nice():
    """For the thread that does the harm: measured is the gateway's fairness, not the kernel's."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)


class Ordinary:
    def __init__(self):
        self.process = subprocess.Popen(["/usr/bin/python3", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def routes(self):
        """Properties of a gateway that has this upstream."""
        return {"zuul.routes.calm.path": "/calm/**", "zuul.routes.calm.serviceId": "calm", "calm.ribbon.listOfServers": self.address}

    def measure(self, port, n=400):
        """{"p50", "p99", "max"} in seconds and "errors", of n requests."""
        self.process.stdin.write(f"{port} {n}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def judge(self, before, port, n=400, timing=True):
        """No errors; p99 within bounds in one of a few measurements: harm that is real does not pause for one of them."""
        tries, began = 0, time.monotonic()
        while tries < TRIES or time.monotonic() - began < PATIENCE:
            tries += 1
            now = self.measure(port, n)
            assert not now["errors"], now["errors"][:5]
            if not timing or now["p99"] <= max(RATIO * before["p99"], FLOOR):
                return now
        raise AssertionError(f"p99 was {before['p99'] * 1e3:.2f} ms, is {now['p99'] * 1e3:.2f} ms")


class Calm:
    """The process's inside: an upstream and a client, by turns."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.served = {}
        self.client = None

    def connect(self, port):
        if self.client:
            self.client.close()
        self.client = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self, ready):
        if self.listener in ready:
            try:
                sock, _ = self.listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.served[sock] = b""
            except BlockingIOError:
                pass
        for sock in [s for s in ready if s in self.served]:
            try:
                data = sock.recv(65536)
            except ConnectionError:
                data = b""
            self.served[sock] += data
            if not data:
                del self.served[sock]
                sock.close()
            elif self.served[sock].endswith(b"\r\n\r\n"):
                self.served[sock] = b""
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ncalm")

    def one(self):
        """A request and its answer; what went wrong, or None."""
        self.client.sendall(b"GET /calm/x HTTP/1.1\r\nHost: calm.test\r\n\r\n")
        got, end = b"", time.monotonic() + 20
        while not got.endswith(b"\r\n\r\ncalm"):
            ready = select.select([self.client, self.listener, *self.served], [], [], 1)[0]
            self.serve(ready)
            if self.client in ready:
                data = self.client.recv(65536)
                got += data
                if not data or not b"HTTP/1.1 200".startswith(got[:12]):
                    return f"got {got[:300]!r}"
            if time.monotonic() > end:
                return f"no answer for 20 s; got {got[:300]!r}"
        return None

    def measure(self, port, n):
        took, errors = [], []
        for i in range(n):
            began = time.monotonic()
            try:
                if not self.client or i % 10 == 0:
                    self.connect(port)
                wrong = self.one()
            except OSError as e:
                wrong = f"{type(e).__name__}: {e}"
            took.append(time.monotonic() - began)
            if wrong:
                errors.append(f"request {i}: {wrong}")
                self.client = None
        self.client.close()
        self.client = None
        took.sort()
        return {"p50": took[n // 2], "p99": took[n * 99 // 100], "max": took[-1], "errors": errors}


def main():
    calm = Calm()
    print(calm.listener.getsockname()[1], flush=True)
    commands = b""
    while True:
        ready = select.select([0, calm.listener, *calm.served], [], [])[0]
        calm.serve(ready)
        if 0 in ready:
            data = os.read(0, 4096)
            if not data:
                return 0
            commands += data
            while b"\n" in commands:
                line, commands = commands.split(b"\n", 1)
                port, n = map(int, line.split())
                print(json.dumps(calm.measure(port, n)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
