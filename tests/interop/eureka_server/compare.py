"""Eureka's JSON and XML as what can be compared: instants of a server's own clock count only as being there or not, and neither the order of
instances nor that of metadata means anything."""
import json
import xml.etree.ElementTree as ET

CLOCK = {"lastUpdatedTimestamp", "registrationTimestamp", "lastRenewalTimestamp", "evictionTimestamp", "serviceUpTimestamp"}
UNORDERED = {"metadata"}
ACCIDENT = "registeredApplicationsEmpty"  # in the compact form of Eureka 2.0.6


def tree(value, key=""):
    """JSON as what can be compared: order of fields kept, of instances and metadata not."""
    if isinstance(value, dict):
        fields = [(k, tree(v, k)) for k, v in value.items() if k != ACCIDENT]
        return sorted(fields) if key in UNORDERED else fields
    if isinstance(value, list):
        return sorted((tree(v) for v in value), key=repr)
    if key in CLOCK:
        return type(value).__name__, str(value) == "0"
    return value


def element(e):
    text = (e.text or "").strip()
    children = [element(c) for c in e if c.tag != ACCIDENT]
    if e.tag in CLOCK:
        text = str(text == "0")
    if e.tag in UNORDERED or e.find("instance") is not None or e.find("application") is not None:
        children.sort(key=repr)
    return e.tag, sorted(e.attrib.items()), text, children


def parse(text):
    return element(ET.fromstring(text)) if text.startswith("<") else tree(json.loads(text))
