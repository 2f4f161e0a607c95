"""A plain Eureka client on http.client, for tests: what it sends is written out here, not taken from a library."""
import gzip
import http.client
import json


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()
        self.body = gzip.decompress(self.raw) if response.headers.get("Content-Encoding") == "gzip" else self.raw

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def instance(app="ORDERS", id="h1:orders:8080", **more):
    """An instance as Spring Cloud's client registers it; more fields replace or add, None removes."""
    fields = {
        "instanceId": id, "hostName": "h1", "app": app, "ipAddr": "10.0.0.1", "status": "UP",
        "overriddenStatus": "UNKNOWN", "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"}, "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
        "metadata": {"zone": "north"}, "vipAddress": app.lower(), "lastDirtyTimestamp": "1700000000000",
    }
    fields.update(more)
    return {k: v for k, v in fields.items() if v is not None}


class Eureka:
    """One keep-alive connection to a registry."""

    def __init__(self, port, base="/eureka", timeout=10):
        self.base = base
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def request(self, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        headers.setdefault("Accept", "application/json")
        self.connection.request(method, self.base + path, body=body, headers=headers)
        return Reply(self.connection.getresponse())

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def put(self, path, **headers):
        return self.request("PUT", path, **headers)

    def delete(self, path, **headers):
        return self.request("DELETE", path, **headers)

    def register(self, inst=None, app=None, **headers):
        inst = inst or instance()
        headers.setdefault("Content_Type", "application/json")
        return self.request("POST", f"/apps/{app or inst['app']}", json.dumps({"instance": inst}), **headers)

    def apps(self):
        """{app: {id: instance}} of a full fetch."""
        doc = self.get("/apps/").json()["applications"]
        return {a["name"]: {i["instanceId"]: i for i in a["instance"]} for a in doc["application"]}

    def find(self, app="ORDERS", id="h1:orders:8080"):
        reply = self.get(f"/apps/{app}/{id}")
        return reply.json()["instance"] if reply.status == 200 else None

    def close(self):
        self.connection.close()
