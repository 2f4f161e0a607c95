#!/usr/bin/env python3
"""Measures Vine's flow beside Hystrix, resilience4j and Ribbon: bench/flow.py [ROUNDS]; make bench-flow runs it.

Each round runs bench_flow (C, release build) and then Java's programs, one after the other; figures are medians over the rounds and
ratios are taken round by round, so that a slow moment of the machine meets both. Java is measured by a loop of our own, not by
JMH: 1.5 s of warm-up an operation, then the median of five spells of 150 ms. Prints the table for docs/performance.md.
"""
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-interop" / "bench"
C = ROOT / "build" / "bench" / "bench_flow"

# (what, Vine's figure, aim in ns, [(whose, figure)])
ROWS = [
    ("admission and outcome, one thread", "vine command, 1 thread", 60,
     [("Hystrix", "hystrix command, 1 thread"), ("resilience4j", "resilience4j breaker and bulkhead, 1 thread")]),
    ("the same, two threads on one key, each", "vine command, 2 threads", 120,
     [("Hystrix", "hystrix command, 2 threads"), ("resilience4j", "resilience4j breaker and bulkhead, 2 threads")]),
    ("bare hand-off to a thread and back", "bare hand-off", None, [("Java's", "java bare hand-off")]),
    ("a command through a pool of real threads", "vine command through a pool", None,
     [("the bare hand-off", "bare hand-off"), ("Hystrix", "hystrix pool"), ("resilience4j", "resilience4j pool")]),
    ("the stream of 1,000 circuits, CPU", "vine stream of 1,000 circuits", 5e6, [("Hystrix", "hystrix stream of 1,000 circuits")]),
]
RULES = [("p2c", 150, None), ("round-robin", 150, "RoundRobinRule"), ("random", 150, "RandomRule"),
         ("weighted-response-time", 150, "WeightedResponseTimeRule"), ("availability-filtering", 150, "AvailabilityFilteringRule"),
         ("best-available", None, "BestAvailableRule"), ("least-requests", 150, None), ("zone-avoidance", None, "ZoneAvoidanceRule"),
         ("ring-hash", 150, None), ("maglev", 150, None)]


def run(*cmd):
    done = subprocess.run([str(c) for c in cmd], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench-flow: {cmd[0]} failed with {done.returncode}")
    return dict(line.split("\t") for line in done.stdout.splitlines() if "\t" in line)


def build():
    if subprocess.run(["scripts/setup", "build", "interop"], cwd=ROOT, check=False).returncode:
        sys.exit(1)
    subprocess.run(["scripts/build", "release"], cwd=ROOT, check=True)
    subprocess.run(["meson", "compile", "-C", "build", "bench_flow"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    BUILD.mkdir(parents=True, exist_ok=True)
    maven = ["mvn", "-B", "-q", "-f", "bench/java/pom.xml", f"-Dvine.build={BUILD}", f"-Dmdep.outputFile={BUILD / 'classpath'}",
             "compile", "dependency:build-classpath"]
    if subprocess.run(maven, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
        sys.exit("bench-flow: Maven could not build bench/java; where its registry cannot be reached there is nothing to measure beside")


def measure(rounds):
    classpath = f"{BUILD / 'classes'}:{(BUILD / 'classpath').read_text(encoding='utf-8')}"
    figures = []
    for i in range(rounds):
        print(f"bench-flow: round {i + 1} of {rounds}", file=sys.stderr, flush=True)
        both = {**run(C), **run("java", "-Xmx1g", "-cp", classpath, "vine.bench.Bench")}
        figures.append({name: float(value) for name, value in both.items()})
    return figures


def text_of(ns):
    if ns >= 1e6:
        return f"{ns / 1e6:.2f} ms"
    return f"{ns:,.0f} ns" if ns >= 10 else f"{ns:.1f} ns"


def median(figures, name):
    return statistics.median(f[name] for f in figures)


def beside(figures, name, others):
    said = []
    for whose, other in others:
        ratio = statistics.median(f[other] / f[name] for f in figures)
        said.append(f"{whose} {text_of(median(figures, other))} ({ratio:,.{0 if ratio >= 10 else 1}f}x)")
    return "; ".join(said)


def table(figures):
    print("| | Vine | aim | beside |\n|---|---|---|---|")
    for what, name, aim, others in ROWS:
        own = median(figures, name)
        verdict = "" if aim is None else f"{text_of(aim)}: {'met' if own <= aim else 'missed'}"
        if name == "vine command through a pool":
            ratio = statistics.median(f[name] / f["bare hand-off"] for f in figures)
            verdict = f"1.2 bare hand-offs: {ratio:.2f}, {'met' if ratio <= 1.2 else 'missed'}"
        print(f"| {what} | {text_of(own)} | {verdict} | {beside(figures, name, others)} |")
    for rule, aim, java in RULES:
        name = f"vine {rule}"
        if name not in figures[0]:
            continue
        own = median(figures, name)
        verdict = "looks at all" if aim is None else f"{text_of(aim)}: {'met' if own <= aim else 'missed'}"
        print(f"| one of 1,000 servers: {rule} | {text_of(own)} | {verdict} | "
              f"{beside(figures, name, [('Ribbon', f'ribbon {java}')]) if java else ''} |")


if __name__ == "__main__":
    build()
    table(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
