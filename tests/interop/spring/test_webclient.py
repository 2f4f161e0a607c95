"""The reactive client that Spring Cloud has beside the usual one (eureka.client.webclient.enabled): what is different about it."""
import pytest

from spring_service import WEBCLIENT, SpringService
from watched import WatchedRegistry

ME = ("ORDERS", "k%C3%BCche:orders:1")  # an ID that needs coding
PATH = "/eureka/apps/ORDERS/k%C3%BCche%3Aorders%3A1"


@pytest.fixture
def registry(tmp_path):
    r = WatchedRegistry(tmp_path)
    yield r
    r.stop()


def test_life(registry, maven, tmp_path):
    s = SpringService(tmp_path / "service", maven(WEBCLIENT.project), {
        "spring.application.name": "orders", "eureka.client.service-url.defaultZone": registry.url, "eureka.client.webclient.enabled": "true",
        "eureka.instance.hostname": "127.0.0.1", "eureka.instance.instance-id": "k\u00fcche:orders:1",
        "management.endpoints.web.exposure.include": "*"})
    try:
        life(registry, s)
    finally:
        s.stop()


def life(registry, s):
    wire = registry.wire
    post = wire.wait("POST", status=204)
    assert post.target == "/eureka/apps/ORDERS" and WEBCLIENT.user_agent.match(post.header("user-agent"))
    assert post.header("accept") == "*/*" and post.request.length() and isinstance(post.json()["instance"]["lastDirtyTimestamp"], int)
    beat = wire.wait("PUT", n=4)
    assert beat.path == PATH and beat.status == 200  # colons coded too, other than by all other clients
    assert registry.find(*ME)["instanceId"] == "k\u00fcche:orders:1"
    assert wire.wait("GET", "/apps/delta", status=200).header("accept") == "application/json"
    assert list(s.wait_instances("orders", "k\u00fcche:orders:1"))

    assert s.request("POST", WEBCLIENT.override_path, {"status": "OUT_OF_SERVICE"})[0] in (200, 204)
    assert wire.wait("PUT", "/status", status=200).path == PATH + "/status"
    registry.wait_status(*ME, "OUT_OF_SERVICE")
    assert s.request("POST", WEBCLIENT.override_path, {"status": "CANCEL_OVERRIDE"})[0] in (200, 204)
    registry.wait_status(*ME, "UP")

    # When the service ends its client has lost its threads before it could say goodbye: DOWN is all that is heard, the lease does
    # the rest.
    s.signal(15)
    registry.wait_status(*ME, "DOWN")
    assert s.wait(60) == s.expect_code
    registry.wait_status(*ME, None)
    assert not wire.seen("DELETE", PATH + "$")
