"""The machine's time is set while the registry runs, or is not its clients' time: no lease ends by it, and nothing is lost."""
import os
import pathlib
import subprocess
import threading
import time

import pytest

from registry_client import Eureka, instance
from vine import wait_for

SHORT = {"renewalIntervalInSecs": 1, "durationInSecs": 3}
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    lib = tmp_path_factory.mktemp("clock") / "clock_step.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", lib, HERE / "clock_step.c"], check=True)
    return lib


@pytest.fixture
def registry(vine, tmp_path, preload):
    """registry(*props): its v.set_clock(seconds) moves the wall clock that it sees; all of a test share one data directory."""
    def start(*props):
        file = tmp_path / "step"
        asan = os.environ.get("ASAN_OPTIONS", "")
        v = vine("registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={tmp_path}/data",
                 "--eureka.server.eviction-interval-timer-in-ms=100", *(f"--{p}" for p in props),
                 env={"LD_PRELOAD": str(preload), "CLOCK_STEP": str(file), "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0"})

        def set_clock(seconds):
            new = file.with_suffix(".new")
            new.write_text(str(seconds))
            new.rename(file)

        v.eureka, v.manage, v.set_clock = Eureka(v.port), Eureka(v.port, base="/actuator"), set_clock
        return v

    return start


@pytest.mark.parametrize("hours", [-1, 1, -24 * 365, 24 * 365])
def test_a_clock_that_is_set_ends_no_lease_and_no_change(registry, hours):
    v = registry()
    e = v.eureka
    stop = threading.Event()

    def live():  # five clients that renew
        mine = Eureka(v.port)
        while not stop.wait(0.3):
            for i in range(5):
                mine.put(f"/apps/ORDERS/live{i}")

    for i in range(5):
        e.register(instance(id=f"live{i}", leaseInfo=SHORT))
    e.put("/apps/ORDERS/live0/status?value=OUT_OF_SERVICE")
    t = threading.Thread(target=live)
    t.start()
    try:
        before = int(e.find(id="live1")["lastUpdatedTimestamp"])
        v.set_clock(hours * 3600)
        began = time.monotonic()
        e.register(instance(id="dead", leaseInfo=SHORT, lastDirtyTimestamp=None))
        after = e.find(id="dead")
        assert abs(int(after["lastUpdatedTimestamp"]) - before - hours * 3_600_000) < 60_000  # the clock was set
        assert abs(int(after["lastDirtyTimestamp"]) - int(after["lastUpdatedTimestamp"])) < 1000
        changed = {i["instanceId"] for a in e.get("/apps/delta").json()["applications"]["application"] for i in a["instance"]}
        assert changed == {f"live{i}" for i in range(5)} | {"dead"}  # nothing is forgotten early
        wait_for(lambda: "dead" not in e.apps()["ORDERS"], "the end of the one that is silent")
        assert time.monotonic() - began > 2  # by its own lease, not by the clock
        assert set(e.apps()["ORDERS"]) == {f"live{i}" for i in range(5)}
        shown = e.find(id="live1")["leaseInfo"]["lastRenewalTimestamp"]
        assert abs(shown - (time.time() + hours * 3600) * 1000) < 5000  # the heartbeat's time by the clock as it is now
        assert v.manage.get("/registry").json()["selfPreservation"]["on"] is False
    finally:
        stop.set()
        t.join()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_between_end_and_start(registry, hours):
    """What is kept for an hour of one that is gone is kept for no longer, and what is there comes back whole."""
    v = registry()
    v.eureka.register(instance(id="gone", leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 1}))
    v.eureka.register(instance(id="there"))
    for id in ("gone", "there"):
        v.eureka.put(f"/apps/ORDERS/{id}/status?value=OUT_OF_SERVICE")
    wait_for(lambda: "gone" not in v.eureka.apps()["ORDERS"], "the eviction")
    v.stop()
    v.set_clock(hours * 3600 + 5)
    again = registry()
    assert again.eureka.find(id="there")["status"] == "OUT_OF_SERVICE"
    again.eureka.register(instance(id="gone"))
    assert again.eureka.find(id="gone")["status"] == ("UP" if hours > 0 else "OUT_OF_SERVICE")  # an hour has passed, or none
    assert again.eureka.put("/apps/ORDERS/there").status == 200
