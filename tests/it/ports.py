"""Ports that must be known before anybody listens there, and ports that nobody else may get meanwhile.

A port that the kernel gave and that was let go again is anybody's: another test beside this one may get it next. So what must be
known beforehand comes from below the ports that the system gives away by itself, from a part that is this worker's alone; and who
ends a process that is to start again at its port, or that others must not find there, holds the port meanwhile."""
import os
import random
import re
import socket

LOWEST, PART, PARTS = 12000, 2500, 8  # up to 32000: /proc/sys/net/ipv4/ip_local_port_range begins behind it
given = set()


def listen(port):
    """A socket bound to the port, or None if somebody has it."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind(("127.0.0.1", port))
        return s
    except OSError:
        s.close()
        return None


def all_free(base, n):
    held = [listen(base + i) for i in range(n)]
    for s in held:
        if s:
            s.close()
    return all(held)


def row(n=1):
    """The first of so many free ports in a row, which no other worker is given and this one but once."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % PARTS
    lowest = LOWEST + worker * PART
    while True:
        base = random.randrange(lowest, lowest + PART - n)
        if given.isdisjoint(range(base, base + n)) and all_free(base, n):
            given.update(range(base, base + n))
            return base


def hold(port, host="127.0.0.1"):
    """Keeps others from getting the port, while connecting to it is refused: a socket that is bound and does not listen, beside one
    that does if that one shares its port. Whoever names the port may still listen there. None: somebody has it for himself."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        s.bind((host, port))
        return s
    except OSError:
        s.close()
        return None
