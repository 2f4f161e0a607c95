"""What the tests of management and of the process share."""
import base64
import http.client
import json

V3 = "application/vnd.spring-boot.actuator.v3+json"
V2 = "application/vnd.spring-boot.actuator.v2+json"

# A role that needs nobody else.
ALONE = """\
server.port: 0
server.address: 127.0.0.1
eureka.client.enabled: false
"""


def call(port, path, method="GET", body=None, user=None, **headers):
    """(status, media type, body as JSON if it is, else as text). Header names are written with underscores."""
    fields = {k.replace("_", "-"): v for k, v in headers.items()}
    if user:
        fields["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request(method, path, body=body, headers=fields)
        r = c.getresponse()
        data = r.read().decode()
        kind = r.getheader("Content-Type") or ""
        return r.status, kind, json.loads(data) if "json" in kind and data else data
    finally:
        c.close()


def get(port, path, **headers):
    status, _, body = call(port, path, **headers)
    assert status == 200, (path, status, body)
    return body


def value(port, meter, *tags):
    """The first measurement of a meter; None if it is not there."""
    path = f"/actuator/metrics/{meter}" + ("?" + "&".join(f"tag={t}" for t in tags) if tags else "")
    status, _, body = call(port, path)
    return body["measurements"][0]["value"] if status == 200 else None
