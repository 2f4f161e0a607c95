"""The scenes that are played to Hystrix and to Vine: a command key, its settings, calls and moments to look at it.

A call is (at, duration, outcome, fallback, fallback's duration), in ms. Outcomes: S success, F failure, B bad request, T time-out
(its duration is longer than the scene's timeout). Fallbacks: S, F, and M where none is implemented. Everything random is seeded.
Windows are scaled to 1 s, health snapshots to 100 ms.
"""
import random
from dataclasses import dataclass, field


@dataclass
class Scene:
    name: str
    calls: list
    samples: list
    settings: dict = field(default_factory=dict)
    ordered: bool = True   # False: calls run at once, and which of them is refused is chance; only counts are compared
    differs: str = ""      # an intended difference, judged by a test of its own

    def lines(self):
        yield f"scene {self.name} " + " ".join(f"{k}={v}" for k, v in self.settings.items())
        for call in self.calls:
            yield "call " + " ".join(map(str, call))
        for at in self.samples:
            yield f"sample {at}"


def row(begin, step, outcomes, fallback="S", duration=0):
    """One call after the other."""
    return [(begin + i * step, duration, o, fallback, 0) for i, o in enumerate(outcomes)]


def at_once(begin, n, outcome, fallback="S", duration=0, fallback_duration=0):
    return [(begin + i * 2, duration, outcome, fallback, fallback_duration) for i in range(n)]


def fixed():
    # Hystrix judges completed snapshots only: what follows within one would be judged along, so a pause comes before it.
    quiet = [800, 2300]  # no call within a snapshot of either end of the window
    yield Scene("below-the-volume", row(0, 20, "F" * 19), quiet)
    yield Scene("just-under-the-threshold", row(0, 20, "S" * 12 + "F" * 11), quiet)
    yield Scene("at-the-threshold", row(0, 20, "S" * 10 + "F" * 10) + row(700, 20, "S" * 20), [], {"sleep": 5000})
    yield Scene("bad-requests-do-not-count", row(0, 15, "B" * 30 + "F" * 5), quiet)
    yield Scene("the-window-forgets", row(0, 20, "F" * 15) + row(1500, 20, "F" * 15), [800, 2100, 3600])
    yield Scene("a-good-trial-closes", row(0, 20, "F" * 20) + row(420, 20, "F" * 10) + row(900, 20, "S" * 60), [3600], {"sleep": 700})
    yield Scene("a-bad-trial-opens-again", row(0, 20, "F" * 20) + row(420, 20, "F" * 60), [3600], {"sleep": 700})
    yield Scene("force-open", row(0, 20, "S" * 20), quiet, {"forceOpen": "true"})
    yield Scene("force-closed", row(0, 20, "F" * 30), quiet, {"forceClosed": "true"})
    yield Scene("force-open-wins", row(0, 20, "S" * 20), quiet, {"forceOpen": "true", "forceClosed": "true"})
    yield Scene("switched-off", row(0, 20, "F" * 30), quiet, {"enabled": "false"})
    yield Scene("another-threshold", row(0, 20, "SSSSF" * 2) + row(500, 20, "S" * 20), [3000], {"errors": 20, "volume": 10, "sleep": 5000})
    yield Scene("time-outs", row(0, 30, "T" * 12 + "S" * 3, duration=120)[:12] + row(400, 30, "S" * 6), quiet,
                {"isolation": "THREAD", "timeout": 40})
    yield Scene("time-outs-open", row(0, 15, "T" * 30, duration=120), [3000], {"isolation": "THREAD", "timeout": 40, "sleep": 5000})
    yield Scene("a-full-semaphore", at_once(0, 9, "S", duration=150) + row(400, 20, "S" * 10), quiet, {"semaphore": 4}, ordered=False)
    yield Scene("rejections-open", at_once(0, 40, "S", duration=250) + row(450, 20, "S" * 15), [2500], {"semaphore": 4, "sleep": 5000},
                ordered=False)
    for kind in "SFM":
        yield Scene(f"fallback-{kind}", row(0, 20, "F" * 12, kind), quiet)
    yield Scene("fallback-while-open", row(0, 20, "F" * 20, "M") + row(420, 20, "S" * 10, "F"), [2500], {"sleep": 5000})
    yield Scene("a-full-fallback", at_once(0, 8, "F", fallback_duration=200), quiet, {"fallbackSemaphore": 3}, ordered=False)


def trip_at(calls):
    """When so many have failed: what both breakers go by, without their delays."""
    window = []
    for at, _, outcome, _, _ in calls:
        if outcome in "SF":
            window = [c for c in window if at - c[0] < 900] + [(at, outcome)]
        errors = sum(o == "F" for _, o in window)
        if len(window) >= 20 and errors * 100 // len(window) >= 50:
            return at
    return None


def mixed(seed):
    """A good time, a bad one that opens the circuit, a good one in which the trial succeeds; outcomes by chance."""
    rng = random.Random(seed)
    step = rng.choice([8, 10, 14])
    calls, at = [], 0

    def spell(until, failing, bad_requests=0.08):
        nonlocal at
        while at < until:
            outcome = "B" if rng.random() < bad_requests else "F" if rng.random() < failing else "S"
            calls.append((at, 0, outcome, rng.choice("SSFM"), 0))
            at += step
    spell(rng.randint(100, 500), 0.1)
    while trip_at(calls) is None:
        spell(at + step, 0.95)
    spell(at + 300, 0.95)      # so that it is bad still when the slower of the two opens
    spell(at + 1300, 0.0, 0)   # a bad request as the trial is an intended difference
    return Scene(f"mixed-{seed}", calls, [at + 1300], {"sleep": 600})


def differences():
    yield Scene("a-straggler", [(0, 900, "S", "S", 0)] + row(50, 20, "F" * 20) + row(700, 25, "S" * 20), [], {"sleep": 5000},
                differs="A success that was admitted before the circuit opened closes Hystrix' circuit; in Vine a straggler is counted "
                        "and moves nothing.")
    yield Scene("a-long-trial", row(0, 20, "F" * 20) + [(700 + i * 50, 1200, "S", "S", 0) for i in range(20)], [], {"sleep": 300},
                differs="A trial that takes longer than the sleep window: Hystrix lets another call through at each window's end, Vine "
                        "none before the trial's result is in, or its lease over.")
    yield Scene("a-bad-request-as-trial", row(0, 20, "F" * 20) + row(420, 20, "S" * 10) + [(1200, 0, "B", "S", 0)] +
                row(1240, 40, "S" * 15), [], {"sleep": 450},
                differs="A trial that ends as a bad request: Hystrix waits for another sleep window, Vine gives the trial to the next call, "
                        "for nothing was learned.")
    yield Scene("a-slow-fallback", at_once(0, 24, "F", fallback_duration=500) + row(250, 20, "S" * 10), [], {"sleep": 5000},
                differs="A failure is counted by Hystrix when its fallback has ended, by Vine when it happens: so Vine's circuit opens as "
                        "much earlier as the fallbacks take.")


ALIKE = [*fixed(), *(mixed(seed) for seed in range(1, 25))]
DIFFERENT = list(differences())
