"""How often each server is chosen, by Ribbon's rules and by Vine's, over the same servers with the same statistics.

Chances are compared with a margin of six standard deviations (less than one in a million for all of them together), what is certain exactly. The intended differences are listed and
judged one by one.
"""
import math

import pytest

CHOICES = 20000

# (zone, average response time in us, requests in flight, in or out); Ribbon's circuit of a server is tripped, ours is ejected
EVEN = [("a", 5000, 0, "in")] * 4
UNEVEN = [("a", 2000, 1, "in"), ("a", 4000, 2, "in"), ("a", 10000, 3, "in"), ("a", 20000, 4, "in"), ("a", 50000, 5, "in")]
ONE_OUT = [("a", 5000, 2, "in"), ("a", 5000, 0, "out"), ("a", 5000, 1, "in"), ("a", 5000, 3, "in")]
TWO_ZONES = [("a", 5000, 1, "in"), ("a", 5000, 1, "in"), ("b", 5000, 1, "in"), ("b", 5000, 1, "in")]
A_ZONE_DOWN = [("a", 5000, 1, "out"), ("a", 5000, 1, "out"), ("b", 5000, 1, "in"), ("b", 5000, 1, "in")]
ALONE = [("a", 5000, 0, "in")]

ALIKE = [
    ("RoundRobinRule", "even", EVEN), ("RoundRobinRule", "uneven", UNEVEN), ("RoundRobinRule", "alone", ALONE),
    ("RandomRule", "even", EVEN), ("RandomRule", "uneven", UNEVEN),
    ("WeightedResponseTimeRule", "even", EVEN), ("WeightedResponseTimeRule", "uneven", UNEVEN),
    ("BestAvailableRule", "uneven", UNEVEN), ("BestAvailableRule", "one out", ONE_OUT),
    ("AvailabilityFilteringRule", "even", EVEN), ("AvailabilityFilteringRule", "one out", ONE_OUT),
    ("AvailabilityFilteringRule", "a zone down", A_ZONE_DOWN),
    ("ZoneAvoidanceRule", "even", EVEN), ("ZoneAvoidanceRule", "a zone down", A_ZONE_DOWN),
    ("RetryRule", "even", EVEN),
]
DIFFERENT = [
    ("RoundRobinRule", "one out", ONE_OUT, "no-ejection",
     "Ribbon's plain rules send to a server whose circuit is tripped (only the ping's verdict counts); in Vine no rule does, while others are left."),
    ("RandomRule", "one out", ONE_OUT, "no-ejection", "As round robin."),
    ("WeightedResponseTimeRule", "alone", ALONE, "same", "A single server has the weight 0 in Ribbon and is then chosen by round robin: the result is the same."),
    ("BestAvailableRule", "ties", EVEN, "ties",
     "Of servers with as few requests Ribbon takes the first, always, so that all callers meet there; Vine any of them."),
    ("ZoneAvoidanceRule", "two zones", TWO_ZONES, "zones",
     "Two zones as loaded: Ribbon draws the one to leave out anew for each server that it looks at, so that its shares are uneven; Vine "
     "once a choice."),
]
NAMES = {"RoundRobinRule": "round-robin", "RandomRule": "random", "WeightedResponseTimeRule": "weighted-response-time",
         "BestAvailableRule": "best-available", "AvailabilityFilteringRule": "availability-filtering", "ZoneAvoidanceRule": "zone-avoidance",
         "RetryRule": "retry"}


def scene(rule, servers):
    return "\n".join([f"rule {rule} {CHOICES}", *("server %s %d %d %s" % s for s in servers)])


@pytest.fixture(scope="module")
def ribbon(maven):
    """{(rule, name): counts}"""
    cases = ALIKE + [d[:3] for d in DIFFERENT]
    text = "\n".join(scene(rule, servers) for rule, _, servers in cases) + "\n"
    lines = maven("ribbon").run("vine.interop.Choices", stdin=text).splitlines()
    assert len(lines) == len(cases)
    return {(rule, name): list(map(int, line.split())) for (rule, name, _), line in zip(cases, lines)}


def ours(replay, rule, servers):
    replay.ask("rule", NAMES[rule])
    for s in servers:
        replay.ask("server", *s)
    return list(map(int, replay.ask("choose", CHOICES)))


def alike(a, b, n=CHOICES):
    """Could both be draws of the same chances?"""
    for x, y in zip(a, b):
        p = (x + y) / (2 * n)
        if abs(x - y) > 6 * math.sqrt(2 * n * p * (1 - p)) + 1:
            return False
    return True


@pytest.mark.parametrize("rule, name, servers", ALIKE, ids=lambda v: v if isinstance(v, str) else "")
def test_both_choose_alike(rule, name, servers, ribbon, replay):
    theirs, own = ribbon[rule, name], ours(replay, rule, servers)
    assert sum(theirs) == sum(own) == CHOICES
    assert alike(theirs, own), f"Ribbon {theirs}, Vine {own}"


@pytest.mark.parametrize("rule, name, servers, kind, why", DIFFERENT, ids=lambda v: v if isinstance(v, str) and len(v) < 30 else "")
def test_intended_difference(rule, name, servers, kind, why, ribbon, replay):
    theirs, own = ribbon[rule, name], ours(replay, rule, servers)
    print(f"\nintended difference: {rule}, {name}: {why}")
    out = [i for i, s in enumerate(servers) if s[3] == "out"]
    if kind == "no-ejection":
        assert all(theirs[i] > CHOICES // 8 for i in out) and not any(own[i] for i in out), (theirs, own)
        rest = [own[i] for i in range(len(servers)) if i not in out]
        assert alike(rest, [CHOICES / len(rest)] * len(rest)), own
    elif kind == "zones":
        even = [CHOICES / len(servers)] * len(servers)
        assert alike(own, even) and not alike(theirs, even), (theirs, own)
    elif kind == "ties":
        assert max(theirs) == CHOICES and theirs[0] == CHOICES, theirs
        assert alike(own, [CHOICES / len(servers)] * len(servers)), own
    else:
        assert theirs == own == [CHOICES]


def test_the_margin_can_fail():
    assert alike([5000, 15000], [5100, 14900]) and not alike([5000, 15000], [5600, 14400])
