"""A name server of our own, the fixture for it, and the properties that make Vine look its registries up there."""
import socket
import threading

import pytest


class Names:
    """A name server for TXT: zone {name: [words]}; what is not in it does not exist; None: it does not answer."""

    def __init__(self, zone):
        self.zone = zone
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            query, peer = self.sock.recvfrom(4096)
            if self.over:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            question, name = query[12:at + 5], ".".join(labels).lower()
            self.asked.append(name)
            texts = self.zone.get(name, []) if self.zone is not None else None
            if texts is None:
                continue
            answers = b"".join(b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c" + (len(t) + 1).to_bytes(2, "big") + bytes([len(t)]) + t.encode()
                               for t in texts)
            flags = b"\x81\x80" if texts else b"\x81\x83"
            self.sock.sendto(query[:2] + flags + b"\x00\x01" + len(texts).to_bytes(2, "big") + b"\x00\x00\x00\x00" + question + answers, peer)

    def close(self):
        self.over = True
        self.sock.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()


@pytest.fixture
def names():
    started = []

    def start_(zone):
        started.append(Names(zone))
        return started[-1]

    yield start_
    for n in started:
        n.close()


def dns(n, port, **more):
    return {"eureka.client.use-dns-for-fetching-service-urls": "true", "eureka.client.eureka-server-d-n-s-name": "shop.test",
            "eureka.client.region": "home", "eureka.client.eureka-server-port": port, "eureka.client.eureka-server-u-r-l-context": "eureka",
            "vine.eureka.dns-server": n.address, **{k.replace("__", "."): v for k, v in more.items()}}
