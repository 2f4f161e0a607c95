#!/usr/bin/env python3
"""Includes point downward only: a file may include from its own floor or from a lower one.

The floors are those of docs/architecture.md, from the ground up. Roles share a floor but do not include each other.
A file under src/ includes by the path from src/, never relative to itself.
"""
import pathlib
import re
import sys

FLOORS = [
    ["base"], ["codec"], ["props"], ["net"], ["http"], ["flow"], ["flag"], ["trace"], ["eureka"], ["confclient"],
    ["store"], ["auth"], ["plugin"], ["ribbon"], ["manage"], ["turbine"],
    ["registry", "gateway", "confserver", "spanstore", "console", "sidecar", "client"],
    ["cmd"],
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
# What users include: seen by the library that implements it, by the plugin host, and by those who talk about its types.
PUBLIC_FROM = {"client", "plugin", "ribbon", "cmd", "gateway"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', re.M)


def complaint(floor, quote, target, src):
    """What is wrong with this include in a file of that floor, or None."""
    if target.startswith("vine/"):
        return None if floor in PUBLIC_FROM else f"{floor} must not include public headers"
    if quote == "<":
        return None
    head = target.split("/")[0]
    if "/" not in target or head not in LEVEL:
        return "write the path from src/"
    if not (src / target).is_file():
        return "no such file"
    if LEVEL[head] > LEVEL[floor]:
        return f"{floor} is below {head}"
    if LEVEL[head] == LEVEL[floor] and head != floor:
        return f"{floor} and {head} are siblings"
    return None


def check_file(path, floor, src):
    text = path.read_text(encoding="utf-8")
    for m in INCLUDE.finditer(text):
        why = complaint(floor, m.group(1), m.group(2), src)
        if why:
            line = text.count("\n", 0, m.start(2)) + 1
            yield f'{path}:{line}: includes "{m.group(2)}": {why}'


def check_public(path):
    """A public header stands on public headers and the system's alone."""
    for m in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        if m.group(1) == '"':
            yield f'{path}: includes "{m.group(2)}": a public header includes <vine/...> and the system\'s headers only'


def self_test(src):
    """The rules themselves can fail: without this, a typo above would make the test pass for ever."""
    cases = [("base", '"', "net/loop.h", False), ("net", '"', "base/str.h", True), ("net", '"', "loop.h", False),
             ("http", "<", "stdio.h", True), ("net", "<", "vine/base.h", False), ("base", '"', "base/none.h", False)]
    for floor, quote, target, fine in cases:
        if (complaint(floor, quote, target, src) is None) != fine:
            yield f"layers.py: {floor} including {target} should be {'fine' if fine else 'refused'}"


def main(root):
    src = root / "src"
    files = problems = 0
    bad = list(self_test(src))
    for path in sorted(src.rglob("*.[ch]")):
        floor = path.relative_to(src).parts[0]
        if floor not in LEVEL:
            bad.append(f"{path}: {floor} is no floor of the house: add it to FLOORS")
            problems += 1
            continue
        found = list(check_file(path, floor, src))
        files += 1
        problems += bool(found)
        bad += found
    for path in sorted((root / "include").rglob("*.h")):
        found = list(check_public(path))
        files += 1
        problems += bool(found)
        bad += found
    print("\n".join(bad))
    problems = max(problems, 1) if bad else 0
    print(f"{max(files - problems, 0)} passed, {problems} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
