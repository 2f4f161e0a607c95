#!/usr/bin/env python3
"""Vine's gateway beside nginx and HAProxy, with the same features: forwarded and trace headers, access log.

    bench/proxy.py all             everything below; what "make bench" runs, in about twenty minutes
    bench/proxy.py run [--conns 1,64,512] [--bodies 32,1k,64k] [--rounds 10] [--seconds 2]
    bench/proxy.py workers         one worker and two, CPU a request
    bench/proxy.py idle [--connections 10000]
    bench/proxy.py calls
    bench/proxy.py instructions

run interleaves the proxies (A B C A B C ...), one core for the proxy, one for load and upstream, and prints medians and
the ratios to nginx taken round by round; nginx stands in it twice, so the line "nginx-again" shows what is noise. CPU time
is the scheduler's own account of the proxy's processes. Any answer but 200 fails the run. It needs Linux with two cores,
wrk, nginx and haproxy; strace for calls, valgrind and h2load for instructions. Loopback only.

VINE names the binary. To see what a change brings, name another one: VINE_BEFORE=... bench/proxy.py run --proxies
nginx,vine-before,vine.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VINE = os.environ.get("VINE", str(ROOT / "build" / "vine"))
HEADERS = ["User-Agent: bench", "Accept: application/json", "Accept-Encoding: gzip", "Accept-Language: ko",
           "Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef", "Cache-Control: no-cache"]

NGINX = """daemon off; master_process {master}; worker_processes {workers}; worker_rlimit_nofile 30000;
pid {work}/nginx-{port}.pid; error_log {work}/nginx-{port}.err error;
events {{ worker_connections 20000; multi_accept on; }}
http {{ access_log {work}/nginx-{port}.log combined buffer=64k flush=1s;
  keepalive_timeout 600s; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path {work}/b-{port}; proxy_temp_path {work}/p-{port}; fastcgi_temp_path {work}/f-{port};
  uwsgi_temp_path {work}/u-{port}; scgi_temp_path {work}/s-{port};
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffer_size 8k; proxy_buffers 8 16k; proxy_busy_buffers_size 64k;
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-B3-TraceId $request_id; proxy_set_header X-B3-SpanId $request_id;
      proxy_set_header X-B3-Sampled 1; }} }} }}
"""
HAPROXY = """global
    nbthread {workers}
    no strict-limits
    maxconn 20000
    log {work}/haproxy.sock local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
frontend fe
    bind 127.0.0.1:{port} backlog 4096
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-B3-TraceId %[rand(4294967295),hex]%[rand(4294967295),hex]
    http-request set-header X-B3-SpanId %[rand(4294967295),hex]
    http-request set-header X-B3-Sampled 1
    default_backend be
backend be
    server s1 127.0.0.1:{upstream} pool-max-conn -1
"""
GATEWAY = """server: {{address: 127.0.0.1, port: {port}}}
eureka.client.enabled: false
vine:
  workers: {workers}
  gateway.access-log: {work}/vine-{port}.log
zuul:
  sensitiveHeaders:
  semaphore.maxSemaphores: 20000
  routes.up: {{path: /**, stripPrefix: false, serviceId: up}}
up.ribbon: {{listOfServers: "127.0.0.1:{upstream}", MaxConnectionsPerHost: 4096}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


class Stage:
    """Everything that was started, and the folder it writes to."""

    def __init__(self, upstreams=1):
        self.upstreams = upstreams
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="vine-bench-"))
        self.processes = []
        self.sink = None

    def __enter__(self):
        exe = self.work / "upstream"
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", exe, ROOT / "bench" / "upstream.c"], check=True)
        self.upstream = free_port()
        for i in range(self.upstreams):  # several share the port
            wait_port(self.upstream, self.start([exe, str(self.upstream)], str((1 + i) % 2)))
        return self

    def __exit__(self, *_):
        for p in self.processes:
            if p.poll() is None:
                p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
        if self.sink:
            self.sink.close()
        shutil.rmtree(self.work, ignore_errors=True)

    def start(self, argv, cpus):
        p = subprocess.Popen(["taskset", "-c", cpus, *map(str, argv)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(p)
        return p

    def proxy(self, name, cpus="0", wrap=()):
        """Starts the proxy of that name: nginx, haproxy or vine; behind a hyphen stands what is special about it."""
        port, workers = free_port(), 2 if name.endswith("-2") else 1
        values = {"work": self.work, "port": port, "upstream": self.upstream, "workers": workers,
                  "master": "on" if workers > 1 else "off"}
        conf = self.work / f"{name}-{port}.conf"
        if name.startswith("vine"):
            conf.write_text(GATEWAY.format(**values))
            argv = [os.environ["VINE_BEFORE"] if name == "vine-before" else VINE, "gateway", "-c", conf]
        elif name.startswith("nginx"):
            conf.write_text(NGINX.format(**values))
            argv = ["nginx", "-p", self.work, "-c", conf]
        else:
            if not self.sink:  # HAProxy logs by datagrams only
                self.sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self.sink.bind(str(self.work / "haproxy.sock"))
            conf.write_text(HAPROXY.format(**values))
            argv = ["haproxy", "-db", "-f", conf]
        p = self.start([*wrap, *argv], cpus)
        wait_port(port, p)
        return name, port, p


def cpu_us(pid):
    """Microseconds that all threads of a process and of its children have run."""
    tasks = [t for p in family(pid) for t in pathlib.Path(f"/proc/{p}/task").iterdir()]
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1000


def family(pid):
    """A process and its children, as texts."""
    children = [c for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    return [str(pid), *[p for c in children for p in family(c)]]


def rss_kib(pid):
    """Kibibytes in memory, a process and its children."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p}/status").read_text()).group(1)) for p in family(pid))


def load(port, conns, path, seconds, cpus="1"):
    argv = ["taskset", "-c", cpus, "wrk", "-t1", f"-c{conns}", f"-d{seconds}s", "--latency"]
    for h in HEADERS:
        argv += ["-H", h]
    out = subprocess.run([*argv, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"not all answers were 200:\n{out}")
    unit = {"us": 1, "ms": 1000, "s": 1e6}
    quantile = {q: float(v) * unit[u] for q, v, u in re.findall(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)", out, re.M)}
    return int(re.search(r"(\d+) requests in", out).group(1)), float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), \
        quantile["50"], quantile["99"]


def measure(proxy, conns, body, seconds, cpus="1"):
    _, port, process = proxy
    before = cpu_us(process.pid)
    n, rps, p50, p99 = load(port, conns, f"/{body}/x", seconds, cpus)
    return {"rps": rps, "cpu": (cpu_us(process.pid) - before) / n, "p50": p50, "p99": p99}


def rounds(proxies, conns, body, a, cpus="1"):
    """{name: [a measurement a round]}, interleaved, after a second for each to warm up and fill its pools."""
    got = {name: [] for name, *_ in proxies}
    for _, port, _ in proxies:
        load(port, conns, f"/{body}/x", 1, cpus)
    for _ in range(a.rounds):
        for p in proxies:
            got[p[0]].append(measure(p, conns, body, a.seconds, cpus))
    return got


def size(text):
    return int(text[:-1]) * 1024 if text.endswith("k") else int(text)


def table(rows, head):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for r in rows:
        print("| " + " | ".join(str(c) for c in r) + " |")
    print(flush=True)


def compare(got, base, what):
    """Medians, and the medians of the ratios to base taken round by round."""
    rows = []
    for name, all_of in got.items():
        med = {k: statistics.median(r[k] for r in all_of) for k in all_of[0]}
        ratio = {k: statistics.median(r[k] / b[k] for r, b in zip(all_of, got[base])) for k in ("rps", "cpu")}
        lowest, highest = min(r["cpu"] for r in all_of), max(r["cpu"] for r in all_of)
        rows.append((name, round(med["rps"]), f"{ratio['rps']:.2f}", f"{med['cpu']:.2f}", f"{ratio['cpu']:.2f}",
                     f"{lowest:.1f}-{highest:.1f}", round(med["p50"]), round(med["p99"])))
    print(what + f"; ratios to {base} round by round\n")
    table(rows, ("proxy", "req/s", "x", "CPU us/req", "x", "min-max", "p50 us", "p99 us"))


def cmd_run(a):
    names = a.proxies.split(",")
    with Stage() as stage:
        proxies = [stage.proxy(n) for n in names]
        for body in a.bodies.split(","):
            for conns in map(int, a.conns.split(",")):
                compare(rounds(proxies, conns, size(body), a), names[0],
                        f"{body} body, {conns} connection(s), {a.rounds} rounds of {a.seconds} s")


def cmd_workers(a):
    """Proxies, load and upstream share both cores, so only the CPU time says something."""
    names = ("vine", "vine-2", "nginx", "nginx-2", "haproxy", "haproxy-2")
    with Stage(upstreams=2) as stage:
        proxies = [stage.proxy(n, cpus="0,1") for n in names]
        compare(rounds(proxies, 64, 1024, a, "0,1"), "vine", f"one worker and two, 1k body, 64 connections, {a.rounds} rounds")


def cmd_idle(a):
    rows = []
    for name in ("nginx", "haproxy", "vine"):
        with Stage() as stage:
            _, port, process = stage.proxy(name)
            load(port, 16, "/32/x", 1)
            before, socks = rss_kib(process.pid), []
            for _ in range(a.connections):
                s = socket.create_connection(("127.0.0.1", port))
                s.sendall(b"GET /32/x HTTP/1.1\r\nHost: h\r\n\r\n")
                s.recv(4096)
                socks.append(s)
            grown = rss_kib(process.pid) - before
            rows.append((name, f"{grown / 1024:.1f}", round(grown * 1024 / a.connections)))
            for s in socks:
                s.close()
    print(f"{a.connections} idle keep-alive connections, each of which has served a request\n")
    table(rows, ("proxy", "MiB of growth", "bytes a connection"))


def cmd_calls(a):
    rows = []
    for name in ("nginx", "haproxy", "vine"):
        with Stage() as stage:
            _, port, process = stage.proxy(name)
            load(port, 64, "/1024/x", 1)
            out = stage.work / "strace"
            pids = [x for pid in family(process.pid) for x in ("-p", pid)]
            tracer = subprocess.Popen(["strace", "-f", "-c", "-o", out, *pids], stderr=subprocess.DEVNULL)
            time.sleep(1)
            n, *_ = load(port, 64, "/1024/x", 2)
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
            calls = {m[1]: int(m[0]) for m in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", out.read_text(), re.M)}
            io = sum(v for k, v in calls.items() if k in ("recvfrom", "sendto", "sendmsg", "writev", "readv", "recvmsg", "read"))
            rows.append((name, f"{io / n:.2f}", f"{sum(v for k, v in calls.items() if k != 'total') / n:.2f}"))
    print("calls of the kernel a request, 64 connections, 1 KB\n")
    table(rows, ("proxy", "recv and send", "all"))


def callgrind_counts(text):
    """(instructions, calls of the allocator) of one process's profile."""
    names, allocations, called = {}, 0, None
    for line in text.splitlines():
        if m := re.match(r"c?fn=\((\d+)\)(?: (\S+))?", line):
            names.setdefault(m.group(1), m.group(2))
            called = names[m.group(1)] if line.startswith("c") else None
        elif line.startswith("calls=") and called in ("malloc", "calloc", "realloc", "posix_memalign"):
            allocations += int(line[6:].split()[0])
    return int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1)), allocations


def profile(name, requests):
    """The same, of a proxy that has served so many requests."""
    with Stage() as stage:
        out = stage.work / "callgrind"
        _, port, process = stage.proxy(name, wrap=("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"))
        subprocess.run(["h2load", "--h1", "-t1", "-c16", f"-n{requests}", *[x for h in HEADERS for x in ("-H", h)],
                        f"http://127.0.0.1:{port}/1024/x"], check=True, capture_output=True)
        process.terminate()
        process.wait(60)
        return callgrind_counts(out.read_text())


def cmd_instructions(a):
    rows = []
    for name in ("nginx", "haproxy", "vine"):
        few, many = profile(name, 2000), profile(name, 6000)
        rows.append((name, round((many[0] - few[0]) / 4000), f"{(many[1] - few[1]) / 4000:.2f}"))
    print("user instructions a request (callgrind; difference of 2,000 and 6,000 requests on 16 connections)\n")
    table(rows, ("proxy", "instructions", "allocations"))


def cmd_all(a):
    sysctl = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    print(f"{time.strftime('%Y-%m-%d')}, Linux {os.uname().release}, {model.group(1) if model else 'unknown processor'}, "
          f"congestion control {sysctl}\n", flush=True)
    for cmd in (cmd_run, cmd_workers, cmd_idle, cmd_calls, cmd_instructions):
        cmd(a)


COMMANDS = {"all": cmd_all, "run": cmd_run, "workers": cmd_workers, "idle": cmd_idle, "calls": cmd_calls,
            "instructions": cmd_instructions}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=COMMANDS)
    p.add_argument("--proxies", default="nginx,nginx-again,haproxy,vine")
    p.add_argument("--conns", default="1,64,512")
    p.add_argument("--bodies", default="32,1k,64k")
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--connections", type=int, default=10000, help="of idle")
    a = p.parse_args()
    COMMANDS[a.what](a)


if __name__ == "__main__":
    main()
