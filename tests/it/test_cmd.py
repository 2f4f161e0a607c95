"""The commands: help, init, check, show-config, and up with its supervisor."""
import os
import pathlib
import re
import signal

import pytest

from manage import call, get
from ports import hold
from vine import wait_for


def run(vine, *args, **kw):
    """(exit code, stdout, stderr) of a command that ends by itself."""
    v = vine(*args, ready=False, **kw)
    code = v.wait()
    v.expect_code = code
    wait_for(lambda: v.err.ended and v.out.ended, "the end of its output")
    return code, str(v.out), str(v.err)


@pytest.mark.parametrize("args, code, out, err", [
    (["--version"], 0, r"^vine \d+\.\d+\.\d+$", "^$"),
    (["--help"], 0, r"^usage: vine COMMAND", "^$"),
    (["help"], 0, r"(?s)  gateway .*  show-config ", "^$"),
    ([], 2, r"^usage:", "^$"),
    (["gatway"], 2, "^$", r'^vine: unknown command "gatway"; did you mean gateway\?$'),
    (["xyzzy"], 2, "^$", r'^vine: unknown command "xyzzy"; vine --help lists them$'),
    (["gateway", "--help"], 0, r"^usage: vine gateway ", "^$"),
    (["help", "up"], 0, r"--single", "^$"),
    (["gateway", "--verbose"], 2, "^$", r"^vine: unknown option --verbose; a property is set by --key=value$"),
    (["gateway", "-c"], 2, "^$", r"^vine: -c: the name of a file must follow$"),
    (["gateway", "start"], 2, "^$", r'^vine gateway: what is "start"\?'),
    (["gateway", "--zuul.prefx=/x"], 1, "^$", r"(?s)commandLine.*zuul\.prefx = /x: .*did you mean zuul\.prefix\?"),
    (["help", "server.port"], 0, r"(?s)^server\.port\n.*type .*0 to 65535", "^$"),
    (["help", "hystrix.command.cart.circuitBreaker.enabled"], 0, r"^hystrix\.command\.\{key\}\.circuitBreaker\.enabled\n", "^$"),
    (["help", "zuul.routes"], 0, r"(?m)^zuul\.routes\.\{id\}\.path ", "^$"),
    (["help", "zuul.prefx"], 1, "^$", r"did you mean zuul\.prefix\?$"),
    (["check", "nowhere.yml"], 1, "^$", r"nowhere\.yml"),
    (["up", "--vine.up.roles=registry,cart"], 1, "^$", r'^vine up: vine\.up\.roles: there is no role "cart"$'),
    (["up", "--vine.up.roles=registry,registry"], 1, "^$", r"is there twice$"),
])
def test_words(vine, args, code, out, err):
    got = run(vine, *args)
    assert got[0] == code, got
    assert re.search(out, got[1]), got
    assert re.search(err, got[2]), got


# --- init, check, show-config ---

def test_init_writes_a_file_that_is_valid_and_never_overwrites(vine, tmp_path):
    path = tmp_path / "vine.yml"
    code, out, _ = run(vine, "init", str(path))
    assert code == 0 and str(path) in out
    text = path.read_text()
    assert run(vine, "check", str(path))[0] == 0
    path.write_text(text + "# mine\n")
    code, out, err = run(vine, "init", str(path))
    assert code == 1 and "nothing was changed" in err and out == ""
    assert path.read_text() == text + "# mine\n"
    # what it shows as examples is valid too
    live = tmp_path / "live.yml"
    live.write_text(re.sub(r"(?m)^#( *[\w.-]+:)", r"\1", text))
    code, out, err = run(vine, "check", str(live), env={"VINE_ADMIN_PASSWORD": "x"})
    assert (code, err) == (0, ""), out


def test_init_where_nothing_can_be_written(vine, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(vine, "init", str(tmp_path / "file" / "vine.yml"))
    assert code == 1 and err.endswith("Not a directory") and len(err.splitlines()) == 1


def test_check_finds_what_is_wrong(vine, tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("zuul:\n  prefx: /api\nspring.datasource.url: jdbc:x\n")
    code, out, _ = run(vine, "check", str(path))
    assert code == 1 and "2:10: zuul.prefx = /api" in out and "did you mean zuul.prefix?" in out


def test_show_config_names_origins_and_masks_secrets(vine):
    code, out, err = run(vine, "show-config", "--server.port=1234", config="""\
server.port: 99
vine.management.password: hunter2
my.list: [a, b]
""", env={"ZUUL_PREFIX": "/env"})
    assert (code, err) == (0, "")
    assert re.search(r"(?m)^server\.port=1234 +# commandLine$", out)
    assert re.search(r"(?m)^zuul\.prefix=/env +# systemEnvironment", out)
    assert re.search(r"(?m)^vine\.management\.password=\*{6} +# .*vine\.yml:2:27$", out)
    assert re.search(r"(?m)^eureka\.client\.enabled=true +# default$", out)
    assert "hunter2" not in out and "99" not in out.replace("9999", "")
    assert run(vine, "show-config", "my", config="my.a: 1\nother: 2\n")[1].split()[0] == "my.a=1"


# --- up ---

UP = ["--vine.up.ports.registry=0", "--vine.up.ports.gateway=0"]


def pids(v):
    """{role: (pid, port)} by the ready block."""
    text = str(v.out)
    return {m[1]: (int(m[3]), int(m[2])) for m in re.finditer(r"vine (\w+) ready: http://127\.0\.0\.1:(\d+) .* pid (\d+)", text)}


def children(v):
    return [int(p) for p in pathlib.Path(f"/proc/{v.pid}/task/{v.pid}/children").read_text().split()]


def gone(pid):
    return not os.path.exists(f"/proc/{pid}") or "State:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text()


def start_up(vine, *args, **kw):
    v = vine("up", *UP, *args, **kw)
    assert v.out.wait("all 2 roles are ready")
    return v


def test_up_starts_and_stops_all(vine):
    v = start_up(vine)
    roles = pids(v)
    assert sorted(children(v)) == sorted(p for p, _ in roles.values())
    for name, (pid, port) in roles.items():
        info = get(port, "/actuator/info")
        assert (info["app"]["role"], info["process"]["pid"]) == (name, pid)
    v.stop()
    assert all(gone(pid) for pid, _ in roles.values())


def test_up_listens_on_loopback_and_tells_where_the_registry_is(vine):
    v = start_up(vine)
    roles = pids(v)
    env = get(roles["gateway"][1], "/actuator/env/eureka.client.service-url.defaultZone")
    assert env["property"]["value"] == f"http://127.0.0.1:{roles['registry'][1]}/eureka/"
    inodes = pathlib.Path("/proc/net/tcp").read_text()
    assert f"00000000:{roles['gateway'][1]:04X}" not in inodes and f"0100007F:{roles['gateway'][1]:04X}" in inodes


def test_a_child_that_falls_is_started_again_at_its_port(vine):
    v = start_up(vine)
    pid, port = pids(v)["registry"]
    held = hold(port)
    os.kill(pid, signal.SIGKILL)
    v.wait_log(r"role has ended and is started again.* role=registry code=137|role=registry code=137")

    def back():
        try:
            return get(port, "/actuator/info")["process"]["pid"] != pid
        except OSError:
            return False
    wait_for(back, "the registry to come back")
    assert len(children(v)) == 2
    if held:
        held.close()


def test_a_child_that_cannot_start_ends_the_supervisor(vine, tmp_path):
    (tmp_path / "file").write_text("")
    v = vine("up", *UP, f"--vine.data-dir={tmp_path}/file/d", ready=False)
    code = v.wait()
    v.expect_code = code
    wait_for(lambda: v.err.ended, "the end of stderr")
    assert code == 1
    assert str(v.err).count("cannot make the data directory") == 3
    assert str(v.err).splitlines()[-1] == "vine up: registry failed to start 3 times, the last time with exit code 1"


def test_children_do_not_outlive_the_supervisor(vine):
    v = start_up(vine)
    roles = pids(v)
    v.kill()
    for pid, _ in roles.values():
        wait_for(lambda: gone(pid), "the orphan to end")


def is_told(pid, number):
    """The signal waits for it."""
    return int(re.search(r"ShdPnd:\s+(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1], 16) >> (number - 1) & 1


def test_who_does_not_listen_is_killed_after_a_second_signal_too(vine):
    v = start_up(vine, "--spring.lifecycle.timeout-per-shutdown-phase=0")
    roles = pids(v)
    for pid, _ in roles.values():
        os.kill(pid, signal.SIGSTOP)
    v.signal(signal.SIGTERM)
    wait_for(lambda: is_told(roles["gateway"][0], signal.SIGTERM), "the one that is stopped first")
    wait_for(lambda: v.signal(signal.SIGTERM) or is_told(roles["registry"][0], signal.SIGTERM), "the other one")
    v.expect_code = 1
    v.stop()
    assert all(gone(pid) for pid, _ in roles.values())


def test_interrupt_and_hang_up_are_passed_on(vine):
    v = start_up(vine)
    port = pids(v)["gateway"][1]
    v.signal(signal.SIGHUP)
    wait_for(lambda: "accepted" in str(get(port, "/actuator/health/configuration")), "the reload")
    v.signal(signal.SIGINT)
    assert v.wait() == 0


def test_signals_while_a_child_starts_do_not_end_in_a_failure(vine):
    v = vine("up", *UP, ready=False)
    first = wait_for(lambda: children(v), "the first child")
    wait_for(lambda: v.signal(signal.SIGHUP) or len(pids(v)) == 2, "both ready lines")
    assert pids(v)["registry"][0] == first[0] and "started again" not in v.logs()
    v.stop()
    v = vine("up", *UP, ready=False)
    wait_for(lambda: children(v), "the first child")
    v.stop()


def test_single_runs_all_in_one_process(vine):
    v = vine("up", "--single", *UP)
    wait_for(lambda: len(pids(v)) == 2, "both ready lines")
    roles = pids(v)
    assert {pid for pid, _ in roles.values()} == {v.pid} and children(v) == []
    for name, (_, port) in roles.items():
        assert get(port, "/actuator/info")["app"]["role"] == name
        assert call(port, "/actuator/health")[0] == 200


def test_up_refuses_a_bad_configuration_before_it_starts_anything(vine):
    code, out, err = run(vine, "up", *UP, config="zuul.prefx: /x\n")
    assert code == 1 and out == "" and "did you mean zuul.prefix?" in err
