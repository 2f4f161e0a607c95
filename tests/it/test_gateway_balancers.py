"""Balancers of the gateway beyond the rule: stickiness, hedges, pings, updaters, plugins, and what the gateway says of them."""
import json
import pathlib
import re
import subprocess
import threading

import pytest

import peers
from gateway import ONE, config, fetch, simple
from peers import ok, reply, request_bytes, serve
from vine import BINARY, ROOT, wait_for

CANARY = pathlib.Path(BINARY).resolve().parent / "examples" / "balancer" / "canary.so"
ROUND_ROBIN = {"up__ribbon__NFLoadBalancerRuleClassName": "com.netflix.loadbalancer.RoundRobinRule"}


def named(name):
    return serve(ok(name))


def explained(gw, service="up"):
    status, body = fetch(gw.port, f"/actuator/loadbalancers/{service}")
    assert status == 200, body
    return json.loads(body)


def server(gw, address, service="up"):
    return next(s for s in explained(gw, service)["servers"] if s["id"] == address)


# --- stickiness ---


@pytest.mark.parametrize("rule", ["ring-hash", "maglev"])
@pytest.mark.parametrize("key, field", [("header:X-User", "X-User: {}"), ("cookie:SID", "Cookie: a=b; SID={}; c=d")])
def test_a_key_meets_one_server(rule, key, field, vine, upstream, connect):
    ups = [upstream(named(n)) for n in "abcd"]
    gw = vine("gateway", config=simple(*ups, up__ribbon__NFLoadBalancerRuleClassName=rule, zuul__sensitiveHeaders="",
                                       **{"vine__loadbalancer__up__hash-key": key}))
    c, met = connect(gw), {}
    for _ in range(3):
        for user in range(80):
            body = c.get("/x", field.format(f"user{user}")).body
            assert met.setdefault(user, body) == body
    assert len(set(met.values())) >= 3  # eighty users are spread over four servers: two only are less likely than 1 in 10^15
    assert len({c.get("/x").body for _ in range(120)}) == 4  # without a key: by chance


def test_two_gateways_agree(vine, upstream, connect):
    ups = [upstream(named(n)) for n in "abcd"]
    text = simple(*ups, up__ribbon__NFLoadBalancerRuleClassName="maglev", **{"vine__loadbalancer__default__hash-key": "path"})
    one, two = connect(vine("gateway", config=text)), connect(vine("gateway", config=text))
    for i in range(20):
        assert one.get(f"/{i}").body == two.get(f"/{i}").body


# --- hedges ---


def stall(released):
    def script(p):
        p.next_request()
        released.wait(20)
    return script


def hedging(*ups, **more):
    return simple(*ups, **ROUND_ROBIN, **ONE, **{"vine__loadbalancer__up__hedge__delay-ms": 30, "zuul__retryable": True}, **more)


def test_a_hedge_answers_where_the_first_server_hangs(vine, upstream, connect):
    released = threading.Event()
    slow, quick = upstream(stall(released)), upstream(named("quick"))
    gw = vine("gateway", config=hedging(quick, slow))  # round robin begins at the second
    c = connect(gw)
    assert c.get("/x").body == b"quick"
    assert "tries=2" in gw.wait_log(r"method=GET path=/x .*")[0]
    # Whose answer was not waited for is nobody's failure, and it is let go.
    wait_for(lambda: server(gw, slow.address)["active"] == 0, "the slow try to be cancelled")
    assert server(gw, slow.address)["outcomes"]["abandoned"] == 1
    assert server(gw, slow.address)["state"] == "in"
    released.set()


def test_a_hedge_that_fails_leaves_the_first_try_alone(vine, upstream, connect):
    held, port = peers.free_port()
    asked, go = threading.Event(), threading.Event()

    def answer_late(p):
        p.next_request()
        asked.set()
        go.wait(20)
        p.send(ok("late"))

    slow = upstream(answer_late)
    gw = vine("gateway", config=hedging(f"127.0.0.1:{port}", slow))
    c = connect(gw)
    c.send(request_bytes())
    wait_for(lambda: server(gw, f"127.0.0.1:{port}")["outcomes"]["refused"] == 1, "the hedge to be refused")
    go.set()
    assert c.read_response().body == b"late"
    held.close()


def test_a_first_try_that_fails_leaves_the_hedge_alone(vine, upstream, connect):
    go = threading.Event()

    def reset_late(p):
        p.next_request()
        go.wait(20)
        p.reset()

    def answer_late(p):
        p.next_request()
        go.set()
        wait_for(lambda: server(gw, first.address)["outcomes"]["reset"] == 1, "the first try to be reset")
        p.send(ok("hedge"))

    first, second = upstream(reset_late), upstream(answer_late)
    gw = vine("gateway", config=hedging(second, first, up__ribbon__MaxAutoRetriesNextServer=0))
    assert connect(gw).get("/x").body == b"hedge"


def test_an_error_of_one_waits_for_the_other(vine, upstream, connect):
    go = threading.Event()

    def good_late(p):
        p.next_request()
        go.wait(20)
        p.send(ok("good"))

    def bad_soon(p):
        p.next_request()
        p.send(reply(503, b"busy"))
        go.set()

    good, bad = upstream(good_late), upstream(bad_soon)
    gw = vine("gateway", config=hedging(bad, good))
    assert connect(gw).get("/x").body == b"good"


@pytest.mark.parametrize("why", ["post", "budget"])
def test_no_hedge(why, vine, upstream, connect):
    go = threading.Event()

    def answer_late(p):
        p.next_request()
        go.wait(0.3)
        p.send(ok("first"))

    first, second = upstream(answer_late), upstream(named("second"))
    extra = {"vine__loadbalancer__up__retry-budget__percent": 1, "vine__loadbalancer__up__retry-budget__min-per-second": 0}
    gw = vine("gateway", config=hedging(second, first, **(extra if why == "budget" else {})))
    c = connect(gw)
    r = c.request("POST", "/x", body=b"once") if why == "post" else c.get("/x")
    assert r.body == b"first"
    assert not second.requests


# --- pings ---


def test_a_server_whose_health_is_bad_gets_no_requests(vine, upstream, connect):
    sick = {"is": True}

    def health(good):
        return serve(lambda r: (reply(503 if sick["is"] and not good else 200, b"") if r.target == "/health" else ok("b" if good else "a")))

    a, b = upstream(health(False)), upstream(health(True))
    gw = vine("gateway", config=simple(a, b, **ROUND_ROBIN, **ONE, up__ribbon__NFLoadBalancerPingClassName="com.netflix.loadbalancer.PingUrl",
                                       up__ribbon__NFLoadBalancerPingInterval="1s", vine__loadbalancer__up__ping__path="/health"))
    wait_for(lambda: server(gw, a.address)["why"] == "dead by ping", "the ping")
    c = connect(gw)
    assert [c.get("/x").body for _ in range(6)] == [b"b"] * 6
    sick["is"] = False
    wait_for(lambda: server(gw, a.address)["state"] == "in", "the next ping")
    assert server(gw, a.address)["why"] == "alive by ping"
    assert {c.get("/x").body for _ in range(6)} == {b"a", b"b"}


def test_a_server_that_hangs_does_not_hold_up_the_round(vine, upstream, connect):
    released = threading.Event()
    hung, well = upstream(stall(released)), upstream(named("well"))
    gw = vine("gateway", config=simple(hung, well, **ONE, up__ribbon__NFLoadBalancerPingClassName="url",
                                       up__ribbon__NFLoadBalancerMaxTotalPingTime="1s"))
    wait_for(lambda: server(gw, hung.address)["why"] == "dead by ping", "the end of the round")
    assert explained(gw)["ping"]["tookMs"] < 5000
    assert server(gw, well.address)["state"] == "in"
    assert connect(gw).get("/x").body == b"well"
    released.set()


# --- retries ---


def test_a_pause_before_the_next_try(vine, upstream, connect):
    held, port = peers.free_port()
    up = upstream(named("b"))
    gw = vine("gateway", config=simple(up, f"127.0.0.1:{port}", **ROUND_ROBIN, **ONE, up__ribbon__BackoffTimeout=200))
    assert connect(gw).get("/x").body == b"b"
    ms = float(gw.wait_log(r"path=/x status=200 ms=([0-9.]+)")[1])
    assert ms >= 200
    held.close()


def test_a_body_that_comes_during_the_pause_is_sent_whole(vine, upstream, connect):
    got = []

    def reset_in_the_middle(p):
        p.next_request(body=False)
        p.take_until(b"\r\nfirst\r\n")
        p.reset()

    def read_all(p):
        got.append(p.next_request().body)
        p.send(ok("whole"))

    bad, good = upstream(reset_in_the_middle), upstream(read_all)
    gw = vine("gateway", config=simple(good, bad, **ROUND_ROBIN, **ONE, zuul__retryable=True, up__ribbon__BackoffTimeout=300,
                                       up__ribbon__OkToRetryOnAllOperations=True, **{"vine__gateway__replay-buffer": "4KB"}))
    c = connect(gw)
    c.send(request_bytes("PUT", fields=["Transfer-Encoding: chunked"]) + b"5\r\nfirst\r\n")
    wait_for(lambda: server(gw, bad.address)["outcomes"]["reset"] == 1, "the first try to be reset")
    c.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n")
    assert c.read_response().body == b"whole"
    assert got == [b"first" + b"x" * 0x4000]


def test_the_connect_timeout_does_not_end_an_answer_on_a_kept_connection(vine, upstream, connect):
    answered = []

    def slowly(p):
        while p.next_request():
            if answered:
                threading.Event().wait(2)  # longer than a connection may take
            answered.append(p.send(ok("a")))

    up = upstream(slowly)
    gw = vine("gateway", config=simple(up, **ONE, up__ribbon__ConnectTimeout=1000, up__ribbon__ReadTimeout=20000))
    c = connect(gw)
    assert [c.get("/x").body for _ in range(2)] == [b"a", b"a"]
    assert (up.connections, len(up.requests)) == (1, 2)


def test_retries_end_with_their_budget(vine, upstream, connect):
    bad, good = upstream(serve(reply(503, b"busy"))), upstream(named("good"))
    gw = vine("gateway", config=simple(bad, good, **ONE, **ROUND_ROBIN, zuul__retryable=True, up__ribbon__retryableStatusCodes="503",
                                       **{"vine__loadbalancer__up__outlier__enabled": False,
                                          "vine__gateway__failure-statuses": "599",
                                          "vine__loadbalancer__up__retry-budget__percent": 10,
                                          "vine__loadbalancer__up__retry-budget__min-per-second": 0}))
    c = connect(gw)
    got = [c.get("/x").status for _ in range(400)]
    retried = 400 - got.count(503) - 200  # half of the first tries meet the bad server
    assert 38 <= retried <= 40, retried  # one for each ten requests


@pytest.mark.parametrize("read, command, fits", [(1000, 4000, True), (1000, 3999, False), (1500, 4000, False)])
def test_time_outs_that_cannot_fit_stop_the_start(read, command, fits, vine, upstream, tmp_path):
    text = simple(upstream(named("a")), up__ribbon__ReadTimeout=read, up__ribbon__ConnectTimeout=1000,
                  hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds=command)
    text = text.replace('vine.timeouts.must-fit: "false"\n', "")
    if fits:
        vine("gateway", config=text)
        return
    gw = vine("gateway", config=text, ready=False)
    gw.expect_code = 1
    assert gw.wait() == 1
    total = (1000 + read) * 2
    want = f"up: (ConnectTimeout 1000 + ReadTimeout {read}) * (MaxAutoRetries 0 + 1) * (MaxAutoRetriesNextServer 1 + 1) = {total} ms, but " \
           f"hystrix ends the command after {command} ms"
    assert gw.err.wait(re.escape(want))


def test_a_command_of_another_program_does_not_stop_the_start(vine, upstream):
    """One file for a gateway and for services: what a tight command of theirs is for, the gateway cannot know."""
    text = simple(upstream(named("a")), up__ribbon__ReadTimeout=1000, up__ribbon__ConnectTimeout=1000,
                  hystrix__command__sql__execution__isolation__thread__timeoutInMilliseconds=50)
    gw = vine("gateway", config=text.replace('vine.timeouts.must-fit: "false"\n', ""))
    gw.wait_log(r'warn gateway "time-outs that would not fit together if this were a service of the gateway" why="sql: ')


# --- names ---


def test_an_unknown_class_is_an_error_with_the_nearest_known_one(vine, tmp_path):
    text = simple("127.0.0.1:1", up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobbinRule")
    (tmp_path / "bad.yml").write_text(text)
    done = subprocess.run([BINARY, "check", "bad.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bad.yml:" in done.stdout and "did you mean com.netflix.loadbalancer.RoundRobinRule?" in done.stdout
    gw = vine("gateway", config=text, ready=False)
    gw.expect_code = 1
    assert gw.wait() == 1
    assert gw.err.wait(r"did you mean com\.netflix\.loadbalancer\.RoundRobinRule\?")


# --- plugins ---

BAD_RULES = r"""
#include <vine/balance.h>
static int64_t outside(void *s, const struct vine_choice *c) { return c->servers->n; }
static int64_t nobody(void *s, const struct vine_choice *c) { return -1; }
static int fails(const struct vine_host *h, unsigned worker) { return -1; }
#define P(n) VINE_PLUGIN(struct vine_rule_ops, VINE_PLUGIN_RULE, n)
const struct vine_rule_ops rule_outside = { .plugin = P("outsider"), .choose = outside };
const struct vine_rule_ops rule_nobody = { .plugin = P("nobody"), .choose = nobody };
const struct vine_rule_ops rule_empty = { .plugin = P("empty") };
const struct vine_rule_ops rule_foreign = { .plugin = { .size = sizeof(struct vine_rule_ops), .abi = 99 }, .choose = nobody };
const struct vine_rule_ops rule_lazy = { .plugin = { .size = sizeof(struct vine_rule_ops), .abi = VINE_PLUGIN_ABI,
    .kind = VINE_PLUGIN_RULE, .name = "lazy", .worker_init = fails }, .choose = outside };
static const struct vine_host *host;
static struct vine_refresh *handle;
static void *host_note(const struct vine_host *h, const char *client) { host = h; return &host; }
static int handle_note(void *s, struct vine_refresh *r) { handle = r; return 0; }
static void last_word(void *s) { host->balance->refresh(handle); }
const struct vine_updater_ops updater_talks = { .plugin = VINE_PLUGIN(struct vine_updater_ops, VINE_PLUGIN_UPDATER, "talks"),
    .create = host_note, .start = handle_note, .stop = last_word };
"""


@pytest.fixture(scope="session")
def bad_rules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "bad.c").write_text(BAD_RULES)
    subprocess.run(["cc", "-std=gnu17", "-Wall", "-shared", "-fPIC", f"-I{ROOT}/include", "bad.c", "-o", "bad.so"], cwd=folder, check=True)
    return folder / "bad.so"


def test_the_example_gives_canaries_their_share(vine, upstream, connect, tmp_path):
    ups = [upstream(named(n)) for n in "abc"]
    servers = tmp_path / "servers"
    servers.write_text(f"# product\n{ups[0].address}\n{ups[1].address} main 100\n{ups[2].address} canary\nnonsense:port\n")
    gw = vine("gateway", config=simple(up__ribbon__NFLoadBalancerRuleClassName=f"{CANARY}:canary_rule",
                                       up__ribbon__NIWSServerListClassName=f"{CANARY}:file_list",
                                       up__ribbon__ServerListRefreshInterval=1000, canary__percent=20,
                                       **{"canary__servers-file": str(servers)}))
    c = connect(gw)
    bodies = [c.get("/x").body for _ in range(500)]
    assert 50 <= bodies.count(b"c") <= 160, bodies.count(b"c")
    assert bodies.count(b"a") > 100 and bodies.count(b"b") > 100
    gw.wait_log("canary: not a server: nonsense:port")
    said = explained(gw)
    assert said["rule"]["name"] == "canary" and said["rule"]["plugin"] is True and said["list"]["from"] == "file"
    servers.write_text(f"{ups[2].address} canary\n")  # the list is asked again by time
    wait_for(lambda: len(explained(gw)["servers"]) == 1, "the new list")
    assert {c.get("/x").body for _ in range(10)} == {b"c"}


def test_an_updater_has_news_while_it_is_stopped(vine, upstream, connect, bad_rules):
    gw = vine("gateway", config=simple(upstream(named("a")), up__ribbon__ServerListUpdaterClassName=f"{bad_rules}:updater_talks"))
    assert connect(gw).get("/x").body == b"a"
    gw.stop()


@pytest.mark.parametrize("symbol, why", [
    ("rule_outside", "rule 'outsider' named a server that is not in the list"), ("rule_nobody", "rule 'nobody' named no server"),
    ("rule_lazy", "rule 'lazy' could not be started: its worker_init failed")])
def test_a_rule_that_is_wrong_is_an_error_of_the_request(symbol, why, vine, upstream, connect, bad_rules):
    up = upstream(named("a"))
    gw = vine("gateway", config=simple(up, up__ribbon__NFLoadBalancerRuleClassName=f"{bad_rules}:{symbol}"))
    for _ in range(3):
        r = connect(gw).request("GET", "/x", ["Accept: application/json"])
        assert r.status == 503
        said = json.loads(r.body)
        assert (said["cause"], said["details"], said["service"]) == ("rule_fault", why, "up")
    assert gw.wait_log("no server chosen.*" + why)
    assert not up.requests
    assert explained(gw)["rule"]["faults"] == 3


@pytest.mark.parametrize("symbol, why", [
    ("rule_empty", "empty: a rule needs the function choose"),
    ("rule_foreign", "made for version 99 of the plugin interface, this is version 1"), ("rule_gone", "has no symbol rule_gone")])
def test_a_table_that_is_wrong_stops_the_start(symbol, why, vine, bad_rules):
    gw = vine("gateway", config=simple("127.0.0.1:1", up__ribbon__NFLoadBalancerRuleClassName=f"{bad_rules}:{symbol}"), ready=False)
    gw.expect_code = 1
    assert gw.wait() == 1
    assert gw.err.wait(re.escape(f"up.ribbon.NFLoadBalancerRuleClassName: {bad_rules}:{symbol}: ") + ".*" + re.escape(why))


def test_a_table_of_another_kind_stops_the_start(vine, bad_rules):
    gw = vine("gateway", config=simple("127.0.0.1:1", up__ribbon__NFLoadBalancerPingClassName=f"{bad_rules}:rule_nobody"), ready=False)
    gw.expect_code = 1
    assert gw.wait() == 1
    assert gw.err.wait("nobody is a rule, not a ping")


@pytest.mark.parametrize("key, symbol, why", [
    ("NFLoadBalancerRuleClassName", "rule_empty", "empty: a rule needs the function choose"),
    ("NFLoadBalancerRuleClassName", "rule_foreign", "made for version 99 of the plugin interface, this is version 1"),
    ("NFLoadBalancerRuleClassName", "rule_gone", ".* has no symbol rule_gone"),
    ("NFLoadBalancerPingClassName", "rule_nobody", "nobody is a rule, not a ping"),
    ("NFLoadBalancerRuleClassName", "rule_lazy", None)])
def test_check_judges_tables_as_the_start_does(key, symbol, why, bad_rules, tmp_path):
    (tmp_path / "a.yml").write_text(f"up:\n  ribbon:\n    {key}: {bad_rules}:{symbol}\n")
    done = subprocess.run([BINARY, "check", "a.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if why else 0) and done.stderr == "", done
    if why:
        assert re.search(rf"(?m)^  WRONG    a.yml:3:\d+: up.ribbon.{key} = {re.escape(str(bad_rules))}:{symbol}: {why}$", done.stdout), done.stdout
        done = subprocess.run([BINARY, "check", "--no-plugins", "a.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "  note     1 table of your own was not looked at" in done.stdout


def test_check_says_which_shared_object_is_not_there_or_is_none(tmp_path):
    (tmp_path / "none.so").write_text("no shared object\n")
    for path, why in (("./gone.so", r"\./gone\.so is not there; "), ("./none.so", "cannot be loaded: .*none.so.*")):
        (tmp_path / "a.yml").write_text(f"ribbon.NFLoadBalancerRuleClassName: {path}:rule\n")
        done = subprocess.run([BINARY, "check", "a.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.search(rf"(?m)^  WRONG    a.yml:1:\d+: ribbon.NFLoadBalancerRuleClassName = {path}:rule: {why}", done.stdout), done.stdout


# --- what it says ---


def test_what_is_said_of_a_balancer(vine, upstream, connect):
    held, port = peers.free_port()
    up = upstream(named("a"))
    gw = vine("gateway", config=simple(up, f"127.0.0.1:{port}", **ROUND_ROBIN, **ONE,
                                       **{"vine__loadbalancer__up__outlier__base-ejection-ms": 60000}))
    c = connect(gw)
    assert c.get("/x").body == b"a"
    status, body = fetch(gw.port, "/actuator/loadbalancers")
    assert status == 200
    assert json.loads(body)["loadbalancers"]["up"] == {"rule": "round-robin", "balancer": "plain", "from": "configuration", "servers": 2,
                                                       "in": 1, "panic": False}
    said = explained(gw)
    assert said["filter"]["did"] == "all" and said["list"]["updater"] == "push" and said["list"]["ageMs"] >= 0
    dead = server(gw, f"127.0.0.1:{port}")
    assert (dead["state"], dead["why"], dead["ejections"]) == ("refusing", "connection refused", 1)
    assert 0 < dead["leftMs"] <= 60000 and dead["until"] > dead["since"]
    well = server(gw, up.address)
    assert (well["state"], well["active"], well["outcomes"]["ok"]) == ("in", 0, 1)
    assert well["latencyMs"] > 0
    assert fetch(gw.port, "/actuator/loadbalancers/none")[0] == 404
    assert gw.wait_log(rf'"server left out" service=up server=127.0.0.1:{port} why="connection refused" seconds=[56][0-9]')
    meters = fetch(gw.port, "/actuator/prometheus")[1].decode()
    assert re.search(r'^vine_loadbalancer_servers\{[^}]*service="up",state="refusing"\} 1\.0$', meters, re.M)
    held.close()


def test_rules_change_while_running(vine, upstream, connect):
    ups = [upstream(named(n)) for n in "ab"]
    gw = vine("gateway", config=simple(*ups, **ROUND_ROBIN))
    assert explained(gw)["rule"]["name"] == "round-robin"
    text = gw.config.read_text().replace("com.netflix.loadbalancer.RoundRobinRule", "maglev")
    gw.config.write_text(text)
    gw.signal(1)
    wait_for(lambda: explained(gw)["rule"]["name"] == "maglev", "the reload")
    assert explained(gw)["rule"]["hash"]["points"] == 65537
    assert connect(gw).get("/x").status == 200
    gw.config.write_text(text.replace("maglev", "maglew"))  # what does not validate changes nothing
    gw.signal(1)
    gw.wait_log("did you mean maglev")
    assert explained(gw)["rule"]["name"] == "maglev"
