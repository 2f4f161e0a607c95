"""Vine's own discovery client against Spring Cloud's Eureka servers: everything that a client says to one."""
import re

import pytest

import gateway
from manage import call, get
from registry_client import instance
from vine import wait_for

ALONE = {"eureka.client.register-with-eureka": "false", "eureka.client.fetch-registry": "false"}
SLOW = 30


def begin(vine, *servers, **more):
    return vine("gateway", config=gateway.config({
        "eureka.client.enabled": "true", "ribbon.eureka.enabled": "true",
        "eureka.client.service-url.defaultZone": ",".join(f"http://127.0.0.1:{s.port}/eureka/" for s in servers),
        "eureka.client.registry-fetch-interval-seconds": "200ms", "eureka.client.log-delta-diff": "true",
        "eureka.instance.lease-renewal-interval-in-seconds": 1, "eureka.instance.lease-expiration-duration-in-seconds": 4,
        "eureka.instance.secure-port-enabled": "true", "eureka.instance.app-group-name": "edge", "eureka.instance.a-s-g-name": "asg",
        "eureka.instance.metadata-map.startedBy": "a test", **{k.replace("__", "."): v for k, v in more.items()}}))


def state(v):
    return get(v.port, "/actuator/eureka")


def there(server):
    found = server.eureka.apps().get("GW", {})
    return next(iter(found.values()), None)


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_life_in_their_registry(netflix, vine, generation):
    server = netflix(generation, **ALONE).wait_ready()
    v = begin(vine, server)
    ours = wait_for(lambda: there(server), "our registration", SLOW)
    assert ours["status"] == "UP" and ours["metadata"] == {"startedBy": "a test", "management.port": str(v.port)}
    assert ours["port"] == {"$": v.port, "@enabled": "true"} and ours["securePort"] == {"$": v.port, "@enabled": "true"}
    assert (ours["appGroupName"], ours["asgName"], ours["vipAddress"]) == ("EDGE", "asg", "gw")
    assert ours["secureHealthCheckUrl"].startswith("https://127.0.0.1:")

    # others come, change and go: by deltas that fit
    server.eureka.register(instance("SHOP", "s1"))
    server.eureka.register(instance("SHOP", "s2", status="DOWN"))
    wait_for(lambda: state(v)["registry"]["instances"] == 2, "those that are UP, and us", SLOW)
    assert server.eureka.put("/apps/SHOP/s2/status?value=UP").status == 200
    wait_for(lambda: state(v)["registry"]["instances"] == 3, "one more", SLOW)
    assert server.eureka.delete("/apps/SHOP/s1").status == 200
    wait_for(lambda: state(v)["registry"]["instances"] == 2, "one less", SLOW)
    assert state(v)["registry"]["full"] == 1 and state(v)["registry"]["mismatches"] == 0

    # an operator takes us out and back; heartbeats do not change it
    status = lambda: get(v.port, "/actuator/serviceregistry")
    assert call(v.port, "/actuator/serviceregistry", "POST", '{"status":"OUT_OF_SERVICE"}')[0] == 200
    assert status() == {"status": "OUT_OF_SERVICE", "overriddenStatus": "OUT_OF_SERVICE"}
    beats = state(v)["registration"]["heartbeats"]
    wait_for(lambda: state(v)["registration"]["heartbeats"] > beats + 1, "heartbeats meanwhile", SLOW)
    assert there(server)["status"] == "OUT_OF_SERVICE"
    wait_for(lambda: state(v)["registration"]["overriddenStatus"] == "OUT_OF_SERVICE", "us to see it", SLOW)
    assert call(v.port, "/actuator/serviceregistry", "POST", '{"status":"CANCEL_OVERRIDE"}')[0] == 200
    wait_for(lambda: status() == {"status": "UP", "overriddenStatus": "UNKNOWN"}, "us to be back", SLOW)

    # it forgets us
    registrations = state(v)["registration"]["registrations"]
    assert server.eureka.delete(f"/apps/GW/{ours['instanceId']}").status == 200
    wait_for(lambda: state(v)["registration"]["registrations"] > registrations and there(server), "us to register again", SLOW)

    v.stop()
    assert there(server) is None, "nothing follows the goodbye"
    assert not re.search("registry lost|refuses|differed", v.logs())


def test_one_vip_and_other_regions(netflix, vine):
    server = netflix("new", **ALONE).wait_ready()
    server.eureka.register(instance("SHOP", "s1"))
    v = begin(vine, server, eureka__client__registry_refresh_single_vip_address="shop", eureka__client__fetch_remote_regions_registry="elsewhere")
    wait_for(lambda: state(v)["registry"]["instances"] == 1 and there(server), "the one service alone", SLOW)
    assert "registry lost" not in v.logs()


def test_it_restarts_empty(netflix, vine):
    server = netflix("new", **ALONE).wait_ready()
    server.eureka.register(instance("SHOP", "s1", leaseInfo={"renewalIntervalInSecs": 30, "durationInSecs": 3600}))
    v = begin(vine, server)
    wait_for(lambda: state(v)["registry"]["instances"] == 2, "the list", SLOW)
    server.kill()
    wait_for(lambda: state(v)["state"] == "lost", "it to be missed", SLOW)
    assert state(v)["registry"]["instances"] == 2
    again = netflix("new", **ALONE, **{"server.port": str(server.port)}).wait_ready()
    wait_for(lambda: there(again) and state(v)["state"] == "ok" and state(v)["registry"]["held"] == 1, "us there, and the other held", SLOW)
    assert state(v)["registry"]["instances"] == 2


def test_two_of_theirs_one_is_killed(netflix, vine):
    a, b = netflix("old", **ALONE), netflix("new", **ALONE)
    a.wait_ready(), b.wait_ready()
    v = begin(vine, a, b)
    wait_for(lambda: state(v)["registration"]["registered"], "the registration", SLOW)
    used, other = (a, b) if f":{a.port}/" in state(v)["url"] else (b, a)
    used.kill()
    wait_for(lambda: there(other) and f":{other.port}/" in state(v)["url"] and state(v)["state"] == "ok", "a place at the other one", SLOW)
    assert "registry lost" not in v.logs()
