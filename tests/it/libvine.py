"""The C service of service.c: compiled against libvine's public headers alone, one process of it, and the fixtures for both."""
import json
import pathlib
import subprocess

import pytest

from vine import BINARY, ROOT, SANITIZER, Vine, stop_all

BUILD = pathlib.Path(BINARY).resolve().parent
FLAGS = {"asan": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"], "tsan": ["-fsanitize=thread"], None: []}[SANITIZER]
SHARED = ["-Lsrc/client", "-lvine", f"-Wl,-rpath,{BUILD}/src/client", "-pthread"]


def compile_service(folder, libs):
    out = folder / "service"
    subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-g", *FLAGS, f"-I{ROOT}/include",
                    str(ROOT / "tests/it/service.c"), "-o", str(out), *libs], cwd=BUILD, check=True)
    return out


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    return compile_service(tmp_path_factory.mktemp("service"), SHARED)


# Wide limits: a test that is about one sets it itself, the others must not meet it on a slow machine.
WIDE = {"hystrix.command.default.execution.isolation.thread.timeoutInMilliseconds": 20000, "ribbon.ReadTimeout": 20000,
        "ribbon.ConnectTimeout": 20000, "vine.timeouts.must-fit": "false"}


class Service(Vine):
    """One process of the service. properties: in their own names; servers: {service: [upstreams or addresses]}."""

    def __init__(self, folder, binary, properties=None, servers=None, **kw):
        lines = {"server.port": 0, "server.address": "127.0.0.1", "eureka.client.enabled": "false",
                 **WIDE, **(properties or {})}
        for name, where in (servers or {}).items():
            lines[f"{name}.ribbon.listOfServers"] = ",".join(getattr(s, "address", s) for s in where)
        config = "".join(f"{k}: {json.dumps(v)}\n" for k, v in lines.items())
        super().__init__(folder, binary=binary, config=config, **kw)


@pytest.fixture
def service(tmp_path, binary):
    started = []

    def start(*args, **kw):
        folder = tmp_path / f"service{len(started)}"
        folder.mkdir()
        s = Service(folder, binary, *args, **kw)
        started.append(s)
        return s

    yield start
    stop_all(started)
