"""The fields of Hystrix' own stream: the list that Vine's stream is held against (tests/data) is what the jar really writes."""
import json

from vine import ROOT

DATA = ROOT / "tests" / "data" / "hystrix-stream-1.5.18.json"
SIBLINGS = ROOT / "tests" / "data" / "hystrix-siblings-1.5.18.json"


def kind(value):
    """As the list has it: a JSON type, or the keys of an object of integers."""
    if isinstance(value, dict):
        assert all(type(v) is int for v in value.values()), value
        return list(value)
    return {bool: "boolean", int: "integer", str: "string", type(None): "null"}[type(value)]


def fields(lines):
    events = [json.loads(line) for line in lines]
    return {e["type"]: {name: kind(value) for name, value in e.items()} for e in events}


def test_the_list_is_what_hystrix_writes(maven):
    theirs = fields(maven("hystrix").run("vine.interop.Fields").splitlines())
    listed = json.loads(DATA.read_text(encoding="utf-8"))
    assert listed.pop("version") == "com.netflix.hystrix:hystrix-serialization:1.5.18"
    assert sorted(theirs) == ["HystrixCollapser", "HystrixCommand", "HystrixThreadPool"]
    assert listed == theirs


def tree(value):
    return {k: tree(v) for k, v in value.items()} if isinstance(value, dict) else kind(value)


def test_the_siblings_list_is_what_hystrix_writes(maven):
    """/hystrix/config.stream and /hystrix/utilization.stream: one key of each family stands for all."""
    theirs = {}
    for line in maven("hystrix").run("vine.interop.Siblings").splitlines()[:2]:
        event = tree(json.loads(line))
        name = json.loads(line)["type"]
        for family in ("commands", "threadpools", "collapsers"):
            if family in event:
                assert len(event[family]) == 1
                event[family] = {"{key}": next(iter(event[family].values()))}
        theirs[name] = event
    listed = json.loads(SIBLINGS.read_text(encoding="utf-8"))
    assert listed.pop("version") == "com.netflix.hystrix:hystrix-serialization:1.5.18"
    assert listed == theirs
