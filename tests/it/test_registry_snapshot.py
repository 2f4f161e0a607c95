"""What the registry remembers across its end, however it ends, and what it says where it cannot write."""
import pathlib
import re
import resource
import threading
import time

import pytest

from registry_client import Eureka, instance
from vine import BINARY, DEADLINE, SANITIZER, wait_for

ONE = "/apps/ORDERS/h1:orders:8080"


@pytest.fixture
def registry(vine, tmp_path):
    """registry(*props): all of a test share one data directory."""
    def start(*props, **kw):
        v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={tmp_path}/data",
                 *(f"--{p}" for p in props), **kw)
        v.eureka = Eureka(v.port)
        v.manage = Eureka(v.port, base="/actuator")
        return v

    return start


def log_of(tmp_path):
    return pathlib.Path(tmp_path) / "data" / "registry" / "leases.log"


def state(v):
    return v.manage.get("/registry").json()


def test_a_restarted_registry_knows_what_it_knew(registry):
    v = registry()
    odd = [instance(id='a/b "c" é\n'), instance(app="OTHER", id="x", metadata={"k": "v"}, status="STARTING"),
           instance(id="gone"), instance(id="taken out")]
    for i in odd:
        assert v.eureka.register(i).status == 204
    v.eureka.delete("/apps/ORDERS/gone")
    v.eureka.put("/apps/ORDERS/taken%20out/status?value=OUT_OF_SERVICE")
    before = v.eureka.apps()
    v.stop()
    again = registry()
    reply = again.eureka.get("/apps/")
    assert reply.headers["X-Vine-Restored"] == "3"
    assert "restored" not in reply.body.decode().lower()
    after = again.eureka.apps()
    for app in before:
        for id, inst in before[app].items():
            now = after[app][id]
            del inst["leaseInfo"]["lastRenewalTimestamp"], now["leaseInfo"]["lastRenewalTimestamp"]
            assert now == inst
    assert sum(len(a) for a in after.values()) == 3
    assert state(again)["restored"] == 3
    assert again.manage.get("/health").json()["components"]["registry"]["details"]["restored"] == 3
    assert "3 of 3 instances are from before the restart" in Eureka(again.port, base="").get("/").body.decode()
    assert again.eureka.put("/apps/OTHER/x").status == 200
    assert again.eureka.put("/apps/ORDERS/taken%20out").status == 200
    assert again.eureka.register(odd[0]).status == 204
    wait_for(lambda: "X-Vine-Restored" not in again.eureka.get("/apps/").headers, "the end of the mark")
    again.eureka.delete("/apps/ORDERS/taken%20out/status")
    assert again.eureka.find(id="taken%20out")["status"] == "UP"  # what it had reported was remembered too


def test_who_does_not_come_back_is_evicted(registry):
    v = registry()
    short = {"renewalIntervalInSecs": 1, "durationInSecs": 2}
    for i in range(10):
        v.eureka.register(instance(id=f"i{i}", leaseInfo=short if i == 0 else None))
    v.stop()
    again = registry("eureka.server.eviction-interval-timer-in-ms=100")
    assert len(again.eureka.apps()["ORDERS"]) == 10
    wait_for(lambda: "i0" not in again.eureka.apps()["ORDERS"], "the eviction")


def test_overrides_of_the_evicted_outlive_a_restart(registry):
    v = registry("eureka.server.eviction-interval-timer-in-ms=100")
    v.eureka.register(instance(id="x", leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 1}))
    v.eureka.register(instance(id="other"))
    v.eureka.put("/apps/ORDERS/x/status?value=OUT_OF_SERVICE")
    wait_for(lambda: v.eureka.find(id="x") is None, "the eviction")
    v.stop()
    again = registry()
    again.eureka.register(instance(id="x"))
    assert again.eureka.find(id="x")["status"] == "OUT_OF_SERVICE"


def test_kill_at_any_moment(registry, tmp_path):
    """What was answered more than a second before the kill is there; nothing is there that was never sent; the file is whole."""
    first = 0
    for round_ in range(8):
        v = registry("vine.workers=1")
        done = {}
        stop = threading.Event()

        def write(v=v, done=done, first=first, stop=stop):
            e = Eureka(v.port)
            n = first
            try:
                while not stop.is_set():
                    if e.register(instance(id=f"i{n}")).status == 204:
                        done[f"i{n}"] = time.monotonic()
                    if n % 3 == 0:
                        e.delete(f"/apps/ORDERS/i{n}")
                        done.pop(f"i{n}", None)
                    n += 1
            except OSError:
                pass

        writer = threading.Thread(target=write)
        writer.start()
        size = log_of(tmp_path).stat().st_size if log_of(tmp_path).exists() else 0
        wait_for(lambda size=size: log_of(tmp_path).exists() and log_of(tmp_path).stat().st_size > size, "something on the disk")
        threading.Event().wait(0.05 * round_)  # somewhere between two writes of the file
        killed = time.monotonic()
        v.kill()
        stop.set()
        writer.join()
        again = registry()
        there = set(again.eureka.apps().get("ORDERS", {}))
        lost = {id for id, at in done.items() if at < killed - 1.0} - there
        assert not lost
        first += 100000
        again.kill()


def test_a_torn_file_is_cut_and_goes_on(registry, tmp_path):
    v = registry()
    for i in range(5):
        v.eureka.register(instance(id=f"i{i}"))
    v.stop()
    log = log_of(tmp_path)
    whole = log.read_bytes()
    log.write_bytes(whole[:-7])
    v = registry()
    v.wait_log("warn.*was not whole and is cut off")
    assert len(v.eureka.apps()["ORDERS"]) == 4
    v.eureka.register(instance(id="new"))
    v.stop()
    v = registry()
    assert len(v.eureka.apps()["ORDERS"]) == 5
    v.stop()
    log.write_bytes(b"something else")
    v = registry()
    v.wait_log("error.*set aside")
    assert v.eureka.apps() == {} and pathlib.Path(f"{log}.unreadable").exists()
    assert v.eureka.register().status == 204


def test_a_full_disk_is_said_and_stops_nothing(registry, tmp_path):
    """The limit of a file's size stands for the full disk: the kernel refuses in the middle of a write."""
    v = registry()
    v.eureka.register()
    wait_for(lambda: state(v)["snapshot"]["bytes"] > 100, "the file")
    resource.prlimit(v.pid, resource.RLIMIT_FSIZE, (log_of(tmp_path).stat().st_size + 100, resource.RLIM_INFINITY))
    v.eureka.register(instance(id="unwritten"))
    wait_for(lambda: state(v)["snapshot"]["failing"], "the failure")
    health = v.manage.get("/health")
    part = health.json()["components"]["registrySnapshot"]
    assert health.status == 200 and health.json()["status"] == "UP"
    assert part["status"] == "UNKNOWN" and "cannot write the snapshot" in part["details"]["error"]
    assert "cannot be written since" in Eureka(v.port, base="").get("/").body.decode()
    text = v.manage.get("/prometheus", Accept="text/plain").body.decode()
    assert re.search(r"^vine_registry_snapshot_failing\S* 1\.0$", text, re.M)
    v.wait_log("error.*the snapshot cannot be written")
    for i in range(20):  # it serves
        assert v.eureka.register(instance(id=f"i{i}")).status == 204
        assert v.eureka.put(f"/apps/ORDERS/i{i}").status == 200
    assert len(v.eureka.apps()["ORDERS"]) == 22
    log = log_of(tmp_path)
    failures = state(v)["snapshot"]["failures"]
    wait_for(lambda: state(v)["snapshot"]["failures"] > failures, "another try")
    whole = log.read_bytes()
    assert whole.count(b"h1:orders:8080") and b"unwritten" not in whole  # whole, as it was
    resource.prlimit(v.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: not state(v)["snapshot"]["failing"], "the end of the failure")
    v.kill()
    assert len(registry().eureka.apps()["ORDERS"]) == 22


@pytest.mark.skipif(SANITIZER == "tsan", reason="the sanitizer writes a file of its own before the program begins")
def test_a_start_with_a_full_disk(registry, tmp_path, vine):
    """A disk that is full already is no reason not to serve: what the file holds is known, new changes wait for room."""
    v = registry()
    v.eureka.register()
    v.stop()
    full = vine("--fsize=0:", str(BINARY), "registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={tmp_path}/data",
                binary="prlimit")
    full.eureka, full.manage = Eureka(full.port), Eureka(full.port, base="/actuator")
    assert full.eureka.apps()["ORDERS"]
    assert full.eureka.register(instance(id="new")).status == 204
    wait_for(lambda: state(full)["snapshot"]["failing"], "the failure")
    resource.prlimit(full.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: not state(full)["snapshot"]["failing"], "room")
    full.kill()
    assert len(registry().eureka.apps()["ORDERS"]) == 2


def test_a_file_that_somebody_removes_is_written_anew(registry, tmp_path):
    v = registry()
    v.eureka.register()
    wait_for(lambda: state(v)["snapshot"]["bytes"] > 100, "the file")
    log_of(tmp_path).unlink()
    v.eureka.register(instance(id="new"))
    v.wait_log("error.*removed by somebody")
    wait_for(lambda: log_of(tmp_path).exists() and not state(v)["snapshot"]["failing"], "another file")
    v.kill()
    assert len(registry().eureka.apps()["ORDERS"]) == 2


def test_the_file_is_rewritten_when_it_has_grown(registry, tmp_path):
    v = registry("vine.workers=1")
    big = {f"k{i}": "v" * 4000 for i in range(7)}
    n = 0
    while state(v)["snapshot"]["rewrites"] < 2:  # the first is that of the empty file, with what had come by its end
        for _ in range(100):
            v.eureka.register(instance(id=f"i{n % 10}", metadata=big))
            n += 1
        assert n < 8000
    wait_for(lambda: log_of(tmp_path).stat().st_size < 16 << 20, "a small file")
    v.kill()
    again = registry()
    assert len(again.eureka.apps()["ORDERS"]) == 10


def test_it_can_be_turned_off(registry, tmp_path, vine):
    v = registry("vine.registry.snapshot.enabled=false")
    v.eureka.register()
    assert state(v)["snapshot"]["enabled"] is False
    v.stop()
    assert not log_of(tmp_path).exists()
    nowhere = vine("registry", "--server.port=0", "--server.address=127.0.0.1", "--vine.registry.snapshot.enabled=false",
                   env={"STATE_DIRECTORY": "/proc/nowhere"})
    assert Eureka(nowhere.port).register().status == 204


def test_two_do_not_share_a_folder(registry, vine, tmp_path):
    registry()
    second = vine("registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={tmp_path}/data", ready=False)
    assert second.wait(DEADLINE) == 1
    wait_for(lambda: "in use by another vine registry" in second.logs(), "the reason")
    second.expect_code = 1


def test_a_delta_after_a_restart_is_not_taken_for_one_before(registry):
    """Clients skip a delta whose version and hash are the last one's, and take a version that went back for another process."""
    last = 2**31
    for _ in range(3):
        v = registry()
        first = version = 0
        for i in range(4):
            v.eureka.register(instance(id=f"i{i % 2}"))
            version = int(v.eureka.get("/apps/delta").json()["applications"]["versions__delta"])
            first = first or version
        assert 0 < first < last and version > first
        v.stop()
        last = version


def test_versions_begin_anew(registry):
    """A watcher from before the restart cannot take an old number for a new one."""
    v = registry()
    v.eureka.register()
    before = v.eureka.get("/apps").headers["X-Vine-Version"]
    v.stop()
    after = registry().eureka.get("/apps").headers["X-Vine-Version"]
    assert before.split("-")[0] != after.split("-")[0]
