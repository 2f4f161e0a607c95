"""libvine from outside: a C service, compiled against its public headers alone, between a scripted registry and upstreams."""
import json
import pathlib
import re
import signal
import subprocess
import threading

import pytest

import peers
from eureka_double import EurekaDouble
from libvine import BUILD, SHARED, WIDE, Service, binary, compile_service, service  # noqa: F401 (fixtures)
from manage import call, get
from names import dns, names  # noqa: F401 (a fixture)
from peers import ok, reply, serve
from vine import SLOWNESS, Vine, wait_for

STRATEGY = "hystrix.command.default.execution.isolation.strategy"
TIMEOUT = "hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds"


def ask(c, **query):
    """What a vine_call in the service gave."""
    target = "/call?" + "&".join(f"{k}={v}" for k, v in query.items())
    answer = c.get(target)
    assert answer.status == 200, answer
    return json.loads(answer.body)


# --- serving ---


def test_a_handler_sees_the_request(service, connect):
    c = connect(service())
    answer = c.get("/hello/a%20b?x=1&q=c%2Bd+e", "User-Agent: me", "X-Vine-Timeout-Ms: 5000")
    assert answer.status == 200 and answer.get("content-type") == "application/json" and answer.get("x-extra") == "yes"
    said = json.loads(answer.body)
    assert (said["name"], said["q"], said["agent"]) == ("a b", "c+d e", "me")
    assert 4000 < said["left"] <= 5000
    assert json.loads(c.get("/hello/x").body)["left"] == -1
    for query in ("q", "q&x=1", "x=1&q", "q=", "&&q"):
        assert json.loads(c.get(f"/hello/x?{query}").body)["q"] == "", query


@pytest.mark.parametrize("method, target, body, status", [
    ("POST", "/echo", b"a\0b", 201), ("PUT", "/echo", b"", 201), ("GET", "/echo", None, 405), ("GET", "/none", None, 404),
    ("GET", "/silent", None, 500), ("GET", "/hello/a%00b", None, 400), ("POST", "/echo", b"x" * 2000, 413)])
def test_what_comes_back(service, connect, method, target, body, status):
    answer = connect(service({"vine.http.max-body-bytes": 1000})).request(method, target, ["Content-Type: a/b"], body)
    assert answer.status == status
    if status == 201:
        assert answer.body == body and answer.get("content-type") == "a/b"


def test_health_is_served_beside_the_routes(service, connect):
    c = connect(service())
    assert json.loads(c.get("/actuator/health").body)["status"] == "UP"
    assert json.loads(c.get("/actuator/health/readiness").body) == {"status": "UP"}
    assert c.get("/actuator/health/nix").status == 404
    assert json.loads(c.get("/actuator/info").body)["app"]["name"] == "tester"


def test_handlers_that_block_leave_the_rest_alone(service, connect):
    s = service({"server.tomcat.threads.max": 2, "server.tomcat.accept-count": 1})
    busy = [connect(s) for _ in range(3)]
    for n, c in enumerate(busy[:2]):
        c.send(peers.request_bytes("GET", f"/slow?ms={3000 if SLOWNESS == 1 else 8000}"))
        wait_for(lambda k=n: stuck(s) > k, "a handler that sleeps")
    other = connect(s)
    busy[2].send(peers.request_bytes("GET", "/slow?ms=0"))  # waits in the queue
    wait_for(lambda: other.get("/slow?ms=0").status == 503, "a full queue")  # and then nobody else may
    assert other.get("/actuator/health").status == 200  # the loop is free
    assert [c.read_response().body for c in busy] == [b"at last"] * 3


def stuck(s):
    """How many slow handlers have begun."""
    return s.logs().count("slow began")


def test_a_client_that_goes_away_takes_nothing_with_it(service, connect):
    s = service()
    for _ in range(5):
        c = connect(s)
        c.send(peers.request_bytes("GET", "/slow?ms=100"))
        c.reset()
    assert connect(s).get("/slow?ms=150").body == b"at last"


def test_bad_configuration_is_one_line(service, binary, tmp_path):
    cases = [(["--server.port=x"], "server.port"), (["nonsense"], "nonsense"), (["--eureka.instance.hostnam=a"], "hostname"),
             (["-c", "/nowhere.yml"], "/nowhere.yml"), (["--server.address=nowhere"], "server.address"),
             (["--spring.application.name=a b"], "spring.application.name")]
    for args, word in cases:
        run = subprocess.run([binary, *args], cwd=tmp_path, capture_output=True, text=True, timeout=10 * SLOWNESS, check=False)
        assert run.returncode == 1 and run.stdout == "", (args, run)
        assert run.stderr.startswith("tester: ") and run.stderr.count("\n") == 1 and word in run.stderr, run.stderr


def test_a_port_in_use_is_one_line(binary, service, tmp_path):
    s = service()
    run = subprocess.run([binary, f"--server.port={s.port}", "--server.address=127.0.0.1", "--eureka.client.enabled=false"], cwd=tmp_path,
                         capture_output=True, text=True, timeout=10 * SLOWNESS, check=False)
    assert run.returncode == 1
    assert run.stderr == f"tester: cannot listen on 127.0.0.1:{s.port}: Address already in use\n"


def test_it_links_statically_too(tmp_path, connect):
    described = (BUILD / "meson-private/vine.pc").read_text()  # what pkg-config --static would add
    private = re.search(r"^Libs\.private: (.*)$", described, re.M).group(1).split()
    s = Service(tmp_path, compile_service(tmp_path, ["src/client/libvine.a", *private]))
    assert json.loads(connect(s).get("/hello/you").body)["name"] == "you"
    s.stop()


# --- the registry ---


def registered(eureka, **more):
    return {"spring.application.name": "orders", "eureka.client.enabled": "true", "eureka.client.service-url.defaultZone": eureka.url,
            "eureka.client.registry-fetch-interval-seconds": "100ms", "eureka.instance.lease-renewal-interval-in-seconds": 1,
            "eureka.instance.lease-expiration-duration-in-seconds": 3, **{k.replace("__", "."): v for k, v in more.items()}}


def test_it_registers_itself(service, upstream):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka, **{
        "eureka__instance__metadata-map__zone": "a", "eureka__instance__app-group-name": "shop",
        "eureka__instance__secure-virtual-host-name": "orders-tls"}))
    post = eureka.wait_seen("POST")[0]
    assert post.target == "/eureka/apps/ORDERS"
    me = json.loads(post.body)["instance"]
    assert me["instanceId"] == f"127.0.0.1:orders:{s.port}"
    assert (me["app"], me["vipAddress"], me["status"]) == ("ORDERS", "orders", "UP")
    assert (me["hostName"], me["ipAddr"], int(me["port"]["$"])) == ("127.0.0.1", "127.0.0.1", s.port)
    assert me["leaseInfo"]["renewalIntervalInSecs"] == 1 and me["leaseInfo"]["durationInSecs"] == 3
    assert me["healthCheckUrl"] == f"http://127.0.0.1:{s.port}/actuator/health"
    assert me["metadata"]["zone"] == "a"
    assert (me["appGroupName"], me["secureVipAddress"]) == ("SHOP", "orders-tls")


def test_it_keeps_its_lease_and_takes_it_again(service, upstream):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka))
    put = eureka.wait_seen("PUT")[0]
    assert put.target.split("?")[0].replace("%3A", ":") == f"/eureka/apps/ORDERS/127.0.0.1:orders:{s.port}"
    eureka.forget()  # as a registry that was started again
    eureka.wait_seen("POST", 2)
    wait_for(lambda: list(eureka.registered) == [f"127.0.0.1:orders:{s.port}"], "the same instance to be there again")


def statuses(eureka):
    return [json.loads(r.body)["instance"]["status"] for r in eureka.seen("POST")]


def test_its_own_health_is_what_it_tells(service, upstream, connect):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka, eureka__client__healthcheck__enabled="true"))
    c = connect(s)
    eureka.wait_seen("POST")
    assert json.loads(c.get("/actuator/health").body) == {"status": "UP", "groups": ["liveness", "readiness"]}
    assert c.get("/ail?part=db&is=3&why=no+disk").status == 200
    eureka.up.wait(lambda: statuses(eureka) == ["UP", "DOWN"], "the registry to be told at once")
    answer = c.get("/actuator/health")  # by another name than that of this machine: not for strangers
    assert (answer.status, json.loads(answer.body)) == (503, {"status": "DOWN", "groups": ["liveness", "readiness"]})
    whole = call(s.port, "/actuator/health")
    assert (whole[0], whole[2]["components"]) == (503, {"db": {"status": "DOWN", "details": {"why": "no disk"}}})
    assert c.get("/actuator/health/readiness").status == 200, "as in Spring Boot, a part is not among what readiness asks"
    assert c.get("/ail?part=db&is=1").status == 200
    eureka.up.wait(lambda: statuses(eureka) == ["UP", "DOWN", "UP"], "two changes at once are told at once")
    c.get("/ail?part=db&is=2")  # the third waits: four a minute
    posts = len(eureka.seen("POST"))
    assert get(s.port, "/actuator/eureka")["registration"]["status"] == "DOWN", "OUT_OF_SERVICE of a part is DOWN for others"
    eureka.up.wait(lambda: statuses(eureka)[posts:] in (["DOWN"], []), "no more than one word about it")
    for i in range(31):
        assert c.get(f"/ail?part=p{i}&is=1").status == 200
    assert c.get("/ail?part=more&is=1").status == 507 and c.get(f"/ail?part={'x' * 64}&is=1").status == 507


def test_changes_that_wait_for_the_next_look(service, upstream, connect):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka, eureka__client__healthcheck__enabled="true", eureka__client__on_demand_update_status_change="false",
                           eureka__client__initial_instance_info_replication_interval_seconds=1,
                           eureka__client__instance_info_replication_interval_seconds=1,
                           eureka__instance__lease_renewal_interval_in_seconds=3600))
    eureka.wait_seen("POST")
    connect(s).get("/ail?part=db&is=3")
    assert get(s.port, "/actuator/eureka")["registration"]["dirty"]
    eureka.up.wait(lambda: statuses(eureka) == ["UP", "DOWN"], "the look")


def test_without_being_asked_health_is_its_own_affair(service, upstream, connect):
    eureka = EurekaDouble(upstream)
    c = connect(service(registered(eureka)))
    c.get("/ail?part=db&is=3")
    assert c.get("/actuator/health").status == 503
    eureka.wait_seen("PUT", 2)
    assert statuses(eureka) == ["UP"]


def test_an_operator_takes_a_service_out_and_back(service, vine, connect):
    r = vine("registry", "--server.port=0", "--server.address=127.0.0.1")
    s = service({"spring.application.name": "orders", "eureka.client.enabled": "true",
                 "eureka.client.service-url.defaultZone": f"http://127.0.0.1:{r.port}/eureka/",
                 "eureka.client.registry-fetch-interval-seconds": "50ms"})
    ours = lambda: get(s.port, "/actuator/serviceregistry")
    post = lambda body: call(s.port, "/actuator/serviceregistry", "POST", body)[0]
    wait_for(lambda: get(s.port, "/actuator/eureka")["registration"]["remoteStatus"] == "UP", "its place in the list")
    assert post('{"status":"OUT_OF_SERVICE"}') == 200
    assert ours() == {"status": "OUT_OF_SERVICE", "overriddenStatus": "OUT_OF_SERVICE"}
    assert post("cancel_override") == 200
    assert ours() == {"status": "UP", "overriddenStatus": "UNKNOWN"}
    assert post("nonsense") == 400
    assert connect(s).get("/actuator/serviceregistry").status in (401, 403), "not for strangers"


def test_a_first_registration_that_must_succeed(tmp_path, binary, upstream):
    eureka = EurekaDouble(upstream)
    eureka.script = lambda r: reply(401) if r.method == "POST" else None
    s = Service(tmp_path, binary, registered(eureka, eureka__client__should_enforce_registration_at_init="true"), ready=False)
    s.expect_code = 1
    assert s.wait() == 1
    s.stop()
    s.wait_log("should-enforce-registration-at-init is true: status 401: it wants other credentials")


def test_a_first_registration_that_must_succeed_where_dns_knows_no_registry(tmp_path, binary, upstream, names):
    more = dns(names({}), 8761, eureka__client__should_enforce_registration_at_init="true")
    s = Service(tmp_path, binary, {**registered(EurekaDouble(upstream)), **more}, ready=False)
    s.expect_code = 1
    assert s.wait() == 1
    s.stop()
    s.wait_log("should-enforce-registration-at-init is true: no TXT record of txt.home.shop.test")


def test_it_says_goodbye(service, upstream, connect):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka))
    eureka.wait_seen("POST")
    slow = connect(s)
    slow.send(peers.request_bytes("GET", "/slow?ms=300"))
    wait_for(lambda: stuck(s) >= 1, "a handler at work")
    assert s.stop() == 0
    delete = eureka.wait_seen("DELETE")[0]
    assert delete.target.replace("%3A", ":") == f"/eureka/apps/ORDERS/127.0.0.1:orders:{s.port}"
    assert not eureka.registered
    assert slow.read_response().body == b"at last"  # what ran was finished
    assert [r.method for r in eureka.up.requests][-1] in ("DELETE", "GET"), "nothing may register it again"


def test_asked_twice_it_ends_once(service, connect):
    s = service({"spring.lifecycle.timeout-per-shutdown-phase": "100ms"})
    connect(s).send(peers.request_bytes("GET", f"/slow?ms={1000 * SLOWNESS}"))
    wait_for(lambda: stuck(s) >= 1, "a handler at work")
    tasks = pathlib.Path(f"/proc/{s.pid}/task")
    running = len(list(tasks.iterdir()))
    s.signal(signal.SIGTERM)
    wait_for(lambda: len(list(tasks.iterdir())) < running, "the end of the loop's thread")  # the handler is waited for
    s.signal(signal.SIGTERM)
    s.signal(signal.SIGINT)
    assert s.wait() == 0


def test_signals_until_the_very_end_do_not_kill_it(service):
    for _ in range(5):
        s = service()
        while s.alive():
            s.signal(signal.SIGTERM)
        assert s.wait() == 0


def test_a_registry_that_is_gone_does_not_keep_it(service, upstream, connect):
    eureka = EurekaDouble(upstream)
    eureka.up.refuse()
    s = service(registered(eureka))
    assert connect(s).get("/hello/x").status == 200
    s.stop()


# --- calling ---


def test_a_long_list_of_servers_is_used_whole(service, upstream, connect):
    up = upstream(serve(ok(b"x")), host="0.0.0.0")
    servers = [f"127.0.{i // 200}.{1 + i % 200}:{up.port}" for i in range(300)]
    s = service({"up.ribbon.NFLoadBalancerRuleClassName": "com.netflix.loadbalancer.RoundRobinRule"}, servers={"up": servers})
    c = connect(s)
    for _ in servers:
        assert ask(c, service="up", path="/").get("body") == "x"
    assert {r.get("host") for r in up.requests} == set(servers)



def test_a_service_is_found_by_name(service, upstream, connect):
    up = upstream(serve(ok(b"found", "Content-Type: text/x")))
    eureka = EurekaDouble(upstream, {"product": [("127.0.0.1", up.port)]})
    c = connect(service(registered(eureka)))
    found = wait_for(lambda: (a := ask(c, service="product", path="/p/7%3Fa=1"))["code"] == 0 and a, "an answer")
    assert found == {"code": 0, "status": 200, "body": "found", "length": 5, "tries": 1, "cause": "none", "server": up.address, "type": "text/x"}
    assert up.requests[-1].target == "/p/7?a=1" and up.requests[-1].get("x-one") == "1" and up.requests[-1].get("host") == up.address


def test_the_list_follows_the_registry(service, upstream, connect):
    first, second = upstream(serve(ok(b"1"))), upstream(serve(ok(b"2")))
    eureka = EurekaDouble(upstream, {"product": [("127.0.0.1", first.port)]})
    c = connect(service(registered(eureka)))
    wait_for(lambda: ask(c, service="product", path="/").get("body") == "1", "the first")
    eureka.set({"product": [("127.0.0.1", second.port)]})
    wait_for(lambda: ask(c, service="product", path="/").get("body") == "2", "the second")
    eureka.set({})
    gone = wait_for(lambda: (a := ask(c, service="product", path="/"))["code"] < 0 and a, "none")
    assert gone["error"] == "product has no server"


def test_trace_and_deadline_go_along(service, upstream, connect):
    up = upstream(serve())
    c = connect(service({TIMEOUT: 5000}, servers={"up": [up]}))
    trace, span = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"
    c.get("/call?service=up&path=/", f"X-B3-TraceId: {trace}", f"X-B3-SpanId: {span}", "X-B3-Sampled: 1", "X-Vine-Timeout-Ms: 700")
    sent = up.requests[0]
    assert sent.get("x-b3-traceid") == trace and sent.get("x-b3-parentspanid") == span and sent.get("x-b3-sampled") == "1"
    assert sent.get("x-b3-spanid") not in (span, None)
    assert 0 < int(sent.get("x-vine-timeout-ms")) <= 700
    ask(c, service="up", path="/", alone=1)
    assert up.requests[1].get("x-b3-traceid") not in (trace, None) and 700 < int(up.requests[1].get("x-vine-timeout-ms")) <= 5000


def test_log_lines_carry_the_trace(service, connect):
    s = service()
    connect(s).get("/hello/you", "b3: 463ac35c9f6413ad-a2fb4a1d1a96d312-1")
    s.wait_log(r'info tester "hello said" trace=463ac35c9f6413ad span=a2fb4a1d1a96d312 to=you answer=42')


@pytest.mark.parametrize("script, query, want", [
    (serve(reply(404, b"nix")), {}, {"status": 404, "body": "nix", "cause": "none"}),
    (serve(reply(404, b"nix")), {"fallback": "spare"}, {"status": 404, "cause": "none"}),  # the caller's own mistake
    (serve(reply(503, b"no")), {}, {"code": -11}),
    (serve(reply(503, b"no")), {"fallback": "spare"}, {"status": 203, "body": "spare", "cause": "failure", "type": "text/plain"}),
    (serve(reply(503, b"no")), {"fallback": "fails"}, {"code": -11}),
    (peers.stall, {"timeout": 150}, {"code": -7}),
    (peers.stall, {"timeout": 150, "fallback": "spare"}, {"body": "spare", "cause": "timeout"}),
    (peers.reset_after_request, {"method": "POST", "body": "x", "fallback": "spare"}, {"body": "spare", "cause": "failure"}),
    (peers.then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), {}, {"code": -3}),
    (peers.then_close(b"nonsense\r\n\r\n"), {}, {"code": -11}),
    (serve(reply(200, b"x" * (8 << 20))), {"timeout": 9000}, {"status": 200, "length": 8 << 20}),
    (serve(reply(200, b"x" * ((8 << 20) + 1))), {"timeout": 9000}, {"code": -2}),
    (serve(reply(204)), {"method": "DELETE"}, {"status": 204, "body": ""}),
])
@pytest.mark.parametrize("isolation", ["SEMAPHORE", "THREAD"])
def test_how_a_call_can_end(service, upstream, connect, script, query, want, isolation):
    s = service({"hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": 10000, "ribbon.ReadTimeout": 10000,
                 "hystrix.command.default.execution.isolation.strategy": isolation}, servers={"up": [upstream(script)]})
    got = ask(connect(s), service="up", path="/", **query)
    assert {k: got.get(k) for k in want} == want, got


@pytest.mark.parametrize("properties, query, words", [
    ({}, {"fallback": "fails"}, "answered 503; its fallback failed"),
    ({"hystrix.command.up.fallback.enabled": "false"}, {"fallback": "spare"}, "answered 503; its fallback is disabled"),
    ({"hystrix.command.up.fallback.isolation.semaphore.maxConcurrentRequests": 0}, {"fallback": "spare"}, "503; its fallback was rejected"),
    ({}, {}, "answered 503"),
])
def test_the_error_tells_what_became_of_the_fallback(service, upstream, connect, properties, query, words):
    s = service(properties, servers={"up": [upstream(serve(reply(503, b"no")))]})
    assert ask(connect(s), service="up", path="/", **query)["error"].endswith(words)


def test_a_refused_connection_is_tried_elsewhere(service, upstream, connect):
    hole, port = peers.free_port()
    up = upstream(serve(ok(b"here")))
    with hole:
        c = connect(service(servers={"up": [f"127.0.0.1:{port}", up]}))
        answers = [ask(c, service="up", path="/", method="POST", body="b") for _ in range(12)]
    assert [a["body"] for a in answers] == ["here"] * 12
    assert sum(a["tries"] for a in answers) <= 13, "who refuses is left out from then on"


def test_what_was_sent_is_repeated_only_if_it_may_be(service, upstream, connect):
    bad, good = upstream(peers.reset_after_request), upstream(serve(ok(b"good")))
    s = service({"up.ribbon.NFLoadBalancerRuleClassName": "RoundRobinRule"}, servers={"up": [bad, good]})
    c = connect(s)
    gets = [ask(c, service="up", path="/") for _ in range(4)]
    assert [a["body"] for a in gets] == ["good"] * 4 and max(a["tries"] for a in gets) == 2
    posts = [ask(c, service="up", path="/", method="POST", body="b") for _ in range(4)]
    assert {a["code"] for a in posts} == {0, -3}
    assert len([r for r in bad.requests + good.requests if r.method == "POST"]) == 4, "no POST was sent twice"


def test_connections_are_kept_and_stale_ones_replaced(service, upstream, connect):
    up = upstream(peers.answer_once_then(peers.close_after_request), serve(ok(b"fresh")))
    c = connect(service(servers={"up": [up]}))
    assert ask(c, service="up", path="/")["body"] == "first"
    again = ask(c, service="up", path="/")
    assert (again["body"], again["tries"], up.connections) == ("fresh", 1, 2)
    assert ask(c, service="up", path="/")["body"] == "fresh" and up.connections == 2


def test_the_circuit_opens_and_one_trial_closes_it(service, upstream, connect):
    well = []
    up = upstream(serve(lambda r: ok(b"well") if well else reply(500, b"ill")))
    s = service({"hystrix.command.key.circuitBreaker.sleepWindowInMilliseconds": 1500 * SLOWNESS,
                 "hystrix.command.key.circuitBreaker.requestVolumeThreshold": 5,
                 "hystrix.command.key.metrics.healthSnapshot.intervalInMilliseconds": 100}, servers={"up": [up]})
    c = connect(s)
    how = dict(service="up", path="/", command="key", fallback="spare")
    wait_for(lambda: ask(c, **how)["cause"] == "short circuit", "the circuit to open")
    s.wait_log(r'warn tester "circuit opened" command=key')
    asked = len(up.requests)
    assert [ask(c, **how)["cause"] for _ in range(5)] == ["short circuit"] * 5 and len(up.requests) == asked
    assert ask(c, **{**how, "command": "other"})["cause"] == "failure"  # another key, another circuit
    well.append(True)
    assert wait_for(lambda: (a := ask(c, **how))["cause"] == "none" and a, "the trial")["body"] == "well"
    s.wait_log(r'info tester "circuit closed" command=key')
    assert ask(c, **how)["body"] == "well"
    event = next(e for e in stream(s) if e["name"] == "key")
    assert event["isCircuitBreakerOpen"] is False and event["rollingCountShortCircuited"] >= 5


def stream(s, path="/actuator/hystrix.stream"):
    """The events of the next tick of its stream."""
    c = peers.Client(s.port)
    c.send(peers.request_bytes("GET", path, host="127.0.0.1"))
    head = c.read_response(body=False)
    assert head.get("content-type") == "text/event-stream;charset=UTF-8"
    events, text = [], b""
    for piece in c.chunks(head):
        text += piece
        if b"ping:" in text:
            break
    for line in text.split(b"\n"):
        if line.startswith(b"data:"):
            events.append(json.loads(line[5:]))
    c.close()
    return events


def test_too_many_at_once_are_rejected(service, upstream, connect):
    up = upstream(peers.then_stall(b""))
    s = service({"hystrix.command.up.execution.isolation.semaphore.maxConcurrentRequests": 2,
                 "hystrix.command.up.execution.isolation.thread.timeoutInMilliseconds": 3000, "ribbon.ReadTimeout": 3000},
                servers={"up": [up]})
    held = [connect(s) for _ in range(2)]
    for c in held:
        c.send(peers.request_bytes("GET", "/call?service=up&path=/&fallback=spare&method=POST"))
    up.wait_requests(2)
    assert ask(connect(s), service="up", path="/", fallback="spare")["cause"] == "rejected"
    assert [json.loads(c.read_response().body)["cause"] for c in held] == ["timeout"] * 2


def test_a_call_on_a_thread_of_a_pool(service, upstream, connect):
    """Two commands share a pool of one thread and a queue of one; at the timeout the I/O in flight is ended."""
    up = upstream(peers.stall)
    s = service({"hystrix.command.default.execution.isolation.strategy": "THREAD",
                 "hystrix.command.a.threadPoolKeyOverride": "both", "hystrix.command.b.threadPoolKeyOverride": "both",
                 "hystrix.threadpool.both.coreSize": 1, "hystrix.threadpool.both.maxQueueSize": 1,
                 "hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": max(4000, 2000 * SLOWNESS),
                 "ribbon.ReadTimeout": 60000, "ribbon.MaxAutoRetriesNextServer": 0, "logging.level.vine": "debug"},
                servers={"up": [up]})
    running, waiting = connect(s), connect(s)
    running.send(peers.request_bytes("GET", "/call?service=up&path=/&command=a&fallback=spare"))
    up.wait_requests(1)
    waiting.send(peers.request_bytes("GET", "/call?service=up&path=/&command=b&fallback=spare"))
    # Who asks before would take the place in the queue.
    wait_for(lambda: any(e["name"] == "both" and e["currentQueueSize"] == 1 for e in stream(s)), "the second to wait")
    c = connect(s)
    refused = ask(c, service="up", path="/", command="a")
    assert refused["code"] == -10
    assert refused["error"] == "the thread pool both of a is full"
    assert ask(c, service="up", path="/", command="b", fallback="spare")["cause"] == "rejected"
    assert [json.loads(w.read_response().body)["cause"] for w in (running, waiting)] == ["timeout"] * 2
    up.wait_open(0)
    assert len(up.requests) <= 2, "what waited until its time was over was not sent"
    event = next(e for e in stream(s) if e["name"] == "a")
    assert event["propertyValue_executionIsolationStrategy"] == "THREAD" and event["rollingCountThreadPoolRejected"] >= 1
    s.wait_log(r'debug tester "commands of a request" ran="a\[TIMEOUT, FALLBACK_SUCCESS\]')


def test_the_trace_crosses_to_the_pools_thread(service, upstream, connect):
    up = upstream(serve(ok(b"fine")))
    s = service({"hystrix.command.default.execution.isolation.strategy": "THREAD"}, servers={"up": [up]})
    connect(s).get("/call?service=up&path=/", "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124", "X-B3-SpanId: a2fb4a1d1a96d312",
                   "X-B3-Sampled: 1", "X-Vine-Timeout-Ms: 900")
    seen = up.requests[0]
    assert seen.get("x-b3-traceid") == "463ac35c9f6413ad48485a3953bb6124" and 0 < int(seen.get("x-vine-timeout-ms")) <= 900


def test_nonsense_in_hystrix_properties_stops_the_start(service):
    s = service({"hystrix.threadpool.x.metrics.rollingStats.numBuckets": 7}, ready=False)
    assert s.wait() == 1
    s.expect_code = 1
    s.wait_log(r"hystrix\.threadpool\.x\.metrics\.rollingStats\.timeInMilliseconds: 10000 ms do not divide into 7 buckets")


def test_no_time_left_is_nobodys_failure(service, upstream, connect):
    up = upstream(serve())
    s = service(servers={"up": [up]})
    c = connect(s)
    late = json.loads(c.get("/call?service=up&path=/", "X-Vine-Timeout-Ms: 0").body)
    assert late["code"] == -7 and not up.requests
    assert next(e for e in stream(s) if e["name"] == "up")["requestCount"] == 0


@pytest.mark.parametrize("query", [{"service": "up"}, {"path": "/"}, {"service": "up", "path": "nix"}, {"service": "up", "path": "/a%20b"},
                                   {"service": "up", "path": "/%0d%0aX:y"}, {"service": "up", "path": "/", "method": "A%20B"}])
def test_malformed_calls_are_refused(service, upstream, connect, query):
    up = upstream(serve())
    assert ask(connect(service(servers={"up": [up]})), **query)["code"] == -1
    assert not up.requests


def test_the_stream_is_for_this_machine(service, connect):
    s = service()
    assert connect(s).get("/hystrix.stream", "X-Forwarded-For: 10.1.1.1").status == 403
    readers = [connect(s) for _ in range(5)]
    for c in readers:
        c.send(peers.request_bytes("GET", "/hystrix.stream", host="127.0.0.1"))
        assert c.read_response(body=False).status == 200
    assert sixth(s) == 503
    readers[0].close()
    wait_for(lambda: sixth(s) == 200, "a free place")
    s.stop()  # readers do not hold it up
    readers[1].rest()


def sixth(s):
    c = peers.Client(s.port)
    c.send(peers.request_bytes("GET", "/hystrix.stream", host="127.0.0.1"))
    status = c.read_response(body=False).status
    c.close()
    return status


def test_it_can_live_in_a_program_of_its_own(service, upstream):
    up = upstream(serve())
    s = service({"test.embedded": "yes"}, servers={"own": [up]}, stdin=subprocess.PIPE)
    up.wait_requests(20)
    s.process.stdin.close()  # the end, while another thread is calling
    assert s.wait() == 0


# --- balancing ---


def test_a_rule_of_the_programs_own(service, upstream, connect):
    busy = set()
    made = [upstream(serve(lambda r, i=i: reply(503, b"") if i in busy else ok("x"))) for i in range(3)]
    ups = sorted(made, key=lambda u: u.port)
    c = connect(service({"test.rule": "highest", "mine.ribbon.NFLoadBalancerRuleClassName": "random",
                         "mine.ribbon.retryableStatusCodes": 503}, {"mine": ups, "other": ups[:2]}))
    assert {ask(c, service="mine", path="/")["server"] for _ in range(10)} == {ups[2].address}  # it stands before what is configured
    assert {ask(c, service="other", path="/")["server"] for _ in range(20)} == {u.address for u in ups[:2]}  # and is for one service
    busy.add(made.index(ups[2]))
    answer = ask(c, service="mine", path="/")  # a retry does not see the server that was tried
    assert (answer["server"], answer["tries"]) == (ups[1].address, 2)


def test_a_rule_that_chooses_a_stranger_is_an_error_of_the_call(service, upstream, connect):
    c = connect(service({"test.rule": "outside"}, {"mine": [upstream(serve(ok("a")))]}))
    for _ in range(3):
        answer = ask(c, service="mine", path="/")
        assert answer["code"] == -10 and answer["error"] == "mine: rule 'by port' named a server that is not in the list"


def test_a_table_without_its_function_is_refused(binary, tmp_path):
    (tmp_path / "vine.yml").write_text("test.rule: broken\nserver.port: 0\n")
    done = subprocess.run([str(binary)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20 * SLOWNESS)
    assert done.returncode == 1
    assert "tester: by port: a rule needs the function choose" in done.stderr


@pytest.mark.parametrize("rule, isolation", [("ring-hash", "SEMAPHORE"), ("maglev", "SEMAPHORE"), ("maglev", "THREAD")])
def test_calls_stick_by_key(rule, isolation, service, upstream, connect):
    ups = [upstream(serve(ok("x"))) for _ in range(4)]
    c, met = connect(service({"up.ribbon.NFLoadBalancerRuleClassName": rule, STRATEGY: isolation}, {"up": ups})), {}
    for _ in range(3):
        for k in range(80):
            server = ask(c, service="up", path="/", stick=f"k{k}")["server"]
            assert met.setdefault(k, server) == server
    assert len(set(met.values())) >= 3  # of four: two only are less likely than 1 in 10^15


def test_a_ping_keeps_calls_from_a_sick_server(service, upstream, connect):
    sick = upstream(serve(lambda r: reply(503, b"") if r.target == "/health" else ok("sick")))
    well = upstream(serve(ok("well")))
    c = connect(service({"up.ribbon.NFLoadBalancerPingClassName": "url", "up.ribbon.NFLoadBalancerPingInterval": "1s",
                         "vine.loadbalancer.up.ping.path": "/health", "up.ribbon.NFLoadBalancerRuleClassName": "round-robin"},
                        {"up": [sick, well]}))
    ask(c, service="up", path="/")
    wait_for(lambda: any(r.target == "/health" for r in sick.requests), "a ping")
    wait_for(lambda: {ask(c, service="up", path="/")["body"] for _ in range(4)} == {"well"}, "the sick one to be left out")


def test_time_outs_that_cannot_fit_stop_the_service(binary, tmp_path):
    (tmp_path / "vine.yml").write_text("server.port: 0\nup.ribbon.ReadTimeout: 2000\n"
                                       "hystrix.command.up.execution.isolation.thread.timeoutInMilliseconds: 5000\n")
    done = subprocess.run([str(binary)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20 * SLOWNESS)
    assert done.returncode == 1
    assert "(ConnectTimeout 1000 + ReadTimeout 2000) * (MaxAutoRetries 0 + 1) * (MaxAutoRetriesNextServer 1 + 1) = 6000 ms" in done.stderr


HEDGED = {"vine.loadbalancer.up.hedge.delay-ms": 30, "up.ribbon.NFLoadBalancerRuleClassName": "round-robin",
          "up.ribbon.MaxAutoRetriesNextServer": 0}


@pytest.mark.parametrize("isolation", ["SEMAPHORE", "THREAD"])
@pytest.mark.parametrize("first", ["hangs", "fails late", "answers late"])
def test_a_hedge_beside_a_call(first, isolation, service, upstream, connect):
    go = threading.Event()

    def slow(p):
        p.next_request()
        go.wait(20)
        if first == "answers late":
            threading.Event().wait(0.2)  # the error is there before it
        if first == "fails late":
            p.reset()
        p.send(ok("slow"))

    def quick(p):
        p.next_request()
        if first == "fails late":
            go.set()
        p.send(reply(500, b"") if first == "answers late" else ok("quick"))
        if first == "answers late":
            go.set()

    late, soon = upstream(slow), upstream(quick)
    c = connect(service({**HEDGED, TIMEOUT: 20000, "ribbon.ReadTimeout": 20000, STRATEGY: isolation}, {"up": [soon, late]}))
    answer = ask(c, service="up", path="/")
    want = late if first == "answers late" else soon  # an error is not an answer while the other may still give one
    assert (answer["server"], answer["tries"], answer["code"]) == (want.address, 2, 0)
    go.set()


@pytest.mark.parametrize("isolation", ["SEMAPHORE", "THREAD"])
def test_the_timeout_ends_both_sendings(isolation, service, upstream, connect):
    """In THREAD isolation the caller is gone then: what the two work on must not be its."""
    ups = [upstream(peers.stall), upstream(peers.stall)]
    s = service({**HEDGED, TIMEOUT: 1500 * SLOWNESS, "ribbon.ReadTimeout": 60000, STRATEGY: isolation}, {"up": ups})
    c = connect(s)
    assert ask(c, service="up", path="/", fallback="spare")["cause"] == "timeout"
    for up in ups:
        up.wait_requests(1)
        up.wait_open(0)
    assert [len(up.requests) for up in ups] == [1, 1]
    assert ask(c, service="up", path="/")["code"] == -7, "it goes on calling"


# --- the configuration, read again ---


def rewrite(s, properties, servers=None):
    """Other properties in the service's file, put in its place at once."""
    lines = {"server.port": 0, "server.address": "127.0.0.1", "eureka.client.enabled": "false", **WIDE, **properties}
    for name, where in (servers or {}).items():
        lines[f"{name}.ribbon.listOfServers"] = ",".join(up.address for up in where)
    new = s.config.with_suffix(".new")
    new.write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in lines.items()))
    new.rename(s.config)


def command(s, name):
    return next(e for e in stream(s) if e["type"] == "HystrixCommand" and e["name"] == name)


@pytest.mark.parametrize("how", ["file", "SIGHUP"])
def test_a_changed_file_holds_from_the_next_call_on(service, upstream, connect, how):
    first, second = upstream(serve(ok(b"1"))), upstream(serve(ok(b"2")))
    s = service({"test.word": "old"}, servers={"up": [first]})
    c = connect(s)
    assert ask(c, service="up", path="/")["body"] == "1" and c.get("/property?key=test.word").body == b"old"
    rewrite(s, {"test.word": "new", "logging.level.vine": "debug", "hystrix.command.up.circuitBreaker.requestVolumeThreshold": 7,
                "hystrix.command.default.execution.isolation.strategy": "THREAD", "hystrix.threadpool.up.coreSize": 3}, {"up": [second]})
    if how == "SIGHUP":
        s.signal(signal.SIGHUP)
    s.wait_log(r'info tester "configuration reloaded"')
    assert ask(c, service="up", path="/")["body"] == "2" and c.get("/property?key=test.word").body == b"new"
    event = command(s, "up")
    assert event["propertyValue_circuitBreakerRequestVolumeThreshold"] == 7
    assert event["propertyValue_executionIsolationStrategy"] == "THREAD"
    assert next(e for e in stream(s) if e["type"] == "HystrixThreadPool" and e["name"] == "up")["currentCorePoolSize"] == 3
    s.wait_log(r'debug tester "commands of a request"')
    rewrite(s, {"hystrix.command.up.circuitBreaker.forceOpen": "true", "hystrix.threadpool.up.coreSize": 5,
                "hystrix.command.default.execution.isolation.strategy": "THREAD"}, {"up": [second]})
    wait_for(lambda: ask(c, service="up", path="/", fallback="spare")["cause"] == "short circuit", "the circuit to be forced open")
    assert next(e for e in stream(s) if e["type"] == "HystrixThreadPool" and e["name"] == "up")["currentCorePoolSize"] == 5
    assert c.get("/property?key=test.word").status == 404


def test_what_a_changed_file_says_of_the_instance_and_its_registries_is_told(service, upstream):
    one, two = EurekaDouble(upstream), EurekaDouble(upstream)
    s = service(registered(one))
    one.wait_seen("POST")
    rewrite(s, {**registered(one), "eureka.instance.metadata-map.zone": "b"})
    wait_for(lambda: json.loads(one.wait_seen("POST")[-1].body)["instance"]["metadata"].get("zone") == "b", "the metadata at the registry")
    rewrite(s, {**registered(two), "eureka.instance.metadata-map.zone": "b"})
    two.wait_seen("PUT")
    s.stop()


def reloads(s):
    return s.logs().count("configuration reloaded")


def test_asked_once_it_reads_once(service):
    s = service({"test.word": "old"})
    s.signal(signal.SIGHUP)
    wait_for(lambda: reloads(s) >= 1, "what was asked for")
    rewrite(s, {"test.word": "new"})  # seen at the look that comes within a second
    wait_for(lambda: reloads(s) >= 2, "the changed file")
    assert reloads(s) == 2


@pytest.mark.parametrize("text", ["nonsense: [\n", None], ids=["wrong", "missing"])
def test_what_is_wrong_in_a_file_that_only_the_new_configuration_names_is_mended_there(service, text):
    s = service()
    other = s.config.with_name("other.yml")
    if text:
        other.write_text(text)
    rewrite(s, {"spring.config.import": "other.yml"})
    s.wait_log(r'stays in force" why=".*other.yml')
    other.write_text("test.word: mended\n")
    s.wait_log("configuration reloaded")


@pytest.mark.parametrize("wrong, words", [
    ({"eureka.client.service-url.defaultZone": "ftp://x/"}, "a URL starts with http:// or https://"),
    ({"eureka.client.service-url.defaultZone": "https://x/eureka/", "eureka.client.proxy-host": "p"}, "eureka.client.proxy-host"),
    ({"eureka.client.tls.enabled": "true", "eureka.client.tls.trust-store": "/nowhere.pem"}, "/nowhere.pem"),
], ids=["url", "proxy", "tls"])
def test_a_wrong_word_about_registries_is_refused_before_anything_changes(service, upstream, wrong, words):
    eureka = EurekaDouble(upstream)
    s = service(registered(eureka))
    eureka.wait_seen("PUT")
    rewrite(s, {**registered(eureka), "eureka.instance.metadata-map.zone": "b", **wrong})
    s.wait_log(r'error orders "configuration is not valid: the old one stays in force" why=".*' + re.escape(words))
    assert reloads(s) == 0 and "registries not changed" not in s.logs()
    eureka.wait_seen("PUT", len(eureka.seen("PUT")) + 1)
    assert len(eureka.seen("POST")) == 1, "its description has not changed either"
    s.stop()


@pytest.mark.parametrize("wrong, words", [
    ({"hystrix.command.up.circuitBreaker.requestVolumeThreshold": "many"}, "requestVolumeThreshold"),
    ({"hystrix.command.up.metrics.rollingStats.numBuckets": 7}, "do not divide into 7 buckets"),
    ({"up.ribbon.listOfServers": "nix:port"}, "up.ribbon.listOfServers: 'nix:port' is not host:port"),
    ({"vine.loadbalancer.up.hash-key": "nix"}, "vine.loadbalancer.up.hash-key = nix"),
    ({"server.port": "x"}, "server.port"),
    ({"vine.timeouts.must-fit": "true", "up.ribbon.ReadTimeout": 2000, "up.ribbon.ConnectTimeout": 1000, "hystrix.command.up.execution.isolation.thread.timeoutInMilliseconds": 5000},
     "6000 ms"),
])
def test_a_wrong_file_changes_nothing_and_is_said(service, upstream, connect, wrong, words):
    up = upstream(serve(ok(b"1")))
    s = service(servers={"up": [up]})
    c = connect(s)
    assert ask(c, service="up", path="/")["body"] == "1"
    rewrite(s, {"hystrix.command.up.circuitBreaker.forceOpen": "true", "up.ribbon.listOfServers": up.address, **wrong})
    s.wait_log(r'error tester "configuration is not valid: the old one stays in force" why=".*' + re.escape(words))
    assert ask(c, service="up", path="/")["body"] == "1" and command(s, "up")["propertyValue_circuitBreakerForceOpen"] is False
    s.config.unlink()
    s.config.write_text("nonsense: [\n")
    s.wait_log(r'stays in force" why=".*vine.yml')
    rewrite(s, {}, {"up": [up]})
    s.wait_log('configuration reloaded')
    assert ask(c, service="up", path="/")["body"] == "1"


def test_calls_go_on_while_the_configuration_changes(service, upstream, connect):
    ups = [upstream(serve(ok(b"x"))) for _ in range(2)]
    s = service({"test.embedded": "yes"}, servers={"own": ups[:1]}, stdin=subprocess.PIPE)
    ups[0].wait_requests(1)  # a command begins with its first call
    for i in range(12):
        rewrite(s, {"test.embedded": "yes", "hystrix.command.own.circuitBreaker.requestVolumeThreshold": 10 + i,
                    "hystrix.command.own.execution.isolation.strategy": ["SEMAPHORE", "THREAD"][i % 2],
                    "own.ribbon.NFLoadBalancerRuleClassName": ["ring-hash", "p2c", "zone-avoidance"][i % 3]}, {"own": ups[i % 2:]})
        s.process.stdin.write(b"r")  # which is vine_app_reload there
        s.process.stdin.flush()
        wait_for(lambda n=i: command(s, "own")["propertyValue_circuitBreakerRequestVolumeThreshold"] == 10 + n, "the change")
    assert command(s, "own")["errorCount"] == 0
    s.process.stdin.close()
    assert s.wait() == 0


# --- collapsers, and results that a request shares ---


def levels(r):
    """GET /many?ids=a,b: a line each; the warehouse of the example too."""
    ids = r.target.split("ids=")[1].split(",")
    return ok("".join(f"{i}=<{i}>\n" for i in ids if i not in ("unknown", "404")).encode())


def collapsers(s):
    return {e["name"]: e for e in stream(s) if e["type"] == "HystrixCollapser"}


@pytest.mark.parametrize("isolation", ["SEMAPHORE", "THREAD"])
def test_calls_of_a_request_leave_as_one(service, upstream, connect, isolation):
    up = upstream(serve(levels))
    s = service({STRATEGY: isolation, TIMEOUT: 5000 * SLOWNESS}, servers={"up": [up]})
    c = connect(s)
    assert c.get("/collapse?with=one&ids=a,b,a,unknown,refused").body == \
        b"<a> <b> <a> E-11:the batch of one had no answer for it E-9:not this one"
    assert [r.target for r in up.requests] == ["/many?ids=a,b,unknown,refused"]
    c.get("/collapse?with=one&ids=c")  # another request, another scope
    assert len(up.requests) == 2
    one = collapsers(s)["one"]
    assert (one["rollingCountRequestsBatched"], one["rollingCountBatches"], one["rollingCountResponsesFromCache"]) == (5, 2, 1)
    assert one["batchSize"]["100"] == 4 and one["propertyValue_maxRequestsInBatch"] == 2147483647
    assert one["propertyValue_timerDelayInMilliseconds"] == 10 and one["propertyValue_requestCacheEnabled"] is True
    batch = command(s, "one")
    assert (batch["rollingCountCollapsedRequests"], batch["rollingCountSuccess"], batch["group"]) == (5, 2, "one")


def test_calls_of_many_requests_meet_in_the_global_scope(service, upstream, connect):
    up = upstream(serve(levels))
    s = service({"hystrix.collapser.all.timerDelayInMilliseconds": 2000, "hystrix.collapser.all.maxRequestsInBatch": 6},
                servers={"up": [up]})
    all_of_them = [connect(s) for _ in range(6)]
    for i, c in enumerate(all_of_them):
        c.send(peers.request_bytes("GET", f"/collapse?with=all&ids=n{i}"))
    assert [c.read_response().body for c in all_of_them] == [f"<n{i}>".encode() for i in range(6)]
    assert len(up.requests) <= 2
    assert command(s, "batch")["group"] == "g"


def test_a_full_batch_leaves_at_once_and_shards_side_by_side(service, upstream, connect):
    up = upstream(serve(levels))
    s = service({"hystrix.collapser.default.timerDelayInMilliseconds": 60000, "hystrix.collapser.default.maxRequestsInBatch": 2},
                servers={"up": [up]})
    c = connect(s)
    assert c.get("/collapse?with=one&ids=a,b,c,d").body == b"<a> <b> <c> <d>"
    assert [r.target for r in up.requests] == ["/many?ids=a,b", "/many?ids=c,d"]
    rewrite(s, {"hystrix.collapser.parted.maxRequestsInBatch": 4}, {"up": [up]})  # live
    s.wait_log("configuration reloaded")
    assert c.get("/collapse?with=parted&ids=a,b,e,f").body == b"<a> <b> <e> <f>"
    assert sorted(r.target for r in up.requests[2:]) == ["/many?ids=a,e", "/many?ids=b,f"]


@pytest.mark.parametrize("ids, answer", [("mistake,b", "E-1:a mistake of the caller's E-1:a mistake of the caller's"),
                                         ("x" * 300, "<" + "x" * 300 + ">"), ("", "<>")])
def test_what_a_batch_can_come_to(service, upstream, connect, ids, answer):
    s = service(servers={"up": [upstream(serve(levels))]})
    assert connect(s).get(f"/collapse?with=one&ids={ids}").body.decode() == answer
    assert command(s, "one")["errorCount"] == 0


def test_a_batch_that_fails_is_every_calls_failure(service, upstream, connect):
    up = upstream(serve(reply(503, b"no")))
    s = service({"hystrix.command.one.circuitBreaker.requestVolumeThreshold": 1, "ribbon.MaxAutoRetriesNextServer": 0}, servers={"up": [up]})
    c = connect(s)
    both = c.get("/collapse?with=one&ids=a,b").body.decode()
    assert both.count("E-11:up at") == 2 and both.count("answered 503") == 2
    assert c.get("/collapse?with=one&ids=a").body == b"E-10:the circuit one is open"
    assert c.get("/collapse?with=one&ids=a&alone=1").body == b"E-1:one gathers within a request, and there is none"
    assert c.get("/collapse?with=one&ids=a,b&drop=1").body == b"- -"


def test_a_batch_that_is_timed_out_frees_its_callers(service, upstream, connect):
    s = service({STRATEGY: "THREAD", "hystrix.command.one.execution.isolation.thread.timeoutInMilliseconds": 200 * SLOWNESS,
                 "hystrix.command.up.execution.isolation.thread.timeoutInMilliseconds": 20000, "ribbon.ReadTimeout": 20000},
                servers={"up": [upstream(peers.stall)]})
    # Whichever notices first: the batch's command, or the call inside of it, which has the same deadline.
    assert re.fullmatch(rb"(E-7:(one|up( at [\d.:]+)?) did not answer in time ?){2}", connect(s).get("/collapse?with=one&ids=a,b").body)
    assert command(s, "one")["rollingCountTimeout"] == 1


@pytest.mark.parametrize("script, query, codes, bodies, asked", [
    (ok(b"1"), "", [0, 0], ["1", "1"], 1), (reply(503, b""), "", [-11, -11], ["", ""], 1),
    (reply(503, b""), "?fallback=1", [0, 0], ["spare", "spare"], 1),
    (ok(b"1"), "?clear=1", [0, 0], ["1", "1"], 2), (ok(b"1"), "?alone=1", [0, 0], ["1", "1"], 2),
    (ok(b"1"), "?command=uncached", [0, 0], ["1", "1"], 2)])
@pytest.mark.parametrize("isolation", ["SEMAPHORE", "THREAD"])
def test_a_request_shares_equal_calls(service, upstream, connect, script, query, codes, bodies, asked, isolation):
    up = upstream(serve(script))
    s = service({STRATEGY: isolation, "hystrix.command.uncached.requestCache.enabled": "false", "ribbon.MaxAutoRetriesNextServer": 0},
                servers={"up": [up]})
    said = json.loads(connect(s).get(f"/twice{query}").body)
    assert (said["codes"], said["bodies"]) == (codes, bodies) and len(up.requests) == asked
    assert said["same"] is (asked == 1 and codes[0] == 0)
    name = "uncached" if "command" in query else "up"
    assert command(s, name)["rollingCountResponsesFromCache"] == 2 - asked


def test_the_example_asks_the_warehouse_once(upstream, tmp_path, connect):
    up = upstream(serve(levels))
    s = Vine(tmp_path, "--server.port=0", "--server.address=127.0.0.1", "--eureka.client.enabled=false",
             f"--warehouse.ribbon.listOfServers={up.address}", binary=BUILD / "examples/collapser/stock")
    c = connect(s)
    assert c.get("/stock/7").body == b"<7>" and c.get("/stock/404").status == 404 and c.get("/stock/x").status == 400
    assert c.get("/stock?ids=7,9,404,9,x").body == b"<7>,<9>,?,<9>,?"
    assert up.requests[-1].target == "/levels?ids=7,9,404"  # another request: what 7 was before is none of its business
    assert collapsers(s)["stockById"]["rollingCountBatches"] == 3
    s.stop()


@pytest.mark.parametrize("prefix", ["", "/actuator"])
def test_the_sibling_streams(service, upstream, connect, prefix):
    s = service({"hystrix.command.up.circuitBreaker.requestVolumeThreshold": 7, STRATEGY: "THREAD", "hystrix.threadpool.up.coreSize": 3,
                 "hystrix.collapser.one.maxRequestsInBatch": 9}, servers={"up": [upstream(serve(levels))]})
    connect(s).get("/collapse?with=one&ids=a")
    config, = stream(s, f"{prefix}/hystrix/config.stream")
    assert config["type"] == "HystrixConfig" and config["commands"]["up"]["circuitBreaker"]["requestVolumeThreshold"] == 7
    assert config["commands"]["up"]["threadPoolKey"] == "up" and config["threadpools"]["up"]["coreSize"] == 3
    assert config["collapsers"]["one"]["maxRequestsInBatch"] == 9
    idle = wait_for(lambda: [e for e in stream(s, f"{prefix}/hystrix/utilization.stream")  # who was answered is still giving its slot back
                             if e["threadpools"]["up"]["activeCount"] == 0], "an idle pool")
    use, = idle
    assert use["type"] == "HystrixUtilization" and use["commands"]["up"] == {"activeCount": 0}
    assert use["threadpools"]["up"] == {"activeCount": 0, "queueSize": 0, "corePoolSize": 3, "poolSize": 1}


def told(s, path):
    c = peers.Client(s.port)
    c.send(peers.request_bytes("GET", path, host="127.0.0.1"))
    answer = c.read_response()
    c.close()
    return answer.status, json.loads(answer.body)


def test_it_explains_its_balancing(service, upstream, connect):
    held, port = peers.free_port()
    up = upstream(serve(ok(b"x")))
    with held:
        s = service({"up.ribbon.NFLoadBalancerRuleClassName": "round-robin", "vine.loadbalancer.up.outlier.base-ejection-ms": 60000},
                    servers={"up": [up, f"127.0.0.1:{port}"]})
        c = connect(s)
        assert told(s, "/actuator/loadbalancers") == (200, {"loadbalancers": {}})
        for _ in range(3):
            assert ask(c, service="up", path="/")["code"] == 0
        assert told(s, "/actuator/loadbalancers")[1]["loadbalancers"]["up"] == {
            "rule": "round-robin", "balancer": "plain", "from": "configuration", "servers": 2, "in": 1, "panic": False}
        said = told(s, "/actuator/loadbalancers/up")[1]
        assert {x["id"]: x["state"] for x in said["servers"]} == {up.address: "in", f"127.0.0.1:{port}": "refusing"}
        assert said["ejection"]["probes"] == 1 and said["rule"]["name"] == "round-robin"
        assert told(s, "/actuator/loadbalancers/none")[0] == 404
        assert c.get("/actuator/loadbalancers/up", "X-Forwarded-For: 10.1.1.1").status == 403
