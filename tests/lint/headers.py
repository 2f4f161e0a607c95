#!/usr/bin/env python3
"""Each header compiles alone, without a warning, and may be included twice."""
import pathlib
import subprocess
import sys


def compile_alone(root, cc, header):
    flags = ["-std=gnu17", "-D_GNU_SOURCE", '-DVINE_VERSION="0"', "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
             "-fsyntax-only", "-I", str(root / "src"), "-I", str(root / "include")]
    # Included twice: that it guards itself is part of standing alone.
    text = f'#include "{header}"\n#include "{header}"\nextern int nothing_else;\n'
    return subprocess.run([*cc, *flags, "-x", "c", "-"], input=text, text=True, capture_output=True, check=False)


def main(root, cc):
    headers = sorted([*root.glob("src/**/*.h"), *root.glob("include/**/*.h"), *root.glob("examples/**/*.h")])
    failed = 0
    for header in headers:
        run = compile_alone(root, cc, header)
        if run.returncode != 0:
            failed += 1
            print(f"{header} does not compile alone:\n{run.stderr}")
    print(f"{len(headers) - failed} passed, {failed} failed")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
