"""The same scenes through Netflix's Hystrix and through Vine's flow.

Hystrix plays them in real time and tells when each call really began and ended; Vine plays those times, so that the machine's own
delays are the same for both. Hystrix' health lags by up to one snapshot, so its circuits open that much later: calls may differ
within one snapshot (and the jitter of its timers) of a change of state, nowhere else, and counts only by those calls. The
intended differences are listed in scenes.py and judged one by one; anything else fails.
"""
import heapq
from collections import Counter

import pytest
from scenes import ALIKE, DIFFERENT

SNAPSHOT = 100_000  # us
JITTER = 100_000    # Hystrix' timer threads, and calls that come only every so often
NAMES = {"S": "SUCCESS", "F": "FAILURE", "B": "BAD_REQUEST", "T": "TIMEOUT"}
REFUSED = ("SHORT_CIRCUITED", "SEMAPHORE_REJECTED")


class Played:
    """What became of a scene."""

    def __init__(self):
        self.calls = {}    # index -> (start, end, events)
        self.samples = []  # (time, open, total, errors, percentage, {event: (rolling, cumulative)})

    def counts(self):
        return Counter(e for _, _, events in self.calls.values() for e in events)

    def refused(self):
        """Was the call kept away by the circuit? In the order of their starts."""
        return [(start, "SHORT_CIRCUITED" in events) for start, _, events in sorted(self.calls.values())]

    def flips(self):
        calls = self.refused()
        return [b[0] for a, b in zip(calls, calls[1:]) if a[1] != b[1]]


def counts_of(words):
    pairs = (w.split("=") for w in words)
    return {name: tuple(map(int, both.split("/"))) for name, both in pairs}


def sample_of(time, words):
    return (time, words[0] == "true", *map(int, words[1:4]), counts_of(words[4:]))


def read_played(text):
    played = {s.name: Played() for s in ALIKE + DIFFERENT}
    for line in text.splitlines():
        w = line.split(" ")
        if w[0] == "call":
            played[w[1]].calls[int(w[2])] = (int(w[3]), int(w[4]), w[5].split(",") if w[5] else [])
        else:
            played[w[1]].samples.append(sample_of(int(w[2]), w[3:]))
    for s in ALIKE + DIFFERENT:
        assert len(played[s.name].calls) == len(s.calls) and len(played[s.name].samples) == len(s.samples), s.name
        played[s.name].samples.sort(key=lambda sample: sample[0])
    return played


class Hystrix:
    """All scenes as Hystrix plays them, in real time. Its timers are at the mercy of the machine, so a scene in which the two differ
    may be played anew, twice: what is a real difference shows again."""

    def __init__(self, java):
        self.java = java
        self.plays = []

    def play(self, n):
        while len(self.plays) <= n:
            text = "\n".join(line for s in ALIKE + DIFFERENT for line in s.lines()) + "\n"
            self.plays.append(read_played(self.java.run("vine.interop.Replay", stdin=text)))
        return self.plays[n]

    def judge(self, scene, replay, compare):
        for n in range(3):
            theirs = self.play(n)[scene.name]
            try:
                return compare(theirs, play(replay, scene, theirs, f"{scene.name}-{n}"))
            except AssertionError:
                if n == 2:
                    raise


@pytest.fixture(scope="module")
def hystrix(maven):
    return Hystrix(maven("hystrix"))


def outcome_of(events, planned):
    """What it came to: a call that was to succeed may time out on a busy machine. If Hystrix kept it away: what was planned."""
    return events[0] if events and events[0] in NAMES.values() else NAMES[planned]


def play(replay, scene, theirs, key):
    """Plays the scene to Vine at Hystrix' times."""
    ours = Played()
    events = {i: [] for i in theirs.calls}
    ends, queue = {}, []
    for i, (start, _, _) in theirs.calls.items():
        heapq.heappush(queue, (start, 1, i, "admit"))
    for time, *_ in theirs.samples:
        heapq.heappush(queue, (time, 3, -1, "look"))
    replay.ask("command", key, *(f"{k}={v}" for k, v in scene.settings.items()))
    while queue:
        now, _, i, verb = heapq.heappop(queue)
        if verb == "look":
            ours.samples.append(sample_of(now, replay.ask("look", key, now)))
            continue
        _, duration, outcome, fallback, fallback_duration = scene.calls[i]
        outcome = outcome_of(theirs.calls[i][2], outcome)
        ends[i] = now
        if verb == "admit":
            said = replay.ask("admit", key, i, now)[0]
            if said == "OK":
                ran = not any(e in REFUSED for e in theirs.calls[i][2])
                end = theirs.calls[i][1] if ran else now + duration * 1000
                heapq.heappush(queue, (max(end, now), 0, i, "done"))
                continue
            events[i].append(said)
        elif verb == "done":
            replay.ask("done", key, i, now, outcome)
            events[i].append(outcome)
        elif verb == "fellback":
            replay.ask("fellback", key, i, now, "yes" if fallback == "S" else "no")
            events[i].append("FALLBACK_SUCCESS" if fallback == "S" else "FALLBACK_FAILURE")
        if verb in ("admit", "done") and events[i][-1] not in ("SUCCESS", "BAD_REQUEST"):
            said = replay.ask("fallback", key, i, now, "no" if fallback == "M" else "yes")[0]
            if said == "RUN":
                heapq.heappush(queue, (now + fallback_duration * 1000, 2, i, "fellback"))
            else:
                events[i].append("FALLBACK_MISSING" if said == "MISSING" else "FALLBACK_REJECTION")
    ours.calls = {i: (theirs.calls[i][0], ends[i], events[i]) for i in theirs.calls}
    return ours


def near(start, flips):
    """Within a snapshot after a change of state, in either of the two."""
    return any(-JITTER <= start - f <= SNAPSHOT + JITTER for f in flips)


def compare_calls(theirs, ours):
    """The calls that differ, all of them near a change of state."""
    flips = theirs.flips() + ours.flips()
    differ = [i for i in theirs.calls if theirs.calls[i][2] != ours.calls[i][2]]
    far = [(i, theirs.calls[i], ours.calls[i]) for i in differ if not near(theirs.calls[i][0], flips)]
    assert not far, f"call, Hystrix', Vine's: {far[:5]}\nHystrix' changes: {theirs.flips()}\nVine's: {ours.flips()}"
    return differ


def compare_flips(theirs, ours):
    """Each change of state has its counterpart."""
    assert len(theirs.flips()) == len(ours.flips()), f"Hystrix' changes: {theirs.flips()}\nVine's: {ours.flips()}"
    for a, b in zip(theirs.flips(), ours.flips()):
        assert abs(a - b) <= SNAPSHOT + 2 * JITTER, f"Hystrix' changes: {theirs.flips()}\nVine's: {ours.flips()}"


def compare_samples(theirs, ours, slack):
    """Counts: the same but for `slack` calls."""
    for (time, is_open, *health, counts), (_, our_open, *our_health, our_counts) in zip(theirs.samples, ours.samples):
        where = f"at {time} us: Hystrix {is_open} {health} {counts}\nVine {our_open} {our_health} {our_counts}"
        assert is_open == our_open, where
        for name, (rolling, total) in counts.items():
            assert abs(rolling - our_counts[name][0]) <= slack and abs(total - our_counts[name][1]) <= slack, f"{name} {where}"
        if slack == 0:
            assert health == our_health, where


def compare_in_order(theirs, ours):
    differ = compare_calls(theirs, ours)
    compare_flips(theirs, ours)
    compare_samples(theirs, ours, len(differ))
    assert sum((theirs.counts() - ours.counts()).values()) <= 2 * len(differ)


def compare_counts(theirs, ours):
    late = sum(near(start, theirs.flips() + ours.flips()) for start, _, _ in theirs.calls.values())
    gap = theirs.counts() - ours.counts()
    assert sum(gap.values()) <= late, f"only in Hystrix: {gap}; only in Vine: {ours.counts() - theirs.counts()}"


@pytest.mark.parametrize("scene", ALIKE, ids=lambda s: s.name)
def test_both_do_the_same(scene, hystrix, replay):
    hystrix.judge(scene, replay, compare_in_order if scene.ordered else compare_counts)


def test_the_scenes_are_no_empty_play(hystrix):
    """Circuits open, trials run, everything happens: else the comparison would say little."""
    played = hystrix.play(0)
    all_events = sum((p.counts() for p in played.values()), Counter())
    for event in ("SUCCESS", "FAILURE", "TIMEOUT", "BAD_REQUEST", "SHORT_CIRCUITED", "SEMAPHORE_REJECTED", "FALLBACK_SUCCESS",
                  "FALLBACK_FAILURE", "FALLBACK_MISSING", "FALLBACK_REJECTION"):
        assert all_events[event] >= 5, event
    assert sum(len(p.flips()) >= 2 for p in played.values()) >= 20, "circuits that opened and closed"


# --- intended differences ---

def ran(played, after=0):
    return [start for start, refused in played.refused() if not refused and start >= after]


def straggler(theirs, ours):
    close = theirs.calls[0][1]
    assert any(not refused for start, refused in theirs.refused() if start > close), "Hystrix closes"
    assert ours.refused()[-1][1] and not ran(ours, close), "Vine does not"


def long_trial(theirs, ours):
    assert len(ran(theirs, 600_000)) >= 2, "Hystrix tries again while a trial is out"
    assert len(ran(ours, 600_000)) == 1, "Vine has one trial out"


def bad_request_as_trial(theirs, ours):
    trial = theirs.calls[30][0]
    assert theirs.calls[30][2] == ours.calls[30][2] == ["BAD_REQUEST"], (theirs.calls[30], ours.calls[30])
    assert not [at for at in ran(theirs, trial + 1) if at < trial + 350_000], "Hystrix waits for another sleep window"
    following = min(start for start, _ in ours.refused() if start > trial)
    assert following in ran(ours), "Vine tries the next call"


def slow_fallback(theirs, ours):
    assert any(refused for start, refused in ours.refused() if start < 450_000), "Vine opens at the failures"
    assert not any(refused for start, refused in theirs.refused() if start < 450_000), "Hystrix only when the fallbacks have ended"


JUDGES = {"a-straggler": straggler, "a-long-trial": long_trial, "a-bad-request-as-trial": bad_request_as_trial, "a-slow-fallback": slow_fallback}


@pytest.mark.parametrize("scene", DIFFERENT, ids=lambda s: s.name)
def test_intended_difference(scene, hystrix, replay):
    hystrix.judge(scene, replay, JUDGES[scene.name])
    print(f"\nintended difference: {scene.name}: {scene.differs}")
