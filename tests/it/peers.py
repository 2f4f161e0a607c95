"""Scripted peers on both sides of the gateway, on raw sockets: every byte and every mistake is the test's own.

Peer      a socket with a read buffer: reads heads and bodies strictly, sends what it is told, misbehaves on demand
Client    a Peer that connects
Upstream  a server; each connection plays a script, a function of its Peer:

    upstream(serve(ok("hello")))                          answers every request on every connection
    upstream(serve(ok("a"), times=1), refuse_politely)    connection 1, then connection 2 and all that follow

Requests are recorded in order of their heads. A script that fails an assertion fails the test at its end; one that finds its
connection gone does not, for that is what many tests are about.
"""
import re
import select
import socket
import struct
import threading
import time

from ports import hold
from vine import DEADLINE

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class Closed(ConnectionError):
    """The other side ended the stream where more was due."""


class Head:
    """A start line and its fields, as they came."""

    def __init__(self, raw):
        assert raw.endswith(b"\r\n\r\n"), raw
        self.raw = raw
        self.line, *lines = raw[:-4].split(b"\r\n")
        assert b"\n" not in raw.replace(b"\r\n", b""), f"bare line feed in {raw!r}"
        self.fields = []
        for line in lines:
            name, colon, value = line.partition(b":")
            assert colon and TOKEN.match(name), f"malformed field {line!r}"
            self.fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
        self.body = b""
        self.trailers = []
        self.complete = False  # the body was read to its end

    def all(self, name):
        return [v for n, v in self.fields if n == name.lower()]

    def get(self, name, default=None):
        """The field's only value; more than one is a failure, for then a test must say which it wants."""
        values = self.all(name)
        assert len(values) < 2, f"several {name}: {values}"
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.all(name))

    def length(self):
        value = self.get("content-length")
        assert value is None or value.isdigit(), f"Content-Length: {value}"
        return None if value is None else int(value)

    def chunked(self):
        values = self.all("transfer-encoding")
        assert values in ([], ["chunked"]), values
        assert not (values and self.all("content-length")), "Content-Length with Transfer-Encoding"
        return bool(values)


class Request(Head):
    def __init__(self, raw):
        super().__init__(raw)
        self.method, self.target, self.version = self.line.decode("latin-1").split(" ")

    def __repr__(self):
        return f"<{self.line.decode('latin-1')}>"


class Response(Head):
    def __init__(self, raw):
        super().__init__(raw)
        version, status, *reason = self.line.decode("latin-1").split(" ", 2)
        self.version, self.status, self.reason = version, int(status), "".join(reason)
        self.interim = []

    def __repr__(self):
        return f"<{self.line.decode('latin-1')} {self.body[:200]!r}>"


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(DEADLINE)
        self.buffer = b""
        self.ended = False

    # --- reading ---

    def fill(self, most=65536):
        """Reads once; False at the end of the stream."""
        try:
            data = self.sock.recv(most)
        except ConnectionResetError:
            self.ended = True
            raise
        except socket.timeout:
            raise AssertionError(f"nothing came within {self.sock.gettimeout()} s; so far {self.buffer[-300:]!r}") from None
        self.ended = not data
        self.buffer += data
        return bool(data)

    def take(self, n):
        while len(self.buffer) < n:
            if not self.fill():
                raise Closed(f"end of stream, {len(self.buffer)} of {n} bytes: {self.buffer[-200:]!r}")
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def take_until(self, mark):
        at = -1
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill():
                raise Closed(f"end of stream before {mark!r}: {self.buffer[-200:]!r}")
        return self.take(at + len(mark))

    def line(self):
        """A line that ends with CRLF, without it."""
        raw = self.take_until(b"\n")
        assert raw.endswith(b"\r\n"), f"bare line feed: {raw!r}"
        return raw[:-2]

    def rest(self):
        """Everything up to the end of the stream; a reset ends it too."""
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            pass
        out, self.buffer = self.buffer, b""
        return out

    def chunks(self, head):
        """The pieces of a chunked body; trailers are added to head."""
        while True:
            size = self.line()
            assert re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size), f"chunk size {size!r}"
            n = int(size, 16)
            if n == 0:
                break
            yield self.take(n)
            assert self.take(2) == b"\r\n", "a chunk's data must end with CRLF"
        while line := self.line():
            name, _, value = line.partition(b":")
            head.trailers.append((name.decode().lower(), value.strip().decode("latin-1")))

    def read_head(self, kind):
        return kind(self.take_until(b"\r\n\r\n"))

    def read_request(self, body=True):
        request = self.read_head(Request)
        if body:
            self.read_request_body(request)
        return request

    def read_request_body(self, request):
        if request.chunked():
            request.body = b"".join(self.chunks(request))
        elif request.length():
            request.body = self.take(request.length())
        request.complete = True

    def read_response(self, method="GET", body=True):
        """The final response; interim ones are in .interim."""
        interim = []
        while True:
            response = self.read_head(Response)
            if response.status >= 200 or response.status == 101:
                break
            assert response.length() is None and not response.chunked(), "an interim response has no body"
            interim.append(response)
        response.interim = interim
        if body and method != "HEAD" and response.status not in (204, 304, 101):
            assert response.status != 205 or response.length() == 0, "a 205 says that it has no content"
            if response.chunked():
                response.body = b"".join(self.chunks(response))
            elif response.length() is not None:
                response.body = self.take(response.length())
            else:
                response.body = self.rest()
        return response

    def ended_cleanly(self):
        """Waits for the end of the stream; True if nothing came before it and it was no reset."""
        try:
            return not self.buffer and not self.fill()
        except ConnectionResetError:
            return False

    def wait_gone(self):
        """Waits until the other side has closed or reset, and reads over what still came."""
        self.rest()

    def quiet(self, seconds=0.05):
        """True if nothing comes for so long. The only wait for a thing not to happen: keep it short."""
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    # --- sending ---

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def send_pieces(self, data, size=1):
        """Byte by byte (or in pieces), each in a segment of its own as far as the kernel agrees."""
        data = data if isinstance(data, bytes) else data.encode("latin-1")
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), size):
            self.sock.sendall(data[at:at + size])

    def send_some(self, data, seconds=1.0):
        """Sends until the other side takes no more for so long: how much went. For back-pressure."""
        view, sent = memoryview(data), 0
        self.sock.settimeout(seconds)
        try:
            while sent < len(view):
                sent += self.sock.send(view[sent:sent + 65536])
        except socket.timeout:
            pass
        finally:
            self.sock.settimeout(DEADLINE)
        return sent

    def drain_window(self):
        """Once the kernel says that all sent bytes have been acknowledged."""
        end = time.monotonic() + DEADLINE
        while struct.unpack("I", self.sock.getsockopt(socket.IPPROTO_TCP, 11, 104)[24:28])[0] and time.monotonic() < end:
            time.sleep(0.001)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Client(Peer):
    def __init__(self, port, rcvbuf=None, host="127.0.0.1"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(DEADLINE)
        sock.connect((host, port))
        super().__init__(sock)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method="GET", target="/", fields=(), body=None, version="HTTP/1.1", host="gw.test"):
        """One request with an answer."""
        self.send(request_bytes(method, target, fields, body, version, host))
        return self.read_response(method)

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)


def request_bytes(method="GET", target="/", fields=(), body=None, version="HTTP/1.1", host="gw.test"):
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        body = body if isinstance(body, bytes) else body.encode()
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def reply(status=200, body=b"", fields=(), reason=None, length=True, version="HTTP/1.1"):
    """The bytes of a response."""
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"{version} {status} {reason or 'Said So'}", *fields]
    if length and status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ok(body=b"", *fields):
    return reply(200, body, fields)


def chunked(*pieces, last=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + last


# --- scripts of an upstream's connection ---


def serve(answer=ok(b"ok"), times=None):
    """Answers requests on a kept-alive connection: bytes, or a function of the request. After `times`, closes."""
    def script(peer):
        left = times
        while left is None or left > 0:
            request = peer.next_request()
            if request is None:
                return
            peer.send(answer(request) if callable(answer) else answer)
            left = None if left is None else left - 1
    return script


def stall(peer):
    """Reads a request and never answers."""
    peer.next_request()
    peer.hold()


def freeze(peer):
    """Accepts and reads nothing until the test is over."""
    peer.freeze()


def reset_at_once(peer):
    peer.reset()


def reset_after_request(peer):
    peer.next_request()
    peer.reset()


def close_after_request(peer):
    peer.next_request()


def then_close(data):
    """Reads a request, sends these bytes, closes."""
    def script(peer):
        peer.next_request()
        peer.send(data)
    return script


def then_reset(data):
    """Reads a request, sends these bytes, resets once they have arrived."""
    def script(peer):
        peer.next_request()
        peer.send(data)
        peer.drain_window()
        peer.reset()
    return script


def then_stall(data):
    """Reads a request, sends these bytes, and no more."""
    def script(peer):
        peer.next_request()
        peer.send(data)
        peer.hold()
    return script


def answer_once_then(after):
    """Answers one request well; `after` is what happens when the connection is used again."""
    def script(peer):
        if peer.next_request() is None:
            return
        peer.send(ok(b"first"))
        after(peer)
    return script


class ServerPeer(Peer):
    def __init__(self, sock, server):
        super().__init__(sock)
        self.server = server

    def fill(self, most=65536):
        before = len(self.buffer)
        more = super().fill(most)
        self.server.count(len(self.buffer) - before)
        return more

    def next_request(self, body=True):
        """Reads and records a request; None if the connection ends where one might begin."""
        while not self.buffer:
            if not self.fill():
                return None
        request = self.read_head(Request)
        self.server.record(request)
        if body:
            self.read_request_body(request)
        return request

    def hold(self):
        """Keeps the connection open until the other side ends it or the test is over."""
        while not self.server.over.is_set():
            if select.select([self.sock], [], [], 0.05)[0] and not self.sock.recv(65536):
                return

    def freeze(self):
        """Neither reads nor sends until the test is over."""
        self.server.over.wait()


class Upstream:
    def __init__(self, *scripts, host="127.0.0.1", port=0, backlog=512, rcvbuf=None):
        self.scripts = scripts or (serve(),)
        self.requests = []   # heads, in the order they came; a body is there once it was read
        self.connections = 0
        self.received = 0    # bytes of all requests
        self.open = 0
        self.most_open = 0
        self.problems = []
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # with who holds the port when it refuses
        self.held = None
        if rcvbuf:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.listener.bind((host, port))
        self.listener.listen(backlog)
        self.host, self.port = self.listener.getsockname()
        self.address = f"{host}:{self.port}"
        self.peers = set()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.over.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                peer = ServerPeer(sock, self)
                self.peers.add(peer)
                self.changed.notify_all()
            threading.Thread(target=self._play, args=(peer, script), daemon=True).start()

    def _play(self, peer, script):
        sock = peer.sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)  # a kept-alive connection may wait for its next request as long as the test runs
        try:
            script(peer)
        except (ConnectionError, OSError):
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.problems.append(f"upstream {self.address}: {type(e).__name__}: {e}")
        finally:
            sock.close()
            with self.changed:
                self.open -= 1
                self.peers.discard(peer)
                self.changed.notify_all()

    def record(self, request):
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()

    def count(self, n):
        with self.changed:
            self.received += n

    def wait(self, condition, what, timeout=None):
        with self.changed:
            assert self.changed.wait_for(condition, timeout or DEADLINE), f"upstream never saw {what}"

    def wait_requests(self, n):
        self.wait(lambda: len(self.requests) >= n, f"{n} requests, only {len(self.requests)}")
        return self.requests[:n]

    def wait_open(self, n):
        self.wait(lambda: self.open == n, f"{n} open connections")

    def refuse(self):
        """Closes the listener: from now on connections are refused. Those that stand are reset."""
        self.held = hold(self.port, self.host)
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.changed:
            peers = list(self.peers)
        for peer in peers:
            try:
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        """Ends all; returns what went wrong in scripts."""
        if not self.over.is_set():
            self.refuse()
        self.thread.join(DEADLINE)
        if self.held:
            self.held.close()
        return self.problems


def free_port():
    """A port where nothing listens (nor will, as long as the returned socket lives)."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]
