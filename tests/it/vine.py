"""The real binary under test: started on port 0, watched, stopped.

A Vine is one process of the program that the variable VINE names (default build/vine). It gets a folder of its own, an
environment that holds nothing of the user's, and a deadline for everything. When it is stopped, its exit code and what the
sanitizers wrote are judged too, so each integration test is also a test of a clean end.
"""
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from ports import hold

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("VINE", ROOT / "build" / "vine"))  # each test has a folder of its own
SANITIZER = next((k for k in ("asan", "tsan") if f"build-{k}" in BINARY), None)
SLOWNESS = 4 if SANITIZER else 1  # deadlines are stretched by it; what must be fast is measured without sanitizers
DEADLINE = 10 * SLOWNESS
STOP_DEADLINE = 60 if SANITIZER else 30  # below pytest's own for a whole test, so that we are who says what hangs

READY = re.compile(r"\bready\b.*?:(\d+)\b")
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed", re.S)


def wait_for(condition, what="a condition", timeout=None):
    """The first true value of condition(); fails once the deadline has passed."""
    end = time.monotonic() + (timeout or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout or DEADLINE} s in vain for {what}")
        time.sleep(0.005)


class Lines:
    """What a process writes to a pipe, line by line, as it comes."""

    def __init__(self, pipe):
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        threading.Thread(target=self._read, args=(pipe,), daemon=True).start()

    def _read(self, pipe):
        for raw in pipe:
            with self.changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def __str__(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait(self, pattern, timeout=None, after=0):
        """The match of pattern in the first line that has one, counted from line `after`; None if the pipe ends first."""
        pattern = re.compile(pattern)
        end = time.monotonic() + (timeout or DEADLINE)
        with self.changed:
            at = after
            while True:
                while at < len(self.lines):
                    found = pattern.search(self.lines[at])
                    if found:
                        return found
                    at += 1
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    return None
                self.changed.wait(left)


class Vine:
    """One process. Use the fixture `vine` of conftest.py, which stops what it started."""

    def __init__(self, folder, *args, config=None, env=None, ready=True, binary=BINARY, stdin=subprocess.DEVNULL):
        self.folder = pathlib.Path(folder)
        self.args = list(args)
        self.expect_code = 0
        if config is not None:
            self.config = self.folder / "vine.yml"
            self.config.write_text(config, encoding="utf-8")
            self.args += ["-c", str(self.config)]
        # Nothing of the user's environment: each variable could be a property.
        clean = {k: os.environ[k] for k in ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if k in os.environ}
        clean.update(HOME=str(self.folder), XDG_STATE_HOME=str(self.folder / "state"), TMPDIR=str(self.folder), **(env or {}))
        self.process = subprocess.Popen([str(binary), *self.args], cwd=self.folder, env=clean, stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)
        self.port = self.held = None
        if ready:
            self.wait_ready()

    def wait_ready(self):
        found = self.out.wait(READY)
        if not found:
            code = self.process.poll()
            self.kill()
            raise AssertionError(f"no ready line (exit code {code})\nstdout: {self.out}\nstderr: {self.err}")
        self.port = int(found.group(1))

    # --- what it has and uses ---

    def rss(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        """A line a thread, for who wonders why it does not end: name, state, ticks used, where it waits in the kernel."""
        lines = []
        for task in sorted(pathlib.Path(f"/proc/{self.pid}/task").iterdir()):
            try:
                stat, wchan = (task / "stat").read_text(), (task / "wchan").read_text()
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            name, fields = stat.split("(", 1)[1].rsplit(")", 1)
            fields = fields.split()
            lines.append(f"{name}: {fields[0]}, {int(fields[11]) + int(fields[12])} ticks, {wchan}")
        return "\n".join(lines)

    def cpu(self):
        """Seconds of processor time, all threads."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total / 1e9

    def logs(self):
        """Everything written so far, both streams."""
        return f"{self.out}\n{self.err}"

    def wait_log(self, pattern, timeout=None):
        """The match of a log line, wherever logs go (stderr, or stdout after the ready line)."""
        def look():
            return re.search(pattern, self.logs(), re.M)
        return wait_for(look, f"the log line {pattern!r} in\n{self.logs()[-4000:]}", timeout)

    # --- its end ---

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=None):
        return self.process.wait(timeout or DEADLINE)

    def hold_port(self):
        """Nobody else gets the port when the process has gone: others may look for it there, or it starts there again."""
        if self.port and not self.held:
            self.held = hold(self.port)

    def let_go(self):
        if self.held:
            self.held.close()

    def kill(self):
        """As a crash would: no drain, and nothing is judged afterwards."""
        self.expect_code = None
        self.hold_port()
        if self.alive():
            self.process.kill()
        self.process.wait(DEADLINE)
        self.hold_port()  # where it did not share the port

    def stop(self):
        """SIGTERM, then a clean end within the deadline."""
        if self.alive():
            self.hold_port()
            self.signal(signal.SIGTERM)
        try:
            code = self.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            threads = self.threads()
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM did not end it\n{threads}\nstderr: {self.err}") from None
        self.hold_port()
        self.judge(code)
        return code

    def judge(self, code):
        """Exit code, and no word of a sanitizer or an assertion."""
        wait_for(lambda: self.err.ended, "the end of stderr")
        report = REPORT.search(str(self.err))
        assert not report, f"the process complained:\n{self.err}"
        if self.expect_code is not None:
            assert code == self.expect_code, f"exit code {code}, want {self.expect_code}\nstderr: {self.err}"
            self.expect_code = None


def stop_all(started):
    """The last started first; what is wrong with each of them."""
    problems = []
    for v in reversed(started):
        try:
            v.stop()
        except AssertionError as e:
            problems.append(str(e))
        finally:
            v.let_go()
    assert not problems, "\n".join(problems)
