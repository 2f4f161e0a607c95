"""A wire that can be cut: forwards TCP connections to a port of the loopback interface, until told otherwise.

A cut link resets what runs over it and each new connection at once, as a host that is gone does; a stalled one takes everything and
passes nothing on, as a network that drops packets does. What came while it stalled is passed on when it is mended."""
import selectors
import socket
import threading


class Forwarder:
    def __init__(self, target=None):
        self.target = target
        self.mode = "open"
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.pairs = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake_r, self.wake_w = socket.socketpair()
        self.selector.register(self.wake_r, selectors.EVENT_READ)
        self.accepted = 0
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def set(self, mode):
        self.mode = mode
        self.wake_w.send(b"x")

    def cut(self):
        self.set("cut")

    def stall(self):
        self.set("stall")

    def mend(self):
        self.set("open")

    def stop(self):
        self.ended = True
        self.wake_w.send(b"x")
        self.thread.join()

    # --- its own thread ---

    def _reset(self, s):
        if s not in self.pairs:
            return
        other = self.pairs.pop(s)
        for one in (s, other):
            if one is None:
                continue
            self.pairs.pop(one, None)
            try:
                self.selector.unregister(one)
            except KeyError:
                pass
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()

    def _accept(self):
        a, _ = self.listener.accept()
        self.accepted += 1
        b = None
        if self.mode != "cut" and self.target:
            try:
                b = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                pass
        self.pairs[a], self.pairs[b] = b, a
        if b is None:
            del self.pairs[b]
            self._reset(a)
            return
        for s in (a, b):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.mode != "stall":
                self.selector.register(s, selectors.EVENT_READ)

    def _pass_on(self, s):
        try:
            data = s.recv(65536)
            if data:
                self.pairs[s].sendall(data)
                return
        except OSError:
            pass
        self._reset(s)

    def _changed(self):
        self.wake_r.recv(4096)
        if self.mode == "cut":
            for s in list(self.pairs):
                self._reset(s)
        for s in self.pairs:
            known = s in self.selector.get_map()
            if self.mode == "stall" and known:
                self.selector.unregister(s)
            elif self.mode == "open" and not known:
                self.selector.register(s, selectors.EVENT_READ)

    def _run(self):
        while not self.ended:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj is self.wake_r:
                    self._changed()
                elif key.fileobj in self.pairs:
                    self._pass_on(key.fileobj)
        for s in list(self.pairs):
            self._reset(s)
        self.listener.close()
        self.wake_r.close()
        self.wake_w.close()
        self.selector.close()
