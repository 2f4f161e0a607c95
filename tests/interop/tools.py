"""The programs that these tests need, by name: for fixtures and tests alike."""
import shutil

import pytest


def tool(name):
    """The program of that name; the test fails where there is none."""
    path = shutil.which(name)
    if not path:
        pytest.fail(f"{name} is not installed: scripts/setup interop installs what these tests need", pytrace=False)
    return path
