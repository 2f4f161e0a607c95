"""Java's TLS and its keytool: the stores that it writes, old and new, and its clients against Vine's listener."""
import pathlib
import subprocess

import pytest

from tools import tool
from vine import Vine, wait_for

HERE = pathlib.Path(__file__).resolve().parent
PASSWORD = "changeit"


@pytest.fixture
def keytool(tmp_path):
    """keytool(*args) in the test's folder."""
    program = tool("keytool")

    def run(*args, jvm=()):
        done = subprocess.run([program, *jvm, *args, "-storepass", PASSWORD], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return run


def make_key(keytool, store, alias, *more, jvm=(), kind="PKCS12"):
    keytool("-genkeypair", "-alias", alias, "-keyalg", "RSA", "-keysize", "2048", "-storetype", kind, "-keystore", store,
            "-dname", f"CN={alias}, O=Vine", "-ext", "san=dns:localhost", "-validity", "30", *more, jvm=jvm)


def trust_of(keytool, out, *pairs):
    """A trust store with the certificates of (store, alias)."""
    for store, alias in pairs:
        keytool("-exportcert", "-alias", alias, "-keystore", store, "-file", f"{alias}.cer")
        keytool("-importcert", "-noprompt", "-alias", alias, "-file", f"{alias}.cer", "-storetype", "PKCS12", "-keystore", out)


@pytest.fixture
def registry(tmp_path):
    started = []

    def start(ready=True, **props):
        folder = tmp_path / f"v{len(started)}"
        folder.mkdir()
        given = {"server.port": 0, "server.address": "127.0.0.1", "vine.registry.snapshot.enabled": "false",
                 **props}
        v = Vine(folder, "registry", *(f"--{k}={v}" for k, v in given.items()), ready=ready)
        started.append(v)
        return v

    yield start
    for v in started:
        v.stop()


def ask(tmp_path, v, trust, *key):
    done = subprocess.run([tool("java"), str(HERE / "Ask.java"), f"https://localhost:{v.port}/eureka/apps", PASSWORD, trust, *key],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.split("\n")[:-1], done.stderr


ALL = ["TLSv1.2 200"] * 3 + ["TLSv1.3 200"] * 3 + ["URLConnection 200"]


@pytest.mark.parametrize("jvm", [(), ("-J-Dkeystore.pkcs12.legacy",)], ids=["today's ciphers", "those of Java 8"])
def test_a_store_of_keytool_serves_java(tmp_path, keytool, registry, jvm):
    make_key(keytool, "key.p12", "first", jvm=jvm)
    make_key(keytool, "key.p12", "second", jvm=jvm)
    trust_of(keytool, "trust.p12", ("key.p12", "second"))
    v = registry(**{"server.ssl.key-store": tmp_path / "key.p12", "server.ssl.key-store-password": PASSWORD,
                    "server.ssl.key-alias": "second"})
    said, err = ask(tmp_path, v, "trust.p12")
    assert said == ALL, err


def test_java_shows_its_certificate(tmp_path, keytool, registry):
    make_key(keytool, "key.p12", "server")
    make_key(keytool, "client.p12", "client")
    make_key(keytool, "other.p12", "other")
    trust_of(keytool, "trust.p12", ("key.p12", "server"))
    trust_of(keytool, "clients.p12", ("client.p12", "client"), ("other.p12", "other"))
    v = registry(**{"server.ssl.key-store": tmp_path / "key.p12", "server.ssl.key-store-password": PASSWORD,
                    "server.ssl.client-auth": "need", "server.ssl.trust-store": tmp_path / "clients.p12",
                    "server.ssl.trust-store-password": PASSWORD,
                    "vine.registry.auth.client-certificates": "subject:CN=client*"})
    said, err = ask(tmp_path, v, "trust.p12", "client.p12")
    assert said == ALL, err
    said, err = ask(tmp_path, v, "trust.p12", "other.p12")  # believed, but not listed
    assert said == [line.replace("200", "401") for line in ALL], err
    said, err = ask(tmp_path, v, "trust.p12")
    assert not said and "SSLHandshakeException" in err
    v.wait_log("the client shows no certificate")


def test_a_jks_store_is_named(tmp_path, keytool, registry):
    make_key(keytool, "old.jks", "old", "-keypass", PASSWORD, kind="JKS")
    v = registry(ready=False, **{"server.ssl.key-store": tmp_path / "old.jks", "server.ssl.key-store-password": PASSWORD})
    assert v.wait() == 1
    v.expect_code = 1
    wait_for(lambda: v.err.ended, "the end of stderr")
    assert "keytool -importkeystore -srckeystore OLD.jks" in str(v.err)
    # what it says is what helps
    keytool("-importkeystore", "-srckeystore", "old.jks", "-srcstorepass", PASSWORD, "-destkeystore", "new.p12", "-deststoretype", "PKCS12")
    registry(**{"server.ssl.key-store": tmp_path / "new.p12", "server.ssl.key-store-password": PASSWORD})
