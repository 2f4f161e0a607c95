"""What all soaks share: the clock, the failures, the checks at the end, and the closing line."""
import collections
import os
import pathlib
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "it"))
os.environ["VINE"] = str(ROOT / os.environ.get("VINE", "build-asan/vine"))
# Freed memory is held back, so that its use is seen; less of it, or it alone would look like growth for minutes.
os.environ.setdefault("ASAN_OPTIONS", "handle_segv=2:detect_leaks=1:quarantine_size_mb=16")

SAY_EVERY = 10
GROWTH = 48 << 20  # bytes that a warm process may still grow by: the allocator's and the sanitizer's own ways


class Play:
    """start(folder), run() until self.seconds are over, judge() by check(), end() that returns what the processes had to say."""

    def __init__(self, seconds, seed):
        self.seconds, self.seed = seconds, seed
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.done = collections.Counter()
        self.failures = []
        self.checks = []
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def count(self, what):
        with self.lock:
            self.done[what] += 1

    def fail(self, text):
        with self.lock:
            self.failures.append(text)
        if len(self.failures) <= 20:
            self.say(f"FAILED: {text}")

    def check(self, name, fn):
        """One line of the closing sum."""
        try:
            fn()
            self.checks.append(True)
            self.say(f"ok: {name}")
        except Exception as e:  # pylint: disable=broad-except
            self.checks.append(False)
            self.say(f"FAILED: {name}: {type(e).__name__}: {e}")

    def go_on(self, v, threads, each=lambda: ""):
        """Until the time is over or the process v has fallen: the threads, and a line of each() every ten seconds."""
        for t in threads:
            t.start()
        end, warm_at, self.warm = time.monotonic() + self.seconds, time.monotonic() + min(self.seconds / 4, 90), None
        while time.monotonic() < end and v.alive():
            self.over.wait(min(SAY_EVERY, max(end - time.monotonic(), 0.01)))
            if self.warm is None and time.monotonic() >= warm_at:
                self.warm = v.rss()
                self.say(f"warm: {self.warm >> 20} MiB")
            if v.alive():
                self.say(f"{sum(self.done.values())} actions, {len(self.failures)} failed; {v.rss() >> 20} MiB, "
                         f"{v.fds()} descriptors{each()}")
        self.over.set()
        for t in threads:
            t.join()

    def memory(self, v):
        grown = v.rss() - (self.warm or v.rss())
        assert grown < GROWTH, f"{grown >> 20} MiB since it was warm"

    @staticmethod
    def none(things):
        assert not things, f"{len(things)}, the first: {things[0]}"

    @staticmethod
    def some(n):
        assert n, "never"


def play(kind, name, seconds, seed):
    """Plays one; gives (passed, failed)."""
    soak = kind(seconds, seed)
    print(f"soak of the {name}, {seconds:g} s, SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        said = ""
        try:
            soak.start(pathlib.Path(tmp))
            soak.run()
            soak.judge()
        finally:
            soak.over.set()
            said = soak.end()
            if soak.checks.count(False):
                print(said[-6000:])
    return soak.checks.count(True), soak.checks.count(False)
