"""The actuator, as Boot's tools and Prometheus see it."""
import re
import socket

import pytest

from manage import ALONE, V2, V3, call, get, value
from vine import wait_for


@pytest.fixture
def gw(vine):
    return vine("gateway", config=ALONE)


# --- the index and media types ---

def test_index_links_what_there_is(gw):
    links = get(gw.port, "/actuator")["_links"]
    base = f"http://127.0.0.1:{gw.port}/actuator"
    assert links["self"] == {"href": base, "templated": False}
    for name in ("health", "info", "metrics", "env", "loggers", "prometheus"):
        assert links[name] == {"href": f"{base}/{name}", "templated": False}
    assert links["health-path"] == {"href": base + "/health/{*path}", "templated": True}
    assert links["metrics-requiredMetricName"] == {"href": base + "/metrics/{requiredMetricName}", "templated": True}
    for link in links.values():
        if not link["templated"] and "prometheus" not in link["href"] and "stream" not in link["href"]:
            assert call(gw.port, link["href"][len(f"http://127.0.0.1:{gw.port}"):])[0] == 200


@pytest.mark.parametrize("accept, want", [
    (None, V3),
    ("*/*", V3),
    (f"{V3}, {V2}, application/vnd.spring-boot.actuator.v1+json, application/json", V3),
    (f"{V2}, application/json", V2),
    ("application/json", "application/json"),
    ("text/html", V3),
])
def test_media_type(gw, accept, want):
    headers = {"Accept": accept} if accept else {}
    for path in ("/actuator", "/actuator/health", "/actuator/info", "/actuator/metrics"):
        assert call(gw.port, path, **headers)[1] == want


def test_wrong_method_and_unknown_endpoint(gw):
    assert call(gw.port, "/actuator/health", "POST", body="{}")[0] == 405
    assert call(gw.port, "/actuator/nothing")[0] == 404
    status, _, body = call(gw.port, "/actuator/info", "HEAD")
    assert (status, body) == (200, "")


# --- health and info ---

def test_health(gw):
    body = get(gw.port, "/actuator/health")
    assert body["status"] == "UP"
    assert body["groups"] == ["liveness", "readiness"]
    disk = body["components"]["diskSpace"]
    assert disk["status"] == "UP" and disk["details"]["exists"] is True
    assert disk["details"]["total"] > disk["details"]["free"] > disk["details"]["threshold"]
    assert get(gw.port, "/actuator/health/diskSpace")["details"]["threshold"] == disk["details"]["threshold"]
    assert get(gw.port, "/actuator/health/liveness")["components"]["livenessState"] == {"status": "UP"}
    assert get(gw.port, "/actuator/health/readiness")["components"]["readinessState"] == {"status": "UP"}
    assert get(gw.port, "/actuator/health/readiness/readinessState") == {"status": "UP"}
    for path in ("nothing", "readiness/diskSpace", "diskSpace/more", "readiness/"):
        status = call(gw.port, f"/actuator/health/{path}")[0]
        assert status == (200 if path == "readiness/" else 404), path


def test_version_2_calls_the_parts_details(gw):
    body = get(gw.port, "/actuator/health", Accept=V2)
    assert "components" not in body and body["details"]["ping"] == {"status": "UP"}


def test_info(gw):
    body = get(gw.port, "/actuator/info")
    assert body["process"]["pid"] == gw.pid
    assert body["app"]["role"] == "gateway"
    assert re.match(r"\d+\.\d+\.\d+", body["build"]["version"])
    assert body["os"]["name"] == "Linux"


# --- metrics ---

def test_metrics(gw):
    call(gw.port, "/actuator/info")
    names = get(gw.port, "/actuator/metrics")["names"]
    assert names == sorted(names)
    for name in ("process.uptime", "process.cpu.usage", "system.cpu.count", "http.server.requests", "jvm.memory.used",
                 "jvm.threads.live", "process.files.open", "disk.free", "logback.events", "vine.server.connections"):
        assert name in names
    body = get(gw.port, "/actuator/metrics/http.server.requests?tag=uri:/actuator/info&tag=status:200")
    assert body["baseUnit"] == "seconds"
    got = {m["statistic"]: m["value"] for m in body["measurements"]}
    assert got["COUNT"] == 1 and 0 < got["TOTAL_TIME"] < 5 and got["MAX"] == got["TOTAL_TIME"]
    assert {"tag": "method", "values": ["GET"]} in body["availableTags"]
    assert all(t["tag"] not in ("uri", "status") for t in body["availableTags"])
    assert value(gw.port, "process.uptime") > 0
    assert value(gw.port, "process.files.open") > 3
    assert value(gw.port, "jvm.threads.live") >= 2


@pytest.mark.parametrize("query, want", [
    ("?tag=uri:/actuator/info", 200),
    ("?tag=uri:/actuator/info&tag=uri:/actuator/info", 200),
    ("?tag=uri:%2Factuator%2Finfo", 200),
    ("?tag=uri:/nowhere", 404),
    ("?tag=colour:red", 404),
    ("?tag=uri", 400),
    ("?" + "&".join(["tag=a:b"] * 17), 400),
    ("?other=x", 200),
])
def test_metric_filters(gw, query, want):
    call(gw.port, "/actuator/info")
    assert call(gw.port, "/actuator/metrics/http.server.requests" + query)[0] == want


def test_unknown_metric(gw):
    assert call(gw.port, "/actuator/metrics/nothing.here")[0] == 404


LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$')


def test_prometheus_text(gw):
    call(gw.port, "/actuator/info")
    status, kind, text = call(gw.port, "/actuator/prometheus")
    assert (status, kind) == (200, "text/plain;version=0.0.4;charset=utf-8")
    families, samples = [], {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.append(line.split()[2])
        elif not line.startswith("#"):
            m = LINE.match(line)
            assert m, line
            float(m.group(3))
            assert (m.group(1), m.group(2)) not in samples, f"twice: {line}"
            samples[(m.group(1), m.group(2))] = float(m.group(3))
            assert any(m.group(1).startswith(f) for f in families[-1:]), f"{line} stands outside its family"
    assert len(families) == len(set(families))
    assert "process_uptime_seconds" in families and "http_server_requests_seconds" in families
    name = next(k for k in samples if k[0] == "http_server_requests_seconds_count" and 'uri="/actuator/info"' in k[1])
    assert samples[name] == 1 and 'outcome="SUCCESS"' in name[1] and 'application="' in name[1]


def test_openmetrics(gw):
    status, kind, text = call(gw.port, "/actuator/prometheus?includedNames=process_uptime_seconds,logback_events_total",
                              Accept="application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert (status, kind) == (200, "application/openmetrics-text;version=1.0.0;charset=utf-8")
    lines = text.splitlines()
    assert lines[-1] == "# EOF"
    assert "# TYPE logback_events counter" in lines and "# TYPE process_uptime_seconds gauge" in lines
    assert {line.split("{")[0] for line in lines if not line.startswith("#")} == {"logback_events_total", "process_uptime_seconds"}


# --- env ---

def test_env_shows_origin_and_masks_secrets(vine):
    v = vine("gateway", "--vine.workers=1", config=ALONE + """\
vine:
  management:
    user: admin
    password: hunter2
my:
  secret: abc
  apiKey: xyz
  url: http://bob:pass@host/x
  plain: ${my.word:hello}
""")
    text = str(get(v.port, "/actuator/env"))
    for word in ("hunter2", "abc'", "xyz", "pass@"):
        assert word not in text
    body = get(v.port, "/actuator/env")
    names = [s["name"] for s in body["propertySources"]]
    assert names[0] == "commandLine"
    file = next(s for s in body["propertySources"] if "vine.yml" in s["name"])["properties"]
    assert file["vine.management.password"]["value"] == "******"
    assert file["my.secret"]["value"] == "******" and file["my.apiKey"]["value"] == "******"
    assert file["my.url"]["value"] == "http://bob:******@host/x"
    assert file["my.plain"]["value"] == "hello"
    assert file["vine.management.user"]["origin"].endswith("vine.yml:6:11")
    one = get(v.port, "/actuator/env/vine.workers")
    assert one["property"] == {"source": "commandLine", "value": "1"}
    assert [s for s in one["propertySources"] if "property" in s] == [{"name": "commandLine", "property": {"value": "1"}}]
    assert get(v.port, "/actuator/env/VINE_WORKERS".replace("_", "."))["property"]["value"] == "1"
    assert get(v.port, "/actuator/env/vine.management.password")["property"]["value"] == "******"
    assert call(v.port, "/actuator/env/no.such.thing")[0] == 404


# --- loggers ---

def test_logger_levels_change_at_once(gw):
    port = gw.port
    body = get(port, "/actuator/loggers")
    assert body["levels"] == ["OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
    assert body["loggers"]["ROOT"] == {"configuredLevel": "INFO", "effectiveLevel": "INFO"}
    assert body["loggers"]["vine.gateway"] == {"effectiveLevel": "INFO"}
    assert call(port, "/actuator/loggers/vine.gateway", "POST", body='{"configuredLevel":"DEBUG"}')[0] == 204
    assert get(port, "/actuator/loggers/vine.gateway") == {"configuredLevel": "DEBUG", "effectiveLevel": "DEBUG"}
    assert call(port, "/actuator/loggers/vine", "POST", body='{"configuredLevel":"error"}')[0] == 204
    assert get(port, "/actuator/loggers/vine.gateway")["effectiveLevel"] == "DEBUG"
    for clear in ("{}", '{"configuredLevel":null}', ""):
        assert call(port, "/actuator/loggers/vine.gateway", "POST", body=clear)[0] == 204
        assert get(port, "/actuator/loggers/vine.gateway") == {"effectiveLevel": "ERROR"}


@pytest.mark.parametrize("name, body, want", [
    ("vine.gateway", '{"configuredLevel":"LOUD"}', 400),
    ("vine.gateway", '{"configuredLevel":', 400),
    ("vine.gateway", "[1]", 400),
    ("vine.gateway", "{" * 5000, 400),
    ("vine.gateway", " " * 70000, 413),
    ("x" * 64, '{"configuredLevel":"INFO"}', 400),
    ("a%20b", '{"configuredLevel":"INFO"}', 400),
])
def test_bad_level_requests(gw, name, body, want):
    assert call(gw.port, f"/actuator/loggers/{name}", "POST", body=body)[0] == want
    assert get(gw.port, "/actuator/loggers/ROOT")["effectiveLevel"] == "INFO"


def test_unknown_logger(gw):
    assert call(gw.port, "/actuator/loggers/nothing")[0] == 404


# --- access ---

FOREIGN = {"X_Forwarded_For": "203.0.113.9"}


def test_foreigners_see_only_health_and_info(gw):
    body = get(gw.port, "/actuator/health", **FOREIGN)
    assert body["status"] == "UP" and "components" not in body
    assert call(gw.port, "/actuator/health/diskSpace", **FOREIGN)[0] == 404
    assert get(gw.port, "/actuator/health/readiness", **FOREIGN) == {"status": "UP"}
    assert call(gw.port, "/actuator/info", **FOREIGN)[0] == 200
    for path in ("", "/metrics", "/env", "/loggers", "/prometheus", "/metrics/process.uptime"):
        assert call(gw.port, "/actuator" + path, **FOREIGN)[0] == 403, path
        assert call(gw.port, "/actuator" + path, user="a:b", **FOREIGN)[0] == 403, path
    assert call(gw.port, "/actuator/loggers/ROOT", "POST", body="{}", **FOREIGN)[0] == 403


def test_foreigners_with_credentials(vine):
    v = vine("gateway", config=ALONE + "vine.management.user: admin\nvine.management.password: hunter2\n")
    assert call(v.port, "/actuator/env")[0] == 200  # loopback needs none
    assert call(v.port, "/actuator/env", **FOREIGN)[0] == 401
    assert call(v.port, "/actuator/env", user="admin:wrong", **FOREIGN)[0] == 401
    assert call(v.port, "/actuator/env", user="admin:hunter2", **FOREIGN)[0] == 200
    assert "components" in get(v.port, "/actuator/health", user="admin:hunter2", **FOREIGN)


def test_names_that_were_made_to_point_here_are_foreign(gw):
    assert call(gw.port, "/actuator/env", Host="evil.example")[0] == 403
    assert call(gw.port, "/actuator/env", Host="localhost")[0] == 200


@pytest.mark.parametrize("headers, want", [
    ({}, 204),
    ({"Origin": "http://{own}"}, 204),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-origin", "Origin": "http://{own}"}, 204),
])
def test_changes_from_other_sites_are_refused(gw, headers, want):
    headers = {k: v.format(own=f"127.0.0.1:{gw.port}") for k, v in headers.items()}
    assert call(gw.port, "/actuator/loggers/ROOT", "POST", body='{"configuredLevel":"INFO"}', **headers)[0] == want


def test_a_port_of_its_own(vine):
    v = vine("gateway", config=ALONE + "management.server.port: 0\n")
    own = int(v.out.wait(r"management http://127\.0\.0\.1:(\d+)/actuator").group(1))
    assert own != v.port
    assert call(v.port, "/actuator/health")[1] != V3  # a path like any other there
    assert get(own, "/actuator/health")["status"] == "UP"
    assert call(own, "/actuator/loggers/vine", "POST", body='{"configuredLevel":"WARN"}')[0] == 204
    assert get(own, "/actuator")["_links"]["self"]["href"] == f"http://127.0.0.1:{own}/actuator"
    assert call(own, "/elsewhere")[0] == 404


# --- faults ---

def test_clients_that_do_not_wait_for_the_answer(gw):
    for i in range(200):
        with socket.create_connection(("127.0.0.1", gw.port)) as s:
            s.sendall(b"GET /actuator/prometheus HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for(lambda: value(gw.port, "vine.server.connections") == 1, "the end of the others' connections")
    assert get(gw.port, "/actuator/health")["status"] == "UP"


def test_a_body_that_never_comes_holds_nobody_up(gw):
    with socket.create_connection(("127.0.0.1", gw.port)) as s:
        s.sendall(b"POST /actuator/loggers/ROOT HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        assert get(gw.port, "/actuator/health")["status"] == "UP"
