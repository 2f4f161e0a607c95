"""The soaks, one after the other: the gateway for so many seconds, the registry by TLS for half as many.

    VINE=build-asan/vine python3 tests/soak/soak.py [SECONDS [gateway|registry]]      SEED=n: the choices of an earlier run
"""
import os
import random
import sys

from play import play  # first: it says where the tests' modules are

import gateway_soak
import registry_soak


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
    plays = {"gateway": (gateway_soak.Soak, seconds), "registry": (registry_soak.Soak, seconds / 2)}
    names = sys.argv[2:] or list(plays)
    results = [play(plays[name][0], name, plays[name][1], seed) for name in names]
    passed, failed = map(sum, zip(*results))
    if "COUNTS" in os.environ:
        with open(os.environ["COUNTS"], "a", encoding="utf-8") as out:
            out.write(f"{passed} {failed}\n")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
