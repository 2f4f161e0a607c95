"""Steady load from a process of its own, so that nothing of what measures disturbs what is measured.

    loadgen.py PORT PATH RATE THREADS     PATH may hold {n}: 1 to 8 by turns

Requests start by the clock, RATE a second over all threads, each thread on its own kept connection; one that is late
starts at once. For each answer a line of JSON: when it began (monotonic seconds), how long it took in ms, status (0: none),
body. Ends when its standard input does.
"""
import http.client
import json
import random
import sys
import threading
import time

port, path, rate, threads = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
lock = threading.Lock()
over = threading.Event()


def ask(c, target):
    trace = f"{random.getrandbits(63) + 1:016x}"
    c.request("GET", target, headers={"X-B3-TraceId": trace, "X-B3-SpanId": trace, "Accept": "application/json"})
    r = c.getresponse()
    return trace, r.status, r.read().decode("utf-8", "replace")


def worker(index):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    step = threads / rate
    at = time.monotonic() + step * index / threads
    n = index
    while not over.is_set():
        time.sleep(max(0.0, at - time.monotonic()))
        at = max(at + step, time.monotonic() - step)
        began = time.monotonic()
        n += 1
        try:
            trace, status, body = ask(c, path.replace("{n}", str(n % 8 + 1)))
        except (OSError, http.client.HTTPException) as e:
            c.close()
            trace, status, body = "", 0, f"{type(e).__name__}: {e}"
        line = json.dumps({"t": began, "ms": (time.monotonic() - began) * 1000, "status": status, "trace": trace, "body": body})
        with lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    c.close()


for i in range(threads):
    threading.Thread(target=worker, args=(i,), daemon=True).start()
sys.stdin.read()
over.set()
