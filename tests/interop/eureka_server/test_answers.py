"""The same requests to Spring Cloud's Eureka server and to Vine: statuses, types and bodies, field by field.

What is never compared: instants of the server's own clock (only whether there is one), the order of instances, of metadata and of what is
in a hash map there, and the running number of deltas. What differs beyond that must be a listed, intended difference, and all that is listed
must differ.
"""
import http.client
import json
import re
import xml.etree.ElementTree as ET

import pytest

import odd
from compare import ACCIDENT, parse
from registry_client import Eureka

# These differ in lastDirtyTimestamp, and in nothing else.
VERSIONS = ("setting and ending an override is a new version (lastDirtyTimestamp + 1), so that a registry that missed the change learns of it; "
            "Netflix's leaves the version and can lose the change.",
            ["is", "lists say so", "it is kept", "it is ended", "is there", "does not replace", "replaces", "is down", "by itself", "after the end",
             "older register"])
# (what and why, names of odd.ODD); both generations, unless the list below says otherwise
BOTH = [
    VERSIONS,
    ("a status that is written in XML: Eureka's server says DOWN for OUT_OF_SERVICE where no version is in the path; Vine the truth.",
     ["is in XML"]),
    ("a client that registers as OUT_OF_SERVICE and later as UP is believed; Eureka's server keeps the status that it had.",
     ["stays", "a colon coded", "last"]),
    ("Accept that matches neither JSON nor XML: Eureka's answers 406, Vine with XML (or JSON where the type's name has it): clients that ask "
     "for text get something.",
     ["text only", "a vendor's JSON"]),
    ("both types asked for: Eureka's server sends JSON that calls itself XML, Vine calls it JSON.", ["XML, then JSON"]),
    ("/eureka/v1 is the same as /eureka; in Spring Cloud's server it is not there.", ["v1"]),
    ("serverinfo/statusoverrides is there as in Netflix's own war; in Spring Cloud's server it is not.", ["overrides", "overrides v2"]),
    ("double slashes are one.", ["double slashes"]),
    ("a slash or another sign coded in an ID is understood; Tomcat refuses it with an HTML page.", ["a slash in the path"]),
    ("'+' in an ID may mean a blank, for clients that code it so.", ["as plus"]),
    ("a registration that can be understood is taken: without the wrapper \"instance\", without Content-Type, in gzip, with a plain number as "
     "port, with a data center that has only a class, with a metadata value that is an object (its text is kept).",
     ["no wrapper", "no type", "a good one in gzip", "a plain number as port", "a data center without name", "a metadata object"]),
    ("a registration without a name is told what it lacks.", ["no name"]),
    ("a registration that is null is wrong (400), not an inner error (500).", ["null"]),
    ("a heartbeat whose time is no number is a heartbeat (200), not an inner error (500).", ["heartbeat at no time", "heartbeat at an empty time"]),
    ("what a peer's batch has wrong in one item is answered 400 for that item, and the others hold; Netflix's server refuses the whole batch for "
     "an unknown action or field, answers 500 for lacking ones, and 200 to a registration that it does not take.",
     ["unknown action", "unknown field", "no action", "no list", "status without one", "end without time", "register without instance",
      "register of another name", "register without host", "in gzip to the batch"]),
    ("a peer's cancellation that names an older version takes nothing away; Netflix's servers name none.", ["cancel of an older version"]),
    ("batches are JSON.", ["XML to the batch", "as XML back"]),
    ("/status names the registry itself by address only, and answers in JSON.", ["status of the server", "status of the server in XML"]),
    ("lists of one application are sent in gzip where that is asked for; Eureka's compresses only all of them.", ["an application in gzip"]),
]
ONLY = {
    "old": [("/eureka/v2 is the same as /eureka; in Spring Cloud's server before 4.1 it is not there.", ["v2"])],
    "new": [("the compact form has no registeredApplicationsEmpty: Eureka's has it since 2.0.6 by accident, and older clients do not know it.", [])],
}


def words(text):
    """What an error says: pages that the container makes by itself say nothing."""
    if text.startswith("<!doctype") or '"timestamp"' in text:
        return ""
    if text.startswith("{"):
        return json.loads(text).get("error", text)
    return ET.fromstring(text).findtext("message") if text.startswith("<") else text


class Answer:
    """blind: to the versions of instances, as odd.py makes them."""

    def __init__(self, status, type, text, blind=False):
        text = re.sub(r"17000000000\d\d", "1700000000000", text) if blind else text
        self.status, self.type = status, (type or "").partition(";")[0] if text else ""
        self.text = text
        self.body = None
        if status >= 300 and status != 409:
            self.body = words(text)
        elif text:
            try:
                self.body = parse(text)
            except ValueError:
                self.body = "broken JSON"

    def __str__(self):
        return f"{self.status} {self.type} {self.text[:700]}"


def play(port):
    """{name: Answer}"""
    e, got = Eureka(port), {}
    for ask in odd.ODD:
        assert ask.name not in got, ask.name
        body = ask.body.encode() if isinstance(ask.body, str) else ask.body
        try:
            r = e.request(ask.method, ask.path, body, **ask.headers)
            coding = r.headers.get("Content-Encoding")
            got[ask.name] = Answer(r.status, r.headers.get("Content-Type"), r.body.decode())
            got[ask.name].coding = coding
        except http.client.HTTPException as x:  # it closed the connection in the middle
            got[ask.name] = Answer(500, "", "")
            got[ask.name].coding = repr(x)
            e.close()
    e.close()
    return got


def blind(answer):
    same = Answer(answer.status, answer.type, answer.text, True)
    same.coding = answer.coding
    return same


def differs(theirs, ours):
    if theirs.status != ours.status:
        return True
    if theirs.status >= 300 and theirs.status != 409:
        return not (ours.body or "").startswith(theirs.body or "")
    delta = '"versions__delta"' in theirs.text or "<versions__delta>" in theirs.text
    same = without_version(theirs.body) == without_version(ours.body) if delta else theirs.body == ours.body
    return not same or theirs.coding != ours.coding or (theirs.text != "" and theirs.type != ours.type)


def without_version(body):
    """Empty lists say -1; deltas count, Netflix's from 1 and Vine's from where no start before it was."""
    def number(text):
        return "n" if int(text) > 0 else text
    if isinstance(body, list):  # JSON
        (root, fields), = body
        return root, [(k, number(v) if k == "versions__delta" else v) for k, v in fields]
    return body[:3], [(t, a, number(x) if t == "versions__delta" else x, c) for t, a, x, c in body[3]]


@pytest.mark.parametrize("generation", ["old", "new"])
def test_answers_are_the_same(netflix, vine, generation):
    server = netflix(generation, **{
        "eureka.client.register-with-eureka": "false", "eureka.client.fetch-registry": "false",
        "eureka.server.eviction-interval-timer-in-ms": "3600000"})
    ours = play(vine("registry", "--server.port=0", "--server.address=127.0.0.1").port)
    theirs = play(server.wait_ready().port)
    listed = BOTH + ONLY[generation]
    intended = {name for _, names in listed for name in names}
    problems = []
    for ask in odd.ODD:
        a, b = theirs[ask.name], ours[ask.name]
        if differs(a, b) != (ask.name in intended):
            what = "differs" if ask.name not in intended else "is listed and does not differ"
            problems.append(f"{ask.name}: {ask.method} {ask.path} {what}\n  theirs {a}\n  ours   {b}")
    for name in VERSIONS[1]:
        a, b = (blind(x[name]) for x in (theirs, ours))
        if differs(a, b):
            problems.append(f"{name}: not only in its version\n  theirs {a}\n  ours   {b}")
    assert not problems, "\n".join(problems)
    assert not [n for n in intended if n not in ours]
    assert any(ACCIDENT in a.text for a in theirs.values()) == (generation == "new")
    assert not any(ACCIDENT in a.text for a in ours.values())
    for why, _ in listed if generation == "old" else ONLY["new"]:
        print(f"\nintended difference: Eureka's server: {why}")
