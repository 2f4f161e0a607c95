"""https and passwords: services that speak to the registry over TLS, with a key store that Java's own keytool made."""
import base64
import http.client
import json
import ssl
import subprocess

import pytest

from spring_service import NEW, OLD, SpringService
from vine import DEADLINE, Vine, wait_for

PASSWORD = "changeit"


def keytool(folder, *args):
    subprocess.run(["keytool", *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with keys.p12, for the registry, and trust.p12, for who speaks to it."""
    folder = tmp_path_factory.mktemp("stores")
    keytool(folder, "-genkeypair", "-alias", "vine", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=vine",
            "-ext", "san=ip:127.0.0.1", "-validity", "2", "-keystore", "keys.p12", "-storetype", "PKCS12", "-storepass", PASSWORD)
    keytool(folder, "-exportcert", "-rfc", "-alias", "vine", "-file", "vine.pem", "-keystore", "keys.p12", "-storepass", PASSWORD)
    keytool(folder, "-importcert", "-noprompt", "-alias", "vine", "-file", "vine.pem", "-keystore", "trust.p12", "-storetype", "PKCS12",
            "-storepass", PASSWORD)
    return folder


@pytest.mark.parametrize("generation", [OLD, NEW], ids=lambda g: g.name)
def test_over_tls(generation, maven, stores, tmp_path):
    (tmp_path / "registry").mkdir()
    registry = Vine(tmp_path / "registry", "registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={tmp_path}/data",
                    f"--server.ssl.key-store={stores}/keys.p12", f"--server.ssl.key-store-password={PASSWORD}",
                    "--spring.security.user.name=shop", "--spring.security.user.password=hush")
    try:
        service = SpringService(tmp_path / "service", maven(generation.project), {
            "spring.application.name": "orders", "eureka.instance.hostname": "127.0.0.1", "eureka.instance.instance-id": "orders-1",
            "eureka.client.service-url.defaultZone": f"https://shop:hush@127.0.0.1:{registry.port}/eureka/"},
            jvm=[f"-Djavax.net.ssl.trustStore={stores}/trust.p12", f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"])
        try:
            seen = service.wait_instances("orders", "orders-1")  # registered, and fetched, over TLS
            assert seen["orders-1"]["port"] == service.port
            wait_for(lambda: renewals(registry, stores) >= 3, "heartbeats")
            assert not service.complaints()
        finally:
            service.stop()
    finally:
        registry.stop()


def renewals(registry, stores):
    context = ssl.create_default_context(cafile=stores / "vine.pem")
    c = http.client.HTTPSConnection("127.0.0.1", registry.port, timeout=DEADLINE, context=context)
    try:
        c.request("GET", "/actuator/registry", headers={"Authorization": "Basic " + base64.b64encode(b"shop:hush").decode()})
        return json.loads(c.getresponse().read())["renewalsLastMinute"]
    finally:
        c.close()
