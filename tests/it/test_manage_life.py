"""The life of a process: start, failures to start, reload, drain."""
import os
import re
import signal
import socket
import time

import pytest

from gateway import simple
from manage import ALONE, call, get, value
from peers import request_bytes, stall
from vine import SLOWNESS, wait_for


def fails(vine, *args, **kw):
    """Runs what must not start: (exit code, stderr lines)."""
    v = vine(*args, ready=False, **kw)
    v.expect_code = None
    code = v.wait()
    wait_for(lambda: v.err.ended, "the end of stderr")
    assert str(v.out) == ""
    return code, str(v.err).splitlines()


# --- failures to start: one clear line, exit code 1 ---

def test_a_start_that_fails_while_servers_are_pinged(vine, upstream):
    code, lines = fails(vine, "gateway", "--vine.gateway.access-log=/nowhere/log",
                        "--up.ribbon.NFLoadBalancerPingClassName=com.netflix.loadbalancer.PingUrl", config=simple(upstream(stall)))
    assert code == 1 and lines[-1] == "vine gateway: cannot open the access log '/nowhere/log': No such file or directory"


def test_port_in_use(vine):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        code, lines = fails(vine, "gateway", f"--server.port={port}", "--server.address=127.0.0.1")
    assert code == 1
    assert lines == [f"vine gateway: cannot listen on 127.0.0.1:{port}: Address already in use"]


def test_port_in_use_by_another_vine(vine):
    v = vine("gateway", config=ALONE)
    code, lines = fails(vine, "gateway", f"--server.port={v.port}", "--server.address=127.0.0.1", "--eureka.client.enabled=false")
    assert code == 1 and len(lines) == 1 and "Address already in use" in lines[0]
    assert get(v.port, "/actuator/health")["status"] == "UP"


def test_management_port_in_use(vine):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        code, lines = fails(vine, "gateway", f"--management.server.port={port}", config=ALONE)
    assert code == 1 and lines == [f"vine gateway: cannot listen on 127.0.0.1:{port}: Address already in use"]


def test_data_directory_that_cannot_be_made(vine, tmp_path):
    (tmp_path / "file").write_text("")
    code, lines = fails(vine, "gateway", f"--vine.data-dir={tmp_path}/file/data", config=ALONE)
    assert code == 1
    assert lines == [f"vine gateway: cannot make the data directory {tmp_path}/file/data: Not a directory"]


def test_data_directory_of_a_running_vine(vine, tmp_path):
    v = vine("gateway", f"--vine.data-dir={tmp_path}/d", config=ALONE)
    code, lines = fails(vine, "gateway", f"--vine.data-dir={tmp_path}/d", config=ALONE)
    assert code == 1
    assert lines == [f"vine gateway: the data directory {tmp_path}/d/gateway is in use by another vine gateway (process {v.pid})"]
    v.stop()
    vine("gateway", f"--vine.data-dir={tmp_path}/d", config=ALONE)


def test_missing_file(vine):
    code, lines = fails(vine, "gateway", "-c", "nowhere.yml")
    assert code == 1 and len(lines) == 1 and "nowhere.yml" in lines[0] and "No such file" in lines[0]


def test_every_finding_is_told_with_its_place(vine):
    code, lines = fails(vine, "gateway", config="""\
zuul:
  prefx: /api
hystrix:
  command:
    default:
      circuitBreaker:
        errorThresholdPercentage: lots
vine.workers: 0
""")
    assert code == 1
    text = "\n".join(lines)
    assert "vine.yml:2:10: zuul.prefx = /api" in text and "did you mean zuul.prefix?" in text
    assert "vine.yml:7:35: hystrix.command.default.circuitBreaker.errorThresholdPercentage = lots" in text
    assert "vine.yml:8:15: vine.workers = 0" in text
    assert len(lines) == 4


def test_address_that_is_none(vine):
    code, lines = fails(vine, "gateway", "--server.address=nowhere.example")
    assert code == 1 and lines == ["vine gateway: server.address = nowhere.example: must be an IP address or localhost"]


# --- the ready line ---

def test_ready_line_names_the_real_port(vine):
    v = vine("gateway", config=ALONE)
    url = f"http://127.0.0.1:{v.port}"
    assert str(v.out).splitlines()[0] == f"vine gateway ready: {url} (management {url}/actuator) pid {v.pid}"


def test_all_workers_share_the_port(vine):
    v = vine("gateway", "--vine.workers=4", config=ALONE)
    for _ in range(50):  # the kernel spreads connections over the listeners
        assert call(v.port, "/actuator/info")[2]["process"]["workers"] == 4


def test_json_log(vine):
    v = vine("gateway", "--vine.log.format=json", config=ALONE)
    v.wait_log(r'^\{.*"level":"info".*\}$')


# --- drain ---

def begin_request(port):
    """A request whose body is still to come: it keeps the process busy."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(10 * SLOWNESS)
    s.sendall(b"POST /actuator/loggers/ROOT HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
    return s


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it closed while this connection was being made
        return False


def wait_active(v, n):
    wait_for(lambda: value(v.port, "vine.server.exchanges") == n + 1, "the request to be seen")


def test_drain_finishes_what_has_begun(vine):
    v = vine("gateway", config=ALONE)
    s = begin_request(v.port)
    wait_active(v, 1)
    v.signal(signal.SIGTERM)
    wait_for(lambda: refuses(v.port), "the listener to close")
    assert v.alive()
    s.sendall(b"}")
    answer = b""
    while True:
        piece = s.recv(4096)
        if not piece:
            break
        answer += piece
    assert answer.startswith(b"HTTP/1.1 204 ") and b"connection: close" in answer.lower()
    assert v.wait() == 0


def test_drain_closes_idle_connections_at_once(vine):
    v = vine("gateway", config=ALONE)
    with socket.create_connection(("127.0.0.1", v.port)) as s:
        s.sendall(b"GET /actuator/info HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert s.recv(10)
        began = time.monotonic()
        v.stop()
        assert time.monotonic() - began < 5 * SLOWNESS


def test_half_a_head_does_not_hold_up_the_end(vine, upstream, connect):
    """A head that has begun gets a moment, not the whole limit of a head, which is long here."""
    v = vine("gateway", "--vine.http.head-timeout-ms=600000", config=simple(upstream()))
    c, late = connect(v), connect(v)
    for each in (c, late):
        each.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        each.drain_window()
    v.signal(signal.SIGTERM)
    v.wait_log("draining")
    c.send(b"\r\n")  # in time: it is answered
    assert c.read_response().status == 200
    r = late.read_response()
    assert (r.status, r.get("connection")) == (408, "close")
    late.close()
    assert v.wait() == 0


def test_drain_ends_at_its_deadline(vine):
    v = vine("gateway", "--spring.lifecycle.timeout-per-shutdown-phase=300ms", config=ALONE)
    with begin_request(v.port):
        wait_active(v, 1)
        v.signal(signal.SIGTERM)
        assert v.wait() == 0
    v.wait_log("requests are cut off")


@pytest.mark.parametrize("props", [
    {}, {"zuul__ribbonIsolationStrategy": "THREAD", "hystrix__threadpool__RibbonCommand__coreSize": 2,
         "hystrix__threadpool__RibbonCommand__maxQueueSize": 10}], ids=["as they come", "from a pool"])
def test_requests_that_are_cut_off_are_still_accounted_for(vine, upstream, connect, props):
    """Under way, and where a pool has a queue, in that; each on a connection of its own, so on any of the workers."""
    up = upstream(stall)
    v = vine("gateway", config=simple(up, **{"spring__lifecycle__timeout-per-shutdown-phase": 0, "vine__workers": 2}, **props))
    clients = [connect(v) for _ in range(8)]
    for c in clients:
        c.send(request_bytes("GET", "/x"))
    up.wait_requests(2 if props else 8)
    wait_active(v, 8)
    v.stop()
    assert len(re.findall(r"path=/x .* aborted=true", v.logs())) == 8


def test_second_signal_does_not_wait(vine):
    v = vine("gateway", config=ALONE)
    with begin_request(v.port):
        wait_active(v, 1)
        v.signal(signal.SIGTERM)
        v.wait_log("draining")

        def again():
            if v.alive():
                v.signal(signal.SIGTERM)  # a repetition within 300 ms is taken for the same one
            return not v.alive()
        wait_for(again, "the end")
        assert v.wait() == 0


def test_sigint_drains_too(vine):
    v = vine("gateway", config=ALONE)
    v.signal(signal.SIGINT)
    assert v.wait() == 0


# --- reload ---

def level(v):
    return get(v.port, "/actuator/loggers/ROOT")["effectiveLevel"]


def rewrite(v, text):
    """As editors and config maps do it: a new file in the place of the old."""
    new = v.config.with_suffix(".new")
    new.write_text(text)
    os.replace(new, v.config)


def test_a_changed_file_is_read_again(vine):
    v = vine("gateway", config=ALONE)
    assert level(v) == "INFO"
    rewrite(v, ALONE + "logging.level.root: warn\n")
    wait_for(lambda: level(v) == "WARN", "the new level")
    assert value(v.port, "vine.config.reloads", "result:accepted") == 1
    rewrite(v, ALONE)
    wait_for(lambda: level(v) == "INFO", "the level to go back")


def test_sighup_reads_it_too(vine):
    v = vine("gateway", config=ALONE)
    v.signal(signal.SIGHUP)
    wait_for(lambda: value(v.port, "vine.config.reloads", "result:accepted") == 1, "the reload")


def test_an_invalid_change_changes_nothing_and_is_seen(vine):
    v = vine("gateway", config=ALONE + "logging.level.root: warn\n")
    rewrite(v, ALONE + "logging.level.root: error\nzuul.prefx: /x\n")
    wait_for(lambda: value(v.port, "vine.config.invalid") == 1, "the refusal")
    assert level(v) == "WARN"
    part = get(v.port, "/actuator/health/configuration")
    assert part["details"]["accepted"] is False and "zuul.prefx" in part["details"]["error"]
    assert get(v.port, "/actuator/health")["status"] == "UP"
    assert value(v.port, "vine.config.reloads", "result:refused") == 1
    v.wait_log("zuul.prefx")
    rewrite(v, ALONE + "logging.level.root: error\n")
    wait_for(lambda: level(v) == "ERROR", "the mended file")
    assert value(v.port, "vine.config.invalid") == 0
    assert get(v.port, "/actuator/health/configuration")["status"] == "UP"


def test_a_file_that_vanishes_changes_nothing(vine):
    v = vine("gateway", config=ALONE + "logging.level.root: warn\n")
    v.config.unlink()
    wait_for(lambda: value(v.port, "vine.config.invalid") == 1, "the refusal")
    assert level(v) == "WARN"
    v.config.write_text(ALONE)
    wait_for(lambda: value(v.port, "vine.config.invalid") == 0, "the file to be taken")


def test_credentials_change_while_running(vine):
    foreign = {"X_Forwarded_For": "203.0.113.9"}
    creds = "vine.management.user: admin\nvine.management.password: "
    v = vine("gateway", config=ALONE + creds + "old\n")
    assert call(v.port, "/actuator/env", user="admin:old", **foreign)[0] == 200
    rewrite(v, ALONE + creds + "new\n")
    wait_for(lambda: call(v.port, "/actuator/env", user="admin:new", **foreign)[0] == 200, "the new password")
    assert call(v.port, "/actuator/env", user="admin:old", **foreign)[0] == 401


@pytest.mark.parametrize("role", ["gateway", "registry"])
def test_an_idle_process_costs_next_to_nothing(vine, role):
    v = vine(role, config=ALONE)

    def rests():
        before = v.cpu()
        end = time.monotonic() + 2
        while time.monotonic() < end:  # what is measured is that nothing happens
            time.sleep(0.1)
        return v.cpu() - before < 0.05 * SLOWNESS

    wait_for(rests, "two seconds of rest")  # what the start has left to do may fall into the first
