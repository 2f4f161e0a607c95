"""What test runs gave: pytest's report read, and numbers and names left for a caller that sums several runs."""
import os
import xml.etree.ElementTree as ET


class Report:
    """A JUnit report of pytest. One that is not there counts as one failure."""

    def __init__(self, path, code):
        self.passed, self.failed, self.skipped, self.names, self.said = 0, 1, 0, [], []
        if not path.exists():
            self.names = ["pytest left no report"]
            return
        suite = ET.parse(path).getroot().find("testsuite")
        self.skipped = int(suite.get("skipped"))
        self.failed = int(suite.get("failures")) + int(suite.get("errors"))
        self.passed = int(suite.get("tests")) - self.skipped - self.failed
        for case in suite.iter("testcase"):
            for kind in ("failure", "error"):
                for problem in case.findall(kind):
                    self.names.append(f"{case.get('classname')}::{case.get('name')}: {problem.get('message', '')[:160]!r}")
        self.said = [out.text or "" for out in suite.iter("system-out")]
        if code and not self.failed:
            self.failed = 1
            self.names.append(f"pytest: exit code {code}")


def leave(passed, failed, names, of):
    """Where COUNTS names a file, the two numbers are added to it as a line; where FAILED does, what failed, a line each."""
    for variable, lines in (("COUNTS", [f"{passed} {failed}"]), ("FAILED", [f"{of}: {n}" for n in names])):
        if variable in os.environ:
            with open(os.environ[variable], "a", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for line in lines)
